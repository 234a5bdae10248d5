//! The log on Kafka: a topic with one partition per task, and one with a single partition beside it
//! for the evaluator.
//!
//! In: frames under an epoch. Out: the same, read back by a consumer of its own. Holds: the order of a
//! partition is the broker's; a position is the offset plus one; an append whose fate isn't known ends
//! the epochs; no transaction is needed. Knows nothing of: who owns a stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use rdkafka::{ClientContext, Message, Offset, Timestamp, TopicPartitionList};

use crate::adapters::kafka::{client_config, connect_error, reader_config, watermarks};
use crate::adapters::log::codec;
use crate::config::endpoint::KafkaEndpoint;
use crate::model::time::EventTime;
use crate::runtime::log::{
    Begin, Body, GONE, Log, LogError, LogFrame, Stream, VERSION, other_version,
};
use crate::runtime::source::SourceError;

/// How long the cluster may take to answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// Ends the names of evaluators' topics.
const EVALUATOR: &str = "evaluator";

/// A handle of a log on Kafka.
pub struct KafkaLog {
    topics: LogTopics,
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
    reader: BaseConsumer,
    /// Next position expected, by stream that is read.
    reads: BTreeMap<Stream, u64>,
    /// What is gone from before their beginnings.
    cut: BTreeMap<Stream, String>,
    written: u64,
}

/// The topics of a log.
#[derive(Clone, Debug)]
pub struct LogTopics {
    tasks: String,
    evaluator: String,
}

impl LogTopics {
    /// The topics of the log of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { tasks: name.to_owned(), evaluator: format!("{name}.{EVALUATOR}") }
    }

    /// Names and numbers of partitions, for so many tasks.
    #[must_use]
    pub fn wanted(&self, tasks: u32) -> [(&str, u32); 2] {
        [(&self.tasks, tasks), (&self.evaluator, 1)]
    }

    /// Returns the topic and partition of a stream: the evaluator has a topic of its own, so that its order stands by itself.
    fn place(&self, stream: Stream) -> (&str, i32) {
        match stream {
            Stream::Task(partition) => (&self.tasks, i32::try_from(partition).unwrap_or(i32::MAX)),
            Stream::Evaluator => (&self.evaluator, 0),
        }
    }

    /// Returns the stream that lies there.
    fn stream(&self, topic: &str, partition: i32) -> Stream {
        if topic == self.evaluator {
            Stream::Evaluator
        } else {
            Stream::Task(u32::try_from(partition).unwrap_or(u32::MAX))
        }
    }
}

/// The first append that failed, if one did.
#[derive(Clone, Debug, Default)]
struct Deliveries(Arc<Mutex<Option<String>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| {
                format!("{}/{}: {error}; {}", message.topic(), message.partition(), cure(error))
            });
        }
    }
}

impl KafkaLog {
    /// A handle of a log whose topics are there.
    ///
    /// # Errors
    /// The clients can't be made.
    pub fn new(endpoint: &KafkaEndpoint, topics: LogTopics) -> Result<Self, LogError> {
        let deliveries = Deliveries::default();
        let failed = |error: KafkaError| refused("connect to", &topics.tasks, &error);
        let producer = client_config(endpoint, "log")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("socket.nagle.disable", "true")
            // A broker that is gone for a while is waited for; what isn't acknowledged isn't acted on.
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", "67108864")
            .set("queue.buffering.max.messages", "100000")
            .create_with_context(deliveries.clone())
            .map_err(failed)?;
        let reader = reader_config(endpoint, "log-reader")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_uncommitted")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.max.messages.kbytes", "16384")
            .set("check.crcs", "true")
            .create()
            .map_err(failed)?;
        Ok(Self {
            topics,
            producer,
            deliveries,
            reader,
            reads: BTreeMap::new(),
            cut: BTreeMap::new(),
            written: 0,
        })
    }

    /// Fails for good after the first append that wasn't acknowledged: an entry behind it may be there without it.
    fn check(&self) -> Result<(), LogError> {
        let failed = self.deliveries.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map_or(Ok(()), |why| Err(LogError::Poisoned(why.clone())))
    }

    /// Names a stream's place for the reader.
    fn one(&self, stream: Stream, offset: Offset) -> Result<TopicPartitionList, LogError> {
        let (topic, partition) = self.topics.place(stream);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, offset)
            .map_err(|error| refused("read", topic, &error))?;
        Ok(list)
    }
}

impl Log for KafkaLog {
    fn read(&mut self, stream: Stream, from: Begin) -> Result<bool, LogError> {
        self.forget(stream);
        let (topic, partition) = self.topics.place(stream);
        let (low, high) = watermarks(&self.reader, topic, partition, DEADLINE)
            .map_err(|error| refused("read", topic, &error))?;
        let begin = match from {
            Begin::Tail(count) => low.max(high.saturating_sub_unsigned(count)),
            Begin::Behind(position) => {
                let begin = i64::try_from(position).unwrap_or(i64::MAX);
                if begin < low || high < begin {
                    let what = format!(
                        "offset {begin} of {topic}/{partition} is needed, it holds {low} to {high}"
                    );
                    return Err(LogError::Lost { stream, what, cure: GONE });
                }
                begin
            }
        };
        self.cut.remove(&stream);
        if 0 < low {
            let what =
                format!("{topic}/{partition} holds {low} to {high}, what came before is gone");
            self.cut.insert(stream, what);
        }
        let list = self.one(stream, Offset::Offset(begin))?;
        self.reader
            .incremental_assign(&list)
            .map_err(|error| refused("read", self.topics.place(stream).0, &error))?;
        self.reads.insert(stream, begin.cast_unsigned() + 1);
        Ok(begin <= low)
    }

    fn place(&self, stream: Stream) -> String {
        let (topic, partition) = self.topics.place(stream);
        format!("{topic}/{partition}")
    }

    fn cut(&self, stream: Stream) -> Option<String> {
        self.cut.get(&stream).cloned()
    }

    fn forget(&mut self, stream: Stream) {
        if self.reads.remove(&stream).is_some()
            && let Ok(list) = self.one(stream, Offset::Invalid)
        {
            drop(self.reader.incremental_unassign(&list));
        }
    }

    fn append(&mut self, stream: Stream, epoch: u64, body: Body) -> Result<(), LogError> {
        self.check()?;
        let mut bytes = vec![VERSION];
        codec::encode(epoch, &body, &mut bytes).map_err(LogError::Foreign)?;
        let (topic, partition) = self.topics.place(stream);
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).payload(&bytes);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    self.producer.poll(Duration::from_millis(20));
                    record = unsent;
                }
                Err((error, _)) => return Err(refused("append to", topic, &error)),
            }
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<LogFrame>, LogError> {
        self.producer.poll(Duration::ZERO);
        self.check()?;
        loop {
            let message = match self.reader.poll(Duration::ZERO) {
                None => return Ok(None),
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    if is_final(&error) {
                        return Err(refused("read", &self.topics.tasks, &error));
                    }
                    tracing::warn!(%error, "Reading the log was interrupted; the client goes on by itself.");
                    continue;
                }
            };
            let stream = self.topics.stream(message.topic(), message.partition());
            let position = message.offset().cast_unsigned() + 1;
            // What was fetched before a stream was let go, or read anew, isn't asked for any more.
            let Some(next) = self.reads.get_mut(&stream).filter(|next| **next <= position) else {
                continue;
            };
            *next = position + 1;
            let frame = decode(stream, &message)?;
            return Ok(Some(frame));
        }
    }

    fn settled(&mut self) {}

    fn written(&self) -> u64 {
        self.written
    }
}

/// Makes a frame of a message, or says where lies what isn't ours. A first byte below 8 is taken for another version
/// of the format, since no text begins with one.
fn decode(stream: Stream, message: &BorrowedMessage<'_>) -> Result<LogFrame, LogError> {
    let damaged = |what: String| {
        let place = format!("{}/{}", message.topic(), message.partition());
        LogError::Foreign(format!(
            "read the log topic {place} at offset {}: {what}; another program wrote into it, or a \
             later version of this one: give this pipeline another `log.topic`, or update it",
            message.offset()
        ))
    };
    let (epoch, body) = match message.payload() {
        Some([VERSION, frame @ ..]) => codec::decode(stream, frame).map_err(damaged)?,
        // No other program's first byte is likely to be so low.
        Some([version @ 1..8, ..]) => {
            let place = format!("the topic {}", message.topic());
            return Err(other_version(&place, *version, "log.topic"));
        }
        Some([version, ..]) => {
            return Err(damaged(format!("frame version {version} is unknown")));
        }
        Some([]) | None => return Err(damaged("an empty frame".to_owned())),
    };
    // Only the broker's own time says when it was appended.
    let appended = match message.timestamp() {
        Timestamp::LogAppendTime(ms) => Some(EventTime::from_us(ms.saturating_mul(1000))),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    };
    Ok(LogFrame { stream, position: message.offset().cast_unsigned() + 1, epoch, appended, body })
}

/// Reads what a stream holds now, for people: nothing is claimed.
///
/// # Errors
/// It can't be read, or `take` refuses.
pub fn look<E: From<LogError>>(
    endpoint: &KafkaEndpoint,
    topics: &LogTopics,
    stream: Stream,
    take: impl FnMut(LogFrame) -> Result<(), E>,
) -> Result<(), E> {
    let mut log = KafkaLog::new(endpoint, topics.clone())?;
    log.look(stream, Begin::Tail(u64::MAX >> 1), u64::MAX, take)?;
    Ok(())
}

impl KafkaLog {
    /// Reads what a stream holds now from there on, at most so many frames; whether that was its very
    /// beginning. What is read on through `poll` is read no more.
    ///
    /// # Errors
    /// Frames from there on are gone, it can't be read, or `take` refuses.
    pub fn look<E: From<LogError>>(
        &mut self,
        stream: Stream,
        from: Begin,
        most: u64,
        mut take: impl FnMut(LogFrame) -> Result<(), E>,
    ) -> Result<bool, E> {
        let whole = self.read(stream, from)?;
        let (topic, partition) = self.topics.place(stream);
        let failed = |error: KafkaError| refused("read", topic, &error);
        let (_, high) = watermarks(&self.reader, topic, partition, DEADLINE).map_err(failed)?;
        let first = self.reads.get(&stream).map_or(high, |position| position.cast_signed() - 1);
        let end = high.min(first.saturating_add_unsigned(most));
        let mut next = first;
        while next < end {
            let message = match self.reader.poll(DEADLINE) {
                None => return Err(refused("read", topic, &KafkaError::NoMessageReceived).into()),
                Some(Err(error)) if is_final(&error) => return Err(failed(error).into()),
                Some(Err(_)) => continue,
                Some(Ok(message)) => message,
            };
            // What was fetched for an earlier look may still come.
            if (message.topic(), message.partition()) != (topic, partition)
                || message.offset() < next
            {
                continue;
            }
            next = message.offset() + 1;
            if message.offset() < end {
                take(decode(stream, &message)?)?;
            }
        }
        self.forget(stream);
        Ok(whole)
    }
}

/// Returns how many tasks have a stream in this log.
///
/// # Errors
/// The cluster can't be reached, or there is no such log.
pub fn tasks(endpoint: &KafkaEndpoint, topics: &LogTopics) -> Result<u32, SourceError> {
    let failed = |reason: &str| connect_error(endpoint, reason);
    let log =
        KafkaLog::new(endpoint, topics.clone()).map_err(|error| failed(&error.to_string()))?;
    let metadata = log
        .reader
        .fetch_metadata(Some(&topics.tasks), DEADLINE)
        .map_err(|error| failed(&error.to_string()))?;
    let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    if count == 0 {
        return Err(SourceError::Topics(format!(
            "the log topic {} doesn't exist on {}; nothing was written down yet, or `log.topic` is another's",
            topics.tasks, endpoint.brokers
        )));
    }
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Returns how to mend what no further attempt would.
fn cure(error: &KafkaError) -> &'static str {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            "give this user READ, WRITE and DESCRIBE on it, and start again: nothing is lost"
        }
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::AutoOffsetReset,
        ) => GONE,
        _ => "start again: nothing is lost",
    }
}

/// Errors after which reading doesn't go on by itself.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::Fatal
        )
    )
}

/// Says what the cluster refused, with the cure where one is known.
fn refused(doing: &'static str, topic: &str, error: &KafkaError) -> LogError {
    let reason = format!("{error}; {}", cure(error));
    LogError::Kafka { doing, topic: topic.to_owned(), reason }
}
