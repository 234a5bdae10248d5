//! Evidence over a whole rollout that doesn't wait for a harmless past to be outweighed.
//!
//! In: log e-value increments on the grid, one set per look. Out: ln of one e-process. Holds: the
//! process and the prior mass that is still left are together a supermartingale from 1 on, so it
//! ever reaches 1/α with probability at most α (Ville 1939). Knows nothing of: time, or what the
//! evidence is about.

use serde::{Deserialize, Serialize};

use super::change_prior::ChangePrior;
use super::grid::{LOG_E_MIN, log_mean_exp};
use super::log_sum::{fits, is_evidence, kept, log_add_exp};

/// S ← (S + w) L on each grid point, from S = 0, with w the prior weight of a change at this look.
///
/// A mixture of the e-processes that begin at each look (Shin, Ramdas & Rinaldo 2023, §4, with
/// weights that sum to 1 instead of all being 1). Its owner advances it once per look that has
/// observations, in order, and compares [`SpendingSr::log_s`] with ln(1/α).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpendingSr {
    prior: ChangePrior,
    /// ln S of each grid point; empty before the first look.
    log: Vec<f64>,
    looks: u64,
}

impl SpendingSr {
    /// Returns a process that has seen nothing.
    pub fn new(prior: ChangePrior) -> Self {
        Self { prior, log: Vec::new(), looks: 0 }
    }

    /// Takes in one look, and says whether it was one; as [`Sr::advance`](super::sr::Sr::advance).
    pub fn advance(&mut self, increment: &[f64]) -> bool {
        if !is_evidence(increment) || !fits(&mut self.log, increment, LOG_E_MIN) {
            return false;
        }
        let log_weight = self.prior.weight(self.looks).ln();
        for (log, step) in self.log.iter_mut().zip(increment) {
            *log = kept(log_add_exp(*log, log_weight) + step);
        }
        self.looks = self.looks.saturating_add(1);
        true
    }

    /// Returns ln of the mean of S over the grid after the last look, at least −745.
    pub fn log_s(&self) -> f64 {
        log_mean_exp(&self.log)
    }

    /// Returns how much of the prior hasn't been spent, in (0, 1].
    pub fn left(&self) -> f64 {
        self.prior.left(self.looks)
    }

    /// Returns how many looks were taken in.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Forgets the evidence and goes on: what the prior has spent stays spent.
    pub fn spend(&mut self) {
        self.log.fill(LOG_E_MIN);
    }

    /// Forgets everything but the prior: a new hypothesis begins.
    pub fn reset(&mut self) {
        *self = Self::new(self.prior);
    }
}

#[cfg(test)]
mod tests {
    use super::SpendingSr;
    use crate::stats::change_prior::ChangePrior;
    use crate::stats::grid::RateGrid;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn no_number_is_no_look() {
        let mut process = SpendingSr::new(ChangePrior::of_seconds());
        process.advance(&[0.5; 7]);
        let before = process.clone();
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(!process.advance(&[bad; 7]));
            assert_eq!(process, before);
        }
        assert!(process.advance(&[f64::NEG_INFINITY; 7]));
        let bytes = serde_json::to_string(&process).expect("serializes");
        assert_eq!(serde_json::from_str::<SpendingSr>(&bytes).expect("reads"), process);
        process.reset();
        assert_eq!(process, SpendingSr::new(ChangePrior::of_seconds()));
    }

    /// A harmless day costs the logarithm of its length, not its evidence.
    #[test]
    fn a_harmless_day_is_no_inertia() {
        let grid = RateGrid::exceeds(0.05).expect("a limit");
        let mut process = SpendingSr::new(ChangePrior::of_seconds());
        for _ in 0..86_400 {
            process.advance(&grid.increment(0, 50));
        }
        let quiet = process.log_s();
        process.advance(&grid.increment(20, 50));
        assert!(-25.0 < quiet && 0.0 < process.log_s(), "{quiet}, then {}", process.log_s());
    }

    proptest! {
        /// E\[S\] and what is left are together at most 1, wherever the rate lies below the limit.
        #[test]
        fn mean_and_mass_left_are_at_most_one(
            limit in 0.01_f64..0.99,
            part in 0.0_f64..=1.0,
            look_us in 1_000_000_u64..600_000_000,
        ) {
            let grid = RateGrid::exceeds(limit).expect("a limit");
            let rate = limit * part;
            let chance = [(1.0 - rate).powi(2), 2.0 * rate * (1.0 - rate), rate.powi(2)];
            let (mut mean, mut left) = (0.0, 0.0);
            for outcome in 0..81_u32 {
                let mut process = SpendingSr::new(ChangePrior::of_looks(look_us));
                let (mut weight, mut rest) = (1.0, outcome);
                for _ in 0..4 {
                    let events = rest % 3;
                    rest /= 3;
                    weight *= chance[events as usize];
                    process.advance(&grid.increment(events.into(), 2));
                }
                mean += weight * process.log_s().exp();
                left = process.left();
            }
            prop_assert!(mean + left <= 1.0 + 1e-9, "{mean} + {left}");
            prop_assert!(part < 1.0 || (mean + left - 1.0).abs() < 1e-9);
        }
    }
}
