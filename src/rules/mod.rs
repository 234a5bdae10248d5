//! Rules: claims about the candidate that must be shown before they act.
//!
//! In: rule texts; looks at vitals and panes. Out: parsed rules, findings with their evidence. Holds:
//! no rule acts on a bare threshold; NaN, silence and too little data are undecided, never a pass.
//! Knows nothing of: what a finding leads to.

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
