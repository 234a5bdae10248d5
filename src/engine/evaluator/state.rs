//! All that the evaluator knows: what rides in its own log.
//!
//! In: tasks' entries. Out: merged panes and cuts. Holds: an entry is taken once, however often it
//! is read; merging is in task order. Knows nothing of: rules, effects.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ages::Ages;
use super::cut::Cut;
use super::rollout::Rollout;
use super::tempo::TempoState;
use crate::engine::task::recover::Epoch;
use crate::model::entry::{Entry, Pane, TimesSaid, Vitals};
use crate::model::feeds::Feeds;
use crate::model::signal::Signal;
use crate::model::spec::{PipelineSpec, RulesSpec};
use crate::model::time::EventTime;
use crate::report::Offsets;
use crate::rules::budget::ErrorBudget;

/// The evaluator's whole state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct State {
    tasks: Vec<TaskFeed>,
    pub(super) rollouts: Vec<Rollout>,
    /// Cuts and panes weighed so far.
    pub(super) weighings: u64,
    /// Signals of the last weighing.
    pub(super) signals_of_weighing: u64,
    /// Vitals entries that a cut has claimed, by task.
    pub(super) cut_to: Vec<u64>,
    /// When the last cut's look ended.
    last_look: EventTime,
    /// Everything before this lies in completed files.
    pub(super) rolled_to: EventTime,
    /// Signals that the control topic hasn't acknowledged.
    pub(super) unsent: Vec<Signal>,
    /// Rides behind the state; `None` where no log said it yet.
    #[serde(skip)]
    pub(super) timing: Option<TempoState>,
    /// By task what it said of its times last; rides behind the state.
    #[serde(skip)]
    pub(super) said: Vec<Option<TimesSaid>>,
}

/// What stands behind a state; older logs end before it.
#[derive(Serialize, Deserialize)]
struct Behind {
    /// The rules that it was reached under.
    rules: RulesSpec,
    /// By candidate.
    budgets: Vec<ErrorBudget>,
}

/// What stands behind that; logs from before times could change end before it.
#[derive(Serialize, Deserialize)]
struct BehindRules {
    timing: TempoState,
    said: Vec<Option<TimesSaid>>,
}

/// A pane that was merged over the tasks.
pub(super) struct TakenPane {
    pub(super) pane: Pane,
    pub(super) offsets: Offsets,
    /// By arm, its records, and what of them was older than a minute when it was read.
    records: [(u64, f64); 2],
}

impl TakenPane {
    fn empty(start: EventTime) -> Self {
        Self { pane: Pane::empty(start), offsets: Offsets::new(), records: Default::default() }
    }

    /// The share of the candidate's records that were older than a minute when they were read; where it has none,
    /// of the primary's that it didn't answer.
    #[expect(clippy::cast_precision_loss, reason = "counts of records lie far below 2^53")]
    pub(super) fn old(&self) -> f64 {
        let [primary, candidate] = self.records;
        let (all, old) = if candidate.0 == 0 { primary } else { candidate };
        if all == 0 { 0.0 } else { old / all as f64 }
    }

    /// Adds a task's part, and how much of each arm's was old.
    #[expect(clippy::cast_precision_loss, reason = "counts of records lie far below 2^53")]
    fn merge(&mut self, AgedPane { pane, old }: &AgedPane) {
        self.pane.merge(pane);
        let counts = [pane.primary.total(), pane.candidate.total()];
        for ((all, all_old), (count, old)) in self.records.iter_mut().zip(counts.iter().zip(old)) {
            *all += count;
            *all_old += *count as f64 * old;
        }
    }
}

/// What a task's log has said and isn't weighed yet.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct TaskFeed {
    position: u64,
    epoch: Epoch,
    vitals: VecDeque<Vitals>,
    vitals_taken: u64,
    comparisons: Vec<ComparisonFeed>,
    /// By input.
    ages: Vec<Ages>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct ComparisonFeed {
    closed_to: EventTime,
    panes: VecDeque<AgedPane>,
}

/// A closed pane, and by arm how much of what was read of it was older than a minute then: as its task's log had it
/// when it was closed, so that it doesn't matter how far ahead of the weighing that is read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct AgedPane {
    pane: Pane,
    old: [f64; 2],
}

impl TaskFeed {
    fn note_ages(&mut self, vitals: &Vitals) {
        if self.ages.len() < vitals.arms.len() {
            self.ages.resize_with(vitals.arms.len(), Ages::default);
        }
        for (ages, arm) in self.ages.iter_mut().zip(&vitals.arms) {
            ages.note(arm.newest, arm.catching_up);
        }
    }

    /// The share of an arm's inputs that were read late at a time, of those of which something was read.
    fn old_share(&self, feeds: &Feeds, arm: usize, time: EventTime) -> f64 {
        let inputs = feeds.of_arm(arm).filter_map(|input| self.ages.get(input)?.is_old(time));
        let (all, old) =
            inputs.fold((0, 0), |(all, old), is_old| (all + 1, old + u32::from(is_old)));
        if all == 0 { 0.0 } else { f64::from(old) / f64::from(all) }
    }
}

impl State {
    pub(super) fn new(spec: &PipelineSpec, tasks: usize) -> Self {
        let feed = ComparisonFeed { closed_to: EventTime::START, panes: VecDeque::new() };
        let comparisons = vec![feed; spec.candidates.len()];
        Self {
            tasks: vec![TaskFeed { comparisons, ..TaskFeed::default() }; tasks],
            rollouts: spec.candidates.iter().map(|_| Rollout::new(spec)).collect(),
            weighings: 0,
            signals_of_weighing: 0,
            cut_to: vec![0; tasks],
            last_look: EventTime::START,
            rolled_to: EventTime::START,
            unsent: Vec::new(),
            timing: None,
            said: vec![None; tasks],
        }
    }

    /// A state as it was written, and the rules that it was reached under, if it says.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Option<RulesSpec>), String> {
        let unreadable = |error| format!("read the evaluator's state: {error}");
        let (mut state, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(unreadable)?;
        state.said.resize(state.tasks.len(), None);
        if rest.is_empty() {
            return Ok((state, None));
        }
        let (Behind { rules, budgets }, rest) =
            postcard::take_from_bytes(rest).map_err(unreadable)?;
        if !rest.is_empty() {
            let BehindRules { timing, said } = postcard::from_bytes(rest).map_err(unreadable)?;
            (state.timing, state.said) = (Some(timing), said);
        }
        for (rollout, budget) in state.rollouts.iter_mut().zip(budgets) {
            rollout.budget = budget;
        }
        Ok((state, Some(rules)))
    }

    /// Returns what `read` gives back.
    pub(super) fn write(&self, rules: RulesSpec) -> Vec<u8> {
        let budgets = self.rollouts.iter().map(|rollout| rollout.budget.clone()).collect();
        let timing = self.timing.clone();
        let times = timing.map(|timing| BehindRules { timing, said: self.said.clone() });
        let state = (self, Behind { rules, budgets });
        // A state is plain data; it could only fail to encode for lack of memory.
        match times {
            Some(times) => postcard::to_allocvec(&(state, times)).unwrap_or_default(),
            None => postcard::to_allocvec(&state).unwrap_or_default(),
        }
    }

    /// Takes an entry of a task whose inputs are these feeds.
    pub(super) fn take_entry(&mut self, task: u32, position: u64, entry: &Entry, feeds: &Feeds) {
        let Some(feed) = self.tasks.get_mut(task as usize) else { return };
        if position <= feed.position {
            return;
        }
        feed.position = position;
        match entry {
            Entry::Claim { .. } => feed.epoch = Epoch(position),
            Entry::Fact(_) | Entry::Lost(_) | Entry::GapMarks(_) | Entry::Feeds(_) => {}
            Entry::Times(said) => {
                if let Some(last) = self.said.get_mut(task as usize) {
                    *last = Some(*said);
                }
            }
            Entry::Vitals(vitals) => {
                feed.note_ages(vitals);
                feed.vitals.push_back(vitals.clone());
            }
            Entry::Checkpoint(closed) | Entry::Repeated(closed) => {
                let number = usize::from(closed.comparison);
                let aged = |pane: &Pane| {
                    let old = [0, number + 1].map(|arm| feed.old_share(feeds, arm, pane.start));
                    AgedPane { pane: pane.clone(), old }
                };
                let aged: Vec<AgedPane> = closed.panes.iter().map(aged).collect();
                if let Some(of) = feed.comparisons.get_mut(number) {
                    of.closed_to = of.closed_to.max(closed.to);
                    of.panes.extend(aged);
                }
            }
        }
    }

    /// Returns whether all candidates are weighed up to there.
    pub(super) fn is_weighed_to(&self, time: EventTime) -> bool {
        self.rollouts.iter().all(|rollout| time <= rollout.weighed_to)
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn taken_of(&self, task: usize) -> (u64, Epoch) {
        self.tasks.get(task).map(|feed| (feed.position, feed.epoch)).unwrap_or_default()
    }

    /// Everything of a comparison before this is closed by every task.
    pub(super) fn closed_by_all(&self, comparison: usize) -> EventTime {
        let closed = |feed: &TaskFeed| feed.comparisons.get(comparison).map(|c| c.closed_to);
        self.tasks.iter().filter_map(closed).min().unwrap_or(EventTime::START)
    }

    pub(super) fn vitals_seen(&self) -> Vec<u64> {
        self.tasks.iter().map(|feed| feed.vitals_taken + feed.vitals.len() as u64).collect()
    }

    /// Takes the vitals of a cut, merged over the tasks; their inputs are these feeds.
    pub(super) fn take_cut(&mut self, ends: &[u64], at: EventTime, feeds: &Feeds) -> Cut {
        self.cut_to = ends.to_vec();
        let mut cut = Cut { at, ..Cut::default() };
        for (number, (feed, end)) in (0_u32..).zip(self.tasks.iter_mut().zip(ends)) {
            while feed.vitals_taken < *end {
                let Some(vitals) = feed.vitals.pop_front() else { break };
                feed.vitals_taken += 1;
                cut.merge(number, &vitals, feeds);
            }
        }
        // The records' time, which passes with them; before any is known, the host's.
        let known = cut.newest.map_or(self.last_look, |newest| newest.min(at).max(self.last_look));
        let is_known = |time: EventTime| time != EventTime::START;
        cut.to = if is_known(known) { known } else { at };
        let begins = cut.oldest.map_or(cut.to, |oldest| oldest.min(cut.to));
        cut.from = if is_known(self.last_look) { self.last_look } else { begins };
        self.last_look = known;
        cut
    }

    /// Everything of a comparison before this is closed by some task.
    pub(super) fn closed_by_any(&self, comparison: usize) -> EventTime {
        let closed = |feed: &TaskFeed| feed.comparisons.get(comparison).map(|c| c.closed_to);
        self.tasks.iter().filter_map(closed).max().unwrap_or(EventTime::START)
    }

    /// Tasks that haven't closed everything of a comparison before `to`, each with how far it has.
    pub(super) fn missing(&self, comparison: usize, to: EventTime) -> Vec<(u32, EventTime)> {
        let closed = |feed: &TaskFeed| feed.comparisons.get(comparison).map(|c| c.closed_to);
        let tasks = (0_u32..).zip(self.tasks.iter().filter_map(closed));
        tasks.filter(|(_, closed)| *closed < to).collect()
    }

    /// Returns whether every task has closed a comparison to `to`, and the missing ones as far as they had.
    pub(super) fn has_closed(
        &self,
        comparison: usize,
        to: EventTime,
        missing: &[(u32, EventTime)],
    ) -> bool {
        self.missing(comparison, to)
            .iter()
            .all(|(task, closed)| missing.iter().any(|(m, had)| m == task && had <= closed))
    }

    /// Returns whether a task has closed panes of a comparison since they were weighed without it.
    pub(super) fn has_late(&self, comparison: usize) -> bool {
        let weighed_to = self.rollouts.get(comparison).map_or(EventTime::START, |r| r.weighed_to);
        let first = |feed: &TaskFeed| {
            let AgedPane { pane, .. } = feed.comparisons.get(comparison)?.panes.front()?;
            Some(pane.start).filter(|start| *start != EventTime::START)
        };
        self.tasks.iter().filter_map(first).any(|start| start < weighed_to)
    }

    /// Takes the panes of a comparison before `to`, of the missing tasks only what they had closed;
    /// each merged over the tasks.
    pub(super) fn take_panes(
        &mut self,
        comparison: usize,
        to: EventTime,
        missing: &[(u32, EventTime)],
        feeds: &Feeds,
    ) -> Vec<TakenPane> {
        let mut merged: BTreeMap<EventTime, TakenPane> = BTreeMap::new();
        for (number, feed) in (0_u32..).zip(&mut self.tasks) {
            let Some(feed) = feed.comparisons.get_mut(comparison) else { continue };
            let had = missing.iter().find(|(task, _)| *task == number).map_or(to, |(_, had)| *had);
            while feed.panes.front().is_some_and(|of| of.pane.start < to.min(had)) {
                let Some(aged) = feed.panes.pop_front() else { break };
                let start = aged.pane.start;
                let into = merged.entry(start).or_insert_with(|| TakenPane::empty(start));
                into.merge(&aged);
                let of_arm = |arm| u8::try_from(feeds.of_arm(arm).start).unwrap_or(u8::MAX);
                let inputs = [0, comparison + 1].map(of_arm);
                for (input, range) in inputs.into_iter().zip(aged.pane.offsets) {
                    into.offsets.extend(range.map(|range| ((number, input), range)));
                }
            }
        }
        merged.into_values().collect()
    }
}
