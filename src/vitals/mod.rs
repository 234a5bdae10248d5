//! Counts each second what passes its input's clock, before any join.
//!
//! In: observations of one input as they pass, and records that couldn't be read as they are read. Out:
//! `ArmVitals` since the last flush. Holds: a record is counted once however often it is read, because one
//! is counted only if the record with which it passed lies at or after the logged end, and a re-read lets it
//! pass with the same; what is late, overridden or a copy never gets to the counts; model versions are told
//! apart, and of segment values the declared ones; a cluster is told with all of its pane so far. Knows nothing of:
//! the other arm, the clock itself.
//!
//! # Place in a record's life
//!
//! Beside the join: what [`crate::clock`] lets pass is counted here within the second, and the join takes it up again when
//! its pane closes. [`crate::engine::evaluator`] weighs each second of all tasks together.
//!
//! # Why count twice
//!
//! A pane closes only when both arms are past it, by default after more than half a minute; a candidate that fails
//! every request should be gone by then. Vitals need no counterpart, so a rule on failed, null or slow answers acts within
//! seconds. They agree with the panes to come, since what the join will leave out (late records, copies, overrides) is
//! left out here as well, by the same measures.

pub mod keys;
pub mod recent;

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::arm::Assignment;
use crate::model::bucket::Unreadable;
use crate::model::cluster::ClusterSize;
use crate::model::entry::{
    ArmVitals, SAMPLE_MAX, SampledId, VERSIONS_MAX, VitalCounts, offer_slowest,
};
use crate::model::observation::{Answer, Observation};
use crate::model::spec::Dimension;
use crate::model::tally::{OTHER, Segment};
use crate::model::time::{EventTime, Span};
use crate::stats::histogram::{CoarseLatency, DenseHistogram};
use keys::Keys;
use recent::Recent;

/// The most ids of a kind that a second keeps.
const IDS_MAX: usize = 5;
/// The longest text of a sampled id, in bytes.
const SAMPLED_ID_MAX: usize = 64;
/// The longest text of what was found in a record that couldn't be read, in bytes.
const FOUND_MAX: usize = 256;

/// Vitals of one input since the last flush.
#[derive(Debug)]
pub struct VitalsCounter {
    dimensions: Vec<DeclaredDimension>,
    /// The segments that are told apart, everything first.
    segments: Vec<Segment>,
    /// By version; one that has counted nothing since the last flush gives way to another.
    versions: Vec<VersionCounts>,
    /// Where the version stands that was counted last.
    last: usize,
    recent: Recent,
    keys: Keys,
    clusters: ClusterSize,
    from: i64,
    to: i64,
    /// Whether what passes now passes with a record that wasn't counted before.
    counts_now: bool,
    unreadable: BTreeMap<Unreadable, u64>,
    unreadable_example: Option<(i64, String)>,
    overrides: u64,
    copies: u64,
    late: u64,
    late_by: CoarseLatency,
    newest: Option<EventTime>,
    oldest: Option<EventTime>,
    failed: Vec<String>,
    null: Vec<String>,
    slowest: Vec<(u64, String)>,
    version: String,
    carries: [u64; 5],
    sample: Vec<SampledId>,
}

/// A dimension with declared values.
#[derive(Debug)]
struct DeclaredDimension {
    at: usize,
    slots: HashMap<String, usize>,
    other: usize,
}

/// What one model version did.
#[derive(Debug)]
struct VersionCounts {
    version: String,
    /// By segment, everything first.
    counts: Vec<Counts>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    requests: u64,
    failed: u64,
    null: u64,
    latency: DenseHistogram<5>,
}

impl VitalsCounter {
    /// Counts from offset `from` on; with the largest one nothing, ever.
    #[must_use]
    pub fn new(dimensions: &[Dimension], (recent, keys): (Recent, Keys), from: i64) -> Self {
        let mut segments = vec![Segment::all()];
        let mut declared = Vec::new();
        for (at, dimension) in dimensions.iter().enumerate() {
            if dimension.values.declared.is_empty() {
                continue;
            }
            let mut slots = HashMap::new();
            let mut slot = |value: &str| {
                let dimension = dimension.name.clone();
                segments.push(Segment { dimension, value: value.to_owned() });
                segments.len() - 1
            };
            for value in &dimension.values.declared {
                slots.insert(value.clone(), slot(value));
            }
            let other = slot(OTHER);
            declared.push(DeclaredDimension { at, slots, other });
        }
        Self {
            dimensions: declared,
            segments,
            versions: Vec::new(),
            last: 0,
            recent,
            keys,
            clusters: ClusterSize::default(),
            from,
            to: from,
            counts_now: false,
            unreadable: BTreeMap::new(),
            unreadable_example: None,
            overrides: 0,
            copies: 0,
            late: 0,
            late_by: CoarseLatency::default(),
            newest: None,
            oldest: None,
            failed: Vec::new(),
            null: Vec::new(),
            slowest: Vec::new(),
            version: String::new(),
            carries: [0; 5],
            sample: Vec::new(),
        }
    }

    /// The record at `offset` is taken, and with it what it lets pass: whether that is yet to be counted.
    pub const fn begin(&mut self, offset: i64) -> bool {
        self.counts_now = self.to <= offset;
        if self.counts_now {
            self.to = offset + 1;
        }
        self.counts_now
    }

    /// What passes until the next record is taken passes with a fact: panes count it, vitals don't.
    pub const fn pause(&mut self) {
        self.counts_now = false;
    }

    /// The first offset that no flush has covered.
    #[must_use]
    pub const fn flushed(&self) -> i64 {
        self.from
    }

    /// The ids that passed lately.
    #[must_use]
    pub const fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Forgets the ids and keys that passed lately.
    pub fn forget_ids(&mut self) {
        self.recent.clear();
        self.keys.clear();
    }

    /// Counts the record at `offset`, which couldn't be read, for which reason, and what was found.
    pub fn add_unreadable(&mut self, offset: i64, reason: Unreadable, found: &str) {
        *self.unreadable.entry(reason).or_default() += 1;
        if self.unreadable_example.is_none() {
            self.unreadable_example = Some((offset, cut(found, FOUND_MAX).to_owned()));
        }
    }

    /// A record passes that came later than it may, so far behind what was before it.
    pub fn add_late(&mut self, by: Span) {
        if self.counts_now {
            self.late += 1;
            self.late_by.record(by.us().unsigned_abs());
        }
    }

    /// An accepted observation passes behind the running max `before`; `hash` is that of its id.
    pub fn add(&mut self, hash: u64, observation: &Observation<'_>, before: EventTime) {
        if self.from == i64::MAX {
            return;
        }
        let is_override = observation.assignment == Assignment::Override;
        let is_copy = !is_override && self.recent.is_copy(hash, observation.time, before);
        let of_key = observation.cluster.filter(|_| !is_override && !is_copy);
        let size = of_key.map(|key| self.keys.add(key, observation.time, before));
        if !self.counts_now {
            return;
        }
        self.newest = self.newest.max(Some(observation.time));
        self.oldest =
            self.oldest.map_or(Some(observation.time), |old| Some(old.min(observation.time)));
        if is_override {
            self.overrides += 1;
        } else if is_copy {
            self.copies += 1;
        } else {
            if let Some(size) = size {
                self.clusters.largest = self.clusters.largest.max(size.unwrap_or(1));
                self.clusters.unknown += u64::from(size.is_none());
            }
            self.count(observation);
        }
    }

    fn count(&mut self, observation: &Observation<'_>) {
        let version = observation.model_version.as_deref().unwrap_or_default();
        if !version.is_empty() && version != self.version {
            version.clone_into(&mut self.version);
        }
        self.illustrate(observation);
        let at = self.version_at(version);
        let counts = &mut self.versions[at].counts;
        counts[0].add(observation);
        for dimension in &self.dimensions {
            let value: &str = &observation.segments[dimension.at];
            let slot = dimension.slots.get(value).copied().unwrap_or(dimension.other);
            counts[slot].add(observation);
        }
    }

    /// Returns the newest event time of what wasn't flushed yet.
    #[must_use]
    pub const fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    /// Takes the sampled ids alone: where the rest has to wait, it is known whose they are.
    pub fn sampled(&mut self) -> Option<ArmVitals> {
        let sample = std::mem::take(&mut self.sample);
        (!sample.is_empty()).then(|| ArmVitals { sample, ..ArmVitals::default() })
    }

    /// Returns where a version is counted: in its own place, in one that is free, or with the others.
    fn version_at(&mut self, version: &str) -> usize {
        if self.versions.get(self.last).is_some_and(|of| of.version == version) {
            return self.last;
        }
        let find = |versions: &[VersionCounts], version: &str| {
            versions.iter().position(|of| of.version == version)
        };
        let known = find(&self.versions, version);
        self.last = known.unwrap_or_else(|| {
            let apart = self.versions.iter().filter(|of| of.version != OTHER).count();
            let free = |of: &VersionCounts| of.is_empty() && of.version != OTHER;
            if let Some(free) = self.versions.iter().position(free) {
                version.clone_into(&mut self.versions[free].version);
                return free;
            }
            let version = if apart < VERSIONS_MAX { version } else { OTHER };
            find(&self.versions, version).unwrap_or_else(|| {
                let counts = vec![Counts::default(); self.segments.len()];
                self.versions.push(VersionCounts { version: version.to_owned(), counts });
                self.versions.len() - 1
            })
        });
        self.last
    }

    /// Takes what was counted since the last flush, and was old when it was read or not; `None` if nothing was read.
    pub fn flush(&mut self, catching_up: bool) -> Option<ArmVitals> {
        if self.from == self.to {
            return None;
        }
        let mut counts = BTreeMap::new();
        for of in self.versions.iter_mut().filter(|of| !of.is_empty()) {
            let counted = self.segments.iter().zip(&mut of.counts);
            let counted = counted.filter(|(_, slot)| slot.requests != 0);
            let counted = counted.map(|(segment, slot)| (segment.clone(), slot.take()));
            counts.insert(of.version.clone(), counted.collect());
        }
        Some(ArmVitals {
            from: std::mem::replace(&mut self.from, self.to),
            to: self.to,
            unreadable: std::mem::take(&mut self.unreadable),
            unreadable_example: self.unreadable_example.take(),
            overrides: std::mem::take(&mut self.overrides),
            copies: std::mem::take(&mut self.copies),
            late: std::mem::take(&mut self.late),
            late_by: std::mem::take(&mut self.late_by),
            newest: self.newest.take(),
            oldest: self.oldest.take(),
            counts,
            clusters: std::mem::take(&mut self.clusters),
            failed: std::mem::take(&mut self.failed),
            null: std::mem::take(&mut self.null),
            slowest: std::mem::take(&mut self.slowest),
            version: Some(std::mem::take(&mut self.version)).filter(|version| !version.is_empty()),
            carries: std::mem::take(&mut self.carries),
            sample: std::mem::take(&mut self.sample),
            catching_up,
        })
    }

    /// A record that wasn't counted before is read, whatever becomes of it: counts what it carries, and keeps its id
    /// if its hash is among the lowest, so that both arms sample the same requests, even those that never meet.
    pub fn see(&mut self, hash: u64, observation: &Observation<'_>) {
        if !self.counts_now || observation.assignment == Assignment::Override {
            return;
        }
        for (bit, count) in self.carries.iter_mut().enumerate() {
            *count += u64::from((observation.carries >> bit) & 1);
        }
        let is_full = self.sample.len() == SAMPLE_MAX;
        if is_full && self.sample.last().is_some_and(|last| last.hash <= hash) {
            return;
        }
        let id = cut(&observation.request_id, SAMPLED_ID_MAX).to_owned();
        let one = SampledId { hash, time: observation.time, id };
        let at = self.sample.partition_point(|other| *other < one);
        self.sample.insert(at, one);
        self.sample.truncate(SAMPLE_MAX);
    }

    fn illustrate(&mut self, observation: &Observation<'_>) {
        let ids = match observation.answer {
            Answer::Failed => &mut self.failed,
            Answer::Null => &mut self.null,
            Answer::Label(_) | Answer::Number(_) => {
                if let Some(latency) = observation.latency_us
                    && (self.slowest.len() < IDS_MAX
                        || self.slowest.last().is_some_and(|(least, _)| *least < latency))
                {
                    offer_slowest(&mut self.slowest, IDS_MAX, latency, &observation.request_id);
                }
                return;
            }
        };
        if ids.len() < IDS_MAX {
            ids.push(observation.request_id.clone().into_owned());
        }
    }
}

impl VersionCounts {
    /// Returns whether it has counted nothing since the last flush.
    fn is_empty(&self) -> bool {
        self.counts.first().is_none_or(|all| all.requests == 0)
    }
}

impl Counts {
    fn add(&mut self, observation: &Observation<'_>) {
        self.requests += 1;
        if observation.answer == Answer::Failed {
            self.failed += 1;
            return;
        }
        self.null += u64::from(observation.answer == Answer::Null);
        if let Some(latency) = observation.latency_us {
            self.latency.record(latency);
        }
    }

    fn take(&mut self) -> VitalCounts {
        let latency = self.latency.to_sparse();
        self.latency.clear();
        VitalCounts {
            requests: std::mem::take(&mut self.requests),
            failed: std::mem::take(&mut self.failed),
            null: std::mem::take(&mut self.null),
            latency,
        }
    }
}

/// No more than so many bytes of a text, cut between characters.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}
