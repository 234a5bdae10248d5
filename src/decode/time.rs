//! When a request happened, in the forms that people write.
//!
//! In: a value. Out: a time from 1970 to 2200, or what is wrong with it and what belongs there. Holds:
//! a time without an offset is never guessed. Knows nothing of: the clock.

use super::rounded;
use super::value::Value;
use crate::model::time::EventTime;

/// 2200-01-01T00:00:00Z: later times can only be mistakes.
const LATEST_US: i64 = 7_258_118_400_000_000;
/// Digits of the shortest epoch in text: shorter ones may be dates.
const EPOCH_DIGITS_MIN: usize = 9;
/// What belongs there.
const FORMS: &str =
    "write RFC 3339 with an offset, such as 2026-01-01T12:00:00Z, or an epoch in s, ms, µs or ns";

/// Reads RFC 3339 text, or an epoch whose unit its magnitude tells: below 1e11 seconds, below 1e14
/// milliseconds, below 1e17 microseconds, else nanoseconds.
pub(super) fn read(value: &Value<'_>) -> Result<EventTime, String> {
    let us = match value {
        Value::Text(text) => match of_text(text) {
            Some(us) => us,
            None => return Err(wrong_text(text)),
        },
        Value::Int(n) => of_int(*n),
        Value::Float(n) => of_float(*n),
        Value::Whole(_) => LATEST_US,
        _ => return Err(format!("event_time is {value}: {FORMS}")),
    };
    if us < 0 {
        Err(format!("event_time is {value}, before 1970: {FORMS}"))
    } else if us < LATEST_US {
        Ok(EventTime::from_us(us))
    } else {
        Err(format!("event_time is {value}, after 2199: {FORMS}"))
    }
}

fn of_text(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() < EPOCH_DIGITS_MIN || !digits(whole) || !digits(rest) {
        return None;
    }
    if rest.is_empty() {
        return whole.parse().map(of_int).ok();
    }
    text.parse().map(of_float).ok()
}

/// An epoch; what doesn't fit is too late.
const fn of_int(n: i64) -> i64 {
    match n {
        ..0 => -1,
        0..100_000_000_000 => n.saturating_mul(1_000_000),
        100_000_000_000..100_000_000_000_000 => n.saturating_mul(1_000),
        100_000_000_000_000..100_000_000_000_000_000 => n,
        _ => n / 1_000,
    }
}

fn of_float(n: f64) -> i64 {
    let factor = match n {
        ..0.0 => return -1,
        ..1e11 => 1e6,
        ..1e14 => 1e3,
        ..1e17 => 1.0,
        _ => 1e-3,
    };
    rounded(n * factor)
}

fn wrong_text(text: &str) -> String {
    let value = Value::Text(text.into());
    if text.parse::<jiff::civil::DateTime>().is_err() {
        return format!("event_time is {value}: {FORMS}");
    }
    let text: String = text.chars().take(64).collect();
    if text.contains(':') || text.contains(['T', 't']) {
        format!("event_time is {value}, which has no offset: write {text}Z or {text}+02:00")
    } else {
        format!("event_time is {value}, which has no time of day: write {text}T12:00:00Z")
    }
}
