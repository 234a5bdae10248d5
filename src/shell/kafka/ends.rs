//! End offsets and what the topics are, asked by a client of their own on a thread of their own.
//!
//! In: requests. Out: end offsets, when they were confirmed, what the topics were then. Holds: one
//! request at a time; the engine never waits for it; the fetching client's long polls don't delay it.
//! Knows nothing of: facts.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::describe::{Topic, describe};
use crate::shell::clock::HostClock;
use crate::shell::source::{Ends, SourceError};

/// How long one request may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The same for a topic that gave none last time.
const IMPATIENT: Duration = Duration::from_secs(1);

/// Asks for end offsets.
pub(super) struct EndsClient {
    requests: Option<SyncSender<HostClock>>,
    answers: Receiver<(Ends, Option<Vec<Topic>>)>,
    thread: Option<JoinHandle<()>>,
}

impl EndsClient {
    /// Starts the thread; `topics` in input order, each with so many partitions.
    pub(super) fn start(
        consumer: Arc<BaseConsumer>,
        topics: Vec<String>,
        counts: Vec<u32>,
    ) -> Result<Self, SourceError> {
        let (requests, asked) = sync_channel::<HostClock>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            let mut silent = vec![false; topics.len()];
            while let Ok(clock) = asked.recv() {
                let confirmed = clock.now();
                let mut ends = Vec::new();
                // One topic after the other: a broker that hangs hides only what it leads.
                for (input, topic) in topics.iter().enumerate() {
                    let deadline = if silent[input] { IMPATIENT } else { DEADLINE };
                    let answer =
                        ask(&consumer, (input, topic), counts[input], Offset::End, deadline);
                    if let (Err(error), false) = (&answer, silent[input]) {
                        tracing::warn!(
                            topic,
                            error,
                            "End offsets can't be had; its idle partitions wait."
                        );
                    }
                    silent[input] = answer.is_err();
                    ends.extend(answer.unwrap_or_default());
                }
                let deadline = if silent.contains(&true) { IMPATIENT } else { DEADLINE };
                let described = describe(&consumer, &topics, deadline);
                if answer.send((Ends { confirmed, ends }, described)).is_err() {
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

    pub(super) fn request(&self, clock: HostClock) {
        if let Some(requests) = &self.requests {
            // Full means that one is under way already: its answer will do.
            let _under_way = requests.try_send(clock).is_err();
        }
    }

    /// The answer, once it is there: what could be had.
    pub(super) fn take(&self) -> Option<(Ends, Option<Vec<Topic>>)> {
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

/// End offsets of an input (the last stable offset under read_committed), or where it begins. A
/// partition without leader has none now; the others have theirs.
pub(super) fn ask(
    consumer: &BaseConsumer,
    (input, topic): (usize, &str),
    partitions: u32,
    edge: Offset,
    deadline: Duration,
) -> Result<Vec<(usize, u32, i64)>, String> {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
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
