//! The one place that merges all tasks' panes, weighs the rules and decides.
//!
//! In: entries of the tasks' logs, read back; cuts; its own entries, read back. Out: entries for its
//! own log, rows, signals. Holds: what is weighed, and in which order, is written down before it is
//! weighed; so a successor that reads the same logs decides the same, with the same ids. Of the rules, too,
//! those of the log are in force, whatever its own pipeline file says. Knows nothing of: partitions' inputs,
//! files, Kafka.
//!
//! # Its parts
//!
//! Entries of all tasks come in. `cut` adds up their seconds, `state` their panes; a pane is weighed when every task
//! has closed it, or has been missing for two minutes. A `rollout` is one candidate with its versions (`versions`), its
//! watches, what was shown, and what speaks against believing it (`doubts`, `ages`). `tempo` asks for and names changes
//! of times, `row_buffer` collects rows until a file is worth writing, and `verdict` says all of it as JSON.
//!
//! # Before and after
//!
//! [`super::task`] wrote what comes in. [`crate::report`], [`crate::rules`], [`crate::diagnose`] and [`crate::decide`] are
//! called from here; signals and rows go to the runtime.

mod ages;
mod cut;
mod doubts;
mod rollout;
mod row_buffer;
mod state;
mod tempo;
mod verdict;
mod versions;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::task::recover::Epoch;
use crate::model::entry::{Entry, EvaluatorEntry, Pane, TableFile};
use crate::model::notice::Notice;
use crate::model::row::{DecisionRow, PaneRow, WindowRow};
use crate::model::signal::Signal;
use crate::model::spec::{PipelineSpec, RulesSpec};
use crate::model::time::{EventTime, Span};
use crate::model::times::Times;
use cut::Cut;
use rollout::{Context, Outcome};
use row_buffer::{PendingFile, RowBuffer, RowContext};
use state::{State, TakenPane};
use tempo::TempoState;

pub use tempo::First;

/// A pane that some tasks have closed waits so long for the others.
const MISSING_AFTER: Span = Span::from_secs(120);

/// Seconds that lie further apart than this don't follow each other.
const STEP: Span = Span::from_secs(60);

/// Everything that can happen to the evaluator.
#[derive(Debug)]
pub enum Input<'a> {
    /// A valid entry of a task's log was read back.
    Entry {
        /// Which task.
        task: u32,
        /// Its position in that log.
        position: u64,
        /// The entry.
        entry: &'a Entry,
    },
    /// A second is over: the vitals so far are due.
    Cut {
        /// Host time (event time in a replay).
        at: EventTime,
        /// Every task is waited for, from now on anew: the inputs end, and nothing may depend on which
        /// one is fast; or nobody could be heard for a while.
        patient: bool,
    },
    /// An entry of the evaluator's own log was read back.
    Logged(&'a EvaluatorEntry),
    /// The control topic has acknowledged the signal with this sequence.
    Delivered(u64),
    /// The state that was last written before this time is written again.
    Repeat {
        /// Host time.
        before: EventTime,
    },
    /// The inputs end here: open windows are reported as they are.
    End,
    /// Rows are to be completed now: the process is about to leave.
    Flush,
}

/// Rows of one table on their way to a file.
#[derive(Clone, PartialEq, Debug)]
pub enum Rows {
    /// Of `windows`.
    Windows(Vec<WindowRow>),
    /// Of `panes`.
    Panes(Vec<PaneRow>),
    /// Of `decisions`.
    Decisions(Vec<DecisionRow>),
}

impl Rows {
    /// Returns how many.
    #[must_use]
    pub const fn count(&self) -> usize {
        match self {
            Self::Windows(rows) => rows.len(),
            Self::Panes(rows) => rows.len(),
            Self::Decisions(rows) => rows.len(),
        }
    }
}

/// Everything the evaluator asks of the world.
#[derive(Debug)]
pub enum Effect {
    /// Append this to the evaluator's log.
    Append(EvaluatorEntry),
    /// Stage these rows durably under this name; a later `Append` names the file.
    Stage {
        /// Which file; its name is deterministic.
        file: TableFile,
        /// Its rows.
        rows: Rows,
        /// Hash of the configuration that was in force for them.
        config: u64,
    },
    /// Send this to the control topic.
    Send(Signal),
    /// Tell people what keeps a candidate from being judged.
    Noticed(Box<Notice>),
    /// Tell people.
    Decided(Box<DecisionRow>),
    /// Tell people.
    Reported(Box<WindowRow>),
}

/// Merges, weighs and decides.
#[derive(Debug)]
pub struct Evaluator {
    /// With the rules that are in force.
    spec: Arc<PipelineSpec>,
    /// What this process' pipeline file says.
    file: Arc<PipelineSpec>,
    /// The log says which rules are in force.
    is_said: bool,
    state: State,
    row_buffer: RowBuffer,
    /// Commands that were appended and not read back yet.
    in_flight: usize,
    commanded: Vec<EventTime>,
    /// The revision of times that was appended last.
    retimed: u32,
    /// Of each comparison how far some task had closed, and when that was first seen.
    parts: Vec<VecDeque<(EventTime, EventTime)>>,
    now: EventTime,
    /// Host time of the last state that was written here; the beginning of time before the first.
    said: EventTime,
    roll_due: bool,
    mode: Mode,
    effects: VecDeque<Effect>,
}

/// Who says what is weighed next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// An earlier owner did: nothing is sent and no file completed meanwhile.
    Follows,
    /// A recorded run did, and this one sends and completes again.
    Repeats,
    /// It does itself.
    Leads,
}

impl Evaluator {
    /// A new owner for `tasks` tasks, going on from the last whole state of its own log, if any. It
    /// follows: what an earlier owner weighed since is to be given to it in order, and then `lead`.
    /// `first` are the rules and times that are said first behind the state: where the state says none, they
    /// were in force when it was reached.
    ///
    /// # Errors
    /// Text that says what can't be read.
    pub fn recover<'f>(
        file: Arc<PipelineSpec>,
        tasks: usize,
        state: Option<&[u8]>,
        first: impl Into<First<'f>>,
    ) -> Result<Self, String> {
        let (known, said) = match state {
            None => (None, None),
            Some(bytes) => State::read(bytes).map(|(state, said)| (Some(state), said))?,
        };
        let first = first.into();
        let rules = said.as_ref().or(first.rules);
        let times = known.as_ref().and_then(|state| Some(state.timing.as_ref()?.times));
        let times = times.or_else(|| first.times.copied());
        let is_past = |from| known.as_ref().is_none_or(|state| state.is_weighed_to(from));
        let spec = in_force(&file, rules, times.as_ref(), is_past);
        let state = known.unwrap_or_else(|| State::new(&spec, tasks));
        if state.tasks() != tasks {
            let known = state.tasks();
            return Err(format!("the evaluator's state has {known} partitions, now {tasks}"));
        }
        Ok(Self {
            commanded: state.rollouts.iter().map(|rollout| rollout.weighed_to).collect(),
            is_said: rules.is_some(),
            spec,
            file,
            state,
            row_buffer: RowBuffer::default(),
            in_flight: 0,
            retimed: 0,
            parts: Vec::new(),
            now: EventTime::START,
            said: EventTime::START,
            roll_due: false,
            mode: Mode::Follows,
            effects: VecDeque::new(),
        })
    }

    /// The pipeline with the rules that are in force.
    #[must_use]
    pub fn spec(&self) -> &PipelineSpec {
        &self.spec
    }

    /// Returns whether its log said by which times tasks go.
    #[must_use]
    pub const fn says_times(&self) -> bool {
        self.state.timing.is_some()
    }

    /// By which times tasks go, and what else is asked for, as JSON; nothing before its log says it.
    #[must_use]
    pub fn times_told(&self) -> Option<serde_json::Value> {
        Some(self.state.timing.as_ref()?.told(&self.state.said))
    }

    /// Returns why this process may not lead, if it may not: its file says something else of the revision that is
    /// in force.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let (file, known) = (self.file.rules_spec(), self.spec.rules_spec());
        let revision = if self.is_said { known.revision } else { 0 };
        let timing = self.state.timing.as_ref();
        let of_times = timing.and_then(|timing| timing.objection(&self.file, revision));
        of_times.or_else(|| (self.is_said && file.revision == known.revision && !file.means(&known)).then(|| {
            format!(
                "the rules of this pipeline file differ from those in force (configuration {:016x}, in force \
                 {:016x}), and both are revision {}; to change them on the running pipeline, raise `revision` \
                 to {}",
                file.config_hash,
                known.config_hash,
                known.revision,
                known.revision.saturating_add(1)
            )
        }))
    }

    /// Everything that was weighed before is weighed again: from now on it says itself what is weighed
    /// next, and sends what isn't known to be sent.
    pub fn lead(&mut self) {
        self.mode = Mode::Leads;
        for signal in self.state.unsent.clone() {
            self.effects.push_back(Effect::Send(signal));
        }
        self.commanded = self.state.rollouts.iter().map(|r| r.weighed_to).collect();
        self.command_tempo();
        if !self.is_said || self.spec.revision < self.file.revision {
            self.command(EvaluatorEntry::Change(self.file.rules_spec()));
        }
        self.command_panes();
        self.command_times();
        self.settle();
    }

    /// A recorded run is repeated: what is weighed comes from its log, all else is done again.
    pub const fn repeat(&mut self) {
        self.mode = Mode::Repeats;
    }

    /// Position and epoch up to which a task's log was taken.
    #[must_use]
    pub fn taken_of(&self, task: usize) -> (u64, Epoch) {
        self.state.taken_of(task)
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Entry { task, position, entry } => {
                self.state.take_entry(task, position, entry, &self.spec.feeds);
                self.command_panes();
                self.command_times();
            }
            Input::Cut { at, patient } => {
                // A clock that was stepped doesn't say since when anybody is missing.
                let stepped = STEP < at.since(self.now).max(self.now.since(at));
                self.now = at;
                self.command_cut(at);
                self.command_overdue(patient || stepped);
            }
            Input::Logged(entry) => {
                if entry.is_command() {
                    self.in_flight = self.in_flight.saturating_sub(1);
                }
                self.weigh(entry);
                self.command_times();
                self.settle();
            }
            Input::Delivered(sequence) => {
                self.state.unsent.retain(|signal| signal.sequence != sequence);
                self.effects.push_back(Effect::Append(EvaluatorEntry::Sent { sequence }));
            }
            Input::Repeat { before } => {
                // At the beginning, which isn't told apart from long ago, no file is cut short for it.
                let is_due = self.said != EventTime::START || self.row_buffer.count() == 0;
                self.roll_due |= self.said < before && is_due && self.state.weighings != 0;
                self.settle();
            }
            Input::End => {
                for number in 0..self.spec.candidates.len() {
                    let comparison = self.context(number).comparison;
                    let rows = self.state.rollouts[number].windows.end(comparison);
                    self.report(number, rows);
                    let before = self.state.rollouts[number].before_time.take();
                    before.into_iter().for_each(|before| self.report_pane(number, before));
                }
            }
            Input::Flush => {
                self.roll_due |= self.row_buffer.count() != 0;
                self.settle();
            }
        }
    }

    /// Returns what is asked of the world next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns how far each comparison has been weighed.
    #[must_use]
    pub fn weighed_to(&self, comparison: usize) -> EventTime {
        self.state.rollouts.get(comparison).map_or(EventTime::START, |r| r.weighed_to)
    }

    /// Returns whether everything that an entry of its log speaks of was read.
    #[must_use]
    pub fn can_weigh(&self, entry: &EvaluatorEntry) -> bool {
        match entry {
            EvaluatorEntry::Cut { ends, .. } => {
                let seen = self.state.vitals_seen();
                ends.iter().zip(&seen).all(|(end, seen)| end <= seen)
            }
            EvaluatorEntry::Panes { comparison, to, missing } => {
                self.state.has_closed(usize::from(*comparison), *to, missing)
            }
            EvaluatorEntry::Claim { .. }
            | EvaluatorEntry::Sent { .. }
            | EvaluatorEntry::State { .. }
            | EvaluatorEntry::Change(_)
            | EvaluatorEntry::Asks { .. }
            | EvaluatorEntry::TempoChange(_) => true,
        }
    }

    /// The newest signal of each candidate that has one.
    pub fn newest_signals(&self) -> impl Iterator<Item = &Signal> {
        self.state.rollouts.iter().filter_map(|rollout| rollout.newest.as_ref())
    }

    /// Signals that the control topic isn't known to have taken.
    #[must_use]
    pub fn unsent(&self) -> &[Signal] {
        &self.state.unsent
    }

    /// Returns what stands between a candidate and its decision, as JSON.
    #[must_use]
    pub fn verdict(&self, comparison: usize) -> Option<serde_json::Value> {
        let rollout = self.state.rollouts.get(comparison)?;
        Some(verdict::document((&self.spec, &self.file), comparison, rollout, self.now))
    }

    /// Asks for an entry to be appended. What it says is obeyed when it comes back, and not before.
    fn command(&mut self, entry: EvaluatorEntry) {
        self.in_flight += 1;
        self.effects.push_back(Effect::Append(entry));
    }

    /// Says which times are in force where no log says it, and asks for those of its own file if they are
    /// newer: before its rules are put in force, so that who finds these finds that, too.
    fn command_tempo(&mut self) {
        let (revision, tempo) = (self.file.revision, self.file.time.tempo());
        let in_force = if self.is_said { self.spec.revision } else { 0 };
        match self.state.timing.as_ref().map(|timing| (timing.wanted(), timing.pending())) {
            None => self.command(EvaluatorEntry::TempoChange(Times::always(tempo))),
            Some(((known, wanted), _)) if wanted != tempo && known.max(in_force) < revision => {
                self.command(EvaluatorEntry::Asks { revision, tempo });
            }
            // Tasks that begin later hear it as well.
            Some((_, Some((revision, tempo)))) => {
                self.command(EvaluatorEntry::Asks { revision, tempo });
            }
            Some(_) => {}
        }
    }

    /// Says from when on another tempo counts, once all tasks hold.
    fn command_times(&mut self) {
        let Some(timing) = self.state.timing.as_ref().filter(|_| self.mode == Mode::Leads) else {
            return;
        };
        let is_late = |number| self.state.has_late(number);
        if timing.pending().is_none()
            || !self.state.is_weighed_to(timing.times.from)
            || (0..self.spec.candidates.len()).any(is_late)
        {
            return;
        }
        let next = timing.next(&self.state.said).filter(|next| self.retimed < next.revision);
        if let Some(next) = next {
            self.retimed = next.revision;
            self.command(EvaluatorEntry::TempoChange(next));
        }
    }

    fn command_panes(&mut self) {
        if self.mode != Mode::Leads {
            return;
        }
        for (comparison, number) in (0..self.spec.candidates.len()).zip(0_u8..) {
            let to = self.state.closed_by_all(comparison);
            if self.commanded[comparison] < to {
                self.commanded[comparison] = to;
                self.command(EvaluatorEntry::Panes { comparison: number, to, missing: Vec::new() });
            }
        }
    }

    /// Weighs what came without the tasks that are missing for too long, and what they closed since.
    fn command_overdue(&mut self, patient: bool) {
        if self.mode != Mode::Leads {
            return;
        }
        if patient {
            self.parts.clear();
        }
        self.parts.resize_with(self.spec.candidates.len(), VecDeque::new);
        for (comparison, number) in (0..self.spec.candidates.len()).zip(0_u8..) {
            let (all, furthest) =
                (self.state.closed_by_all(comparison), self.state.closed_by_any(comparison));
            let parts = &mut self.parts[comparison];
            if parts.back().map_or(all, |(to, _)| *to) < furthest {
                parts.push_back((furthest, self.now));
            }
            let known = all.max(self.commanded[comparison]);
            while parts.front().is_some_and(|(to, _)| *to <= known) {
                parts.pop_front();
            }
            let due = |seen: EventTime| !patient && MISSING_AFTER <= self.now.since(seen);
            let to = match parts.front() {
                Some((to, seen)) if due(*seen) => *to,
                _ if self.in_flight == 0 && self.state.has_late(comparison) => {
                    self.commanded[comparison]
                }
                _ => continue,
            };
            self.commanded[comparison] = to;
            let missing = self.state.missing(comparison, to);
            self.command(EvaluatorEntry::Panes { comparison: number, to, missing });
        }
    }

    fn command_cut(&mut self, at: EventTime) {
        let ends = self.state.vitals_seen();
        if self.mode == Mode::Leads && self.state.cut_to != ends {
            self.state.cut_to.clone_from(&ends);
            self.command(EvaluatorEntry::Cut { ends, at });
        }
    }

    fn weigh(&mut self, entry: &EvaluatorEntry) {
        match entry {
            EvaluatorEntry::Claim { .. } | EvaluatorEntry::State { .. } => {}
            EvaluatorEntry::Change(rules) => self.change(rules),
            EvaluatorEntry::Asks { revision, tempo } => {
                if let Some(timing) = &mut self.state.timing {
                    timing.ask(*revision, *tempo);
                }
            }
            EvaluatorEntry::TempoChange(times) => self.retime(times),
            EvaluatorEntry::Sent { sequence } => {
                self.state.unsent.retain(|signal| signal.sequence != *sequence);
            }
            EvaluatorEntry::Cut { ends, at } => {
                self.begin_weighing();
                let cut = self.state.take_cut(ends, *at, &self.spec.feeds);
                for number in 0..self.spec.candidates.len() {
                    self.weigh_cut(number, &cut);
                }
            }
            EvaluatorEntry::Panes { comparison, to, missing } => {
                self.begin_weighing();
                self.weigh_panes(usize::from(*comparison), *to, missing);
            }
        }
    }

    /// From here on these rules are in force, unless newer ones are.
    fn change(&mut self, rules: &RulesSpec) {
        if self.is_said && rules.revision <= self.spec.revision {
            return;
        }
        self.is_said = true;
        let spec = self.in_force(rules);
        if !rules.means(&self.spec.rules_spec()) {
            self.row_buffer.seal(under(&self.spec, &self.state));
            self.begin_weighing();
            for rollout in &mut self.state.rollouts {
                rollout.change(&self.spec, &spec);
            }
        }
        self.spec = spec;
    }

    /// Tasks go by these times, unless they go by newer ones.
    fn retime(&mut self, times: &Times) {
        let Some(timing) = &mut self.state.timing else {
            self.state.timing = Some(TempoState::new(*times));
            self.spec = self.in_force(&self.spec.rules_spec());
            return;
        };
        let before = timing.times.tempo.pane;
        if timing.put_in_force(times) {
            for rollout in &mut self.state.rollouts {
                rollout.change_panes(before, times.tempo.pane);
            }
            self.spec = self.in_force(&self.spec.rules_spec());
        }
    }

    /// Once all panes before a change are weighed, rules are dealt for those after it.
    fn pass_change(&mut self) {
        let is_over = |times: Times| {
            times.tempo.pane != self.spec.time.pane && self.state.is_weighed_to(times.from)
        };
        if self.spec.changed.is_some_and(is_over) {
            self.spec = self.in_force(&self.spec.rules_spec());
        }
    }

    /// The pipeline under these rules and the times that are in force.
    fn in_force(&self, rules: &RulesSpec) -> Arc<PipelineSpec> {
        let times = self.state.timing.as_ref().map(|timing| timing.times).or(self.spec.changed);
        in_force(&self.file, Some(rules), times.as_ref(), |from| self.state.is_weighed_to(from))
    }

    const fn begin_weighing(&mut self) {
        self.state.weighings += 1;
        self.state.signals_of_weighing = 0;
    }

    fn weigh_cut(&mut self, number: usize, cut: &Cut) {
        let context = self.context(number);
        let Some(rollout) = self.state.rollouts.get_mut(number) else { return };
        let outcome = rollout.weigh_cut(&self.spec, &context, cut);
        self.conclude(outcome);
    }

    fn weigh_panes(&mut self, number: usize, to: EventTime, missing: &[(u32, EventTime)]) {
        let merged = self.state.take_panes(number, to, missing, &self.spec.feeds);
        let weighed_to = self.weighed_to(number);
        for taken in merged {
            let old = taken.old();
            let TakenPane { mut pane, offsets, .. } = taken;
            let context = self.context(number);
            let Some(rollout) = self.state.rollouts.get_mut(number) else { return };
            if pane.start == EventTime::START {
                rollout.keep_before_time(&pane);
                continue;
            }
            let late = pane.start < weighed_to;
            pane.partial |= late || missing.iter().any(|(_, closed)| *closed <= pane.start);
            let outcome = if late {
                rollout.windows.add_late(&pane, &offsets, weighed_to);
                Outcome::default()
            } else {
                let before = rollout.before_time.take();
                let with = (&pane, before.as_ref(), &offsets);
                let outcome = rollout.weigh_pane(&self.spec, &context, with, old);
                before.into_iter().for_each(|before| self.report_pane(number, before));
                outcome
            };
            self.report_pane(number, pane);
            self.conclude(outcome);
        }
        let comparison = self.context(number).comparison;
        let all = missing.iter().map(|(_, closed)| *closed).min().unwrap_or(to);
        let Some(rollout) = self.state.rollouts.get_mut(number) else { return };
        rollout.weighed_to = rollout.weighed_to.max(to);
        let rows = rollout.windows.close(comparison, to, all);
        self.pass_change();
        self.report(number, rows);
        self.mark_roll(to);
    }

    fn report(&mut self, number: usize, rows: Vec<WindowRow>) {
        for row in rows {
            if row.segment.is_all() {
                self.state.rollouts[number].last_window = Some(row.clone());
                self.tell(Effect::Reported(Box::new(row.clone())));
            }
            self.row_buffer.windows.push(row);
        }
    }

    fn report_pane(&mut self, number: usize, pane: Pane) {
        let comparison = self.context(number).comparison;
        let size = self.spec.times().at(pane.start).pane;
        self.row_buffer.panes.push(PaneRow { comparison, size, pane });
    }

    fn context(&self, number: usize) -> Context {
        Context {
            comparison: u8::try_from(number).unwrap_or(u8::MAX),
            sequence: self.state.weighings * 32 + self.state.signals_of_weighing,
        }
    }

    fn conclude(&mut self, outcome: Outcome) {
        for signal in outcome.signals {
            self.state.signals_of_weighing += 1;
            self.state.unsent.push(signal.clone());
            if self.mode != Mode::Follows {
                self.effects.push_back(Effect::Send(signal));
            }
        }
        for notice in outcome.notices {
            self.tell(Effect::Noticed(Box::new(notice)));
        }
        for row in outcome.decisions {
            self.tell(Effect::Decided(Box::new(row.clone())));
            self.row_buffer.decisions.push(row);
        }
    }

    /// People were told already of what is weighed again.
    fn tell(&mut self, effect: Effect) {
        if self.mode != Mode::Follows {
            self.effects.push_back(effect);
        }
    }

    fn mark_roll(&mut self, to: EventTime) {
        let boundary = to.floor(self.spec.roll);
        if self.state.rolled_to == EventTime::START {
            self.state.rolled_to = boundary;
        } else if self.state.rolled_to < boundary
            || self.spec.roll_rows as usize <= self.row_buffer.count()
        {
            self.state.rolled_to = self.state.rolled_to.max(boundary);
            self.roll_due = true;
        }
    }

    /// Completes files and writes the whole state, when due and nothing is on its way through the
    /// log: what stands before a state isn't read again.
    fn settle(&mut self) {
        if !self.roll_due || self.in_flight != 0 || self.mode == Mode::Follows {
            return;
        }
        self.roll_due = false;
        self.said = self.now;
        let mut files = Vec::new();
        for PendingFile { file, rows, config } in
            self.row_buffer.take(under(&self.spec, &self.state))
        {
            files.push(file.clone());
            self.effects.push_back(Effect::Stage { file, rows, config });
        }
        let bytes = self.state.write(self.spec.rules_spec());
        self.effects.push_back(Effect::Append(EvaluatorEntry::State { bytes, files }));
    }
}

/// A pipeline file under the rules and times of the log. While panes of the tempo before may still be
/// weighed, rules that begin are dealt for the shorter ones.
fn in_force(
    file: &Arc<PipelineSpec>,
    rules: Option<&RulesSpec>,
    times: Option<&Times>,
    is_past: impl Fn(EventTime) -> bool,
) -> Arc<PipelineSpec> {
    let Some(times) = times else {
        return rules.map_or_else(|| Arc::clone(file), |rules| Arc::new(file.with_rules(rules)));
    };
    let mut spec = file.with_times(times);
    if !is_past(times.from) {
        spec.time.pane = times.before.pane.min(times.tempo.pane);
    }
    Arc::new(rules.map_or_else(|| spec.clone(), |rules| spec.with_rules(rules)))
}

/// Returns what the rows so far were weighed under.
fn under<'a>(spec: &'a PipelineSpec, state: &State) -> RowContext<'a> {
    RowContext {
        candidates: &spec.candidates,
        config: spec.config_hash,
        weighings: state.weighings,
    }
}
