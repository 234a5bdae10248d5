//! One rule watched on one basis for one rollout.
//!
//! In: looks, in order. Out: the rule shown, once; what is still needed until then. Holds: a rule
//! fires when it is shown, not when a ratio crosses it; silence and too little data show nothing;
//! the state is all that the next look needs. Knows nothing of: other rules, signals.
//!
//! A rate compiles to the one-sample grid e-process (a stated chance per rollout) and, from the same
//! increments, the e-CUSUM (a stated mean time between false alarms): `research` in
//! `docs/statistics.md`. A shift compiles to a time-uniform bound (`shift`).

use serde::{Deserialize, Serialize};

use super::deal::Shares;
use super::history::{History, Step};
use super::look::{Look, Of};
use super::reference::Reference;
use super::shift::{Moved, Shift};
use crate::model::finding::{Basis, Finding, Share, Shown};
use crate::model::rule::{Metric, Rule};
use crate::model::spec::PipelineSpec;
use crate::model::tally::Segment;
use crate::model::time::{EventTime, Span};
use crate::stats::detector::Detector;
use crate::stats::grid::{RateGrid, log_mean_exp, sample_needed};

/// Fewer events than this show nothing, whatever their evidence.
const EVENTS_MIN: u64 = 5;
/// A pane with fewer observations can't start or end a `for`.
const ENOUGH: u64 = 20;
/// z of "four times out of five".
const Z80: f64 = 0.841_621;

/// A rule on a basis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Which of the pipeline's rules.
    pub rule: usize,
    /// What it looks at.
    pub basis: Basis,
    segment: Segment,
    statistic: Statistic,
    thresholds: Thresholds,
    history: History,
    total: Share,
    shown: Option<Shown>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a pipeline has a handful of watches")]
enum Statistic {
    Rate { grid: RateGrid, candidate: Detector, primary: Detector, held: Option<Held> },
    Shift { epochs: [Shift; 3], limit: f64, held: Option<Held>, lower: f64 },
    Observed { limit: f64 },
}

/// The run of panes in which a rule with `for` has been true.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Held {
    since: Option<EventTime>,
    evidence: [f64; 7],
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Thresholds {
    /// −ln(its share of the chance per rollout).
    rollout: f64,
    /// ln(looks in the stated interval ÷ its share of it).
    detector: f64,
    /// Latency threshold: the primary's, or fixed.
    edge: Edge,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Edge {
    None,
    Fixed(u64),
    Of { reference: Reference, quantile: f64, factor: f64 },
}

/// The bases on which a rule is watched.
#[must_use]
pub fn bases(rule: &Rule) -> &'static [Basis] {
    let immediate = match rule.metric {
        Metric::ErrorRate | Metric::NullRate | Metric::Latency { .. } => true,
        Metric::MatchRate | Metric::PredictionShift | Metric::Accuracy => false,
    };
    if immediate && rule.held_for.is_none() && !rule.observed {
        &[Basis::Vitals, Basis::Panes]
    } else {
        &[Basis::Panes]
    }
}

/// Looks in the stated interval.
fn looks(spec: &PipelineSpec, basis: Basis) -> f64 {
    let look_secs = match basis {
        Basis::Vitals => 1.0,
        Basis::Panes => spec.time.pane.as_secs(),
    };
    (spec.certainty.interval.as_secs() / look_secs).max(1.0)
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
        let held = rule.held_for.map(|_| Held::default());
        let (limit, edge) = limit_and_edge(rule, basis)?;
        let statistic = if rule.observed {
            Statistic::Observed { limit }
        } else if rule.metric == Metric::PredictionShift {
            Statistic::Shift { epochs: Shift::all(spec, shares.interval), limit, held, lower: 0.0 }
        } else {
            let grid = RateGrid::exceeds(limit)?;
            let (candidate, primary) = (Detector::new(), Detector::new());
            Statistic::Rate { grid, candidate, primary, held }
        };
        Some(Self {
            rule: at,
            basis,
            segment: rule.segment.clone().unwrap_or_default(),
            statistic,
            thresholds: Thresholds {
                rollout: -(shares.chance * spec.certainty.per_rollout).ln(),
                detector: (looks(spec, basis) / shares.interval).ln(),
                edge,
            },
            history: History::default(),
            total: Share::default(),
            shown: None,
        })
    }

    /// The chance of a false alarm over a rollout that it was given.
    #[must_use]
    pub fn chance(&self) -> f64 {
        (-self.thresholds.rollout).exp()
    }

    /// Its share of one false alarm in the stated interval.
    #[must_use]
    pub fn share_of_interval(&self, spec: &PipelineSpec) -> f64 {
        looks(spec, self.basis) * (-self.thresholds.detector).exp()
    }

    /// Takes a look; the rule shown by it, if it wasn't before.
    pub fn look(&mut self, spec: &PipelineSpec, look: &Look<'_>) -> Option<&Shown> {
        let rule = spec.rules.get(self.rule)?;
        let shown = match self.thresholds.edge.us() {
            Some((edge, limit)) => {
                if let (Statistic::Rate { grid, .. }, Some(limit)) = (&mut self.statistic, limit) {
                    *grid = RateGrid::exceeds(limit).unwrap_or(*grid);
                }
                self.judge(rule, look, edge)
            }
            None => None,
        };
        if let Edge::Of { reference, .. } = &mut self.thresholds.edge {
            let failed = look.share(Metric::ErrorRate, Of::Primary, &self.segment, 0);
            reference.add(&look.latency(Of::Primary, &self.segment), failed);
        }
        if self.shown.is_some() {
            return None;
        }
        self.shown = shown;
        self.shown.as_ref()
    }

    /// What the data say now.
    #[must_use]
    pub fn finding(&self) -> Finding {
        if let Some(shown) = &self.shown {
            return Finding::Shown(shown.clone());
        }
        let (log_evidence, log_threshold, limit) = match &self.statistic {
            Statistic::Rate { grid, candidate, .. } => {
                let rollout = (candidate.log_e(), self.thresholds.rollout);
                let detector = (candidate.log_cusum(), self.thresholds.detector);
                let is_nearer = rollout.0 / rollout.1 < detector.0 / detector.1;
                let nearer = if is_nearer || rollout.1.is_infinite() { detector } else { rollout };
                (nearer.0, nearer.1, grid.limit())
            }
            Statistic::Shift { limit, lower, .. } => (*lower, *limit, *limit),
            Statistic::Observed { limit } => (0.0, 0.0, *limit),
        };
        let needed = sample_needed(limit, (2.0 * limit).min(0.99), log_threshold.max(1.0), Z80);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sample size"
        )]
        let needed = needed.filter(|n| n.is_finite()).map(|n| n.ceil() as u64);
        Finding::Undecided { candidate: self.total, log_evidence, log_threshold, needed }
    }

    /// Panes change their length: where more of them come in the stated interval, each must show more; where
    /// less come, it stays as it is, which errs on the safe side.
    pub fn change_panes(&mut self, before: Span, after: Span) {
        if self.basis == Basis::Panes && after < before {
            self.thresholds.detector += (before.as_secs() / after.as_secs()).ln();
        }
    }

    /// Weakens a shown rule so that it can be shown again: it was read from a backlog.
    pub fn unlatch(&mut self) {
        self.shown = None;
    }

    fn judge(&mut self, rule: &Rule, look: &Look<'_>, edge: u64) -> Option<Shown> {
        let step = self.step(rule, look, edge);
        self.total.add(step.candidate);
        if step.candidate.total == 0 && !matches!(self.statistic, Statistic::Shift { .. }) {
            return None;
        }
        let verdict = self.weigh(rule, look, &step);
        self.history.push(step);
        let Verdict { log_evidence, log_threshold, by_detector, onset, moved } = verdict?;
        if self.shown.is_some() {
            return None;
        }
        Some(self.show(rule, look, (log_evidence, log_threshold, by_detector), onset, moved))
    }

    /// What the look holds for this rule, everything and by segment.
    fn step(&self, rule: &Rule, look: &Look<'_>, edge: u64) -> Step {
        let count = |of, segment: &Segment| look.share(rule.metric, of, segment, edge);
        let latency = matches!(rule.metric, Metric::Latency { .. });
        let segments = if self.segment.is_all() { look.segments() } else { Vec::new() };
        Step {
            from: look.from,
            to: look.to,
            candidate: count(Of::Candidate, &self.segment),
            primary: count(Of::Primary, &self.segment),
            segments: segments.into_iter().map(|s| (s.clone(), count(Of::Candidate, s))).collect(),
            latency: latency.then(|| {
                (
                    look.latency(Of::Primary, &self.segment),
                    look.latency(Of::Candidate, &self.segment),
                )
            }),
        }
    }

    /// Moves the evidence on; the verdict if a threshold is crossed.
    fn weigh(&mut self, rule: &Rule, look: &Look<'_>, step: &Step) -> Option<Verdict> {
        let thresholds = &self.thresholds;
        match &mut self.statistic {
            Statistic::Observed { limit } => {
                let crossed = step.candidate.point().is_some_and(|point| *limit < point);
                crossed.then(|| Verdict::at(0.0, 0.0, true, step.from))
            }
            Statistic::Rate { grid, candidate, primary, held: None } => {
                candidate.advance(&grid.increment(step.candidate.events, step.candidate.total));
                primary.advance(&grid.increment(step.primary.events, step.primary.total));
                if self.total.events < EVENTS_MIN {
                    return None;
                }
                let looks_back = candidate.looks() - candidate.onset();
                let onset = self.history.start_of(looks_back, step);
                if thresholds.rollout <= candidate.log_e() {
                    Some(Verdict::at(candidate.log_e(), thresholds.rollout, false, onset))
                } else {
                    (thresholds.detector <= candidate.log_cusum()).then(|| {
                        Verdict::at(candidate.log_cusum(), thresholds.detector, true, onset)
                    })
                }
            }
            Statistic::Rate { grid, candidate, primary, held: Some(held) } => {
                candidate.advance(&grid.increment(step.candidate.events, step.candidate.total));
                primary.advance(&grid.increment(step.primary.events, step.primary.total));
                let point =
                    (ENOUGH <= step.candidate.total).then(|| step.candidate.point()).flatten();
                held.step(point.map(|point| grid.limit() < point), step);
                let increment = grid.increment(step.candidate.events, step.candidate.total);
                let since = held.add(&increment)?;
                let evidence = log_mean_exp(&held.evidence);
                let long = rule.held_for.is_some_and(|span| span <= step.to.since(since));
                (long && thresholds.detector <= evidence)
                    .then(|| Verdict::at(evidence, thresholds.detector, true, since))
            }
            Statistic::Shift { epochs, limit, held, lower } => {
                let tally = look.tally(&self.segment)?;
                let moved = epochs
                    .iter_mut()
                    .filter_map(|epoch| epoch.add(look.from, tally))
                    .max_by(|a, b| a.lower.total_cmp(&b.lower))?;
                *lower = moved.lower;
                let long = match (held, rule.held_for) {
                    (Some(held), Some(span)) => {
                        held.step(Some(*limit < moved.estimate), step);
                        held.since.is_some_and(|since| span <= step.to.since(since))
                    }
                    _ => true,
                };
                let log = moved.log_threshold;
                let mut verdict = Verdict::at(log, log, true, moved.since);
                verdict.moved = Some(moved);
                (*limit < moved.lower && long).then_some(verdict)
            }
        }
    }

    fn show(
        &self,
        rule: &Rule,
        look: &Look<'_>,
        (log_evidence, log_threshold, by_detector): (f64, f64, bool),
        onset: EventTime,
        moved: Option<Moved>,
    ) -> Shown {
        let since = self.history.since(onset);
        let limit = match &self.statistic {
            Statistic::Rate { grid, .. } => grid.limit(),
            Statistic::Shift { limit, .. } | Statistic::Observed { limit } => *limit,
        };
        let mut shown = Shown {
            at: look.to,
            onset,
            log_evidence,
            log_threshold,
            by_detector,
            candidate: since.candidate,
            primary: since.primary,
            candidate_value: since.value(rule.metric, Of::Candidate),
            primary_value: since.value(rule.metric, Of::Primary),
            segments: since.worst_segments(limit),
            shared_cause: self.is_shared(log_evidence),
        };
        if let Some(moved) = moved {
            shown.candidate_value = Some(moved.estimate);
            shown.primary_value = None;
            shown.candidate = Share { events: moved.candidate, total: moved.candidate };
            shown.primary = Share { events: moved.primary, total: moved.primary };
        }
        shown
    }

    /// Whether the primary breaks the same rule: half of the candidate's evidence is enough, since
    /// of two arms with one cause either may cross first.
    fn is_shared(&self, log_evidence: f64) -> bool {
        match &self.statistic {
            Statistic::Rate { primary, .. } => log_evidence / 2.0 <= primary.log_cusum(),
            Statistic::Shift { .. } | Statistic::Observed { .. } => false,
        }
    }
}

/// A crossed threshold.
struct Verdict {
    log_evidence: f64,
    log_threshold: f64,
    by_detector: bool,
    onset: EventTime,
    moved: Option<Moved>,
}

impl Verdict {
    const fn at(evidence: f64, threshold: f64, by_detector: bool, onset: EventTime) -> Self {
        Self { log_evidence: evidence, log_threshold: threshold, by_detector, onset, moved: None }
    }
}

impl Held {
    /// `broken` says whether the pane breaks the rule; `None` with too little data to tell, which
    /// keeps a run going but can't start it.
    fn step(&mut self, broken: Option<bool>, step: &Step) {
        match broken {
            None => {}
            Some(false) => *self = Self::default(),
            Some(true) => {
                self.since.get_or_insert(step.from);
            }
        }
    }

    fn add(&mut self, increment: &[f64; 7]) -> Option<EventTime> {
        let since = self.since?;
        for (sum, more) in self.evidence.iter_mut().zip(increment) {
            *sum += more;
        }
        Some(since)
    }
}

impl Edge {
    /// The latency beyond which an answer is slow (0 where the rule has none), and the share that may
    /// be, where it follows from the primary; `None` while the primary hasn't shown enough.
    fn us(&self) -> Option<(u64, Option<f64>)> {
        match self {
            Self::None => Some((0, None)),
            Self::Fixed(us) => Some((*us, None)),
            Self::Of { reference, quantile, factor } => {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "latencies are below an hour"
                )]
                let times = |us: u64| (us as f64 * factor).ceil() as u64;
                let (us, share) = reference.quantile(*quantile)?;
                Some((times(us), Some(share)))
            }
        }
    }
}

/// The share that must not be exceeded, and what makes an answer slow.
fn limit_and_edge(rule: &Rule, basis: Basis) -> Option<(f64, Edge)> {
    Some(match rule.metric {
        Metric::ErrorRate | Metric::NullRate | Metric::PredictionShift => (rule.value, Edge::None),
        Metric::MatchRate => (1.0 - rule.value, Edge::None),
        Metric::Latency { rank } => {
            let quantile = f64::from(rank) / 100_000.0;
            let edge = if rule.relative {
                // Five minutes of looks: ten blocks of half a minute, or of three panes.
                let looks_per_block = match basis {
                    Basis::Vitals => 30,
                    Basis::Panes => 3,
                };
                Edge::Of {
                    reference: Reference::new(looks_per_block),
                    quantile,
                    factor: rule.value,
                }
            } else {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a latency"
                )]
                Edge::Fixed(rule.value as u64)
            };
            (1.0 - quantile, edge)
        }
        Metric::Accuracy => return None,
    })
}
