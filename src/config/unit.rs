//! Durations and shares as people write them.
//!
//! In: text. Out: numbers with units. Holds: a bare number is refused, because its unit is a guess.
//! Knows nothing of: which field it is.

use crate::model::time::Span;
use crate::rules::grammar;

/// Reads `10s`, `5m`, `250ms`, `1h30m`, `365d`.
pub(super) fn duration(text: &str) -> Result<Span, String> {
    match grammar::duration(text) {
        Some(span) => Ok(span),
        None if text.parse::<f64>().is_ok() => {
            Err(format!("a bare number has no unit: write `{text}s`"))
        }
        None => Err("write a duration such as `10s`, `5m` or `250ms`".to_owned()),
    }
}

/// Reads `5%` as 0.05; 0 % to 100 %.
pub(super) fn share(text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .and_then(|percent| percent.trim().parse::<f64>().ok())
        .map(|percent| percent / 100.0)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "write a percentage from 0% to 100%, such as `1%`".to_owned())
}
