//! The primary's latency of the looks before this one.
//!
//! In: the primary's latencies look by look. Out: the latency beyond which an answer is slow.
//! Holds: a look never judges by itself, so the threshold is fixed before the data it judges; memory
//! is a fixed number of blocks. Knows nothing of: the candidate.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::stats::histogram::CoarseLatency;

/// Blocks that are kept.
const BLOCKS: usize = 10;
/// So many values must lie beyond the quantile before it means anything.
const BEYOND_MIN: f64 = 10.0;
/// The quantile is taken at the upper end of its 99 % one-sided confidence interval.
const Z: f64 = 2.326;

/// The primary's recent latencies.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    blocks: VecDeque<CoarseLatency>,
    looks_in_block: u32,
    looks_per_block: u32,
}

impl Reference {
    pub(super) const fn new(looks_per_block: u32) -> Self {
        Self { blocks: VecDeque::new(), looks_in_block: 0, looks_per_block }
    }

    /// Adds a look that has been judged.
    pub(super) fn add(&mut self, latency: &CoarseLatency) {
        if self.blocks.is_empty() || self.looks_in_block == self.looks_per_block {
            if self.blocks.len() == BLOCKS {
                self.blocks.pop_front();
            }
            self.blocks.push_back(CoarseLatency::default());
            self.looks_in_block = 0;
        }
        self.looks_in_block += 1;
        if let Some(block) = self.blocks.back_mut() {
            block.merge(latency);
        }
    }

    /// The quantile's upper confidence bound in microseconds; `None` with too little data.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie far below 2^53"
    )]
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        let mut all = CoarseLatency::default();
        for block in &self.blocks {
            all.merge(block);
        }
        let n = all.total() as f64;
        if n * (1.0 - q) < BEYOND_MIN {
            return None;
        }
        let rank = (n * q + Z * (n * q * (1.0 - q)).sqrt()).ceil().min(n);
        all.value_at_rank(rank as u64)
    }
}
