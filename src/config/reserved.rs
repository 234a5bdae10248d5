//! Kafka properties that the engine owns.
//!
//! In: nothing. Out: names and reasons. Holds: every one of them would break recovery or the clock
//! if it were set otherwise. Knows nothing of: librdkafka.

/// Properties that can't be set, each with the reason.
pub const OWNED: &[(&str, &str)] = &[
    ("auto.offset.reset", "a lost offset must stop the job, not skip records"),
    ("bootstrap.servers", "it is `kafka.brokers`"),
    ("client.id", "the engine names its clients"),
    ("enable.auto.commit", "offsets are committed for lag monitors only, after the log"),
    ("enable.auto.offset.store", "positions are kept in the log"),
    ("enable.idempotence", "a signal that is sent again must not be doubled"),
    ("enable.partition.eof", "together with batch reads it loses messages"),
    ("fetch.queue.backoff.ms", "its default stalls a consumer for a second"),
    ("group.id", "it is `kafka.group`"),
    ("group.instance.id", "it is `kafka.instance`, one per thread"),
    ("partition.assignment.strategy", "partitions of all inputs must lie together"),
    ("session.timeout.ms", "it is `kafka.session`"),
    (
        "isolation.level",
        "only committed records are read, and the end is that of everything written",
    ),
    ("acks", "a signal is sent when all replicas have it"),
];
