//! What came lately: in this minute and in the whole one before.
//!
//! In: sums with their times, in order. Out: the sum of at most two minutes. Holds: a minute begins with the first time that
//! lies a minute behind the last beginning. Knows nothing of: what is summed.

use serde::{Deserialize, Serialize};

use crate::model::time::{EventTime, Span};

const MINUTE: Span = Span::from_secs(60);

/// A sum that forgets.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Minutes<T> {
    since: Option<EventTime>,
    running: T,
    last: Option<T>,
}

impl<T: Default + Clone> Minutes<T> {
    /// Returns the sum of the minute that this time belongs to.
    pub(super) fn at(&mut self, at: EventTime) -> &mut T {
        let since = *self.since.get_or_insert(at);
        if MINUTE <= at.since(since) {
            self.last = Some(std::mem::take(&mut self.running));
            self.since = Some(at);
        }
        &mut self.running
    }

    /// Returns whether a whole minute is known.
    pub(super) const fn is_whole(&self) -> bool {
        self.last.is_some()
    }

    /// Returns both minutes, added up by `merge`.
    pub(super) fn lately(&self, merge: impl FnOnce(&mut T, &T)) -> T {
        let mut lately = self.running.clone();
        if let Some(last) = &self.last {
            merge(&mut lately, last);
        }
        lately
    }
}
