//! Has the distribution of predictions moved by more than a share of its mass?
//!
//! In: pairs of both arms' predictions, pane by pane. Out: log evidence, the distance so far. Holds: which classes
//! have gained is fixed from earlier panes before a pane is scored; null is a class of its own; only answered
//! pairs count; where a key tells clusters, evidence is divided by the largest one's size; memory is bounded by the classes that are told apart. Knows nothing of: failed answers, which
//! have their own rule.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::evidence::Weight;
use super::keyed::Keyed;
use super::look::Look;
use crate::model::cluster::ClusterSize;
use crate::model::finding::Dependence;
use crate::model::tally::{Flip, Segment, Tally, merge_counts};
use crate::model::time::{EventTime, Span};
use crate::stats::change_prior::ChangePrior;
use crate::stats::grid::log_mean_exp;
use crate::stats::shift_betting::ShiftBetting;
use crate::stats::spending::SpendingSr;
use crate::stats::sr::Sr;
use crate::stats::tempered::tempered;

/// Panes that are kept to tell since when.
const PANES: usize = 300;

/// Evidence of a shift.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Shift {
    bets: ShiftBetting,
    /// A pane is one observation.
    in_blocks: bool,
    sr: Sr,
    spending: SpendingSr,
    keyed: Keyed,
    panes: VecDeque<Moved>,
}

/// How many pairs scored which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Scores {
    plus: u64,
    minus: u64,
    zero: u64,
}

/// What pairs say of a span.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) since: EventTime,
    /// What the span adds to the log evidence.
    log: f64,
    scores: Scores,
}

impl Moved {
    /// Returns how much more of the candidate's mass than of the primary's lies where it has gained, as a share; a
    /// lower estimate of the total variation.
    #[expect(clippy::cast_precision_loss, reason = "counts of pairs lie far below 2^53")]
    pub(super) fn distance(&self) -> Option<f64> {
        let Scores { plus, minus, .. } = self.scores;
        let total = self.pairs();
        (total != 0).then(|| (plus as f64 - minus as f64) / total as f64)
    }

    /// Returns how many pairs it rests on.
    pub(super) const fn pairs(&self) -> u64 {
        let Scores { plus, minus, zero } = self.scores;
        plus + minus + zero
    }
}

/// Pairs in which both arms answered.
pub(super) const fn answered(tally: &Tally) -> u64 {
    tally.paired - tally.both_failed - tally.candidate_only_failed - tally.primary_only_failed
}

/// Answered pairs of a look, and those whose classes differ.
pub(super) fn pairs(look: &Look<'_>, segment: &Segment) -> (u64, BTreeMap<Flip, u64>) {
    let (mut answered, mut moved) = (0, BTreeMap::new());
    for tally in look.tallies(segment) {
        answered += self::answered(tally);
        merge_counts(&mut moved, &tally.flips);
        merge_counts(&mut moved, &tally.moves);
    }
    (answered, moved)
}

impl Shift {
    /// No evidence yet that more than `limit` has moved.
    pub(super) fn new(limit: f64, classes_max: usize, pane: Span, in_blocks: bool) -> Option<Self> {
        Some(Self {
            in_blocks,
            bets: ShiftBetting::exceeds(limit, classes_max)?,
            sr: Sr::default(),
            spending: SpendingSr::new(ChangePrior::of_looks(pane.us().unsigned_abs())),
            keyed: Keyed::new(pane),
            panes: VecDeque::new(),
        })
    }

    /// Scores a pane's answered pairs, and those that moved; `sizes` is how large the clusters of both arms are.
    pub(super) fn add(
        &mut self,
        from: EventTime,
        (answered, moved): (u64, &BTreeMap<Flip, u64>),
        sizes: [ClusterSize; 2],
    ) {
        self.keyed.see(sizes);
        if answered == 0 {
            return;
        }
        let differing =
            moved.iter().map(|((ours, theirs), n)| (ours.as_str(), theirs.as_str(), *n));
        let same = answered.saturating_sub(moved.values().sum());
        let scored = self.bets.pane(differing, same);
        let increment = if self.in_blocks {
            self.bets.of_mean(&scored).to_vec()
        } else {
            tempered(&scored.increment, self.divisor().0)
        };
        self.sr.advance(&increment);
        self.spending.advance(&increment);
        let scores = Scores { plus: scored.plus, minus: scored.minus, zero: scored.zero };
        if self.panes.len() == PANES {
            self.panes.pop_front();
        }
        let log = log_mean_exp(&increment);
        self.panes.push_back(Moved { since: from, log, scores });
    }

    /// By what evidence is divided now: bets on pairs are only where a key tells which come together.
    pub(super) fn divisor(&self) -> (f64, Dependence) {
        #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
        match (self.keyed.known([true, true]), self.keyed.largest()) {
            _ if self.in_blocks => (1.0, Dependence::Blocks),
            (_, 0) => (1.0, Dependence::None),
            (Some(largest), _) => (largest as f64, Dependence::Key),
            (None, seen) => (seen as f64, Dependence::Estimated),
        }
    }

    pub(super) fn weight(&self, thresholds: (f64, f64)) -> Weight {
        Weight::nearer((self.spending.log_s(), self.sr.log_sr()), thresholds)
    }

    /// The stretch up to now that speaks most for a shift.
    pub(super) fn moved(&self) -> Option<Moved> {
        let mut sum = Moved { log: 0.0, ..*self.panes.back()? };
        sum.scores = Scores::default();
        let mut best = sum;
        for pane in self.panes.iter().rev() {
            let Scores { plus, minus, zero } = pane.scores;
            sum.since = pane.since;
            sum.log += pane.log;
            sum.scores = Scores {
                plus: sum.scores.plus + plus,
                minus: sum.scores.minus + minus,
                zero: sum.scores.zero + zero,
            };
            if best.pairs() == 0 || best.log < sum.log {
                best = sum;
            }
        }
        Some(best)
    }

    /// Evidence that led to something weaker is spent.
    pub(super) fn spend(&mut self) {
        self.sr.reset();
        self.spending.spend();
        self.panes.clear();
    }
}
