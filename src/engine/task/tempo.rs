//! A task whose times change: how far it closes until it hears from when on.
//!
//! In: that another tempo is asked for. Out: a hold, once nothing of an earlier change is needed any more.
//! Holds: what is closed before the hold doesn't depend on the change, whenever it will be; nothing is
//! forgotten that the longer skew needs. Knows nothing of: who asks, other tasks. Who has heard of the change
//! begins anew, as after a crash.

use std::sync::Arc;

use super::Task;
use super::comparison::Comparison;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::model::times::{Hold, Tempo, Times, next_change};

impl Task {
    /// The times that it goes by.
    #[must_use]
    pub fn times(&self) -> Times {
        self.spec.times()
    }

    /// Returns how far it closes, while a change is on its way.
    #[must_use]
    pub const fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// Closes nothing until it hears which times are in force.
    pub fn hold_all(&mut self) {
        let tempo = self.spec.time.tempo();
        self.hold = Some(Hold { revision: 0, tempo, to: EventTime::START });
    }

    /// Those that it goes by are in force.
    pub fn confirm(&mut self) {
        self.hold = None;
        self.advance();
    }

    /// Another tempo is asked for: where it holds from now on; `behind` catches up with a comparison of it.
    /// `None` while it still needs what an earlier change changed.
    pub fn answer(
        &mut self,
        revision: u32,
        tempo: Tempo,
        behind: Option<&mut Self>,
    ) -> Option<Hold> {
        if !self.is_past_change() || behind.as_ref().is_some_and(|task| !task.is_past_change()) {
            return None;
        }
        let closed = |task: &Self| task.comparisons.iter().map(|c| c.closed_to).max();
        let closed = closed(self).max(behind.as_ref().and_then(|task| closed(task)));
        let (times, closed) = (self.times(), closed.unwrap_or_default());
        let to = next_change(closed, &times, &tempo, &self.spec.windows)?;
        // Who asked before it was heard has its answer already; that isn't taken back.
        let earlier = self.hold.filter(|hold| hold.revision != 0).map(|hold| hold.to);
        let hold = Hold { revision, tempo, to: earlier.map_or(to, |earlier| to.max(earlier)) };
        self.hold = Some(hold);
        if let Some(behind) = behind {
            behind.hold = Some(hold);
        }
        Some(hold)
    }

    /// It holds as much as it may, and a hold keeps it from closing: it is read no further.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let held = || self.inlets.iter().map(|inlet| inlet.held.bytes()).sum::<usize>();
        self.hold.is_some() && self.spec.held_max < held()
    }

    /// Returns whether nothing that will be read again, or is still to be closed, lies before the last change.
    fn is_past_change(&self) -> bool {
        let Times { before, from, tempo, .. } = self.times();
        if from == EventTime::START {
            return true;
        }
        let back = self.look_back().plus(before.wait.max(tempo.wait));
        let is_past = |c: &Comparison| {
            from <= c.closed_to.min(c.rows_from()).minus(back)
                && c.resume.iter().all(|point| from <= point.max)
        };
        self.comparisons.iter().all(is_past)
    }

    /// Returns how far before what it closes next lies what that depends on.
    pub(super) fn look_back(&self) -> Span {
        let asked = self.hold.map_or(Span::ZERO, |hold| hold.tempo.look_back());
        self.times().look_back().max(asked)
    }

    /// A frontier, no further than the hold.
    pub(super) fn within_hold(&self, frontier: EventTime) -> EventTime {
        match &self.hold {
            Some(hold) => frontier.min(hold.limit(&self.spec.time.tempo())),
            None => frontier,
        }
    }
}

/// The pipeline at the times that its log says.
pub(super) fn at_times(spec: &Arc<PipelineSpec>, times: &Times) -> Arc<PipelineSpec> {
    if spec.times() == *times { Arc::clone(spec) } else { Arc::new(spec.with_times(times)) }
}
