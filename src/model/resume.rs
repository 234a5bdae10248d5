//! Where a new owner reads again from.
//!
//! In: an input. Out: an offset, and the time before it. Holds: records from there on give the same panes as the
//! first reading gave. Knows nothing of: tasks.

use serde::{Deserialize, Serialize};

use crate::model::time::EventTime;

/// Where to start re-reading one input, and the running max there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResumePoint {
    /// Which input of the task.
    pub input: u8,
    /// First offset to read.
    pub offset: i64,
    /// Running max of the partition before that offset.
    pub max: EventTime,
    /// The horizon was read up to here (exclusive).
    pub read_to: i64,
    /// Sum of the records' marks from `offset` to `read_to`: who reads them again must find the same.
    pub marks: u64,
}

impl ResumePoint {
    /// The beginning of an input.
    #[must_use]
    pub const fn beginning(input: u8) -> Self {
        Self { input, offset: 0, max: EventTime::START, read_to: 0, marks: 0 }
    }

    /// The one of this input among several; its beginning if there is none.
    #[must_use]
    pub fn of(points: &[Self], input: u8) -> Self {
        let point = points.iter().find(|point| point.input == input);
        point.copied().unwrap_or_else(|| Self::beginning(input))
    }
}
