//! Rules: claims about the candidate that must be shown before they act.
//!
//! In: rule texts; looks at vitals and panes. Out: parsed rules, findings with their evidence. Holds:
//! no rule acts on a bare threshold; NaN, silence and too little data are undecided, never a pass.
//! Knows nothing of: what a finding leads to.
//!
//! # Place in a pane's life
//!
//! After [`crate::report`], and for each second of vitals. What a rule has shown goes to [`crate::decide`]; what keeps
//! it from seeing anything is told by [`crate::diagnose`].
//!
//! # How a rule is built
//!
//! [`grammar`] reads the user's words. [`look`] counts what a second or a pane holds for a metric, for an arm and a
//! segment. A [`watch::Watch`] is one rule on one basis in one rollout: it adds each look to its evidence, keeps the last
//! looks to say since when and where, and is shown once its evidence crosses one of two thresholds. [`budget`] allots the
//! stated errors to all watches of an action, also where rules change while they run.
//!
//! # Why evidence and not a threshold
//!
//! A candidate with 1 % errors at ten requests a second crosses 5 % by chance within a minute, if it is looked at each
//! second. An e-value is a bet against "nothing is wrong" that can't be expected to win if nothing is: however often one
//! looks and whenever one stops, it exceeds 1/α with a chance of at most α. `docs/statistics.md` has the formulas.

pub mod answering;
pub mod budget;
mod clusters;
mod evidence;
pub mod grammar;
mod history;
mod keyed;
pub mod look;
mod observed;
mod reference;
mod shift;
mod sight;
pub mod watch;
