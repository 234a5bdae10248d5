//! Mergeable integers and histograms of one span, segment and comparison.
//!
//! In: compared observations, or other tallies. Out: counts. Holds: merging is exact, associative
//! and commutative with the empty tally as identity; every rate can be formed with its denominator.
//! Knows nothing of: panes, windows, tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::histogram::Latency;

/// The name that gathers values beyond a bounded set.
pub const OTHER: &str = "__other__";
/// The category of an answer without a usable prediction.
pub const NULL: &str = "__null__";

/// The slice a tally is for: everything, or one value of one dimension.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Segment {
    /// The dimension's name; empty for everything.
    pub dimension: String,
    /// The value; empty for everything.
    pub value: String,
}

impl Segment {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Returns whether this is everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.dimension.is_empty()
    }
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_all() {
            f.write_str("all")
        } else {
            write!(f, "{}={}", self.dimension, self.value)
        }
    }
}

/// What one arm did: first, randomly assigned observations only.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ArmTally {
    /// Observations.
    pub requests: u64,
    /// Of them failed.
    pub failed: u64,
    /// Of them answered without a usable prediction.
    pub null: u64,
    /// Latency of answered observations that carry one, in microseconds.
    pub latency: Latency,
    /// Answered predictions by class.
    pub labels: BTreeMap<String, u64>,
    /// Answered numbers by bin of the frozen edges: below the first, …, at or above the last.
    pub scores: Vec<u64>,
}

impl ArmTally {
    /// Observations that came back with or without a usable prediction.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.requests - self.failed
    }

    /// Observations that came back with a usable prediction.
    #[must_use]
    pub const fn predicted(&self) -> u64 {
        self.requests - self.failed - self.null
    }

    /// Adds another span's or task's counts.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.null += other.null;
        self.latency.merge(&other.latency);
        merge_counts(&mut self.labels, &other.labels);
        if self.scores.len() < other.scores.len() {
            self.scores.resize(other.scores.len(), 0);
        }
        for (mine, theirs) in self.scores.iter_mut().zip(&other.scores) {
            *mine += theirs;
        }
    }
}

/// A primary's class, or another category, and the candidate's for the same request.
pub type Flip = (String, String);

/// Both arms of one comparison, side by side.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// What the primary did.
    pub primary: ArmTally,
    /// What the candidate did.
    pub candidate: ArmTally,
    /// Requests with both answers.
    pub paired: u64,
    /// Pairs in which both arms answered with a usable prediction.
    pub comparable: u64,
    /// Comparable pairs that agree.
    pub matched: u64,
    /// Primaries without the candidate's answer, because none was accepted.
    pub unmatched_missing: u64,
    /// Primaries without the candidate's answer, because that record couldn't be read.
    pub unmatched_unreadable: u64,
    /// Candidate's answers without a primary.
    pub orphans: u64,
    /// Pairs in which only the candidate failed.
    pub candidate_only_failed: u64,
    /// Pairs in which only the primary failed.
    pub primary_only_failed: u64,
    /// Pairs in which both arms failed.
    pub both_failed: u64,
    /// Comparable pairs of classes that differ, by (primary, candidate).
    pub flips: BTreeMap<Flip, u64>,
    /// Pairs in which both answered and whose categories differ without being a flip, by (primary,
    /// candidate): a class, a bin of the frozen edges as `bin 0`, `bin 1`, … or `NULL`.
    pub moves: BTreeMap<Flip, u64>,
}

impl Tally {
    /// Primaries without the candidate's answer.
    #[must_use]
    pub const fn unmatched(&self) -> u64 {
        self.unmatched_missing + self.unmatched_unreadable
    }

    /// Adds another span's or task's counts.
    pub fn merge(&mut self, other: &Self) {
        self.primary.merge(&other.primary);
        self.candidate.merge(&other.candidate);
        self.paired += other.paired;
        self.comparable += other.comparable;
        self.matched += other.matched;
        self.unmatched_missing += other.unmatched_missing;
        self.unmatched_unreadable += other.unmatched_unreadable;
        self.orphans += other.orphans;
        self.candidate_only_failed += other.candidate_only_failed;
        self.primary_only_failed += other.primary_only_failed;
        self.both_failed += other.both_failed;
        merge_counts(&mut self.flips, &other.flips);
        merge_counts(&mut self.moves, &other.moves);
    }
}

/// Adds the counts of `from` to those of `into`, key by key.
pub fn merge_counts<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        if let Some(mine) = into.get_mut(key) {
            *mine += count;
        } else {
            into.insert(key.clone(), *count);
        }
    }
}
