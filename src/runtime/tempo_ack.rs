//! What tasks hear of the evaluator: which times are in force, and that others are asked for.
//!
//! In: frames of the evaluator's stream, read by the tasks' own handle of the log. Out: what each task says of
//! its times next. Holds: only frames that count are heard; a task obeys what it said itself, read back; a
//! task says again what it said before its log's tail has lost it. Knows nothing of: how panes close.

use anyhow::Result;

use crate::engine::{Epoch, Task};
use crate::model::entry::{EvaluatorEntry, Heard, TimesSaid};
use crate::model::times::{Tempo, Times};
use crate::runtime::log::{Begin, Body, Log, LogError, LogFrame, Stream};

/// After so many entries of its log a task says again by which times it goes.
const OFTEN: usize = 1024;

/// What was heard of the evaluator.
#[derive(Debug, Default)]
pub(super) struct TempoListener {
    /// Behind which position listening began.
    from: Option<u64>,
    heard: Heard,
    asked: Option<(u32, Tempo)>,
    times: Option<Times>,
}

/// What a task says of its times.
#[derive(Clone, Copy, Debug, Default)]
pub struct TempoAck {
    /// Its log doesn't say by which times it goes: it waits to hear that.
    pub(super) is_new: bool,
    /// The revision of times that it said and hasn't read back.
    on_its_way: Option<u32>,
    /// Entries since it said anything.
    pub(super) since: usize,
}

/// What follows from what a task said, read back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Follows {
    /// Nothing.
    Nothing,
    /// It goes on by the times that it goes by.
    Confirmed,
    /// It begins anew with others.
    Anew,
}

impl TempoListener {
    /// Listens on behind what a task had heard, unless it listens from further back.
    pub(super) fn listen(&mut self, log: &mut dyn Log, known: Heard) -> Result<()> {
        if self.from.is_some_and(|from| from <= known.position) {
            return Ok(());
        }
        self.heard = known;
        match log.read(Stream::Evaluator, Begin::Behind(known.position)) {
            Ok(_) => {}
            // What isn't kept any more was weighed long ago; who leads asks again for what it still wants.
            Err(LogError::Lost { .. }) => {
                log.read(Stream::Evaluator, Begin::Tail(u64::MAX >> 1))?;
                self.heard = Heard::default();
            }
            Err(error) => return Err(error.into()),
        }
        self.from = Some(known.position);
        Ok(())
    }

    /// Takes a frame of the evaluator's stream.
    pub(super) fn take(&mut self, frame: &LogFrame) {
        // Where its beginning is gone, an epoch may be met without its claim.
        let mut epoch = Epoch(self.heard.epoch.max(frame.epoch));
        let counts = epoch.admits(frame.position, frame.epoch, frame.body.claim().is_some());
        self.heard = Heard { position: frame.position, epoch: epoch.0 };
        let (true, Body::Evaluator(weighing)) = (counts, &frame.body) else { return };
        match weighing.as_ref() {
            EvaluatorEntry::Asks { revision, tempo }
                if self.asked.is_none_or(|(known, _)| known < *revision) =>
            {
                self.asked = Some((*revision, *tempo));
            }
            EvaluatorEntry::TempoChange(times)
                if self.times.is_none_or(|known| known.revision < times.revision) =>
            {
                self.times = Some(*times);
            }
            _ => {}
        }
    }

    /// Returns what a task says next, if it has to say anything; `config` is what it does but for its times.
    pub(super) fn says(
        &self,
        tells: &mut TempoAck,
        task: &mut Task,
        behind: Option<&mut Task>,
        config: u64,
    ) -> Option<TimesSaid> {
        let (times, heard) = (task.times(), self.heard);
        let said = TimesSaid { times, hold: task.hold(), heard, config };
        let in_force = self.times.filter(|new| tells.is_new || times.revision < new.revision);
        if let Some(new) = in_force {
            if tells.on_its_way == Some(new.revision) {
                return None;
            }
            tells.on_its_way = Some(new.revision);
            return Some(TimesSaid { times: new, hold: None, ..said });
        }
        if tells.is_new {
            // What it does is said at once, and that its times aren't confirmed.
            return (OFTEN <= tells.since).then_some(said);
        }
        let known = times.revision.max(task.hold().map_or(0, |hold| hold.revision));
        if let Some((revision, tempo)) = self.asked.filter(|(revision, _)| known < *revision)
            && let Some(hold) = task.answer(revision, tempo, behind)
        {
            return Some(TimesSaid { hold: Some(hold), ..said });
        }
        (OFTEN <= tells.since).then_some(said)
    }

    /// Returns whether a task is asked for another tempo and hasn't answered, and why.
    pub(super) fn is_asked(&self, task: &Task) -> bool {
        let known = task.times().revision.max(task.hold().map_or(0, |hold| hold.revision));
        self.asked.is_some_and(|(revision, _)| known < revision)
    }
}

impl TempoAck {
    /// A new owner says first what its log says, or that of a log from before times were said.
    pub(super) const fn begin(is_new: bool) -> Self {
        Self { is_new, on_its_way: None, since: OFTEN }
    }

    /// An entry was appended; with a comparison's last word its times are said again, too.
    pub(super) const fn count(&mut self, is_repeated: bool) {
        self.since = if is_repeated { OFTEN } else { self.since + 1 };
    }

    /// Takes what it said, which was read back. Returns what follows.
    pub(super) fn read_back(&mut self, said: &TimesSaid, task: &Task) -> Follows {
        if self.on_its_way != Some(said.times.revision) || said.hold.is_some() {
            return Follows::Nothing;
        }
        self.on_its_way = None;
        if said.times == task.times() {
            self.is_new = false;
            Follows::Confirmed
        } else {
            Follows::Anew
        }
    }

    /// Returns whether it waits for what it said, or for what it is to say.
    pub(super) const fn is_waiting(&self) -> bool {
        self.is_new || self.on_its_way.is_some()
    }
}
