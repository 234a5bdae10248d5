//! The embedded broker of the demo.
//!
//! In: topics. Out: a broker on loopback, in this process. Holds: nothing to install, nothing left
//! behind. Knows nothing of: traffic. It keeps 100,000 messages per partition.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::config::endpoint::KafkaEndpoint;

/// A broker in this process.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts it with these topics.
    ///
    /// # Errors
    /// librdkafka refused.
    pub fn start(topics: &[&str], partitions: i32) -> Result<Self> {
        let cluster = MockCluster::new(1).context("start the embedded broker")?;
        for topic in topics {
            cluster
                .create_topic(topic, partitions, 1)
                .with_context(|| format!("create {topic}"))?;
        }
        Ok(Self { cluster })
    }

    /// Returns how to reach it.
    #[must_use]
    pub fn endpoint(&self, group: &str) -> KafkaEndpoint {
        KafkaEndpoint {
            brokers: self.cluster.bootstrap_servers(),
            group: group.to_owned(),
            instance: None,
            session_ms: 10_000,
            properties: BTreeMap::new(),
        }
    }
}
