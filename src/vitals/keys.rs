//! How many records share a cluster key, as they pass.
//!
//! In: key and time of one input's accepted records that are no copies. Out: how many of the same key and pane there
//! were so far, this one included. Holds: what is answered depends on the accepted records of one pane alone, which
//! a new owner that reads its horizon again sees in full: panes that aren't closed lie in it; memory has a
//! maximum, and what there was no room for is said to be unknown. Knows nothing of: what is counted once already.

use hashbrown::HashMap;

use crate::model::cluster::ClusterKey;
use crate::model::time::EventTime;
use crate::model::times::Times;

/// Keys that passed lately, by pane.
#[derive(Debug)]
pub struct Keys {
    times: Times,
    most: usize,
    counts: HashMap<(ClusterKey, EventTime), u64>,
    /// No pane before this is known any more.
    forgotten_to: EventTime,
}

impl Keys {
    /// Knows nothing yet; never more than `most` keys of panes.
    #[must_use]
    pub fn new(times: Times, most: usize) -> Self {
        Self { times, most, counts: HashMap::new(), forgotten_to: EventTime::START }
    }

    /// Takes a record that passes behind the running max `before`: how large its cluster is by now; `None` where
    /// there is no room to know.
    pub fn add(&mut self, key: ClusterKey, time: EventTime, before: EventTime) -> Option<u64> {
        let pane = self.times.pane_of(time);
        self.forget(before);
        let is_full = self.most <= self.counts.len();
        match self.counts.get_mut(&(key, pane)) {
            Some(count) => {
                *count += 1;
                Some(*count)
            }
            None if is_full => None,
            None => {
                self.counts.insert((key, pane), 1);
                Some(1)
            }
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.counts.clear();
    }

    /// Forgets panes that no record can belong to any more, once for each pane that time passes.
    fn forget(&mut self, before: EventTime) {
        let Times { before: one, tempo: other, .. } = &self.times;
        let first = self.times.pane_of(before.minus(one.wait.max(other.wait)));
        if self.forgotten_to < first {
            self.forgotten_to = first;
            self.counts.retain(|(_, pane), _| first <= *pane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;
    use crate::model::times::Tempo;

    fn keys(most: usize) -> Keys {
        let tempo =
            Tempo { pane: Span::from_secs(10), wait: Span::from_secs(5), skew: Span::from_secs(1) };
        Keys::new(Times::always(tempo), most)
    }

    fn at(seconds: i64) -> EventTime {
        EventTime::from_us(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    fn add(keys: &mut Keys, key: &str, time: i64, before: i64) -> Option<u64> {
        keys.add(ClusterKey::of(key).expect("a key"), at(time), at(before))
    }

    #[test]
    fn a_cluster_is_a_key_within_a_pane() {
        let mut keys = keys(10);
        let sizes = [("a", 1, 0), ("b", 1, 1), ("a", 9, 1), ("a", 11, 9), ("a", 8, 11)]
            .map(|(key, time, before)| add(&mut keys, key, time, before));
        assert_eq!(sizes, [Some(1), Some(1), Some(2), Some(1), Some(3)]);
    }

    #[test]
    fn what_there_is_no_room_for_is_unknown_until_panes_are_over() {
        let mut keys = keys(2);
        let sizes = [("a", 1, 0), ("b", 1, 1), ("c", 1, 1), ("b", 2, 1)]
            .map(|(key, time, before)| add(&mut keys, key, time, before));
        assert_eq!(sizes, [Some(1), Some(1), None, Some(2)]);
        // A record of the first pane may still come until all of them would be late.
        assert_eq!(add(&mut keys, "c", 14, 14), None);
        assert_eq!(add(&mut keys, "c", 16, 15), Some(1));
        assert_eq!(keys.counts.len(), 1);
    }
}
