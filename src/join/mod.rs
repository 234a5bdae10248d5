//! Brings the two answers to one request together.
//!
//! In: the keys of both arms around some panes. Out: each primary as a pair or unmatched, each
//! candidate without primary as an orphan, each later copy as a duplicate. Holds: the result
//! depends on the keys alone, not on the order in which they were read; a pair, whose times lie at most
//! the lower of their skews apart, is unique, because two firsts of an arm with one id lie further apart
//! than both their skews together. Knows nothing of: answers, rules.
//!
//! For panes from `from` to `to` the keys of [from − 3 × skew, to + skew) are needed, by the larger of
//! two skews: a pair reaches one skew, and whether its far side was a first reaches two more.

use hashbrown::{HashMap, HashTable};

use crate::model::key::{Key, Place, short};
use crate::model::time::EventTime;
use crate::model::times::Times;

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
        times: &Times,
        [primary, candidate]: [&mut Vec<Key>; 2],
        mut emit: impl FnMut(Joined),
    ) {
        self.unreadable.clear();
        let within = |time: EventTime| from <= time && time < to;
        self.primary.fill(primary, times, &mut self.last_seen, None, |time| {
            if within(time) {
                emit(Joined::Duplicate { primary: true, time });
            }
        });
        let unreadable = Some(&mut self.unreadable);
        self.candidate.fill(candidate, times, &mut self.last_seen, unreadable, |time| {
            if within(time) {
                emit(Joined::Duplicate { primary: false, time });
            }
        });
        for (key, _) in self.primary.keys.iter().filter(|(key, _)| within(key.time)) {
            let time = key.time;
            emit(match self.candidate.near(key, times) {
                Some(other) => Joined::Pair { primary: key.place, candidate: other.place, time },
                None => Joined::Unmatched {
                    primary: key.place,
                    time,
                    unreadable: self.unreadable.near(key, times).is_some(),
                },
            });
        }
        for (key, _) in self.candidate.keys.iter().filter(|(key, _)| within(key.time)) {
            if self.primary.near(key, times).is_none() {
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
        times: &Times,
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
            // How far the earlier ones of its id reach: with one skew, the last one reaches furthest.
            let skew = times.at(key.time).skew;
            let reaches = key.time.plus(skew);
            match last_seen.get_mut(&key.id) {
                Some(reached) => {
                    let is_copy = key.time.minus(skew) <= *reached;
                    *reached = reaches.max(*reached);
                    if is_copy {
                        duplicate(key.time);
                    } else {
                        self.push(*key);
                    }
                }
                None => {
                    last_seen.insert(key.id, reaches);
                    self.push(*key);
                }
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

    /// The key of the same id at most a skew away.
    fn near(&self, key: &Key, times: &Times) -> Option<&Key> {
        let same =
            |other: &u32| self.keys.get(*other as usize).is_some_and(|(k, _)| k.id == key.id);
        let mut at = self.heads.find(short(key.id), same).copied();
        while let Some((other, next)) = at.and_then(|at| self.keys.get(at as usize)) {
            let apart = other.time.since(key.time).max(key.time.since(other.time));
            if apart <= times.skew_of(key.time, other.time) {
                return Some(other);
            }
            at = Some(*next);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;
    use crate::model::times::Tempo;

    fn key(id: u128, seconds: i64, offset: i64) -> Key {
        let time = EventTime::from_us(seconds * 1_000_000);
        let index = u32::try_from(offset).unwrap();
        Key { time, feed: 0, offset, id, unreadable: false, place: Place { pane: 0, index } }
    }

    fn skew(seconds: i64) -> Tempo {
        Tempo { skew: Span::from_secs(seconds), ..Tempo::default() }
    }

    fn run(primary: Vec<Key>, candidate: Vec<Key>) -> Vec<String> {
        run_at(&Times::always(skew(5)), primary, candidate)
    }

    fn run_at(times: &Times, mut primary: Vec<Key>, mut candidate: Vec<Key>) -> Vec<String> {
        let mut seen = Vec::new();
        let all = (EventTime::from_us(0), EventTime::from_us(100_000_000));
        Join::default().run(all, times, [&mut primary, &mut candidate], |joined| {
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
    fn across_a_change_a_pair_lies_within_both_skews_and_stays_unique() {
        let from = EventTime::from_us(50_000_000);
        let times = Times { revision: 2, before: skew(10), from, tempo: skew(1) };
        let seen = run_at(
            &times,
            vec![key(1, 45, 0), key(2, 49, 1), key(3, 48, 2), key(3, 50, 3), key(3, 57, 4)],
            vec![key(1, 41, 0), key(2, 50, 1), key(9, 60, 2), key(3, 51, 3)],
        );
        // A copy is told by the skew of what it is a copy of, even with another copy in between.
        let copies = ["dup true 50", "dup true 57"];
        assert_eq!(
            seen,
            [&copies[..], &["0+0", "2-false", "1+1", "orphan 3", "orphan 2"]].concat()
        );
    }

    #[test]
    fn an_unreadable_counterpart_is_told() {
        let mut broken = key(1, 11, 0);
        broken.unreadable = true;
        assert_eq!(run(vec![key(1, 10, 0)], vec![broken]), ["0-true"]);
    }
}
