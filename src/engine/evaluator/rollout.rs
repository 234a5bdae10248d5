//! One candidate on trial: its windows, its rules' evidence, its latches.
//!
//! In: merged panes and cuts. Out: decisions and the signals that carry them. Holds: a model version
//! that wasn't seen before starts the evidence anew, and so does a rule that changes, for itself; pane rules
//! and vital rules keep their evidence apart, so that what panes decide doesn't depend on how the seconds
//! fell. Knows nothing of: tasks, the log.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::feed::Cut;
use crate::decide::signal::{Grounds, document, signal};
use crate::decide::{Latch, action, words};
use crate::model::entry::{Examples, Pane};
use crate::model::finding::{Basis, Shown};
use crate::model::row::{DecisionRow, WindowRow};
use crate::model::rule::Rule;
use crate::model::signal::Signal;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::report::{Offsets, Windows};
use crate::rules::deal::{Ledger, deal};
use crate::rules::look::{Look, Seen};
use crate::rules::watch::Watch;

/// Decisions that the verdict shows.
const DECISIONS_SHOWN: usize = 20;
/// Model versions that are remembered.
const VERSIONS_MAX: usize = 64;

/// One candidate on trial.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Rollout {
    pub(super) weighed_to: EventTime,
    pub(super) windows: Windows,
    pub(super) watches: Vec<Watch>,
    /// Rides behind the state.
    #[serde(skip)]
    pub(super) ledger: Ledger,
    pub(super) latch: Latch,
    pub(super) versions: [Version; 2],
    pub(super) decisions: Vec<DecisionRow>,
    #[serde(skip)]
    pub(super) last_window: Option<WindowRow>,
    /// What was read before time began, until the first pane takes it.
    before_time: Option<Pane>,
    /// The signal with the highest sequence.
    pub(super) newest: Option<Signal>,
}

/// The model version that a basis has evidence about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) current: String,
    seen: BTreeSet<String>,
}

/// What a weighing is part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) comparison: u8,
    /// The next signal's sequence.
    pub(super) sequence: u64,
}

/// What a weighing led to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) decisions: Vec<DecisionRow>,
    pub(super) signals: Vec<Signal>,
}

/// Where a look's evidence came from.
struct Grounding<'a> {
    basis: Basis,
    examples: &'a Examples,
    offsets: &'a [(u32, u8, i64, i64)],
    catching_up: bool,
}

impl Rollout {
    pub(super) fn new(spec: &PipelineSpec) -> Self {
        let mut ledger = Ledger::default();
        Self {
            weighed_to: EventTime::START,
            windows: Windows::new(&spec.windows),
            watches: deal(spec, Vec::new(), ["", ""], &mut ledger),
            ledger,
            latch: Latch::default(),
            versions: Default::default(),
            decisions: Vec::new(),
            last_window: None,
            before_time: None,
            newest: None,
        }
    }

    pub(super) fn weigh_cut(
        &mut self,
        spec: &PipelineSpec,
        context: &Context,
        cut: &Cut,
    ) -> Outcome {
        let (Some(primary), Some(candidate)) =
            (cut.arms.first(), cut.arms.get(usize::from(context.comparison) + 1))
        else {
            return Outcome::default();
        };
        self.see_version(spec, Basis::Vitals, candidate.version.as_deref());
        let (ours, theirs) = (primary.total(), candidate.total());
        let look = Look {
            seen: Seen::Vitals { primary: &ours, candidate: &theirs },
            from: cut.from,
            to: cut.to,
            every_request: spec.every_request,
        };
        let grounding = Grounding {
            basis: Basis::Vitals,
            examples: &candidate.examples,
            offsets: &cut.offsets,
            catching_up: cut.catching_up,
        };
        self.weigh(spec, context, &look, &grounding)
    }

    pub(super) fn weigh_pane(
        &mut self,
        spec: &PipelineSpec,
        context: &Context,
        pane: &Pane,
        offsets: &Offsets,
    ) -> Outcome {
        if pane.start == EventTime::START {
            self.before_time.get_or_insert_with(|| Pane::empty(pane.start)).merge(pane);
            return Outcome::default();
        }
        match self.before_time.take() {
            Some(before) => {
                let mut first = pane.clone();
                first.merge(&before);
                self.windows.add(&first, offsets);
            }
            None => self.windows.add(pane, offsets),
        }
        self.see_version(spec, Basis::Panes, pane.version.as_ref().map(|(_, v)| v.as_str()));
        let look = Look {
            seen: Seen::Pane(pane),
            from: pane.start,
            to: spec.times().end_of(pane.start),
            every_request: spec.every_request,
        };
        let offsets: Vec<_> =
            offsets.iter().map(|((task, input), (a, b))| (*task, *input, *a, *b)).collect();
        let grounding = Grounding {
            basis: Basis::Panes,
            examples: &pane.examples,
            offsets: &offsets,
            catching_up: false,
        };
        self.weigh(spec, context, &look, &grounding)
    }

    fn weigh(
        &mut self,
        spec: &PipelineSpec,
        context: &Context,
        look: &Look<'_>,
        grounding: &Grounding<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut shown: Vec<(usize, Shown)> = Vec::new();
        for (at, watch) in self.watches.iter_mut().enumerate() {
            if watch.basis == grounding.basis {
                shown.extend(watch.look(spec, look).map(|shown| (at, shown.clone())));
            }
        }
        // The gravest first, so that it is the one that carries the signal.
        shown.sort_by_key(|(at, _)| {
            (std::cmp::Reverse(spec.rules[self.watches[*at].rule].action), *at)
        });
        for (at, shown) in shown {
            self.decide(spec, context, grounding, (at, &shown), &mut outcome);
        }
        outcome
    }

    fn decide(
        &mut self,
        spec: &PipelineSpec,
        context: &Context,
        grounding: &Grounding<'_>,
        (at, shown): (usize, &Shown),
        outcome: &mut Outcome,
    ) {
        let watch = &mut self.watches[at];
        let rule = &spec.rules[watch.rule];
        let (action, weaker) = action(spec, rule, shown, grounding.catching_up);
        if weaker.is_some() && !rule.observed {
            // It may be shown again when the backlog is read or the cause is the candidate's own.
            watch.unlatch();
        }
        let version = self.versions[usize::from(grounding.basis == Basis::Panes)].current.clone();
        let raised = self.latch.raise(&version, action);
        if weaker.is_some() && !raised {
            return;
        }
        let grounds = Grounds {
            spec,
            comparison: context.comparison,
            version: &version,
            rule,
            basis: grounding.basis,
            shown,
            weaker,
            examples: grounding.examples,
            offsets: grounding.offsets,
        };
        let sequence = context.sequence + outcome.signals.len() as u64;
        let signal = raised.then(|| signal(action, sequence, &grounds));
        let row = DecisionRow {
            comparison: context.comparison,
            time: shown.at,
            basis: grounding.basis.word().to_owned(),
            action,
            rule: rule.text.clone(),
            reason: words::sentence(spec, rule, shown, weaker),
            onset: shown.onset,
            log_evidence: shown.log_evidence,
            log_threshold: shown.log_threshold,
            events: shown.candidate.events,
            total: shown.candidate.total,
            signal_id: signal.as_ref().map(|signal| signal.id.clone()),
            evidence: document(action, sequence, &grounds).to_string(),
        };
        if signal.is_some() {
            self.newest.clone_from(&signal);
        }
        outcome.signals.extend(signal);
        self.decisions.push(row.clone());
        if DECISIONS_SHOWN < self.decisions.len() {
            self.decisions.remove(0);
        }
        outcome.decisions.push(row);
    }

    /// A version that wasn't seen before starts its basis' evidence anew; stragglers of an old one
    /// don't.
    fn see_version(&mut self, spec: &PipelineSpec, basis: Basis, seen: Option<&str>) {
        let Some(seen) = seen else { return };
        let version = &mut self.versions[usize::from(basis == Basis::Panes)];
        if version.seen.contains(seen) {
            return;
        }
        if version.seen.len() == VERSIONS_MAX {
            version.seen.pop_first();
        }
        version.seen.insert(seen.to_owned());
        let begins = !version.current.is_empty();
        seen.clone_into(&mut version.current);
        if begins {
            self.watches.retain(|watch| watch.basis != basis);
            self.deal(spec);
        } else {
            self.ledger.name(seen);
        }
        self.ledger.keep([&self.versions[0].current, &self.versions[1].current]);
    }

    /// From now on other rules are in force: who means the same goes on with its evidence.
    pub(super) fn change(&mut self, before: &PipelineSpec, spec: &PipelineSpec) {
        let is_alike =
            before.certainty == spec.certainty && before.every_request == spec.every_request;
        let mut taken = BTreeSet::new();
        let mut place = |rule: &Rule| {
            let mut places = spec.rules.iter().enumerate();
            let (at, _) = places.find(|(at, other)| *other == rule && !taken.contains(at))?;
            taken.insert(at);
            Some(at)
        };
        let places: Vec<Option<usize>> = before.rules.iter().map(&mut place).collect();
        let goes_on = |mut watch: Watch| {
            watch.rule = places.get(watch.rule).copied().flatten()?;
            is_alike.then_some(watch)
        };
        self.watches = std::mem::take(&mut self.watches).into_iter().filter_map(goes_on).collect();
        self.deal(spec);
    }

    /// Panes change their length: where more of them come in the stated interval, each must show more.
    pub(super) fn change_panes(&mut self, before: Span, after: Span) {
        self.watches.iter_mut().for_each(|watch| watch.change_panes(before, after));
    }

    /// Places without a watch get one that begins.
    fn deal(&mut self, spec: &PipelineSpec) {
        let versions = [self.versions[0].current.as_str(), self.versions[1].current.as_str()];
        let watches = std::mem::take(&mut self.watches);
        self.watches = deal(spec, watches, versions, &mut self.ledger);
    }

    /// A state that doesn't say what was given out: all that its watches have.
    pub(super) fn recall_ledger(&mut self, spec: &PipelineSpec) {
        let versions = [self.versions[0].current.as_str(), self.versions[1].current.as_str()];
        self.ledger = Ledger::of(spec, &self.watches, versions);
    }
}
