//! One look at the data: what a rule counts in a second of vitals or in a pane.
//!
//! In: vitals of both arms, or a closed pane. Out: events out of so many, for an arm and a segment.
//! Holds: missing and failed answers of the candidate count as slow, and as failed where every
//! request is expected to reach it; a segment that isn't there counts nothing. Knows nothing of:
//! earlier looks.

use std::collections::BTreeMap;

use crate::model::entry::VitalCounts;
use crate::model::finding::Share;
use crate::model::rule::Metric;
use crate::model::tally::{ArmTally, Segment, Tally};
use crate::model::time::EventTime;
use crate::stats::histogram::{CoarseLatency, Histogram};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A second of vitals.
    Vitals {
        /// The primary's by segment.
        primary: &'a BTreeMap<Segment, VitalCounts>,
        /// The candidate's by segment.
        candidate: &'a BTreeMap<Segment, VitalCounts>,
    },
    /// A closed pane's tallies by segment.
    Pane(&'a BTreeMap<Segment, Tally>),
}

/// One look.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What is looked at.
    pub seen: Seen<'a>,
    /// Event time at which it begins.
    pub from: EventTime,
    /// Event time at which it ends.
    pub to: EventTime,
    /// A missing answer is a failed one.
    pub every_request: bool,
}

/// Which arm is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// The candidate, missing answers included.
    Candidate,
    /// The primary.
    Primary,
}

impl<'a> Look<'a> {
    /// Events out of so many; `edge_us` is the latency beyond which an answer is slow.
    #[must_use]
    pub fn share(&self, metric: Metric, of: Of, segment: &Segment, edge_us: u64) -> Share {
        match self.seen {
            Seen::Vitals { primary, candidate } => {
                let counts = match of {
                    Of::Primary => primary,
                    Of::Candidate => candidate,
                };
                counts.get(segment).map_or_else(Share::default, |c| of_vitals(metric, c, edge_us))
            }
            Seen::Pane(tallies) => tallies.get(segment).map_or_else(Share::default, |tally| {
                let missing = if self.every_request { tally.unmatched() } else { 0 };
                match of {
                    // That two answers differ is said of the pair: the primary can't mismatch alone.
                    Of::Primary if metric == Metric::MatchRate => Share::default(),
                    Of::Candidate => of_tally(metric, tally, &tally.candidate, missing, edge_us),
                    Of::Primary => of_tally(metric, tally, &tally.primary, 0, edge_us),
                }
            }),
        }
    }

    /// Segments that are there for the candidate, but for everything.
    pub fn segments(&self) -> Vec<&'a Segment> {
        let segments: Vec<&Segment> = match self.seen {
            Seen::Vitals { candidate, .. } => candidate.keys().collect(),
            Seen::Pane(tallies) => tallies.keys().collect(),
        };
        segments.into_iter().filter(|segment| !segment.is_all()).collect()
    }

    /// Latencies of an arm, coarse.
    #[must_use]
    pub fn latency(&self, of: Of, segment: &Segment) -> CoarseLatency {
        match self.seen {
            Seen::Vitals { primary, candidate } => {
                let counts = match of {
                    Of::Primary => primary,
                    Of::Candidate => candidate,
                };
                counts.get(segment).map(|counts| counts.latency.clone()).unwrap_or_default()
            }
            Seen::Pane(tallies) => tallies.get(segment).map_or_else(CoarseLatency::default, |t| {
                coarse(match of {
                    Of::Primary => &t.primary.latency,
                    Of::Candidate => &t.candidate.latency,
                })
            }),
        }
    }

    /// The tally of a segment, if a pane is looked at.
    #[must_use]
    pub fn tally(&self, segment: &Segment) -> Option<&'a Tally> {
        match self.seen {
            Seen::Pane(tallies) => tallies.get(segment),
            Seen::Vitals { .. } => None,
        }
    }
}

fn of_vitals(metric: Metric, counts: &VitalCounts, edge_us: u64) -> Share {
    match metric {
        Metric::ErrorRate => Share { events: counts.failed, total: counts.requests },
        Metric::NullRate => Share { events: counts.null, total: counts.answered() },
        Metric::Latency { .. } => slow(&counts.latency, counts.failed, edge_us),
        Metric::MatchRate | Metric::PredictionShift | Metric::Accuracy => Share::default(),
    }
}

fn of_tally(metric: Metric, tally: &Tally, arm: &ArmTally, missing: u64, edge_us: u64) -> Share {
    match metric {
        Metric::ErrorRate => Share { events: arm.failed + missing, total: arm.requests + missing },
        Metric::NullRate => Share { events: arm.null, total: arm.answered() },
        Metric::Latency { .. } => slow(&arm.latency, arm.failed + missing, edge_us),
        Metric::MatchRate => {
            Share { events: tally.comparable - tally.matched, total: tally.comparable }
        }
        Metric::PredictionShift | Metric::Accuracy => Share::default(),
    }
}

fn slow<const BITS: u32>(latency: &Histogram<BITS>, failed: u64, edge_us: u64) -> Share {
    let edge = Histogram::<BITS>::highest_equivalent(edge_us);
    Share { events: latency.count_above(edge) + failed, total: latency.total() + failed }
}

fn coarse(fine: &crate::stats::histogram::Latency) -> CoarseLatency {
    let mut coarse = CoarseLatency::default();
    for (low, _, count) in fine.buckets() {
        coarse.record_n(low, count);
    }
    coarse
}
