//! What is counted for people, as plain numbers.
//!
//! In: entries, decisions, records read. Out: counts since the process began. Holds: those of several workers add
//! up; a count is never taken back. Knows nothing of: names of metrics, who reads them.

use std::collections::BTreeMap;

use crate::model::bucket::{Buckets, Unreadable};
use crate::model::entry::Entry;
use crate::model::notice::Notice;
use crate::model::row::{DecisionRow, WindowRow};
use crate::model::rule::Action;

/// Counts since the process began.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Records read, by input.
    pub records: Vec<u64>,
    /// Rows of `pairs`.
    pub pair_rows: u64,
    /// Files completed.
    pub files: u64,
    /// Signals taken by the control topic.
    pub signals: u64,
    /// Signals it refused.
    pub signal_errors: u64,
    /// Signals sent again because a lower one followed.
    pub signals_repeated: u64,
    /// Why it refused the last one, until it takes one.
    pub signal_refused: Option<String>,
    /// Frames of the log that older epochs wrote: ignored by every reader.
    pub ignored_frames: u64,
    /// Idle facts that nobody obeys: a clock is wrong.
    pub refused_facts: u64,
    pub(crate) facts: u64,
    pub(crate) losses: u64,
    pub(crate) lost_records: u64,
    pub(crate) vitals: u64,
    pub(crate) panes: u64,
    pub(crate) unreadable: BTreeMap<Unreadable, u64>,
    /// By candidate, of closed panes: the primary's and its own.
    buckets: BTreeMap<u8, (Buckets, Buckets)>,
    pub(crate) decisions: BTreeMap<(u8, Action), u64>,
    pub(crate) notices: BTreeMap<(u8, String), u64>,
    pub(crate) last_window: BTreeMap<u8, WindowRow>,
}

impl Counters {
    /// Counts an entry on its way to the log.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Claim { .. }
            | Entry::GapMarks(_)
            | Entry::Repeated(_)
            | Entry::Feeds(_)
            | Entry::Times(_) => {}
            Entry::Fact(_) => self.facts += 1,
            Entry::Vitals(_) => self.vitals += 1,
            Entry::Lost(loss) => {
                self.losses += 1;
                self.lost_records += u64::try_from(loss.to - loss.from).unwrap_or(0);
            }
            Entry::Checkpoint(closed) => {
                self.panes += closed.panes.len() as u64;
                let (primary, candidate) = self.buckets.entry(closed.comparison).or_default();
                for pane in &closed.panes {
                    primary.merge(&pane.primary);
                    candidate.merge(&pane.candidate);
                }
            }
        }
    }

    /// Counts a record that couldn't be read.
    pub fn dead_letter(&mut self, reason: Unreadable) {
        *self.unreadable.entry(reason).or_default() += 1;
    }

    /// Records that couldn't be read, of all that were.
    #[must_use]
    pub fn unreadable_of_read(&self) -> (u64, u64) {
        (self.unreadable.values().sum(), self.records.iter().sum())
    }

    /// Counts what people were told that keeps a candidate from being judged.
    pub fn noticed(&mut self, notice: &Notice) {
        *self.notices.entry((notice.comparison, notice.kind.clone())).or_default() += 1;
    }

    /// Counts a decision.
    pub fn decided(&mut self, row: &DecisionRow) {
        *self.decisions.entry((row.comparison, row.action)).or_default() += 1;
    }

    /// Keeps the last window.
    pub fn reported(&mut self, row: &WindowRow) {
        self.last_window.insert(row.comparison, row.clone());
    }

    /// Counts records read of an input.
    pub fn read(&mut self, input: usize, count: usize) {
        if self.records.len() <= input {
            self.records.resize(input + 1, 0);
        }
        self.records[input] += count as u64;
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            records,
            pair_rows,
            files,
            signals,
            signal_errors,
            signals_repeated,
            signal_refused,
            ignored_frames,
            refused_facts,
            facts,
            losses,
            lost_records,
            vitals,
            panes,
            unreadable,
            buckets,
            decisions,
            notices,
            last_window,
        } = other;
        for (input, count) in records.iter().enumerate() {
            self.read(input, usize::try_from(*count).unwrap_or(usize::MAX));
        }
        for (mine, theirs) in [
            (&mut self.pair_rows, pair_rows),
            (&mut self.files, files),
            (&mut self.signals, signals),
            (&mut self.signal_errors, signal_errors),
            (&mut self.signals_repeated, signals_repeated),
            (&mut self.ignored_frames, ignored_frames),
            (&mut self.refused_facts, refused_facts),
            (&mut self.facts, facts),
            (&mut self.losses, losses),
            (&mut self.lost_records, lost_records),
            (&mut self.vitals, vitals),
            (&mut self.panes, panes),
        ] {
            *mine += theirs;
        }
        if self.signal_refused.is_none() {
            self.signal_refused.clone_from(signal_refused);
        }
        for (reason, count) in unreadable {
            *self.unreadable.entry(*reason).or_default() += count;
        }
        for (comparison, (primary, candidate)) in buckets {
            let mine = self.buckets.entry(*comparison).or_default();
            mine.0.merge(primary);
            mine.1.merge(candidate);
        }
        for (decision, count) in decisions {
            *self.decisions.entry(*decision).or_default() += count;
        }
        for (notice, count) in notices {
            *self.notices.entry(notice.clone()).or_default() += count;
        }
        for row in last_window.values() {
            let last = self.last_window.get(&row.comparison);
            if last.is_none_or(|last| last.start < row.start) {
                self.reported(row);
            }
        }
    }

    /// Conservation of closed panes: (primary, candidate) of a comparison.
    #[must_use]
    pub fn buckets(&self, comparison: u8) -> (Buckets, Buckets) {
        self.buckets.get(&comparison).copied().unwrap_or_default()
    }
}
