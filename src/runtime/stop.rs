//! Signals from the operating system.
//!
//! In: SIGTERM, SIGINT. Out: a flag that the loop looks at. Holds: the first asks to leave in order,
//! the second ends at once. Knows nothing of: what leaving in order means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asked to leave?
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to leave.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks to leave.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Waits for the signals of the operating system, on the HTTP thread's runtime.
    pub async fn on_signals(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::warn!("Signals of the operating system can't be caught.");
            return;
        };
        loop {
            let code = tokio::select! {
                _ = term.recv() => 143,
                _ = int.recv() => 130,
            };
            if self.is_set() {
                end_at_once(code);
            }
            tracing::info!("Leaving in order; a second signal ends at once.");
            self.set();
        }
    }
}

#[expect(clippy::exit, reason = "a second signal ends at once: that is its meaning")]
fn end_at_once(code: i32) {
    std::process::exit(code);
}
