//! Evidence against two nulls at once: it has to hold against both, block by block.
//!
//! In: log e-value increments against each null, one set of each per look. Out: ln of an e-detector
//! and of an e-process, means over several lengths of block. Holds: if within each block one null
//! or the other holds throughout, exp(`log_r`) reaches A within H looks with probability at most
//! H/A, and exp(`log_s`) ever reaches 1/α with probability at most α. Evidence against one null from
//! one time never meets evidence against the other from another time. Knows nothing of: time, or
//! what the nulls say.

use serde::{Deserialize, Serialize};

use super::change_prior::ChangePrior;
use super::grid::{LOG_E_MIN, log_mean_exp};
use super::log_sum::{fits, is_evidence, kept, log_add_exp, log_mean};

/// The smaller of two e-values per block, then e-SR and mixture over the blocks.
///
/// At a block's end after b looks eⱼ = min(exp Σ rateⱼ, meanᵢ exp Σ ownᵢ), Rⱼ ← (Rⱼ + b) eⱼ, and
/// Sⱼ ← (Sⱼ + Σ of the change prior's weights of the block's looks) eⱼ. A smaller of e-values is one
/// for the union of the nulls (Ramdas, Ruf, Larsson & Koolen 2022); R and S as in
/// [`sr`](super::sr) and [`spending`](super::spending). Its owner advances it once per look that has
/// observations, in order, always by the same method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockMin {
    prior: ChangePrior,
    looks: u64,
    tracks: Vec<Track>,
}

/// One length of block, with its open block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    length: u32,
    looks: u32,
    /// What the open block adds up to: against the first null, against the second, of the prior. Empty
    /// before the first look.
    rate: Vec<f64>,
    own: Vec<f64>,
    weight: f64,
    /// ln R and ln S of each grid point after the last whole block.
    log_r: Vec<f64>,
    log_s: Vec<f64>,
}

impl BlockMin {
    /// Returns evidence that has seen nothing, over blocks of so many looks side by side.
    ///
    /// A length of 0 counts as 1, and no length as `[1]`.
    pub fn new(lengths: &[u32], prior: ChangePrior) -> Self {
        let lengths = if lengths.is_empty() { &[1] } else { lengths };
        Self { prior, looks: 0, tracks: lengths.iter().map(|length| Track::new(*length)).collect() }
    }

    /// Takes in one look with its evidence against either null, and says whether it was one.
    ///
    /// Where a look says nothing about the second null (one arm only), `own` is zeros. Increments
    /// with NaN or +∞ among them, or of another grid than the first look's, are no evidence: they are
    /// ignored, the look isn't counted.
    pub fn advance(&mut self, rate: &[f64], own: &[f64]) -> bool {
        is_evidence(own) && self.take(rate, Some(own))
    }

    /// Takes in one look of evidence against one null only, through the same blocks.
    pub fn advance_alone(&mut self, rate: &[f64]) -> bool {
        self.take(rate, None)
    }

    /// Returns ln of the mean of R over lengths and grid after the last whole blocks, at least −745.
    pub fn log_r(&self) -> f64 {
        log_mean(self.tracks.iter().flat_map(|track| &track.log_r))
    }

    /// Returns ln of the mean of S over lengths and grid after the last whole blocks, at least −745.
    pub fn log_s(&self) -> f64 {
        log_mean(self.tracks.iter().flat_map(|track| &track.log_s))
    }

    /// Returns how many looks were taken in.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Forgets everything but lengths and prior: a new hypothesis begins.
    pub fn reset(&mut self) {
        self.looks = 0;
        self.tracks.iter_mut().for_each(|track| *track = Track::new(track.length));
    }

    /// Forgets the evidence and goes on: what the prior has spent stays spent, so that however often this is
    /// done, exp(`log_s`) ever reaches 1/α with probability at most α in all.
    pub fn spend(&mut self) {
        self.tracks.iter_mut().for_each(|track| *track = Track::new(track.length));
    }

    fn take(&mut self, rate: &[f64], own: Option<&[f64]>) -> bool {
        if !is_evidence(rate) || !self.tracks.iter_mut().all(|track| track.fits(rate, own)) {
            return false;
        }
        let weight = self.prior.weight(self.looks);
        self.looks = self.looks.saturating_add(1);
        for track in &mut self.tracks {
            add(&mut track.rate, rate);
            if let Some(own) = own {
                add(&mut track.own, own);
            }
            track.weight += weight;
            track.looks += 1;
            if track.looks == track.length {
                track.close(own.is_some());
            }
        }
        true
    }
}

impl Track {
    fn new(length: u32) -> Self {
        let [rate, own, log_r, log_s] = [const { Vec::new() }; 4];
        Self { length: length.max(1), looks: 0, rate, own, weight: 0.0, log_r, log_s }
    }

    /// Says whether a look is of its grid, which the first one tells.
    fn fits(&mut self, rate: &[f64], own: Option<&[f64]>) -> bool {
        fits(&mut self.rate, rate, 0.0)
            && own.is_none_or(|own| fits(&mut self.own, own, 0.0))
            && fits(&mut self.log_r, rate, LOG_E_MIN)
            && fits(&mut self.log_s, rate, LOG_E_MIN)
    }

    /// Ends the open block.
    fn close(&mut self, has_own: bool) {
        let own = if has_own { log_mean_exp(&self.own) } else { f64::MAX };
        let (log_looks, log_weight) = (f64::from(self.looks).ln(), self.weight.ln());
        for j in 0..self.rate.len() {
            let log_e = self.rate[j].min(own);
            self.log_r[j] = kept(log_add_exp(self.log_r[j], log_looks) + log_e);
            self.log_s[j] = kept(log_add_exp(self.log_s[j], log_weight) + log_e);
        }
        (self.looks, self.weight) = (0, 0.0);
        self.rate.fill(0.0);
        self.own.fill(0.0);
    }
}

/// Adds increments up; a sum stays finite, however low.
fn add(sum: &mut [f64], increment: &[f64]) {
    for (sum, more) in sum.iter_mut().zip(increment) {
        *sum = (*sum + more).clamp(f64::MIN, f64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::BlockMin;
    use crate::stats::change_prior::ChangePrior;
    use crate::stats::grid::{MULTIPLIERS, RateGrid};
    use crate::stats::kernel;
    use crate::stats::proportion::Rate;
    use crate::stats::spending::SpendingSr;
    use crate::stats::sr::Sr;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn seconds(lengths: &[u32]) -> BlockMin {
        BlockMin::new(lengths, ChangePrior::of_seconds())
    }

    #[test]
    fn no_number_is_no_look() {
        let mut evidence = seconds(&[1, 3]);
        evidence.advance(&[0.5; 7], &[0.1; 7]);
        let before = evidence.clone();
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(!evidence.advance(&[bad; 7], &[0.0; 7]));
            assert!(!evidence.advance(&[0.0; 7], &[bad; 7]));
            assert!(!evidence.advance_alone(&[bad; 7]));
            assert_eq!(evidence, before);
        }
        assert!(!evidence.advance(&[0.0; 9], &[0.0; 7]), "another grid");
        assert!(!evidence.advance(&[0.0; 7], &[0.0; 9]), "another grid");
        assert_eq!(evidence, before);
        for _ in 0..5 {
            assert!(evidence.advance(&[f64::NEG_INFINITY; 7], &[f64::NEG_INFINITY; 7]));
            let text = serde_json::to_string(&evidence).expect("serializes");
            assert_eq!(serde_json::from_str::<BlockMin>(&text).expect("reads"), evidence);
        }
        assert!(evidence.log_r() <= -700.0);
        evidence.reset();
        assert_eq!(evidence, seconds(&[1, 3]));
        assert_eq!(seconds(&[]), seconds(&[0]));
    }

    /// A candidate that is worse but below the limit, then an outage of both, is neither.
    #[test]
    fn evidence_of_two_times_never_meets() {
        let grid = RateGrid::exceeds(0.05).expect("a limit");
        let mut evidence = seconds(&[1, 10, 60]);
        let mut looks = |times: u32, first: u64, second: u64| {
            let arm = |hits| Rate { hits, total: 100 };
            let own = kernel::increment(&MULTIPLIERS, arm(first), arm(second), 1.0);
            let own = own.expect("an increment");
            for _ in 0..times {
                evidence.advance(&grid.increment(first, 100), &own);
            }
            evidence.log_r()
        };
        assert!(looks(300, 4, 0) < 6.0, "worse, below the limit");
        assert!(looks(300, 30, 30) < 6.0, "an outage of both");
        assert!(looks(300, 4, 0) < 6.0);
        assert!(100.0 < looks(20, 30, 1), "its own");
    }

    /// All outcomes of four looks at one request per arm, under one of the nulls.
    fn means(limit: f64, first: f64, second: f64, lengths: &[u32]) -> [f64; 3] {
        let grid = RateGrid::watching(limit).expect("a limit");
        let prior = ChangePrior::of_looks(60_000_000);
        let (mut r, mut s) = (0.0, 0.0);
        for outcome in 0..256_u32 {
            let (mut evidence, mut weight) = (BlockMin::new(lengths, prior), 1.0);
            for look in 0..4 {
                let (k1, k2) = (outcome >> (2 * look) & 1, outcome >> (2 * look + 1) & 1);
                weight *= if k1 == 1 { first } else { 1.0 - first };
                weight *= if k2 == 1 { second } else { 1.0 - second };
                let arm = |hits: u32| Rate { hits: hits.into(), total: 1 };
                let own = kernel::increment(grid.multipliers(), arm(k1), arm(k2), 1.0);
                let own = own.expect("an increment");
                evidence.advance(&grid.increment(k1.into(), 1), &own);
            }
            r += weight * evidence.log_r().exp();
            s += weight * evidence.log_s().exp();
        }
        [r, s, prior.left(4)]
    }

    proptest! {
        #[test]
        fn the_mean_is_kept_under_either_null(
            limit in 0.001_f64..0.99,
            part in 0.0_f64..=1.0,
            other in 0.0_f64..=1.0,
        ) {
            for lengths in [&[1][..], &[2], &[4], &[1, 2, 4]] {
                // Below the limit, whatever the second arm does; and no worse than the second.
                for (first, second) in [(limit * part, other), (other * part, other)] {
                    let [r, s, left] = means(limit, first, second, lengths);
                    prop_assert!(r <= 4.0 + 1e-9, "{r}");
                    prop_assert!(s + left <= 1.0 + 1e-9, "{s} + {left}");
                }
            }
        }

        /// Blocks of one look against one null are the plain forms.
        #[test]
        fn blocks_of_one_are_plain(steps in vec(-5.0_f64..5.0, 1..80)) {
            let (mut evidence, mut sr) = (seconds(&[1]), Sr::new());
            let mut spending = SpendingSr::new(ChangePrior::of_seconds());
            for step in steps {
                let increment: [f64; 7] = std::array::from_fn(|j| step * (j as f64 + 0.5));
                evidence.advance_alone(&increment);
                sr.advance(&increment);
                spending.advance(&increment);
                prop_assert!((evidence.log_r() - sr.log_sr()).abs() < 1e-9);
                prop_assert!((evidence.log_s() - spending.log_s()).abs() < 1e-9);
            }
            let bytes = postcard::to_stdvec(&evidence).expect("serializes");
            prop_assert_eq!(postcard::from_bytes::<BlockMin>(&bytes).expect("reads"), evidence);
        }
    }
}
