//! Records that an input no longer holds and that somebody accepted as lost.
//!
//! In: what an earlier owner read, what the input holds now. Out: where to go on, written down before it
//! is obeyed. Holds: a loss is plain numbers; whoever reads it goes on at the same place, with the same
//! time. Knows nothing of: why records are gone.

use serde::{Deserialize, Serialize};

use super::resume::ResumePoint;
use super::time::EventTime;

/// Records of one input of a task that are gone, or aren't those that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// Which input of the task.
    pub input: u8,
    /// First offset that is gone.
    pub from: i64,
    /// End of what is gone (exclusive).
    pub to: i64,
    /// Reading goes on here.
    pub next: i64,
    /// Nothing that was read of the input can be relied on: it was truncated, recreated, or is another.
    /// Otherwise only what lies before `next` is gone.
    pub whole: bool,
    /// Running max at `next`, as far as it is known.
    pub max: EventTime,
    /// Vitals count from this offset on; what may have been counted before isn't counted twice.
    pub vitals: i64,
    /// From this offset on lies what was written after that which is gone.
    pub until: i64,
}

/// Which panes of a comparison may lack records that were lost: known once something behind the loss has
/// moved time, and written down before a pane is closed that depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GapMark {
    /// Which candidate.
    pub comparison: u8,
    /// Which input of the task lost records.
    pub input: u8,
    /// Where its loss ended.
    pub until: i64,
    /// Panes before this may lack some.
    pub to: EventTime,
}

impl Loss {
    /// Returns whether a comparison that would read again from this point reads on behind the loss instead.
    #[must_use]
    pub const fn moves(&self, point: &ResumePoint) -> bool {
        self.input == point.input && (self.whole || point.offset < self.next)
    }

    /// Returns the point where it reads on. What was read before can't be checked any more.
    #[must_use]
    pub const fn point(&self) -> ResumePoint {
        let Self { input, next, max, .. } = *self;
        ResumePoint { input, offset: next, max, read_to: 0, marks: 0 }
    }
}

/// Up to when panes of a comparison may lack records of one input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GapMarks {
    /// Before this time they may.
    pub to: EventTime,
    /// And all that follow, until something at or behind this offset moves time.
    pub until: Option<i64>,
}

impl GapMarks {
    /// Takes a loss of the comparison.
    pub const fn begin(&mut self, loss: &Loss) {
        self.until = Some(loss.until);
    }

    /// Takes the end of it.
    pub fn end(&mut self, until: i64, to: EventTime) {
        self.to = self.to.max(to);
        if self.until == Some(until) {
            self.until = None;
        }
    }

    /// Returns whether the pane that starts here may lack records.
    #[must_use]
    pub fn covers(&self, start: EventTime) -> bool {
        self.until.is_some() || start < self.to
    }
}
