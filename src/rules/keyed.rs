//! How large clusters are, where the pipeline names a key.
//!
//! In: both arms' largest clusters, look by look. Out: the largest of the last hour, if all of them are known. Holds:
//! the look that is weighed is among them; a cluster that the end of a look or a pane cuts in two is covered by
//! those that lie in one; an arm whose records carry no key is unknown, never one without clusters. Knows nothing
//! of: keys, evidence.

use serde::{Deserialize, Serialize};

use crate::model::cluster::ClusterSize;
use crate::model::time::Span;

/// The sizes of the last hour, the primary's first: half an hour begins anew while the last one still counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Keyed {
    now: [ClusterSize; 2],
    before: [ClusterSize; 2],
    looks: u32,
    half: u32,
}

impl Keyed {
    /// Looks of this length.
    pub(super) fn new(look: Span) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1800")]
        let half = (1800.0 / look.as_secs()).ceil().clamp(1.0, 1800.0) as u32;
        Self { now: Default::default(), before: Default::default(), looks: 0, half }
    }

    /// Takes what a look says of both arms.
    pub(super) fn see(&mut self, sizes: [ClusterSize; 2]) {
        if self.looks == self.half {
            self.before = std::mem::take(&mut self.now);
            self.looks = 0;
        }
        self.looks += 1;
        self.now.iter_mut().zip(sizes).for_each(|(largest, size)| largest.raise(size));
    }

    /// The largest cluster seen, known or not; 0 where no record carried a key.
    pub(super) fn largest(&self) -> u64 {
        let [primary, candidate] = self.sizes();
        primary.largest.max(candidate.largest)
    }

    /// The largest cluster of the arms that are weighed, the primary and the candidate; `None` where one of them is
    /// unknown.
    pub(super) fn known(&self, weighed: [bool; 2]) -> Option<u64> {
        let arms = self.sizes().into_iter().zip(weighed);
        let mut arms = arms.filter(|(_, weighed)| *weighed).map(|(size, _)| size);
        arms.all(ClusterSize::is_known).then(|| self.largest()).filter(|largest| *largest != 0)
    }

    fn sizes(&self) -> [ClusterSize; 2] {
        let mut sizes = self.now;
        sizes.iter_mut().zip(self.before).for_each(|(size, before)| size.raise(before));
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [true, true];

    const fn size(largest: u64, unknown: u64) -> ClusterSize {
        ClusterSize { largest, unknown }
    }

    #[test]
    fn the_largest_of_an_hour_counts_and_is_forgotten_then() {
        let mut keyed = Keyed::new(Span::from_secs(1));
        keyed.see([size(3, 0), size(20, 0)]);
        for _ in 0..1801 {
            keyed.see([size(3, 0), size(2, 0)]);
        }
        assert_eq!(keyed.known(BOTH), Some(20), "half an hour later");
        for _ in 0..1800 {
            keyed.see([size(3, 0), size(2, 0)]);
        }
        assert_eq!(keyed.known(BOTH), Some(3), "an hour later");
    }

    #[test]
    fn an_arm_without_a_key_or_without_room_is_unknown() {
        let mut keyed = Keyed::new(Span::from_secs(10));
        assert_eq!(keyed.known(BOTH), None, "nothing was seen");
        keyed.see([size(0, 0), size(7, 0)]);
        assert_eq!(keyed.known(BOTH), None, "the primary carries no key");
        assert_eq!(keyed.known([false, true]), Some(7), "and isn't asked for");
        keyed.see([size(5, 0), size(4, 1)]);
        assert_eq!((keyed.known(BOTH), keyed.largest()), (None, 7), "one had no room");
    }
}
