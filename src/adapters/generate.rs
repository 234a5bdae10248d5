//! Generated traffic on its way to Kafka or files.
//!
//! In: a scenario. Out: files or messages, and a manifest beside them. Holds: the order within a
//! partition is the order of arrival. Knows nothing of: pipelines.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::adapters::kafka::client_config;
use crate::config::endpoint::KafkaEndpoint;
use crate::generate::{Manifest, Scenario, Traffic};
use crate::model::time::EventTime;
use crate::runtime::clock::{HostClock, monotonic};
use crate::runtime::stop::Stop;

/// How fast messages are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as the broker takes them.
    Full,
    /// When this clock shows their arrival; up to when everything has reached the broker is told.
    By(HostClock, &'static AtomicI64),
}

/// Writes `NAME-PARTITION.jsonl` files and `manifest.json` into `folder`.
///
/// # Errors
/// The disk refused.
pub fn to_files(scenario: Scenario, folder: &Path) -> Result<Manifest> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let names = names(&scenario);
    let mut files = Vec::new();
    for name in &names {
        let mut partitions = Vec::new();
        for partition in 0..scenario.partitions {
            let path = folder.join(format!("{name}-{partition}.jsonl"));
            let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
            partitions.push(BufWriter::with_capacity(1 << 16, file));
        }
        files.push(partitions);
    }
    let mut traffic = Traffic::new(scenario);
    for arrival in traffic.by_ref() {
        let file = &mut files[arrival.input][arrival.partition as usize];
        file.write_all(arrival.payload.as_bytes())?;
        file.write_all(b"\n")?;
    }
    for file in files.iter_mut().flatten() {
        file.flush()?;
    }
    let manifest = traffic.manifest().clone();
    let path = folder.join("manifest.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&manifest)?)
        .with_context(|| format!("write {}", path.display()))?;
    Ok(manifest)
}

/// Input names in order: `primary`, then the candidates.
#[must_use]
pub fn names(scenario: &Scenario) -> Vec<String> {
    std::iter::once("primary".to_owned()).chain(scenario.candidates.iter().cloned()).collect()
}

/// Makes topics that are missing.
///
/// # Errors
/// The broker refused.
pub fn create_topics(endpoint: &KafkaEndpoint, topics: &[String], partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client_config(endpoint, "admin").create()?;
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
                .set("retention.ms", "-1")
                .set("message.timestamp.before.max.ms", "9223372036854775807")
                .set("message.timestamp.after.max.ms", "9223372036854775807")
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(15)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for result in runtime.block_on(admin.create_topics(&new, &options))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("create {topic}: {code}"),
        }
    }
    Ok(())
}

/// Sends to topics, in input order.
///
/// # Errors
/// The broker refused.
pub fn to_kafka(
    scenario: Scenario,
    endpoint: &KafkaEndpoint,
    topics: &[String],
    pace: Pace,
    stop: &Stop,
) -> Result<Manifest> {
    let producer: BaseProducer = client_config(endpoint, "generate")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .context("make a producer")?;
    let mut traffic = Traffic::new(scenario);
    let mut sent = 0_u64;
    for arrival in traffic.by_ref() {
        if stop.is_set() {
            break;
        }
        if let Pace::By(clock, reached) = pace {
            wait_until(&producer, (clock, reached), arrival.at_us, stop);
        }
        let mut record = BaseRecord::to(&topics[arrival.input])
            .key(&arrival.key)
            .payload(&arrival.payload)
            .partition(i32::try_from(arrival.partition)?)
            .timestamp(arrival.at_us / 1000);
        while let Err((error, unsent)) = producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                    producer.poll(Duration::from_millis(10));
                    record = unsent;
                }
                _ => return Err(error).context("produce"),
            }
        }
        sent += 1;
        if sent.is_multiple_of(1000) {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).context("wait for the broker")?;
    if let Pace::By(_, reached) = pace {
        reached.store(i64::MAX, Ordering::Relaxed);
    }
    Ok(traffic.manifest().clone())
}

/// Waits for an arrival; once all before it are acknowledged, time may pass to it.
fn wait_until(
    producer: &BaseProducer,
    (clock, reached): (HostClock, &AtomicI64),
    at_us: i64,
    stop: &Stop,
) {
    let time = EventTime::from_us(at_us);
    loop {
        if producer.in_flight_count() == 0 {
            reached.store(at_us, Ordering::Relaxed);
        }
        if time <= clock.now() || stop.is_set() {
            return;
        }
        let most = Duration::from_millis(50);
        producer.poll(clock.until(time, most).max(Duration::from_micros(200)));
    }
}

/// Messages per second that were sent since `begun`, for people.
#[must_use]
pub fn per_second(count: u64, begun: std::time::Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let count = count as f64;
    count / monotonic().duration_since(begun).as_secs_f64().max(1e-9)
}

/// The environment's variables, for `${NAME}` in pipeline files.
#[must_use]
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
