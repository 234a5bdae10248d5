//! Windows: tumbling spans of panes, merged over all partitions.
//!
//! In: merged panes in order of time. Out: one row per window and segment once it can't change.
//! Holds: a window is reported once; every row carries counts, never a bare rate. Knows nothing of:
//! rules, tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::entry::Pane;
use crate::model::row::WindowRow;
use crate::model::tally::{Segment, Tally};
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
    offsets: Offsets,
    revision: u32,
    /// Holds panes that no row has reported.
    unreported: bool,
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
                offsets: Offsets::new(),
                revision: 0,
                unreported: true,
            });
            open.unreported = true;
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
            rows.extend(window_rows(comparison, size, &mut first.remove()));
        }
        rows
    }

    /// Reports windows that are still open, because the input ends here. Should it go on after all,
    /// they are reported again with the next revision.
    pub fn end(&mut self, comparison: u8) -> Vec<WindowRow> {
        let open = self.open.iter_mut();
        open.flat_map(|((_, size), open)| window_rows(comparison, *size, open)).collect()
    }
}

fn window_rows(comparison: u8, size: Span, open: &mut Open) -> Vec<WindowRow> {
    if !std::mem::take(&mut open.unreported) {
        return Vec::new();
    }
    let revision = open.revision;
    open.revision += 1;
    let merged = &open.merged;
    let version = merged.version.as_ref().map(|(_, version)| version.clone());
    let offsets: Vec<_> = open
        .offsets
        .iter()
        .map(|((task, input), (first, last))| (*task, *input, *first, *last))
        .collect();
    let mut tallies = merged.tallies.clone();
    tallies.entry(Segment::all()).or_default();
    let row = |(segment, tally): (Segment, Tally)| WindowRow {
        comparison,
        start: merged.start,
        size,
        revision,
        buckets: segment.is_all().then_some((merged.primary, merged.candidate)),
        segment,
        tally,
        model_version: version.clone(),
        offsets: offsets.clone(),
        fact_touched: merged.fact_touched,
        partial: merged.partial,
    };
    tallies.into_iter().map(row).collect()
}
