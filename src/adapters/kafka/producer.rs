//! Messages on their way out: signals and unreadable records.
//!
//! In: signals, dead letters. Out: acknowledged messages. Holds: a signal counts as sent when all
//! replicas have it; letters in flight are bounded by librdkafka's queue. Knows nothing of: why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};

use super::client::{client_config, reader_config};
use crate::config::endpoint::KafkaEndpoint;
use crate::engine::DeadLetter;
use crate::model::signal::Signal;

/// How long the cluster may take to answer at the start.
const DEADLINE: Duration = Duration::from_secs(15);
/// Messages of the control topic that are looked at in a second.
const WATCHED_MAX: usize = 1000;
/// A signal that isn't acknowledged by then is sent again.
const SIGNAL_DEADLINE_MS: &str = "10000";
/// A broker that is gone for a while is waited for.
const LETTER_DEADLINE_MS: &str = "0";

/// What can go wrong on the way out.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// librdkafka refused.
    #[error("produce to {topic}: {reason}")]
    Refused {
        /// Topic.
        topic: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl SendError {
    fn refused(topic: &str, error: &KafkaError) -> Self {
        let cure = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                "; give this user WRITE and DESCRIBE on it, and start again: nothing is lost"
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                "; make the topic"
            }
            _ => "",
        };
        Self::Refused { topic: topic.to_owned(), reason: format!("{error}{cure}") }
    }
}

/// Deliveries that failed since the last look, how many succeeded, and where the last one lies.
#[derive(Debug, Default)]
struct Deliveries {
    done: u64,
    offset: i64,
    failed: Option<KafkaError>,
}

#[derive(Clone, Debug, Default)]
struct Context(Arc<Mutex<Deliveries>>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut deliveries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                deliveries.done += 1;
                deliveries.offset = message.offset();
            }
            Err((error, _)) => deliveries.failed = Some(error.clone()),
        }
    }
}

impl Context {
    fn take(&self) -> Deliveries {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn producer(
    endpoint: &KafkaEndpoint,
    role: &str,
    deadline_ms: &str,
) -> Result<(BaseProducer<Context>, Context), SendError> {
    let context = Context::default();
    let producer = client_config(endpoint, role)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("message.timeout.ms", deadline_ms)
        .create_with_context(context.clone())
        .map_err(|error| SendError::refused(role, &error))?;
    Ok((producer, context))
}

/// Sends signals as CloudEvents 1.0 in binary mode.
pub struct ControlProducer {
    producer: BaseProducer<Context>,
    context: Context,
    /// Watches what others send to the same topic.
    watcher: BaseConsumer,
    /// Key of the signal on its way.
    sending: String,
    /// Of each key the last message that was read and where this process's own last one lies: its
    /// partition is the same. No more keys than candidates.
    seen: BTreeMap<String, Seen>,
}

/// What is known of the end of the control topic under one key.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u64,
    offset: i64,
    own: i64,
}

impl Seen {
    const NOTHING: Self = Self { sequence: u64::MAX, offset: -1, own: -1 };
}

impl std::fmt::Debug for ControlProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ControlProducer")
    }
}

impl ControlProducer {
    /// A producer for the control topic.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn new(endpoint: &KafkaEndpoint, topic: &str) -> Result<Self, SendError> {
        let (producer, context) = producer(endpoint, "control", SIGNAL_DEADLINE_MS)?;
        let refused = |error: KafkaError| SendError::refused(topic, &error);
        let watcher: BaseConsumer = reader_config(endpoint, "control-watcher")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "latest")
            .set("queued.max.messages.kbytes", "1024")
            .create()
            .map_err(refused)?;
        let metadata = watcher.fetch_metadata(Some(topic), DEADLINE).map_err(refused)?;
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            list.add_partition_offset(topic, partition.id(), Offset::End).map_err(refused)?;
        }
        watcher.assign(&list).map_err(refused)?;
        Ok(Self { producer, context, watcher, sending: String::new(), seen: BTreeMap::new() })
    }

    /// Keys whose last message is lower than these, which were delivered: it came after them. Own
    /// ones that were merely not read back yet don't count.
    pub fn overtaken(&mut self, newest: &BTreeMap<&str, u64>) -> Vec<String> {
        // Bounded, so that a busy topic can't hold the engine up.
        for message in std::iter::from_fn(|| self.watcher.poll(Duration::ZERO)).take(WATCHED_MAX) {
            let Ok(message) = message else { continue };
            let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
            let Some(key) = key.filter(|key| newest.contains_key(key)) else { continue };
            let Some(sequence) = sequence(&message) else { continue };
            let seen = self.seen.entry(key.to_owned()).or_insert(Seen::NOTHING);
            (seen.sequence, seen.offset) = (sequence, message.offset());
        }
        let lower = |(key, newest): (&&str, &u64)| {
            let seen = self.seen.get(*key)?;
            (seen.sequence < *newest && seen.own < seen.offset).then(|| (*key).to_owned())
        };
        newest.iter().filter_map(lower).collect()
    }

    /// Sends one; `poll` tells when all replicas have it.
    ///
    /// # Errors
    /// librdkafka refused it.
    pub fn start(&mut self, signal: &Signal, topic: &str) -> Result<(), SendError> {
        self.context.take();
        self.sending.clone_from(&signal.key);
        let headers = cloud_event_headers(signal);
        let record = BaseRecord::to(topic).key(&signal.key).payload(&signal.data).headers(headers);
        self.producer.send(record).map_err(|(error, _)| SendError::refused(topic, &error))
    }

    /// Returns what became of the one that was sent, once it is known; sending it again is harmless.
    pub fn poll(&mut self, topic: &str) -> Option<Result<(), SendError>> {
        self.producer.poll(Duration::ZERO);
        let Deliveries { done, offset, failed } = self.context.take();
        if let Some(error) = failed {
            return Some(Err(SendError::refused(topic, &error)));
        }
        if done == 0 {
            return None;
        }
        self.seen.entry(self.sending.clone()).or_insert(Seen::NOTHING).own = offset;
        Some(Ok(()))
    }
}

/// The sequence of a signal that was read.
fn sequence(message: &BorrowedMessage<'_>) -> Option<u64> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == "ce_sequence")?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

fn cloud_event_headers(signal: &Signal) -> OwnedHeaders {
    let sequence = signal.sequence.to_string();
    let pairs = [
        ("ce_specversion", "1.0"),
        ("ce_id", signal.id.as_str()),
        ("ce_source", signal.source.as_str()),
        ("ce_type", signal.kind.as_str()),
        ("ce_subject", signal.key.as_str()),
        ("ce_time", signal.time.as_str()),
        ("ce_dataschema", "https://parallax.dev/schemas/signal.v1.json"),
        ("ce_partitionkey", signal.key.as_str()),
        ("ce_sequence", sequence.as_str()),
        ("content-type", "application/json"),
    ];
    pairs.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Sends unreadable records unchanged, the reason beside them.
pub struct DeadLetterProducer {
    producer: BaseProducer<Context>,
    context: Context,
    topic: String,
}

impl std::fmt::Debug for DeadLetterProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeadLetterProducer({})", self.topic)
    }
}

impl DeadLetterProducer {
    /// A producer for the dead-letter topic.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn new(endpoint: &KafkaEndpoint, topic: &str) -> Result<Self, SendError> {
        let (producer, context) = producer(endpoint, "dead-letters", LETTER_DEADLINE_MS)?;
        Ok(Self { producer, context, topic: topic.to_owned() })
    }

    /// Takes a record that came from `from`.
    ///
    /// # Errors
    /// librdkafka refused it.
    pub fn put(&self, letter: &DeadLetter, from: &str, partition: u32) -> Result<(), SendError> {
        let (partition, offset) = (partition.to_string(), letter.offset.to_string());
        let pairs = [
            ("x-error-code", letter.reason.code()),
            ("x-error-reason", letter.detail.as_str()),
            ("x-source-topic", from),
            ("x-source-partition", partition.as_str()),
            ("x-source-offset", offset.as_str()),
        ];
        let headers = || {
            pairs.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            })
        };
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).headers(headers());
            record.key = letter.key.as_deref();
            record.payload = letter.value.as_deref();
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(SendError::refused(&self.topic, &error)),
            }
        }
    }

    /// Returns whether all letters are acknowledged.
    ///
    /// # Errors
    /// One was refused.
    pub fn flush(&self) -> Result<bool, SendError> {
        self.producer.poll(Duration::ZERO);
        match self.context.take().failed {
            Some(error) => Err(SendError::refused(&self.topic, &error)),
            None => Ok(self.producer.in_flight_count() == 0),
        }
    }
}
