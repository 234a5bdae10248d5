//! Rows of the tables that people query.
//!
//! In: results. Out: flat records. Holds: a rate never stands without its counts. Knows nothing of:
//! Arrow, Parquet, folders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bucket::Buckets;
use super::entry::Pane;
use super::rule::Action;
use super::tally::{Segment, Tally};
use super::time::{EventTime, Span};

/// What became of a request in one comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PairStatus {
    /// Both predictions agree.
    Match,
    /// Both predictions exist and differ.
    Mismatch,
    /// Both answered, at least one without a usable prediction.
    Incomparable,
    /// The candidate failed, the primary may have too.
    CandidateFailed,
    /// Only the primary failed.
    PrimaryFailed,
    /// No candidate's answer.
    Unmatched,
    /// No primary's answer.
    Orphan,
}

impl PairStatus {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Mismatch => "mismatch",
            Self::Incomparable => "incomparable",
            Self::CandidateFailed => "candidate_failed",
            Self::PrimaryFailed => "primary_failed",
            Self::Unmatched => "unmatched",
            Self::Orphan => "orphan",
        }
    }
}

/// One arm's half of a pair row.
#[derive(Clone, PartialEq, Debug)]
pub struct PairSide {
    /// When the arm stamped the request.
    pub time: EventTime,
    /// The task's input that its record came from.
    pub feed: u8,
    /// Where its record stands in that partition.
    pub offset: i64,
    /// Came back at all.
    pub failed: bool,
    /// Its class, if any.
    pub label: Option<Arc<str>>,
    /// Its number, if any.
    pub number: Option<f64>,
    /// In microseconds, if known.
    pub latency_us: Option<u64>,
}

/// One row of `pairs`.
#[derive(Clone, PartialEq, Debug)]
pub struct PairRow {
    /// Which candidate.
    pub comparison: u8,
    /// The pane it belongs to.
    pub pane: EventTime,
    /// The join key.
    pub request_id: String,
    /// What became of it.
    pub status: PairStatus,
    /// `missing` or `unreadable` for an unmatched one.
    pub reason: Option<&'static str>,
    /// The primary's half.
    pub primary: Option<PairSide>,
    /// The candidate's half.
    pub candidate: Option<PairSide>,
    /// Values of the pipeline's dimensions, from the primary where there is one; each ends with
    /// `SEPARATOR`, so that a row is little more than its id.
    pub segments: Arc<str>,
    /// Share of such rows that are written: 1 but for sampled matches.
    pub sampled: f64,
}

/// Ends each value of a pair row's segments.
pub const SEPARATOR: char = '\u{1f}';

impl PairRow {
    /// The value of a dimension.
    #[must_use]
    pub fn segment(&self, dimension: usize) -> Option<&str> {
        self.segments.split(SEPARATOR).nth(dimension)
    }
}

/// One row of `windows`: a window, a candidate, a segment.
#[derive(Clone, PartialEq, Debug)]
pub struct WindowRow {
    /// Which candidate.
    pub comparison: u8,
    /// Half-open: from `start` to `start + size`.
    pub start: EventTime,
    /// Its length.
    pub size: Span,
    /// The slice.
    pub segment: Segment,
    /// 0 the first time it is reported; a later one replaces it.
    pub revision: u32,
    /// Its counts.
    pub tally: Tally,
    /// Where the records of both arms went; only for the segment *all*.
    pub buckets: Option<(Buckets, Buckets)>,
    /// The candidate's model version seen last.
    pub model_version: Option<String>,
    /// Offsets read, by task: (task, input, first, last).
    pub offsets: Vec<(u32, u8, i64, i64)>,
    /// An idle fact let time pass over it.
    pub fact_touched: bool,
    /// A bounded set overflowed.
    pub partial: bool,
}

/// One row group of `panes`: a pane merged over all tasks; the sink writes one row per segment.
#[derive(Clone, PartialEq, Debug)]
pub struct PaneRow {
    /// Which candidate.
    pub comparison: u8,
    /// The pane's length.
    pub size: Span,
    /// The merged pane.
    pub pane: Pane,
}

/// One row of `decisions`: a rule that was shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DecisionRow {
    /// Which candidate.
    pub comparison: u8,
    /// Event time at which it was shown.
    pub time: EventTime,
    /// The evidence came from `vitals` or `panes`.
    pub basis: String,
    /// What the rule asks for, after validity and shared causes were weighed.
    pub action: Action,
    /// The rule in the user's words.
    pub rule: String,
    /// One sentence for people.
    pub reason: String,
    /// Event time at which the harm began, as far as the evidence can tell.
    pub onset: EventTime,
    /// Natural logarithm of the evidence against "nothing is wrong".
    pub log_evidence: f64,
    /// Its threshold.
    pub log_threshold: f64,
    /// Events (errors, slow answers, mismatches …) since the onset.
    pub events: u64,
    /// Out of so many.
    pub total: u64,
    /// The signal that carried it, if it raised the severity of the rollout.
    pub signal_id: Option<String>,
    /// The signal's data as JSON.
    pub evidence: String,
}
