//! Sums and means of numbers that are held as logarithms.
//!
//! In: natural logarithms, −∞ among them. Out: logarithms, at least [`LOG_E_MIN`] and never NaN.
//! Holds: the highest term is taken out before anything is raised, so nothing overflows. A floor of
//! exp(−745) adds at most that much to an expectation per look. Knows nothing of: what is summed.

use super::grid::LOG_E_MIN;

/// Returns ln(exp(a) + exp(b)).
pub(super) fn log_add_exp(a: f64, b: f64) -> f64 {
    let (high, low) = if a < b { (b, a) } else { (a, b) };
    if !high.is_finite() || low.is_nan() {
        return kept(high);
    }
    kept(high + (low - high).exp().ln_1p())
}

/// Returns ln(Σ exp(vᵢ) / n) of any number of values; the least log evidence of none.
pub(super) fn log_mean<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let (mut highest, mut count) = (f64::NEG_INFINITY, 0.0);
    for value in values.clone() {
        highest = highest.max(*value);
        count += 1.0;
    }
    if !highest.is_finite() {
        return kept(highest);
    }
    let sum: f64 = values.map(|value| (value - highest).exp()).sum();
    kept(highest + (sum / count).ln())
}

/// Returns a logarithm as a state keeps it: finite, at least [`LOG_E_MIN`], NaN as that least.
pub(super) fn kept(log: f64) -> f64 {
    // Not `clamp`: what is no number is the least.
    if log.is_nan() { LOG_E_MIN } else { log.clamp(LOG_E_MIN, f64::MAX) }
}

/// Says whether these increments are evidence: neither NaN nor +∞ is. −∞ rules a grid point out.
pub(super) fn is_evidence(increment: &[f64]) -> bool {
    !increment.iter().any(|value| value.is_nan() || *value == f64::INFINITY)
}

/// Says whether an increment has a value for each point of a state, which takes its points from the first.
pub(super) fn fits(state: &mut Vec<f64>, increment: &[f64], begin: f64) -> bool {
    if state.is_empty() {
        state.resize(increment.len(), begin);
    }
    state.len() == increment.len()
}

#[cfg(test)]
mod tests {
    use super::{fits, is_evidence, kept, log_add_exp, log_mean};
    use crate::stats::grid::LOG_E_MIN;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn sums_and_means() {
        close(log_add_exp(3.0_f64.ln(), 4.0_f64.ln()), 7.0_f64.ln());
        close(log_add_exp(1e9, 0.0), 1e9);
        close(log_add_exp(f64::NEG_INFINITY, 2.0), 2.0);
        close(log_add_exp(LOG_E_MIN, 0.0), 0.0);
        close(log_add_exp(f64::NEG_INFINITY, f64::NEG_INFINITY), LOG_E_MIN);
        close(log_mean([1e9, 1e9].iter()), 1e9);
        close(log_mean([0.0, 3.0_f64.ln()].iter()), 2.0_f64.ln());
        close(log_mean([].iter()), LOG_E_MIN);
        close(kept(f64::NAN), LOG_E_MIN);
        assert!(kept(f64::INFINITY).is_finite());
    }

    #[test]
    fn the_first_increment_says_how_many_points_there_are() {
        let mut state = Vec::new();
        assert!(fits(&mut state, &[1.0; 9], LOG_E_MIN));
        assert_eq!(state, [LOG_E_MIN; 9]);
        assert!(!fits(&mut state, &[1.0; 7], LOG_E_MIN));
        assert_eq!(state, [LOG_E_MIN; 9]);
    }

    #[test]
    fn what_is_no_evidence() {
        assert!(is_evidence(&[f64::NEG_INFINITY; 7]));
        assert!(!is_evidence(&[0.0, 0.0, f64::NAN, 0.0, 0.0, 0.0, 0.0]));
        assert!(!is_evidence(&[0.0, 0.0, f64::INFINITY, 0.0, 0.0, 0.0, 0.0]));
    }
}
