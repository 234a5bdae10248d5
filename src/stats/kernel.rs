//! Evidence that events are more frequent in the first of two concurrent arms.
//!
//! In: events among totals of both arms in one stratum (a look, a pane), odds ratios to bet on. Out: log
//! e-value increments, one for each of them. Holds: what both arms share, whatever it is and however it drifts from
//! stratum to stratum, cancels; if the first arm's odds are at most `odds` times the second's, each
//! grid point's exp(sum) is an e-process. Knows nothing of: what an event is, which arm serves.

use super::proportion::Rate;

/// Returns k ln μⱼ − m ln(1 + θ (μⱼ − 1)) for k events of the first arm among m of both.
///
/// θ = ρψ/(1 − ρ + ρψ), with ρ the first arm's part of all observations and ψ = `odds` ≥ 1 the
/// odds ratio that is tolerated. Given m, k is hypergeometric at ψ = 1, which is below the binomial
/// in convex order (Hoeffding 1963, theorem 4), and Fisher's noncentral hypergeometric above
/// (statistics.md §1.2). Exact at ψ = 1 for randomised requests; above, for one odds ratio
/// throughout the stratum. Loses little where events are rare (m/N ≤ 5 %).
///
/// `None` where a stratum has one arm only, or for odds below 1 or not finite: that is no look. A
/// stratum without events is one, and says nothing. More events than observations count as all.
pub fn increment(multipliers: &[f64], first: Rate, second: Rate, odds: f64) -> Option<Vec<f64>> {
    let is_compared = 0 < first.total && 0 < second.total;
    if !is_compared || !odds.is_finite() || odds < 1.0 {
        return None;
    }
    let events = |arm: Rate| arm.hits.min(arm.total) as f64;
    let (n1, n2) = (first.total as f64, second.total as f64);
    let share = n1 * odds / (n2 + n1 * odds);
    let (k, m) = (events(first), events(first) + events(second));
    Some(from_share(multipliers, k, m, share))
}

/// Returns b ln μⱼ − (b + c) ln((1 + μⱼ)/2), the evidence of pairs in which the arms differ.
///
/// `b` counts the pairs with an event in the first arm only, `c` those in the second only; pairs
/// that agree say nothing. Given b + c, b is binomial with ½ if neither arm is worse (McNemar 1947;
/// statistics.md §1.3), so the increment is exact.
pub fn paired_increment(multipliers: &[f64], b: u64, c: u64) -> Vec<f64> {
    from_share(multipliers, b as f64, b as f64 + c as f64, 0.5)
}

fn from_share(multipliers: &[f64], k: f64, m: f64, share: f64) -> Vec<f64> {
    let log = |multiplier: &f64| k * multiplier.ln() - m * (share * (multiplier - 1.0)).ln_1p();
    multipliers.iter().map(log).collect()
}

#[cfg(test)]
mod tests {
    use crate::stats::grid::{MULTIPLIERS, MULTIPLIERS_WIDE, log_mean_exp};
    use crate::stats::proportion::Rate;
    use proptest::prelude::{prop_assert, proptest};

    fn increment(first: Rate, second: Rate, odds: f64) -> Option<Vec<f64>> {
        super::increment(&MULTIPLIERS_WIDE, first, second, odds)
    }

    fn paired_increment(b: u64, c: u64) -> Vec<f64> {
        super::paired_increment(&MULTIPLIERS, b, c)
    }

    /// The chances of 0 to n events.
    fn binomial(n: u64, p: f64) -> Vec<f64> {
        let mut weight = 1.0;
        let chance = |k: u64| {
            let found = weight * p.powf(k as f64) * (1.0 - p).powf((n - k) as f64);
            weight *= (n - k) as f64 / (k + 1) as f64;
            found
        };
        (0..=n).map(chance).collect()
    }

    #[test]
    fn one_arm_alone_is_no_look() {
        let (some, none) = (Rate { hits: 1, total: 9 }, Rate { hits: 0, total: 0 });
        assert_eq!(increment(some, none, 1.0), None);
        assert_eq!(increment(none, some, 1.0), None);
        for odds in [0.5, f64::NAN, f64::INFINITY] {
            assert_eq!(increment(some, some, odds), None);
        }
        let quiet = increment(Rate { hits: 0, total: 5 }, Rate { hits: 0, total: 5 }, 1.0);
        assert_eq!(quiet, Some(vec![0.0; 9]));
        assert_eq!(paired_increment(0, 0), vec![0.0; 7]);
    }

    #[test]
    fn a_thousand_million_events_stay_finite() {
        let all = Rate { hits: 1_000_000_000, total: 1_000_000_000 };
        let none = Rate { hits: 0, ..all };
        for (first, second) in [(all, all), (all, none), (none, all)] {
            let values = increment(first, second, 1.5).expect("an increment");
            assert!(values.iter().all(|value| value.is_finite()));
        }
        assert!(paired_increment(u64::MAX, u64::MAX).iter().all(|value| value.is_finite()));
    }

    proptest! {
        /// The mean over all outcomes of two binomial arms, the first no worse than the second
        /// times the tolerated odds.
        #[test]
        fn the_mean_e_value_is_at_most_one(
            n1 in 1_u64..12,
            n2 in 1_u64..12,
            p2 in 0.001_f64..0.999,
            part in 0.0_f64..=1.0,
            odds in 1.0_f64..4.0,
        ) {
            let most = odds * p2 / (1.0 - p2 + odds * p2);
            let (first, second) = (binomial(n1, most * part), binomial(n2, p2));
            let mut mean = 0.0;
            for (k1, chance1) in (0..).zip(&first) {
                for (k2, chance2) in (0..).zip(&second) {
                    let (a, b) = (Rate { hits: k1, total: n1 }, Rate { hits: k2, total: n2 });
                    let log = log_mean_exp(&increment(a, b, odds).expect("an increment"));
                    mean += chance1 * chance2 * log.exp();
                }
            }
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
        }

        #[test]
        fn the_mean_of_pairs_is_at_most_one(pairs in 0_u64..40, share in 0.0_f64..=0.5) {
            let chances = binomial(pairs, share);
            let log = |b: u64| log_mean_exp(&paired_increment(b, pairs - b));
            let mean: f64 = (0..).zip(&chances).map(|(b, chance)| chance * log(b).exp()).sum();
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
            prop_assert!(share < 0.5 || (mean - 1.0).abs() < 1e-9);
        }
    }
}
