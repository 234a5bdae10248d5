//! Numbers that are close enough.
//!
//! In: two finite numbers and the tolerance. Out: whether they are close. Holds: symmetric, like
//! Python's `math.isclose`; NumPy's `allclose` isn't. Knows nothing of: units.

/// |a − b| ≤ max(relative × max(|a|, |b|), absolute).
pub(super) fn agree(a: f64, b: f64, absolute: f64, relative: f64) -> bool {
    (a - b).abs() <= (relative * a.abs().max(b.abs())).max(absolute)
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn is_close_in_either_way() {
        assert!(agree(1.0, 1.009, 0.01, 0.0));
        assert!(!agree(1.0, 1.02, 0.01, 0.0));
        assert!(agree(100.0, 101.0, 0.0, 0.01));
        assert!(agree(0.0, -0.0, 0.0, 0.0));
    }
}
