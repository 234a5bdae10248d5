//! Whether a candidate's arm has been seen to answer most of the primary's requests.
//!
//! In: of each pane the primary's requests and how many of them were answered. Out: whether that was ever most of
//! them; the share since the first answer. Holds: "most" is shown, by two panes at least, and never forgotten: whoever
//! mirrors the requests is the same for all model versions. Knows nothing of: versions, rules, why answers are missing.

use serde::{Deserialize, Serialize};

use crate::model::finding::Share;
use crate::stats::grid::RateGrid;
use crate::stats::proportion::Rate;
use crate::stats::sr::Sr;

/// Most of the requests: more than this share.
const MOST: f64 = 0.5;
/// ln 1,000,000: a mirror that copies half of the requests is taken for one that copies most of them once in a
/// million panes.
const LOG_THRESHOLD: f64 = 13.815_510_557_964_274;
/// Of fewer requests nothing is said of how many are mirrored.
const BEYOND_FROM: u64 = 200;
/// z of what is sure enough to be told.
const SURE_Z: f64 = 4.0;
/// The most that a pane adds.
const PANE_MOST: f64 = 7.0;

/// What a candidate's arm has been seen to answer.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Answering {
    evidence: Sr,
    is_most: bool,
    /// Answered ones out of the primary's requests since the first answer.
    since_first: Share,
}

impl Answering {
    /// Takes a pane behind the first answer.
    pub fn take(&mut self, pane: Share) {
        self.since_first.add(pane);
        let Some(grid) = RateGrid::exceeds(MOST).filter(|_| pane.total != 0) else { return };
        let increment = grid.increment(pane.events.min(pane.total), pane.total);
        let increment: Vec<f64> = increment.into_iter().map(|log| log.min(PANE_MOST)).collect();
        self.evidence.advance(&increment);
        self.is_most |= LOG_THRESHOLD <= self.evidence.log_sr();
    }

    /// Returns whether it was ever seen to answer most of the requests.
    #[must_use]
    pub const fn is_most(&self) -> bool {
        self.is_most
    }

    /// Answered ones out of the primary's requests since the first answer.
    #[must_use]
    pub const fn since_first(&self) -> Share {
        self.since_first
    }

    /// Returns what it answered since its first answer, if that is surely more than the share of the requests that is
    /// said to be `mirrored`.
    #[must_use]
    pub fn beyond(&self, mirrored: f64) -> Option<Share> {
        let Share { events, total } = self.since_first;
        let low = Rate { hits: events, total }.wilson(SURE_Z)?.low;
        (BEYOND_FROM <= total && mirrored * 1.1 + 0.02 < low).then_some(self.since_first)
    }

    /// Returns whether the answers came at the same share before the stretch in which so many of so many requests were
    /// `missing`, as far as there was a before.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
    pub fn is_steady(&self, missing: Share) -> bool {
        let Share { events, total } = self.since_first;
        let before = Share {
            events: events.saturating_sub(missing.total.saturating_sub(missing.events)),
            total: total.saturating_sub(missing.total),
        };
        let (Some(before_share), Some(missing_share)) = (before.point(), missing.point()) else {
            return true;
        };
        let share = 1.0 - missing_share;
        let variance = share * missing_share;
        let error = (variance / before.total as f64 + variance / missing.total as f64).sqrt();
        (before_share - share).abs() <= 3.0 * error + 0.02
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn share(events: u64, total: u64) -> Share {
        Share { events, total }
    }

    #[test]
    fn most_is_shown_by_two_panes_and_never_by_a_mirror_that_copies_less() {
        let mut arm = Answering::default();
        arm.take(share(200, 200));
        assert!(!arm.is_most(), "one pane may be anything");
        arm.take(share(200, 200));
        assert!(arm.is_most());
        for _ in 0..1_000 {
            arm.take(share(0, 200));
        }
        assert!(arm.is_most(), "it isn't forgotten");
        for total in [4, 20, 500] {
            let mut mirror = Answering::default();
            for pane in 0..100_000_u64 {
                // 40 of a hundred, in lumps.
                let lump = if pane % 5 < 2 { total * 3 / 5 } else { total / 5 };
                mirror.take(share(lump, total));
            }
            assert!(!mirror.is_most(), "{total}");
        }
    }

    #[test]
    fn more_than_is_said_to_be_mirrored_is_told_once_that_is_sure() {
        let arm = |events, total| {
            let mut arm = Answering::default();
            arm.take(share(events, total));
            arm
        };
        assert_eq!(arm(1_000, 1_000).beyond(0.1), Some(share(1_000, 1_000)));
        assert_eq!(arm(100, 100).beyond(0.1), None, "of few nothing is said");
        assert_eq!(arm(120, 1_000).beyond(0.1), None, "chance");
        assert_eq!(arm(1_000, 1_000).beyond(1.0), None);
        assert_eq!(Answering::default().beyond(0.1), None);
    }

    #[test]
    fn a_share_that_was_better_before_is_not_steady() {
        let mut arm = Answering::default();
        (0..60).for_each(|_| arm.take(share(10, 100)));
        assert!(arm.is_steady(share(5_400, 6_000)), "all of it");
        assert!(arm.is_steady(share(902, 1_000)), "a part of it");
        let mut arm = Answering::default();
        (0..60).for_each(|_| arm.take(share(100, 100)));
        (0..10).for_each(|_| arm.take(share(90, 100)));
        assert!(!arm.is_steady(share(100, 1_000)));
    }
}
