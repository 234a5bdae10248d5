//! Which days there are, and which of them are closed.
//!
//! In: the Hive folders below a root. Out: days to merge. Holds: the newest days stay as they are,
//! for late rows may still come; a day that is dated ahead of the clock makes no other one old.
//! Knows nothing of: files.

use std::fs;
use std::path::Path;

use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::adapters::tables::{TableError, io_error};

const TABLES: [&str; 4] = ["windows", "pairs", "panes", "decisions"];

/// One day of one table and candidate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Day {
    /// The table.
    pub table: String,
    /// The pipeline.
    pub pipeline: String,
    /// The candidate.
    pub candidate: String,
    /// The day.
    pub date: Date,
}

impl Day {
    /// Its folder below the root.
    #[must_use]
    pub fn relative(&self) -> String {
        let Self { table, pipeline, candidate, date } = self;
        format!("{table}/pipeline={pipeline}/candidate={candidate}/dt={date}")
    }
}

/// Which days are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Only this one.
    pub only: Option<Date>,
    /// How many of the newest days stay as they are.
    pub keep: u16,
    /// The host's day.
    pub today: Date,
}

/// Days that a choice picks, and the first that stays as it is, if any does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToMerge {
    /// Closed days.
    pub days: Vec<Day>,
    /// From here on late rows may come.
    pub open_from: Option<Date>,
}

impl Choice {
    /// Picks closed days.
    #[must_use]
    pub fn pick(self, mut days: Vec<Day>) -> ToMerge {
        let newest = days.iter().map(|day| day.date).max().unwrap_or(self.today).min(self.today);
        let closed_to = newest.saturating_sub(i64::from(self.keep).days());
        let open_from = (0 < self.keep).then(|| closed_to.saturating_add(1.day()));
        days.retain(|day| {
            open_from.is_none_or(|from| day.date < from)
                && self.only.is_none_or(|date| day.date == date)
        });
        ToMerge { days, open_from }
    }
}

/// All days of a pipeline, in order.
///
/// # Errors
/// The disk refused.
pub fn days(root: &Path, pipeline: &str) -> Result<Vec<Day>, TableError> {
    let mut found = Vec::new();
    for table in TABLES {
        let folder = root.join(table).join(format!("pipeline={pipeline}"));
        for candidate in values(&folder, "candidate=")? {
            for date in values(&folder.join(format!("candidate={candidate}")), "dt=")? {
                // A folder that doesn't name a day isn't ours.
                let Ok(date) = date.parse() else { continue };
                let candidate = candidate.clone();
                let (table, pipeline) = (table.to_owned(), pipeline.to_owned());
                found.push(Day { table, pipeline, candidate, date });
            }
        }
    }
    Ok(found)
}

/// Returns what follows `key` in the names of the folders within, in order.
fn values(folder: &Path, key: &str) -> Result<Vec<String>, TableError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut values = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let name = entry.map_err(io_error("list", folder))?.file_name();
        values.extend(name.to_str().and_then(|name| name.strip_prefix(key)).map(str::to_owned));
    }
    values.sort();
    Ok(values)
}
