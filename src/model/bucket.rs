//! Where each record of a comparison went.
//!
//! In: one count per record. Out: the conservation law, checkable. Holds: every record read is in
//! exactly one bucket, the first that fits in the order of the fields. Knows nothing of: why a
//! record was unreadable (see `Unreadable`), Kafka.

use serde::{Deserialize, Serialize};

/// The buckets of one arm of one comparison. `alone` is *unmatched* for the primary, *orphan* for
/// a candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Buckets {
    /// Bytes that couldn't be read as an observation.
    pub undecodable: u64,
    /// Further ahead of its partition than any clock that could be believed.
    pub quarantined: u64,
    /// Further behind its partition's running max than `wait`.
    pub late: u64,
    /// Forced assignment, or an answer to a request that was forced by what either arm says.
    pub overrides: u64,
    /// The same arm and id within 2 × skew before it.
    pub duplicate: u64,
    /// Has its counterpart.
    pub paired: u64,
    /// Has none.
    pub alone: u64,
}

impl Buckets {
    /// The counts of the primary's buckets, or of a candidate's, by the names of the contract.
    #[must_use]
    pub const fn by_name(&self, primary: bool) -> [(&'static str, u64); 7] {
        [
            ("undecodable", self.undecodable),
            ("quarantined", self.quarantined),
            ("late", self.late),
            ("override", self.overrides),
            ("duplicate", self.duplicate),
            ("paired", self.paired),
            (if primary { "unmatched" } else { "orphan" }, self.alone),
        ]
    }

    /// All records in these buckets.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.undecodable
            + self.quarantined
            + self.late
            + self.overrides
            + self.duplicate
            + self.paired
            + self.alone
    }

    /// Adds the counts of another span or task.
    pub const fn merge(&mut self, other: &Self) {
        self.undecodable += other.undecodable;
        self.quarantined += other.quarantined;
        self.late += other.late;
        self.overrides += other.overrides;
        self.duplicate += other.duplicate;
        self.paired += other.paired;
        self.alone += other.alone;
    }
}

/// Why a record couldn't be read; the codes are part of the dead-letter contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Unreadable {
    /// No value at all (a tombstone).
    Empty,
    /// Not JSON.
    Syntax,
    /// JSON, but a field has the wrong type or an impossible value.
    BadField,
    /// A required field is missing.
    MissingField,
    /// A string longer than its limit.
    TooLong,
    /// The record names another arm than its topic carries.
    WrongArm,
    /// A schema version this engine doesn't know.
    UnknownVersion,
}

impl Unreadable {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 7] = [
        Self::Empty,
        Self::Syntax,
        Self::BadField,
        Self::MissingField,
        Self::TooLong,
        Self::WrongArm,
        Self::UnknownVersion,
    ];

    /// The stable code in headers, metrics and tables.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Syntax => "syntax",
            Self::BadField => "bad_field",
            Self::MissingField => "missing_field",
            Self::TooLong => "too_long",
            Self::WrongArm => "wrong_arm",
            Self::UnknownVersion => "unknown_version",
        }
    }
}
