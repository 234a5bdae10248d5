//! Partitions into which one arm doesn't write.
//!
//! In: of each second some ids of both arms with their partitions. Out: where one arm goes on and the other doesn't.
//! Holds: told once the one has gone on there for a minute and with `ENOUGH` of the ids, and the other elsewhere; one
//! entry for each partition. Knows nothing of: why, what a missing answer means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Names, Trouble};
use crate::model::entry::SampledId;
use crate::model::time::{EventTime, Span};

/// So long one arm goes on without the other.
const LONG: Span = Span::from_secs(60);
/// With so many of its sampled ids.
const ENOUGH: u64 = 20;
/// Partitions that are named.
const NAMED: usize = 3;

/// What was seen of each partition.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Partitions {
    places: BTreeMap<u32, Place>,
    /// Of both arms the first and the newest record anywhere.
    spans: [Option<(EventTime, EventTime)>; 2],
}

/// One partition; of both arms, the primary first.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Place {
    newest: [Option<EventTime>; 2],
    /// How many of its sampled ids came since the other's newest record.
    alone: [u64; 2],
}

impl Partitions {
    /// Takes a second's ids of an arm, the primary being the first.
    pub(super) fn take(&mut self, arm: usize, sample: &[(u32, SampledId)]) {
        let other = 1 - arm.min(1);
        for (task, SampledId { time, .. }) in sample {
            let place = self.places.entry(*task).or_default();
            place.newest[1 - other] = place.newest[1 - other].max(Some(*time));
            place.alone[other] = 0;
            // Before its first record anywhere an arm hasn't begun.
            place.alone[1 - other] += u64::from(self.spans[other].is_some());
            let (_, newest) = self.spans[1 - other].get_or_insert((*time, *time));
            *newest = (*newest).max(*time);
        }
    }

    /// Returns where an arm is missed, the candidate or the primary.
    pub(super) fn trouble(&self, names: &Names<'_>) -> Option<Trouble> {
        self.silent(1, [names.candidate, "the primary"])
            .or_else(|| self.silent(0, ["the primary", names.candidate]))
    }

    fn silent(&self, arm: usize, [name, other]: [&str; 2]) -> Option<Trouble> {
        let (begun, newest) = self.spans[arm]?;
        let is_silent = |place: &Place| {
            let since = place.newest[arm].unwrap_or(begun);
            let goes_on = place.newest[1 - arm].is_some_and(|newest| LONG <= newest.since(since));
            ENOUGH <= place.alone[1 - arm] && goes_on && LONG <= newest.since(since)
        };
        let silent = self.places.iter().filter(|(_, place)| is_silent(place));
        let silent: Vec<String> = silent.map(|(task, _)| task.to_string()).collect();
        if silent.is_empty() {
            return None;
        }
        let (named, more) = silent.split_at(NAMED.min(silent.len()));
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let text = format!(
            "{name} writes nothing into {} of {} partitions in which {other} goes on: {}{more}",
            silent.len(),
            self.places.len(),
            named.join(", ")
        );
        let cure = "see whether whoever mirrors the requests, or writes the answers, leaves these partitions out";
        Some(Trouble { kind: Kind::SilentPartition, text, cure: cure.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Comparator;

    /// What is told after so many seconds in which both arms write into partitions 0 to 3, the candidate into these alone.
    fn told(seconds: i64, writes: impl Fn(i64, u32) -> bool) -> Option<String> {
        let mut partitions = Partitions::default();
        for second in 0..seconds {
            let time = EventTime::from_us(second * 1_000_000);
            let id = |task: u32| (task, SampledId { hash: 0, time, id: String::new() });
            let all: Vec<_> = (0..4).map(id).collect();
            partitions.take(0, &all);
            let ours: Vec<_> = (0..4).filter(|task| writes(second, *task)).map(id).collect();
            partitions.take(1, &ours);
        }
        let (skew, wait) = (Span::from_secs(5), Span::from_secs(30));
        let names =
            Names { candidate: "v8", skew, wait, comparator: Comparator::Label, cluster: None };
        partitions.trouble(&names).map(|trouble| trouble.text)
    }

    #[test]
    fn a_partition_that_the_candidate_leaves_out_is_named_after_a_minute() {
        let one = "v8 writes nothing into 1 of 4 partitions in which the primary goes on: 3";
        assert_eq!(told(200, |_, task| task != 3).as_deref(), Some(one));
        assert_eq!(told(50, |_, task| task != 3), None, "not yet");
        let stops = |second, task| task != 3 || second < 100;
        assert_eq!(told(200, stops).as_deref(), Some(one));
        assert_eq!(told(200, |_, _| true), None);
        assert_eq!(told(200, |_, _| false), None, "it hasn't begun");
        assert_eq!(
            told(200, |second, _| second < 100),
            None,
            "silent everywhere is another trouble"
        );
        let back = |second, task| task != 3 || second % 100 < 10;
        assert_eq!(told(205, back), None, "it is back");
    }
}
