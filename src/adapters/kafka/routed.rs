//! All partitions of all topics as the inputs of one task, where they aren't co-partitioned.
//!
//! In: a source with a partition for each of a topic's. Out: a source with one, whose inputs are the feeds
//! of task 0. Holds: a feed is one partition of one arm, and nothing else changes: the same offsets, the same
//! records. Knows nothing of: what kind of source lies behind it.

use crate::model::feeds::Feeds;
use crate::runtime::clock::HostClock;
use crate::runtime::source::{Ends, Gap, Open, Source, SourceError, Take};

/// The one task of a routed pipeline.
const TASK: u32 = 0;

/// What one partition is told: by arm an offset, below 0 for one without that partition, and horizons.
type Part = (Vec<i64>, Vec<(usize, i64)>);

/// All partitions of all topics, as inputs of one task.
pub struct Routed<S> {
    inner: S,
    feeds: Feeds,
}

impl<S: Source> Routed<S> {
    /// Reads these feeds of a source.
    pub const fn new(inner: S, feeds: Feeds) -> Self {
        Self { inner, feeds }
    }

    /// Arm and partition of a feed.
    fn place(&self, feed: usize) -> (usize, u32) {
        place(&self.feeds, feed)
    }

    /// The feed of a partition of an arm, if it is one.
    fn feed(&self, arm: usize, partition: u32) -> Option<usize> {
        let feeds = self.feeds.of_arm(arm);
        let feed = feeds.start + partition as usize;
        feeds.contains(&feed).then_some(feed)
    }

    /// By partition what it is told of its arms.
    fn by_partition(&self, offsets: &[i64], horizons: &[(usize, i64)]) -> Vec<Part> {
        let arms = self.feeds.partitions().len();
        let mut parts = vec![(vec![-1; arms], Vec::new()); self.inner.partitions() as usize];
        for (feed, offset) in offsets.iter().enumerate() {
            let (arm, partition) = self.place(feed);
            if let Some(known) =
                parts.get_mut(partition as usize).and_then(|(of, _)| of.get_mut(arm))
            {
                *known = *offset;
            }
        }
        for (feed, to) in horizons {
            let (arm, partition) = self.place(*feed);
            if let Some((_, horizons)) = parts.get_mut(partition as usize) {
                horizons.push((arm, *to));
            }
        }
        parts
    }
}

/// By task and feed what a source says by partition and input: of the one task.
#[must_use]
pub fn by_feed(feeds: &Feeds, by_partition: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let of = |feed: usize| {
        let (arm, partition) = place(feeds, feed);
        by_partition.get(partition as usize).and_then(|of| of.get(arm)).copied().unwrap_or(0)
    };
    vec![(0..feeds.count(0)).map(of).collect()]
}

fn place(feeds: &Feeds, feed: usize) -> (usize, u32) {
    (feeds.arm(feed), feeds.partition(feed).unwrap_or(TASK))
}

impl<S: Source> Source for Routed<S> {
    fn partitions(&self) -> u32 {
        1
    }

    fn begin(
        &mut self,
        _: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<(), SourceError> {
        for (partition, (offsets, horizons)) in (0..).zip(self.by_partition(offsets, horizons)) {
            self.inner.begin(partition, &offsets, &horizons)?;
        }
        Ok(())
    }

    fn gaps(
        &mut self,
        _: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<Vec<Gap>, SourceError> {
        let mut gaps = Vec::new();
        for (partition, (offsets, horizons)) in (0..).zip(self.by_partition(offsets, horizons)) {
            for gap in self.inner.gaps(partition, &offsets, &horizons)? {
                gaps.extend(self.feed(gap.input, partition).map(|input| Gap { input, ..gap }));
            }
        }
        Ok(gaps)
    }

    fn ever_held(&mut self, _: u32) -> Result<bool, SourceError> {
        for partition in 0..self.inner.partitions() {
            if self.inner.ever_held(partition)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end(&mut self, _: u32) {
        for partition in 0..self.inner.partitions() {
            self.inner.end(partition);
        }
    }

    fn drain(
        &mut self,
        input: usize,
        _: u32,
        max: usize,
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError> {
        let (arm, partition) = self.place(input);
        self.inner.drain(arm, partition, max, take)
    }

    fn drain_before(
        &mut self,
        input: usize,
        _: u32,
        limit: (usize, i64),
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError> {
        let (arm, partition) = self.place(input);
        self.inner.drain_before(arm, partition, limit, take)
    }

    fn position(&self, input: usize, _: u32) -> i64 {
        let (arm, partition) = self.place(input);
        self.inner.position(arm, partition)
    }

    fn request_ends(&mut self, clock: HostClock) -> Result<(), SourceError> {
        self.inner.request_ends(clock)
    }

    fn take_ends(&mut self) -> Result<Option<Ends>, SourceError> {
        let Some(Ends { confirmed, ends, open }) = self.inner.take_ends()? else {
            return Ok(None);
        };
        let of = |(arm, partition, end)| Some((self.feed(arm, partition)?, TASK, end));
        let of_open = |open: Open| {
            Some(Open { input: self.feed(open.input, open.partition)?, partition: TASK, ..open })
        };
        let ends = ends.into_iter().filter_map(of).collect();
        let open = open.into_iter().filter_map(of_open).collect();
        Ok(Some(Ends { confirmed, ends, open }))
    }

    fn pump(&mut self) -> Result<(), SourceError> {
        self.inner.pump()
    }

    fn commit(&mut self, positions: &[(usize, u32, i64)]) {
        self.inner.commit(&by_partition(&self.feeds, positions));
    }
}

/// Positions of feeds as those of the partitions that they carry.
#[must_use]
pub fn by_partition(feeds: &Feeds, positions: &[(usize, u32, i64)]) -> Vec<(usize, u32, i64)> {
    let of = |&(feed, task, at): &(usize, u32, i64)| {
        (feeds.arm(feed), feeds.partition(feed).unwrap_or(task), at)
    };
    positions.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what it was told.
    #[derive(Default)]
    struct Told(Vec<(u32, Part)>);

    impl Source for Told {
        fn partitions(&self) -> u32 {
            3
        }
        fn begin(
            &mut self,
            of: u32,
            offsets: &[i64],
            to: &[(usize, i64)],
        ) -> Result<(), SourceError> {
            self.0.push((of, (offsets.to_vec(), to.to_vec())));
            Ok(())
        }
        fn gaps(
            &mut self,
            of: u32,
            _: &[i64],
            _: &[(usize, i64)],
        ) -> Result<Vec<Gap>, SourceError> {
            Ok(if of == 2 { vec![Gap { input: 1, first: 9, end: 10 }] } else { Vec::new() })
        }
        fn end(&mut self, _: u32) {}
        fn drain(
            &mut self,
            _: usize,
            _: u32,
            _: usize,
            _: &mut Take<'_>,
        ) -> Result<usize, SourceError> {
            Ok(0)
        }
        fn position(&self, input: usize, partition: u32) -> i64 {
            input as i64 * 100 + i64::from(partition)
        }
        fn request_ends(&mut self, _: HostClock) -> Result<(), SourceError> {
            Ok(())
        }
        fn take_ends(&mut self) -> Result<Option<Ends>, SourceError> {
            let confirmed = crate::model::time::EventTime::START;
            let open = Open { input: 1, partition: 2, stable: 9, since: confirmed, hangs: false };
            let ends = vec![(0, 1, 11), (1, 0, 20), (1, 2, 22)];
            Ok(Some(Ends { confirmed, ends, open: vec![open] }))
        }
        fn pump(&mut self) -> Result<(), SourceError> {
            Ok(())
        }
        fn commit(&mut self, _: &[(usize, u32, i64)]) {}
    }

    #[test]
    fn a_feed_is_read_where_its_partition_lies() {
        let feeds = Feeds::routed(&[2, 3]).unwrap();
        let mut routed = Routed::new(Told::default(), feeds.clone());
        routed.begin(0, &[1, 2, 3, -1, 5], &[(1, 7), (4, 8)]).unwrap();
        let expected = [
            (0, (vec![1, 3], vec![])),
            (1, (vec![2, -1], vec![(0, 7)])),
            (2, (vec![-1, 5], vec![(1, 8)])),
        ];
        assert_eq!(routed.inner.0, expected);
        assert_eq!(routed.gaps(0, &[0; 5], &[]).unwrap(), [Gap { input: 4, first: 9, end: 10 }]);
        assert_eq!(routed.position(3, 0), 101);
        let Ends { ends, open, .. } = routed.take_ends().unwrap().unwrap();
        assert_eq!(ends, [(1, 0, 11), (2, 0, 20), (4, 0, 22)]);
        assert_eq!(
            open.iter().map(|o| (o.input, o.partition, o.stable)).collect::<Vec<_>>(),
            [(4, 0, 9)]
        );
        assert_eq!(by_partition(&feeds, &[(3, 0, 6)]), [(1, 1, 6)]);
        assert_eq!(by_feed(&feeds, &[vec![1, 2], vec![3, 4], vec![0, 5]]), [[1, 3, 2, 4, 5]]);
    }
}
