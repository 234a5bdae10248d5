//! What a join needs to know of a record.
//!
//! In: an accepted record. Out: its identity, time and place. Holds: ordered by (time, feed, offset),
//! the order in which the first of several is told. Knows nothing of: answers.

use xxhash_rust::xxh3::xxh3_128;

use super::time::EventTime;

/// A record as the join sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// Event time.
    pub time: EventTime,
    /// The task's input that it came from, where its arm has several; else 0.
    pub feed: u8,
    /// Offset in its partition.
    pub offset: i64,
    /// 128-bit hash of the request id.
    pub id: u128,
    /// What it is good for.
    pub worth: Worth,
    /// Where the record is held.
    pub place: Place,
}

/// The hash of a request id.
#[must_use]
pub fn hash_of(request_id: &str) -> u128 {
    xxh3_128(request_id.as_bytes())
}

/// The lower half of an id's hash: as good for tables and samples.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the lower half of a hash is meant")]
pub const fn short(id: u128) -> u64 {
    id as u64
}

/// What a record is good for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Worth {
    /// It answers a request.
    Answer,
    /// Its bytes couldn't be read: it answers nothing, but explains why an answer is missing.
    Unreadable,
    /// Its assignment was forced: it answers nothing, and takes its request out of the evidence.
    Override,
}

/// Where a record is held within a slice of panes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Which pane of the slice.
    pub pane: u32,
    /// Which record in it.
    pub index: u32,
}
