//! What people must be told beside decisions.
//!
//! In: what the evaluator found. Out: plain text with its cure. Holds: nothing of it depends on who tells it.
//! Knows nothing of: logs, terminals.

use super::time::EventTime;

/// Something that keeps a candidate from being judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Which candidate.
    pub comparison: u8,
    /// Event time at which it was found.
    pub at: EventTime,
    /// Which kind: a word of the verdict.
    pub kind: String,
    /// What was seen.
    pub text: String,
    /// What to do.
    pub cure: String,
}
