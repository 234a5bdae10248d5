//! What the last looks held, so that a shown rule can say since when, where and how much.
//!
//! In: looks, in order. Out: sums since a time. Holds: at most `LOOKS` looks. Knows nothing of:
//! evidence.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::look::Of;
use crate::model::finding::{Share, WorstSegment};
use crate::model::rule::Metric;
use crate::model::tally::Segment;
use crate::model::time::EventTime;
use crate::stats::histogram::CoarseLatency;

/// Looks that are kept: five minutes of seconds, or fifty of panes.
const LOOKS: usize = 300;
/// Segments that are named.
const NAMED: usize = 3;

/// The last looks.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct History {
    steps: VecDeque<Step>,
}

/// What one look held for a rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) from: EventTime,
    pub(super) to: EventTime,
    pub(super) candidate: Share,
    pub(super) primary: Share,
    pub(super) segments: Vec<(Segment, Share)>,
    pub(super) latency: Option<(CoarseLatency, CoarseLatency)>,
}

/// Sums since a time.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) candidate: Share,
    pub(super) primary: Share,
    segments: BTreeMap<Segment, Share>,
    latency: (CoarseLatency, CoarseLatency),
}

impl History {
    pub(super) fn push(&mut self, step: Step) {
        if self.steps.len() == LOOKS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// When the look began that lies `looks` back, counting `now`, which isn't pushed yet, as one.
    pub(super) fn start_of(&self, looks: u64, now: &Step) -> EventTime {
        let back = usize::try_from(looks.saturating_sub(1)).unwrap_or(usize::MAX);
        match self.steps.len().checked_sub(back) {
            Some(at) => self.steps.get(at).map_or(now.from, |step| step.from),
            None => self.steps.front().map_or(now.from, |step| step.from),
        }
    }

    pub(super) fn since(&self, onset: EventTime) -> Since {
        let mut since = Since::default();
        for step in self.steps.iter().filter(|step| onset <= step.from) {
            since.candidate.add(step.candidate);
            since.primary.add(step.primary);
            for (segment, share) in &step.segments {
                since.segments.entry(segment.clone()).or_default().add(*share);
            }
            if let Some((primary, candidate)) = &step.latency {
                since.latency.0.merge(primary);
                since.latency.1.merge(candidate);
            }
        }
        since
    }
}

impl Since {
    /// The metric's value in its own unit: a share, or microseconds.
    #[expect(clippy::cast_precision_loss, reason = "latencies are below an hour")]
    pub(super) fn value(&self, metric: Metric, of: Of) -> Option<f64> {
        let share = match of {
            Of::Candidate => self.candidate,
            Of::Primary => self.primary,
        };
        match metric {
            Metric::ErrorRate | Metric::NullRate => share.point(),
            Metric::MatchRate => match of {
                Of::Candidate => share.point().map(|mismatches| 1.0 - mismatches),
                Of::Primary => None,
            },
            Metric::Latency { rank } => {
                let latency = match of {
                    Of::Candidate => &self.latency.1,
                    Of::Primary => &self.latency.0,
                };
                // Failed and missing answers come last: there the quantile is "no answer in time".
                let rank = (share.total as f64 * f64::from(rank) / 100_000.0).ceil().max(1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rank"
                )]
                let rank = rank as u64;
                latency.value_at_rank(rank).map(|us| us as f64)
            }
            Metric::PredictionShift | Metric::Accuracy => None,
        }
    }

    /// Segments by their part of the excess over `limit` within their dimension.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
    pub(super) fn worst_segments(&self, limit: f64) -> Vec<WorstSegment> {
        let excess = |share: &Share| (share.events as f64 - limit * share.total as f64).max(0.0);
        let mut by_dimension: BTreeMap<&str, f64> = BTreeMap::new();
        for (segment, share) in &self.segments {
            *by_dimension.entry(&segment.dimension).or_default() += excess(share);
        }
        let mut worst: Vec<WorstSegment> = self
            .segments
            .iter()
            .filter(|(_, share)| 0.0 < excess(share))
            .map(|(segment, share)| WorstSegment {
                segment: segment.clone(),
                share: *share,
                of_excess: excess(share) / by_dimension[segment.dimension.as_str()],
            })
            .collect();
        worst.sort_by(|a, b| {
            b.of_excess.total_cmp(&a.of_excess).then_with(|| a.segment.cmp(&b.segment))
        });
        worst.truncate(NAMED);
        worst
    }
}
