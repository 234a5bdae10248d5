//! What a task and the evaluator write to their logs: claims, facts, vitals, closed panes, weighings.
//!
//! In: results. Out: entries, the only truth that outlives a process. Holds: entries are integers,
//! text and histograms; nothing in them depends on the order of reading. Knows nothing of: how a
//! log stores them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bucket::{Buckets, Unreadable};
use super::cluster::ClusterSize;
use super::loss::{GapMark, Loss};
use super::resume::ResumePoint;
use super::spec::RulesSpec;
use super::tally::{Segment, Tally};
use super::time::{EventTime, Span};
use super::times::{Hold, Tempo, Times};
use crate::stats::histogram::CoarseLatency;

/// "This input stood at its end at `offset`, time may pass to `time`": not derivable from the
/// input, so it is written down before it is obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fact {
    /// Which input of the task.
    pub input: u8,
    /// Obeyed before the first record at or after this offset.
    pub offset: i64,
    /// Time may pass to here.
    pub time: EventTime,
    /// The end of a bounded input: what waits as a leap is believed whatever it shows.
    pub end: bool,
    /// Host time at which the end was confirmed; it may not be far from the broker's.
    pub confirmed: EventTime,
}

/// A fact whose confirmation and append lie further apart isn't obeyed by anybody: a clock is wrong.
pub const FACT_DRIFT: Span = Span::from_secs(2);

impl Fact {
    /// Returns whether it may be obeyed, given when the log's broker appended it, if it says.
    #[must_use]
    pub fn is_sound(&self, appended: Option<EventTime>) -> bool {
        let apart = |at: EventTime| at.since(self.confirmed).max(self.confirmed.since(at));
        self.end || appended.is_none_or(|at| apart(at) <= FACT_DRIFT)
    }
}

/// Where to re-read each feed of a comparison of topics that aren't co-partitioned. It belongs to the entry
/// that closes panes next, and counts with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedPoints {
    /// Which candidate.
    pub comparison: u8,
    /// How many partitions each arm has, the primary first: they number the task's inputs.
    pub partitions: Vec<u32>,
    /// By feed, the primary's first, then the candidate's.
    pub resume: Vec<ResumePoint>,
}

/// A file of pair rows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct PairFile {
    /// First pane it holds rows of.
    pub from: EventTime,
    /// End of the last one.
    pub to: EventTime,
    /// Its name, without folder.
    pub name: String,
}

/// Ids that illustrate a pane, so that a verdict can name requests.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Examples {
    /// (hash, id) of pairs that differ; the lowest hashes first.
    pub mismatched: Vec<(u64, String)>,
    /// (hash, id) of requests that the candidate failed.
    pub failed: Vec<(u64, String)>,
    /// (hash, id) of requests that the candidate answered without a usable prediction.
    pub null: Vec<(u64, String)>,
    /// (hash, id) of requests that the candidate didn't answer.
    pub unmatched: Vec<(u64, String)>,
    /// (latency in µs, id) of the candidate's slowest answers; the slowest first.
    pub slowest: Vec<(u64, String)>,
}

/// The most examples of a kind that are kept.
pub const EXAMPLES_MAX: usize = 10;

impl Examples {
    /// Keeps the lowest hashes (slowest answers) of both.
    pub fn merge(&mut self, other: &Self) {
        merge_lowest(&mut self.mismatched, &other.mismatched);
        merge_lowest(&mut self.failed, &other.failed);
        merge_lowest(&mut self.null, &other.null);
        merge_lowest(&mut self.unmatched, &other.unmatched);
        for (latency, id) in &other.slowest {
            offer_slowest(&mut self.slowest, EXAMPLES_MAX, *latency, id);
        }
    }
}

fn merge_lowest(into: &mut Vec<(u64, String)>, from: &[(u64, String)]) {
    for (hash, id) in from {
        offer_lowest(into, *hash, id);
    }
}

/// Keeps `id` if its hash is among the lowest.
pub fn offer_lowest(kept: &mut Vec<(u64, String)>, hash: u64, id: &str) {
    let at = kept.partition_point(|(h, other)| (*h, other.as_str()) < (hash, id));
    insert(kept, EXAMPLES_MAX, at, (hash, id));
}

/// Keeps `id` if its latency is among the `most` highest; ties by id.
pub fn offer_slowest(kept: &mut Vec<(u64, String)>, most: usize, latency: u64, id: &str) {
    let at =
        kept.partition_point(|(l, other)| *l > latency || (*l == latency && other.as_str() < id));
    insert(kept, most, at, (latency, id));
}

/// Inserts what isn't there yet; the text of the one that gives way is used again.
fn insert(kept: &mut Vec<(u64, String)>, most: usize, at: usize, (number, id): (u64, &str)) {
    if most <= at || kept.get(at).is_some_and(|(n, other)| (*n, other.as_str()) == (number, id)) {
        return;
    }
    let evicted = if kept.len() < most { None } else { kept.pop() };
    let mut text = evicted.map_or_else(String::new, |(_, text)| text);
    text.clear();
    text.push_str(id);
    kept.insert(at, (number, text));
}

/// The most model versions that a task tells apart in one pane, or in one flush of vitals.
pub const VERSIONS_MAX: usize = 8;

/// The result of one pane of one comparison in one task.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pane {
    /// Its start; `EventTime::START` for what was read before time began.
    pub start: EventTime,
    /// Where the primary's records went.
    pub primary: Buckets,
    /// Where the candidate's records went.
    pub candidate: Buckets,
    /// Tallies by the candidate's model version, then by segment; `Segment::all()` is there for each version.
    /// Under "" stand answers whose record names no version, and primaries without the candidate's answer;
    /// under `OTHER` what is beyond `VERSIONS_MAX`.
    pub tallies: BTreeMap<String, BTreeMap<Segment, Tally>>,
    /// How large the clusters of each arm are that count as evidence, the primary's first.
    pub clusters: [ClusterSize; 2],
    /// Requests to look at.
    pub examples: Examples,
    /// Offsets of each arm's records that belong to this pane: (first, last), if any, and if they lie in one
    /// partition.
    pub offsets: [Option<(i64, i64)>; 2],
    /// The candidate's model version that was seen last in this pane, and when.
    pub version: Option<(EventTime, String)>,
    /// An idle fact let time pass over this pane.
    pub fact_touched: bool,
    /// A bounded set overflowed: some values stand under `__other__`.
    pub partial: bool,
}

impl Pane {
    /// A pane in which nothing happened.
    #[must_use]
    pub fn empty(start: EventTime) -> Self {
        Self {
            start,
            primary: Buckets::default(),
            candidate: Buckets::default(),
            tallies: BTreeMap::new(),
            clusters: [ClusterSize::default(); 2],
            examples: Examples::default(),
            offsets: [None; 2],
            version: None,
            fact_touched: false,
            partial: false,
        }
    }

    /// Tallies by segment, whatever the version.
    #[must_use]
    pub fn total(&self) -> BTreeMap<Segment, Tally> {
        let mut versions = self.tallies.values();
        let mut total = versions.next().cloned().unwrap_or_default();
        versions.for_each(|tallies| merge_tallies(&mut total, tallies));
        total
    }

    /// Adds another task's part of the same pane.
    pub fn merge(&mut self, other: &Self) {
        for (version, tallies) in &other.tallies {
            merge_tallies(self.tallies.entry(version.clone()).or_default(), tallies);
        }
        for (mine, theirs) in self.clusters.iter_mut().zip(other.clusters) {
            mine.merge(theirs);
        }
        self.merge_rest(other);
    }

    /// Adds another pane of the same window: all its tallies stand under "", whatever their version.
    pub fn merge_total(&mut self, other: &Self) {
        for tallies in other.tallies.values() {
            merge_tallies(self.tallies.entry(String::new()).or_default(), tallies);
        }
        for (mine, theirs) in self.clusters.iter_mut().zip(other.clusters) {
            mine.raise(theirs);
        }
        self.merge_rest(other);
    }

    fn merge_rest(&mut self, other: &Self) {
        self.primary.merge(&other.primary);
        self.candidate.merge(&other.candidate);
        self.examples.merge(&other.examples);
        if other.version > self.version {
            self.version.clone_from(&other.version);
        }
        self.fact_touched |= other.fact_touched;
        self.partial |= other.partial;
    }
}

fn merge_tallies(into: &mut BTreeMap<Segment, Tally>, from: &BTreeMap<Segment, Tally>) {
    for (segment, tally) in from {
        if let Some(mine) = into.get_mut(segment) {
            mine.merge(tally);
        } else {
            into.insert(segment.clone(), tally.clone());
        }
    }
}

/// Panes of one comparison that can no longer change, and how to go on from here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Which candidate.
    pub comparison: u8,
    /// Everything before this time is closed.
    pub to: EventTime,
    /// The closed panes in which something happened, oldest first.
    pub panes: Vec<Pane>,
    /// Where to re-read each of the two inputs; where the arms have several, the first of each: `FeedPoints`
    /// holds them all.
    pub resume: [ResumePoint; 2],
    /// Facts at or after the resume points, of all its inputs, and at or after those of `vitals`.
    pub facts: Vec<Fact>,
    /// Pair files that are staged and durable, and not known to be in place yet: they are put there
    /// after this entry. Oldest first.
    pub files: Vec<PairFile>,
    /// First pane whose pair rows are in no file that is known to be in place.
    pub rows_from: EventTime,
    /// By input.
    pub vitals: Vec<VitalsPoint>,
}

/// How far the vitals of one input have counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VitalsPoint {
    /// The first offset that no vitals before this entry cover.
    pub to: i64,
    /// Where to read again so that they go on, if no comparison that isn't parked says that of the input.
    pub resume: Option<ResumePoint>,
}

/// Vitals of one arm and segment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct VitalCounts {
    /// Observations by random assignment that were neither late nor copies.
    pub requests: u64,
    /// Of them failed.
    pub failed: u64,
    /// Of them answered without a usable prediction.
    pub null: u64,
    /// Latency of the answered, in microseconds.
    pub latency: CoarseLatency,
}

impl VitalCounts {
    /// Observations that came back.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.requests - self.failed
    }

    /// Adds another second's or task's counts.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.null += other.null;
        self.latency.merge(&other.latency);
    }
}

/// Vitals of one arm over one second.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ArmVitals {
    /// Offsets counted: from (inclusive), to (exclusive).
    pub from: i64,
    /// See `from`.
    pub to: i64,
    /// Records that couldn't be read, by reason.
    pub unreadable: BTreeMap<Unreadable, u64>,
    /// The first of them: offset and what was found.
    pub unreadable_example: Option<(i64, String)>,
    /// Overridden observations: counted, never weighed.
    pub overrides: u64,
    /// Copies of records that were counted before: never weighed.
    pub copies: u64,
    /// Records that came later than `wait`: never weighed.
    pub late: u64,
    /// How far these lay behind what was before them in their partition, in microseconds.
    pub late_by: CoarseLatency,
    /// Newest event time that passed, if any.
    pub newest: Option<EventTime>,
    /// Oldest event time that passed, if any.
    pub oldest: Option<EventTime>,
    /// By model version (the empty text where the record says none; at most `VERSIONS_MAX`, more stand under
    /// `OTHER`), then by segment: only declared values, and everything.
    pub counts: BTreeMap<String, BTreeMap<Segment, VitalCounts>>,
    /// How large the clusters are that the counted ones belong to, each with all of its pane so far.
    pub clusters: ClusterSize,
    /// Ids of failed requests.
    pub failed: Vec<String>,
    /// Ids of requests without a usable prediction.
    pub null: Vec<String>,
    /// (latency in µs, id) of the slowest answers.
    pub slowest: Vec<(u64, String)>,
    /// Version of the model that answered last.
    pub version: Option<String>,
    /// How many of the observations read carry a label, a score, a value, scores, a latency: see
    /// `Observation::carries`.
    pub carries: [u64; 5],
    /// Ids with the lowest hashes, ascending by hash, at most `SAMPLE_MAX`: both arms sample the same requests.
    pub sample: Vec<SampledId>,
    /// Even the freshest of the records was older than a minute when it was read: catching up.
    pub catching_up: bool,
}

/// A request that both arms sample alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SampledId {
    /// Hash of the whole id.
    pub hash: u64,
    /// When it happened.
    pub time: EventTime,
    /// The id, cut short if it is long.
    pub id: String,
}

/// The most ids that a flush of vitals samples.
pub const SAMPLE_MAX: usize = 16;

impl ArmVitals {
    /// Records that couldn't be read, whatever the reason.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.values().sum()
    }

    /// Counts by segment, whatever the version.
    #[must_use]
    pub fn total(&self) -> BTreeMap<Segment, VitalCounts> {
        total(&self.counts)
    }
}

/// Counts by segment, whatever the version.
#[must_use]
pub fn total(
    counts: &BTreeMap<String, BTreeMap<Segment, VitalCounts>>,
) -> BTreeMap<Segment, VitalCounts> {
    let mut total: BTreeMap<Segment, VitalCounts> = BTreeMap::new();
    for (segment, counts) in counts.values().flatten() {
        match total.get_mut(segment) {
            Some(mine) => mine.merge(counts),
            None => {
                total.insert(segment.clone(), counts.clone());
            }
        }
    }
    total
}

/// What a task counted in one second, before any join.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Vitals {
    /// By input.
    pub arms: Vec<ArmVitals>,
    /// Host time at which the second ended (event time in a replay).
    pub at: EventTime,
}

/// By which times a task's owner goes; the last one counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimesSaid {
    /// All of them.
    pub times: Times,
    /// How far it closes, while a change is on its way.
    pub hold: Option<Hold>,
    /// Up to where it had heard the evaluator.
    pub heard: Heard,
    /// Hash of what it does but for its times.
    pub config: u64,
}

/// How far the evaluator's stream was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Position of the last frame.
    pub position: u64,
    /// The epoch in force there.
    pub epoch: u64,
}

/// One entry of a task's log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// A new owner begins; older epochs' entries after it are ignored.
    Claim {
        /// Tells two claims at the same position of diverged logs apart.
        nonce: u64,
        /// Hash of what the pipeline's tasks do.
        config: u64,
    },
    /// Time may pass.
    Fact(Fact),
    /// A second of vitals.
    Vitals(Vitals),
    /// Panes closed.
    Checkpoint(Checkpoint),
    /// Records are gone, and that was accepted.
    Lost(Loss),
    /// Panes may lack them.
    GapMarks(GapMark),
    /// A comparison's last word again, so that a log that forgets what is old keeps it. All that was written
    /// before it had been read back: nothing further back is needed. No pane is in it.
    Repeated(Checkpoint),
    /// Where to re-read what the next closed panes, or the next repeated word, came from.
    Feeds(FeedPoints),
    /// By which times this owner goes.
    Times(TimesSaid),
}

impl Entry {
    /// A comparison's word on how far it is closed, and how to go on from there.
    #[must_use]
    pub const fn word(&self) -> Option<&Checkpoint> {
        match self {
            Self::Checkpoint(closed) | Self::Repeated(closed) => Some(closed),
            Self::Claim { .. }
            | Self::Fact(_)
            | Self::Vitals(_)
            | Self::Lost(_)
            | Self::GapMarks(_)
            | Self::Feeds(_)
            | Self::Times(_) => None,
        }
    }

    /// By which times its owner goes, if it says that.
    #[must_use]
    pub const fn times(&self) -> Option<TimesSaid> {
        match self {
            Self::Times(said) => Some(*said),
            _ => None,
        }
    }
}

/// One entry of the evaluator's log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum EvaluatorEntry {
    /// A new owner begins.
    Claim {
        /// See `Entry::Claim`.
        nonce: u64,
        /// See `Entry::Claim`.
        config: u64,
    },
    /// These vitals are weighed next: per task the number of its vitals entries that belong to
    /// this cut and all before it.
    Cut {
        /// Ends, by task.
        ends: Vec<u64>,
        /// Host time of the cut (event time in a replay).
        at: EventTime,
    },
    /// All panes of this comparison before this time are weighed next.
    Panes {
        /// Which candidate.
        comparison: u8,
        /// Every task has closed everything before this time, but for the missing ones.
        to: EventTime,
        /// Tasks that are waited for no longer, each with how far it has closed: what it closes
        /// later revises windows, and no decision.
        missing: Vec<(u32, EventTime)>,
    },
    /// The signal with this sequence was acknowledged by the control topic.
    Sent {
        /// Its sequence.
        sequence: u64,
    },
    /// The evaluator's whole state; what came before it isn't needed any more.
    State {
        /// The state, opaque to the log.
        bytes: Vec<u8>,
        /// Files that are staged and durable; they are put in place after this entry.
        files: Vec<TableFile>,
    },
    /// What follows is weighed under these rules, if their revision is the highest so far.
    Change(RulesSpec),
    /// A pipeline file asks for another tempo: tasks say how far they close until they hear more.
    Asks {
        /// Its revision.
        revision: u32,
        /// What it asks for.
        tempo: Tempo,
    },
    /// Tasks go by these times, if their revision is the highest so far; the first one says how it was from
    /// the beginning.
    TempoChange(Times),
}

impl EvaluatorEntry {
    /// Returns whether it says what is weighed next, or under which rules and times.
    #[must_use]
    pub const fn is_command(&self) -> bool {
        match self {
            Self::Cut { .. }
            | Self::Panes { .. }
            | Self::Change(_)
            | Self::Asks { .. }
            | Self::TempoChange(_) => true,
            Self::Claim { .. } | Self::Sent { .. } | Self::State { .. } => false,
        }
    }

    /// The rules that it puts in force, if it does.
    #[must_use]
    pub const fn rules(&self) -> Option<&RulesSpec> {
        match self {
            Self::Change(rules) => Some(rules),
            _ => None,
        }
    }

    /// The times that it puts in force, if it does.
    #[must_use]
    pub const fn times(&self) -> Option<&Times> {
        match self {
            Self::TempoChange(times) => Some(times),
            _ => None,
        }
    }
}

/// A file of the evaluator's rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TableFile {
    /// `windows`, `panes` or `decisions`.
    pub table: String,
    /// Which candidate.
    pub comparison: u8,
    /// First time that it holds; it lies in the folder of that day.
    pub first: EventTime,
    /// Its name, without folder.
    pub name: String,
}
