//! Records from Kafka.
//!
//! In: an endpoint, topics, offsets. Out: records, end offsets. Holds: one client, one queue per
//! partition; a partition that isn't drained stops only itself; an offset that is gone stops the job
//! with a word about retention, never a silent jump. Knows nothing of: tasks.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::batch::Queue;
use super::client::{Visible, connect_error, consumer};
use super::describe::{Rights, Topic, describe};
use super::ends::{self, EndsClient, ask};
use super::watermarks::watermarks;
use crate::config::endpoint::KafkaEndpoint;
use crate::runtime::clock::{HostClock, idle, monotonic};
use crate::runtime::source::{Ends, Gap, Source, SourceError, Take};

/// So many answers after a partition was let go, the client may still tell the position that it had in it.
const DOUBTFUL: u8 = 2;

/// How long the cluster may take to answer at the start.
const DEADLINE: Duration = Duration::from_secs(15);
/// How to go on where records are gone.
const ANEW: &str = "What is in the tables stays right; to go on with what the topics hold now, begin anew: \
                    another `log` and another `output.directory`";

/// Records from Kafka.
pub struct KafkaSource {
    endpoint: KafkaEndpoint,
    topics: Vec<String>,
    /// Partitions of each topic.
    counts: Vec<u32>,
    /// The most that one has.
    partitions: u32,
    // Queues before the consumer: they are dropped first.
    queues: Vec<Vec<Option<Queue>>>,
    positions: Vec<Vec<i64>>,
    /// The positions at the last answer about ends, and who stood before its end then and before.
    looked: Vec<Vec<i64>>,
    still: Vec<(usize, u32)>,
    /// By partition: in how many more answers the client's own position isn't believed.
    doubtful: Vec<u8>,
    /// What the topics were when they were first described, and whether one was missing last time.
    described: Option<Vec<Topic>>,
    missing: bool,
    /// Up to where they were read when they were last the same.
    same_to: Vec<Vec<i64>>,
    ends: EndsClient,
    asker: Arc<BaseConsumer>,
    consumer: Arc<BaseConsumer>,
}

impl KafkaSource {
    /// Connects and looks at the topics.
    ///
    /// # Errors
    /// No broker, or no topic.
    pub fn connect(endpoint: &KafkaEndpoint, topics: &[String]) -> Result<Self, SourceError> {
        let asker = Arc::new(consumer(endpoint, "ends", 1, Visible::All)?);
        let counts = partition_counts(endpoint, &asker, topics)?;
        let partitions = counts.iter().copied().max().unwrap_or(0);
        let queues = counts.iter().sum();
        let consumer = Arc::new(consumer(endpoint, "source", queues, Visible::Committed)?);
        let described = describe(asker.client(), topics, DEADLINE, Rights::Unasked);
        let (asks, of) = (Arc::clone(&asker), topics.to_vec());
        let ends = EndsClient::start(asks, endpoint.clone(), of, counts.clone())?;
        let by_input = |at: i64| topics.iter().map(|_| at).collect::<Vec<_>>();
        Ok(Self {
            endpoint: endpoint.clone(),
            topics: topics.to_vec(),
            counts,
            partitions,
            queues: (0..partitions).map(|_| Vec::new()).collect(),
            positions: (0..partitions).map(|_| by_input(0)).collect(),
            looked: (0..partitions).map(|_| by_input(-1)).collect(),
            still: Vec::new(),
            doubtful: vec![0; partitions as usize],
            described,
            missing: false,
            same_to: Vec::new(),
            ends,
            asker,
            consumer,
        })
    }

    /// Returns how many partitions each topic has.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// End offsets now, by partition and input, for a bounded run: also of what a transaction hides.
    ///
    /// # Errors
    /// The cluster doesn't answer.
    pub fn ends_now(&self) -> Result<Vec<Vec<i64>>, SourceError> {
        let mut answer = Vec::new();
        for ((input, topic), count) in self.topics.iter().enumerate().zip(&self.counts) {
            let ends = ask(&self.asker, (input, topic), 0..*count, Offset::End, ends::DEADLINE);
            answer.extend(ends.map_err(|reason| connect_error(&self.endpoint, &reason))?);
        }
        let mut ends = vec![vec![0; self.topics.len()]; self.partitions as usize];
        if answer.len() != self.counts.iter().sum::<u32>() as usize {
            let reason = "some partitions have no leader, so where they end isn't known";
            return Err(connect_error(&self.endpoint, reason));
        }
        for (input, partition, end) in answer {
            ends[partition as usize][input] = end;
        }
        Ok(ends)
    }

    /// Returns whether the topics are still those that they were. One that is missing may be so for a moment,
    /// to a broker that has just come back: twice is too often.
    fn check_topics(&mut self, now: Vec<Topic>) -> Result<(), SourceError> {
        let was = self.described.get_or_insert_with(|| now.clone());
        let missing = std::mem::replace(&mut self.missing, now.contains(&Topic::Missing));
        for (input, (was, now)) in was.iter().zip(&now).enumerate() {
            let Topic::Here { partitions: before, id: one, .. } = *was else { continue };
            let what = match *now {
                Topic::Missing if missing => "it was deleted".to_owned(),
                Topic::Missing => continue,
                Topic::Here { id, .. } if id != one => "it was recreated".to_owned(),
                Topic::Here { partitions, .. } if partitions != before => format!(
                    "partitions were added, {partitions} and no longer {before}, so that requests lie elsewhere"
                ),
                Topic::Here { .. } => continue,
            };
            let same_to = self.same_to.iter().take(self.counts[input] as usize);
            let to: Vec<_> = same_to.map(|of| of[input].to_string()).collect();
            return Err(SourceError::Topics(format!(
                "{}: {what}; when it was last seen as it was, it was read up to {} (offsets by partition). {ANEW}",
                self.topics[input],
                to.join(", ")
            )));
        }
        if !self.missing {
            self.same_to.clone_from(&self.positions);
        }
        Ok(())
    }

    /// Inputs that don't hold what is to be read.
    fn not_held(
        &self,
        partition: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<Vec<Gap>, SourceError> {
        let mut gaps = Vec::new();
        for (input, (topic, offset)) in self.topics.iter().zip(offsets).enumerate() {
            let horizon = horizons.iter().find(|(of, _)| *of == input).map_or(0, |(_, to)| *to);
            if *offset < 0 || *offset == 0 && horizon == 0 {
                continue;
            }
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            let (first, end) = watermarks(&self.asker, topic, number, DEADLINE)
                .map_err(|error| connect_error(&self.endpoint, &error.to_string()))?;
            if *offset < first || end < horizon.max(*offset) {
                gaps.push(Gap { input, first, end });
            }
        }
        Ok(gaps)
    }

    /// Returns where an input begins that is read from its beginning: what is gone from there is no reason to wait, and
    /// of an input that retention has emptied nothing else would ever tell a position.
    fn first(&self, input: usize, partition: u32) -> i64 {
        let of = (input, self.topics[input].as_str());
        let asked = ask(&self.asker, of, [partition], Offset::Beginning, ends::IMPATIENT);
        asked.ok().and_then(|first| first.first().map(|(_, _, at)| *at)).unwrap_or(0)
    }

    /// The client's position passes control records, which are never handed out.
    fn pass_markers(&mut self) {
        let Ok(list) = self.consumer.position() else { return };
        for element in list.elements() {
            let input = self.topics.iter().position(|topic| topic == element.topic());
            let partition = usize::try_from(element.partition()).unwrap_or(usize::MAX);
            let queue = self.queues.get(partition).and_then(|queues| queues.get(input?)?.as_ref());
            if self.doubtful.get(partition).is_none_or(|answers| *answers != 0)
                || queue.is_none_or(Queue::keeps)
            {
                continue;
            }
            if let (Some(input), Offset::Offset(at)) = (input, element.offset())
                && let Some(position) =
                    self.positions.get_mut(partition).and_then(|p| p.get_mut(input))
            {
                *position = (*position).max(at);
            }
        }
        for answers in &mut self.doubtful {
            *answers = answers.saturating_sub(1);
        }
    }

    /// Remembers who stands before these ends, and has since the last answer.
    fn look(&mut self, ends: &[(usize, u32, i64)]) {
        let still = |&&(input, partition, end): &&(usize, u32, i64)| {
            let at = self.positions[partition as usize][input];
            let reads = self.queues[partition as usize].get(input).is_some_and(Option::is_some);
            reads && at < end && at == self.looked[partition as usize][input]
        };
        self.still = ends.iter().filter(still).map(|end| (end.0, end.1)).collect();
        self.looked.clone_from(&self.positions);
    }

    /// Names a partition of every topic with where to begin; an input with an offset below 0 isn't read.
    fn list(&self, partition: u32, offsets: &[i64]) -> Result<TopicPartitionList, SourceError> {
        let mut list = TopicPartitionList::new();
        for (topic, offset) in self.topics.iter().zip(offsets).filter(|(_, offset)| 0 <= **offset) {
            let from = if *offset == 0 { Offset::Beginning } else { Offset::Offset(*offset) };
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, number, from)
                .map_err(|error| SourceError::Topics(error.to_string()))?;
        }
        Ok(list)
    }
}

impl Source for KafkaSource {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn begin(
        &mut self,
        partition: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<(), SourceError> {
        self.end(partition);
        if let Some(Gap { input, first, end }) =
            self.not_held(partition, offsets, horizons)?.into_iter().next()
        {
            let horizon = horizons.iter().find(|(of, _)| *of == input).map_or(0, |(_, to)| *to);
            let held = Some((first, end, horizon));
            return Err(lost(&self.topics[input], partition, offsets[input], held));
        }
        let list = self.list(partition, offsets)?;
        let queue = |(topic, offset): (&String, &i64)| {
            if *offset < 0 { None } else { Queue::split(&self.consumer, topic, partition) }
        };
        self.queues[partition as usize] = self.topics.iter().zip(offsets).map(queue).collect();
        let begins = offsets.iter().enumerate().map(|(input, offset)| match offset {
            0 => self.first(input, partition),
            _ => *offset,
        });
        self.positions[partition as usize] = begins.collect();
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| connect_error(&self.endpoint, &error.to_string()))
    }

    fn gaps(
        &mut self,
        partition: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<Vec<Gap>, SourceError> {
        self.not_held(partition, offsets, horizons)
    }

    fn ever_held(&mut self, partition: u32) -> Result<bool, SourceError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let here = self.topics.iter().zip(&self.counts).filter(|(_, count)| partition < **count);
        for (topic, _) in here {
            let asked = watermarks(&self.asker, topic, number, DEADLINE);
            let (_, high) =
                asked.map_err(|error| connect_error(&self.endpoint, &error.to_string()))?;
            if 0 < high {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end(&mut self, partition: u32) {
        let Some(queues) = self.queues.get_mut(partition as usize) else { return };
        if queues.is_empty() {
            return;
        }
        let queues = std::mem::take(queues);
        self.doubtful[partition as usize] = DOUBTFUL;
        let read: Vec<i64> = queues.iter().map(|q| if q.is_some() { 0 } else { -1 }).collect();
        if let Ok(list) = self.list(partition, &read) {
            drop(self.consumer.incremental_unassign(&list));
        }
        drop(queues);
    }

    fn drain(
        &mut self,
        input: usize,
        partition: u32,
        max: usize,
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError> {
        self.drain_before(input, partition, (max, i64::MAX), take)
    }

    fn drain_before(
        &mut self,
        input: usize,
        partition: u32,
        (max, before): (usize, i64),
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError> {
        let queues = self.queues.get_mut(partition as usize);
        let Some(queue) = queues.and_then(|queues| queues.get_mut(input)?.as_mut()) else {
            return Ok(0);
        };
        let drained = queue.drain(max, before, take);
        let position = &mut self.positions[partition as usize][input];
        if let Some(next) = drained.next {
            *position = next;
        }
        match drained.error {
            Some((Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, _)) => {
                Err(lost(&self.topics[input], partition, *position, None))
            }
            Some((
                code @ (Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
                | Code::RD_KAFKA_RESP_ERR__FATAL),
                text,
            )) => Err(SourceError::Lost {
                topic: self.topics[input].clone(),
                partition,
                offset: *position,
                reason: format!("{text}{}", cure(code)),
            }),
            Some((code, text)) => {
                tracing::warn!(
                    topic = self.topics[input],
                    partition,
                    ?code,
                    text,
                    "Reading was interrupted; the client goes on by itself."
                );
                Ok(drained.count)
            }
            None => Ok(drained.count),
        }
    }

    fn position(&self, input: usize, partition: u32) -> i64 {
        self.positions[partition as usize][input]
    }

    fn request_ends(&mut self, clock: HostClock) -> Result<(), SourceError> {
        self.ends.request(clock, self.still.clone());
        Ok(())
    }

    fn take_ends(&mut self) -> Result<Option<Ends>, SourceError> {
        let Some((ends, described)) = self.ends.take() else { return Ok(None) };
        if let Some(described) = described {
            self.check_topics(described)?;
        }
        self.pass_markers();
        self.look(&ends.ends);
        Ok(Some(ends))
    }

    fn pump(&mut self) -> Result<(), SourceError> {
        match self.consumer.poll(Duration::ZERO) {
            Some(Err(error)) if is_fatal(&error) => {
                Err(connect_error(&self.endpoint, &error.to_string()))
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "The Kafka client reports a problem; it goes on by itself.");
                Ok(())
            }
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn commit(&mut self, positions: &[(usize, u32, i64)]) {
        let mut list = TopicPartitionList::new();
        for (input, partition, position) in positions.iter().filter(|(_, _, at)| 0 < *at) {
            let number = i32::try_from(*partition).unwrap_or(i32::MAX);
            drop(list.add_partition_offset(
                &self.topics[*input],
                number,
                Offset::Offset(*position),
            ));
        }
        if list.count() != 0 {
            drop(self.consumer.commit(&list, CommitMode::Async));
        }
    }
}

/// Returns whether a client can't go on by itself. Everything else librdkafka mends on its own: brokers that come back,
/// leaders that move.
pub(super) fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}

/// Returns how many partitions each topic has. One that isn't there yet is an error: made by a broker on its own, it
/// would have a number of partitions that nobody chose.
fn partition_counts(
    endpoint: &KafkaEndpoint,
    asker: &BaseConsumer,
    topics: &[String],
) -> Result<Vec<u32>, SourceError> {
    let mut counts = Vec::new();
    for topic in topics {
        let answer =
            metadata(asker, topic).map_err(|error| connect_error(endpoint, &error.to_string()))?;
        let count = answer.topics().first().map_or(0, |topic| topic.partitions().len());
        if count == 0 {
            return Err(SourceError::Topics(format!(
                "{topic} doesn't exist on {}; create it, or correct the pipeline's `topic`",
                endpoint.brokers
            )));
        }
        counts.push(u32::try_from(count).unwrap_or(u32::MAX));
    }
    Ok(counts)
}

/// Says which records are gone, what is still held, and the two ways on.
fn lost(topic: &str, partition: u32, offset: i64, held: Option<(i64, i64, i64)>) -> SourceError {
    let held = held.map_or_else(String::new, |(low, high, horizon)| {
        let read =
            if horizon == 0 { String::new() } else { format!(", it was read up to {horizon}") };
        format!("the topic holds {low} to {high}{read}; ")
    });
    SourceError::Lost {
        topic: topic.to_owned(),
        partition,
        offset,
        reason: format!(
            "{held}records that are needed are gone (retention overtook the job, or the topic was recreated). \
             Raise the topic's retention. {ANEW}; or go on without them: `run --accept-loss` marks what may lack them"
        ),
    }
}

/// Returns how to mend what no further attempt would.
fn cure(code: Code) -> String {
    match code {
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => {
            "; give this user READ and DESCRIBE on the topic again, and start again: nothing is lost"
                .to_owned()
        }
        Code::RD_KAFKA_RESP_ERR__FATAL => "; start again: nothing is lost".to_owned(),
        _ => format!("; the topic was deleted. {ANEW}"),
    }
}

/// Asks again when the broker that was asked is leaving: others know the same.
fn metadata(asker: &BaseConsumer, topic: &str) -> KafkaResult<Metadata> {
    let end = monotonic() + DEADLINE;
    loop {
        match asker.fetch_metadata(Some(topic), DEADLINE) {
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::DestroyBroker)
                    && monotonic() < end =>
            {
                idle(Duration::from_millis(200));
            }
            answer => return answer,
        }
    }
}
