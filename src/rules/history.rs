//! What the last looks held, so that a shown rule can say since when, where and how much.
//!
//! In: looks, in order. Out: sums since a time. Holds: at most `LOOKS` looks. Knows nothing of: evidence.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::look::Of;
use crate::model::finding::{Share, WorstSegment};
use crate::model::rule::Metric;
use crate::model::tally::Segment;
use crate::model::time::EventTime;
use crate::stats::attribution::attribution;
use crate::stats::histogram::CoarseLatency;
use crate::stats::proportion::Rate;

/// Looks that are kept: five minutes of seconds, or fifty of panes.
const LOOKS: usize = 300;
/// The most looks that a rule may ask to be true for: the fifth before them has to show that it had begun by then.
pub(super) const HELD: usize = LOOKS / 5 * 4;
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
    /// Answers of the candidate that couldn't be read, as many as are likely to be of this segment and version: what they
    /// hold isn't known, and they aren't left out.
    pub(super) unread: u64,
    /// Of the candidate's what may be answers without a request.
    pub(super) alone: Share,
    /// By segment, the candidate's and its own primary's.
    pub(super) segments: Vec<(Segment, Share, Share)>,
    /// The primary's and the candidate's.
    pub(super) latency: Option<(CoarseLatency, CoarseLatency)>,
    /// Events that were older than a minute when they were read.
    pub(super) old: f64,
}

/// Sums since a time.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) candidate: Share,
    /// The same with answers that couldn't be read.
    pub(super) weighed: Share,
    pub(super) primary: Share,
    pub(super) alone: Share,
    pub(super) old: f64,
    segments: BTreeMap<Segment, (Share, Share)>,
    latency: (CoarseLatency, CoarseLatency),
}

impl Step {
    /// The candidate's events, of all its answers: those that couldn't be read count as none. Left out, they would
    /// make the readable ones a choice: where only successes can't be read, everything that can has failed.
    pub(super) const fn weighed(&self) -> Share {
        let Share { events, total } = self.candidate;
        Share { events, total: total + self.unread }
    }
}

impl History {
    pub(super) fn push(&mut self, step: Step) {
        if self.steps.len() == LOOKS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// Forgets all looks.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }

    /// The looks in which the candidate was seen, oldest first.
    pub(super) fn seen(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(|step| step.weighed().total != 0)
    }

    pub(super) fn since(&self, onset: EventTime) -> Since {
        let mut since = Since::default();
        for step in self.steps.iter().filter(|step| onset <= step.from) {
            since.candidate.add(step.candidate);
            since.weighed.add(step.weighed());
            since.primary.add(step.primary);
            since.alone.add(step.alone);
            since.old += step.old;
            for (segment, candidate, primary) in &step.segments {
                let both = since.segments.entry(segment.clone()).or_default();
                both.0.add(*candidate);
                both.1.add(*primary);
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
            Metric::ErrorRate | Metric::NullRate | Metric::MissingRate | Metric::UnreadableRate => {
                share.point()
            }
            Metric::MatchRate => match of {
                Of::Candidate => share.point().map(|mismatches| 1.0 - mismatches),
                Of::Primary => None,
            },
            Metric::Latency { rank } => {
                let latency = match of {
                    Of::Candidate => &self.latency.1,
                    Of::Primary => &self.latency.0,
                };
                latency.quantile(f64::from(rank) / 100_000.0).map(|us| us as f64)
            }
            Metric::PredictionShift | Metric::Accuracy => None,
        }
    }

    /// More than half of the events were older than a minute when they were read.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
    pub(super) fn is_old(&self) -> bool {
        self.candidate.events as f64 / 2.0 < self.old
    }

    /// Segments by their part of the change within their dimension, each against its own primary.
    pub(super) fn worst_segments(&self) -> Vec<WorstSegment> {
        let mut dimensions: BTreeMap<&str, Vec<(&Segment, Share, Share)>> = BTreeMap::new();
        for (segment, (candidate, primary)) in &self.segments {
            let of = dimensions.entry(&segment.dimension).or_default();
            of.push((segment, *candidate, *primary));
        }
        let mut worst = Vec::new();
        for segments in dimensions.values() {
            let rate = |share: &Share| Rate { hits: share.events, total: share.total };
            // Where the rule speaks of the candidate alone, all of it is change.
            let reference = |ours: &Share, theirs: &Share| match theirs.total {
                0 => Rate { hits: 0, total: ours.total },
                _ => rate(theirs),
            };
            let pairs: Vec<(Rate, Rate)> = segments
                .iter()
                .map(|(_, ours, theirs)| (rate(ours), reference(ours, theirs)))
                .collect();
            for ((segment, share, primary), part) in segments.iter().zip(attribution(&pairs)) {
                let Some(part) = part.filter(|part| 0.0 < part.change) else { continue };
                worst.push(WorstSegment {
                    segment: (*segment).clone(),
                    share: *share,
                    primary: *primary,
                    of_change: part.of_change,
                    named: part.is_named,
                });
            }
        }
        worst.sort_by(|a, b| {
            let order = b.named.cmp(&a.named).then(b.of_change.total_cmp(&a.of_change));
            order.then_with(|| a.segment.cmp(&b.segment))
        });
        worst.truncate(NAMED);
        worst
    }
}
