//! A few records of each topic, to see how they came to their partitions.
//!
//! In: an endpoint, topics. Out: the pipeline with the feeds that its topics make, or the reason why they
//! don't fit, with a diagnosis. Holds: bounded in records and time; what can't be had is left out, and stops
//! nothing; no group is joined, nothing is committed. Knows nothing of: hashes.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client::reader_config;
use super::partitioner::{Sampled, Topic, diagnosis, objection};
use crate::config::endpoint::KafkaEndpoint;
use crate::decode::Decoder;
use crate::model::spec::PipelineSpec;
use crate::runtime::clock::monotonic;
use crate::runtime::source::SourceError;

/// Partitions of a topic that are looked at.
const PARTITIONS: u32 = 8;
/// Records of each, from the end.
const RECORDS: i64 = 50;
/// How long that may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// To rust-rdkafka the end of a partition is an error to log; here it is what is waited for, and what is an
/// error the other clients tell.
struct Unheard;

impl ClientContext for Unheard {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "While records were looked at.");
    }
}

impl ConsumerContext for Unheard {}

/// The pipeline with the feeds that its topics make, which have so many partitions, by arm. Where they seem
/// not to be what the pipeline file says, that is told.
///
/// # Errors
/// They have different partition counts and should be co-partitioned, or are too many.
pub fn with_feeds(
    endpoint: &KafkaEndpoint,
    topics: &[String],
    counts: &[u32],
    spec: &PipelineSpec,
) -> Result<PipelineSpec, SourceError> {
    if !spec.co_partitioned {
        return spec.routed(counts).map_err(|error| SourceError::Topics(error.to_string()));
    }
    if counts.windows(2).all(|pair| pair.first() == pair.last()) {
        warn_beside(endpoint, topics, counts, spec);
        return Ok(spec.clone());
    }
    let listed = topics.iter().zip(counts).map(|(topic, count)| format!("{topic} has {count}"));
    let how = how_keyed(endpoint, topics, counts, spec);
    let how = if how.is_empty() { how } else { format!(" ({how})") };
    Err(SourceError::Topics(format!(
        "they need equal partition counts, so that a request lies in the same partition of each: {}{how}; \
         give them the same count and the same partitioner, or write `co_partitioned: false`: one task in one \
         process then reads them all",
        listed.collect::<Vec<_>>().join(", ")
    )))
}

/// Returns how the topics are keyed, in words; empty where nothing can be said.
#[must_use]
pub fn how_keyed(
    endpoint: &KafkaEndpoint,
    topics: &[String],
    counts: &[u32],
    spec: &PipelineSpec,
) -> String {
    diagnosis(&sample(endpoint, topics, counts, spec).unwrap_or_default())
}

/// Looks at topics of equal counts on a thread of its own: nothing waits for it.
fn warn_beside(endpoint: &KafkaEndpoint, topics: &[String], counts: &[u32], spec: &PipelineSpec) {
    let (endpoint, topics, counts) = (endpoint.clone(), topics.to_vec(), counts.to_vec());
    let spec = spec.clone();
    let look = move || {
        let sampled = sample(&endpoint, &topics, &counts, &spec).unwrap_or_default();
        if let Some(objection) = objection(&sampled) {
            tracing::warn!(
                "The topics don't seem to be co-partitioned: {objection}. Those requests are never paired. Write \
                 them with the same key and partitioner, or set `co_partitioned: false`."
            );
        }
    };
    if let Err(error) = std::thread::Builder::new().name("sample".to_owned()).spawn(look) {
        tracing::debug!(%error, "Nobody looks at how the topics are keyed.");
    }
}

/// The last records of each topic, as far as they can be had.
fn sample(
    endpoint: &KafkaEndpoint,
    topics: &[String],
    counts: &[u32],
    spec: &PipelineSpec,
) -> Result<Vec<Topic>, KafkaError> {
    let consumer: BaseConsumer<Unheard> = reader_config(endpoint, "sample")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "4096")
        .create_with_context(Unheard)?;
    let (mut list, mut open) = (TopicPartitionList::new(), 0_usize);
    for (topic, count) in topics.iter().zip(counts) {
        for partition in 0..(*count).min(PARTITIONS) {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, partition, Offset::OffsetTail(RECORDS))?;
            open += 1;
        }
    }
    consumer.assign(&list)?;
    let decoder = Decoder::new(spec);
    let topic = |(name, partitions): (&String, &u32)| Topic {
        name: name.clone(),
        partitions: *partitions,
        records: Vec::new(),
    };
    let mut sampled: Vec<Topic> = topics.iter().zip(counts).map(topic).collect();
    let (end, mut left) = (monotonic() + DEADLINE, open * usize::try_from(RECORDS).unwrap_or(0));
    while 0 < open && 0 < left && monotonic() < end {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                left -= 1;
                let Some(arm) = topics.iter().position(|topic| topic == message.topic()) else {
                    continue;
                };
                let id = match decoder.decode(arm, message.payload()) {
                    Ok(observation) => Some(observation.request_id.into_owned()),
                    Err(reject) => reject.request_id.map(std::borrow::Cow::into_owned),
                };
                sampled[arm].records.push(Sampled {
                    key: message.key().map(<[u8]>::to_vec),
                    id,
                    partition: u32::try_from(message.partition()).unwrap_or(u32::MAX),
                });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open = open.saturating_sub(1),
            Some(Err(error)) => {
                tracing::debug!(%error, "A topic's records can't be looked at.");
            }
            None => {}
        }
    }
    Ok(sampled)
}
