//! What can happen to a task, and what it asks of the world.
//!
//! In: nothing. Out: the two closed enums of the task's contract. Holds: effects are carried out in
//! the order they are polled; an entry is durable before what it names is done. Knows nothing of:
//! how either is carried out.

use crate::model::bucket::Unreadable;
use crate::model::entry::{Entry, Fact, Vitals};
use crate::model::loss::Loss;
use crate::model::record::Record;
use crate::model::row::PairRow;
use crate::model::time::EventTime;

/// Everything that can happen to a task.
#[derive(Debug)]
pub enum Input<'a> {
    /// Records of one input, in offset order.
    Records {
        /// Which input.
        input: usize,
        /// The records.
        records: &'a [Record<'a>],
        /// Host time at which they were read; `None` in a replay.
        read_at: Option<EventTime>,
    },
    /// A second is over: vitals are due.
    Tick {
        /// Host time (event time in a replay).
        now: EventTime,
        /// Vitals of inputs that were read beyond this stay until a later tick: a replay reads its inputs to other times.
        up_to: EventTime,
    },
    /// A second that an earlier run recorded ends here: its vitals are due, with its time and arrival.
    Recorded(&'a Vitals),
    /// These inputs stand at the end of their partitions.
    Standing {
        /// Input and end offset.
        ends: &'a [(usize, i64)],
        /// Host time at which the ends were confirmed.
        confirmed: EventTime,
        /// How far some task has closed each comparison: the others are waited for.
        needed: &'a [EventTime],
    },
    /// A fact was written down and read back.
    Logged(Fact),
    /// A fact was read back that nobody may obey: the broker's clock and the host's differ.
    Refused(Fact),
    /// A loss was written down and read back.
    Lost(Loss),
    /// A file of pair rows is in place.
    Completed {
        /// Which candidate's.
        comparison: u8,
        /// Its name.
        name: &'a str,
    },
    /// What was last said of a comparison before this time is said again.
    Repeat {
        /// Host time.
        before: EventTime,
    },
    /// The end of a bounded input: everything closes as a fact at this time would.
    Finish {
        /// Beyond every record of every task by the width of a pane.
        time: EventTime,
    },
    /// Rows are to be completed now: the process is about to leave.
    Flush,
}

/// Everything a task asks of the world.
#[derive(Debug)]
pub enum Effect {
    /// Append this to the task's log.
    Append(Entry),
    /// Stage these rows durably under this name; a later `Append` names the file.
    Stage {
        /// File name without folder, deterministic.
        name: String,
        /// Which candidate.
        comparison: u8,
        /// Its rows.
        rows: Vec<PairRow>,
    },
    /// Put this record aside for people.
    DeadLetter(DeadLetter),
    /// The records that were read again aren't those that were read before: nothing is to be done
    /// with them.
    Differs(Differs),
}

/// An input that holds other records than an earlier owner read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Differs {
    /// Which input.
    pub input: usize,
    /// First offset that was read again.
    pub from: i64,
    /// Offset up to which the records must be the same.
    pub to: i64,
}

/// A record that couldn't be read, on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Which input.
    pub input: usize,
    /// Its offset.
    pub offset: i64,
    /// The counted reason.
    pub reason: Unreadable,
    /// What was found.
    pub detail: String,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
}
