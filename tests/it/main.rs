//! The one integration test binary; `tidy` checks that every file beside this one is listed.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests stop at what they don't expect"
)]
#![cfg_attr(
    not(feature = "shell"),
    expect(dead_code, reason = "some of what tests share is used by the tests of both wings only")
)]

mod ages;
#[cfg(feature = "shell")]
mod cases;
mod changes;
#[cfg(feature = "shell")]
mod changes_of_log;
#[cfg(feature = "shell")]
mod cli;
mod clusters;
mod config;
mod loss;
#[cfg(feature = "shell")]
mod measures;
mod missing;
mod parking;
mod promises;
mod recovery;
mod retiming;
#[cfg(feature = "shell")]
mod routed;
mod scenario;
#[cfg(feature = "shell")]
mod schemas;
#[cfg(feature = "shell")]
mod simulator;
mod stat_case;
mod stat_cases;
mod stat_cases_2;
#[cfg(feature = "shell")]
mod status;
mod tidy;
mod versions;
mod vitals;
#[cfg(feature = "shell")]
mod workers;
mod world;
