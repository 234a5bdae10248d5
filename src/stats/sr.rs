//! The Shiryaev–Roberts e-detector: evidence whatever the look at which the excess began.
//!
//! In: log e-value increments on the grid, one set per look. Out: ln of the detector. Holds: if the
//! increments are those of e-processes, exp(`log_sr`) reaches A within H looks with probability at
//! most H/A, and at the earliest after A looks on average; it is never below the e-CUSUM of the
//! same increments. Knows nothing of: time, or what the evidence is about.

use serde::{Deserialize, Serialize};

use super::grid::{LOG_E_MIN, log_mean_exp};
use super::log_sum::{fits, is_evidence, kept, log_add_exp};

/// R ← (R + 1) L on each grid point, from R = 0 (Shin, Ramdas & Rinaldo 2023, "E-detectors").
///
/// R at look t is Σ over s ≤ t of the e-process that began at s, so that E\[R\] ≤ t under the null.
/// Its owner advances it once per look that has observations, in order, and compares
/// [`Sr::log_sr`] with [`log_threshold`](super::detector::log_threshold).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sr {
    /// ln R of each grid point; empty before the first look.
    log: Vec<f64>,
    looks: u64,
}

impl Sr {
    /// Returns a detector that has seen nothing.
    pub fn new() -> Self {
        Self { log: Vec::new(), looks: 0 }
    }

    /// Takes in one look, and says whether it was one.
    ///
    /// Increments with NaN or +∞ among them, or of another grid than the first look's, are no evidence: the
    /// detector ignores them, doesn't count the look and returns false. −∞ means that a grid point has
    /// been ruled out.
    pub fn advance(&mut self, increment: &[f64]) -> bool {
        if !is_evidence(increment) || !fits(&mut self.log, increment, LOG_E_MIN) {
            return false;
        }
        for (log, step) in self.log.iter_mut().zip(increment) {
            *log = kept(log_add_exp(*log, 0.0) + step);
        }
        self.looks = self.looks.saturating_add(1);
        true
    }

    /// Returns ln of the mean of R over the grid after the last look, at least −745.
    pub fn log_sr(&self) -> f64 {
        log_mean_exp(&self.log)
    }

    /// Returns how many looks were taken in.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Forgets everything: a new hypothesis begins.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Default for Sr {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Sr;
    use crate::stats::detector::Detector;
    use crate::stats::grid::RateGrid;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    #[test]
    fn no_number_is_no_look() {
        let mut sr = Sr::new();
        sr.advance(&[0.5; 7]);
        let before = sr.clone();
        for bad in [f64::NAN, f64::INFINITY] {
            let mut increment = [100.0; 7];
            increment[3] = bad;
            assert!(!sr.advance(&increment));
            assert_eq!(sr, before);
        }
        assert!(sr.advance(&[f64::NEG_INFINITY; 7]));
        assert!(sr.log_sr() <= -745.0 && sr.looks() == 2);
        sr.reset();
        assert_eq!(sr, Sr::default());
    }

    #[test]
    fn a_thousand_million_events_stay_finite() {
        let grid = RateGrid::watching(1e-6).expect("a limit");
        let mut sr = Sr::new();
        for events in [1_000_000_000, 0, 1_000_000_000] {
            assert!(sr.advance(&grid.increment(events, 1_000_000_000)));
            assert!(sr.log_sr().is_finite());
        }
        assert!(1e9 < sr.log_sr());
    }

    /// E\[R after t looks\] = t where the rate is the limit: all outcomes of four looks of two.
    #[test]
    fn its_mean_is_the_number_of_looks() {
        let grid = RateGrid::exceeds(0.2).expect("a limit");
        let chance = [0.64, 0.32, 0.04];
        let mut mean = 0.0;
        for outcome in 0..81_u32 {
            let (mut sr, mut weight, mut rest) = (Sr::new(), 1.0, outcome);
            for _ in 0..4 {
                let events = rest % 3;
                rest /= 3;
                weight *= chance[events as usize];
                sr.advance(&grid.increment(events.into(), 2));
            }
            mean += weight * sr.log_sr().exp();
        }
        assert!((mean - 4.0).abs() < 1e-9, "{mean}");
    }

    proptest! {
        #[test]
        fn it_is_never_below_the_cusum(steps in vec(-5.0_f64..5.0, 1..50)) {
            let (mut sr, mut cusum) = (Sr::new(), Detector::new());
            for step in steps {
                let increment: [f64; 7] = std::array::from_fn(|j| step * (j as f64 + 0.5));
                sr.advance(&increment);
                cusum.advance(&increment);
                prop_assert!(cusum.log_cusum() <= sr.log_sr() + 1e-9);
            }
            let bytes = serde_json::to_string(&sr).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Sr>(&bytes).expect("reads").looks(), sr.looks());
            let bytes = postcard::to_stdvec(&sr).expect("serializes");
            prop_assert_eq!(postcard::from_bytes::<Sr>(&bytes).expect("reads"), sr);
        }
    }
}
