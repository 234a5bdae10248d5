//! A cut: the vitals of all tasks that are weighed together.
//!
//! In: tasks' vitals. Out: counts by arm, model version and segment. Holds: merged in task order, so that the ids
//! kept as examples don't depend on who was read first. Knows nothing of: rules.

use std::collections::BTreeMap;

use crate::diagnose::ArmSecond;
use crate::model::bucket::Unreadable;
use crate::model::cluster::ClusterSize;
use crate::model::entry::{
    ArmVitals, EXAMPLES_MAX, Examples, SampledId, VitalCounts, Vitals, offer_slowest,
};
use crate::model::feeds::Feeds;
use crate::model::tally::{Segment, merge_counts};
use crate::model::time::EventTime;
use crate::stats::histogram::CoarseLatency;

/// Vitals of all tasks that are weighed together.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// When it was made.
    pub(super) at: EventTime,
    pub(super) from: EventTime,
    pub(super) to: EventTime,
    /// By arm.
    pub(super) arms: Vec<ArmCut>,
    pub(super) newest: Option<EventTime>,
    pub(super) oldest: Option<EventTime>,
    /// (task, input, first, last).
    pub(super) offsets: Vec<(u32, u8, i64, i64)>,
}

/// One arm's part of a cut.
#[derive(Clone, Debug, Default)]
pub(super) struct ArmCut {
    /// By model version, then by segment.
    pub(super) counts: BTreeMap<String, BTreeMap<Segment, VitalCounts>>,
    pub(super) unreadable: BTreeMap<Unreadable, u64>,
    /// The first of the first task: task, input, offset, what was found.
    pub(super) unreadable_example: Option<(u32, u8, i64, String)>,
    pub(super) overrides: u64,
    pub(super) copies: u64,
    pub(super) late: u64,
    pub(super) late_by: CoarseLatency,
    /// Records read, and those of them that came from inputs that were catching up.
    read: u64,
    read_old: u64,
    /// How many of the records read carry what: see `ArmVitals::carries`.
    pub(super) carries: [u64; 5],
    /// The lowest hashes of all tasks, each with its task, ascending by hash; at most `SAMPLE_MAX`.
    pub(super) sample: Vec<(u32, SampledId)>,
    pub(super) examples: Examples,
    pub(super) version: Option<String>,
    /// By task and input, the largest of all its seconds.
    clusters: BTreeMap<(u32, u8), ClusterSize>,
}

/// The most sampled ids of an arm that a cut keeps.
const SAMPLE_MAX: usize = 128;

impl ArmCut {
    /// Returns how well its records could be read and placed.
    pub(super) fn second(&self) -> ArmSecond<'_> {
        let all = Segment::all();
        let requests = |of: &BTreeMap<Segment, VitalCounts>| of.get(&all).map_or(0, |c| c.requests);
        let counted: u64 = self.counts.values().map(requests).sum();
        ArmSecond {
            read: self.read,
            placed: counted + self.copies + self.late + self.overrides,
            carries: self.carries,
            unreadable: &self.unreadable,
            dropped: [self.copies, self.late],
            keyed: self.clusters() != ClusterSize::default(),
            late_by: &self.late_by,
            example: self
                .unreadable_example
                .as_ref()
                .map(|(_, _, offset, found)| (*offset, found.as_str())),
        }
    }

    /// Returns how many records were read.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Returns how many answers each model version gave.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = Segment::all();
        self.counts.iter().map(move |(version, of)| {
            (version.as_str(), of.get(&all).map_or(0, |counts| counts.requests))
        })
    }

    /// Returns how large its clusters are: each input of each task may hold a part of one.
    pub(super) fn clusters(&self) -> ClusterSize {
        let mut sum = ClusterSize::default();
        self.clusters.values().for_each(|size| sum.merge(*size));
        sum
    }

    /// The share of it that was older than a minute when it was read.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
    pub(super) fn old_share(&self) -> f64 {
        if self.read == 0 { 0.0 } else { self.read_old as f64 / self.read as f64 }
    }

    /// Adds what one input of a task counted.
    fn merge(&mut self, task: u32, input: u8, more: &ArmVitals) {
        let read = u64::try_from(more.to - more.from).unwrap_or(0);
        self.read += read;
        if more.catching_up {
            self.read_old += read;
        }
        for (version, by_segment) in &more.counts {
            let mine = self.counts.entry(version.clone()).or_default();
            for (segment, counts) in by_segment {
                mine.entry(segment.clone()).or_default().merge(counts);
            }
        }
        merge_counts(&mut self.unreadable, &more.unreadable);
        if let (None, Some((offset, found))) = (&self.unreadable_example, &more.unreadable_example)
        {
            self.unreadable_example = Some((task, input, *offset, found.clone()));
        }
        self.overrides += more.overrides;
        self.copies += more.copies;
        self.late += more.late;
        self.late_by.merge(&more.late_by);
        for (mine, theirs) in self.carries.iter_mut().zip(more.carries) {
            *mine += theirs;
        }
        if more.clusters != ClusterSize::default() {
            self.clusters.entry((task, input)).or_default().raise(more.clusters);
        }
        self.merge_sample(task, &more.sample);
        // Rank stands in for the hash: the first of the first task come first.
        let ranked = |ids: &[String]| -> Vec<(u64, String)> {
            ids.iter().map(|id| (u64::from(task), id.clone())).collect()
        };
        self.examples.failed.extend(ranked(&more.failed));
        self.examples.null.extend(ranked(&more.null));
        for (latency, id) in &more.slowest {
            offer_slowest(&mut self.examples.slowest, EXAMPLES_MAX, *latency, id);
        }
        if more.version.is_some() {
            self.version.clone_from(&more.version);
        }
    }

    fn merge_sample(&mut self, task: u32, sample: &[SampledId]) {
        for one in sample {
            let at = self.sample.partition_point(|(of, other)| (other, *of) < (one, task));
            if at < SAMPLE_MAX {
                self.sample.insert(at, (task, one.clone()));
                self.sample.truncate(SAMPLE_MAX);
            }
        }
    }
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            at: EventTime::START,
            from: EventTime::START,
            to: EventTime::START,
            arms: Vec::new(),
            newest: None,
            oldest: None,
            offsets: Vec::new(),
        }
    }
}

impl Cut {
    /// Adds a task's vitals; its inputs are these feeds.
    pub(super) fn merge(&mut self, task: u32, vitals: &Vitals, feeds: &Feeds) {
        let arms = vitals.arms.len().checked_sub(1).map_or(0, |last| feeds.arm(last) + 1);
        if self.arms.len() < arms {
            self.arms.resize_with(arms, ArmCut::default);
        }
        for (input, more) in (0_u8..).zip(&vitals.arms) {
            let Some(arm) = self.arms.get_mut(feeds.arm(usize::from(input))) else { continue };
            arm.merge(task, input, more);
            self.newest = self.newest.max(more.newest);
            self.oldest = self.oldest.into_iter().chain(more.oldest).min();
            if more.from < more.to {
                self.offsets.push((task, input, more.from, more.to - 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64, failed: u64) -> BTreeMap<Segment, VitalCounts> {
        BTreeMap::from([(Segment::all(), VitalCounts { requests, failed, ..Default::default() })])
    }

    fn sampled(hash: u64) -> SampledId {
        SampledId { hash, time: EventTime::from_us(1), id: format!("r{hash}") }
    }

    fn vitals(version: &str, offset: i64, hashes: impl Iterator<Item = u64>) -> Vitals {
        let arm = ArmVitals {
            from: offset,
            to: offset + 10,
            unreadable: BTreeMap::from([(Unreadable::Syntax, 2)]),
            unreadable_example: Some((offset, "what".to_owned())),
            overrides: 1,
            copies: 2,
            late: 3,
            counts: BTreeMap::from([(version.to_owned(), counts(4, 1))]),
            carries: [4, 0, 0, 0, 3],
            sample: hashes.map(sampled).collect(),
            ..ArmVitals::default()
        };
        Vitals { arms: vec![arm], at: EventTime::from_us(1) }
    }

    #[test]
    fn versions_stay_apart_and_samples_in_the_order_of_their_hashes() {
        let mut cut = Cut::default();
        cut.merge(0, &vitals("v8", 5, (0..100).map(|n| 3 * n)), &Feeds::default());
        cut.merge(1, &vitals("v9", 7, (0..100).map(|n| 3 * n + 1)), &Feeds::default());
        cut.merge(1, &vitals("v8", 17, 0..2), &Feeds::default());
        let arm = &cut.arms[0];
        assert_eq!(arm.counts["v8"], counts(8, 2));
        assert_eq!(arm.counts["v9"], counts(4, 1));
        assert_eq!(arm.unreadable, BTreeMap::from([(Unreadable::Syntax, 6)]));
        assert_eq!(arm.unreadable_example, Some((0, 0, 5, "what".to_owned())));
        assert_eq!((arm.overrides, arm.copies, arm.late), (3, 6, 9));
        assert_eq!(arm.carries, [12, 0, 0, 0, 9]);
        assert_eq!(arm.sample.len(), SAMPLE_MAX);
        let first: Vec<(u32, u64)> = arm.sample.iter().map(|(of, one)| (*of, one.hash)).collect();
        assert_eq!(first[..6], [(0, 0), (1, 0), (1, 1), (1, 1), (0, 3), (1, 4)]);
    }
}
