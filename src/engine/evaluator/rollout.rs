//! One candidate on trial: its windows, its rules' evidence, its latches.
//!
//! In: merged panes and cuts. Out: decisions, the signals that carry them, troubles. Holds: evidence belongs to the
//! model version that made it: another one begins its rollout with none, and so does a rule that changes, for
//! itself; pane rules and vital rules keep their evidence apart, so that what panes decide doesn't depend on how
//! the seconds fell; a rule is told once in a rollout. Knows nothing of: tasks, the log.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cut::Cut;
use super::versions::{Change, Versions};
use crate::decide::signal::{Grounds, document, signal};
use crate::decide::{self, Course, Latch, Led, course, format};
use crate::diagnose::{Diagnosis, Kind, Names, Trouble};
use crate::model::entry::{Examples, Pane};
use crate::model::finding::{Basis, Finding, Share, Shown};
use crate::model::notice::Notice;
use crate::model::row::{DecisionRow, WindowRow};
use crate::model::rule::{Action, Rule};
use crate::model::signal::Signal;
use crate::model::spec::PipelineSpec;
use crate::model::tally::{Segment, Tally};
use crate::model::time::{EventTime, Span};
use crate::report::{Offsets, Windows};
use crate::rules::answering::Answering;
use crate::rules::budget::{ErrorBudget, allot};
use crate::rules::look::{Look, Seen, Trial};
use crate::rules::watch::Watch;

/// Decisions that the verdict shows.
const DECISIONS_SHOWN: usize = 20;

/// One candidate on trial.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Rollout {
    pub(super) weighed_to: EventTime,
    pub(super) windows: Windows,
    pub(super) watches: Vec<Watch>,
    /// Rides behind the state.
    #[serde(skip)]
    pub(super) budget: ErrorBudget,
    pub(super) latch: Latch,
    /// On vitals and on panes.
    pub(super) versions: [Versions; 2],
    pub(super) decisions: Vec<DecisionRow>,
    #[serde(skip)]
    pub(super) last_window: Option<WindowRow>,
    /// What was read before time began, until the first pane takes it.
    pub(super) before_time: Option<Pane>,
    /// The signal with the highest sequence.
    pub(super) newest: Option<Signal>,
    pub(super) diagnosis: Diagnosis,
    /// What keeps the arms from being compared now.
    pub(super) troubles: Vec<Trouble>,
    /// What was told of these and of blind rules.
    told: BTreeSet<String>,
    /// Newest event time of the candidate and the primary that was weighed.
    pub(super) newest_time: Option<EventTime>,
    /// When the version on trial began, on either basis.
    began: EventTime,
    /// Requests that both arms answered, of all panes weighed.
    pub(super) paired: u64,
    /// The candidate has answered anything.
    has_begun: bool,
    /// What this arm has answered, over all model versions.
    pub(super) answering: Answering,
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
    pub(super) notices: Vec<Notice>,
}

/// Where a look's evidence came from.
struct Grounding<'a> {
    basis: Basis,
    examples: &'a Examples,
    offsets: &'a [(u32, u8, i64, i64)],
}

impl Rollout {
    pub(super) fn new(spec: &PipelineSpec) -> Self {
        let mut budget = ErrorBudget::default();
        Self {
            weighed_to: EventTime::START,
            windows: Windows::new(&spec.windows),
            watches: allot(spec, Vec::new(), ["", ""], &mut budget),
            budget,
            latch: Latch::default(),
            versions: Default::default(),
            decisions: Vec::new(),
            last_window: None,
            before_time: None,
            newest: None,
            diagnosis: Diagnosis::default(),
            troubles: Vec::new(),
            told: BTreeSet::new(),
            newest_time: None,
            began: EventTime::START,
            paired: 0,
            has_begun: false,
            answering: Answering::default(),
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
        self.newest_time = self.newest_time.max(cut.newest);
        let arms = [primary, candidate].map(|arm| (arm.second(), arm.sample.as_slice()));
        let names = names(spec, context.comparison);
        self.diagnosis.take(cut.at, arms, &names);
        self.troubles = self.diagnosis.troubles(&names);
        self.see_versions(spec, Basis::Vitals, cut.to, candidate.versions());
        self.troubles.extend(self.versions.iter().find_map(Versions::trouble));
        self.troubles.extend(self.versions[0].division(cut.to));
        self.troubles.extend(self.more_mirrored(spec, names.candidate));
        self.troubles.sort_by_key(|trouble| trouble.kind);
        let seen = Seen::Vitals {
            primary: &primary.counts,
            candidate: &candidate.counts,
            unreadable: candidate.unreadable.values().sum(),
            read: candidate.read(),
            clusters: [primary.clusters(), candidate.clusters()],
        };
        let version = self.version(Basis::Vitals);
        let look = Look {
            seen,
            from: cut.from,
            to: cut.to,
            trial: trial(&seen, version.as_deref()),
            old: candidate.old_share(),
            unjoined: self.is_unjoined(),
            begun: self.has_begun,
        };
        let grounding = Grounding {
            basis: Basis::Vitals,
            examples: &candidate.examples,
            offsets: &cut.offsets,
        };
        self.weigh(spec, context, &look, &grounding)
    }

    /// Keeps what was read before time began: it belongs to the first pane that has a time.
    pub(super) fn keep_before_time(&mut self, pane: &Pane) {
        self.before_time.get_or_insert_with(|| Pane::empty(pane.start)).merge(pane);
    }

    /// Weighs a closed pane, of which this share was older than a minute when it was read, with what was read before
    /// time began.
    pub(super) fn weigh_pane(
        &mut self,
        spec: &PipelineSpec,
        context: &Context,
        (pane, before, offsets): (&Pane, Option<&Pane>, &Offsets),
        old: f64,
    ) -> Outcome {
        match before {
            Some(before) => {
                let mut first = pane.clone();
                first.merge(before);
                self.windows.add(&first, offsets);
            }
            None => self.windows.add(pane, offsets),
        }
        let all = pane.tallies.values().filter_map(|tallies| tallies.get(&Segment::all()));
        let (paired, requests) = all.fold((0, 0), |(paired, requests), tally| {
            (paired + tally.paired, requests + tally.primary.requests)
        });
        if 0 < pane.primary.total() + pane.candidate.total() {
            // Where records come one by one, time passes by facts alone, and vitals count none of them.
            self.newest_time = self.newest_time.max(Some(pane.start));
        }
        self.paired += paired;
        self.diagnosis.take_pane(pane);
        let to = spec.times().end_of(pane.start);
        let seen =
            pane.tallies.iter().map(|(version, tallies)| (version.as_str(), answers(tallies)));
        self.see_versions(spec, Basis::Panes, to, seen);
        let version = self.version(Basis::Panes);
        let pane_seen = Seen::Pane(pane);
        // Before its first answer, and in the pane of that, a candidate hasn't begun: it may have been started later.
        let (unjoined, begun) = (self.is_unjoined(), self.has_begun);
        self.has_begun |= pane.candidate.paired + pane.candidate.alone != 0;
        if begun && !unjoined {
            self.answering.take(Share { events: paired, total: requests });
        }
        let look = Look {
            seen: pane_seen,
            from: pane.start,
            to,
            trial: trial(&pane_seen, version.as_deref()),
            old,
            unjoined,
            begun,
        };
        let offsets: Vec<_> =
            offsets.iter().map(|((task, input), (a, b))| (*task, *input, *a, *b)).collect();
        let grounding =
            Grounding { basis: Basis::Panes, examples: &pane.examples, offsets: &offsets };
        self.weigh(spec, context, &look, &grounding)
    }

    /// The rollout that is on trial, as far as is known.
    pub(super) fn current(&self) -> &decide::Rollout {
        let [vitals, panes] = &self.versions;
        if vitals.current().version.is_empty() { panes.current() } else { vitals.current() }
    }

    /// The rollout on trial as its verdict has it: of both bases' rollouts of one version the graver.
    pub(super) fn judged(&self) -> &decide::Rollout {
        let (current, panes) = (self.current(), self.versions[1].current());
        let is_graver = self.latch.severity(current) < self.latch.severity(panes);
        if panes.version == current.version && is_graver { panes } else { current }
    }

    /// More answers than the file says are mirrored: as many as that could be missing, and no rule would see it.
    fn more_mirrored(&self, spec: &PipelineSpec, candidate: &str) -> Option<Trouble> {
        let Share { events, total } = self.answering.beyond(spec.mirrored)?;
        let text = format!(
            "{candidate} has answered {} of {} requests since its first answer, and the file says `mirrored: {}%`: an answer is missed only where fewer come than that",
            format::count(events),
            format::count(total),
            spec.mirrored * 100.0
        );
        let cure =
            "write how many of the requests are mirrored, or leave `mirrored` out where all are";
        Some(Trouble { kind: Kind::MoreMirrored, text, cure: cure.to_owned() })
    }

    /// Answers are known to exist that can't be joined.
    fn is_unjoined(&self) -> bool {
        self.troubles.iter().any(|trouble| trouble.kind.is_unjoined())
    }

    fn on(&self, basis: Basis) -> &decide::Rollout {
        self.versions[usize::from(basis == Basis::Panes)].current()
    }

    /// The version on trial; `None` where they can't be told apart.
    fn version(&self, basis: Basis) -> Option<String> {
        let versions = &self.versions[usize::from(basis == Basis::Panes)];
        (!versions.are_together()).then(|| versions.current().version.clone())
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
        self.notice(spec, context.comparison, look.to, &mut outcome);
        outcome
    }

    /// Tells what keeps the arms from being compared, and which rules see nothing, once as long as it lasts.
    fn notice(
        &mut self,
        spec: &PipelineSpec,
        comparison: u8,
        at: EventTime,
        outcome: &mut Outcome,
    ) {
        let mut now = BTreeSet::new();
        let mut tell = |key: String, kind: &str, text: &str, cure: &str| {
            if !self.told.contains(&key) {
                let (kind, text, cure) = (kind.to_owned(), text.to_owned(), cure.to_owned());
                outcome.notices.push(Notice { comparison, at, kind, text, cure });
            }
            now.insert(key);
        };
        for Trouble { kind, text, cure } in &self.troubles {
            tell(kind.word().to_owned(), kind.word(), text, cure);
        }
        // Where a trouble says why nothing can be compared, the rules that it blinds needn't say it, too.
        let is_blinding = |trouble: &Trouble| trouble.kind.is_blinding();
        let explained = self.troubles.iter().any(is_blinding);
        for (rule, finding) in blind_rules(spec, &self.watches).filter(|_| !explained) {
            if let Finding::Blind(blind) = finding {
                let text = format!("{}: {}", rule.text, blind.reason);
                tell(format!("blind {}", rule.text), "blind", &text, &blind.cure);
            }
        }
        self.told = now;
    }

    fn decide(
        &mut self,
        spec: &PipelineSpec,
        context: &Context,
        grounding: &Grounding<'_>,
        (at, shown): (usize, &Shown),
        outcome: &mut Outcome,
    ) {
        let of = self.watches[at].rule;
        let rule = &spec.rules[of];
        let Some(doubts) = self.doubts(spec, context.comparison, (at, shown)) else {
            self.watches[at].put_off();
            return;
        };
        let course = course(spec, rule, shown, doubts);
        let Course { action, ref weaker, .. } = course;
        if weaker.is_some() && !rule.observed {
            // It may be shown again when the backlog is read or the cause is the candidate's own, from what comes.
            self.watches[at].spend(shown);
        }
        let is_told = |w: &Watch| w.rule == of && w.basis != grounding.basis && w.is_shown();
        let [vitals, panes] = &self.versions;
        let is_same = vitals.current().version == panes.current().version;
        if is_same && self.watches.iter().any(is_told) {
            return;
        }
        let rollout = self.on(grounding.basis).clone();
        let reason = format::sentence(spec, rule, shown, &course);
        let led = Led {
            action,
            rule: rule.text.clone(),
            reason: reason.clone(),
            since: shown.onset,
            at: shown.at,
        };
        let is_lower = self.is_told_by_the_other(grounding.basis, &rollout, action);
        let raised = self.latch.raise(&rollout, led) && !is_lower;
        if weaker.is_some() && !raised && self.was_told(spec, rule) {
            return;
        }
        let grounds = Grounds {
            spec,
            comparison: context.comparison,
            version: &rollout.version,
            rule,
            basis: grounding.basis,
            shown,
            weaker: weaker.as_deref(),
            reason: &reason,
            examples: grounding.examples,
            offsets: grounding.offsets,
        };
        let sequence = context.sequence + outcome.signals.len() as u64;
        let signal = raised.then(|| signal(action, sequence, &grounds));
        let evidence = document(action, sequence, &grounds).to_string();
        let row = row(&grounds, action, signal.as_ref(), evidence);
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

    /// Both bases number their rollouts by themselves: what one has shown of a version binds the other, so that a lower
    /// signal never follows a higher one.
    fn is_told_by_the_other(
        &self,
        basis: Basis,
        rollout: &decide::Rollout,
        action: Action,
    ) -> bool {
        let other = self.on(match basis {
            Basis::Vitals => Basis::Panes,
            Basis::Panes => Basis::Vitals,
        });
        other.version == rollout.version && action <= self.latch.severity(other)
    }

    /// A rule on the same metric has a decision since the version on trial began.
    fn was_told(&self, spec: &PipelineSpec, rule: &Rule) -> bool {
        let is_alike = |row: &DecisionRow| {
            spec.rules.iter().any(|of| of.text == row.rule && of.metric == rule.metric)
        };
        self.decisions.iter().any(|row| self.began <= row.time && is_alike(row))
    }

    /// Another model version starts its basis' evidence anew; what was learnt on the primary is kept.
    fn see_versions<'v>(
        &mut self,
        spec: &PipelineSpec,
        basis: Basis,
        at: EventTime,
        seen: impl IntoIterator<Item = (&'v str, u64)>,
    ) {
        let versions = &mut self.versions[usize::from(basis == Basis::Panes)];
        match versions.see(at, seen) {
            Change::None => return,
            Change::Named => {
                let name = key(versions.current());
                self.budget.name(&name);
            }
            Change::Begins => {
                self.began = at;
                let is_of = |watch: &Watch| watch.basis == basis;
                let watches = std::mem::take(&mut self.watches).into_iter();
                let (before, kept): (Vec<Watch>, Vec<Watch>) = watches.partition(is_of);
                self.watches = kept;
                self.allot(spec);
                for watch in self.watches.iter_mut().filter(|watch| is_of(watch)) {
                    if let Some(before) = before.iter().find(|b| b.rule == watch.rule) {
                        watch.inherit(before);
                    }
                }
            }
        }
        let keys = self.keys();
        self.budget.keep([&keys[0], &keys[1]]);
    }

    /// Returns what the ledger calls the rollouts on vitals and on panes.
    fn keys(&self) -> [String; 2] {
        [key(self.versions[0].current()), key(self.versions[1].current())]
    }

    /// From now on other rules are in force: who means the same goes on with its evidence.
    pub(super) fn change(&mut self, before: &PipelineSpec, spec: &PipelineSpec) {
        let is_alike = before.certainty == spec.certainty
            && before.mirrored.to_bits() == spec.mirrored.to_bits()
            && before.shared_cause_investigates == spec.shared_cause_investigates;
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
        self.allot(spec);
    }

    /// Panes change their length: where more of them come in the stated interval, each must show more.
    pub(super) fn change_panes(&mut self, before: Span, after: Span) {
        self.watches.iter_mut().for_each(|watch| watch.change_panes(before, after));
    }

    /// Places without a watch get one that begins.
    fn allot(&mut self, spec: &PipelineSpec) {
        let keys = self.keys();
        let watches = std::mem::take(&mut self.watches);
        self.watches = allot(spec, watches, [&keys[0], &keys[1]], &mut self.budget);
    }
}

/// Rules that see nothing on any basis, with what their watch says.
pub(super) fn blind_rules<'s>(
    spec: &'s PipelineSpec,
    watches: &'s [Watch],
) -> impl Iterator<Item = (&'s Rule, Finding)> {
    spec.rules.iter().enumerate().filter_map(move |(at, rule)| {
        let mut blind = None;
        for watch in watches.iter().filter(|watch| watch.rule == at) {
            match watch.finding(spec) {
                Finding::Blind(why) => blind = Some(why),
                Finding::Undecided { candidate, .. } if candidate.total == 0 => {}
                Finding::Shown(_) | Finding::Undecided { .. } => return None,
            }
        }
        blind.map(|blind| (rule, Finding::Blind(blind)))
    })
}

/// Whose of these answers count.
fn trial<'v>(seen: &Seen<'_>, version: Option<&'v str>) -> Trial<'v> {
    version.map_or_else(Trial::whole, |version| Trial::of(seen, version))
}

/// Returns what the troubles speak of.
pub(super) fn names(spec: &PipelineSpec, comparison: u8) -> Names<'_> {
    Names {
        candidate: spec.candidates.get(usize::from(comparison)).map_or("", String::as_str),
        skew: spec.time.skew,
        wait: spec.time.wait,
        comparator: spec.comparator,
        cluster: spec.cluster.as_deref(),
    }
}

/// The candidate's answers of a version.
fn answers(tallies: &std::collections::BTreeMap<Segment, Tally>) -> u64 {
    tallies.get(&Segment::all()).map_or(0, |tally| tally.candidate.requests)
}

/// A decision as the table holds it.
fn row(
    grounds: &Grounds<'_>,
    action: Action,
    signal: Option<&Signal>,
    evidence: String,
) -> DecisionRow {
    let Grounds { comparison, rule, basis, shown, reason, .. } = *grounds;
    DecisionRow {
        comparison,
        time: shown.at,
        basis: basis.word().to_owned(),
        action,
        rule: rule.text.clone(),
        reason: reason.to_owned(),
        onset: shown.onset,
        log_evidence: shown.log_evidence,
        log_threshold: shown.log_threshold,
        events: shown.candidate.events,
        total: shown.candidate.total,
        signal_id: signal.map(|signal| signal.id.clone()),
        evidence,
    }
}

/// Returns what the ledger calls a rollout: a version that comes back is another one.
fn key(rollout: &decide::Rollout) -> String {
    match rollout.number {
        0 => rollout.version.clone(),
        number => format!("{}\n{number}", rollout.version),
    }
}
