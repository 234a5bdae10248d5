//! Topics that a run writes to and doesn't make: the control topic and the one for dead letters.
//!
//! In: an endpoint, topics with what they are for. Out: nothing, or which one is missing or refuses, and the
//! cure. Holds: found at the start, before anything is read, and not when the first signal is due; a broker
//! that makes topics by itself gets the time to; what can't be told stops nothing. Knows nothing of: messages.

use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::{client_config, connect_error};
use super::describe::{Rights, Topic, describe};
use crate::config::endpoint::{Endpoints, KafkaEndpoint};
use crate::runtime::clock::{idle, monotonic};
use crate::runtime::source::SourceError;

/// How long the cluster may take to answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long a broker may take to make a topic by itself (`auto.create.topics.enable`).
const MAKES: Duration = Duration::from_secs(2);
/// How long until the same is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks whether a pipeline's topics to write to are there, and may be written to.
///
/// # Errors
/// One is missing or refuses, or the cluster doesn't answer.
pub fn check_outlets(endpoint: &KafkaEndpoint, endpoints: &Endpoints) -> Result<(), SourceError> {
    let outlets = [
        (&endpoints.control_topic, "control", "signals"),
        (&endpoints.dead_letter_topic, "dead_letters", "records that can't be read"),
    ];
    let outlets: Vec<_> = outlets
        .into_iter()
        .filter_map(|(topic, section, what)| Some((topic.as_deref()?, section, what)))
        .collect();
    if outlets.is_empty() {
        return Ok(());
    }
    let failed = |error: KafkaError| connect_error(endpoint, &error.to_string());
    // A producer: the client that a broker makes topics for, if it does.
    let asker: BaseProducer = client_config(endpoint, "outlets").create().map_err(failed)?;
    for (topic, section, what) in outlets {
        let refused = |why: &str, cure: &str| SourceError::Outlet {
            topic: topic.to_owned(),
            what: what.to_owned(),
            reason: format!("{why} on {}; {cure}", endpoint.brokers),
        };
        match standing(asker.client(), topic).map_err(failed)? {
            OutletState::Fine => {}
            OutletState::Missing => {
                return Err(refused(
                    "it doesn't exist",
                    &format!(
                        "create it (`kafka-topics.sh --create --topic {topic}`; one partition will do), or correct the \
                         pipeline's `{section}: {{topic: …}}`"
                    ),
                ));
            }
            OutletState::Refuses => {
                let cure =
                    "give this user WRITE and DESCRIBE on it, and start again: nothing is lost";
                return Err(refused("this user may not write to it", cure));
            }
        }
    }
    Ok(())
}

/// How a topic stands.
enum OutletState {
    /// It is there, and nothing is known against it.
    Fine,
    Missing,
    Refuses,
}

fn standing(
    client: &Client<DefaultProducerContext>,
    topic: &str,
) -> Result<OutletState, KafkaError> {
    let end = monotonic() + MAKES;
    loop {
        let metadata = client.fetch_metadata(Some(topic), DEADLINE)?;
        match metadata.topics().first().map(|topic| (topic.error(), topic.partitions().len())) {
            Some((Some(Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), _)) => {
                return Ok(OutletState::Refuses);
            }
            Some((None, 1..)) => break,
            Some(_) | None if monotonic() < end => idle(PAUSE),
            None | Some((Some(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) | None, _)) => {
                return Ok(OutletState::Missing);
            }
            // There, and without a leader now: that is waited for when something is to be sent.
            Some(_) => break,
        }
    }
    let described = describe(client, &[topic.to_owned()], DEADLINE, Rights::Asked);
    let described = described.and_then(|topics| topics.first().copied());
    Ok(match described {
        Some(Topic::Here { writable: Some(false), .. }) => OutletState::Refuses,
        _ => OutletState::Fine,
    })
}
