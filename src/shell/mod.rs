//! Everything that touches the world: clocks, files, Kafka, HTTP, threads.
//!
//! In: a pipeline. Out: the engine fed and its effects carried out. Holds: a side effect happens only
//! after the entry that names it was read back. Knows nothing of: how results come about.

pub mod ask;
pub mod assemble;
pub mod clock;
pub mod driver;
pub mod files;
pub mod follow;
pub mod generate;
pub mod http;
pub mod kafka;
pub mod live;
pub mod log;
pub mod meeting;
pub mod metrics;
pub mod output;
pub mod published;
pub mod replay;
mod retiming;
pub mod routed;
pub mod sink;
pub mod source;
pub mod stop;
pub mod survey;
pub mod tables;
pub mod told;
mod transactions;
pub mod workers;
