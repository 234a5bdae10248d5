//! How to talk to a cluster.
//!
//! In: an endpoint. Out: a client configuration; errors with their cure. Holds: the engine's own
//! properties win; secrets are never shown. Knows nothing of: topics.

use rdkafka::ClientConfig;

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
