//! Evidence that a share exceeds its limit, by a fault of the candidate's own where a primary stands beside it.
//!
//! In: both arms' counts, look by look. Out: log evidence against its thresholds. Holds: what the rule denies is
//! "the share is within its limit, or no higher than the primary's meanwhile": the smaller of two e-values counts,
//! block by block, so an outage of both arms never adds up to the candidate's fault, neither during nor after
//! it; evidence is divided by what clusters make of it, or each look is one observation. Knows nothing of: metrics, what a block is called.
//! Formulas and promises: `docs/statistics.md`.

use serde::{Deserialize, Serialize};

use super::clusters::{Clusters, Discount};
use super::history::Step;
use crate::model::cluster::ClusterSize;
use crate::model::finding::{Bound, Dependence, Share};
use crate::model::time::Span;
use crate::stats::betting::{block_increment, difference_increment, paired_difference_increment};
use crate::stats::block_min::BlockMin;
use crate::stats::change_prior::ChangePrior;
use crate::stats::grid::{MULTIPLIERS, RateGrid};
use crate::stats::kernel;
use crate::stats::proportion::Rate;
use crate::stats::sr::Sr;
use crate::stats::tempered::tempered;

/// What must be untrue for the rule to be shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Null {
    /// The share is within its limit.
    Limit(RateGrid),
    /// It is, or it is no higher than the primary's.
    LimitOrPrimary(RateGrid),
    /// It is no higher than the primary's.
    Primary,
}

/// Evidence of one rule on one basis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Evidence {
    null: Null,
    own: BlockMin,
    /// Either arm beyond the limit, whoever's fault it is: the candidate, the primary.
    either: [Sr; 2],
    clusters: Clusters,
    /// Each look counts as one observation.
    in_blocks: bool,
    /// The most that one look adds: nothing is shown by less than so many looks.
    most_of_look: f64,
    /// The divisor that the last look was weighed with, and what it was learnt from.
    divisor: (f64, Dependence),
    /// Looks since the primary was last seen.
    alone: u32,
    looks_per_minute: u32,
}

/// What is taken for known of events before any was seen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Trust {
    /// They come in clusters of so many.
    pub(super) clusters: f64,
    /// One look adds no more log evidence than this.
    pub(super) most_of_look: f64,
}

/// Log evidence and the threshold that it has crossed or is nearest to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Weight {
    pub(super) log_evidence: f64,
    pub(super) log_threshold: f64,
    pub(super) bound: Bound,
}

impl Weight {
    pub(super) fn is_shown(&self) -> bool {
        self.log_threshold <= self.log_evidence
    }

    /// Returns what stands for a rule by its evidence over the rollout and under endless looking, each against its threshold:
    /// of both the one that is shown, else the one that is nearer.
    pub(super) fn nearer((log_s, log_r): (f64, f64), (rollout, interval): (f64, f64)) -> Self {
        if rollout.is_finite() && log_r / interval <= log_s / rollout {
            Self { log_evidence: log_s, log_threshold: rollout, bound: Bound::Rollout }
        } else {
            Self { log_evidence: log_r, log_threshold: interval, bound: Bound::Interval }
        }
    }
}

impl Evidence {
    /// None yet; a look lasts so long.
    pub(super) fn new(null: Null, look: Span, trust: Trust, in_blocks: bool) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 60")]
        let minute = (60.0 / look.as_secs()).ceil().clamp(1.0, 60.0) as u32;
        Self {
            null,
            own: BlockMin::new(
                &[1, minute.div_ceil(6), minute],
                ChangePrior::of_looks(look.us().unsigned_abs()),
            ),
            either: [Sr::default(), Sr::default()],
            clusters: Clusters::new(look, trust.clusters),
            in_blocks,
            most_of_look: trust.most_of_look,
            divisor: (1.0, Dependence::None),
            alone: 0,
            looks_per_minute: minute,
        }
    }

    /// Weighs a look; `discordant` are the pairs in which only the candidate, and only the primary shows the event,
    /// `sizes` how large the clusters of both arms are.
    pub(super) fn advance(
        &mut self,
        step: &Step,
        discordant: Option<(u64, u64)>,
        sizes: [ClusterSize; 2],
    ) {
        let (candidate, primary) = (step.weighed(), step.primary);
        self.clusters.see(sizes);
        self.alone = if primary.total == 0 { self.alone.saturating_add(1) } else { 0 };
        if candidate.total != 0 {
            let discount = self.discount([primary.total != 0, true]);
            self.divisor = (discount.divisor, discount.dependence);
            let most = self.most_of_look.min(discount.most_of_look);
            let against = capped(self.against_primary(step, discordant), most);
            let rate = |grid: &RateGrid| {
                capped(self.against_limit(grid, candidate, discount.divisor), most)
            };
            match &self.null {
                Null::Limit(grid) => self.own.advance_alone(&rate(grid)),
                Null::Primary => self.own.advance_alone(&against),
                Null::LimitOrPrimary(grid) => {
                    let rate = rate(grid);
                    self.either[0].advance(&rate);
                    // Where no primary was seen for a minute there is nothing to compare with.
                    let is_alone = self.looks_per_minute <= self.alone;
                    self.own.advance(&rate, if is_alone { &rate } else { &against })
                }
            };
        }
        if let (Null::LimitOrPrimary(grid), true) = (&self.null, primary.total != 0) {
            let Discount { divisor, .. } = self.discount([true, false]);
            let rate = self.against_limit(grid, primary, divisor);
            self.either[1].advance(&rate);
        }
        self.clusters.learn(candidate, primary);
    }

    /// Log evidence of a look that an arm's share exceeds the limit.
    fn against_limit(&self, grid: &RateGrid, share: Share, divisor: f64) -> Vec<f64> {
        let Share { events, total } = share;
        if self.in_blocks {
            block_increment(grid.limit(), events, total).unwrap_or_default().to_vec()
        } else {
            tempered(&grid.increment(events, total), divisor)
        }
    }

    /// Log evidence of a look that the candidate's share is higher than the primary's.
    fn against_primary(&self, step: &Step, discordant: Option<(u64, u64)>) -> Vec<f64> {
        let [ours, theirs] = [step.weighed(), step.primary]
            .map(|share| Rate { hits: share.events, total: share.total });
        if self.in_blocks {
            let pairs = ours.total.min(theirs.total);
            return match discordant {
                Some((b, c)) => paired_difference_increment(b, c, pairs).to_vec(),
                None => difference_increment(ours, theirs).unwrap_or_default().to_vec(),
            };
        }
        let multipliers = match &self.null {
            Null::Limit(grid) | Null::LimitOrPrimary(grid) => grid.multipliers(),
            Null::Primary => &MULTIPLIERS,
        };
        let increment = match discordant {
            Some((b, c)) => kernel::paired_increment(multipliers, b, c),
            None => kernel::increment(multipliers, ours, theirs, 1.0)
                .unwrap_or_else(|| vec![0.0; multipliers.len()]),
        };
        tempered(&increment, self.divisor.0)
    }

    /// Returns how a look is weighed in which these arms answered: a block needs no estimate.
    fn discount(&self, weighed: [bool; 2]) -> Discount {
        if self.in_blocks {
            let dependence = Dependence::Blocks;
            Discount { divisor: 1.0, most_of_look: f64::INFINITY, dependence }
        } else {
            self.clusters.discount(weighed)
        }
    }

    /// Returns what stands for the rule.
    pub(super) fn own(&self, thresholds: (f64, f64)) -> Weight {
        Weight::nearer((self.own.log_s(), self.own.log_r()), thresholds)
    }

    /// Returns what stands for "both arms are beyond the limit": the lesser of both.
    pub(super) fn shared(&self, interval: f64) -> Option<Weight> {
        let [candidate, primary] = &self.either;
        matches!(self.null, Null::LimitOrPrimary(_)).then(|| Weight {
            log_evidence: candidate.log_sr().min(primary.log_sr()),
            log_threshold: interval,
            bound: Bound::Interval,
        })
    }

    /// By what evidence is known to be divided; 1 while that is a guess, which a few events would correct.
    pub(super) fn learnt_divisor(&self) -> f64 {
        let Discount { divisor, most_of_look, .. } = self.discount([true, true]);
        if most_of_look.is_finite() { 1.0 } else { divisor }
    }

    /// Returns whether the rule denies that the primary fares as badly meanwhile.
    pub(super) const fn asks_for_own_fault(&self) -> bool {
        matches!(self.null, Null::LimitOrPrimary(_))
    }

    /// By what evidence is divided now, and what that was learnt from.
    pub(super) const fn divisor(&self) -> (f64, Dependence) {
        self.divisor
    }

    /// A shared cause was told: both arms are looked at anew.
    pub(super) fn spend_shared(&mut self) {
        self.either.iter_mut().for_each(Sr::reset);
    }

    /// Evidence that led to something weaker is spent.
    pub(super) fn spend(&mut self) {
        self.own.spend();
        self.either.iter_mut().for_each(Sr::reset);
    }

    /// Another model version is on trial: all evidence begins anew, and only what the primary taught is kept.
    pub(super) fn inherit(&mut self, before: &Self) {
        self.clusters = before.clusters.clone();
        self.clusters.renew();
        self.alone = before.alone;
    }
}

/// Log evidence of at most so much at each point: a smaller e-value is one, too.
fn capped(increment: Vec<f64>, most: f64) -> Vec<f64> {
    increment.into_iter().map(|log| log.min(most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::EventTime;

    /// Seconds of a hundred requests until it is shown, of an hour; each arm fails in clusters of a size, so many in
    /// a million seconds.
    fn shown_after(ours: (u64, u64), theirs: (u64, u64)) -> Option<u32> {
        let trust = Trust { clusters: 5.0, most_of_look: f64::INFINITY };
        let null = Null::LimitOrPrimary(RateGrid::watching(0.05).expect("a limit"));
        let mut evidence = Evidence::new(null, Span::from_secs(1), trust, true);
        let mut state = 7_u64;
        let mut fails = |(size, in_a_million): (u64, u64)| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if (state >> 33) % 1_000_000 < in_a_million { size } else { 0 }
        };
        (0..3600).find(|_| {
            let [candidate, primary] =
                [fails(ours), fails(theirs)].map(|events| Share { events, total: 100 });
            let (segments, latency) = (Vec::new(), None);
            let [from, to] = [EventTime::START; 2];
            let step = Step {
                from,
                to,
                candidate,
                primary,
                unread: 0,
                segments,
                latency,
                old: 0.0,
                alone: Share::default(),
            };
            evidence.advance(&step, None, Default::default());
            evidence.own((7.0, 20.0)).is_shown()
        })
    }

    /// Half of the candidate's requests fail at once or none, its mean at the limit; then twenty of them.
    #[test]
    fn in_blocks_whatever_comes_together_within_a_look_shows_nothing() {
        assert_eq!(shown_after((50, 100_000), (1, 0)), None);
        assert_eq!(shown_after((20, 250_000), (1, 0)), None);
        // The primary's come together, the candidate's don't, and both fail at the same rate.
        assert_eq!(shown_after((8, 1_000_000), (80, 100_000)), None);
    }

    #[test]
    fn in_blocks_a_sick_candidate_is_found() {
        let found = |ours| shown_after(ours, (1, 1_000_000));
        let took = [(10, 1_000_000), (30, 1_000_000), (60, 500_000)].map(found);
        assert_eq!(took, [Some(176), Some(59), Some(59)]);
    }
}
