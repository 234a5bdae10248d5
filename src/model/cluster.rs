//! Records that come together because one cause made them: those that share the pipeline's cluster key.
//!
//! In: a key's text, counts of records. Out: a key to count by, and how large clusters are. Holds: what isn't known is
//! counted, never taken for small; of two tasks that may hold parts of one cluster the sum is told, which no
//! cluster exceeds. Knows nothing of: which field holds the key, what evidence makes of it.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Which cluster a record belongs to: a hash, so that two may be taken for one, but never one for two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClusterKey(NonZeroU64);

impl ClusterKey {
    /// The key that this text is; none where it is empty.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let hash = || NonZeroU64::new(xxh3_64(text.as_bytes())).unwrap_or(NonZeroU64::MIN);
        (!text.is_empty()).then(|| Self(hash()))
    }
}

/// How large the clusters of an arm are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClusterSize {
    /// The most records of one key in one pane; 0 where no record carries a key.
    pub largest: u64,
    /// Records whose key there was no room for: a cluster may be larger by so many.
    pub unknown: u64,
}

impl ClusterSize {
    /// Returns whether all that is said of clusters was counted.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.largest != 0 && self.unknown == 0
    }

    /// Adds another task's: a cluster may have a part in each.
    pub const fn merge(&mut self, other: Self) {
        self.largest += other.largest;
        self.unknown += other.unknown;
    }

    /// The same task's at another time: the larger one counts.
    pub fn raise(&mut self, other: Self) {
        self.largest = self.largest.max(other.largest);
        self.unknown = self.unknown.max(other.unknown);
    }

    /// Counts the keys, which are sorted on the way.
    #[must_use]
    pub fn of(keys: &mut [ClusterKey]) -> Self {
        keys.sort_unstable();
        let largest = keys.chunk_by(|one, other| one == other).map(<[_]>::len).max();
        Self { largest: largest.unwrap_or_default() as u64, unknown: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn the_largest_cluster_is_told_and_parts_of_tasks_add_up() {
        let mut keys: Vec<ClusterKey> =
            ["b1", "b2", "b1", "b3", "b1", "b2"].into_iter().filter_map(ClusterKey::of).collect();
        let mut size = ClusterSize::of(&mut keys);
        assert_eq!(size, ClusterSize { largest: 3, unknown: 0 });
        assert_eq!((ClusterKey::of(""), ClusterSize::of(&mut [])), (None, ClusterSize::default()));
        size.merge(ClusterSize { largest: 4, unknown: 2 });
        assert_eq!(size, ClusterSize { largest: 7, unknown: 2 });
        size.raise(ClusterSize { largest: 5, unknown: 3 });
        assert_eq!(size, ClusterSize { largest: 7, unknown: 3 });
        assert!(!size.is_known() && !ClusterSize::default().is_known());
    }

    proptest! {
        #[test]
        fn no_cluster_exceeds_the_sum_of_its_parts(
            records in proptest::collection::vec((0_u8..6, 0_usize..3), 0..40),
        ) {
            let key = |key: u8| ClusterKey::of(&format!("b{key}")).expect("a key");
            let mut all: Vec<ClusterKey> = records.iter().map(|(of, _)| key(*of)).collect();
            let mut sum = ClusterSize::default();
            for task in 0..3 {
                let part = records.iter().filter(|(_, at)| *at == task);
                sum.merge(ClusterSize::of(&mut part.map(|(of, _)| key(*of)).collect::<Vec<_>>()));
            }
            prop_assert!(ClusterSize::of(&mut all).largest <= sum.largest);
        }
    }
}
