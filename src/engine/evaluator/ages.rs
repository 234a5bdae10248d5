//! Which of an input's records were a backlog when they were read, by event time.
//!
//! In: an input's vitals, in order. Out: whether what happened at a time was older than a minute when it was read.
//! Holds: it follows from the task's log alone, so who asks at an entry gets the same whoever reads it; at most
//! `CHANGES_MAX` changes are kept. Knows nothing of: the host's clock, other inputs: one that lags alone is compared
//! with another time of theirs.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::time::EventTime;

/// Changes that are kept: a backlog rarely ends.
const CHANGES_MAX: usize = 64;

/// When records were read late, and when they weren't.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ages {
    /// From when on, and whether from there on they were.
    changes: VecDeque<(EventTime, bool)>,
    newest: EventTime,
}

impl Ages {
    /// Vitals of records up to `newest`.
    pub(super) fn note(&mut self, newest: Option<EventTime>, catching_up: bool) {
        let Some(newest) = newest.filter(|newest| self.newest < *newest) else { return };
        if self.changes.back().is_some_and(|(_, old)| *old) != catching_up {
            if self.changes.len() == CHANGES_MAX {
                self.changes.pop_front();
            }
            self.changes.push_back((self.newest, catching_up));
        }
        self.newest = newest;
    }

    /// Returns whether what happened at `time` was read late; `None` where nothing was read.
    pub(super) fn is_old(&self, time: EventTime) -> Option<bool> {
        // Before the first that is kept it was the other way.
        let before = self.changes.front().map(|(_, old)| !old);
        let last = self.changes.iter().rev().find(|(from, _)| *from <= time);
        last.map(|(_, old)| *old).or(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> EventTime {
        EventTime::from_us(second * 1_000_000)
    }

    #[test]
    fn a_backlog_is_old_up_to_where_it_ends() {
        let mut ages = Ages::default();
        assert_eq!(ages.is_old(at(5)), None);
        let is_old = |ages: &Ages, second| ages.is_old(at(second)) == Some(true);
        ages.note(Some(at(100)), true);
        ages.note(Some(at(200)), true);
        assert!(is_old(&ages, 150) && is_old(&ages, 199));
        ages.note(None, false);
        ages.note(Some(at(150)), false);
        assert!(is_old(&ages, 200), "nothing newer came");
        ages.note(Some(at(210)), false);
        assert!(is_old(&ages, 199), "and it stays so");
        assert!(!is_old(&ages, 200));
        for n in 3..200 {
            ages.note(Some(at(n * 100)), n % 2 == 0);
        }
        assert_eq!(ages.changes.len(), CHANGES_MAX);
    }
}
