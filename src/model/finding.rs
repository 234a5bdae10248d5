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
    /// Event time at which the harm most likely began.
    pub onset: EventTime,
    /// The earliest and the latest beginning that the data don't rule out; `None` where no such set is known: the onset
    /// is then an estimate and no more.
    pub onset_between: Option<(EventTime, EventTime)>,
    /// Natural logarithm of the evidence against "the rule isn't true".
    pub log_evidence: f64,
    /// Its threshold.
    pub log_threshold: f64,
    /// What the error of the decision is stated as.
    pub bound: Bound,
    /// The candidate's share since the onset.
    pub candidate: Share,
    /// The primary's share since the onset, where the rule has one.
    pub primary: Share,
    /// The metric's value for the candidate since the onset, in the rule's unit.
    pub candidate_value: Option<f64>,
    /// The same for the primary.
    pub primary_value: Option<f64>,
    /// Segments by their part of the change against their own primary, the largest first.
    pub segments: Vec<WorstSegment>,
    /// Both arms break the rule, and the candidate not by a fault of its own that could be shown.
    pub shared_cause: bool,
    /// More than half of what it rests on was older than a minute when it was read.
    pub old: bool,
    /// Of the candidate's events since the onset as many may be those of answers without a request, out of so many
    /// answers that these may be: panes tell.
    pub alone: Share,
    /// Evidence was divided by this, because events come in clusters; 1 where they don't.
    pub clusters: f64,
    /// What that was learnt from.
    pub dependence: Dependence,
}

/// How it was reckoned with that events come together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Dependence {
    /// It wasn't.
    None,
    /// Divided by how much events scattered from look to look.
    Estimated,
    /// Divided by the size of the largest cluster, by the pipeline's cluster key.
    Key,
    /// Each look counts as one observation.
    Blocks,
}

impl Dependence {
    /// The word in signals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Estimated => "estimated",
            Self::Key => "key",
            Self::Blocks => "blocks",
        }
    }
}

/// What the error of a decision is stated as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Bound {
    /// A chance per rollout.
    Rollout,
    /// A mean time between false alarms.
    Interval,
    /// Nothing: the point estimate crossed the limit.
    None,
}

/// A segment and its part of the harm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorstSegment {
    /// Which.
    pub segment: Segment,
    /// The candidate's share since the onset.
    pub share: Share,
    /// Its own primary's.
    pub primary: Share,
    /// Its part of the change against its own primary within its dimension.
    pub of_change: f64,
    /// It stands out from its share of the traffic by more than chance, and holds half of the change.
    pub named: bool,
}

/// What the data say about a rule now.
#[derive(Clone, PartialEq, Debug)]
pub enum Finding {
    /// It was shown.
    Shown(Shown),
    /// Nothing is shown yet.
    Undecided {
        /// What was seen so far.
        candidate: Share,
        /// Natural logarithm of the evidence.
        log_evidence: f64,
        /// The threshold that is nearest.
        log_threshold: f64,
        /// Observations that a rate of twice the limit would need, four times out of five; unknown where looks
        /// count as blocks.
        needed: Option<u64>,
    },
    /// Nothing arrives that it could see.
    Blind(Blind),
}

/// Why a rule sees nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blind {
    /// What there was to look at, and nothing of it of use.
    pub watched: u64,
    /// The reason.
    pub reason: String,
    /// What to do.
    pub cure: String,
}
