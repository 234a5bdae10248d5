//! The order of the stages: the only module that knows it.
//!
//! In: everything that can happen to a task or the evaluator. Out: everything they ask of the world.
//! Holds: `handle` can't fail or block; the same inputs give the same effects, byte for byte; time
//! is an argument. Knows nothing of: Kafka, files, threads.

pub mod evaluator;
pub mod task;

pub use task::{
    ComparisonStatus, DeadLetter, Differs, Effect, Epoch, Frame, Input, InputStatus, ReadAgain,
    Task, TaskStatus, valid,
};
