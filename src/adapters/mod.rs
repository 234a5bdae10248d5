//! Everything that touches the world: Kafka, logs, files, tables, HTTP, metrics.
//!
//! In: what the engine asks of the world. Out: what the world answers. Holds: what couldn't be done is an error
//! with its cause and its cure. Knows nothing of: how results come about, or what happens when.

pub mod files;
pub mod generate;
pub mod http;
pub mod kafka;
pub mod log;
pub mod metrics;
pub mod output;
mod signals;
pub mod sinks;
pub mod tables;
