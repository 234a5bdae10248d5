//! Where processes die, and how the protocol can be broken on purpose.
//!
//! In: the plan of each process. Out: an error at the planned step, counts. Holds: a process that died
//! does nothing more. Knows nothing of: what the steps do.

use std::collections::BTreeMap;

use super::rng::Rng;

/// A step of I/O.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    LogRead,
    AppendClaim,
    AppendFact,
    AppendVitals,
    AppendClosed,
    AppendTimes,
    AppendChange,
    AppendRetimes,
    AppendCut,
    AppendPanes,
    AppendSent,
    AppendState,
    ReadBackClaim,
    ReadBackEntry,
    ReadBackWeighing,
    StagePairs,
    StageTable,
    CompletePairs,
    CompleteTable,
    RemovePairs,
    ClearStages,
    SignalStart,
    SignalAck,
    LetterPut,
    LetterFlush,
}

pub(super) const STEPS: [Step; 25] = [
    Step::LogRead,
    Step::AppendClaim,
    Step::AppendFact,
    Step::AppendVitals,
    Step::AppendClosed,
    Step::AppendTimes,
    Step::AppendChange,
    Step::AppendRetimes,
    Step::AppendCut,
    Step::AppendPanes,
    Step::AppendSent,
    Step::AppendState,
    Step::ReadBackClaim,
    Step::ReadBackEntry,
    Step::ReadBackWeighing,
    Step::StagePairs,
    Step::StageTable,
    Step::CompletePairs,
    Step::CompleteTable,
    Step::RemovePairs,
    Step::ClearStages,
    Step::SignalStart,
    Step::SignalAck,
    Step::LetterPut,
    Step::LetterFlush,
];

/// Steps that are rare by themselves, and so are where a process is meant to die more often, each with its weight: a
/// short stream leads to a signal or two.
const RARE: [(Step, u64); 12] = [
    (Step::AppendChange, 1),
    (Step::AppendRetimes, 1),
    (Step::CompletePairs, 1),
    (Step::CompleteTable, 1),
    (Step::AppendPanes, 1),
    (Step::AppendSent, 10),
    (Step::AppendState, 1),
    (Step::StagePairs, 1),
    (Step::StageTable, 2),
    (Step::SignalStart, 6),
    (Step::SignalAck, 8),
    (Step::LetterPut, 1),
];

fn rare(rng: &mut Rng) -> Step {
    let mut left = rng.below(RARE.iter().map(|(_, weight)| weight).sum());
    for (step, weight) in RARE {
        if left < weight {
            return step;
        }
        left -= weight;
    }
    Step::LogRead
}

/// Before the step took place, or after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Side {
    Before,
    After,
}

/// How often processes died where.
pub(super) type Hits = BTreeMap<(Step, Side), u64>;

/// A process' plan to die.
#[derive(Clone, Copy, Debug)]
struct Plan {
    step: Step,
    side: Side,
    /// So many times the step goes well.
    spared: u64,
}

/// What becomes of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    plan: Option<Plan>,
    /// It dies at its next step, before that takes place.
    doomed: bool,
    /// It died, or was stopped by a world that says so.
    pub(super) died: bool,
    /// With it the whole machine stops.
    pub(super) stops_all: bool,
}

impl Fate {
    /// `repairs`: something that was named is lost, and the process has to write it again.
    pub(super) fn drawn(rng: &mut Rng, repairs: bool) -> Self {
        let side = if rng.chance(50) { Side::Before } else { Side::After };
        let plan = |step, side, spared| Some(Plan { step, side, spared });
        if repairs && rng.chance(95) {
            return Self { plan: plan(Step::RemovePairs, side, 0), ..Self::default() };
        }
        match rng.below(100) {
            // Files are named that aren't in place yet.
            0..13 => Self {
                plan: plan(Step::AppendClosed, Side::After, rng.below(6)),
                stops_all: true,
                ..Self::default()
            },
            13..22 => Self::default(),
            at => {
                let step = if at < 75 { rare(rng) } else { *rng.pick(&STEPS) };
                let spared = [0, 0, 0, rng.below(3), rng.below(12)][rng.index(5)];
                Self { plan: plan(step, side, spared), ..Self::default() }
            }
        }
    }

    /// Whether the process dies here. Where a step can't fail, it dies at the next one.
    pub(super) fn dies(&mut self, step: Step, side: Side, can_fail: bool, hits: &mut Hits) -> bool {
        if self.doomed {
            self.died = true;
            return true;
        }
        let Some(plan) = self.plan.as_mut().filter(|p| (p.step, p.side) == (step, side)) else {
            return false;
        };
        if plan.spared != 0 {
            plan.spared -= 1;
            return false;
        }
        *hits.entry((step, side)).or_default() += 1;
        self.doomed = true;
        self.died = can_fail;
        can_fail
    }

    /// Nothing more is planned.
    pub(super) fn spare(&mut self) {
        (self.plan, self.doomed) = (None, self.doomed && self.died);
    }
}

/// A way to get the protocol wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bug {
    Nothing,
    /// The log hands out what isn't durable.
    ActsBeforeReadBack,
    /// A task goes on where reading stopped.
    NoLookBack,
    /// All comparisons go on from the furthest point of any.
    OneResumePoint,
    /// A new owner doesn't see which vitals were counted.
    VitalsTwice,
    /// A new owner doesn't know the ids that passed within its horizon.
    IdsForgotten,
    /// A new owner goes on behind vitals that were rejected.
    VitalsRejected,
    /// Files are in place before the entry that names them.
    RenamedBeforeEntry,
    /// The evaluator goes on from a state that doesn't count.
    StateOfLostEntry,
    /// A new owner of the evaluator doesn't see that rules changed.
    ChangesForgotten,
    /// A new owner of the evaluator obeys rules that a superseded one wrote down.
    ChangesOfZombies,
    /// A task says that it holds where it has closed already.
    HoldsTooEarly,
    /// Times change earlier than the tasks hold.
    TimesTooEarly,
    /// A new owner of a task goes by the tempo before a change.
    TimesForgotten,
    /// Who was superseded by a late claim doesn't claim again.
    NeverClaimsAgain,
    /// The evaluator takes entries of any epoch.
    SeatIgnoresEpochs,
    /// A signal that the control topic refused is taken for sent.
    SignalsNotRepeated,
    /// What older epochs staged is put in place instead of removed.
    StagesOfZombiesCompleted,
}

pub(super) const BUGS: [Bug; 17] = [
    Bug::ActsBeforeReadBack,
    Bug::NoLookBack,
    Bug::OneResumePoint,
    Bug::VitalsTwice,
    Bug::IdsForgotten,
    Bug::VitalsRejected,
    Bug::RenamedBeforeEntry,
    Bug::StateOfLostEntry,
    Bug::ChangesForgotten,
    Bug::ChangesOfZombies,
    Bug::HoldsTooEarly,
    Bug::TimesTooEarly,
    Bug::TimesForgotten,
    Bug::NeverClaimsAgain,
    Bug::SeatIgnoresEpochs,
    Bug::SignalsNotRepeated,
    Bug::StagesOfZombiesCompleted,
];
