//! The one integration test binary; `tidy` checks that every file beside this one is listed.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests stop at what they don't expect"
)]

mod changes;
#[cfg(feature = "shell")]
mod changes_of_log;
#[cfg(feature = "shell")]
mod cli;
mod config;
mod loss;
#[cfg(feature = "shell")]
mod measures;
mod parking;
mod recovery;
mod retiming;
#[cfg(feature = "shell")]
mod routed;
mod scenario;
mod schemas;
#[cfg(feature = "shell")]
mod simulator;
mod stat_cases;
#[cfg(feature = "shell")]
mod status;
mod tidy;
mod vitals;
#[cfg(feature = "shell")]
mod workers;
mod world;
