//! The order of the stages: the only module that knows it.
//!
//! In: everything that can happen to a task or the evaluator. Out: everything they ask of the world.
//! Holds: `handle` can't fail or block; the same inputs give the same effects, byte for byte; time
//! is an argument. Knows nothing of: Kafka, files, threads.

mod closing;
mod effect;
mod heartbeat;
mod inlet;
mod losing;
mod parking;
mod recover;
mod retiming;
mod rows;
mod status;
mod task;

pub mod evaluator;

pub use effect::{DeadLetter, Differs, Effect, Input};
pub use recover::{Epoch, Frame, valid};
pub use status::{ComparisonStatus, InputStatus, ReadAgain, TaskStatus};
pub use task::Task;
