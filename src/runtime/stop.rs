//! Asked to leave?
//!
//! In: whoever asks. Out: a flag that loops look at. Holds: what was asked isn't taken back. Knows nothing of:
//! signals of the operating system, what leaving in order means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asked to leave?
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Returns whether to leave.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks to leave.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
