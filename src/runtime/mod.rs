//! Runs the engine: loops, threads, the host's clock, what happens when.
//!
//! In: a pipeline, its inputs and a log. Out: the engine fed and its effects carried out. Holds: a side effect
//! happens only after the entry that names it was read back. Knows nothing of: how results come about.

pub mod clock;
pub mod counters;
pub mod driver;
pub mod end_barrier;
mod evaluator_host;
pub mod follow;
pub mod inspect;
pub mod live;
pub mod log;
pub mod log_reader;
mod ports;
pub mod replay;
pub mod snapshot;
pub mod source;
pub mod stop;
mod task_host;
mod tempo_ack;
mod tempo_change;
pub mod told;
mod transactions;
pub mod workers;
