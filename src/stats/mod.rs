//! Mathematics without domain words.
//!
//! In: counts, limits and error rates. Out: quantiles, intervals, distances and log evidence.
//! Holds: the same input gives the same output, states merge or advance in a stated way, and what
//! can't be known is `None` or no evidence. Knows nothing of: models, requests, rules or time.

pub mod block_min;
pub mod change_prior;
pub mod detector;
pub mod grid;
pub mod histogram;
pub mod kernel;
mod layout;
mod log_sum;
pub mod proportion;
pub mod shift;
pub mod special;
pub mod spending;
pub mod sr;
