//! How to talk to a cluster.
//!
//! In: an endpoint. Out: a client configuration; errors with their cure. Holds: the engine's own
//! properties win; secrets are never shown. Knows nothing of: topics.

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

use crate::config::endpoint::KafkaEndpoint;
use crate::runtime::source::SourceError;

/// The endpoint's properties under the engine's own.
#[must_use]
pub fn client_config(endpoint: &KafkaEndpoint, role: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, property) in &endpoint.properties {
        config.set(name, &property.value);
    }
    config.set("bootstrap.servers", &endpoint.brokers);
    config.set("client.id", format!("parallax-{role}"));
    config
}

/// The same for somebody who reads and keeps positions itself: the group's are never written by reading.
#[must_use]
pub(in crate::adapters) fn reader_config(endpoint: &KafkaEndpoint, role: &str) -> ClientConfig {
    let mut config = client_config(endpoint, role);
    config
        .set("group.id", &endpoint.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    config
}

/// An error with what to look at.
pub(in crate::adapters) fn connect_error(endpoint: &KafkaEndpoint, reason: &str) -> SourceError {
    let mut reason = reason.to_owned();
    for property in endpoint.properties.values().filter(|p| p.is_secret && !p.value.is_empty()) {
        reason = reason.replace(&property.value, "[secret]");
    }
    let lower = reason.to_lowercase();
    let cure = if lower.contains("sasl") || lower.contains("auth") {
        "check `kafka.properties`: security.protocol, sasl.mechanism, sasl.username, sasl.password"
    } else if lower.contains("ssl") || lower.contains("certificate") {
        "check `kafka.properties`: security.protocol and ssl.ca.location"
    } else if lower.contains("no such configuration property") || lower.contains("invalid value") {
        "correct the name or value in `kafka.properties`"
    } else {
        "check that a broker answers there (`kafka.brokers`) and what it advertises as its listener"
    };
    SourceError::Connect { brokers: endpoint.brokers.clone(), reason, cure: cure.to_owned() }
}

/// Which records a client is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Visible {
    /// Those that no open or aborted transaction hides.
    Committed,
    /// Everything that is written; the end is the high watermark.
    All,
}

impl Visible {
    const fn isolation_level(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::All => "read_uncommitted",
        }
    }
}

/// Fetched and not drained, over all partitions, in KiB.
const FETCHED_KIB: u32 = 128 * 1024;

/// Makes a client that reads records, or asks for ends, of so many queues.
pub(super) fn consumer(
    endpoint: &KafkaEndpoint,
    role: &str,
    queues: u32,
    visible: Visible,
) -> Result<BaseConsumer, SourceError> {
    let per_queue = (FETCHED_KIB / queues.max(1)).clamp(1024, 16 * 1024);
    reader_config(endpoint, role)
        .set("enable.partition.eof", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", visible.isolation_level())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "50")
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", per_queue.to_string())
        .create()
        .map_err(|error| connect_error(endpoint, &error.to_string()))
}
