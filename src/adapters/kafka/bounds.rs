//! What the input topics hold, for somebody who doesn't read them.
//!
//! In: topics. Out: by partition and input the first offset that is kept, the end of what can be read, and that
//! of what is written. Holds: nothing is fetched or committed, no group is joined. Knows nothing of: who reads
//! them, and how far.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::client::{client_config, connect_error};
use super::ends::ask;
use crate::config::endpoint::KafkaEndpoint;
use crate::runtime::source::{Bounds, SourceError};

/// How long the cluster may take to answer: somebody waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// By partition and input what is kept; `None` where a partition has no leader now.
///
/// # Errors
/// The cluster doesn't answer.
pub fn bounds(
    endpoint: &KafkaEndpoint,
    topics: &[String],
) -> Result<Vec<Vec<Option<Bounds>>>, SourceError> {
    let failed = |reason: &str| connect_error(endpoint, reason);
    let asker = |isolation: &str| -> Result<BaseConsumer, SourceError> {
        client_config(endpoint, "status")
            .set("group.id", &endpoint.group)
            .set("isolation.level", isolation)
            .create()
            .map_err(|error| failed(&error.to_string()))
    };
    let (asker, of_all) = (asker("read_committed")?, asker("read_uncommitted")?);
    let mut by_partition: Vec<Vec<Option<Bounds>>> = Vec::new();
    for (input, topic) in topics.iter().enumerate() {
        let metadata = asker.fetch_metadata(Some(topic), DEADLINE);
        let metadata = metadata.map_err(|error| failed(&error.to_string()))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if by_partition.len() < count {
            by_partition.resize_with(count, || vec![None; topics.len()]);
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let edge = |asker, edge| {
            let asked = ask(asker, (input, topic), 0..count, edge, DEADLINE);
            asked.map_err(|reason| failed(&reason))
        };
        // First, so that what comes in between isn't thought hidden.
        let written = edge(&of_all, Offset::End)?;
        let (firsts, ends) = (edge(&asker, Offset::Beginning)?, edge(&asker, Offset::End)?);
        for (_, partition, end) in ends {
            let of = |list: &[(usize, u32, i64)]| {
                list.iter().find(|(_, of, _)| *of == partition).map(|(_, _, at)| *at)
            };
            let bounds = of(&firsts).zip(of(&written));
            by_partition[partition as usize][input] =
                bounds.map(|(first, written)| Bounds { first, end, written });
        }
    }
    Ok(by_partition)
}
