//! The one integration test binary; `tidy` checks that every file beside this one is listed.

mod scenario;
mod stat_cases;
mod world;
