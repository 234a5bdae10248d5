//! Runs the engine: loops, threads, the host's clock, what happens when.
//!
//! In: a pipeline, its inputs and a log. Out: the engine fed and its effects carried out. Holds: a side effect
//! happens only after the entry that names it was read back. Knows nothing of: how results come about.
//!
//! # Its parts
//!
//! [`live`] is the loop of a run, [`replay`] that of files, [`follow`] that of a recorded run; [`workers`] runs several
//! loops in one process, which meet at the [`end_barrier`]. The [`driver`] carries out what tasks and the evaluator
//! ask for, through ports; [`log`] and [`source`] are the two largest of these. [`inspect`] and [`told`] say how a pipeline
//! stands for those who own nothing of it.
//!
//! # Why ports
//!
//! The simulator gives the same driver a log that tears, a disk that is full and a group that takes its partitions away
//! at any step. So what is tried there is what runs, and a new broker, store or sink is a file in `adapters` that no loop
//! knows of.

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
