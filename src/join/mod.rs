//! Brings the two answers to one request together.
//!
//! In: the keys of both arms around some panes. Out: each primary as a pair or unmatched, each
//! candidate without primary as an orphan, each later copy as a duplicate; all of them as overridden where
//! either arm says that the request was forced. Holds: the result depends on the keys alone, not on the
//! order in which they were read; a pair, whose times lie at most the lower of their skews apart, is
//! unique, because two firsts of an arm with one id lie further apart than both their skews together.
//! Knows nothing of: answers, rules.
//!
//! A request is overridden if an override of its id, of either arm, lies at most a skew from it; a pair lies
//! where its primary does, and a copy where it does itself.
//!
//! For panes from `from` to `to` the keys of [from − 3 × skew, to + skew) are needed, by the larger of
//! two skews: a pair reaches one skew, and whether its far side was a first reaches two more.
//!
//! # Place in a record's life
//!
//! After [`crate::clock`] has let both arms' records pass, and before [`crate::compare`] and [`crate::tally`] say what
//! the pairs have in common. It runs when a pane closes, not when records come.
//!
//! # Why it runs over sorted keys
//!
//! A join that keeps state and matches as records come would find other pairs when the arms are read in another order,
//! and a restart reads them in another order. Here both arms' keys around a pane are sorted by id, time and offset first;
//! what comes out is a property of the sets.

use hashbrown::{HashMap, HashTable};

use crate::model::key::{Key, Place, Worth, short};
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
    /// An answer to a request that either arm says was forced.
    Overridden {
        /// Of the primary, else of the candidate.
        primary: bool,
        /// The time of the request.
        time: EventTime,
    },
}

/// Reused memory of the join of one task.
#[derive(Debug, Default)]
pub struct Join {
    last_seen: HashMap<u128, EventTime>,
    primary: Firsts,
    candidate: Firsts,
    /// The candidate's that couldn't be read.
    unreadable: Firsts,
    /// Of both arms.
    overrides: Firsts,
    /// By whether it is the primary's, later copies.
    copies: Vec<(bool, Key)>,
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
        let Self { last_seen, primary: ours, candidate: theirs, unreadable, overrides, copies } =
            self;
        unreadable.clear();
        overrides.clear();
        copies.clear();
        ours.fill(primary, times, last_seen, |key, place| match place {
            Aside::Copy => copies.push((true, key)),
            Aside::Override => overrides.push(key),
            Aside::Unreadable => {}
        });
        theirs.fill(candidate, times, last_seen, |key, place| match place {
            Aside::Copy => copies.push((false, key)),
            Aside::Override => overrides.push(key),
            Aside::Unreadable => unreadable.push(key),
        });
        let within = |key: &Key| from <= key.time && key.time < to;
        let is_forced = |key: &Key| overrides.near(key, times).is_some();
        for &(primary, key) in copies.iter().filter(|(_, key)| within(key)) {
            let time = key.time;
            emit(if is_forced(&key) {
                Joined::Overridden { primary, time }
            } else {
                Joined::Duplicate { primary, time }
            });
        }
        for (key, _) in ours.keys.iter().filter(|(key, _)| within(key)) {
            let (time, other) = (key.time, theirs.near(key, times));
            if is_forced(key) {
                emit(Joined::Overridden { primary: true, time });
                if other.is_some() {
                    emit(Joined::Overridden { primary: false, time });
                }
                continue;
            }
            emit(match other {
                Some(other) => Joined::Pair { primary: key.place, candidate: other.place, time },
                None => Joined::Unmatched {
                    primary: key.place,
                    time,
                    unreadable: unreadable.near(key, times).is_some(),
                },
            });
        }
        for (key, _) in theirs.keys.iter().filter(|(key, _)| within(key)) {
            if ours.near(key, times).is_none() {
                emit(if is_forced(key) {
                    Joined::Overridden { primary: false, time: key.time }
                } else {
                    Joined::Orphan { candidate: key.place, time: key.time }
                });
            }
        }
    }
}

/// Why a key isn't the first answer of its id.
enum Aside {
    Copy,
    Override,
    Unreadable,
}

impl Firsts {
    fn clear(&mut self) {
        self.keys.clear();
        self.heads.clear();
    }

    /// Takes an arm's keys: firsts are kept, all others are told to `aside`.
    fn fill(
        &mut self,
        keys: &mut [Key],
        times: &Times,
        last_seen: &mut HashMap<u128, EventTime>,
        mut aside: impl FnMut(Key, Aside),
    ) {
        self.clear();
        last_seen.clear();
        keys.sort_unstable();
        for key in keys.iter() {
            match key.worth {
                Worth::Answer => {}
                Worth::Unreadable => {
                    aside(*key, Aside::Unreadable);
                    continue;
                }
                Worth::Override => {
                    aside(*key, Aside::Override);
                    continue;
                }
            }
            // How far the earlier ones of its id reach: with one skew, the last one reaches furthest.
            let skew = times.at(key.time).skew;
            let reaches = key.time.plus(skew);
            match last_seen.get_mut(&key.id) {
                Some(reached) => {
                    let is_copy = key.time.minus(skew) <= *reached;
                    *reached = reaches.max(*reached);
                    if is_copy {
                        aside(*key, Aside::Copy);
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
        if self.keys.is_empty() {
            return None;
        }
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
        Key { time, feed: 0, offset, id, worth: Worth::Answer, place: Place { pane: 0, index } }
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
                Joined::Overridden { primary, time } => {
                    format!("forced {primary} {}", time.us() / 1_000_000)
                }
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
        let broken = Key { worth: Worth::Unreadable, ..key(1, 11, 0) };
        assert_eq!(run(vec![key(1, 10, 0)], vec![broken]), ["0-true"]);
    }

    fn forced(id: u128, seconds: i64, offset: i64) -> Key {
        Key { worth: Worth::Override, ..key(id, seconds, offset) }
    }

    #[test]
    fn an_override_in_one_arm_takes_its_counterpart_out_and_copies_of_it() {
        // At 10 with a copy at 14; a third of the chain at 20 lies beyond the override's reach.
        let answers = || vec![key(1, 10, 0), key(1, 14, 1), key(1, 20, 2), key(2, 10, 3)];
        let taken = |arm: bool| [format!("forced {arm} 14"), format!("dup {arm} 20")];
        let seen = run(answers(), vec![forced(1, 12, 0), key(2, 10, 1)]);
        assert_eq!(seen, [&taken(true)[..], &["forced true 10".into(), "3+1".into()]].concat());
        let seen = run(vec![forced(1, 12, 0), key(2, 10, 1)], answers());
        assert_eq!(seen, [&taken(false)[..], &["1+3".into(), "forced false 10".into()]].concat());
    }

    #[test]
    fn both_answers_of_a_request_are_taken_out_whichever_arm_says_that_it_was_forced() {
        let both = ["forced true 10", "forced false 10"];
        assert_eq!(run(vec![key(1, 10, 0)], vec![key(1, 11, 0), forced(1, 14, 1)]), both);
        assert_eq!(run(vec![forced(1, 9, 0), key(1, 10, 1)], vec![key(1, 11, 0)]), both);
        // A pair lies where its primary does.
        assert_eq!(run(vec![key(1, 10, 0)], vec![key(1, 15, 0), forced(1, 16, 1)]), ["0+0"]);
        assert_eq!(run(vec![key(1, 10, 0)], vec![forced(1, 16, 0)]), ["0-false"]);
    }

    /// Returns what the words say, one record at a time: its arm and bucket.
    fn plain(arms: [&[Key]; 2]) -> Vec<String> {
        let near =
            |a: &Key, b: &Key| a.id == b.id && (a.time.us() - b.time.us()).abs() <= 5_000_000;
        let forced = |key: &Key| {
            let mut all = arms.iter().copied().flatten();
            all.any(|other| other.worth == Worth::Override && near(key, other))
        };
        let is_copy = |key: &Key, arm: &[Key]| {
            let before =
                arm.iter().filter(|other| (other.time, other.offset) < (key.time, key.offset));
            let mut before =
                before.filter(|other| other.worth == Worth::Answer && other.id == key.id);
            before.any(|other| key.time.us() - other.time.us() <= 10_000_000)
        };
        let firsts = arms.map(|arm| {
            let answers = arm.iter().filter(|key| key.worth == Worth::Answer);
            answers.partition::<Vec<&Key>, _>(|key| !is_copy(key, arm))
        });
        let mut said = Vec::new();
        for (at, arm) in [true, false].into_iter().zip(["primary", "candidate"]).enumerate() {
            let (is_primary, name) = arm;
            for copy in &firsts[at].1 {
                said.push(if forced(copy) {
                    format!("forced {name}")
                } else {
                    format!("dup {name}")
                });
            }
            for first in &firsts[at].0 {
                let other = firsts[1 - at].0.iter().find(|other| near(first, other));
                let request = if is_primary { first } else { other.unwrap_or(first) };
                said.push(match (forced(request), other.is_some()) {
                    (true, _) => format!("forced {name}"),
                    (false, true) => format!("paired {name}"),
                    (false, false) => format!("alone {name}"),
                });
            }
        }
        said.sort();
        said
    }

    #[test]
    fn every_answer_ends_in_one_bucket_whatever_was_forced_and_in_whatever_order_it_was_read() {
        let mut state = 11_u64;
        let mut below = |end: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let mut forced = 0;
        for _ in 0..3000 {
            let mut arms = [0, 1].map(|_| -> Vec<Key> {
                let keys = (0..below(12) as i64).map(|offset| {
                    let worth = if below(4) == 0 { Worth::Override } else { Worth::Answer };
                    Key { worth, ..key(u128::from(below(2)), 20 + below(50) as i64, offset) }
                });
                let mut keys: Vec<Key> = keys.collect();
                keys.sort_by_key(|key| key.time.us() / 1_000_000 % 7);
                keys
            });
            let expected = plain([&arms[0], &arms[1]]);
            let mut said = Vec::new();
            let all = (EventTime::from_us(0), EventTime::from_us(100_000_000));
            let [ours, theirs] = &mut arms;
            Join::default().run(all, &Times::always(skew(5)), [ours, theirs], |joined| {
                let name = |primary: bool| if primary { "primary" } else { "candidate" };
                match joined {
                    Joined::Pair { .. } => {
                        said.extend([true, false].map(|arm| format!("paired {}", name(arm))));
                    }
                    Joined::Unmatched { .. } => said.push("alone primary".to_owned()),
                    Joined::Orphan { .. } => said.push("alone candidate".to_owned()),
                    Joined::Duplicate { primary, .. } => {
                        said.push(format!("dup {}", name(primary)));
                    }
                    Joined::Overridden { primary, .. } => {
                        forced += 1;
                        said.push(format!("forced {}", name(primary)));
                    }
                }
            });
            said.sort();
            assert_eq!(said, expected);
        }
        assert!(1000 < forced, "{forced}");
    }

    #[test]
    fn an_override_of_both_arms_answers_nothing() {
        assert_eq!(run(vec![forced(1, 10, 0)], vec![forced(1, 10, 0)]), Vec::<String>::new());
    }
}
