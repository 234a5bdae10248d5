//! `compact`: few large files where a closed day has many small ones.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use parallax::adapters::tables::compact::{Choice, Compaction, Day, Limits, Merged, days};
use parallax::runtime::clock::HostClock;
use serde_json::json;

use super::Output;

/// Merge the small files of closed days; safe beside a running pipeline and beside readers.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax compact pipelines/fraud.yaml\n  parallax compact pipelines/fraud.yaml --day 2026-03-01\n  parallax compact pipelines/fraud.yaml --keep-days 0"
)]
pub(super) struct Compact {
    /// The pipeline file; its `output.directory` holds the tables.
    pipeline: PathBuf,
    /// Only this day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
    /// How many of the newest days stay as they are, because late rows may still come.
    #[arg(long, default_value_t = 2)]
    keep_days: u16,
}

impl Compact {
    pub(super) fn run(self, output: Output) -> Result<()> {
        let pipeline = super::load(&self.pipeline)?;
        let mut compaction = Compaction::begin(&pipeline.endpoints.output, Limits::default())?;
        let now = Timestamp::from_microsecond(HostClock::Real.now().us())?;
        let today = now.to_zoned(TimeZone::UTC).date();
        let choice = Choice { only: self.day, keep: self.keep_days, today };
        let picked = choice.pick(days(&pipeline.endpoints.output, &pipeline.spec.name)?);
        if let (Some(day), Some(open)) = (self.day, picked.open_from) {
            anyhow::ensure!(
                day < open,
                "merge {day}: rows may still come for days from {open} on; --keep-days 0 merges it anyway"
            );
        }
        let mut merged = Vec::new();
        let worked = all(&mut compaction, &picked.days, &mut merged);
        // What was exchanged is to be removed even if a later day couldn't be merged.
        let ended = compaction.end();
        print(&pipeline.spec.name, &merged, output)?;
        worked?;
        ended.context("remove what was merged")
    }
}

fn all(compaction: &mut Compaction, days: &[Day], merged: &mut Vec<Merged>) -> Result<()> {
    for day in days {
        merged.extend(compaction.merge(day)?);
    }
    Ok(())
}

fn print(pipeline: &str, merged: &[Merged], output: Output) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => {
            let rows: Vec<_> = merged.iter().map(for_programs).collect();
            writeln!(out, "{}", json!({ "pipeline": pipeline, "merged": rows }))?;
        }
        Output::Table if merged.is_empty() => {
            writeln!(out, "{pipeline}: nothing to merge")?;
        }
        Output::Table => {
            for done in merged {
                let Merged { day, files_before, files_after, rows, bytes_before, bytes_after } =
                    done;
                writeln!(
                    out,
                    "{}  {:<9}  {pipeline} / {}  {files_before} files to {files_after}, {rows} rows, {bytes_before} bytes to {bytes_after}",
                    day.date, day.table, day.candidate
                )?;
            }
        }
    }
    Ok(())
}

fn for_programs(done: &Merged) -> serde_json::Value {
    json!({
        "table": done.day.table,
        "candidate": done.day.candidate,
        "day": done.day.date.to_string(),
        "files_before": done.files_before,
        "files_after": done.files_after,
        "rows": done.rows,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
    })
}
