//! What is counted of one version and segment while a pane is closed.
//!
//! In: halves of requests. Out: a tally. Holds: names stand by number until the pane's end, when it is known
//! which of them are kept; memory is reused. Knows nothing of: views, versions, which names are kept.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::tally::{ArmTally, Flip, NULL, OTHER, Tally};
use crate::stats::histogram::DenseHistogram;

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) primary: DenseArm,
    pub(super) candidate: DenseArm,
    pub(super) counts: Tally,
    pub(super) flips: HashMap<(Category, Category), u64>,
    pub(super) moves: HashMap<(Category, Category), u64>,
}

#[derive(Debug, Default)]
pub(super) struct DenseArm {
    pub(super) requests: u64,
    failed: u64,
    null: u64,
    latency: DenseHistogram<8>,
    pub(super) labels: Vec<u64>,
    scores: Vec<u64>,
}

/// What an arm's answer to a request adds to a slot.
#[derive(Clone, Copy)]
pub(super) struct Half {
    pub(super) failed: bool,
    pub(super) latency_us: Option<u64>,
    /// Of one that failed it means nothing.
    pub(super) category: Category,
}

/// What was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Category {
    /// No usable prediction.
    Null,
    /// A class by number.
    Class(u32),
    /// A number by bin of the frozen edges.
    Bin(usize),
}

impl Category {
    pub(super) const fn is_class(self) -> bool {
        matches!(self, Self::Class(_))
    }

    fn name(self, classes: &[String]) -> String {
        match self {
            Self::Null => NULL.to_owned(),
            Self::Class(class) => {
                classes.get(class as usize).map_or_else(|| OTHER.to_owned(), String::clone)
            }
            Self::Bin(bin) => format!("bin {bin}"),
        }
    }
}

impl DenseArm {
    pub(super) fn add(&mut self, half: Half, bins: usize) {
        self.requests += 1;
        if half.failed {
            self.failed += 1;
            return;
        }
        if let Some(latency) = half.latency_us {
            self.latency.record(latency);
        }
        match half.category {
            Category::Class(class) => {
                let class = class as usize;
                if self.labels.len() <= class {
                    self.labels.resize(class + 1, 0);
                }
                self.labels[class] += 1;
            }
            Category::Bin(bin) => {
                self.scores.resize(bins, 0);
                self.scores[bin] += 1;
            }
            Category::Null => self.null += 1,
        }
    }

    fn take(&mut self, names: &[String]) -> ArmTally {
        let mut labels = BTreeMap::new();
        for (name, count) in names.iter().zip(self.labels.drain(..)).filter(|(_, n)| *n != 0) {
            *labels.entry(name.clone()).or_default() += count;
        }
        let latency = self.latency.to_sparse();
        self.latency.clear();
        ArmTally {
            requests: std::mem::take(&mut self.requests),
            failed: std::mem::take(&mut self.failed),
            null: std::mem::take(&mut self.null),
            latency,
            labels,
            scores: std::mem::take(&mut self.scores),
        }
    }
}

impl Slot {
    pub(super) fn take(&mut self, names: &[String]) -> Tally {
        let mut tally = std::mem::take(&mut self.counts);
        tally.primary = self.primary.take(names);
        tally.candidate = self.candidate.take(names);
        tally.flips = named(&mut self.flips, names);
        tally.moves = named(&mut self.moves, names);
        tally
    }

    pub(super) fn clear(&mut self) {
        self.take(&[]);
    }
}

/// Counts by what keeps its name; those that share one are added.
fn named(counts: &mut HashMap<(Category, Category), u64>, names: &[String]) -> BTreeMap<Flip, u64> {
    let mut by_name = BTreeMap::new();
    for ((from, to), count) in counts.drain() {
        *by_name.entry((from.name(names), to.name(names))).or_default() += count;
    }
    by_name
}
