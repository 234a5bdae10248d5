//! Inputs that an open transaction holds up: how far they can be read, and when somebody is told.
//!
//! In: what is known of open transactions, once a second. Out: offsets up to which an input can be read now;
//! words. Holds: what is told twice has lasted twice as long, so that a producer that commits each minute fills
//! no log; one that hangs is told as such. Knows nothing of: how they are found, what time does meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::format;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::runtime::source::{Open, SourceError};

/// A run without end tells of a transaction that has been open for so long.
const FIRST: Span = Span::from_secs(5);
/// A bounded run waits for it, and says so once all that are open are known.
const FIRST_OF_BOUNDED: Span = Span::from_secs(2);
/// So many partitions are named.
const NAMED: usize = 8;
/// How to get on where a transaction hangs.
const CURE: &str =
    "abort it (`kafka-transactions.sh find-hanging` and `abort`) or start its producer again";

/// The open transactions of a worker's inputs.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// By task and input.
    open: BTreeMap<(u32, usize), Open>,
    /// By arm, how long one has to last before somebody is told again.
    next: BTreeMap<usize, Span>,
    /// Arms of which was told that one hangs, as long as it does.
    hangs: BTreeSet<usize>,
}

impl Transactions {
    /// What is open now, and nothing else is.
    pub(super) fn see(&mut self, open: Vec<Open>) {
        self.open = open.into_iter().map(|open| ((open.partition, open.input), open)).collect();
    }

    /// The one that hides an input's records, if its reader at `position` stands before it.
    pub(super) fn before(&self, task: u32, input: usize, position: i64) -> Option<&Open> {
        self.open.get(&(task, input)).filter(|open| open.stable <= position)
    }

    /// Up to where an input with this end can be read now.
    pub(super) fn readable(&self, task: u32, input: usize, end: i64) -> i64 {
        self.open.get(&(task, input)).map_or(end, |open| open.stable.min(end))
    }

    /// Returns what is to be told now, by arm: its partitions, since when, and whether it hangs.
    pub(super) fn news(
        &mut self,
        spec: &PipelineSpec,
        now: EventTime,
        bounded: bool,
    ) -> Vec<String> {
        let mut by_arm: BTreeMap<usize, Vec<&Open>> = BTreeMap::new();
        for open in self.open.values() {
            by_arm.entry(spec.feeds.arm(open.input)).or_default().push(open);
        }
        // Whoever hangs again later is told again.
        let hangs = |arm: &usize| by_arm.get(arm).is_some_and(|of| of.iter().any(|o| o.hangs));
        self.hangs.retain(hangs);
        let mut news = Vec::new();
        for (arm, open) in by_arm {
            let Some(since) = open.iter().map(|open| open.since).min() else { continue };
            let lasts = now.since(since);
            let first = if bounded { FIRST_OF_BOUNDED } else { FIRST };
            let next = self.next.entry(arm).or_insert(first);
            let hangs = open.iter().any(|open| open.hangs) && self.hangs.insert(arm);
            if lasts < *next && !hangs {
                continue;
            }
            *next = lasts.plus(lasts).max(FIRST);
            news.push(told(spec, arm, &open, since, hangs));
        }
        news
    }

    /// Returns why a bounded run would never end.
    ///
    /// # Errors
    /// A transaction hangs.
    pub(super) fn end(&self, spec: &PipelineSpec) -> Result<(), SourceError> {
        let Some(open) = self.open.values().find(|open| open.hangs) else { return Ok(()) };
        Err(SourceError::Topics(format!(
            "{}: a transaction is open since {}, longer than the brokers allow (`transaction.max.timeout.ms`), and \
             what it hides belongs to the end that was found at the start; {CURE}, and start again: nothing is lost",
            name(spec, open),
            format::time(open.since)
        )))
    }
}

/// The arm and the partition, as in `v8/0`.
fn name(spec: &PipelineSpec, open: &Open) -> String {
    let partition = spec.feeds.partition(open.input).unwrap_or(open.partition);
    format!("{}/{partition}", spec.arm_name(spec.feeds.arm(open.input)))
}

fn told(spec: &PipelineSpec, arm: usize, open: &[&Open], since: EventTime, hangs: bool) -> String {
    let mut names: Vec<String> = open.iter().take(NAMED).map(|open| name(spec, open)).collect();
    if let Some(more @ 1..) = open.len().checked_sub(NAMED) {
        names.push(format!("{more} more of {}", spec.arm_name(arm)));
    }
    let hangs = if hangs {
        format!(
            ". It is open for longer than the brokers allow (`transaction.max.timeout.ms`): {CURE}"
        )
    } else {
        String::new()
    };
    format!(
        "{}: a transaction is open since {}: its records aren't visible yet, time waits for them{hangs}.",
        names.join(", "),
        format::time(since)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn spec() -> PipelineSpec {
        let text =
            "pipeline: p\nkafka: {brokers: b}\nprimary: {topic: a}\ncandidates: {v8: {topic: b}}\n";
        config::load(text, "p.yaml", &std::collections::HashMap::new()).unwrap().spec
    }

    fn open(partition: u32, since: i64, hangs: bool) -> Open {
        Open { input: 1, partition, stable: 7, since: at(since), hangs }
    }

    fn at(seconds: i64) -> EventTime {
        EventTime::from_us(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_producer_that_commits_each_minute_is_told_of_a_few_times_in_all() {
        let (spec, mut transactions, mut told) = (spec(), Transactions::default(), Vec::new());
        for second in 0..3600 {
            transactions.see(vec![open(0, second - second % 60, false)]);
            told.extend(transactions.news(&spec, at(second), false));
        }
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(
            told[0],
            "v8/0: a transaction is open since 2023-11-14T22:13:20.000Z: its records aren't visible yet, time waits \
             for them."
        );
        transactions.see((0..10).map(|partition| open(partition, 3600, partition == 9)).collect());
        let hangs = transactions.news(&spec, at(3601), false).remove(0);
        assert!(
            hangs.starts_with("v8/0, v8/1, v8/2,") && hangs.contains("2 more of v8"),
            "{hangs}"
        );
        assert!(
            hangs.contains("transaction.max.timeout.ms") && hangs.contains("find-hanging"),
            "{hangs}"
        );
        assert!(transactions.news(&spec, at(3602), false).is_empty());
    }

    #[test]
    fn a_second_transaction_that_hangs_is_named_as_the_first_was() {
        let (spec, mut transactions) = (spec(), Transactions::default());
        let mut told = |second, open| {
            transactions.see(open);
            transactions.news(&spec, at(second), false).concat()
        };
        assert!(told(1000, vec![open(0, 0, true)]).contains("find-hanging"));
        assert_eq!(told(1001, vec![open(0, 0, true)]), "", "it is the same");
        assert_eq!(told(1002, Vec::new()), "");
        assert!(told(2000, vec![open(2, 1100, true)]).contains("v8/2: a transaction is open"));
        assert_eq!(told(2001, vec![open(2, 2001, false)]), "", "its producer goes on");
        let second = told(2100, vec![open(2, 2001, true)]);
        assert!(second.contains("find-hanging"), "{second}");
    }

    #[test]
    fn a_bounded_run_says_soon_what_it_waits_for_and_ends_when_that_hangs() {
        let (spec, mut transactions) = (spec(), Transactions::default());
        transactions.see(vec![open(3, 0, false)]);
        assert!(transactions.news(&spec, at(1), true).is_empty());
        assert_eq!(transactions.news(&spec, at(2), true).len(), 1);
        assert!(transactions.news(&spec, at(3), true).is_empty());
        transactions.end(&spec).unwrap();
        transactions.see(vec![open(3, 0, true)]);
        let error = transactions.end(&spec).unwrap_err().to_string();
        assert!(
            error.contains("v8/3: a transaction is open since")
                && error.contains("nothing is lost"),
            "{error}"
        );
    }

    #[test]
    fn what_a_transaction_hides_cannot_be_read_yet() {
        let mut transactions = Transactions::default();
        transactions.see(vec![open(0, 0, false)]);
        assert_eq!((transactions.readable(0, 1, 9), transactions.readable(0, 0, 9)), (7, 9));
        assert!(transactions.before(0, 1, 6).is_none());
        assert_eq!(transactions.before(0, 1, 7).map(|open| open.since), Some(at(0)));
        transactions.see(Vec::new());
        assert_eq!((transactions.readable(0, 1, 9), transactions.before(0, 1, 7)), (9, None));
    }
}
