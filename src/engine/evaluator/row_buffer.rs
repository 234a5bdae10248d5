//! Rows of the evaluator that lie in no file yet.
//!
//! In: rows as they come. Out: files of one table, candidate, day and configuration. Holds: a file's name
//! follows from what was weighed; what was weighed under other rules lies in another file. Knows nothing
//! of: folders, why rules change.

use std::collections::BTreeMap;

use super::Rows;
use crate::model::entry::TableFile;
use crate::model::row::{DecisionRow, PaneRow, WindowRow};
use crate::model::time::{DAY, EventTime};

/// Rows that lie in no file yet.
#[derive(Debug, Default)]
pub(super) struct RowBuffer {
    pub(super) windows: Vec<WindowRow>,
    pub(super) panes: Vec<PaneRow>,
    pub(super) decisions: Vec<DecisionRow>,
    /// Files of earlier configurations, to be staged with the others.
    sealed: Vec<PendingFile>,
}

/// A file to be staged.
#[derive(Debug)]
pub(super) struct PendingFile {
    pub(super) file: TableFile,
    pub(super) rows: Rows,
    /// Hash of the configuration that its rows were weighed under.
    pub(super) config: u64,
}

/// What the rows so far were weighed under.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowContext<'a> {
    pub(super) candidates: &'a [String],
    pub(super) config: u64,
    /// Weighings so far.
    pub(super) weighings: u64,
}

impl RowBuffer {
    pub(super) fn count(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|pending| pending.rows.count()).sum();
        self.windows.len() + self.panes.len() + self.decisions.len() + sealed
    }

    /// What comes from now on is weighed under another configuration.
    pub(super) fn seal(&mut self, under: RowContext<'_>) {
        let files = self.take(under);
        self.sealed = files;
    }

    /// All files that the rows make.
    pub(super) fn take(&mut self, under: RowContext<'_>) -> Vec<PendingFile> {
        let mut files = std::mem::take(&mut self.sealed);
        for number in (0_u8..).take(under.candidates.len()) {
            let mut stage = |table, first, rows| {
                files.push(pending(under, (number, table), first, rows));
            };
            let windows = take_of(&mut self.windows, |row| row.comparison == number);
            for (day, rows) in by_day(windows, |row| row.start) {
                stage("windows", day, Rows::Windows(rows));
            }
            let panes = take_of(&mut self.panes, |row| row.comparison == number);
            for (day, rows) in by_day(panes, |row| row.pane.start) {
                stage("panes", day, Rows::Panes(rows));
            }
            let decisions = take_of(&mut self.decisions, |row| row.comparison == number);
            for (day, rows) in by_day(decisions, |row| row.time) {
                stage("decisions", day, Rows::Decisions(rows));
            }
        }
        files
    }
}

fn pending(
    under: RowContext<'_>,
    (number, table): (u8, &str),
    first: EventTime,
    rows: Rows,
) -> PendingFile {
    let candidate = &under.candidates[usize::from(number)];
    let (at, weighings) = (first.us() / 1000, under.weighings);
    let name = format!("{table}-{candidate}-{at}-{weighings}.parquet");
    let file = TableFile { table: table.to_owned(), comparison: number, first, name };
    PendingFile { file, rows, config: under.config }
}

/// Rows by the day they belong to, each with its first time: a file lies in the folder of one day.
/// What was read before time began goes with the row behind it, so that no file's cut decides its day.
fn by_day<T>(rows: Vec<T>, time: impl Fn(&T) -> EventTime) -> Vec<(EventTime, Vec<T>)> {
    let mut behind = EventTime::from_us(0);
    let mut times: Vec<EventTime> = Vec::with_capacity(rows.len());
    for time in rows.iter().rev().map(time) {
        behind = if time == EventTime::START { behind } else { time };
        times.push(behind);
    }
    let mut days: BTreeMap<EventTime, (EventTime, Vec<T>)> = BTreeMap::new();
    for (row, time) in rows.into_iter().zip(times.into_iter().rev()) {
        let (least, rows) = days.entry(time.floor(DAY)).or_insert_with(|| (time, Vec::new()));
        *least = time.min(*least);
        rows.push(row);
    }
    days.into_values().collect()
}

fn take_of<T>(rows: &mut Vec<T>, of: impl Fn(&T) -> bool) -> Vec<T> {
    let (taken, left) = std::mem::take(rows).into_iter().partition(of);
    *rows = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_time_began_lies_with_the_row_behind_it() {
        let day = |number| EventTime::from_us(DAY.us() * number);
        let rows = vec![EventTime::START, day(2), day(1), EventTime::START, day(3)];
        let days = by_day(rows, |time| *time);
        assert_eq!(
            days,
            [
                (day(1), vec![day(1)]),
                (day(2), vec![EventTime::START, day(2)]),
                (day(3), vec![EventTime::START, day(3)]),
            ]
        );
        let alone = by_day(vec![EventTime::START], |time| *time);
        assert_eq!(alone, [(EventTime::from_us(0), vec![EventTime::START])]);
    }
}
