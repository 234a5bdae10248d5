//! `decisions`: each rule that was shown, with its evidence.
//!
//! In: decision rows. Out: a record batch. Holds: events never stand without their total. Knows
//! nothing of: files.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::columns::Columns;
use crate::model::row::DecisionRow;
use crate::model::spec::PipelineSpec;

pub(super) fn batch(spec: &PipelineSpec, rows: &[DecisionRow]) -> Result<RecordBatch, ArrowError> {
    Columns::of(rows)
        .time("decided_at", |row| Some(row.time.us()))
        .owned_text("model", |_| spec.model.clone())
        .text("action", |row| Some(row.action.word()))
        .text("basis", |row| Some(&row.basis))
        .text("rule", |row| Some(&row.rule))
        .text("reason", |row| Some(&row.reason))
        .time("onset", |row| Some(row.onset.us()))
        .int("events", |row| row.events)
        .int("total", |row| row.total)
        .float("log_evidence", |row| Some(row.log_evidence))
        .float("log_threshold", |row| Some(row.log_threshold))
        .text("signal_id", |row| row.signal_id.as_deref())
        .text("evidence", |row| Some(&row.evidence))
        .batch()
}
