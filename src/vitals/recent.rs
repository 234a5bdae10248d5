//! The ids that passed lately, so that a copy isn't taken for a new request.
//!
//! In: hash and time of one input's accepted records, in the order in which they pass. Out: whether one is a
//! copy of another that passed before it: of the same id, no further away than both their skews together, as
//! the join tells it. Holds: what is answered is a function of the accepted records alone that lie no further
//! back than two skews before the record asked about; memory has a maximum, and ids that it had to forget too
//! early are counted. Knows nothing of: texts of ids; two with the same 64-bit hash are the same to it.
//!
//! # Why a new owner that reads its horizon again answers the same
//!
//! A record is asked about only if it isn't late. Let F be how far the comparison is closed that the resume
//! point belongs to. A pane is closed once every record that belongs to it would be late, so the record lies at
//! or after F, and whatever it could be a copy of at or after F − 2 × skew (of the larger skew, where it
//! changes). A resume point sees everything from F − 3 × skew on, leaps that waited included. And an id's stretch
//! here, the union of what its records reach, tells just what any one of its records would tell: it is overlapped
//! exactly if one of them is. So neither what came before the horizon nor how stretches grew together matters.

use hashbrown::HashTable;

use crate::model::time::{EventTime, Span};
use crate::model::times::Times;

/// Ids that passed lately.
#[derive(Debug)]
pub struct Recent {
    times: Times,
    most: usize,
    stretches: HashTable<Stretch>,
    /// Nothing that ends before this is known any more.
    forgotten_to: EventTime,
    /// How many ids had to give way to others too early.
    displaced: u64,
}

/// What records of one id reach that lie so near each other that only the first is no copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stretch {
    hash: u64,
    from: EventTime,
    to: EventTime,
}

impl Recent {
    /// Knows nothing yet; never more than `most` ids.
    #[must_use]
    pub const fn new(times: Times, most: usize) -> Self {
        let stretches = HashTable::new();
        Self { times, most, stretches, forgotten_to: EventTime::START, displaced: 0 }
    }

    /// Takes an accepted record that passes behind the running max `before`: whether it is a copy.
    pub fn is_copy(&mut self, hash: u64, time: EventTime, before: EventTime) -> bool {
        let skew = self.times.at(time).skew;
        let mut own = Stretch { hash, from: time.minus(skew), to: time.plus(skew) };
        let near = self.stretches.find(hash, |other| other.overlaps(&own));
        let Some(near) = near.copied() else {
            self.make_room(before);
            self.stretches.insert_unique(hash, own, |stretch| stretch.hash);
            return false;
        };
        if near.from <= own.from && own.to <= near.to {
            return true;
        }
        // It may bring several together.
        while let Ok(near) = self.stretches.find_entry(hash, |other| other.overlaps(&own)) {
            let (near, _) = near.remove();
            own = Stretch { hash, from: near.from.min(own.from), to: near.to.max(own.to) };
        }
        self.stretches.insert_unique(hash, own, |stretch| stretch.hash);
        true
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.stretches.clear();
    }

    /// Returns how many ids had to give way to others too early: copies of theirs aren't told.
    #[must_use]
    pub const fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Returns how many ids are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stretches.len()
    }

    /// Returns whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Forgets what no record can be a copy of any more: now and then, so that each id is looked at a few times
    /// in all; and what is oldest where there are too many.
    fn make_room(&mut self, before: EventTime) {
        let Times { before: one, tempo: other, .. } = &self.times;
        let (wait, skew) = (one.wait.max(other.wait), one.skew.max(other.skew));
        let end = before.minus(wait).minus(skew);
        let is_full = self.most <= self.stretches.len();
        let seldom = Span::from_us(wait.plus(skew.times(2)).us() / 2).max(other.pane);
        if is_full || self.forgotten_to.plus(seldom) <= end {
            self.forgotten_to = end;
            self.stretches.retain(|stretch| end <= stretch.to);
        }
        // Room for a good many at once, else the next one would look at all of them again.
        let room = self.most - self.most / 4;
        if is_full && room < self.stretches.len() {
            let mut ends: Vec<EventTime> = self.stretches.iter().map(|s| s.to).collect();
            let at = (ends.len() - room).min(ends.len().saturating_sub(1));
            let (_, end, _) = ends.select_nth_unstable(at);
            let (end, count) = (*end, self.stretches.len());
            self.stretches.retain(|stretch| end < stretch.to);
            self.displaced += (count - self.stretches.len()) as u64;
        }
    }
}

impl Stretch {
    fn overlaps(&self, other: &Self) -> bool {
        self.hash == other.hash && self.from <= other.to && other.from <= self.to
    }
}

#[cfg(test)]
mod tests;
