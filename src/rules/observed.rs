//! The naive reading of a rule: the point estimate against the limit.
//!
//! In: looks. Out: whether the limit is crossed now, and which look of the span was beyond it first. Holds: judged over
//! the rule's own span, with at least `ENOUGH` observations in it; whoever falls below again is judged anew; no chance
//! is stated, since none is bounded. Knows nothing of: what follows.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::finding::Share;
use crate::model::tally::{Flip, merge_counts};
use crate::model::time::{EventTime, Span};
use crate::stats::shift::total_variation;

/// With fewer observations a point says nothing.
const ENOUGH: u64 = 20;
/// Looks that are kept.
pub(super) const LOOKS: usize = 3600;

/// The looks of the last span.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Observed {
    limit: f64,
    span: Span,
    begun: Option<EventTime>,
    looks: VecDeque<SeenShare>,
}

/// From, to, and what was seen: a share, and which pairs moved.
type SeenShare = (EventTime, EventTime, Share, BTreeMap<Flip, u64>);

/// A limit that is crossed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Crossed {
    /// Where the span begins that was judged.
    pub(super) from: EventTime,
    /// Where the first of its looks begins that was beyond the limit by itself.
    pub(super) since: EventTime,
    pub(super) share: Share,
    /// The point estimate.
    pub(super) point: f64,
}

impl Observed {
    pub(super) const fn new(limit: f64, span: Span) -> Self {
        Self { limit, span, begun: None, looks: VecDeque::new() }
    }

    /// A share: events out of so many.
    pub(super) fn add(&mut self, from: EventTime, to: EventTime, share: Share) -> Option<Crossed> {
        self.push(from, to, share, BTreeMap::new());
        self.crossed(|all, _| all.point())
    }

    /// Pairs, and those of them whose classes differ.
    pub(super) fn add_pairs(
        &mut self,
        (from, to): (EventTime, EventTime),
        answered: u64,
        moved: BTreeMap<Flip, u64>,
    ) -> Option<Crossed> {
        self.push(from, to, Share { events: moved.values().sum(), total: answered }, moved);
        self.crossed(distance)
    }

    fn push(&mut self, from: EventTime, to: EventTime, share: Share, moved: BTreeMap<Flip, u64>) {
        self.begun.get_or_insert(from);
        self.looks.push_back((from, to, share, moved));
        let begins = to.minus(self.span);
        let is_past = |look: &SeenShare| look.1 <= begins;
        while LOOKS < self.looks.len() || self.looks.front().is_some_and(is_past) {
            self.looks.pop_front();
        }
    }

    fn crossed(
        &self,
        point: impl Fn(Share, &BTreeMap<Flip, u64>) -> Option<f64>,
    ) -> Option<Crossed> {
        let (mut share, mut moved) = (Share::default(), BTreeMap::new());
        for (_, _, more, flips) in &self.looks {
            share.add(*more);
            merge_counts(&mut moved, flips);
        }
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let is_whole = self.span <= last.1.since(self.begun?);
        let all = point(share, &moved).filter(|_| is_whole && ENOUGH <= share.total)?;
        if all <= self.limit {
            return None;
        }
        // The whole is no further from the limit than the furthest of its parts, so there is one.
        let is_beyond = |(_, _, share, moved): &&SeenShare| {
            point(*share, moved).is_some_and(|point| self.limit < point)
        };
        let beyond = self.looks.iter().find(is_beyond).unwrap_or(first);
        Some(Crossed { from: first.0, since: beyond.0, share, point: all })
    }
}

/// Total variation of both arms' classes: classes that agree cancel.
fn distance(pairs: Share, moved: &BTreeMap<Flip, u64>) -> Option<f64> {
    let mut classes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((ours, theirs), count) in moved {
        classes.entry(ours).or_default().0 += count;
        classes.entry(theirs).or_default().1 += count;
    }
    let (mut ours, mut theirs): (Vec<u64>, Vec<u64>) = classes.into_values().unzip();
    let same = pairs.total.saturating_sub(pairs.events);
    ours.push(same);
    theirs.push(same);
    total_variation(&ours, &theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> EventTime {
        EventTime::from_us(second * 1_000_000)
    }

    #[test]
    fn a_point_over_the_whole_span_with_enough_in_it() {
        let mut observed = Observed::new(0.05, Span::from_secs(20));
        let share = |events| Share { events, total: 10 };
        assert_eq!(observed.add(at(0), at(10), share(10)), None, "not for so long");
        let crossed = observed.add(at(10), at(20), share(10)).expect("crossed");
        assert_eq!((crossed.since, crossed.share.total), (at(0), 20));
        assert!(observed.add(at(20), at(30), share(0)).is_some());
        assert_eq!(observed.add(at(30), at(40), share(0)), None, "it is below again");
        let crossed = observed.add(at(40), at(50), share(4)).expect("crossed again");
        assert_eq!((crossed.from, crossed.since), (at(30), at(40)), "the look before wasn't");
    }

    #[test]
    fn a_shift_is_a_distance() {
        let mut observed = Observed::new(0.2, Span::from_secs(10));
        let flip = |count| BTreeMap::from([(("a".to_owned(), "b".to_owned()), count)]);
        assert_eq!(observed.add_pairs((at(0), at(10)), 100, flip(20)), None);
        let crossed = observed.add_pairs((at(10), at(20)), 100, flip(30)).expect("crossed");
        assert!((crossed.point - 0.3).abs() < 1e-12);
    }
}
