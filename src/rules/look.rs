//! One look at the data: what a rule counts in a second of vitals or in a pane.
//!
//! In: vitals of both arms, or a closed pane; the candidate's model version on trial. Out: events out of so
//! many, for an arm and a segment. Holds: failed, missing, unreadable, null and slow are told apart, and none
//! counts in another's place; what another model version did counts nothing, where
//! versions can be told apart; a segment that isn't there
//! counts nothing. Knows nothing of: earlier looks.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::bucket::Buckets;
use crate::model::cluster::ClusterSize;
use crate::model::entry::{Pane, VitalCounts};
use crate::model::finding::Share;
use crate::model::rule::Metric;
use crate::model::tally::{ArmTally, Segment, Tally};
use crate::model::time::EventTime;
use crate::stats::histogram::{CoarseLatency, Histogram};

/// Counts of an arm by model version and segment.
pub type ByVersion<C> = BTreeMap<String, BTreeMap<Segment, C>>;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A second of vitals.
    Vitals {
        /// The primary's.
        primary: &'a ByVersion<VitalCounts>,
        /// The candidate's.
        candidate: &'a ByVersion<VitalCounts>,
        /// Records of the candidate that couldn't be read.
        unreadable: u64,
        /// All its records, of whatever version, copies and late ones included.
        read: u64,
        /// How large the clusters of each arm are, the primary's first.
        clusters: [ClusterSize; 2],
    },
    /// A closed pane.
    Pane(&'a Pane),
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
    /// Whose answers count.
    pub trial: Trial<'a>,
    /// So much of what is counted was older than a minute when it was read, from 0 to 1.
    pub old: f64,
    /// The join is known to fail: missing answers say nothing now.
    pub unjoined: bool,
    /// The candidate had answered something before this look: nothing is missing before it begins.
    pub begun: bool,
}

/// Which of the candidate's model versions count.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The one on trial; `None` where they can't be told apart, and all count.
    version: Option<&'a str>,
    /// Other versions answered more than the one on trial: what names none is rather theirs.
    is_mixed: bool,
}

impl<'a> Trial<'a> {
    /// Of these answers those of a version; what says no version counts for it as well.
    #[must_use]
    pub fn of(seen: &Seen<'_>, version: &'a str) -> Self {
        let all = Segment::all();
        let sums = |answers: &mut dyn Iterator<Item = (&String, u64)>| {
            answers.fold((0, 0), |(ours, others), (name, count)| match name.as_str() {
                "" => (ours, others),
                name if name == version => (ours + count, others),
                _ => (ours, others + count),
            })
        };
        let (ours, others) = match seen {
            Seen::Vitals { candidate, .. } => sums(
                &mut candidate
                    .iter()
                    .map(|(name, of)| (name, of.get(&all).map_or(0, |counts| counts.requests))),
            ),
            Seen::Pane(pane) => sums(&mut pane.tallies.iter().map(|(name, of)| {
                (name, of.get(&all).map_or(0, |tally| tally.candidate.requests))
            })),
        };
        Self { version: Some(version), is_mixed: ours < others }
    }

    /// All answers, whatever their version.
    #[must_use]
    pub const fn whole() -> Self {
        Self { version: None, is_mixed: false }
    }

    fn takes(self, name: &str) -> bool {
        let is_it = |version| name == version || name.is_empty() && !self.is_mixed;
        self.version.is_none_or(is_it)
    }
}

/// Which arm is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// The candidate.
    Candidate,
    /// The primary.
    Primary,
}

impl<'a> Look<'a> {
    /// Events out of so many; `edge_us` is the latency beyond which an answer is slow.
    #[must_use]
    pub fn share(&self, metric: Metric, of: Of, segment: &Segment, edge_us: u64) -> Share {
        let mut share = Share::default();
        match self.seen {
            Seen::Vitals { unreadable, read, .. } => {
                for counts in self.counts(of, segment) {
                    share.add(of_vitals(metric, counts, edge_us));
                }
                if metric == Metric::UnreadableRate && of == Of::Candidate {
                    share = Share { events: unreadable, total: read.max(unreadable) };
                }
            }
            Seen::Pane(pane) => match metric {
                Metric::MissingRate if of == Of::Candidate => share = self.missing(pane, segment),
                Metric::UnreadableRate if of == Of::Candidate => {
                    let Buckets { undecodable, .. } = pane.candidate;
                    share = Share { events: undecodable, total: pane.candidate.total() };
                }
                _ => {
                    for tally in self.tallies(segment) {
                        share.add(of_tally(metric, tally, of, edge_us));
                    }
                }
            },
        }
        share
    }

    /// Answers of the candidate that couldn't be read, where a rule asks what answers hold.
    #[must_use]
    pub const fn unread(&self, metric: Metric) -> u64 {
        match (metric, self.seen) {
            (
                Metric::MissingRate
                | Metric::UnreadableRate
                | Metric::MatchRate
                | Metric::PredictionShift
                | Metric::Accuracy,
                _,
            ) => 0,
            (_, Seen::Vitals { unreadable, .. }) => unreadable,
            (_, Seen::Pane(pane)) => pane.candidate.undecodable,
        }
    }

    /// Of the candidate's answers that could be read those that a rule on this segment counts, for the version on trial.
    #[must_use]
    pub fn portion(&self, segment: &Segment) -> Share {
        let (all, everything) = (Self { trial: Trial::whole(), ..*self }, Segment::all());
        let requests = |look: &Self, of: &Segment| -> u64 {
            look.share(Metric::ErrorRate, Of::Candidate, of, 0).total
        };
        Share { events: requests(self, segment), total: requests(&all, &everything) }
    }

    /// Of the candidate's events in a pane as many as answers without a request may have made, out of so many of its
    /// answers that these may be.
    #[must_use]
    pub fn alone(&self, metric: Metric, segment: &Segment, edge_us: u64) -> Share {
        let mut share = Share::default();
        for tally in self.tallies(segment) {
            share.add(match metric {
                Metric::ErrorRate => {
                    let paired = tally.candidate_only_failed + tally.both_failed;
                    let events = tally.candidate.failed.saturating_sub(paired);
                    Share { events, total: tally.orphans }
                }
                Metric::NullRate | Metric::Latency { .. } => {
                    let Share { events, .. } = of_tally(metric, tally, Of::Candidate, edge_us);
                    let most = events.min(tally.orphans);
                    Share { events: most, total: most }
                }
                Metric::MissingRate
                | Metric::UnreadableRate
                | Metric::MatchRate
                | Metric::PredictionShift
                | Metric::Accuracy => Share::default(),
            });
        }
        share
    }

    /// Primaries without an answer of the candidate, as far as no answer of it is known to exist that couldn't
    /// be read or joined: each of those may be the one that is missed.
    fn missing(&self, pane: &Pane, segment: &Segment) -> Share {
        let all = || pane.tallies.values().filter_map(|tallies| tallies.get(segment));
        let sum = |of: fn(&Tally) -> u64| all().map(of).sum::<u64>();
        let missing = sum(|tally| tally.unmatched_missing);
        let known = sum(|tally| tally.unmatched_unreadable);
        let Buckets { undecodable, quarantined, late, .. } = pane.candidate;
        let elsewhere = undecodable.saturating_sub(known) + quarantined + late;
        let missing = missing.saturating_sub(sum(|tally| tally.orphans) + elsewhere);
        Share { events: missing, total: sum(|tally| tally.primary.requests) }
    }

    /// Returns how large the clusters are that a rule's events come in, the primary's first. A record that can't be read tells
    /// no key, and what loses records knows none.
    #[must_use]
    pub fn clusters(&self, metric: Metric) -> [ClusterSize; 2] {
        match (metric, self.seen) {
            (Metric::UnreadableRate | Metric::MissingRate, _) => Default::default(),
            (_, Seen::Vitals { clusters, .. }) => clusters,
            (_, Seen::Pane(pane)) => pane.clusters,
        }
    }

    /// Pairs in which only the candidate does what the rule is about, and in which only the primary does, where
    /// a pane tells them.
    #[must_use]
    pub fn discordant(&self, metric: Metric, segment: &Segment) -> Option<(u64, u64)> {
        match (self.seen, metric) {
            (Seen::Pane(_), Metric::ErrorRate) => {
                let tallies = || self.tallies(segment);
                let ours = tallies().map(|tally| tally.candidate_only_failed).sum();
                Some((ours, tallies().map(|tally| tally.primary_only_failed).sum()))
            }
            _ => None,
        }
    }

    /// Segments that are there for the candidate, but for everything.
    #[must_use]
    pub fn segments(&self) -> Vec<&'a Segment> {
        fn keys<C>(all: &ByVersion<C>) -> BTreeSet<&Segment> {
            all.values().flat_map(BTreeMap::keys).filter(|segment| !segment.is_all()).collect()
        }
        let segments = match self.seen {
            Seen::Vitals { candidate, .. } => keys(candidate),
            Seen::Pane(pane) => keys(&pane.tallies),
        };
        segments.into_iter().collect()
    }

    /// Latencies of an arm, coarse.
    #[must_use]
    pub fn latency(&self, of: Of, segment: &Segment) -> CoarseLatency {
        let mut all = CoarseLatency::default();
        match self.seen {
            Seen::Vitals { .. } => {
                self.counts(of, segment).for_each(|counts| all.merge(&counts.latency));
            }
            Seen::Pane(_) => {
                for tally in self.tallies(segment) {
                    for (low, _, count) in arm(tally, of).latency.buckets() {
                        all.record_n(low, count);
                    }
                }
            }
        }
        all
    }

    /// The tallies of a segment that count for the version on trial, if a pane is looked at.
    pub fn tallies(&self, segment: &'a Segment) -> impl Iterator<Item = &'a Tally> {
        let pane = match self.seen {
            Seen::Pane(pane) => Some(&pane.tallies),
            Seen::Vitals { .. } => None,
        };
        let trial = self.trial;
        pane.into_iter()
            .flatten()
            .filter(move |(of, _)| trial.takes(of))
            .filter_map(move |(_, tallies)| tallies.get(segment))
    }

    /// The vitals of a segment that count for the version on trial; all of the primary's.
    fn counts(&self, of: Of, segment: &Segment) -> impl Iterator<Item = &'a VitalCounts> {
        let all = match (self.seen, of) {
            (Seen::Vitals { primary, .. }, Of::Primary) => Some(primary),
            (Seen::Vitals { candidate, .. }, Of::Candidate) => Some(candidate),
            (Seen::Pane(_), _) => None,
        };
        let trial = self.trial;
        let counts = move |(name, of_version): (&'a String, &'a BTreeMap<Segment, VitalCounts>)| {
            let is_ours = of == Of::Primary || trial.takes(name);
            is_ours.then(|| of_version.get(segment)).flatten()
        };
        all.into_iter().flatten().filter_map(counts).collect::<Vec<_>>().into_iter()
    }
}

const fn arm(tally: &Tally, of: Of) -> &ArmTally {
    match of {
        Of::Candidate => &tally.candidate,
        Of::Primary => &tally.primary,
    }
}

fn of_vitals(metric: Metric, counts: &VitalCounts, edge_us: u64) -> Share {
    match metric {
        Metric::ErrorRate => Share { events: counts.failed, total: counts.requests },
        Metric::NullRate => Share { events: counts.null, total: counts.answered() },
        Metric::Latency { .. } => slow(&counts.latency, edge_us),
        Metric::MissingRate
        | Metric::UnreadableRate
        | Metric::MatchRate
        | Metric::PredictionShift
        | Metric::Accuracy => Share::default(),
    }
}

fn of_tally(metric: Metric, tally: &Tally, of: Of, edge_us: u64) -> Share {
    let counts = arm(tally, of);
    match metric {
        Metric::ErrorRate => Share { events: counts.failed, total: counts.requests },
        Metric::NullRate => Share { events: counts.null, total: counts.answered() },
        Metric::Latency { .. } => slow(&counts.latency, edge_us),
        // That two answers differ is said of the pair: the primary can't mismatch alone.
        Metric::MatchRate if of == Of::Candidate => {
            Share { events: tally.comparable - tally.matched, total: tally.comparable }
        }
        Metric::MissingRate
        | Metric::UnreadableRate
        | Metric::MatchRate
        | Metric::PredictionShift
        | Metric::Accuracy => Share::default(),
    }
}

/// Slower than the edge, of the answers that carry a latency.
fn slow<const BITS: u32>(latency: &Histogram<BITS>, edge_us: u64) -> Share {
    let edge = Histogram::<BITS>::highest_equivalent(edge_us);
    Share { events: latency.count_above(edge), total: latency.total() }
}

#[cfg(test)]
mod tests;
