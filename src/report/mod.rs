//! Windows: tumbling spans of panes, merged over all partitions.
//!
//! In: merged panes in order of time. Out: one row per window and segment once it can't change.
//! Holds: a window is reported once; every row carries counts, never a bare rate. Knows nothing of:
//! rules, tasks.
//!
//! # Place in a pane's life
//!
//! First in the evaluator: [`crate::engine::evaluator`] hands in each merged pane, and the rows go to the tables while
//! [`crate::rules`] looks at the same pane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::entry::Pane;
use crate::model::row::WindowRow;
use crate::model::tally::{Segment, Tally};
use crate::model::time::{EventTime, Span};

/// Windows that are kept to be revised; beyond it the oldest stay as they were reported.
const INCOMPLETE_MAX: usize = 4096;

/// Open windows of one comparison.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Windows {
    sizes: Vec<Span>,
    open: BTreeMap<(EventTime, Span), Open>,
    /// Reported without some tasks: what these close later revises them.
    incomplete: BTreeMap<(EventTime, Span), Open>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Open {
    merged: Pane,
    offsets: Offsets,
    revision: u32,
    /// Holds panes that no row has reported.
    unreported: bool,
}

impl Open {
    fn new(start: EventTime) -> Self {
        Self { merged: Pane::empty(start), offsets: Offsets::new(), revision: 0, unreported: true }
    }

    fn add(&mut self, pane: &Pane, offsets: &Offsets) {
        self.unreported = true;
        self.merged.merge_total(pane);
        for (place, (first, last)) in offsets {
            let range = self.offsets.entry(*place).or_insert((*first, *last));
            *range = (range.0.min(*first), range.1.max(*last));
        }
    }
}

/// Offsets of a pane by (task, input).
pub type Offsets = BTreeMap<(u32, u8), (i64, i64)>;

impl Windows {
    /// No window yet, of these sizes.
    #[must_use]
    pub fn new(sizes: &[Span]) -> Self {
        Self { sizes: sizes.to_vec(), open: BTreeMap::new(), incomplete: BTreeMap::new() }
    }

    /// Adds a pane that was merged over all tasks.
    pub fn add(&mut self, pane: &Pane, offsets: &Offsets) {
        for size in &self.sizes {
            let start = pane.start.floor(*size);
            let open = self.open.entry((start.plus(*size), *size));
            open.or_insert_with(|| Open::new(start)).add(pane, offsets);
        }
    }

    /// Adds a task's part of a pane that was weighed without it.
    /// Windows that ended before `weighed_to` and are kept no longer stay as they are.
    pub fn add_late(&mut self, pane: &Pane, offsets: &Offsets, weighed_to: EventTime) {
        for size in &self.sizes {
            let start = pane.start.floor(*size);
            let key = (start.plus(*size), *size);
            match self.incomplete.get_mut(&key) {
                Some(incomplete) => incomplete.add(pane, offsets),
                None if key.0 <= weighed_to => {}
                None => {
                    let open = self.open.entry(key);
                    open.or_insert_with(|| Open::new(start)).add(pane, offsets);
                }
            }
        }
    }

    /// Closes windows that end at or before `to`, oldest first, and revises what changed; what ends
    /// behind `all`, up to which every task has closed, may change again.
    pub fn close(&mut self, comparison: u8, to: EventTime, all: EventTime) -> Vec<WindowRow> {
        let mut rows = Vec::new();
        for ((_, size), incomplete) in &mut self.incomplete {
            rows.extend(window_rows(comparison, *size, incomplete));
        }
        self.incomplete.retain(|(end, _), _| all < *end);
        while let Some(first) = self.open.first_entry() {
            let (end, size) = *first.key();
            if to < end {
                break;
            }
            let mut open = first.remove();
            rows.extend(window_rows(comparison, size, &mut open));
            if all < end {
                self.incomplete.insert((end, size), open);
                if INCOMPLETE_MAX < self.incomplete.len() {
                    self.incomplete.pop_first();
                }
            }
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
    let mut tallies = merged.total();
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
