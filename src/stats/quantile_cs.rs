//! Where a quantile lies at all looks at once, and evidence that one quantile exceeds another.
//!
//! In: numbers of observations, and how many lie beyond a value. Out: ranks of order statistics;
//! log evidence. Holds: the quantile lies between the values at the ranks at all looks at once with
//! probability 1 − α; the evidence is that of an e-process. Knows nothing of: the values.

use super::grid::{RateGrid, log_mean_exp};
use super::proportion::Rate;
use super::special::ln_beta;

/// Ranks, counted from 1, of the values between which a quantile lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// `None`: no finite bound below.
    pub lower: Option<u64>,
    /// `None`: no finite bound above.
    pub upper: Option<u64>,
}

/// Returns the ranks between which the `p`-quantile of `n` observations lies, at all looks at once.
///
/// The number k of values up to the quantile is tested by the Beta(κp, κ(1 − p)) mixture,
/// ln E(k) = ln B(κp + k, κ(1 − p) + n − k) − ln B(κp, κ(1 − p)) − k ln p − (n − k) ln(1 − p); lower is the
/// greatest k up to np with ln E(k) ≥ ln(1/α), upper the least above (Howard & Ramdas 2022, in
/// the Bernoulli form). Tightest near n = κ > 0. `None` for n = 0, or p or α outside (0, 1).
pub fn quantile_ranks(n: u64, p: f64, alpha: f64, kappa: f64) -> Option<Ranks> {
    let is_share = |value: f64| 0.0 < value && value < 1.0;
    if n == 0 || !is_share(p) || !is_share(alpha) || !kappa.is_finite() || kappa <= 0.0 {
        return None;
    }
    let (a, b) = (kappa * p, kappa * (1.0 - p));
    let (log_prior, log_threshold) = (ln_beta(a, b), -alpha.ln());
    let is_rejected = |k: u64| {
        let (hits, misses) = (k as f64, (n - k) as f64);
        let log_e = ln_beta(a + hits, b + misses) - log_prior;
        log_threshold <= log_e - hits * p.ln() - misses * (-p).ln_1p()
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and n; a saturating cast is at most one rank off beyond 2^53"
    )]
    let middle = ((n as f64 * p) as u64).min(n);
    // ln E is convex in k: what is rejected is a stretch at either end.
    let kept_from = first_where(0, middle + 1, |k| !is_rejected(k));
    let rejected_from = first_where(middle + 1, n + 1, is_rejected);
    Some(Ranks {
        lower: kept_from.checked_sub(1),
        upper: (rejected_from <= n).then_some(rejected_from),
    })
}

/// Returns the first number of `from..to` from which on a property holds, `to` if none.
fn first_where(from: u64, to: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Log evidence that a quantile exceeds a multiple of another one, at one fixed value x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// That x lies above the second arm's quantile.
    pub log_e_second: f64,
    /// That r x lies below the first arm's quantile.
    pub log_e_first: f64,
}

impl Beyond {
    /// Returns the evidence against "the first arm's `p`-quantile is at most r times the second's".
    ///
    /// `first` counts the first arm's observations beyond r x, `second` the second's beyond x. Either
    /// x lies above the second's quantile, then the first goes beyond r x with at most 1 − p, or
    /// below it, then the second goes beyond x with at least 1 − p: the smaller of the two e-values
    /// is one for every x that is fixed before the data, and so is the mean of those over a fixed
    /// set of x (one-sided form of Howard & Ramdas 2022, §5). `None` for p outside (0, 1).
    pub fn at(p: f64, first: Rate, second: Rate) -> Option<Self> {
        let grid = RateGrid::exceeds(1.0 - p)?;
        let below = grid.increment_below(second.hits, second.total);
        Some(Self {
            log_e_second: log_mean_exp(&below),
            log_e_first: grid.log_e(first.hits, first.total),
        })
    }

    /// Returns the evidence that both hold.
    pub fn log_e(&self) -> f64 {
        self.log_e_first.min(self.log_e_second)
    }
}

#[cfg(test)]
mod tests {
    use super::{Beyond, quantile_ranks};
    use crate::stats::proportion::Rate;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn few_values_have_no_bounds() {
        let few = quantile_ranks(10, 0.99, 0.01, 1_500.0).expect("ranks");
        assert_eq!(few.upper, None);
        for (n, p, alpha, kappa) in [
            (0, 0.5, 0.05, 1.0),
            (1, 0.0, 0.05, 1.0),
            (1, 1.0, 0.05, 1.0),
            (1, f64::NAN, 0.05, 1.0),
            (1, 0.5, 0.0, 1.0),
            (1, 0.5, 1.0, 1.0),
            (1, 0.5, 0.05, 0.0),
            (1, 0.5, 0.05, f64::INFINITY),
        ] {
            assert_eq!(quantile_ranks(n, p, alpha, kappa), None);
        }
    }

    #[test]
    fn a_thousand_million_values_have_close_bounds() {
        let n = 1_000_000_000;
        let ranks = quantile_ranks(n, 0.5, 0.01, 1_500.0).expect("ranks");
        let (lower, upper) = (ranks.lower.expect("one"), ranks.upper.expect("one"));
        assert!(lower < n / 2 && n / 2 < upper && upper - lower < 200_000);
    }

    proptest! {
        #[test]
        fn ranks_hold_the_sample_quantile(
            n in 1_u64..5_000,
            p in 0.01_f64..0.99,
            alpha in 1e-6_f64..0.5,
            kappa in 1.0_f64..5_000.0,
        ) {
            let ranks = quantile_ranks(n, p, alpha, kappa).expect("ranks");
            let middle = n as f64 * p;
            prop_assert!(ranks.lower.is_none_or(|rank| rank as f64 <= middle));
            prop_assert!(ranks.upper.is_none_or(|rank| middle < rank as f64 && rank <= n));
        }

        /// At one value x the first arm goes beyond r x with `p1`, the second beyond x with `p2`; the
        /// null leaves p1 ≤ 1 − p or 1 − p ≤ p2.
        #[test]
        fn the_mean_of_the_smaller_is_at_most_one(
            p in 0.02_f64..0.98,
            part in 0.0_f64..=1.0,
            other in 0.0_f64..=1.0,
        ) {
            let q = 1.0 - p;
            for (p1, p2) in [(q * part, other), (other, q + p * part)] {
                let mut mean = 0.0;
                for outcome in 0..256_u32 {
                    let (k1, k2) = ((outcome & 15).count_ones(), (outcome >> 4).count_ones());
                    let chance = |k: u32, p: f64| {
                        p.powf(f64::from(k)) * (1.0 - p).powf(f64::from(4 - k))
                    };
                    let arm = |hits: u32| Rate { hits: hits.into(), total: 4 };
                    let log = Beyond::at(p, arm(k1), arm(k2)).expect("evidence").log_e();
                    mean += chance(k1, p1) * chance(k2, p2) * log.exp();
                }
                prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
            }
        }
    }
}
