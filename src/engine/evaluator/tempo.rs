//! By which times the tasks go, and how they come to go by others.
//!
//! In: what tasks say of their times, what this log says. Out: from when on another tempo counts, once all
//! tasks hold. Holds: the same whatever the order in which the streams are read; a change comes after all
//! that was closed before it. Knows nothing of: rules, how tasks hold.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decide;
use crate::model::entry::TimesSaid;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::model::times::{Hold, Tempo, Times, common_multiple};

/// The times of all tasks, as the log has them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TempoState {
    /// In force.
    pub(super) times: Times,
    /// The tempo that was asked for last, and by which revision.
    pub(super) asked: Option<(u32, Tempo)>,
}

impl TempoState {
    pub(super) const fn new(times: Times) -> Self {
        Self { times, asked: None }
    }

    /// The highest revision that said anything of times, and what it wants.
    pub(super) fn wanted(&self) -> (u32, Tempo) {
        self.asked.unwrap_or((self.times.revision, self.times.tempo))
    }

    /// The tempo that is asked for and isn't in force yet.
    pub(super) fn pending(&self) -> Option<(u32, Tempo)> {
        self.asked.filter(|(revision, _)| self.times.revision < *revision)
    }

    /// Takes what a file asked for.
    pub(super) fn ask(&mut self, revision: u32, tempo: Tempo) {
        if self.wanted().0 < revision {
            self.asked = Some((revision, tempo));
        }
    }

    /// Takes the times that the log puts in force; whether they are new.
    pub(super) fn put_in_force(&mut self, times: &Times) -> bool {
        let is_new = self.times.revision < times.revision;
        if is_new {
            self.times = *times;
        }
        is_new
    }

    /// The times that follow, if all tasks hold until they are told.
    pub(super) fn next(&self, said: &[Option<TimesSaid>]) -> Option<Times> {
        let (revision, tempo) = self.pending()?;
        let mut from = EventTime::START;
        for said in said {
            let TimesSaid { times, hold, .. } = said.as_ref()?;
            let hold = hold.filter(|hold| (hold.revision, hold.tempo) == (revision, tempo))?;
            if times.revision != self.times.revision {
                return None;
            }
            from = from.max(hold.to);
        }
        Some(Times { revision, before: self.times.tempo, from, tempo })
    }

    /// Returns what people are told.
    pub(super) fn told(&self, said: &[Option<TimesSaid>]) -> Value {
        let of = |tempo: &Tempo| {
            json!({
                "pane_s": tempo.pane.as_secs(),
                "wait_s": tempo.wait.as_secs(),
                "skew_s": tempo.skew.as_secs(),
            })
        };
        let time = |time: EventTime| (EventTime::START < time).then(|| decide::format::time(time));
        let Times { revision, before, from, tempo } = &self.times;
        let asked = self.pending().map(|(revision, tempo)| {
            let is_answer = |hold: &Hold| (hold.revision, hold.tempo) == (revision, tempo);
            let answer = |said: &Option<TimesSaid>| said.as_ref()?.hold.filter(is_answer);
            let tasks = || (0_u32..).zip(said.iter().map(answer));
            let holds = tasks().filter_map(|(task, hold)| {
                Some(json!({ "task": task, "closes_to": time(hold?.to) }))
            });
            let missing = tasks().filter(|(_, hold)| hold.is_none()).map(|(task, _)| task);
            json!({
                "revision": revision,
                "tempo": of(&tempo),
                "held_by": holds.collect::<Vec<_>>(),
                "waits_for": missing.collect::<Vec<_>>(),
            })
        });
        json!({
            "revision": revision,
            "tempo": of(tempo),
            "from": time(*from),
            "before": time(*from).map(|_| of(before)),
            "asked": asked,
        })
    }

    /// Returns why a file may not ask for its tempo, if it may not.
    pub(super) fn objection(&self, file: &PipelineSpec, in_force: u32) -> Option<String> {
        let (revision, tempo) = self.wanted();
        if tempo == file.time.tempo() || file.revision < revision.max(in_force) {
            return None;
        }
        if file.revision == revision.max(in_force) {
            return Some(format!(
                "`time` of this pipeline file differs from the log's (pane, wait and skew are {}, in the log \
                 {}), and both are revision {}; to change it on the running pipeline, raise `revision` to {}",
                words(&file.time.tempo()),
                words(&tempo),
                file.revision,
                file.revision.saturating_add(1)
            ));
        }
        let spans = file.windows.iter().copied();
        let spans = spans.chain([file.time.pane, self.times.tempo.pane]);
        common_multiple(spans).is_none().then(|| {
            format!(
                "`time.pane` can't be changed from {} s to {} s on the running pipeline: panes and `windows` of \
                 these lengths never end together within a month; choose others, or start a new pipeline",
                self.times.tempo.pane.as_secs(),
                file.time.pane.as_secs()
            )
        })
    }
}

/// A tempo, for people.
pub(super) fn words(tempo: &Tempo) -> String {
    let Tempo { pane, wait, skew } = tempo;
    let secs = |span: &Span| format!("{} s", span.as_secs());
    format!("{}, {} and {}", secs(pane), secs(wait), secs(skew))
}

/// What is known of a log before it is followed, where its last whole state doesn't say.
#[derive(Clone, Copy, Debug, Default)]
pub struct First<'a> {
    /// The rules of the first change behind the state: they were in force when it was reached.
    pub rules: Option<&'a crate::model::spec::RulesSpec>,
    /// The first times behind it.
    pub times: Option<&'a Times>,
}

impl<'a> From<Option<&'a crate::model::spec::RulesSpec>> for First<'a> {
    fn from(rules: Option<&'a crate::model::spec::RulesSpec>) -> Self {
        Self { rules, times: None }
    }
}
