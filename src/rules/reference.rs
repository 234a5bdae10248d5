//! The primary's latency of the looks before this one.
//!
//! In: the primary's latencies look by look. Out: the latency beyond which one of its answers is slow. Holds: a
//! look never judges by itself, so the threshold is fixed before the data it judges; any such threshold is
//! valid, since both arms are judged by it in the same look (`docs/statistics.md`): a poor one costs power
//! alone; memory is a fixed number of blocks. Knows nothing of: the candidate.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::stats::histogram::CoarseLatency;

/// Blocks that are kept where they hold enough.
const BLOCKS: usize = 10;
/// Blocks that are kept where they don't: an hour of seconds.
const BLOCKS_MAX: usize = 120;
/// So many values should lie beyond the quantile.
const BEYOND: f64 = 10.0;
/// With fewer beyond it the quantile says nothing.
const BEYOND_MIN: f64 = 2.0;

/// The primary's recent latencies.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    blocks: VecDeque<CoarseLatency>,
    looks_in_block: u32,
    looks_per_block: u32,
    quantile: f64,
}

impl Reference {
    pub(super) const fn new(looks_per_block: u32, quantile: f64) -> Self {
        Self { blocks: VecDeque::new(), looks_in_block: 0, looks_per_block, quantile }
    }

    /// Adds a look that has been judged.
    pub(super) fn add(&mut self, latency: &CoarseLatency) {
        if self.blocks.is_empty() || self.looks_in_block == self.looks_per_block {
            self.make_room();
            self.blocks.push_back(CoarseLatency::default());
            self.looks_in_block = 0;
        }
        self.looks_in_block += 1;
        if let Some(block) = self.blocks.back_mut() {
            block.merge(latency);
        }
    }

    /// Old blocks go, as long as the others hold enough.
    fn make_room(&mut self) {
        while BLOCKS <= self.blocks.len() {
            let left: u64 = self.blocks.iter().skip(1).map(CoarseLatency::total).sum();
            if self.blocks.len() < BLOCKS_MAX && self.beyond(left) < BEYOND {
                break;
            }
            self.blocks.pop_front();
        }
    }

    /// Returns how many of so many answers lie beyond the quantile.
    #[expect(clippy::cast_precision_loss, reason = "counts of answers lie far below 2^53")]
    fn beyond(&self, answers: u64) -> f64 {
        answers as f64 * (1.0 - self.quantile)
    }

    /// Answers that it holds, and how many it needs.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sample size")]
    pub(super) fn has_of_needed(&self) -> (u64, u64) {
        let has = self.blocks.iter().map(CoarseLatency::total).sum();
        (has, (BEYOND_MIN / (1.0 - self.quantile)).ceil() as u64)
    }

    /// The quantile in microseconds, as the upper end of its bucket; `None` with too little data.
    pub(super) fn us(&self) -> Option<u64> {
        let mut all = CoarseLatency::default();
        self.blocks.iter().for_each(|block| all.merge(block));
        // A quarter of a request of rounding doesn't matter.
        if self.beyond(all.total()) < BEYOND_MIN - 1e-6 {
            return None;
        }
        all.quantile(self.quantile).map(CoarseLatency::highest_equivalent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(values: u64) -> CoarseLatency {
        let mut latency = CoarseLatency::default();
        latency.record_n(1_000, values);
        latency
    }

    #[test]
    fn low_traffic_is_remembered_for_longer() {
        let mut reference = Reference::new(1, 0.99);
        for _ in 0..60 {
            reference.add(&look(3));
        }
        assert_eq!(reference.us(), None, "180 answers");
        assert_eq!(reference.has_of_needed(), (180, 200));
        for _ in 60..100 {
            reference.add(&look(3));
        }
        assert!(reference.us().is_some());
        assert_eq!(reference.blocks.len(), 100);
        for _ in 0..10 {
            reference.add(&look(10_000));
        }
        assert_eq!(reference.blocks.len(), 10, "enough: old ones go");
        for _ in 0..1_000 {
            reference.add(&look(0));
        }
        assert!(reference.blocks.len() <= BLOCKS_MAX);
    }
}
