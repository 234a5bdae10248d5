//! The one place that reads a clock.
//!
//! In: nothing. Out: host time as event time. Holds: a scaled clock runs evenly from its start, so
//! that a demo's hours fit a minute. Knows nothing of: who asks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::time::{EventTime, Span};

/// Host time.
#[derive(Clone, Copy, Debug)]
pub enum HostClock {
    /// The machine's own.
    Real,
    /// A clock that began at `start` when `begun` and runs `speed` times as fast.
    Scaled {
        /// Its time at the beginning.
        start: EventTime,
        /// When it began.
        begun: Instant,
        /// Seconds of its time per second.
        speed: f64,
        /// It doesn't run further than `SLACK` beyond this, in microseconds: a producer that shares the
        /// machine may be late, and what it hasn't sent yet hasn't happened.
        sent: Option<&'static AtomicI64>,
    },
}

/// How far a scaled clock may run ahead of what was sent.
const SLACK: Span = Span::from_secs(5);

impl HostClock {
    /// A scaled clock that begins now.
    #[must_use]
    pub fn scaled(start: EventTime, speed: f64) -> Self {
        Self::Scaled { start, begun: monotonic(), speed, sent: None }
    }

    /// The same clock, held back by what was sent.
    #[must_use]
    pub const fn behind(self, sent: &'static AtomicI64) -> Self {
        match self {
            Self::Real => self,
            Self::Scaled { start, begun, speed, .. } => {
                Self::Scaled { start, begun, speed, sent: Some(sent) }
            }
        }
    }

    /// Its time now.
    #[must_use]
    pub fn now(&self) -> EventTime {
        match self {
            Self::Real => real(),
            Self::Scaled { start, begun, speed, sent } => {
                #[expect(clippy::cast_possible_truncation, reason = "a demo lasts minutes")]
                let us = (begun.elapsed().as_secs_f64() * speed * 1e6) as i64;
                let now = EventTime::from_us(start.us().saturating_add(us));
                let sent = sent.map(|sent| EventTime::from_us(sent.load(Ordering::Relaxed)));
                sent.map_or(now, |sent| now.min(sent.plus(SLACK)))
            }
        }
    }

    /// Returns how far it has gone from where it should be since `since`, which it showed at `at`: a host's
    /// clock that was stepped.
    #[must_use]
    pub fn stepped(&self, (since, at): (EventTime, Instant)) -> Span {
        if matches!(self, Self::Scaled { .. }) {
            return Span::ZERO;
        }
        let elapsed = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        let (expected, now) = (since.plus(Span::from_us(elapsed)), self.now());
        now.since(expected).max(expected.since(now))
    }

    /// Returns how long until it shows `time`, at most `most`.
    #[must_use]
    pub fn until(&self, time: EventTime, most: Duration) -> Duration {
        let speed = match self {
            Self::Real => 1.0,
            Self::Scaled { speed, .. } => *speed,
        };
        Duration::from_secs_f64(time.since(self.now()).as_secs() / speed).min(most)
    }
}

/// A point of the monotonic clock, for durations and deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits while there is nothing to read: the source has no way to wake the engine.
#[expect(clippy::disallowed_methods, reason = "the one place that waits for data")]
pub fn idle(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "the one clock")]
fn real() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::from_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
