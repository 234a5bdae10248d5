//! Kafka: sources, producers, the embedded broker of the demo.
//!
//! In: an endpoint. Out: records, acknowledged messages. Holds: positions are the engine's, never the
//! group's; a secret is never part of a message. Knows nothing of: what records mean.

pub mod admin;
mod batch;
pub mod bounds;
mod client;
mod describe;
mod ends;
pub mod membership;
pub mod mock;
pub mod outlets;
pub mod partitioner;
pub mod producer;
pub mod routed;
pub mod sample;
mod sole_owner;
pub mod source;
mod watermarks;

pub use client::client_config;
pub(super) use client::{connect_error, reader_config};
pub(super) use watermarks::watermarks;
