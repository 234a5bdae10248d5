//! The nouns that flow between stages.
//!
//! In: nothing. Out: plain types. Holds: no logic beyond constructors and merges; merging is exact,
//! associative and commutative. Knows nothing of: bytes, Kafka, files, clocks.
//!
//! # Why so little happens here
//!
//! Every stage knows these types and no other stage, so whatever two stages share lies here or not at all.
//! Merges are exact and don't mind the order, since panes of many partitions come in any order. [`entry`] holds what is
//! written to the log: there a new kind is always added last, and nothing is ever renamed or taken away.

pub mod arm;
pub mod bucket;
pub mod cluster;
pub mod entry;
pub mod feeds;
pub mod finding;
pub mod key;
pub mod loss;
pub mod notice;
pub mod observation;
pub mod record;
pub mod resume;
pub mod row;
pub mod rule;
pub mod signal;
pub mod spec;
pub mod tally;
pub mod time;
pub mod times;
