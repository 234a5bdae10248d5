//! `panes`: the integers and histograms that later policies can be replayed from.
//!
//! In: merged panes. Out: a record batch, one row per pane and segment. Holds: nothing is rounded; a
//! histogram is HdrHistogram V2 with two significant digits, which any HdrHistogram library reads.
//! Knows nothing of: files.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use hdrhistogram::serialization::{Serializer, V2Serializer};

use super::columns::Columns;
use crate::model::entry::Pane;
use crate::model::row::PaneRow;
use crate::model::tally::{ArmTally, Segment, Tally};
use crate::model::time::{EventTime, Span};
use crate::stats::histogram::Latency;

struct Row<'p> {
    size: Span,
    pane: &'p Pane,
    segment: Segment,
    tally: Tally,
}

pub(super) fn batch(panes: &[PaneRow]) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<Row<'_>> = panes.iter().flat_map(rows_of).collect();
    let mut columns = Columns::of(&rows);
    columns
        .time("pane_start", |row| {
            (EventTime::START < row.pane.start).then_some(row.pane.start.us())
        })
        .float("pane_size_s", |row| Some(row.size.as_secs()))
        .text("model_version", |row| row.pane.version.as_ref().map(|(_, version)| version.as_str()))
        .owned_text("segment_key", |row| row.segment.dimension.clone())
        .owned_text("segment_value", |row| row.segment.value.clone())
        .int("paired", |row| row.tally.paired)
        .int("comparable", |row| row.tally.comparable)
        .int("matched", |row| row.tally.matched)
        .int("unmatched_missing", |row| row.tally.unmatched_missing)
        .int("unmatched_unreadable", |row| row.tally.unmatched_unreadable)
        .int("orphans", |row| row.tally.orphans)
        .int("candidate_only_failed", |row| row.tally.candidate_only_failed)
        .int("primary_only_failed", |row| row.tally.primary_only_failed)
        .counts("flips", &["primary", "candidate"], |row| {
            let flips = row.tally.flips.iter();
            flips.map(|((from, to), n)| (vec![from.clone(), to.clone()], *n)).collect()
        });
    type Arm = fn(&Tally) -> &ArmTally;
    let arms: [(&str, Arm); 2] = [("primary", |t| &t.primary), ("candidate", |t| &t.candidate)];
    for (at, (name, arm)) in arms.into_iter().enumerate() {
        columns
            .int(&format!("{name}_requests"), move |row| arm(&row.tally).requests)
            .int(&format!("{name}_failed"), move |row| arm(&row.tally).failed)
            .int(&format!("{name}_null"), move |row| arm(&row.tally).null)
            .counts(&format!("{name}_labels"), &["label"], move |row| {
                arm(&row.tally).labels.iter().map(|(label, n)| (vec![label.clone()], *n)).collect()
            })
            .ints(&format!("{name}_scores"), move |row| arm(&row.tally).scores.clone())
            .bytes(&format!("{name}_latency_us_hdr"), move |row| hdr(&arm(&row.tally).latency));
        let names = crate::model::bucket::Buckets::default().by_name(at == 0);
        for (slot, (bucket, _)) in names.into_iter().enumerate() {
            columns.some_int(&format!("{name}_records_{bucket}"), move |row| {
                let buckets = if at == 0 { &row.pane.primary } else { &row.pane.candidate };
                let (_, count) = buckets.by_name(at == 0)[slot];
                row.segment.is_all().then(|| i64::try_from(count).unwrap_or(i64::MAX))
            });
        }
    }
    columns
        .flag("fact_touched", |row| row.pane.fact_touched)
        .flag("partial", |row| row.pane.partial)
        .batch()
}

fn rows_of(row: &PaneRow) -> Vec<Row<'_>> {
    let PaneRow { size, pane, .. } = row;
    let size = *size;
    let mut tallies = pane.total();
    tallies.entry(Segment::all()).or_default();
    tallies.into_iter().map(|(segment, tally)| Row { size, pane, segment, tally }).collect()
}

/// HdrHistogram V2 bytes, two significant digits, microseconds; empty without values.
fn hdr(latency: &Latency) -> Vec<u8> {
    let mut bytes = Vec::new();
    if latency.is_empty() {
        return bytes;
    }
    let top = latency.max().unwrap_or(2).max(2);
    if let Ok(mut histogram) = hdrhistogram::Histogram::<u64>::new_with_bounds(1, top, 2) {
        for (lowest, _, count) in latency.buckets() {
            histogram.saturating_record_n(lowest, count);
        }
        // Writing to memory can't fail; without bytes a reader sees no histogram.
        if V2Serializer::new().serialize(&histogram, &mut bytes).is_err() {
            bytes.clear();
        }
    }
    bytes
}
