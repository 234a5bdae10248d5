//! Log evidence made smaller where observations come in clusters.
//!
//! In: log e-value increments, a divisor. Out: log e-value increments. Holds: with a divisor that no
//! cluster within a look exceeds they are increments of an e-process, however a cluster's
//! observations depend on each other. Knows nothing of: where the divisor comes from.

/// Returns each increment divided by `divisor` ≥ 1.
///
/// With m the *largest* number of observations that may depend on each other, all in one look, and
/// independent clusters: E ∏ Yᵢ^(1/m) ≤ ∏ (E Yᵢ)^(1/m) ≤ 1 (the generalised Hölder inequality), so the
/// result is exact; with a mean size it isn't. A divisor below 1 counts as 1; NaN or +∞ leaves no
/// evidence.
pub fn tempered(increment: &[f64], divisor: f64) -> Vec<f64> {
    if !divisor.is_finite() {
        return vec![0.0; increment.len()];
    }
    increment.iter().map(|value| value / divisor.max(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::tempered;
    use crate::stats::grid::{RateGrid, log_mean_exp};
    use crate::stats::shift_betting::ShiftBetting;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn what_is_no_divisor() {
        assert_eq!(tempered(&[2.0; 7], 0.5), [2.0; 7]);
        for divisor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(tempered(&[2.0; 9], divisor), [0.0; 9]);
        }
    }

    proptest! {
        /// A look of clusters that fail together or not at all, each no larger than the divisor,
        /// summed over which of them fail: at most 1.
        #[test]
        fn the_mean_over_clusters_is_at_most_one(
            limit in 0.001_f64..0.99,
            part in 0.0_f64..=1.0,
            sizes in proptest::collection::vec(1_u64..6, 1..8),
        ) {
            let grid = RateGrid::watching(limit).expect("a limit");
            let rate = limit * part;
            let total: u64 = sizes.iter().sum();
            let mut mean = 0.0;
            for failing in 0..1_u32 << sizes.len() {
                let (mut weight, mut events) = (1.0, 0);
                for (at, size) in sizes.iter().enumerate() {
                    let fails = failing >> at & 1 == 1;
                    weight *= if fails { rate } else { 1.0 - rate };
                    events += if fails { *size } else { 0 };
                }
                let log = log_mean_exp(&tempered(&grid.increment(events, total), 5.0));
                mean += weight * log.exp();
            }
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
        }

        /// The same of pairs that move together or not at all, no more of them than the limit allows.
        #[test]
        fn the_mean_over_clusters_of_pairs_is_at_most_one(
            limit in 0.05_f64..0.9,
            part in 0.0_f64..=1.0,
            sizes in proptest::collection::vec(1_u64..6, 1..8),
        ) {
            let moves = limit * part;
            let mut mean = 0.0;
            for moved in 0..1_u32 << sizes.len() {
                let mut bets = ShiftBetting::exceeds(limit, 4).expect("a limit");
                bets.pane([("a", "b", 3)], 7);
                let (mut weight, mut pairs, mut same) = (1.0, 0, 0);
                for (at, size) in sizes.iter().enumerate() {
                    let moves_now = moved >> at & 1 == 1;
                    weight *= if moves_now { moves } else { 1.0 - moves };
                    *(if moves_now { &mut pairs } else { &mut same }) += size;
                }
                let scored = bets.pane([("a", "b", pairs)], same);
                mean += weight * log_mean_exp(&tempered(&scored.increment, 5.0)).exp();
            }
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
        }
    }
}
