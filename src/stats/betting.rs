//! Evidence that a probability exceeds a limit or another one, from the means of blocks.
//!
//! In: events among a block's total. Out: log e-value increments, one per stake. Holds: if each
//! block's mean has expectation at most the limit (or no higher than the other arm's), given the blocks
//! before, each stake's exp(sum) is an e-process, however observations depend on each other within a
//! block. Knows nothing of: what an event is, what makes a block.

use super::proportion::Rate;

/// The parts of the highest allowed stake that are bet, equally weighted.
pub const STAKES: [f64; 7] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95];

/// Returns ln(1 + cⱼ (k/n − q₀)/q₀) for k `events` among n `total`, and zeros of nothing.
///
/// Betting on a bounded mean (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random
/// variables by betting"), with stakes λⱼ = cⱼ/q₀ of the [`STAKES`]. One block multiplies evidence by
/// at most 0.95/q₀ + 0.05 and at least 0.05, so it is slow where observations are independent and
/// many. `None` for a limit outside (0, 1). More events than observations count as all of them.
pub fn block_increment(limit: f64, events: u64, total: u64) -> Option<[f64; 7]> {
    if limit.is_nan() || limit <= 0.0 || 1.0 <= limit {
        return None;
    }
    if total == 0 {
        return Some([0.0; 7]);
    }
    let over = events.min(total) as f64 / total as f64 / limit - 1.0;
    Some(STAKES.map(|stake| (stake * over).ln_1p()))
}

/// What is bet on a difference of means, equally weighted. Where events are rare the best stake is the
/// highest: (a − b)/E(x − y)², and (x − y)² is at most |x − y|.
pub const STAKES_APART: [f64; 7] = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95];

/// Returns ln(1 + λⱼ (x − y)) for the means x and y of two arms in a block, with λⱼ of [`STAKES_APART`].
///
/// x − y lies in [−1, 1]. All e-values against "x is no higher than y on average" are at most of this form with
/// λ in [0, 1], so a block multiplies evidence by at most 1.95, however large it is. A sign would do more, and is
/// wrong where the arms' events come together in different ways: of equal rates, one in ones and one in
/// twenties, the first is higher in most blocks. `None` where one arm has no observation.
pub fn difference_increment(first: Rate, second: Rate) -> Option<[f64; 7]> {
    let mean = |arm: Rate| arm.hits.min(arm.total) as f64 / arm.total as f64;
    let is_compared = 0 < first.total && 0 < second.total;
    is_compared.then(|| of_difference(mean(first) - mean(second)))
}

/// Returns the same of pairs: `b` with an event in the first arm only, `c` in the second only, out of `pairs`
/// or more. Zeros of nothing.
pub fn paired_difference_increment(b: u64, c: u64, pairs: u64) -> [f64; 7] {
    let pairs = pairs.max(b.saturating_add(c));
    if pairs == 0 { [0.0; 7] } else { of_difference((b as f64 - c as f64) / pairs as f64) }
}

fn of_difference(difference: f64) -> [f64; 7] {
    STAKES_APART.map(|stake| (stake * difference).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::{block_increment, difference_increment, paired_difference_increment};
    use crate::stats::grid::log_mean_exp;
    use crate::stats::proportion::Rate;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn ends_and_nothing() {
        assert_eq!(block_increment(0.05, 0, 0).map(|v| v.map(f64::to_bits)), Some([0; 7]));
        for limit in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(block_increment(limit, 1, 2), None);
        }
        let all = block_increment(0.05, u64::MAX, u64::MAX).expect("an increment");
        assert!((all[6] - (0.95_f64 / 0.05 + 0.05).ln()).abs() < 1e-12);
        let none = block_increment(0.05, 0, 1_000_000_000).expect("an increment");
        assert!((none[6] - 0.05_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn differences_of_nothing_and_of_all() {
        let (some, none) = (Rate { hits: 1, total: 9 }, Rate { hits: 0, total: 0 });
        assert_eq!(difference_increment(some, none), None);
        assert_eq!(difference_increment(none, some), None);
        assert_eq!(difference_increment(some, some), Some([0.0; 7]));
        assert_eq!(paired_difference_increment(0, 0, 0).map(f64::to_bits), [0; 7]);
        let all = paired_difference_increment(u64::MAX, 0, 1);
        assert!((all[6] - 1.95_f64.ln()).abs() < 1e-12);
        assert!((paired_difference_increment(0, 7, 7)[6] - 0.05_f64.ln()).abs() < 1e-12);
    }

    proptest! {
        /// Any joint distribution of both arms' events in a block, whatever depends on what: weights on all
        /// counts, with the first arm's events taken away as far as its mean is the higher one.
        #[test]
        fn differences_are_fair_bets(
            weights in proptest::collection::vec(0.001_f64..1.0, 36),
        ) {
            let sum: f64 = weights.iter().sum();
            let cell = |at: usize| (at as u64 / 6, at as u64 % 6, weights[at] / sum);
            let mean = |of: &dyn Fn((u64, u64, f64)) -> f64| (0..36).map(|at| of(cell(at))).sum::<f64>();
            let (first, second) = (mean(&|(k, _, w)| k as f64 * w), mean(&|(_, c, w)| c as f64 * w));
            // With this chance the first arm's events are all taken away.
            let kept = (second / first).min(1.0);
            let arm = |hits: u64| Rate { hits, total: 5 };
            let unpaired = |k: u64, c: u64| difference_increment(arm(k), arm(c)).expect("one");
            let paired = |k: u64, c: u64| paired_difference_increment(k, c, 10);
            for increment in [&unpaired as &dyn Fn(u64, u64) -> [f64; 7], &paired] {
                let e = |k: u64, c: u64, j: usize| increment(k, c)[j].exp();
                for j in 0..7 {
                    let e = mean(&|(k, c, w)| w * (kept * e(k, c, j) + (1.0 - kept) * e(0, c, j)));
                    prop_assert!(e <= 1.0 + 1e-9, "{e} with stake {j}");
                }
            }
        }

        /// Any distribution of a block's mean with expectation at most the limit: here of weights
        /// on all counts, moved down to it by a part of nothing at all.
        #[test]
        fn the_mean_e_value_is_at_most_one(
            limit in 0.01_f64..0.99,
            weights in proptest::collection::vec(0.001_f64..1.0, 2..30),
        ) {
            let total = weights.len() as u64 - 1;
            let sum: f64 = weights.iter().sum();
            let share = |k: usize| k as f64 / total as f64;
            let mean: f64 = weights.iter().enumerate().map(|(k, w)| w / sum * share(k)).sum();
            let kept = (limit / mean).min(1.0);
            let e = |k: u64| log_mean_exp(&block_increment(limit, k, total).expect("one")).exp();
            let of_events: f64 = (0..).zip(&weights).map(|(k, w)| w / sum * kept * e(k)).sum();
            let expectation = of_events + (1.0 - kept) * e(0);
            prop_assert!(expectation <= 1.0 + 1e-9, "{expectation}");
        }
    }
}
