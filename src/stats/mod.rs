//! Mathematics without domain words.
//!
//! In: counts, limits and error rates. Out: quantiles, intervals, distances and log evidence.
//! Holds: the same input gives the same output, states merge or advance in a stated way, and what
//! can't be known is `None` or no evidence. Knows nothing of: models, requests, rules or time.
//!
//! # What is here
//!
//! Evidence: [`grid`] (a rate against its limit), [`kernel`] (two concurrent arms), [`shift_betting`], [`betting`]
//! (blocks), joined by [`block_min`], weighed over beginnings by [`change_prior`] and [`sr`], divided by
//! [`overdispersion`]. Estimates: [`histogram`], [`quantile_cs`], [`proportion`], [`onset_set`], [`attribution`]. Each cites its
//! source, and `tests/data/stat-cases*.json` holds cases that were computed elsewhere.

pub mod attribution;
pub mod betting;
pub mod block_min;
pub mod change_prior;
pub mod detector;
pub mod ebh;
pub mod grid;
pub mod histogram;
pub mod kernel;
mod layout;
mod log_sum;
pub mod onset_set;
pub mod overdispersion;
pub mod proportion;
pub mod quantile_cs;
pub mod shift;
pub mod shift_betting;
pub mod special;
pub mod spending;
pub mod sr;
pub mod tempered;
