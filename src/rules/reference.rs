//! The primary's latency of the looks before this one.
//!
//! In: the primary's latencies and failures look by look. Out: the latency beyond which an answer is
//! slow, and the share of the primary's own requests that lie beyond it or fail: more than that is
//! the candidate's doing.
//! Holds: a look never judges by itself, so the threshold is fixed before the data it judges; memory
//! is a fixed number of blocks. Knows nothing of: the candidate.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::finding::Share;
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
    blocks: VecDeque<Block>,
    looks_in_block: u32,
    looks_per_block: u32,
}

/// Some looks together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Block {
    latency: CoarseLatency,
    failed: Share,
}

impl Reference {
    pub(super) const fn new(looks_per_block: u32) -> Self {
        Self { blocks: VecDeque::new(), looks_in_block: 0, looks_per_block }
    }

    /// Adds a look that has been judged.
    pub(super) fn add(&mut self, latency: &CoarseLatency, failed: Share) {
        if self.blocks.is_empty() || self.looks_in_block == self.looks_per_block {
            if self.blocks.len() == BLOCKS {
                self.blocks.pop_front();
            }
            self.blocks.push_back(Block::default());
            self.looks_in_block = 0;
        }
        self.looks_in_block += 1;
        if let Some(block) = self.blocks.back_mut() {
            block.latency.merge(latency);
            block.failed.add(failed);
        }
    }

    /// The quantile's upper confidence bound in microseconds, and the upper bound of the share of the
    /// primary's requests that are slower or fail; `None` with too little data.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie far below 2^53"
    )]
    pub(super) fn quantile(&self, q: f64) -> Option<(u64, f64)> {
        let (mut all, mut failed) = (CoarseLatency::default(), Share::default());
        for block in &self.blocks {
            all.merge(&block.latency);
            failed.add(block.failed);
        }
        let n = all.total() as f64;
        if n * (1.0 - q) < BEYOND_MIN {
            return None;
        }
        let rank = (n * q + Z * (n * q * (1.0 - q)).sqrt()).ceil().min(n);
        let f = failed.point()?;
        let f = f + Z * (f * (1.0 - f) / failed.total as f64).sqrt();
        Some((all.value_at_rank(rank as u64)?, (1.0 - (1.0 - f) * q).min(0.99)))
    }
}
