//! Event time and spans of it.
//!
//! In: microseconds. Out: ordered times, panes and spans. Holds: arithmetic saturates, so no time
//! stamp from the wire can overflow. Knows nothing of: wall clocks, calendars.

use serde::{Deserialize, Serialize};

/// When a request happened, in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventTime {
    us: i64,
}

impl Default for EventTime {
    fn default() -> Self {
        Self::START
    }
}

impl EventTime {
    /// Before every record: the running max of a partition that has shown nothing yet.
    pub const START: Self = Self { us: i64::MIN };
    /// After every record.
    pub const END: Self = Self { us: i64::MAX };

    /// Takes microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_us(us: i64) -> Self {
        Self { us }
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn us(self) -> i64 {
        self.us
    }

    /// The time `span` later.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self { us: self.us.saturating_add(span.us) }
    }

    /// The time `span` earlier.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self { us: self.us.saturating_sub(span.us) }
    }

    /// Returns how long after `earlier` this is; zero if it isn't.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        let us = self.us.saturating_sub(earlier.us);
        Span { us: if us < 0 { 0 } else { us } }
    }

    /// The start of the span of length `size` that holds this time; `START` stays `START`.
    #[must_use]
    pub const fn floor(self, size: Span) -> Self {
        if self.us == i64::MIN {
            return self;
        }
        Self { us: self.us.div_euclid(size.us).saturating_mul(size.us) }
    }

    /// The first multiple of `size` at or after this time.
    #[must_use]
    pub const fn ceil(self, size: Span) -> Self {
        let floor = self.floor(size);
        if floor.us == self.us { floor } else { floor.plus(size) }
    }
}

/// A day, UTC: rows of one file belong to one.
pub const DAY: Span = Span::from_secs(86_400);

/// A length of event time in microseconds, zero or more.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Span {
    us: i64,
}

/// In the largest unit that divides it: 365d, 5m, 250ms.
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = self.us();
        let units = [
            (86_400_000_000, "d"),
            (3_600_000_000, "h"),
            (60_000_000, "m"),
            (1_000_000, "s"),
            (1_000, "ms"),
        ];
        match units.into_iter().find(|(unit, _)| us != 0 && us % unit == 0) {
            Some((unit, name)) => write!(f, "{}{name}", us / unit),
            None => write!(f, "{us}us"),
        }
    }
}

impl Span {
    /// Returns how long it is, as people say it: 640 ms, 1.2 s, 41 s, 3 h 20 min.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "below ten seconds")]
    pub fn roughly(self) -> String {
        let seconds = self.us() / 1_000_000;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        let both = |many: i64, unit: &str, few: i64, below: &str| match few {
            0 => format!("{many} {unit}"),
            few => format!("{many} {unit} {few} {below}"),
        };
        match (days, hours, minutes) {
            (0, 0, 0) if seconds == 0 => format!("{} ms", self.us() / 1_000),
            (0, 0, 0) if seconds < 10 && self.us() % 1_000_000 != 0 => {
                format!("{:.1} s", self.us() as f64 / 1e6)
            }
            (0, 0, 0) => format!("{seconds} s"),
            (0, 0, minutes) => both(minutes, "min", seconds % 60, "s"),
            (0, hours, minutes) => both(hours, "h", minutes, "min"),
            (days, hours, _) => both(days, "d", hours, "h"),
        }
    }

    /// Nothing.
    pub const ZERO: Self = Self { us: 0 };

    /// Takes microseconds; negative ones count as zero.
    #[must_use]
    pub const fn from_us(us: i64) -> Self {
        Self { us: if us < 0 { 0 } else { us } }
    }

    /// Takes whole seconds; negative ones count as zero.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self::from_us(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds.
    #[must_use]
    pub const fn us(self) -> i64 {
        self.us
    }

    /// Seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53 µs")]
    pub const fn as_secs(self) -> f64 {
        self.us as f64 / 1e6
    }

    /// This span `factor` times.
    #[must_use]
    pub const fn times(self, factor: i64) -> Self {
        Self::from_us(self.us.saturating_mul(factor))
    }

    /// Half of this span.
    #[must_use]
    pub const fn half(self) -> Self {
        Self { us: self.us / 2 }
    }

    /// Both spans one after the other.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { us: self.us.saturating_add(other.us) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_towards_the_past_on_both_sides_of_the_epoch() {
        let ten = Span::from_us(10);
        assert_eq!(EventTime::from_us(-1).floor(ten), EventTime::from_us(-10));
        assert_eq!(EventTime::from_us(19).floor(ten), EventTime::from_us(10));
        assert_eq!(EventTime::from_us(20).ceil(ten), EventTime::from_us(20));
        assert_eq!(EventTime::from_us(21).ceil(ten), EventTime::from_us(30));
        assert_eq!(EventTime::START.floor(ten), EventTime::START);
        assert_eq!(EventTime::START.minus(ten), EventTime::START);
    }
}
