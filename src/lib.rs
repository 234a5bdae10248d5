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
//!
//! # How to read this
//!
//! Modules are chapters, and each names the one before and after it in the life of a record:
//! [`decode`] → [`clock`] → [`vitals`], and [`join`] → [`compare`] → [`tally`], which [`engine::task`] puts in order; then
//! [`report`] → [`rules`] → [`decide`], which [`engine::evaluator`] does, with [`diagnose`] beside them. They know
//! [`model`] and [`stats`] and not each other.
//!
//! Around them [`config`] says what is to be done, `runtime` does it when it is due, `adapters` touch the world, and
//! `wiring` puts these two together. `ARCHITECTURE.md` tells the lives of a record and of a crash, `GLOSSARY.md` the words.
//!
//! # Why it is cut like this
//!
//! The core is a function: the same records in the same order of offsets give the same panes, whoever reads them, when,
//! and how often. Recovery is then *read again from here*, a second owner can't disagree with the first, and a
//! test can try forty thousand crashes in a minute. Anything that could break this (a clock, a hash map's order, a
//! thread) is kept out by the walls that `tests/it/tidy.rs` holds.

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
