//! End offsets, open transactions and what the topics are, asked by a client of their own on a thread of
//! their own.
//!
//! In: requests. Out: end offsets, when they were confirmed, where a transaction is open, what the topics
//! were then. Holds: an end is the high watermark, so that what a transaction hides counts as written; one
//! request at a time; the engine never waits for it; the fetching client's long polls don't delay it; where
//! readers get on, nobody asks about transactions. Knows nothing of: facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::admin::longest_transaction;
use super::client::{Visible, consumer};
use super::describe::{Rights, Topic, describe};
use crate::config::endpoint::KafkaEndpoint;
use crate::model::time::EventTime;
use crate::runtime::clock::{HostClock, monotonic};
use crate::runtime::source::{Ends, Open, SourceError};

/// How long one request may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The same for a topic that gave none last time.
pub(super) const IMPATIENT: Duration = Duration::from_secs(1);
/// A transaction that is open for so long is compared with the longest that brokers allow.
const LONG: Duration = Duration::from_secs(60);

/// What is asked.
struct Request {
    clock: HostClock,
    /// (input, partition) that stood before their end last time.
    still: Vec<(usize, u32)>,
}

/// What could be had: ends, and what the topics are.
type Answer = (Ends, Option<Vec<Topic>>);

/// Asks for end offsets.
pub(super) struct EndsClient {
    requests: Option<SyncSender<Request>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl EndsClient {
    /// Starts the thread; `topics` in input order, each with so many partitions.
    pub(super) fn start(
        consumer: Arc<BaseConsumer>,
        endpoint: KafkaEndpoint,
        topics: Vec<String>,
        counts: Vec<u32>,
    ) -> Result<Self, SourceError> {
        let (requests, asked) = sync_channel::<Request>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            let silent = vec![false; topics.len()];
            let open =
                Transactions { endpoint, asker: None, known: BTreeMap::new(), longest: None };
            let mut asker = Asker { consumer, topics, counts, silent, open };
            while let Ok(request) = asked.recv() {
                if answer.send(asker.answer(&request)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("ends".to_owned())
            .spawn(work)
            .map_err(|error| SourceError::Topics(format!("start a thread: {error}")))?;
        Ok(Self { requests: Some(requests), answers, thread: Some(thread) })
    }

    /// `still`: (input, partition) whose reader has stood before the end since the last answer.
    pub(super) fn request(&self, clock: HostClock, still: Vec<(usize, u32)>) {
        if let Some(requests) = &self.requests {
            // Full means that one is under way already: its answer will do.
            let _under_way = requests.try_send(Request { clock, still }).is_err();
        }
    }

    /// The answer, once it is there: what could be had.
    pub(super) fn take(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

impl Drop for EndsClient {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            while self.answers.try_recv().is_ok() {}
            drop(thread.join());
        }
    }
}

/// Who sits on the thread.
struct Asker {
    consumer: Arc<BaseConsumer>,
    topics: Vec<String>,
    counts: Vec<u32>,
    /// Topics that gave no answer last time.
    silent: Vec<bool>,
    open: Transactions,
}

impl Asker {
    fn answer(&mut self, request: &Request) -> Answer {
        let confirmed = request.clock.now();
        let mut ends = Vec::new();
        // One topic after the other: a broker that hangs hides only what it leads.
        for (input, topic) in self.topics.iter().enumerate() {
            let deadline = if self.silent[input] { IMPATIENT } else { DEADLINE };
            let all = 0..self.counts[input];
            let answer = ask(&self.consumer, (input, topic), all, Offset::End, deadline);
            if let (Err(error), false) = (&answer, self.silent[input]) {
                tracing::warn!(topic, error, "End offsets can't be had; its idle partitions wait.");
            }
            self.silent[input] = answer.is_err();
            ends.extend(answer.unwrap_or_default());
        }
        let deadline = if self.silent.contains(&true) { IMPATIENT } else { DEADLINE };
        let open = self.open.among(&self.topics, &request.still, &ends, confirmed);
        let described = describe(self.consumer.client(), &self.topics, deadline, Rights::Unasked);
        (Ends { confirmed, ends, open }, described)
    }
}

/// Transactions that hold readers up. Only a client that reads committed records is told where they begin.
struct Transactions {
    endpoint: KafkaEndpoint,
    /// Made when there is something to ask for the first time.
    asker: Option<BaseConsumer>,
    /// By input and partition: its first offset, and since when it is seen.
    known: BTreeMap<(usize, u32), (i64, EventTime, Instant)>,
    /// The longest that brokers allow one to be open, once it mattered.
    longest: Option<Duration>,
}

impl Transactions {
    /// Those that are open where readers stand still.
    fn among(
        &mut self,
        topics: &[String],
        still: &[(usize, u32)],
        ends: &[(usize, u32, i64)],
        now: EventTime,
    ) -> Vec<Open> {
        self.known.retain(|of, _| still.contains(of));
        for (input, topic) in topics.iter().enumerate() {
            let those: Vec<u32> = still
                .iter()
                .filter(|(of, _)| *of == input)
                .map(|(_, partition)| *partition)
                .collect();
            if those.is_empty() {
                continue;
            }
            let stable = match self.stable((input, topic), those) {
                Ok(stable) => stable,
                Err(error) => {
                    tracing::debug!(topic, error, "Nobody says whether a transaction is open.");
                    continue;
                }
            };
            for (_, partition, stable) in stable {
                let end = ends.iter().find(|end| (end.0, end.1) == (input, partition));
                let seen = self.known.get(&(input, partition)).filter(|seen| seen.0 == stable);
                let seen = seen.copied().unwrap_or_else(|| (stable, now, monotonic()));
                if end.is_some_and(|end| stable < end.2) {
                    self.known.insert((input, partition), seen);
                } else {
                    self.known.remove(&(input, partition));
                }
            }
        }
        let oldest = self.known.values().map(|(_, _, seen)| seen.elapsed()).max();
        if oldest.is_some_and(|oldest| LONG < oldest) && self.longest.is_none() {
            self.longest = topics.first().map(|topic| longest_transaction(&self.endpoint, topic));
        }
        let hangs = |seen: &Instant| {
            self.longest.is_some_and(|longest| longest.saturating_add(LONG) < seen.elapsed())
        };
        let open = |(&(input, partition), (stable, since, seen)): (&(usize, u32), &(i64, _, _))| {
            Open { input, partition, stable: *stable, since: *since, hangs: hangs(seen) }
        };
        self.known.iter().map(open).collect()
    }

    /// Last stable offsets.
    fn stable(
        &mut self,
        topic: (usize, &str),
        partitions: Vec<u32>,
    ) -> Result<Vec<(usize, u32, i64)>, String> {
        let asker = match self.asker.take() {
            Some(asker) => asker,
            None => consumer(&self.endpoint, "stable-ends", 1, Visible::Committed)
                .map_err(|error| error.to_string())?,
        };
        ask(self.asker.insert(asker), topic, partitions, Offset::End, IMPATIENT)
    }
}

/// End offsets of an input, or where it begins. The end is what the client may see: the high watermark, or
/// the last stable offset under read_committed. A partition without leader has none now; the others have
/// theirs.
pub(super) fn ask(
    consumer: &BaseConsumer,
    (input, topic): (usize, &str),
    partitions: impl IntoIterator<Item = u32>,
    edge: Offset,
    deadline: Duration,
) -> Result<Vec<(usize, u32, i64)>, String> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        let partition = i32::try_from(partition).map_err(|error| error.to_string())?;
        list.add_partition_offset(topic, partition, edge).map_err(|error| error.to_string())?;
    }
    let answer = consumer.offsets_for_times(list, deadline).map_err(|error| error.to_string())?;
    let mut ends = Vec::new();
    for element in answer.elements() {
        if let (Ok(()), Offset::Offset(end)) = (element.error(), element.offset()) {
            ends.push((input, u32::try_from(element.partition()).unwrap_or(0), end));
        }
    }
    Ok(ends)
}
