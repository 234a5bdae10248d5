//! Evidence that is watched: since the start, and since the last moment that looked harmless.
//!
//! In: log e-value increments on the grid, one set per look. Out: the highest evidence so far, an
//! e-CUSUM, and the look at which the excess began. Holds: if the increments are those of
//! e-processes, exp(`log_e`) ever reaches 1/α with probability at most α (Ville 1939), and
//! exp(`log_cusum`) reaches A within H looks with probability at most H/A (Shin, Ramdas & Rinaldo
//! 2023, e-detectors; statistics.md §1.6). Knows nothing of: time, or what the evidence is about.

use serde::{Deserialize, Serialize};

use super::grid::{LOG_E_MIN, log_mean_exp};

/// Both kinds of evidence for one hypothesis. Its owner advances it once per look, in order.
///
/// After 2,000 harmless looks the plain evidence needs a median of 89 looks to see a threefold
/// rate, the e-CUSUM 13 (statistics.md §1.6): hence both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// ln of each grid point's e-process since the start.
    plain: [f64; 7],
    /// ln of each grid point's e-CUSUM.
    cusum: [f64; 7],
    /// The look, counted from 0, at which each e-CUSUM last began.
    onset: [u64; 7],
    looks: u64,
    /// The running maximum of ln E; 0 before the first look.
    best_plain: f64,
}

impl Detector {
    /// Returns a detector that has seen nothing.
    pub fn new() -> Self {
        Self { plain: [0.0; 7], cusum: [0.0; 7], onset: [0; 7], looks: 0, best_plain: 0.0 }
    }

    /// Takes in one look, and says whether it was one.
    ///
    /// Increments with NaN or +∞ among them are no evidence: the detector ignores them, doesn't
    /// count the look and returns false. −∞ means that a grid point has been ruled out.
    pub fn advance(&mut self, increment: &[f64]) -> bool {
        if increment.iter().any(|value| value.is_nan() || *value == f64::INFINITY) {
            return false;
        }
        for (j, value) in increment.iter().enumerate() {
            self.plain[j] = (self.plain[j] + value).clamp(LOG_E_MIN, f64::MAX);
            if self.cusum[j] <= 0.0 {
                self.onset[j] = self.looks;
            }
            self.cusum[j] = (self.cusum[j].max(0.0) + value).clamp(LOG_E_MIN, f64::MAX);
        }
        self.best_plain = self.best_plain.max(log_mean_exp(&self.plain));
        self.looks = self.looks.saturating_add(1);
        true
    }

    /// Forgets everything: a new hypothesis, such as a new version, begins.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Returns the highest ln E at any look so far, at least 0.
    pub fn log_e(&self) -> f64 {
        self.best_plain
    }

    /// Returns the ln of the e-CUSUM after the last look, at least −745; 0 before the first.
    pub fn log_cusum(&self) -> f64 {
        log_mean_exp(&self.cusum)
    }

    /// Returns the look, counted from 0, at which the highest e-CUSUM of the grid last began.
    ///
    /// Between equals the lowest multiplier's counts.
    pub fn onset(&self) -> u64 {
        let mut best = 0;
        for j in 1..self.cusum.len() {
            if self.cusum[best] < self.cusum[j] {
                best = j;
            }
        }
        self.onset[best]
    }

    /// Returns how many looks were taken in.
    pub fn looks(&self) -> u64 {
        self.looks
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns ln(H/α), where an e-CUSUM alarms falsely within H `looks` with probability ≤ α.
///
/// With α = 1 it is the threshold of at least H looks to a false alarm on average. With one look
/// it is Ville's ln(1/α), where plain evidence is shown. `None` without looks or for α outside
/// (0, 1] (statistics.md §1.6).
pub fn log_threshold(looks: u64, alpha: f64) -> Option<f64> {
    let is_threshold = 0 < looks && 0.0 < alpha && alpha <= 1.0;
    is_threshold.then(|| (looks as f64).ln() - alpha.ln())
}

#[cfg(test)]
mod tests {
    use super::{Detector, log_threshold};
    use crate::stats::grid::RateGrid;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const STEPS: [f64; 9] = [-0.2, 0.5, 0.9, -0.1, 1.4, -2.0, -1.5, 0.3, 1.1];

    /// Runs of looks at a Bernoulli stream: how many reached each of the two thresholds.
    struct Tally {
        plain: u32,
        cusum: u32,
    }

    /// SplitMix64 (Steele, Lea & Flood 2014), as a number in [0, 1).
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `runs` runs of `looks` looks at ten observations each, at the limit of 5 %.
    fn simulate(runs: u32, looks: u64, plain_at: f64, cusum_at: f64) -> Tally {
        let grid = RateGrid::exceeds(0.05).expect("a limit");
        let mut state = 7;
        let mut tally = Tally { plain: 0, cusum: 0 };
        for _ in 0..runs {
            let mut detector = Detector::new();
            let mut is_cusum_reached = false;
            for _ in 0..looks {
                let events = (0..10).filter(|_| uniform(&mut state) < 0.05).count() as u64;
                detector.advance(&grid.increment(events, 10));
                is_cusum_reached |= cusum_at <= detector.log_cusum();
            }
            tally.plain += u32::from(plain_at <= detector.log_e());
            tally.cusum += u32::from(is_cusum_reached);
        }
        tally
    }

    #[test]
    fn published_recursion() {
        let expected = [-0.2, 0.5, 1.4, 1.3, 2.7, 0.7, -0.8, 0.3, 1.4];
        let onsets = [0, 1, 1, 1, 1, 1, 1, 7, 7];
        let mut detector = Detector::new();
        for (look, step) in STEPS.iter().enumerate() {
            assert!(detector.advance(&[*step; 7]));
            assert!((detector.log_cusum() - expected[look]).abs() < 1e-10, "look {look}");
            assert_eq!(detector.onset(), onsets[look], "look {look}");
        }
        assert!((detector.log_e() - 2.5).abs() < 1e-10, "the maximum, at look 4");
        assert_eq!(detector.looks(), 9);
        detector.reset();
        assert_eq!(detector, Detector::default());
    }

    #[test]
    fn no_number_is_no_look() {
        let mut detector = Detector::new();
        detector.advance(&[0.5; 7]);
        let before = detector.clone();
        for bad in [f64::NAN, f64::INFINITY] {
            let mut increment = [100.0; 7];
            increment[3] = bad;
            assert!(!detector.advance(&increment));
            assert_eq!(detector, before);
        }
        assert!(detector.advance(&[f64::NEG_INFINITY; 7]));
        assert!(detector.log_cusum() <= -745.0);
    }

    #[test]
    fn thresholds() {
        assert!(
            (log_threshold(1_440, 0.01).expect("a threshold") - 11.877_568_578_558_138).abs()
                < 1e-12
        );
        assert!(
            (log_threshold(525_600, 1.0).expect("a threshold") - 13.172_295_746_152_537).abs()
                < 1e-12
        );
        for (looks, alpha) in [(0, 0.1), (1, 0.0), (1, 1.5), (1, f64::NAN)] {
            assert_eq!(log_threshold(looks, alpha), None);
        }
    }

    /// Four standard errors above the stated rates would be a broken promise, not chance.
    #[test]
    fn false_alarms_keep_their_rates() {
        let (runs, looks, alpha) = (2_000, 400, 0.05);
        let cusum_at = log_threshold(looks, 0.2).expect("a threshold");
        let tally = simulate(runs, looks, log_threshold(1, alpha).expect("a threshold"), cusum_at);
        let most = |rate: f64| rate * f64::from(runs) + 4.0 * (rate * f64::from(runs)).sqrt();
        assert!(f64::from(tally.plain) <= most(alpha), "{} of {runs}", tally.plain);
        assert!(f64::from(tally.cusum) <= most(0.2), "{} of {runs}", tally.cusum);
        assert!(0 < tally.plain, "the plain evidence moves");
    }

    /// A harmless past delays the plain evidence, not the e-CUSUM, which also dates the change.
    #[test]
    fn the_change_is_seen_and_dated() {
        let grid = RateGrid::exceeds(0.05).expect("a limit");
        let mut detector = Detector::new();
        for _ in 0..1_000 {
            detector.advance(&grid.increment(1, 100));
        }
        for _ in 0..5 {
            detector.advance(&grid.increment(30, 100));
        }
        assert_eq!(detector.onset(), 1_000);
        assert!(20.0 < detector.log_cusum());
        assert!(detector.log_e() < 1.0);
    }

    proptest! {
        #[test]
        fn the_log_gives_back_the_state(steps in vec(-5.0_f64..5.0, 0..50)) {
            let mut detector = Detector::new();
            for step in steps {
                let before = detector.log_e();
                detector.advance(&std::array::from_fn::<f64, 7, _>(|j| step * (j as f64 + 0.5)));
                prop_assert!(before <= detector.log_e());
                prop_assert!(detector.onset() < detector.looks());
            }
            let bytes = postcard::to_stdvec(&detector).expect("serializes");
            prop_assert_eq!(postcard::from_bytes::<Detector>(&bytes).expect("reads"), detector);
        }
    }
}
