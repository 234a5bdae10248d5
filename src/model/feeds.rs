//! Which arm and partition each input of a task carries.
//!
//! In: partition counts of topics that aren't co-partitioned. Out: the feeds of their one task. Holds:
//! where topics are co-partitioned a task has one feed for each arm, the partition that is its own;
//! otherwise the feeds of an arm lie together, in the order of their partitions, the primary's first.
//! Knows nothing of: topics, records.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The most feeds of a task: entries of the log number them in a byte.
pub const FEEDS_MAX: usize = u8::MAX as usize;

/// The inputs of a task.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Feeds(Option<Routed>);

/// All partitions of all arms, in one task.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Routed {
    /// By arm its first feed, and the end of the last one's.
    starts: Vec<u8>,
    /// By feed its arm.
    arms: Vec<u8>,
}

/// Topics with more partitions than one task can tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("they have {0} partitions together, and one task can tell at most 255 apart")]
pub struct TooManyFeeds(pub usize);

impl Feeds {
    /// The feeds of topics that aren't co-partitioned, by arm so many.
    ///
    /// # Errors
    /// They are too many to be told apart.
    pub fn routed(partitions: &[u32]) -> Result<Self, TooManyFeeds> {
        let total = partitions.iter().map(|count| *count as usize).sum();
        let (mut starts, mut arms) = (vec![0], Vec::new());
        for (arm, count) in (0_u8..).zip(partitions) {
            if total <= FEEDS_MAX {
                arms.resize(arms.len() + *count as usize, arm);
            }
            starts.push(u8::try_from(arms.len()).unwrap_or(u8::MAX));
        }
        if FEEDS_MAX < total {
            Err(TooManyFeeds(total))
        } else {
            Ok(Self(Some(Routed { starts, arms })))
        }
    }

    /// Returns whether one task reads all partitions of all arms.
    #[must_use]
    pub const fn is_routed(&self) -> bool {
        self.0.is_some()
    }

    /// Returns how many a task has, given the number of arms.
    #[must_use]
    pub fn count(&self, arms: usize) -> usize {
        self.0.as_ref().map_or(arms, |routed| routed.arms.len())
    }

    /// The arm that a feed carries; 0 is the primary.
    #[must_use]
    pub fn arm(&self, feed: usize) -> usize {
        match &self.0 {
            None => feed,
            Some(routed) => routed.arms.get(feed).map_or(usize::MAX, |arm| usize::from(*arm)),
        }
    }

    /// The partition that a feed carries; `None` where it is the task's own.
    #[must_use]
    pub fn partition(&self, feed: usize) -> Option<u32> {
        let routed = self.0.as_ref()?;
        let first = routed.starts.get(self.arm(feed)).copied().map_or(0, usize::from);
        u32::try_from(feed.saturating_sub(first)).ok()
    }

    /// The feeds of an arm.
    #[must_use]
    pub fn of_arm(&self, arm: usize) -> Range<usize> {
        let Some(routed) = &self.0 else { return arm..arm + 1 };
        let start = |arm: usize| routed.starts.get(arm).copied().map_or(0, usize::from);
        start(arm)..start(arm + 1)
    }

    /// The feeds of a comparison: the primary's, then the candidate's.
    pub fn of(&self, comparison: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        self.of_arm(0).chain(self.of_arm(comparison + 1))
    }

    /// Returns whether a comparison reads a feed.
    #[must_use]
    pub fn reads(&self, comparison: usize, feed: usize) -> bool {
        let arm = self.arm(feed);
        arm == 0 || arm == comparison + 1
    }

    /// Returns how many partitions each arm has, where one task reads them all.
    #[must_use]
    pub fn partitions(&self) -> Vec<u32> {
        let starts = self.0.as_ref().map_or(&[][..], |routed| &routed.starts);
        let count = |pair: &[u8]| match pair {
            [from, to] => u32::from(to - from),
            _ => 0,
        };
        starts.windows(2).map(count).collect()
    }

    /// A hash of what a task does, with that of how its feeds are numbered; where they are arms, the same.
    #[must_use]
    pub fn mixed_into(&self, hash: u64) -> u64 {
        if !self.is_routed() {
            return hash;
        }
        let told: Vec<u8> = self.partitions().iter().flat_map(|n| n.to_le_bytes()).collect();
        xxh3_64_with_seed(&told, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_an_arm_and_a_partition() {
        let feeds = Feeds::routed(&[3, 5, 1]).unwrap();
        assert_eq!((feeds.count(3), feeds.partitions()), (9, vec![3, 5, 1]));
        let told: Vec<_> = (0..9).map(|at| (feeds.arm(at), feeds.partition(at).unwrap())).collect();
        let expected = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0)];
        assert_eq!(told, expected);
        assert_eq!(feeds.of(1).collect::<Vec<_>>(), [0, 1, 2, 8]);
        assert!(feeds.reads(0, 1) && feeds.reads(0, 7) && !feeds.reads(0, 8));
    }

    #[test]
    fn co_partitioned_arms_are_feeds() {
        let feeds = Feeds::default();
        assert_eq!((feeds.count(3), feeds.arm(2), feeds.partition(2)), (3, 2, None));
        assert_eq!(feeds.of(1).collect::<Vec<_>>(), [0, 2]);
        assert!(feeds.reads(1, 0) && feeds.reads(1, 2) && !feeds.reads(1, 1));
    }

    #[test]
    fn a_byte_must_hold_them() {
        assert!(Feeds::routed(&[200, 55]).is_ok());
        assert_eq!(Feeds::routed(&[200, 56]), Err(TooManyFeeds(256)));
    }
}
