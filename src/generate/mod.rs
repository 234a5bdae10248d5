//! Seeded traffic of a model and its candidates, with faults to order.
//!
//! In: a scenario. Out: records in order of arrival, and what was injected. Holds: the same seed
//! gives the same bytes; a request lies in the same partition of every topic; memory is bounded by
//! the longest delay. Knows nothing of: Kafka, files.

pub mod demo;
mod partition;
mod payload;
mod rng;
pub mod scenario;
mod traffic;

pub use partition::murmur2;
pub use scenario::{Fault, Faults, Scenario, Where};
pub use traffic::{Arrival, Manifest, Traffic};
