//! Records that are gone: accepted, written down, gone round.
//!
//! In: what an input holds of what an earlier owner read. Out: a loss for the log; read back, the input
//! begins anew behind it. Holds: closed panes stand; panes that may lack records are marked, and what has
//! no counterpart in them is no evidence; a successor that reads the loss goes on just the same. Knows
//! nothing of: why records are gone, who accepts it.

use super::comparison::Comparison;
use super::effect::{Differs, Effect};
use super::input::Inlet;
use super::{Task, begins_at};
use crate::model::entry::{Entry, Fact};
use crate::model::loss::{GapMark, Loss};
use crate::model::resume::ResumePoint;
use crate::model::time::EventTime;

impl Task {
    /// An input whose first record is `first` and whose end is `end` no longer holds what this owner has
    /// to read: says so in the log. Whether it is so.
    pub fn lose(&mut self, input: usize, (first, end): (i64, i64)) -> bool {
        let Some(inlet) = self.inlets.get(input) else { return false };
        let (from, read_to) = inlet.again();
        let vitals = inlet.vitals.flushed();
        let (needed, number) = (read_to.max(from), inlet.number());
        let loss = if from < first {
            // Retention overtook the reader; beyond the end nothing was ever read of this topic.
            let whole = end < needed;
            let vitals = if whole { first } else { vitals.max(first) };
            let max = self.least_max(input, first, needed <= first);
            Loss {
                input: number,
                from,
                to: if whole { needed.max(first) } else { first },
                next: first,
                whole,
                max,
                vitals,
                until: first,
            }
        } else if end < needed {
            // Cut short behind where reading begins, so far as can be told; else made anew.
            let (next, vitals, until, max) = if from <= end {
                (from, vitals.min(end), end, inlet.begun_at())
            } else {
                (first, first, first, self.least_max(input, first, true))
            };
            let (from, to) = (from.min(end), needed);
            Loss { input: number, from, to, next, whole: true, max, vitals, until }
        } else {
            return false;
        };
        self.write_loss(loss);
        true
    }

    /// The same of a parked comparison, which is to be read again behind the others.
    pub fn lose_parked(&mut self, comparison: u8, input: usize, first: i64) -> bool {
        let of = self.comparisons.get(usize::from(comparison));
        let parked = of.and_then(|of| {
            let place = of.place(u8::try_from(input).ok()?)?;
            let parked = of.parked.as_ref()?;
            Some((of, place, parked, *parked.resume.get(place)?))
        });
        let Some((of, place, parked, point)) = parked.filter(|(.., point)| point.offset < first)
        else {
            return false;
        };
        let facts = parked.facts.iter().filter(|f| f.input == point.input && f.offset <= first);
        let mut max = facts.map(|fact| fact.time).fold(point.max, EventTime::max);
        if of.closed_to != EventTime::START && of.resume[place].read_to <= first {
            max = max.max(self.spec.times().closes_at(of.closed_to));
        }
        self.flush_vitals();
        self.write_loss(Loss {
            input: point.input,
            from: point.offset,
            to: first,
            next: first,
            whole: false,
            max,
            vitals: self.inlets[input].vitals.flushed().max(first),
            until: first,
        });
        true
    }

    /// Other records were found than an earlier owner read: says so in the log, and takes what is there
    /// for what is left.
    pub fn lose_different(&mut self, Differs { input, from, to }: Differs) {
        // What was counted stays counted.
        self.flush_vitals();
        let Some(inlet) = self.inlets.get(input) else { return };
        self.write_loss(Loss {
            input: inlet.number(),
            from,
            to,
            next: from,
            whole: true,
            max: inlet.begun_at(),
            vitals: inlet.vitals.flushed(),
            until: to,
        });
    }

    /// Returns whether a loss is on its way through the log.
    #[must_use]
    pub const fn awaits_loss(&self) -> bool {
        self.losses_in_flight != 0
    }

    fn write_loss(&mut self, loss: Loss) {
        self.inlets[usize::from(loss.input)].fact_in_flight = true;
        self.losses_in_flight += 1;
        self.effects.push_back(Effect::Append(Entry::Lost(loss)));
    }

    /// Returns what the running max of an input is at least at `offset`, given that records may be missing before
    /// it; `all_read` is whether everything that closed panes lies before it.
    fn least_max(&self, input: usize, offset: i64, all_read: bool) -> EventTime {
        let inlet = &self.inlets[input];
        let facts = inlet.facts_from(i64::MIN).filter(|fact| fact.offset <= offset);
        let mut max = facts.map(|fact: Fact| fact.time).fold(inlet.begun_at(), EventTime::max);
        let reads = |c: &&Comparison| self.spec.feeds.reads(usize::from(c.number), input);
        let users = self.comparisons.iter().filter(reads);
        for comparison in users.filter(|c| all_read && c.closed_to != EventTime::START) {
            max = max.max(self.spec.times().closes_at(comparison.closed_to));
        }
        max
    }

    /// A loss was read back: the comparisons that it moves, and their input, begin anew behind it.
    pub(super) fn obey_loss(&mut self, loss: &Loss) {
        let input = usize::from(loss.input);
        if self.inlets.len() <= input {
            return;
        }
        self.losses_in_flight = self.losses_in_flight.saturating_sub(1);
        self.inlets[input].fact_in_flight = false;
        let mut moved = false;
        for comparison in &mut self.comparisons {
            let place = comparison.place(loss.input);
            let Some(at) = place.filter(|at| loss.moves(&comparison.resume[*at])) else { continue };
            comparison.resume[at] = loss.point();
            comparison.lacks[at].begin(loss);
            comparison.lost = comparison.closed_to != EventTime::START;
            // Rows that aren't in a file can't be written again.
            comparison.rows = Vec::new();
            comparison.rows_to = comparison.rows_to.max(comparison.closed_to);
            match &mut comparison.parked {
                None => moved = true,
                Some(parked) => parked.resume[at] = loss.point(),
            }
        }
        let reads = |c: &Comparison| c.place(loss.input).is_some() && c.parked.is_none();
        let only_vitals = !self.comparisons.iter().any(reads);
        let is_before = loss.whole || self.inlets[input].position() < loss.next;
        if moved || only_vitals && is_before {
            let vitals = Some(loss.point());
            let point = begins_at(&self.comparisons, loss.input, |c| c.parked.is_some(), vitals);
            let facts: Vec<Fact> =
                self.inlets[input].facts_from(i64::MIN).filter(|_| !loss.whole).collect();
            self.inlets[input] = Inlet::new(&self.spec, point, &facts, loss.vitals);
            self.look_for_ends();
            self.inlets[input].obey_due();
        }
        self.advance();
    }

    /// Inputs of which a comparison lacks records look for where that ends.
    pub(super) fn look_for_ends(&mut self) {
        for comparison in self.comparisons.iter().filter(|c| c.parked.is_none()) {
            for (point, lacks) in comparison.resume.iter().zip(&comparison.lacks) {
                if let Some(until) = lacks.until {
                    self.inlets[usize::from(point.input)].look_for_end(until);
                }
            }
        }
    }

    /// Writes down up to when records are missing, as soon as that is known: before any pane is closed
    /// that depends on it.
    pub(super) fn note_ends(&mut self) {
        for inlet in &mut self.inlets {
            let Some((until, to)) = inlet.take_gap_end() else { continue };
            let input = inlet.number();
            for of in self.comparisons.iter_mut().filter(|c| c.parked.is_none()) {
                let place = of.place(input);
                if let Some(at) = place.filter(|at| of.lacks[*at].until == Some(until)) {
                    of.lacks[at].end(until, to);
                    let lack = GapMark { comparison: of.number, input, until, to };
                    self.effects.push_back(Effect::Append(Entry::GapMarks(lack)));
                }
            }
        }
    }

    /// Says again which panes may lack records, while some that are read again may: a new owner needn't
    /// look further back than to the last entry.
    pub(super) fn repeat_lacks(&mut self, at: usize) {
        let need = self.need(at);
        let Comparison { number, lacks, resume, .. } = &self.comparisons[at];
        for (lacks, ResumePoint { input, .. }) in lacks.iter().zip(resume) {
            if need < lacks.to && lacks.until.is_none() {
                let lack = GapMark { comparison: *number, input: *input, until: 0, to: lacks.to };
                self.effects.push_back(Effect::Append(Entry::GapMarks(lack)));
            }
        }
    }
}
