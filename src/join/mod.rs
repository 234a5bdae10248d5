//! Brings the two answers to one request together.
//!
//! In: the keys of both arms around some panes. Out: each primary as a pair or unmatched, each
//! candidate without primary as an orphan, each later copy as a duplicate. Holds: the result
//! depends on the keys alone, not on the order in which they were read; a pair is unique, because
//! two firsts of an arm with one id lie more than 2 × skew apart. Knows nothing of: answers, rules.
//!
//! For panes from `from` to `to` the keys of [from − 3 × skew, to + skew) are needed: a pair
//! reaches one skew, and whether its far side was a first reaches two more.

use hashbrown::{HashMap, HashTable};

use crate::model::key::{Key, Place};
use crate::model::time::{EventTime, Span};

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// Both answers to one request.
    Pair {
        /// The primary's.
        primary: Place,
        /// The candidate's.
        candidate: Place,
        /// The primary's time.
        time: EventTime,
    },
    /// A primary without the candidate's answer.
    Unmatched {
        /// The primary's.
        primary: Place,
        /// Its time.
        time: EventTime,
        /// A candidate's record of this id is there but couldn't be read.
        unreadable: bool,
    },
    /// A candidate's answer without primary.
    Orphan {
        /// The candidate's.
        candidate: Place,
        /// Its time.
        time: EventTime,
    },
    /// A later copy of an arm's record.
    Duplicate {
        /// Of the primary, else of the candidate.
        primary: bool,
        /// Its time.
        time: EventTime,
    },
}

/// Reused memory of the join of one task.
#[derive(Debug, Default)]
pub struct Join {
    last_seen: HashMap<u128, EventTime>,
    primary: Firsts,
    candidate: Firsts,
    unreadable: Firsts,
}

/// First records by id; several of one id are chained.
#[derive(Debug, Default)]
struct Firsts {
    keys: Vec<(Key, u32)>,
    heads: HashTable<u32>,
}

const NONE: u32 = u32::MAX;

impl Join {
    /// Joins what lies in [from, to); `primary` and `candidate` are sorted in place.
    pub fn run(
        &mut self,
        (from, to): (EventTime, EventTime),
        skew: Span,
        [primary, candidate]: [&mut Vec<Key>; 2],
        mut emit: impl FnMut(Joined),
    ) {
        self.unreadable.clear();
        let within = |time: EventTime| from <= time && time < to;
        self.primary.fill(primary, skew, &mut self.last_seen, None, |time| {
            if within(time) {
                emit(Joined::Duplicate { primary: true, time });
            }
        });
        let unreadable = Some(&mut self.unreadable);
        self.candidate.fill(candidate, skew, &mut self.last_seen, unreadable, |time| {
            if within(time) {
                emit(Joined::Duplicate { primary: false, time });
            }
        });
        for (key, _) in self.primary.keys.iter().filter(|(key, _)| within(key.time)) {
            let time = key.time;
            emit(match self.candidate.near(key, skew) {
                Some(other) => Joined::Pair { primary: key.place, candidate: other.place, time },
                None => Joined::Unmatched {
                    primary: key.place,
                    time,
                    unreadable: self.unreadable.near(key, skew).is_some(),
                },
            });
        }
        for (key, _) in self.candidate.keys.iter().filter(|(key, _)| within(key.time)) {
            if self.primary.near(key, skew).is_none() {
                emit(Joined::Orphan { candidate: key.place, time: key.time });
            }
        }
    }
}

impl Firsts {
    fn clear(&mut self) {
        self.keys.clear();
        self.heads.clear();
    }

    /// Takes an arm's keys: firsts are kept, later copies are told to `duplicate`.
    fn fill(
        &mut self,
        keys: &mut [Key],
        skew: Span,
        last_seen: &mut HashMap<u128, EventTime>,
        mut unreadable: Option<&mut Self>,
        mut duplicate: impl FnMut(EventTime),
    ) {
        self.clear();
        last_seen.clear();
        keys.sort_unstable();
        for key in keys.iter() {
            if key.unreadable {
                if let Some(unreadable) = &mut unreadable {
                    unreadable.push(*key);
                }
                continue;
            }
            match last_seen.insert(key.id, key.time) {
                Some(last) if key.time.since(last) <= skew.times(2) => duplicate(key.time),
                _ => self.push(*key),
            }
        }
    }

    fn push(&mut self, key: Key) {
        let at = u32::try_from(self.keys.len()).unwrap_or(NONE);
        let keys = &self.keys;
        let same = |other: &u32| keys.get(*other as usize).is_some_and(|(k, _)| k.id == key.id);
        let next = match self.heads.find_mut(short(key.id), same) {
            Some(head) => std::mem::replace(head, at),
            None => {
                let hash = |other: &u32| keys.get(*other as usize).map_or(0, |(k, _)| short(k.id));
                self.heads.insert_unique(short(key.id), at, hash);
                NONE
            }
        };
        self.keys.push((key, next));
    }

    /// The key of the same id at most `skew` away.
    fn near(&self, key: &Key, skew: Span) -> Option<&Key> {
        let same =
            |other: &u32| self.keys.get(*other as usize).is_some_and(|(k, _)| k.id == key.id);
        let mut at = self.heads.find(short(key.id), same).copied();
        while let Some((other, next)) = at.and_then(|at| self.keys.get(at as usize)) {
            if other.time.since(key.time).max(key.time.since(other.time)) <= skew {
                return Some(other);
            }
            at = Some(*next);
        }
        None
    }
}

/// The id is a hash already; its lower half is as good.
#[expect(clippy::cast_possible_truncation, reason = "the lower half of a hash is meant")]
const fn short(id: u128) -> u64 {
    id as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u128, seconds: i64, offset: i64) -> Key {
        let time = EventTime::from_us(seconds * 1_000_000);
        let index = u32::try_from(offset).unwrap();
        Key { time, feed: 0, offset, id, unreadable: false, place: Place { pane: 0, index } }
    }

    fn run(mut primary: Vec<Key>, mut candidate: Vec<Key>) -> Vec<String> {
        let mut seen = Vec::new();
        let all = (EventTime::from_us(0), EventTime::from_us(100_000_000));
        Join::default().run(all, Span::from_secs(5), [&mut primary, &mut candidate], |joined| {
            seen.push(match joined {
                Joined::Pair { primary, candidate, .. } => {
                    format!("{}+{}", primary.index, candidate.index)
                }
                Joined::Unmatched { primary, unreadable, .. } => {
                    format!("{}-{unreadable}", primary.index)
                }
                Joined::Orphan { candidate, .. } => format!("orphan {}", candidate.index),
                Joined::Duplicate { primary, time } => {
                    format!("dup {primary} {}", time.us() / 1_000_000)
                }
            });
        });
        seen
    }

    #[test]
    fn pairs_within_skew_and_tells_copies_apart() {
        let seen = run(
            vec![key(1, 10, 0), key(2, 20, 1), key(1, 18, 2), key(3, 40, 3)],
            vec![key(1, 15, 0), key(2, 26, 1), key(9, 50, 2)],
        );
        assert_eq!(seen, ["dup true 18", "0+0", "1-false", "3-false", "orphan 1", "orphan 2"]);
    }

    #[test]
    fn an_id_used_again_later_is_a_new_request() {
        let seen = run(vec![key(1, 10, 0), key(1, 30, 1)], vec![key(1, 31, 0), key(1, 9, 1)]);
        assert_eq!(seen, ["0+1", "1+0"]);
    }

    #[test]
    fn a_chain_of_copies_stays_one_request() {
        let seen = run(vec![key(1, 10, 0), key(1, 19, 1), key(1, 28, 2)], vec![]);
        assert_eq!(seen, ["dup true 19", "dup true 28", "0-false"]);
    }

    #[test]
    fn an_unreadable_counterpart_is_told() {
        let mut broken = key(1, 11, 0);
        broken.unreadable = true;
        assert_eq!(run(vec![key(1, 10, 0)], vec![broken]), ["0-true"]);
    }
}
