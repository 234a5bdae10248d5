//! Windows: tumbling spans of panes, merged over all partitions.
//!
//! In: merged panes in order of time. Out: one row per window and segment once it can't change.
//! Holds: a window is reported once; every row carries counts, never a bare rate. Knows nothing of:
//! rules, tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::entry::Pane;
use crate::model::row::WindowRow;
use crate::model::time::{EventTime, Span};

/// Open windows of one comparison.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Windows {
    sizes: Vec<Span>,
    open: BTreeMap<(EventTime, Span), Open>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Open {
    merged: Pane,
    offsets: BTreeMap<(u32, u8), (i64, i64)>,
}

/// Offsets of a pane by (task, input).
pub type Offsets = BTreeMap<(u32, u8), (i64, i64)>;

impl Windows {
    /// No window yet, of these sizes.
    #[must_use]
    pub fn new(sizes: &[Span]) -> Self {
        Self { sizes: sizes.to_vec(), open: BTreeMap::new() }
    }

    /// Adds a pane that was merged over all tasks.
    pub fn add(&mut self, pane: &Pane, offsets: &Offsets) {
        for size in &self.sizes {
            let start = pane.start.floor(*size);
            let end = start.plus(*size);
            let open = self.open.entry((end, *size)).or_insert_with(|| Open {
                merged: Pane::empty(start),
                offsets: BTreeMap::new(),
            });
            open.merged.merge(pane);
            for (place, (first, last)) in offsets {
                let range = open.offsets.entry(*place).or_insert((*first, *last));
                *range = (range.0.min(*first), range.1.max(*last));
            }
        }
    }

    /// Closes windows that end at or before `to`, oldest first.
    pub fn close(&mut self, comparison: u8, to: EventTime) -> Vec<WindowRow> {
        let mut rows = Vec::new();
        while let Some(first) = self.open.first_entry() {
            let (end, size) = *first.key();
            if to < end {
                break;
            }
            rows.extend(window_rows(comparison, size, first.remove()));
        }
        rows
    }
}

fn window_rows(comparison: u8, size: Span, open: Open) -> Vec<WindowRow> {
    let Open { merged, offsets } = open;
    let version = merged.version.map(|(_, version)| version);
    let offsets: Vec<_> = offsets
        .into_iter()
        .map(|((task, input), (first, last))| (task, input, first, last))
        .collect();
    let buckets = (merged.primary, merged.candidate);
    let mut tallies = merged.tallies;
    tallies.entry(crate::model::tally::Segment::all()).or_default();
    tallies
        .into_iter()
        .map(|(segment, tally)| WindowRow {
            comparison,
            start: merged.start,
            size,
            buckets: segment.is_all().then_some(buckets),
            segment,
            tally,
            model_version: version.clone(),
            offsets: offsets.clone(),
            fact_touched: merged.fact_touched,
            partial: merged.partial,
        })
        .collect()
}
