//! Which entries of a log count, and what a task goes on from.
//!
//! In: frames of one log in order. Out: the valid entries; the state of a new owner. Holds: entries
//! of older epochs after a claim are ignored by every reader. Knows nothing of: where frames are
//! stored.

use std::collections::BTreeMap;

use crate::model::entry::{Closed, Entry, Fact};
use crate::model::time::EventTime;

/// One frame of a log: an entry and the epoch of the owner who wrote it.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame<E> {
    /// Position of the writer's claim in this log; a claim carries its own position.
    pub epoch: u64,
    /// What was written.
    pub entry: E,
}

/// The entries that count, with their positions.
pub fn valid<E>(
    frames: impl IntoIterator<Item = (u64, Frame<E>)>,
    is_claim: impl Fn(&E) -> bool,
) -> impl Iterator<Item = (u64, E)> {
    let mut epoch = 0;
    frames.into_iter().filter_map(move |(position, frame)| {
        if is_claim(&frame.entry) {
            epoch = position;
            Some((position, frame.entry))
        } else {
            (frame.epoch == epoch).then_some((position, frame.entry))
        }
    })
}

/// What a new owner of a task goes on from.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// By comparison the last entry that closed panes.
    pub(super) closed: BTreeMap<u8, LastClosed>,
    /// Facts that were written down, in log order.
    pub(super) facts: Vec<Fact>,
    /// By input the first offset that no vitals cover.
    pub(super) vitals: BTreeMap<u8, i64>,
}

/// What matters of the last entry that closed panes.
#[derive(Debug)]
pub(super) struct LastClosed {
    pub(super) to: EventTime,
    pub(super) rows_from: EventTime,
    pub(super) resume: [crate::model::entry::ResumePoint; 2],
}

impl Recovered {
    pub(super) fn read<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut state = Self::default();
        for entry in entries {
            match entry {
                Entry::Claim { .. } => {}
                Entry::Fact(fact) => state.add_fact(*fact),
                Entry::Vitals(vitals) => {
                    for (input, arm) in (0..).zip(&vitals.arms) {
                        if arm.from != arm.to {
                            state.vitals.insert(input, arm.to);
                        }
                    }
                }
                Entry::Closed(closed) => state.close(closed),
            }
        }
        state
    }

    fn close(&mut self, closed: &Closed) {
        for fact in &closed.facts {
            self.add_fact(*fact);
        }
        let Closed { comparison, to, rows_from, resume, .. } = closed;
        let last = LastClosed { to: *to, rows_from: *rows_from, resume: *resume };
        self.closed.insert(*comparison, last);
    }

    fn add_fact(&mut self, fact: Fact) {
        if !self.facts.contains(&fact) {
            self.facts.push(fact);
        }
    }
}
