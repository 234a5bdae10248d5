//! Evidence that a probability exceeds a limit, from the means of blocks.
//!
//! In: events among a block's total. Out: log e-value increments, one per stake. Holds: if each
//! block's mean has expectation at most the limit, given the blocks before, each stake's exp(sum) is
//! an e-process, however observations depend on each other within a block. Knows nothing of: what
//! an event is, what makes a block.

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

#[cfg(test)]
mod tests {
    use super::block_increment;
    use crate::stats::grid::log_mean_exp;
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

    proptest! {
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
