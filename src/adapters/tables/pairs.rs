//! `pairs`: disagreements, failures, unmatched and orphans; matches by sample.
//!
//! In: pair rows of one task. Out: a record batch. Holds: `sampled` is the share of such rows that
//! are written. Knows nothing of: files.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::columns::Columns;
use crate::model::row::{PairRow, PairSide};
use crate::model::spec::PipelineSpec;

type Side = fn(&PairRow) -> Option<&PairSide>;
const SIDES: [(&str, Side); 2] =
    [("primary", |row| row.primary.as_ref()), ("candidate", |row| row.candidate.as_ref())];

pub(super) fn batch(
    spec: &PipelineSpec,
    task: u32,
    rows: &[PairRow],
) -> Result<RecordBatch, ArrowError> {
    let mut columns = Columns::of(rows);
    columns
        .text("request_id", |row| Some(&row.request_id))
        .time("pane_start", |row| Some(row.pane.us()))
        .text("status", |row| Some(row.status.word()))
        .text("reason", |row| row.reason);
    for (name, side) in SIDES {
        columns
            .time(&format!("{name}_time"), move |row| Some(side(row)?.time.us()))
            .some_int(&format!("{name}_offset"), move |row| Some(side(row)?.offset))
            .some_flag(&format!("{name}_failed"), move |row| Some(side(row)?.failed))
            .text(&format!("{name}_label"), move |row| side(row)?.label.as_deref())
            .float(&format!("{name}_number"), move |row| side(row)?.number)
            .float(&format!("{name}_latency_ms"), move |row| ms(side(row)?));
    }
    columns.float("latency_delta_ms", |row| {
        Some(ms(row.candidate.as_ref()?)? - ms(row.primary.as_ref()?)?)
    });
    for (at, dimension) in spec.dimensions.iter().enumerate() {
        columns.text(&format!("segment_{}", dimension.name), move |row| row.segment(at));
    }
    columns.int("partition", |_| u64::from(task)).float("sampled", |row| Some(row.sampled));
    if !spec.co_partitioned {
        for (name, side) in SIDES {
            let partition = move |row: &PairRow| {
                let feed = usize::from(side(row)?.feed);
                Some(i64::from(spec.feeds.partition(feed).unwrap_or(task)))
            };
            columns.some_int(&format!("{name}_partition"), partition);
        }
    }
    columns.batch()
}

#[expect(clippy::cast_precision_loss, reason = "latencies are below an hour")]
fn ms(side: &PairSide) -> Option<f64> {
    side.latency_us.map(|us| us as f64 / 1000.0)
}
