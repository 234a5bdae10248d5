//! What a task can say of itself, for people.
//!
//! In: a task. Out: plain numbers. Holds: reading it changes nothing. Knows nothing of: HTTP.

use crate::model::time::EventTime;

/// How far a new owner has come with what one before it had read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadAgain {
    /// Offsets of the horizon, or their sum over inputs.
    pub records: u64,
    /// Those that aren't read again yet.
    pub left: u64,
}

impl ReadAgain {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, left: self.left + other.left }
    }
}

/// How one input of a task stands.
#[derive(Clone, Debug)]
pub struct InputStatus {
    /// Next offset to read.
    pub position: i64,
    /// Running max of event time.
    pub max: EventTime,
    /// Records before this offset are read again, if any are.
    pub reads_again_to: Option<i64>,
    /// How far it has come with them, and with what only vitals had counted.
    pub read_again: ReadAgain,
    /// Records that wait as leaps.
    pub waiting: usize,
    /// Records held for the join.
    pub held_records: usize,
    /// Bytes held for the join.
    pub held_bytes: usize,
    /// Ids that vitals had to forget too early: copies of theirs aren't told.
    pub displaced_ids: u64,
}

/// How one comparison of a task stands.
#[derive(Clone, Debug)]
pub struct ComparisonStatus {
    /// Everything before this is closed.
    pub closed_to: EventTime,
    /// The input that holds the frontier back.
    pub held_by: usize,
    /// Rows of the unfinished file.
    pub open_rows: usize,
    /// Its arms are too far apart: it is caught up with later, by a cursor of its own.
    pub parked: bool,
}

/// How a task stands.
#[derive(Clone, Debug)]
pub struct TaskStatus {
    /// Its partition.
    pub partition: u32,
    /// By input.
    pub inputs: Vec<InputStatus>,
    /// By candidate.
    pub comparisons: Vec<ComparisonStatus>,
}

impl TaskStatus {
    /// Returns how far its inputs have come with their horizons.
    #[must_use]
    pub fn read_again(&self) -> ReadAgain {
        let by_input = self.inputs.iter().map(|input| input.read_again);
        by_input.fold(ReadAgain::default(), ReadAgain::plus)
    }
}
