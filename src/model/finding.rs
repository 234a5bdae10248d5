//! What the data say about a rule, with the evidence.
//!
//! In: what a watch has seen. Out: plain numbers. Holds: events never stand without their total.
//! Knows nothing of: decisions, JSON.

use serde::{Deserialize, Serialize};

use super::tally::Segment;
use super::time::EventTime;

/// Events out of so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Share {
    /// Errors, nulls, slow answers, mismatches.
    pub events: u64,
    /// Out of so many.
    pub total: u64,
}

impl Share {
    /// Adds another look's.
    pub const fn add(&mut self, other: Self) {
        self.events += other.events;
        self.total += other.total;
    }

    /// Events ÷ total; `None` without any.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people and thresholds")]
    pub fn point(self) -> Option<f64> {
        (self.total != 0).then(|| self.events as f64 / self.total as f64)
    }
}

/// Where the evidence came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Basis {
    /// Each second, before any join or waiting.
    Vitals,
    /// Closed panes.
    Panes,
}

impl Basis {
    /// The word in tables and signals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vitals => "vitals",
            Self::Panes => "panes",
        }
    }
}

/// A rule that was shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// Event time of the look that showed it.
    pub at: EventTime,
    /// Event time at which the harm began, as far as the evidence can tell.
    pub onset: EventTime,
    /// Natural logarithm of the evidence against "the rule isn't true".
    pub log_evidence: f64,
    /// Its threshold.
    pub log_threshold: f64,
    /// The evidence was the detector's (stated as a mean time between false alarms), not the
    /// rollout's (stated as a chance per rollout).
    pub by_detector: bool,
    /// The candidate's share since the onset.
    pub candidate: Share,
    /// The primary's share since the onset, where the rule has one.
    pub primary: Share,
    /// The metric's value for the candidate since the onset, in the rule's unit.
    pub candidate_value: Option<f64>,
    /// The same for the primary.
    pub primary_value: Option<f64>,
    /// Segments by their share of the excess over the rule's limit, the largest first.
    pub segments: Vec<WorstSegment>,
    /// The primary breaks the same rule: the cause is shared.
    pub shared_cause: bool,
}

/// A segment and its part of the harm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorstSegment {
    /// Which.
    pub segment: Segment,
    /// Its share since the onset.
    pub share: Share,
    /// Its part of the excess over the rule's limit within its dimension, 0 to 1.
    pub of_excess: f64,
}

/// What the data say about a rule now.
#[derive(Clone, PartialEq, Debug)]
pub enum Finding {
    /// It was shown.
    Shown(Shown),
    /// Nothing is shown yet.
    Undecided {
        /// Since the rollout began.
        candidate: Share,
        /// Natural logarithm of the evidence so far.
        log_evidence: f64,
        /// Its threshold.
        log_threshold: f64,
        /// Observations that would show a value twice the limit, four times out of five.
        needed: Option<u64>,
    },
}
