//! Signals of the operating system.
//!
//! In: SIGTERM, SIGINT. Out: a flag that loops look at. Holds: the first asks to leave in order, the second
//! ends at once. Knows nothing of: what leaving in order means.

use crate::runtime::stop::Stop;

/// Waits for the signals of the operating system, on the HTTP thread's runtime.
pub(super) async fn ask_to_leave(stop: Stop) {
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
        if stop.is_set() {
            end_at_once(code);
        }
        tracing::info!("Leaving in order; a second signal ends at once.");
        stop.set();
    }
}

#[expect(clippy::exit, reason = "a second signal ends at once: that is its meaning")]
fn end_at_once(code: i32) {
    std::process::exit(code);
}
