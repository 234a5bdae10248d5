//! One rule watched on one basis for one rollout.
//!
//! In: looks, in order. Out: the rule shown, once; what is still needed until then; that it sees nothing. Holds:
//! a rule fires when it is shown, not when a ratio crosses it; silence and too little data show nothing; evidence
//! that led to something weaker than the rule asks for is spent; the state is all that the next look needs.
//! Knows nothing of: other rules, signals.

use serde::{Deserialize, Serialize};

use super::clusters;
use super::evidence::{Evidence, Null, Trust, Weight};
use super::history::{self, History, Step};
use super::look::{Look, Of};
use super::observed::{self, Crossed, Observed};
use super::reference::Reference;
use super::shift::{self, Shift};
use super::sight::Sight;
use crate::model::finding::{Basis, Bound, Dependence, Finding, Share, Shown};
use crate::model::rule::{Action, Metric, Rule};
use crate::model::spec::PipelineSpec;
use crate::model::tally::Segment;
use crate::model::time::{EventTime, Span};
use crate::stats::grid::{RateGrid, sample_needed_by_grid};
use crate::stats::onset_set::{self, OnsetSet, likeliest};
use crate::stats::proportion::Rate;

mod blind;

/// A watch's shares of the two stated errors of its action.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Shares {
    /// Of the chance over a rollout.
    pub(super) chance: f64,
    /// Of one false alarm in the stated interval.
    pub(super) interval: f64,
}

/// Fewer events than this since the harm began show nothing, whatever their evidence.
const EVENTS_MIN: u64 = 5;
/// z of "four times out of five".
const Z80: f64 = 0.841_621;
/// A look that lasts longer says little of when something in it began.
const LONG_LOOK: Span = Span::from_secs(60);
/// Onsets that the data rule out with this error aren't named; they must be independent for it to hold.
const ONSET_ERROR: f64 = 0.05;

/// A rule on a basis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Which of the pipeline's rules.
    pub rule: usize,
    /// What it looks at.
    pub basis: Basis,
    segment: Segment,
    claim: Claim,
    limit: f64,
    edge: Edge,
    thresholds: Thresholds,
    history: History,
    sight: Sight,
    /// Both arms' answers can't be brought together, and the rule is about that.
    unjoined: bool,
    /// The last look holds answers of the candidate alone.
    no_primary: bool,
    total: Share,
    /// Of all answers of the candidate that could be read those that the rule counts.
    portion: Share,
    /// A part of an unreadable answer that isn't counted yet.
    carried: f64,
    shown: Option<Shown>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Claim {
    Share(Evidence),
    Shift(Shift),
    Observed(Observed),
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Thresholds {
    /// −ln(its share of the chance per rollout).
    rollout: f64,
    /// ln(looks in the stated interval ÷ its share of it).
    interval: f64,
}

/// The latency beyond which an answer is slow.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Edge {
    None,
    Fixed(u64),
    Of { reference: Reference, factor: f64 },
}

/// The bases on which a rule is watched.
#[must_use]
pub fn bases(rule: &Rule) -> &'static [Basis] {
    let immediate = match rule.metric {
        Metric::ErrorRate | Metric::NullRate | Metric::UnreadableRate | Metric::Latency { .. } => {
            true
        }
        Metric::MissingRate | Metric::MatchRate | Metric::PredictionShift | Metric::Accuracy => {
            false
        }
    };
    if immediate && rule.held_for.is_none() && !rule.observed {
        &[Basis::Vitals, Basis::Panes]
    } else {
        &[Basis::Panes]
    }
}

/// The longest `for` of a rule that what is kept of panes of this length can ever show.
#[must_use]
pub fn held_for_max(rule: &Rule, pane: Span) -> Span {
    let looks = if rule.observed { observed::LOOKS } else { history::HELD };
    Span::from_us(pane.us().saturating_mul(i64::try_from(looks).unwrap_or(i64::MAX)))
}

const fn length_of_look(spec: &PipelineSpec, basis: Basis) -> Span {
    match basis {
        Basis::Vitals => Span::from_secs(1),
        Basis::Panes => spec.time.pane,
    }
}

/// Looks in the stated interval.
fn looks(spec: &PipelineSpec, basis: Basis) -> f64 {
    (spec.certainty.interval.as_secs() / length_of_look(spec, basis).as_secs()).max(1.0)
}

impl Watch {
    /// A rule on a basis with its shares of its action's stated errors; `None` where it can't be watched.
    pub(super) fn new(
        spec: &PipelineSpec,
        at: usize,
        basis: Basis,
        shares: Shares,
    ) -> Option<Self> {
        let rule = spec.rules.get(at)?;
        let limit = limit_of(spec, rule)?;
        let claim = if rule.observed {
            Claim::Observed(Observed::new(limit, rule.observed_over()))
        } else if rule.metric == Metric::PredictionShift {
            Claim::Shift(Shift::new(
                limit,
                classes(spec),
                spec.time.pane,
                spec.certainty.in_blocks,
            )?)
        } else {
            let grid = RateGrid::watching(limit)?;
            let null = match rule.metric {
                Metric::Latency { .. } if rule.relative => Null::Primary,
                Metric::ErrorRate | Metric::NullRate | Metric::Latency { .. }
                    if spec.shared_cause_investigates =>
                {
                    Null::LimitOrPrimary(grid)
                }
                _ => Null::Limit(grid),
            };
            let look = length_of_look(spec, basis);
            Claim::Share(Evidence::new(null, look, trust(rule), spec.certainty.in_blocks))
        };
        Some(Self {
            rule: at,
            basis,
            segment: rule.segment.clone().unwrap_or_default(),
            claim,
            limit,
            edge: edge_of(rule, basis),
            thresholds: Thresholds {
                rollout: -(shares.chance * spec.certainty.per_rollout).ln(),
                interval: (looks(spec, basis) / shares.interval).ln(),
            },
            history: History::default(),
            sight: Sight::default(),
            unjoined: false,
            no_primary: false,
            total: Share::default(),
            portion: Share::default(),
            carried: 0.0,
            shown: None,
        })
    }

    /// The chance of a false alarm over a rollout that it was given.
    #[must_use]
    pub fn chance(&self) -> f64 {
        (-self.thresholds.rollout).exp()
    }

    /// Returns whether it is shown.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// The share that must not be exceeded.
    #[must_use]
    pub const fn limit(&self) -> f64 {
        self.limit
    }

    /// What was shown can't be told yet: it is shown again by the next look that shows it.
    pub fn put_off(&mut self) {
        self.shown = None;
    }

    /// Its share of one false alarm in the stated interval.
    #[must_use]
    pub fn share_of_interval(&self, spec: &PipelineSpec) -> f64 {
        looks(spec, self.basis) * (-self.thresholds.interval).exp()
    }

    /// Takes a look; the rule shown by it, if it wasn't before.
    pub fn look(&mut self, spec: &PipelineSpec, look: &Look<'_>) -> Option<&Shown> {
        let rule = spec.rules.get(self.rule)?;
        self.note_sight(rule, look);
        let shown = self.edge.us().and_then(|edge| self.judge(rule, look, edge));
        if let Edge::Of { reference, .. } = &mut self.edge {
            reference.add(&look.latency(Of::Primary, &self.segment));
        }
        if self.shown.is_some() {
            return None;
        }
        self.shown = shown;
        self.shown.as_ref()
    }

    /// Returns what the data say now.
    #[must_use]
    pub fn finding(&self, spec: &PipelineSpec) -> Finding {
        if let Some(shown) = &self.shown {
            return Finding::Shown(shown.clone());
        }
        if let Some(blind) = self.blind(spec) {
            return Finding::Blind(blind);
        }
        let weight = self.weight();
        let threshold = weight.log_threshold.max(1.0);
        let divisor = match &self.claim {
            Claim::Share(evidence) => evidence.learnt_divisor(),
            Claim::Shift(_) | Claim::Observed(_) => 1.0,
        };
        // In blocks that depends on how many come in a look, and on how they depend on each other.
        let needed = if spec.certainty.in_blocks {
            None
        } else {
            sample_needed_by_grid(self.limit, self.twice(), threshold, Z80)
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sample size"
        )]
        let needed = needed.map(|n| n * divisor).filter(|n| n.is_finite()).map(|n| n.ceil() as u64);
        let (log_evidence, log_threshold) = (weight.log_evidence, weight.log_threshold);
        Finding::Undecided { candidate: self.total, log_evidence, log_threshold, needed }
    }

    /// Panes change their length: where more of them come in the stated interval, each must show more; where
    /// less come, it stays as it is, which errs on the safe side.
    pub fn change_panes(&mut self, before: Span, after: Span) {
        if self.basis == Basis::Panes && after < before {
            self.thresholds.interval += (before.as_secs() / after.as_secs()).ln();
        }
    }

    /// What was shown led to something weaker than the rule asks for: its evidence is spent, and the rule may be
    /// shown again from what comes. Evidence of the candidate's own fault isn't what a shared cause was shown by: it
    /// goes on, so that a sick primary hides no candidate that is worse.
    pub fn spend(&mut self, led: &Shown) {
        self.shown = None;
        if let (true, Claim::Share(evidence)) = (led.shared_cause && !led.old, &mut self.claim) {
            evidence.spend_shared();
            return;
        }
        self.history.clear();
        match &mut self.claim {
            Claim::Share(evidence) => evidence.spend(),
            Claim::Shift(shift) => shift.spend(),
            Claim::Observed(_) => {}
        }
    }

    /// Takes over what the watch of the rollout before has learnt from the primary.
    pub fn inherit(&mut self, before: &Self) {
        if let (Claim::Share(evidence), Claim::Share(known)) = (&mut self.claim, &before.claim) {
            evidence.inherit(known);
        }
        self.edge.clone_from(&before.edge);
    }

    /// A share of twice the limit, or half way between the limit and all of it.
    fn twice(&self) -> f64 {
        (2.0 * self.limit).min(f64::midpoint(1.0, self.limit))
    }

    fn weight(&self) -> Weight {
        let thresholds = (self.thresholds.rollout, self.thresholds.interval);
        match &self.claim {
            Claim::Share(evidence) => evidence.own(thresholds),
            Claim::Shift(shift) => shift.weight(thresholds),
            Claim::Observed(_) => {
                Weight { log_evidence: 0.0, log_threshold: 0.0, bound: Bound::None }
            }
        }
    }

    fn judge(&mut self, rule: &Rule, look: &Look<'_>, edge: u64) -> Option<Shown> {
        let is_early = rule.metric == Metric::MissingRate && !look.begun;
        if is_early || look.unjoined && rule.metric.is_about_pairs() {
            return None;
        }
        let unread = self.unread(rule, look);
        let step = Step { unread, ..self.step(rule, look, edge) };
        self.total.add(step.weighed());
        let thresholds = (self.thresholds.rollout, self.thresholds.interval);
        match &mut self.claim {
            Claim::Observed(observed) => {
                let times = (look.from, look.to);
                let crossed = if rule.metric == Metric::PredictionShift {
                    let (answered, moved) = shift::pairs(look, &self.segment);
                    observed.add_pairs(times, answered, moved)
                } else {
                    observed.add(times.0, times.1, step.candidate)
                };
                self.history.push(step);
                if crossed.is_none() {
                    self.shown = None;
                }
                crossed.map(|crossed| self.show_crossed(rule, look, &crossed))
            }
            Claim::Shift(shift) => {
                let (answered, moved) = shift::pairs(look, &self.segment);
                shift.add(look.from, (answered, &moved), look.clusters(rule.metric));
                let weight = shift.weight(thresholds);
                self.history.push(step);
                weight.is_shown().then(|| self.show_shift(rule, look, weight)).flatten()
            }
            Claim::Share(evidence) => {
                let discordant = look.discordant(rule.metric, &self.segment);
                evidence.advance(&step, discordant, look.clusters(rule.metric));
                let (own, shared) = (evidence.own(thresholds), evidence.shared(thresholds.1));
                self.history.push(step);
                if self.shown.is_some() {
                    return None;
                }
                if own.is_shown() {
                    return self.show(rule, look, own, false);
                }
                let shared = shared.filter(Weight::is_shown)?;
                self.show(rule, look, shared, true)
            }
        }
    }

    /// How many of the answers that couldn't be read the rule has to count: they name neither version nor segment, so as
    /// large a part of them as of those that could be read.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of records lie far below 2^53"
    )]
    fn unread(&mut self, rule: &Rule, look: &Look<'_>) -> u64 {
        self.portion.add(look.portion(&self.segment));
        let part =
            self.portion.point().unwrap_or_else(|| f64::from(u8::from(self.segment.is_all())));
        let due = self.carried + part * look.unread(rule.metric) as f64;
        self.carried = due.fract();
        due.trunc() as u64
    }

    /// Returns what the look holds for this rule, everything and by segment.
    fn step(&self, rule: &Rule, look: &Look<'_>, edge: u64) -> Step {
        // What is slow is the candidate's beyond so many times the edge, and the primary's beyond the edge.
        let theirs = self.edge.times(edge);
        let count = |of, segment: &Segment| {
            look.share(rule.metric, of, segment, if of == Of::Candidate { theirs } else { edge })
        };
        let latency = matches!(rule.metric, Metric::Latency { .. });
        let segments = if self.segment.is_all() { look.segments() } else { Vec::new() };
        let candidate = count(Of::Candidate, &self.segment);
        let part = |s: &Segment| (s.clone(), count(Of::Candidate, s), count(Of::Primary, s));
        #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
        let old = candidate.events as f64 * look.old;
        Step {
            from: look.from,
            to: look.to,
            candidate,
            primary: count(Of::Primary, &self.segment),
            unread: 0,
            alone: look.alone(rule.metric, &self.segment, theirs),
            segments: segments.into_iter().map(part).collect(),
            latency: latency.then(|| {
                (
                    look.latency(Of::Primary, &self.segment),
                    look.latency(Of::Candidate, &self.segment),
                )
            }),
            old,
        }
    }

    /// The rule as shown, if it was true for as long as it asks, and on enough events since it began.
    fn show(&self, rule: &Rule, look: &Look<'_>, weight: Weight, shared: bool) -> Option<Shown> {
        let looks: Vec<(u64, u64)> = self
            .history
            .seen()
            .map(Step::weighed)
            .map(|share| (share.events, share.total))
            .collect();
        let grid = RateGrid::watching(self.limit)?;
        let time = |at: usize| self.history.seen().nth(at).map_or(look.from, |step| step.from);
        let (clusters, dependence) = match &self.claim {
            Claim::Share(evidence) => evidence.divisor(),
            Claim::Shift(_) | Claim::Observed(_) => (1.0, Dependence::None),
        };
        // Where events come in clusters, what speaks against a beginning counts for so much less.
        let beyond = |error: f64| clusters * onset_set::log_threshold(error);
        let set = OnsetSet::beyond(&grid, &looks, beyond(ONSET_ERROR));
        let last_of = set.as_ref().map(|set| time(set.last()));
        let set = if shared { set } else { self.own_onset(set, beyond(ONSET_ERROR / 2.0), &looks) };
        // Within a long look it may have begun at any time.
        let end = |at: usize| {
            let step = self.history.seen().nth(at);
            let long = step.filter(|step| LONG_LOOK < step.to.since(step.from));
            long.map_or_else(|| time(at), |step| step.to)
        };
        let between = set.as_ref().map(|set| (time(set.first()), end(set.last())));
        // Without a set it rose more than once: about since the stretch that speaks most for it.
        let point = set.map_or_else(|| likeliest(&grid, &looks), |set| Some(set.point));
        let point = point.map_or(look.from, time);
        let last = last_of.unwrap_or(point);
        if let Some(span) = rule.held_for {
            // It has begun so long ago, and it still lasts.
            let lately = look.to.minus(Span::from_us(span.us() / 4));
            let still = self.history.since(lately.min(look.from)).weighed.point();
            if look.to.since(last) < span || still.is_none_or(|point| point <= self.limit) {
                return None;
            }
        }
        let since = self.history.since(point);
        // What both arms showed at different times has no shared cause.
        let is_both = since.primary.point().is_some_and(|point| self.limit < point);
        if since.candidate.events < EVENTS_MIN || shared && !is_both {
            return None;
        }
        Some(Shown {
            at: look.to,
            onset: point,
            onset_between: between,
            log_evidence: weight.log_evidence,
            log_threshold: weight.log_threshold,
            bound: weight.bound,
            candidate: since.candidate,
            primary: since.primary,
            candidate_value: since.value(rule.metric, Of::Candidate),
            primary_value: since.value(rule.metric, Of::Primary),
            segments: since.worst_segments(),
            shared_cause: shared,
            old: since.is_old(),
            alone: since.alone,
            clusters,
            dependence,
        })
    }

    /// Where the primary showed the event half as often since then, the harm of the candidate's own began when it was
    /// worse than that, too: an outage that both had and only the primary has recovered from isn't its fault.
    fn own_onset(
        &self,
        set: Option<OnsetSet>,
        log_threshold: f64,
        looks: &[(u64, u64)],
    ) -> Option<OnsetSet> {
        let Claim::Share(evidence) = &self.claim else { return set };
        let steps: Vec<&Step> = self.history.seen().collect();
        let rate = |share: Share| Rate { hits: share.events, total: share.total };
        let from = set.as_ref().map_or(0, |set| set.point);
        let (mut ours, mut theirs) = (Share::default(), Share::default());
        for step in steps.iter().skip(from) {
            ours.add(step.weighed());
            theirs.add(step.primary);
        }
        let is_shared = ours.point().zip(theirs.point()).is_some_and(|(a, b)| a <= 2.0 * b);
        if !evidence.asks_for_own_fault() || !is_shared {
            return set;
        }
        let both: Vec<_> = steps.iter().map(|s| (rate(s.weighed()), rate(s.primary))).collect();
        let worse = OnsetSet::of_difference(&both, log_threshold);
        let grid = RateGrid::watching(self.limit)?;
        OnsetSet::beyond(&grid, looks, log_threshold)
            .zip(worse)
            .map(|(over, worse)| over.both(&worse))
            .or(set)
    }

    fn show_shift(&self, rule: &Rule, look: &Look<'_>, weight: Weight) -> Option<Shown> {
        let Claim::Shift(shift) = &self.claim else { return None };
        let moved = shift.moved()?;
        if rule.held_for.is_some_and(|span| look.to.since(moved.since) < span) {
            return None;
        }
        let pairs = Share { events: moved.pairs(), total: moved.pairs() };
        let (clusters, dependence) = shift.divisor();
        Some(Shown {
            log_evidence: weight.log_evidence,
            log_threshold: weight.log_threshold,
            bound: weight.bound,
            candidate_value: moved.distance(),
            clusters,
            dependence,
            ..self.plain(look, moved.since, pairs)
        })
    }

    fn show_crossed(&self, rule: &Rule, look: &Look<'_>, crossed: &Crossed) -> Shown {
        let since = self.history.since(crossed.from);
        let value = match rule.metric {
            Metric::PredictionShift => Some(crossed.point),
            metric => since.value(metric, Of::Candidate),
        };
        Shown {
            primary: since.primary,
            candidate_value: value,
            primary_value: since.value(rule.metric, Of::Primary),
            old: since.is_old(),
            ..self.plain(look, crossed.since, crossed.share)
        }
    }

    fn plain(&self, look: &Look<'_>, since: EventTime, candidate: Share) -> Shown {
        Shown {
            at: look.to,
            onset: since,
            onset_between: None,
            log_evidence: 0.0,
            log_threshold: 0.0,
            bound: Bound::None,
            candidate,
            primary: Share::default(),
            candidate_value: None,
            primary_value: None,
            segments: Vec::new(),
            shared_cause: false,
            old: 0.5 < look.old,
            alone: Share::default(),
            clusters: 1.0,
            dependence: Dependence::None,
        }
    }
}

impl Edge {
    /// The latency beyond which the primary's answers are slow (0 where the rule has none); `None` while it
    /// hasn't shown enough.
    fn us(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Fixed(us) => Some(*us),
            Self::Of { reference, .. } => reference.us(),
        }
    }

    /// The latency beyond which the candidate's are.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "latencies are below an hour"
    )]
    fn times(&self, us: u64) -> u64 {
        match self {
            Self::None | Self::Fixed(_) => us,
            Self::Of { factor, .. } => (us as f64 * factor).ceil() as u64,
        }
    }
}

/// Answers that are missing may all be lost at once by whoever copies the requests, for a moment: they show nothing
/// before the third pane.
fn trust(rule: &Rule) -> Trust {
    match rule.metric {
        // Nobody is taken away for a mirror that restarts: that takes eight panes at least.
        Metric::MissingRate if rule.action == Action::Rollback => {
            Trust { clusters: 2.0, most_of_look: 2.0 }
        }
        Metric::MissingRate => Trust { clusters: 2.0, most_of_look: 8.0 },
        _ => Trust { clusters: clusters::PRIOR, most_of_look: f64::INFINITY },
    }
}

/// Classes that are told apart: labels, or bins, with null and all others.
fn classes(spec: &PipelineSpec) -> usize {
    let labels = match spec.labels.declared.len() {
        0 => spec.labels.max,
        declared => declared,
    };
    if spec.score_edges.is_empty() { labels + 2 } else { spec.score_edges.len() + 3 }
}

/// The share that must not be exceeded.
fn limit_of(spec: &PipelineSpec, rule: &Rule) -> Option<f64> {
    Some(match rule.metric {
        Metric::ErrorRate | Metric::NullRate | Metric::UnreadableRate | Metric::PredictionShift => {
            rule.value
        }
        // Of all requests, where only some are expected: those that aren't mirrored are missing by intent.
        Metric::MissingRate => 1.0 - spec.mirrored * (1.0 - rule.value),
        Metric::MatchRate => 1.0 - rule.value,
        Metric::Latency { rank } => 1.0 - f64::from(rank) / 100_000.0,
        Metric::Accuracy => return None,
    })
}

fn edge_of(rule: &Rule, basis: Basis) -> Edge {
    let Metric::Latency { rank } = rule.metric else { return Edge::None };
    if rule.relative {
        // Five minutes of looks: ten blocks of half a minute, or of three panes.
        let looks_per_block = match basis {
            Basis::Vitals => 30,
            Basis::Panes => 3,
        };
        let reference = Reference::new(looks_per_block, f64::from(rank) / 100_000.0);
        Edge::Of { reference, factor: rule.value }
    } else {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a latency")]
        Edge::Fixed(rule.value as u64)
    }
}
