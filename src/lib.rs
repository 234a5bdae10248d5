//! Parallax watches a new model beside the one in production and says, with evidence and a known
//! error rate: roll back, hold or promote.
//!
//! ```text
//!  bytes ─▶ decode ─▶ clock ─▶ join ─▶ compare ─▶ tally ─▶ closed panes ─┐                ┌─▶ report ─▶ rules ─▶ decision ─▶ signal
//!               └────▶ vitals ───────────────────────────────────────────┼─▶ the log ─▶ evaluator
//!               Task: one per partition                                   │                └─▶ windows, reports
//!  source (adapters)                                                      └─▶ pair rows ─▶ files (adapters)
//! ```
//!
//! In: records of several input topics. Out: decisions with their evidence. Holds: a pane's result
//! is a pure function of the input logs. Knows nothing of, outside `runtime`, `adapters`
//! and `wiring`: I/O, clocks, threads.

pub mod model;
pub mod stats;

pub mod clock;
pub mod compare;
pub mod decode;
pub mod join;
pub mod tally;
pub mod vitals;

pub mod decide;
pub mod diagnose;
pub mod report;
pub mod rules;

pub mod config;
pub mod engine;
pub mod generate;

#[cfg(feature = "shell")]
pub mod adapters;
#[cfg(feature = "shell")]
pub mod runtime;
#[cfg(feature = "shell")]
pub mod wiring;
