//! How much events come in clusters, and by how much evidence is divided for it.
//!
//! In: both arms' events and the sizes of their clusters, look by look. Out: a divisor of log evidence, at least 1,
//! and what it was learnt from. Holds: where a key tells clusters, it is the largest one's size; else it is learnt from
//! earlier looks alone, so that a look never discounts itself; what isn't known about clustering is taken for
//! clusters of five, and no single look decides anything then; what was learnt on the primary outlives a model
//! version. Knows nothing of: limits.

use serde::{Deserialize, Serialize};

use super::keyed::Keyed;
use crate::model::cluster::ClusterSize;
use crate::model::finding::{Dependence, Share};
use crate::model::time::Span;
use crate::stats::overdispersion::{Overdispersion, shrunk};

/// The candidate's own clusters count by themselves from so many of its events on.
const OWN_FROM: f64 = 20.0;
/// What isn't known is taken for clusters of so many.
pub(super) const PRIOR: f64 = 5.0;
/// From so many events on it is known whether they come in clusters.
const KNOWN_FROM: f64 = 100.0;
/// Before, one look adds no more log evidence than this: nothing is shown before the third.
const UNKNOWN_MOST: f64 = 9.0;
/// That weighs as much as so many events.
const PRIOR_EVENTS: f64 = 5.0;

/// What both arms' looks said about clustering.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Clusters {
    candidate: Overdispersion,
    primary: Overdispersion,
    keyed: Keyed,
    /// What a look leaves of what was known before.
    keeps: f64,
    prior: f64,
}

/// How the evidence of a look is made smaller.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Discount {
    /// Log evidence is divided by this, at least 1.
    pub(super) divisor: f64,
    /// And adds no more than this.
    pub(super) most_of_look: f64,
    /// What the divisor was learnt from.
    pub(super) dependence: Dependence,
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
const fn size(largest: u64) -> f64 {
    largest as f64
}

impl Clusters {
    /// Looks of this length; what was learnt fades over an hour.
    pub(super) fn new(look: Span, prior: f64) -> Self {
        Self {
            candidate: Overdispersion::default(),
            primary: Overdispersion::default(),
            keyed: Keyed::new(look),
            keeps: (-look.as_secs() / 3600.0).exp(),
            prior,
        }
    }

    /// Learns from a look that has been weighed.
    pub(super) fn learn(&mut self, candidate: Share, primary: Share) {
        for (arm, share) in [(&mut self.candidate, candidate), (&mut self.primary, primary)] {
            if share.total != 0 {
                arm.forget(self.keeps);
                arm.add(share.events, share.total);
            }
        }
    }

    /// Another model version is on trial: what the last one did says nothing of it.
    pub(super) fn renew(&mut self) {
        self.candidate = Overdispersion::default();
    }

    /// Takes how large the clusters are of the look that is weighed next, the primary's first: a size isn't what is
    /// judged.
    pub(super) fn see(&mut self, sizes: [ClusterSize; 2]) {
        self.keyed.see(sizes);
    }

    /// Returns how a look is weighed in which these arms answered, the primary and the candidate.
    pub(super) fn discount(&self, weighed: [bool; 2]) -> Discount {
        if let Some(largest) = self.keyed.known(weighed) {
            let (divisor, dependence) = (size(largest), Dependence::Key);
            return Discount { divisor, most_of_look: f64::INFINITY, dependence };
        }
        // No smaller than what was seen, although that isn't all.
        let divisor = self.estimate().max(size(self.keyed.largest()));
        let (most_of_look, dependence) = (self.most_of_look(), Dependence::Estimated);
        Discount { divisor, most_of_look, dependence }
    }

    /// The most log evidence that one look may add: while little is known of clusters, what comes at once may be
    /// one of them.
    fn most_of_look(&self) -> f64 {
        let known = self.candidate.pooled(&self.primary).without_largest().events();
        if known < KNOWN_FROM { UNKNOWN_MOST } else { f64::INFINITY }
    }

    /// Returns what log evidence is divided by where no key tells clusters.
    fn estimate(&self) -> f64 {
        let of = |arm: &Overdispersion| {
            let again = arm.without_largest();
            shrunk(again.divisor(), again.events(), self.prior, PRIOR_EVENTS)
        };
        let both = of(&self.candidate.pooled(&self.primary));
        if self.candidate.events() < OWN_FROM { both } else { both.max(of(&self.candidate)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn share(events: u64, total: u64) -> Share {
        Share { events, total }
    }

    #[test]
    fn what_is_not_known_is_taken_for_clusters() {
        let mut clusters = Clusters::new(Span::from_secs(1), PRIOR);
        assert!((clusters.estimate() - PRIOR).abs() < 1e-12);
        for look in 0..600 {
            clusters.learn(share(look % 3, 100), share((look + 1) % 3, 100));
        }
        assert!(clusters.estimate() < 1.6, "{}", clusters.estimate());
        let learnt = clusters.estimate();
        clusters.renew();
        assert!(clusters.estimate() < 2.0 * learnt, "the primary's is still known");
    }

    #[test]
    fn a_candidate_in_clusters_is_told_beside_a_primary_without() {
        let mut clusters = Clusters::new(Span::from_secs(1), PRIOR);
        for look in 0..600 {
            let burst = if look % 20 == 0 { 20 } else { 0 };
            clusters.learn(share(burst, 100), share(look % 3, 100));
        }
        assert!(10.0 < clusters.estimate(), "{}", clusters.estimate());
    }

    #[test]
    fn the_largest_cluster_by_key_divides_and_one_that_is_unknown_leaves_the_estimate() {
        let (known, nothing) =
            (|largest| ClusterSize { largest, unknown: 0 }, ClusterSize::default());
        let mut clusters = Clusters::new(Span::from_secs(1), PRIOR);
        clusters.see([known(3), known(20)]);
        let by_key = clusters.discount([true, true]);
        assert_eq!(by_key.dependence, Dependence::Key);
        assert!((by_key.divisor - 20.0).abs() < 1e-12 && by_key.most_of_look.is_infinite());

        let mut clusters = Clusters::new(Span::from_secs(1), PRIOR);
        clusters.see([nothing, known(2)]);
        let guessed = clusters.discount([true, true]);
        assert_eq!(guessed.dependence, Dependence::Estimated);
        assert!((guessed.divisor - PRIOR).abs() < 1e-12 && guessed.most_of_look < 10.0);
        clusters.see([known(8), ClusterSize { largest: 1, unknown: 4 }]);
        let guessed = clusters.discount([true, true]);
        assert_eq!(guessed.dependence, Dependence::Estimated, "not all was counted");
        assert!((guessed.divisor - 8.0).abs() < 1e-12, "{}", guessed.divisor);
    }
}
