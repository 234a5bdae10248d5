//! Which entries of a log count, and what a task goes on from.
//!
//! In: frames of one log in order. Out: the valid entries; the state of a new owner. Holds: entries
//! of older epochs after a claim are ignored by every reader. Knows nothing of: where frames are
//! stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::entry::{Checkpoint, Entry, Fact, FeedPoints, PairFile, VitalsPoint};
use crate::model::feeds::Feeds;
use crate::model::loss::{GapMark, GapMarks, Loss};
use crate::model::resume::ResumePoint;
use crate::model::time::EventTime;
use crate::model::times::{Hold, Times};

/// One frame of a log: an entry and the epoch of the owner who wrote it.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame<E> {
    /// Position of the writer's claim in this log; a claim carries its own position.
    pub epoch: u64,
    /// What was written.
    pub entry: E,
}

/// Tells the frames of one log that count, as they come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Takes the next frame; whether it counts. A claim begins an epoch.
    pub const fn admits(&mut self, position: u64, epoch: u64, is_claim: bool) -> bool {
        if is_claim {
            self.0 = position;
        }
        is_claim || epoch == self.0
    }
}

/// The entries that count, with their positions.
pub fn valid<E>(
    frames: impl IntoIterator<Item = (u64, Frame<E>)>,
    is_claim: impl Fn(&E) -> bool,
) -> impl Iterator<Item = (u64, E)> {
    let mut current = Epoch::default();
    frames.into_iter().filter_map(move |(position, Frame { epoch, entry })| {
        current.admits(position, epoch, is_claim(&entry)).then_some((position, entry))
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
    /// By input that no comparison was reading, where they go on.
    pub(super) vitals_points: BTreeMap<u8, ResumePoint>,
    /// By input that lost records, where a comparison begins that has closed nothing yet.
    begins: BTreeMap<u8, ResumePoint>,
    /// By comparison and input that lost records, up to when panes may lack them.
    lacks: BTreeMap<(u8, u8), GapMarks>,
    /// By comparison where its next closed panes say to read again, if it has several feeds of an arm.
    points: BTreeMap<u8, Vec<ResumePoint>>,
    /// The times that its owners went by, if they said.
    pub(super) times: Option<Times>,
    /// How far they closed.
    pub(super) hold: Option<Hold>,
}

/// What matters of the last entry that closed panes.
#[derive(Debug)]
pub(super) struct LastClosed {
    pub(super) to: EventTime,
    pub(super) rows_from: EventTime,
    pub(super) files: Vec<PairFile>,
    pub(super) resume: Vec<ResumePoint>,
    /// Records were lost since this entry: rows before `to` that aren't in place can't be written again.
    pub(super) lost: bool,
}

impl Recovered {
    /// Of a task with these feeds and so many comparisons.
    pub(super) fn read<'e>(
        entries: impl IntoIterator<Item = &'e Entry>,
        feeds: &Feeds,
        comparisons: usize,
    ) -> Self {
        let mut state = Self::default();
        for entry in entries {
            match entry {
                Entry::Claim { .. } => {}
                Entry::Times(said) => (state.times, state.hold) = (Some(said.times), said.hold),
                Entry::Fact(fact) => state.add_fact(*fact),
                Entry::Vitals(vitals) => {
                    for (input, arm) in (0..).zip(&vitals.arms) {
                        if arm.from != arm.to {
                            state.vitals.insert(input, arm.to);
                        }
                    }
                }
                Entry::Checkpoint(closed) | Entry::Repeated(closed) => state.close(closed),
                Entry::Lost(loss) => state.lose(loss, feeds, comparisons),
                Entry::GapMarks(GapMark { comparison, input, until, to }) => {
                    state.lacks.entry((*comparison, *input)).or_default().end(*until, *to);
                }
                Entry::Feeds(FeedPoints { comparison, resume, .. }) => {
                    state.points.insert(*comparison, resume.clone());
                }
            }
        }
        state
    }

    fn close(&mut self, closed: &Checkpoint) {
        for fact in &closed.facts {
            self.add_fact(*fact);
        }
        let Checkpoint { comparison, to, rows_from, resume, files, vitals, .. } = closed;
        for (input, VitalsPoint { to, resume }) in (0..).zip(vitals) {
            let known = self.vitals.entry(input).or_insert(*to);
            *known = (*known).max(*to);
            self.vitals_points.extend(resume.map(|point| (input, point)));
        }
        let resume = self.points.remove(comparison).unwrap_or_else(|| resume.to_vec());
        let files = files.clone();
        let last = LastClosed { to: *to, rows_from: *rows_from, files, resume, lost: false };
        self.closed.insert(*comparison, last);
    }

    fn lose(&mut self, loss: &Loss, feeds: &Feeds, comparisons: usize) {
        for (comparison, at) in (0_u8..).zip(0..comparisons) {
            if feeds.reads(at, usize::from(loss.input))
                && loss.moves(&self.resume(comparison, loss.input))
            {
                self.lacks.entry((comparison, loss.input)).or_default().begin(loss);
                if let Some(last) = self.closed.get_mut(&comparison) {
                    for point in last.resume.iter_mut().filter(|point| point.input == loss.input) {
                        *point = loss.point();
                    }
                    last.lost = true;
                }
            }
        }
        let begins = self.begins.entry(loss.input);
        let begins = begins.or_insert_with(|| ResumePoint::beginning(loss.input));
        if loss.moves(begins) {
            *begins = loss.point();
        }
        self.vitals.insert(loss.input, loss.vitals);
        if let Some(point) = self.vitals_points.get_mut(&loss.input).filter(|p| loss.moves(p)) {
            *point = loss.point();
        }
        // What an input that isn't the same any more stood at says nothing of it.
        self.facts.retain(|fact| !loss.whole || fact.input != loss.input);
    }

    /// Returns where a comparison's last entry says to read an input again.
    pub(super) fn resume(&self, comparison: u8, input: u8) -> ResumePoint {
        match self.closed.get(&comparison) {
            Some(last) => ResumePoint::of(&last.resume, input),
            None => {
                let begins = self.begins.get(&input).copied();
                begins.unwrap_or_else(|| ResumePoint::beginning(input))
            }
        }
    }

    /// Up to when a comparison's panes may lack records of an input.
    pub(super) fn lacks(&self, comparison: u8, input: u8) -> GapMarks {
        self.lacks.get(&(comparison, input)).copied().unwrap_or_default()
    }

    /// First pane whose rows aren't in place, given the files that are.
    pub(super) fn rows_to(&self, comparison: u8, in_place: &BTreeSet<String>) -> EventTime {
        let Some(last) = self.closed.get(&comparison) else { return EventTime::START };
        let files = last.files.iter().take_while(|file| in_place.contains(&file.name));
        let in_place = files.map(|file| file.to).fold(last.rows_from, EventTime::max);
        if last.lost { in_place.max(last.to) } else { in_place }
    }

    fn add_fact(&mut self, fact: Fact) {
        if !self.facts.contains(&fact) {
            self.facts.push(fact);
        }
    }
}
