//! Where a partition begins and ends, asked until its leader answers.
//!
//! In: a topic's partition. Out: the first offset that is kept, and the high watermark. Holds: what passes by
//! itself (a leader that moves, a broker that restarts) is asked again until the deadline; anything else is
//! an error at once. Knows nothing of: why it is asked.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};

use crate::runtime::clock::{idle, monotonic};

/// How long until the same is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// First offset and high watermark.
///
/// # Errors
/// The cluster refuses, or has no leader for the partition until the deadline.
pub(in crate::adapters) fn watermarks(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    deadline: Duration,
) -> KafkaResult<(i64, i64)> {
    let begun = monotonic();
    loop {
        let left = deadline.saturating_sub(begun.elapsed()).max(PAUSE);
        match consumer.fetch_watermarks(topic, partition, left) {
            Err(error) if error.rdkafka_error_code().is_some_and(passes) => {
                if deadline <= begun.elapsed() {
                    return Err(error);
                }
            }
            answer => return answer,
        }
        idle(PAUSE);
    }
}

/// Returns whether a refusal passes by itself.
const fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::ReplicaNotAvailable
            | Code::OffsetNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
    )
}
