//! When an excess over a limit may have begun: all moments that the data don't reject.
//!
//! In: events among totals, look by look, the last ones up to now. Out: the looks that may be the
//! first of the excess, and the likeliest of them. Holds: if the rate was at most the limit before
//! some look and at least the limit from it on, that look is in the set with probability 1 − α,
//! whenever one stops. Knows nothing of: time, or what an event is.

use super::grid::{MULTIPLIERS, RateGrid, log_mean_exp};
use super::kernel;
use super::proportion::Rate;

/// So many looks are searched; earlier ones are left out, since the search grows by the square.
pub const LOOKS_MAX: usize = 3_600;

/// The looks at which an excess may have begun, counted from 0 in the looks that were handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnsetSet {
    /// All of them, ascending, at least one.
    pub kept: Vec<usize>,
    /// The likeliest of them.
    pub point: usize,
    /// Whether the first is also the first that was searched: it may have begun earlier.
    pub is_open: bool,
}

impl OnsetSet {
    /// Returns the set at error `alpha` in (0, 1), of the last [`LOOKS_MAX`] looks at most.
    ///
    /// Look s is rejected if the looks from s on begin with a stretch that is shown to lie below
    /// the limit, or those before s end with one that is shown to lie above it:
    /// max over v of ln meanⱼ ∏ₛ..ᵥ L(1/μⱼ) ≥ ln(2/α), or max over u of ln meanⱼ ∏ᵤ..ₛ₋₁ L(μⱼ) ≥ ln(2/α)
    /// (after Saha & Ramdas 2025, post-detection inference). The point is the s in the set of the
    /// highest ln meanⱼ ∏ₛ.. L(μⱼ), the earliest between equals. `None` without looks, or if every
    /// look is rejected: then the rate didn't rise once (an earlier excess that had ended is among the
    /// looks), and [`likeliest`] is all that can be said.
    pub fn of(grid: &RateGrid, looks: &[(u64, u64)], alpha: f64) -> Option<Self> {
        if alpha.is_nan() || alpha <= 0.0 || 1.0 <= alpha {
            return None;
        }
        Self::beyond(grid, looks, log_threshold(alpha))
    }

    /// The same by the evidence that rejects a look: where it counts for less, its threshold is so many times
    /// [`log_threshold`].
    pub fn beyond(grid: &RateGrid, looks: &[(u64, u64)], log_threshold: f64) -> Option<Self> {
        let searched = looks.get(looks.len().saturating_sub(LOOKS_MAX)..)?;
        let above: Vec<_> = searched.iter().map(|(k, n)| grid.increment(*k, *n)).collect();
        let below: Vec<_> = searched.iter().map(|(k, n)| grid.increment_below(*k, *n)).collect();
        Self::kept_of(&above, &below, log_threshold, looks.len() - searched.len())
    }

    /// Returns the set of the looks from which on the first of two concurrent arms is the worse
    /// one: as [`OnsetSet::beyond`], with the evidence of [`kernel::increment`] that it is, and that it is the better one.
    /// Each look is (the first arm's, the second's); where one is missing it says nothing.
    pub fn of_difference(looks: &[(Rate, Rate)], log_threshold: f64) -> Option<Self> {
        let searched = looks.get(looks.len().saturating_sub(LOOKS_MAX)..)?;
        let of = |first: Rate, second: Rate| {
            kernel::increment(&MULTIPLIERS, first, second, 1.0)
                .unwrap_or_else(|| vec![0.0; MULTIPLIERS.len()])
        };
        let above: Vec<_> = searched.iter().map(|(first, second)| of(*first, *second)).collect();
        let below: Vec<_> = searched.iter().map(|(first, second)| of(*second, *first)).collect();
        Self::kept_of(&above, &below, log_threshold, looks.len() - searched.len())
    }

    fn kept_of(
        above: &[Vec<f64>],
        below: &[Vec<f64>],
        log_threshold: f64,
        skipped: usize,
    ) -> Option<Self> {
        let is_kept = |at: &usize| {
            !reaches(below[*at..].iter(), log_threshold)
                && !reaches(above[..*at].iter().rev(), log_threshold)
        };
        let kept: Vec<usize> = (0..above.len()).filter(is_kept).collect();
        let point = highest(above, kept.iter().copied())?;
        let is_open = kept.first() == Some(&0);
        let kept = kept.iter().map(|at| at + skipped).collect();
        Some(Self { kept, point: point + skipped, is_open })
    }

    /// Returns when both of two excesses had begun, each in its set: in this one at the sum of both errors.
    pub fn both(&self, other: &Self) -> Self {
        let (first, last) = (self.first().max(other.first()), self.last().max(other.last()));
        let kept = (first..=last).collect();
        let (point, is_open) = (self.point.max(other.point), self.is_open && other.is_open);
        Self { kept, point, is_open }
    }

    /// Returns the first look that may have been the onset.
    pub fn first(&self) -> usize {
        self.kept.first().copied().unwrap_or(self.point)
    }

    /// Returns the last look that may have been the onset.
    pub fn last(&self) -> usize {
        self.kept.last().copied().unwrap_or(self.point)
    }
}

/// Returns ln(2/α): the evidence that rejects a look in a set at error α.
#[must_use]
pub fn log_threshold(alpha: f64) -> f64 {
    (2.0 / alpha).ln()
}

/// Says whether the mean of the grid's e-values ever reaches a threshold.
fn reaches<'a>(increments: impl Iterator<Item = &'a Vec<f64>>, log_threshold: f64) -> bool {
    let mut sum = Vec::new();
    for increment in increments {
        add(&mut sum, increment);
        // The mean is at most the highest: where that is too low nothing needs to be raised.
        let may_reach = sum.iter().any(|value| log_threshold <= *value);
        if may_reach && log_threshold <= log_mean_exp(&sum) {
            return true;
        }
    }
    false
}

/// Returns the look from which on the evidence is highest, the earliest between equals; without a
/// set around it, it is an estimate and no more. `None` without looks.
pub fn likeliest(grid: &RateGrid, looks: &[(u64, u64)]) -> Option<usize> {
    let above: Vec<_> = looks.iter().map(|(k, n)| grid.increment(*k, *n)).collect();
    highest(&above, 0..looks.len())
}

/// Returns the one of these looks from which on the evidence is highest.
fn highest(above: &[Vec<f64>], among: impl DoubleEndedIterator<Item = usize>) -> Option<usize> {
    let mut sum = Vec::new();
    let mut from_here = vec![f64::NEG_INFINITY; above.len()];
    for (at, increment) in above.iter().enumerate().rev() {
        add(&mut sum, increment);
        from_here[at] = log_mean_exp(&sum);
    }
    among.rev().max_by(|a, b| from_here[*a].total_cmp(&from_here[*b]))
}

fn add(sum: &mut Vec<f64>, increment: &[f64]) {
    sum.resize(increment.len(), 0.0);
    sum.iter_mut().zip(increment).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use super::{LOOKS_MAX, OnsetSet, likeliest, log_threshold};
    use crate::stats::grid::RateGrid;
    use crate::stats::proportion::Rate;
    use proptest::prelude::{prop_assert, proptest};

    fn grid() -> RateGrid {
        RateGrid::watching(0.05).expect("a limit")
    }

    #[test]
    fn nothing_has_no_onset() {
        assert_eq!(OnsetSet::of(&grid(), &[], 0.05), None);
        for alpha in [0.0, 1.0, f64::NAN] {
            assert_eq!(OnsetSet::of(&grid(), &[(1, 2)], alpha), None);
        }
        let mut fell = vec![(0, 1_000); 100];
        fell[0] = (500, 1_000);
        assert_eq!(OnsetSet::of(&grid(), &fell, 0.05), None, "it didn't rise once");
        assert_eq!(likeliest(&grid(), &[]), None);
    }

    #[test]
    fn what_was_always_there_is_open() {
        let set = OnsetSet::of(&grid(), &[(50, 100); 20], 0.05).expect("a set");
        assert!(set.is_open && set.first() == 0 && set.point == 0);
        assert_eq!(set.last(), 0, "a look that is half events shows itself");
    }

    #[test]
    fn the_worse_arm_is_told_from_when_it_alone_was_bad() {
        // Both fail from look 20 on, the second arm until 60, the first until the end.
        let rate = |hits: u64| Rate { hits, total: 20 };
        let of = |at: u64, until: u64| rate(if (20..until).contains(&at) { 12 } else { at % 2 });
        let looks: Vec<_> = (0..80).map(|at| (of(at, 80), of(at, 60))).collect();
        let worse = OnsetSet::of_difference(&looks, log_threshold(0.05)).expect("a set");
        assert!(worse.point == 60 && worse.kept.contains(&60), "{worse:?}");
        let rates: Vec<_> = looks.iter().map(|(first, _)| (first.hits, first.total)).collect();
        let over = OnsetSet::of(&grid(), &rates, 0.05).expect("a set");
        assert_eq!(over.point, 20);
        let both = over.both(&worse);
        assert!(both.point == 60 && both.first() <= 60 && 60 <= both.last(), "{both:?}");
        assert_eq!(OnsetSet::of_difference(&[], 0.05), None);
        let alone = vec![(rate(5), Rate { hits: 0, total: 0 }); 9];
        let silent = OnsetSet::of_difference(&alone, 0.05).expect("nothing is ruled out");
        assert_eq!((silent.first(), silent.last()), (0, 8));
    }

    #[test]
    fn an_hour_is_searched_and_the_rest_left_out() {
        let mut looks = vec![(0, 5); 2 * LOOKS_MAX];
        looks.extend([(3, 5); 60]);
        let set = OnsetSet::of(&grid(), &looks, 0.05).expect("a set");
        let true_onset = 2 * LOOKS_MAX;
        assert!(set.first() <= true_onset && true_onset <= set.last() && !set.is_open);
        assert!(set.last() - set.first() < 120);
        assert_eq!(set.point, true_onset);
        assert_eq!(likeliest(&grid(), &looks), Some(true_onset));
        let always = vec![(3, 5); 2 * LOOKS_MAX];
        assert!(OnsetSet::of(&grid(), &always, 0.05).is_some_and(|set| LOOKS_MAX <= set.first()));
    }

    proptest! {
        #[test]
        fn the_point_is_in_the_set(
            looks in proptest::collection::vec((0_u64..40, 40_u64..200), 1..60),
        ) {
            if let Some(set) = OnsetSet::of(&grid(), &looks, 0.05) {
                prop_assert!(set.kept.contains(&set.point));
                prop_assert!(set.first() <= set.point && set.point <= set.last());
                prop_assert!(set.kept.is_sorted() && set.last() < looks.len());
            }
        }
    }
}
