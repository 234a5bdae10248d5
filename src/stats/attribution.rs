//! Which part of a whole a change lies in.
//!
//! In: per part (segment) the events among totals of the arm that changed and of the one it is held
//! against. Out: each part's share of the change and of the traffic, and how sure one may be that it
//! is more than its share. Holds: a part is measured against its own second arm, so one that is
//! as bad there is never named; a part with one arm only is left out. Describes, and has no error
//! rate: several parts are looked at, after the change was shown. Knows nothing of: what a part is.

use super::proportion::Rate;

/// A part is named from so many standard deviations above its share on.
pub const Z_MIN: f64 = 3.0;

/// A part that is named alone holds so much of the change.
pub const OF_CHANGE_MIN: f64 = 0.5;

/// What a part has to do with the change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Events that the first arm has more than its second arm's rate gives.
    pub change: f64,
    /// This change as a share of all parts' together: may be below 0 or above 1.
    pub of_change: f64,
    /// The part's share of the first arm's observations, in [0, 1].
    pub of_traffic: f64,
    /// How many standard deviations the change lies above the share of the traffic in it.
    pub z: f64,
    /// Whether the part stands for the change: z ≥ 3, and half of the change lies in it.
    pub is_named: bool,
}

/// A part's change and its variance.
struct Change {
    n: f64,
    change: f64,
    variance: f64,
}

/// Returns what each part (first arm, second arm) has to do with the change, in the given order.
///
/// change = k − n p with p = (k₂ + ½)/(n₂ + 1), variance k(1 − k/n) + n² p(1 − p)/n₂, w = n/Σn and
/// z = (change − w Σchange)/√((1 − w)² variance + w² Σ variance of the others): the delta method for
/// a difference of two binomials, with Jeffreys' ½ (after Agresti 2013, §3.1). `None` for a part in
/// which one arm has no observations. If all parts together have no increase, none is named and no
/// shares of it are meant.
pub fn attribution(parts: &[(Rate, Rate)]) -> Vec<Option<Part>> {
    let changes: Vec<Option<Change>> = parts.iter().map(|(a, b)| change(*a, *b)).collect();
    let sum = |of: fn(&Change) -> f64| changes.iter().flatten().map(of).sum::<f64>();
    let (n, total, variance) = (sum(|c| c.n), sum(|c| c.change), sum(|c| c.variance));
    let part = |c: &Change| {
        let w = c.n / n;
        let others = (variance - c.variance).max(0.0);
        let spread = ((1.0 - w).powi(2) * c.variance + w * w * others).sqrt();
        let over = c.change - w * total;
        // A part that is the whole differs from nothing.
        let z = if 0.0 < spread { over / spread } else { 0.0 };
        let of_change = if total == 0.0 { 0.0 } else { c.change / total };
        let is_named = 0.0 < total && Z_MIN <= z && OF_CHANGE_MIN <= of_change;
        Part { change: c.change, of_change, of_traffic: w, z, is_named }
    };
    changes.iter().map(|change| change.as_ref().map(part)).collect()
}

/// Returns the places of the parts to name, the largest change first.
///
/// The one that holds half of the change, or several that stand out (z ≥ 3) and hold half of it
/// together, or none.
pub fn named(parts: &[Option<Part>]) -> Vec<usize> {
    let known = parts.iter().enumerate().filter_map(|(at, part)| part.map(|part| (at, part)));
    let mut outstanding: Vec<(usize, Part)> =
        known.filter(|(_, part)| Z_MIN <= part.z && 0.0 < part.change).collect();
    outstanding.sort_by(|(_, a), (_, b)| b.change.total_cmp(&a.change));
    if let Some((at, _)) = outstanding.iter().find(|(_, part)| part.is_named) {
        return vec![*at];
    }
    let together: f64 = outstanding.iter().map(|(_, part)| part.of_change).sum();
    if together < OF_CHANGE_MIN {
        Vec::new()
    } else {
        outstanding.iter().map(|(at, _)| *at).collect()
    }
}

fn change(first: Rate, second: Rate) -> Option<Change> {
    if first.total == 0 || second.total == 0 {
        return None;
    }
    let (k, n) = (first.hits.min(first.total) as f64, first.total as f64);
    let (k2, n2) = (second.hits.min(second.total) as f64, second.total as f64);
    let p = (k2 + 0.5) / (n2 + 1.0);
    let variance = k * (1.0 - k / n) + n * n * p * (1.0 - p) / n2;
    Some(Change { n, change: k - n * p, variance })
}

#[cfg(test)]
mod tests {
    use super::{attribution, named};
    use crate::stats::proportion::Rate;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, proptest};

    fn part(k: u64, n: u64, k2: u64, n2: u64) -> (Rate, Rate) {
        (Rate { hits: k, total: n }, Rate { hits: k2, total: n2 })
    }

    #[test]
    fn a_part_without_an_arm_is_left_out() {
        let with = attribution(&[part(60, 200, 2, 200), part(3, 0, 0, 0), part(2, 200, 2, 200)]);
        let without = attribution(&[part(60, 200, 2, 200), part(2, 200, 2, 200)]);
        assert_eq!(with, [without[0], None, without[1]]);
        assert_eq!(named(&with), [0]);
        assert!(attribution(&[]).is_empty() && named(&[]).is_empty());
    }

    #[test]
    fn one_several_or_none() {
        let healthy = || part(20, 2_000, 20, 2_000);
        let bad = || part(300, 1_000, 10, 1_000);
        let of = |parts: &[(Rate, Rate)]| named(&attribution(parts));
        assert_eq!(of(&[healthy(), bad()]), [1]);
        assert_eq!(of(&[bad(), healthy(), bad(), healthy(), bad()]), [0, 2, 4], "several");
        assert!(of(&[bad(), bad()]).is_empty(), "all alike");
        assert!(of(&[bad()]).is_empty(), "the whole");
        assert!(of(&[part(0, 500, 50, 500), part(1, 500, 20, 500)]).is_empty(), "better");
    }

    proptest! {
        #[test]
        fn shares_add_up_and_stay_finite(
            parts in vec((0_u64..2_000, 0_u64..1_000, 0_u64..2_000, 0_u64..1_000), 1..8),
        ) {
            let parts: Vec<_> =
                parts.into_iter().map(|(k, n, k2, n2)| part(k, n, k2, n2)).collect();
            let found = attribution(&parts);
            let known: Vec<_> = found.iter().flatten().collect();
            prop_assert!(known.iter().all(|p| p.z.is_finite() && p.of_change.is_finite()));
            let traffic: f64 = known.iter().map(|p| p.of_traffic).sum();
            prop_assert!(known.is_empty() || (traffic - 1.0).abs() < 1e-9);
            let is_mixed = known.iter().any(|p| p.of_change < 0.0);
            prop_assert!(is_mixed || known.iter().filter(|p| p.is_named).count() <= 2);
        }
    }
}
