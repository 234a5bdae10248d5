//! `windows`: one row per window, candidate and segment, wide.
//!
//! In: window rows. Out: a record batch. Holds: a rate stands beside its counts and is null without
//! any; names carry their unit; `docs/measures.md` says what each means. Knows nothing of: files.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::columns::Columns;
use crate::model::row::WindowRow;
use crate::model::spec::PipelineSpec;
use crate::model::tally::{ArmTally, Tally};
use crate::stats::proportion::{Interval, Rate, Z95, bounds_if_missing};
use crate::stats::shift::total_variation;

type Arm = fn(&Tally) -> &ArmTally;
const ARMS: [(&str, Arm); 2] = [("primary", |t| &t.primary), ("candidate", |t| &t.candidate)];
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

pub(super) fn batch(spec: &PipelineSpec, rows: &[WindowRow]) -> Result<RecordBatch, ArrowError> {
    let mut columns = Columns::of(rows);
    columns
        .time("window_start", |row| Some(row.start.us()))
        .time("window_end", |row| Some(row.start.plus(row.size).us()))
        .float("window_size_s", |row| Some(row.size.as_secs()))
        .owned_text("model", |_| spec.model.clone())
        .text("model_version", |row| row.model_version.as_deref())
        .owned_text("segment_key", |row| row.segment.dimension.clone())
        .owned_text("segment_value", |row| row.segment.value.clone())
        .int("revision", |row| u64::from(row.revision));
    join(&mut columns);
    for (name, arm) in ARMS {
        answers(&mut columns, name, arm);
    }
    for (quantile, q) in QUANTILES {
        columns.float(&format!("latency_{quantile}_ratio"), |row| {
            let ours = ms(&row.tally.primary, q).filter(|ms| 0.0 < *ms)?;
            Some(ms(&row.tally.candidate, q)? / ours)
        });
    }
    columns.float("prediction_shift", |row| shift(&row.tally));
    buckets(&mut columns);
    columns.flag("fact_touched", |row| row.fact_touched).flag("partial", |row| row.partial).batch()
}

fn join(columns: &mut Columns<'_, WindowRow>) {
    let matches = |row: &WindowRow| Rate { hits: row.tally.matched, total: row.tally.comparable };
    let wilson = move |row: &WindowRow, end: fn(Interval) -> f64| matches(row).wilson(Z95).map(end);
    let missing = |row: &WindowRow, end: fn(Interval) -> f64| {
        bounds_if_missing(row.tally.matched, row.tally.comparable, row.tally.unmatched()).map(end)
    };
    columns
        .int("paired", |row| row.tally.paired)
        .int("unmatched", |row| row.tally.unmatched())
        .int("unmatched_missing", |row| row.tally.unmatched_missing)
        .int("unmatched_unreadable", |row| row.tally.unmatched_unreadable)
        .int("orphans", |row| row.tally.orphans)
        .float("coverage", |row| {
            Rate { hits: row.tally.paired, total: row.tally.primary.requests }.point()
        })
        .int("comparable", |row| row.tally.comparable)
        .int("matched", |row| row.tally.matched)
        .float("match_rate", move |row| matches(row).point())
        .float("match_rate_low", move |row| wilson(row, |interval| interval.low))
        .float("match_rate_high", move |row| wilson(row, |interval| interval.high))
        .float("match_rate_if_missing_low", move |row| missing(row, |interval| interval.low))
        .float("match_rate_if_missing_high", move |row| missing(row, |interval| interval.high))
        .int("candidate_only_failed", |row| row.tally.candidate_only_failed)
        .int("primary_only_failed", |row| row.tally.primary_only_failed)
        .counts("flips", &["primary", "candidate"], |row| {
            let flips = row.tally.flips.iter();
            flips.map(|((from, to), n)| (vec![from.clone(), to.clone()], *n)).collect()
        })
        .float("candidate_failed_or_missing_rate", |row| {
            let missing = row.tally.unmatched();
            let hits = row.tally.candidate.failed + missing;
            Rate { hits, total: row.tally.candidate.requests + missing }.point()
        });
}

fn answers(columns: &mut Columns<'_, WindowRow>, name: &str, arm: Arm) {
    let of = move |row: &WindowRow| arm(&row.tally).clone();
    columns
        .int(&format!("{name}_requests"), move |row| of(row).requests)
        .int(&format!("{name}_failed"), move |row| of(row).failed)
        .float(&format!("{name}_error_rate"), move |row| {
            Rate { hits: of(row).failed, total: of(row).requests }.point()
        })
        .int(&format!("{name}_null"), move |row| of(row).null)
        .float(&format!("{name}_null_rate"), move |row| {
            Rate { hits: of(row).null, total: of(row).answered() }.point()
        })
        .int(&format!("{name}_predicted"), move |row| of(row).predicted())
        .int(&format!("{name}_latency_count"), move |row| of(row).latency.total())
        .counts(&format!("{name}_labels"), &["label"], move |row| {
            of(row).labels.iter().map(|(label, n)| (vec![label.clone()], *n)).collect()
        });
    for (quantile, q) in QUANTILES {
        columns.float(&format!("{name}_latency_{quantile}_ms"), move |row| ms(arm(&row.tally), q));
    }
}

fn buckets(columns: &mut Columns<'_, WindowRow>) {
    for (at, (arm, _)) in ARMS.iter().enumerate() {
        for slot in 0..7 {
            let of = move |row: &WindowRow| {
                let (primary, candidate) = row.buckets?;
                let buckets = if at == 0 { primary } else { candidate };
                let (_, count) = buckets.by_name(at == 0)[slot];
                i64::try_from(count).ok()
            };
            let names = crate::model::bucket::Buckets::default().by_name(at == 0);
            columns.some_int(&format!("{arm}_records_{}", names[slot].0), of);
        }
        columns.some_int(&format!("{arm}_records_read"), move |row| {
            let (primary, candidate) = row.buckets?;
            i64::try_from(if at == 0 { primary } else { candidate }.total()).ok()
        });
    }
}

/// A latency quantile in milliseconds, the upper end of its bucket.
#[expect(clippy::cast_precision_loss, reason = "latencies are below an hour")]
fn ms(arm: &ArmTally, q: f64) -> Option<f64> {
    arm.latency.quantile(q).map(|us| us as f64 / 1000.0)
}

/// Total variation of answered predictions, null as a category of its own.
fn shift(tally: &Tally) -> Option<f64> {
    let (ours, theirs) = (&tally.primary, &tally.candidate);
    let mut both = vec![(ours.null, theirs.null)];
    let labels: std::collections::BTreeSet<_> =
        ours.labels.keys().chain(theirs.labels.keys()).collect();
    let count = |arm: &ArmTally, label: &String| arm.labels.get(label).copied().unwrap_or(0);
    both.extend(labels.into_iter().map(|label| (count(ours, label), count(theirs, label))));
    for bin in 0..ours.scores.len().max(theirs.scores.len()) {
        let count = |arm: &ArmTally| arm.scores.get(bin).copied().unwrap_or(0);
        both.push((count(ours), count(theirs)));
    }
    let (ours, theirs): (Vec<u64>, Vec<u64>) = both.into_iter().unzip();
    total_variation(&ours, &theirs)
}
