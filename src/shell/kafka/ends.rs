//! End offsets, asked by a client of their own on a thread of their own.
//!
//! In: requests. Out: end offsets and when they were confirmed. Holds: one request at a time; the
//! engine never waits for it; the fetching client's long polls don't delay it. Knows nothing of: facts.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::shell::clock::HostClock;
use crate::shell::source::{Ends, SourceError};

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks for end offsets.
pub(super) struct EndsClient {
    requests: Option<SyncSender<HostClock>>,
    answers: Receiver<Result<Ends, String>>,
    thread: Option<JoinHandle<()>>,
}

impl EndsClient {
    /// Starts the thread; `topics` in input order, each with `partitions`.
    pub(super) fn start(
        consumer: Arc<BaseConsumer>,
        topics: Vec<String>,
        partitions: u32,
    ) -> Result<Self, SourceError> {
        let (requests, asked) = sync_channel::<HostClock>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            while let Ok(clock) = asked.recv() {
                let confirmed = clock.now();
                let ends = ask(&consumer, &topics, partitions).map(|ends| Ends { confirmed, ends });
                if answer.send(ends).is_err() {
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

    /// The answer; a broker that doesn't answer is asked again later.
    pub(super) fn take(&self) -> Option<Ends> {
        match self.answers.try_recv() {
            Ok(Ok(ends)) => Some(ends),
            Ok(Err(error)) => {
                tracing::warn!(%error, "End offsets can't be had; idle inputs wait until they can.");
                None
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
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

/// End offsets of all inputs: the last stable offset under read_committed.
pub(super) fn ask(
    consumer: &BaseConsumer,
    topics: &[String],
    partitions: u32,
) -> Result<Vec<(usize, u32, i64)>, String> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..partitions {
            let partition = i32::try_from(partition).map_err(|error| error.to_string())?;
            list.add_partition_offset(topic, partition, Offset::End)
                .map_err(|error| error.to_string())?;
        }
    }
    let answer = consumer.offsets_for_times(list, DEADLINE).map_err(|error| error.to_string())?;
    let mut ends = Vec::new();
    for element in answer.elements() {
        // A partition without leader has no end now; the others have theirs.
        let input = topics.iter().position(|topic| topic == element.topic());
        if let (Ok(()), Some(input), Offset::Offset(end)) =
            (element.error(), input, element.offset())
        {
            ends.push((input, u32::try_from(element.partition()).unwrap_or(0), end));
        }
    }
    Ok(ends)
}
