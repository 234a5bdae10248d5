//! How far two distributions over the same categories lie apart.
//!
//! In: counts by category, aligned, of two samples. Out: total variation with bounds that hold at
//! all looks at once, and the advisory population stability index. Holds: distances are symmetric;
//! a sample without counts has none. The list of categories must be fixed before the counts are
//! seen, empty ones included. Knows nothing of: labels, scores, which sample is the reference.

use std::f64::consts::LN_2;

/// Returns ½ Σ |p − q|, in [0, 1]: the share of mass that would have to move.
///
/// `None` if a sample is empty or the categories differ in number.
pub fn total_variation(a: &[u64], b: &[u64]) -> Option<f64> {
    let (total_a, total_b) = totals(a, b)?;
    let distance = |(x, y): (&u64, &u64)| (*x as f64 / total_a - *y as f64 / total_b).abs();
    let sum: f64 = a.iter().zip(b).map(distance).sum();
    Some((0.5 * sum).min(1.0))
}

/// Returns how far one sample of `n` can be off in any set of categories, at all looks at once.
///
/// u(n) = √[(n/4 + ρ)(ln(1 + n/(4ρ)) + 2 ln(1/α'))] / n, with α' = α/2^B for B `categories` (the
/// 2^(B−1) sets of two samples) and ρ = (`n_opt`/4) / (2 ln(1/α') + ln(1 + 2 ln(1/α'))): the normal
/// mixture bound for sums of variance at most ¼ (Howard, Ramdas, McAuliffe & Sekhon 2021;
/// statistics.md §2.4). Tightest near `n_opt` > 0 observations, valid at all; 0 < α < 1.
pub fn tv_radius(n: u64, n_opt: f64, categories: usize, alpha: f64) -> Option<f64> {
    let is_sample = 0 < n && 0 < categories && 0.0 < n_opt && n_opt.is_finite();
    if !is_sample || alpha.is_nan() || alpha <= 0.0 || 1.0 <= alpha {
        return None;
    }
    let double_log = 2.0 * (categories as f64 * LN_2 - alpha.ln());
    let rho = 0.25 * n_opt / (double_log + double_log.ln_1p());
    let count = n as f64;
    let variance = 0.25 * count;
    let square = (variance + rho) * ((variance / rho).ln_1p() + double_log);
    let radius = square.sqrt() / count;
    radius.is_finite().then_some(radius)
}

/// Returns what the total variation is at least, at all looks at once with probability 1 − α.
///
/// The distance found less both radii, at least 0. Together with [`tv_upper`] it errs with
/// probability at most `alpha` over all looks, not each. `n_opt_a` and `n_opt_b` as in
/// [`tv_radius`], chosen before the counts are seen.
pub fn tv_lower(a: &[u64], b: &[u64], n_opt_a: f64, n_opt_b: f64, alpha: f64) -> Option<f64> {
    let slack = tv_slack(a, b, n_opt_a, n_opt_b, alpha)?;
    Some((total_variation(a, b)? - slack).max(0.0))
}

/// Returns what the total variation is at most, at all looks at once with probability 1 − α.
///
/// The distance found plus both radii, at most 1; otherwise as [`tv_lower`].
pub fn tv_upper(a: &[u64], b: &[u64], n_opt_a: f64, n_opt_b: f64, alpha: f64) -> Option<f64> {
    let slack = tv_slack(a, b, n_opt_a, n_opt_b, alpha)?;
    Some((total_variation(a, b)? + slack).min(1.0))
}

/// Returns the population stability index Σ (q − p) ln(q/p) with ½ added to each count.
///
/// Advisory: it has no error rate, and its size under no change is about (B − 1)(1/n + 1/m).
/// Without the ½ (Jeffreys) one empty category decides it (statistics.md §2.3). `None` as for
/// [`total_variation`].
pub fn psi(a: &[u64], b: &[u64]) -> Option<f64> {
    let (total_a, total_b) = totals(a, b)?;
    let added = 0.5 * a.len() as f64;
    let term = |(x, y): (&u64, &u64)| {
        let p = (*x as f64 + 0.5) / (total_a + added);
        let q = (*y as f64 + 0.5) / (total_b + added);
        (q - p) * (q / p).ln()
    };
    Some(a.iter().zip(b).map(term).sum())
}

/// Returns both samples' totals, if they can be compared.
fn totals(a: &[u64], b: &[u64]) -> Option<(f64, f64)> {
    let total = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
    let (total_a, total_b) = (total(a), total(b));
    (a.len() == b.len() && 0.0 < total_a && 0.0 < total_b).then_some((total_a, total_b))
}

/// Returns the sum of both samples' radii.
fn tv_slack(a: &[u64], b: &[u64], n_opt_a: f64, n_opt_b: f64, alpha: f64) -> Option<f64> {
    let count =
        |counts: &[u64]| counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let radius_a = tv_radius(count(a), n_opt_a, a.len(), alpha)?;
    let radius_b = tv_radius(count(b), n_opt_b, b.len(), alpha)?;
    Some(radius_a + radius_b)
}

#[cfg(test)]
mod tests {
    use super::{psi, total_variation, tv_lower, tv_radius, tv_upper};
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, proptest};

    fn close(found: Option<f64>, expected: f64) {
        let found = found.expect("a number");
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn distances_of_other_tools() {
        close(
            total_variation(&[16, 18, 16, 14, 12, 12], &[16, 16, 16, 16, 16, 8]),
            0.068_181_818_181_818_19,
        );
        let (reference, current) = ([100; 10], [0, 100, 100, 100, 100, 100, 100, 100, 100, 200]);
        close(psi(&reference, &current), 0.596_414_072_368_812_8);
        close(total_variation(&[3, 0], &[0, 5]), 1.0);
    }

    #[test]
    fn radii_and_bounds() {
        close(tv_radius(10_000, 10_000.0, 10, 0.01), 0.026_164_492_040_090_2);
        close(tv_radius(90_000, 90_000.0, 10, 0.01), 0.008_721_497_346_696_732);
        let a = [3_500, 3_500, 500, 500, 500, 500, 250, 250, 250, 250];
        let b = [22_500, 18_000, 4_500, 4_500, 13_500, 9_000, 4_500, 4_500, 4_500, 4_500];
        let found = total_variation(&a, &b).expect("a distance");
        close(tv_lower(&a, &b, 10_000.0, 90_000.0, 0.01), found - 0.034_885_989_386_786_93);
        close(tv_upper(&a, &b, 10_000.0, 90_000.0, 0.01), found + 0.034_885_989_386_786_93);
    }

    #[test]
    fn nothing_is_not_the_same_as_no_distance() {
        for (a, b) in
            [(&[0_u64, 0][..], &[1_u64, 1][..]), (&[1, 1], &[0, 0]), (&[], &[]), (&[1], &[1, 1])]
        {
            assert_eq!(total_variation(a, b), None);
            assert_eq!(psi(a, b), None);
            assert_eq!(tv_lower(a, b, 1.0, 1.0, 0.05), None);
            assert_eq!(tv_upper(a, b, 1.0, 1.0, 0.05), None);
        }
        for alpha in [0.0, 1.0, f64::NAN] {
            assert_eq!(tv_radius(10, 10.0, 2, alpha), None);
        }
        for (n, n_opt, categories) in
            [(0, 10.0, 2), (10, 0.0, 2), (10, f64::NAN, 2), (10, f64::INFINITY, 2), (10, 10.0, 0)]
        {
            assert_eq!(tv_radius(n, n_opt, categories, 0.05), None);
        }
    }

    #[test]
    fn a_thousand_categories_have_a_radius() {
        let radius = tv_radius(1_000_000, 1e6, 2_000, 0.01).expect("a radius");
        assert!(0.01 < radius && radius < 0.1, "{radius}");
    }

    proptest! {
        /// PSI ≥ 2 TV ln((1 + TV) / (1 − TV)), statistics.md §2.1, for the smoothed shares.
        #[test]
        fn distances_keep_their_inequality(a in vec(0_u64..50, 4), b in vec(0_u64..50, 4)) {
            let Some(index) = psi(&a, &b) else { return Ok(()) };
            let doubled = |counts: &[u64]| counts.iter().map(|c| 2 * c + 1).collect::<Vec<_>>();
            let [odd_a, odd_b] = [doubled(&a), doubled(&b)];
            let smooth = total_variation(&odd_a, &odd_b).expect("a distance");
            prop_assert!(2.0 * smooth * ((1.0 + smooth) / (1.0 - smooth)).ln() <= index + 1e-12);
            let raw = total_variation(&a, &b).expect("a distance");
            prop_assert!((0.0..=1.0).contains(&raw));
            prop_assert!((raw - total_variation(&b, &a).expect("a distance")).abs() < 1e-15);
        }

        #[test]
        fn bounds_hold_the_distance(
            a in vec(1_u64..1_000, 5),
            b in vec(1_u64..1_000, 5),
            n_opt in 1.0_f64..1e6,
        ) {
            let found = total_variation(&a, &b).expect("a distance");
            let low = tv_lower(&a, &b, n_opt, n_opt, 0.05).expect("a bound");
            let high = tv_upper(&a, &b, n_opt, n_opt, 0.05).expect("a bound");
            prop_assert!(0.0 <= low && low <= found && found <= high && high <= 1.0);
        }
    }
}
