//! Who owns which partitions, as the consumer group hands them out.
//!
//! In: an endpoint, topics. Out: changes of the assignment. Holds: partition *i* of all inputs lies
//! together (range over all of them, equal counts); the group decides only who reads, the log decides
//! what counts; records are fetched by another client. Knows nothing of: tasks.
//!
//! The group's own assignment stays empty: a rebalance then moves no fetch position, and a client that
//! lost its partitions can't return a record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::{connect_error, reader_config};
use super::routed::by_partition;
use super::sole_owner::{Refused, SoleOwner};
use crate::config::endpoint::KafkaEndpoint;
use crate::model::feeds::Feeds;
use crate::runtime::clock::monotonic;
use crate::runtime::driver::{Change, Group};
use crate::runtime::source::SourceError;

/// A member of the pipeline's group.
pub struct Membership {
    endpoint: KafkaEndpoint,
    consumer: BaseConsumer<Changes>,
    changes: Changes,
    topics: Vec<String>,
    feeds: Feeds,
    /// One process reads everything.
    alone: Option<SoleOwner>,
}

/// What the callback saw, in order.
#[derive(Clone, Debug, Default)]
struct Changes(Arc<Mutex<VecDeque<Seen>>>);

/// The (topic, partition)s that were handed out; `None` when they were taken away.
type Seen = Option<Vec<(String, i32)>>;

impl ClientContext for Changes {}

impl ConsumerContext for Changes {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: Code, list: &mut TopicPartitionList) {
        let change = if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let elements = list.elements();
            Some(elements.iter().map(|e| (e.topic().to_owned(), e.partition())).collect())
        } else {
            None
        };
        // Acknowledged either way; nothing is fetched through this client.
        let acknowledged = match change {
            Some(_) => consumer.assign(&TopicPartitionList::new()),
            None => consumer.unassign(),
        };
        if let Err(error) = acknowledged {
            tracing::warn!(%error, "A rebalance couldn't be acknowledged; the group will try again.");
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

/// Returns how to mend what no further attempt would.
fn refusal(error: &KafkaError) -> Option<&'static str> {
    Some(match error.rdkafka_error_code()? {
        RDKafkaErrorCode::InvalidSessionTimeout => {
            "choose `kafka.session` between the broker's group.min.session.timeout.ms (6s, unless it was \
             changed) and group.max.session.timeout.ms"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            "give this user READ on the group, or choose another `kafka.group`"
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            "give this user READ and DESCRIBE on the input topics"
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "other programs use this group with another assignor: choose another `kafka.group`"
        }
        RDKafkaErrorCode::FencedInstanceId => {
            "another process runs under the same `kafka.instance`: each needs its own"
        }
        _ => return None,
    })
}

impl Membership {
    /// Joins the group.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn join(
        endpoint: &KafkaEndpoint,
        topics: &[String],
        feeds: &Feeds,
        thread: usize,
    ) -> Result<Self, SourceError> {
        let changes = Changes::default();
        let failed = |error: KafkaError| connect_error(endpoint, &error.to_string());
        let mut config = reader_config(endpoint, "member");
        config
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", endpoint.session_ms.to_string())
            .set("heartbeat.interval.ms", (endpoint.session_ms / 5).clamp(300, 3000).to_string())
            .set("max.poll.interval.ms", (endpoint.session_ms * 3).max(60_000).to_string())
            .set("auto.offset.reset", "error");
        if let Some(instance) = &endpoint.instance {
            config.set("group.instance.id", format!("{instance}-{thread}"));
        }
        let consumer: BaseConsumer<Changes> =
            config.create_with_context(changes.clone()).map_err(failed)?;
        // All inputs together are task 0, which one process owns.
        let alone = || {
            let session = Duration::from_millis(endpoint.session_ms.unsigned_abs());
            SoleOwner::new(feeds.partitions().iter().sum(), session)
        };
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(failed)?;
        Ok(Self {
            endpoint: endpoint.clone(),
            consumer,
            changes,
            topics: topics.to_vec(),
            feeds: feeds.clone(),
            alone: feeds.is_routed().then(alone),
        })
    }

    /// Partitions that were handed out for all inputs.
    fn together(&self, list: &[(String, i32)]) -> Result<Vec<u32>, SourceError> {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for (_, partition) in list {
            *counts.entry(u32::try_from(*partition).unwrap_or(u32::MAX)).or_default() += 1;
        }
        match counts.iter().find(|(_, count)| **count != self.topics.len()) {
            Some((partition, count)) => Err(SourceError::Topics(format!(
                "the group {} handed out partition {partition} of only {count} of the {} inputs; another program \
                 uses this group, members read other topics, or partitions were added to one of them: give this pipeline a \
                 `kafka.group` of its own, and the inputs equal partition counts",
                self.endpoint.group,
                self.topics.len()
            ))),
            None => Ok(counts.into_keys().collect()),
        }
    }
}

impl Group for Membership {
    fn poll(&mut self, holds: bool) -> Result<Option<Change>, SourceError> {
        match self.consumer.poll(Duration::ZERO) {
            Some(Err(error)) if super::source::is_fatal(&error) => {
                return Err(connect_error(&self.endpoint, &error.to_string()));
            }
            Some(Err(error)) if refusal(&error).is_some() => {
                let cure = refusal(&error).unwrap_or_default();
                return Err(SourceError::Topics(format!(
                    "the group {} refuses this member: {error}; {cure}",
                    self.endpoint.group
                )));
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "The group's client reports a problem; it goes on by itself.");
            }
            Some(Ok(_)) | None => {}
        }
        let change = self.changes.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(alone) = &mut self.alone {
            if let Some(list) = change {
                alone.see(list.as_deref().map(|list| {
                    (
                        list.len(),
                        self.topics.first().is_some_and(|first| {
                            list.iter().any(|(topic, partition)| topic == first && *partition == 0)
                        }),
                    )
                }));
            }
            return alone.ask(holds, monotonic()).map_err(|Refused| SourceError::NotAlone);
        }
        match change {
            None => Ok(None),
            Some(None) => Ok(Some(Change::Revoked)),
            Some(Some(list)) => self.together(&list).map(|list| Some(Change::Assigned(list))),
        }
    }

    fn commit(&mut self, positions: &[(usize, u32, i64)]) {
        let mut list = TopicPartitionList::new();
        let positions = by_partition(&self.feeds, positions);
        for (input, partition, position) in positions.iter().filter(|(_, _, at)| 0 < *at) {
            let number = i32::try_from(*partition).unwrap_or(i32::MAX);
            let offset = Offset::Offset(*position);
            drop(list.add_partition_offset(&self.topics[*input], number, offset));
        }
        if list.count() != 0 {
            drop(self.consumer.commit(&list, CommitMode::Async));
        }
    }
}
