//! Where a log is kept: in a local file, or on topics of Kafka.
//!
//! In: frames of streams. Out: the same, durable and in order. Holds: what [`crate::runtime::log`] asks of a
//! log. Knows nothing of: what entries mean.

pub mod codec;
pub mod file;
pub mod kafka;
pub mod reader;
