//! Everything that touches the world: Kafka, logs, files, tables, HTTP, metrics.
//!
//! In: what the engine asks of the world. Out: what the world answers. Holds: what couldn't be done is an error
//! with its cause and its cure. Knows nothing of: how results come about, or what happens when.
//!
//! # Where what is
//!
//! [`kafka`] has the inputs, the group and the producers; [`log`] keeps the log in a file or on topics; [`files`] reads what
//! `replay` is given; [`tables`] writes Parquet and merges it; [`sinks`] takes signals and dead letters; [`http`] and
//! [`metrics`] say what the process says of itself; [`generate`] sends traffic.
//!
//! # What every adapter owes
//!
//! A bounded wait and a bounded queue; an answer to "full" that is counted; an error that says what, where, why and
//! how to mend it; no secret in any of them. What a port promises, such as frames in order or a file that is whole or not
//! there, the adapter's own tests hold.

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
