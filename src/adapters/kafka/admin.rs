//! Topics that the engine makes for itself, those of its log; and what brokers are set to.
//!
//! In: names and numbers of partitions. Out: topics that are as the log needs them; settings of brokers.
//! Holds: a topic that is there is never changed; one that would lose entries is refused with what to do.
//! Knows nothing of: entries.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{client_config, connect_error};
use crate::config::endpoint::KafkaEndpoint;
use crate::runtime::source::SourceError;

/// How long the cluster may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long it may take where others wait meanwhile.
const IMPATIENT: Duration = Duration::from_secs(3);
/// `transaction.max.timeout.ms` of a broker where nobody changed it.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60);

/// Makes the log's topics where they are missing, and looks whether they fit.
///
/// # Errors
/// The cluster refused, or a topic isn't as it must be.
pub fn prepare_log(
    endpoint: &KafkaEndpoint,
    wanted: &[(&str, u32)],
    retention_ms: i64,
) -> Result<(), SourceError> {
    let failed = |reason: String| connect_error(endpoint, &reason);
    let admin: AdminClient<DefaultClientContext> =
        client_config(endpoint, "admin").create().map_err(|error| failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let retention = retention_ms.to_string();
    let new: Vec<NewTopic<'_>> = wanted
        .iter()
        .map(|(name, partitions)| {
            let count = i32::try_from(*partitions).unwrap_or(i32::MAX);
            NewTopic::new(name, count, TopicReplication::Fixed(-1))
                .set("cleanup.policy", "delete")
                .set("retention.ms", &retention)
                .set("message.timestamp.type", "LogAppendTime")
                .set("max.message.bytes", "67108864")
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let made = runtime.block_on(admin.create_topics(&new, &options));
    for result in made.map_err(|error| failed(error.to_string()))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(SourceError::Topics(format!(
                    "make the log topic {topic}: {code}; make it yourself (cleanup.policy=delete, one partition \
                     per partition of the inputs), or give the right to"
                )));
            }
        }
    }
    for (name, partitions) in wanted {
        check_count(&admin, endpoint, name, *partitions)?;
    }
    let names: Vec<_> = wanted.iter().map(|(name, _)| ResourceSpecifier::Topic(name)).collect();
    let described = runtime.block_on(admin.describe_configs(&names, &options));
    // Who may not describe them has to know what they are doing.
    for resource in described.unwrap_or_default().into_iter().flatten() {
        check_policy(&resource)?;
    }
    Ok(())
}

/// Returns how long a broker of a topic lets a transaction be open before it aborts it; the brokers' default where
/// that can't be had.
pub(super) fn longest_transaction(endpoint: &KafkaEndpoint, topic: &str) -> Duration {
    let asked = || -> Option<Duration> {
        let admin: AdminClient<DefaultClientContext> =
            client_config(endpoint, "admin").create().ok()?;
        let metadata = admin.inner().fetch_metadata(Some(topic), IMPATIENT).ok()?;
        let broker = ResourceSpecifier::Broker(metadata.brokers().first()?.id());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let options = AdminOptions::new().request_timeout(Some(IMPATIENT));
        let described = runtime.block_on(admin.describe_configs([&broker], &options)).ok()?;
        let config = described.into_iter().next()?.ok()?;
        let longest = config.get("transaction.max.timeout.ms")?.value.as_ref()?.parse().ok()?;
        Some(Duration::from_millis(longest))
    };
    asked().unwrap_or(LONGEST_TRANSACTION)
}

/// A new topic's leaders take a moment to be known.
fn check_count(
    admin: &AdminClient<DefaultClientContext>,
    endpoint: &KafkaEndpoint,
    name: &str,
    partitions: u32,
) -> Result<(), SourceError> {
    let end = crate::runtime::clock::monotonic() + DEADLINE;
    loop {
        let metadata = admin
            .inner()
            .fetch_metadata(Some(name), DEADLINE)
            .map_err(|error| connect_error(endpoint, &error.to_string()))?;
        let topic = metadata.topics().first();
        let count = topic.map_or(0, |topic| topic.partitions().len());
        let led = topic.is_some_and(|topic| topic.partitions().iter().all(|p| 0 <= p.leader()));
        if count == partitions as usize && led {
            return Ok(());
        }
        if end < crate::runtime::clock::monotonic() || count != 0 && count != partitions as usize {
            return Err(SourceError::Topics(format!(
                "the log topic {name} has {count} partitions and needs {partitions}, as many as the inputs; were \
                 partitions added to the inputs? Then requests lie elsewhere since; begin anew: another `log` and \
                 another `output.directory`"
            )));
        }
        crate::runtime::clock::idle(Duration::from_millis(50));
    }
}

fn check_policy(resource: &ConfigResource) -> Result<(), SourceError> {
    let policy = resource.get("cleanup.policy").and_then(|entry| entry.value.as_deref());
    match policy {
        Some(policy) if policy.contains("compact") => Err(SourceError::Topics(format!(
            "the log topic {:?} has cleanup.policy={policy}, which loses entries; set cleanup.policy=delete",
            resource.specifier
        ))),
        _ => Ok(()),
    }
}
