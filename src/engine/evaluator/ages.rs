//! Which of a task's records were a backlog when they were read, by event time.
//!
//! In: a task's vitals, in order. Out: whether what happened at a time was older than a minute when it was read.
//! Holds: it follows from the task's log alone, so who asks at an entry gets the same whoever reads it; at most
//! `CHANGES_MAX` changes are kept. Knows nothing of: the host's clock.

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

    /// Whether what happened at `time` was read late.
    pub(super) fn is_old(&self, time: EventTime) -> bool {
        self.changes.iter().rev().find(|(from, _)| *from <= time).is_some_and(|(_, old)| *old)
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
        assert!(!ages.is_old(at(5)));
        ages.note(Some(at(100)), true);
        ages.note(Some(at(200)), true);
        assert!(ages.is_old(at(150)) && ages.is_old(at(199)));
        ages.note(None, false);
        ages.note(Some(at(150)), false);
        assert!(ages.is_old(at(200)), "nothing newer came");
        ages.note(Some(at(210)), false);
        assert!(ages.is_old(at(199)), "and it stays so");
        assert!(!ages.is_old(at(200)));
        for n in 3..200 {
            ages.note(Some(at(n * 100)), n % 2 == 0);
        }
        assert_eq!(ages.changes.len(), CHANGES_MAX);
    }
}
