//! The order of the stages: the only module that knows it.
//!
//! In: everything that can happen to a task or the evaluator. Out: everything they ask of the world.
//! Holds: `handle` can't fail or block; the same inputs give the same effects, byte for byte; time
//! is an argument. Knows nothing of: Kafka, files, threads.
//!
//! # Two machines
//!
//! A [`Task`] owns one partition of all inputs, and turns records into entries of its log. The
//! [`evaluator::Evaluator`] owns none, reads all tasks' logs, and turns entries into decisions. Both are state machines:
//! something is handed in by `handle`, what they ask of the world is polled, and in between they touch nothing. So the
//! runtime that carries it out, the simulator and a replay run the same code.
//!
//! # Why through a log
//!
//! Between the two lies a log, also where both run in one process. What a task says is read back before it counts, and so
//! is what the evaluator is about to weigh. Whoever comes after a crash finds what counted, in its order, and
//! nothing else.

pub mod evaluator;
pub mod task;

pub use task::{
    ComparisonStatus, DeadLetter, Differs, Effect, Epoch, Frame, Input, InputStatus, ReadAgain,
    Task, TaskStatus, valid,
};
