//! Rates with their denominators, and what is known about them.
//!
//! In: counts of hits among totals. Out: point estimates, Wilson intervals, worst-case bounds and
//! confidence sequences. Holds: every result lies in [0, 1]; without observations, or with more
//! hits than observations, there is none. Knows nothing of: what a hit is.

use serde::{Deserialize, Serialize};

use super::special::ln_beta;

/// Hits among a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// At most the total; a rate with more hits is no rate.
    pub hits: u64,
    /// Hits and misses.
    pub total: u64,
}

impl Rate {
    /// Returns hits ÷ total in [0, 1], or `None` without observations.
    pub fn point(self) -> Option<f64> {
        let is_rate = self.total > 0 && self.hits <= self.total;
        is_rate.then(|| self.hits as f64 / self.total as f64)
    }

    /// Returns the Wilson interval of the rate at `z` standard deviations, 0 ≤ z < ∞.
    ///
    /// Wilson (1927, JASA 22) rather than the normal interval: match rates sit near 1, where the
    /// normal one leaves [0, 1]. It holds at one look that was fixed beforehand; for a rate that is
    /// watched use [`rate_confidence_sequence`].
    pub fn wilson(self, z: f64) -> Option<Interval> {
        let point = self.point()?;
        if !z.is_finite() || z < 0.0 {
            return None;
        }
        let total = self.total as f64;
        let square = z * z;
        let scale = 1.0 + square / total;
        let center = (point + square / (2.0 * total)) / scale;
        let variance = point * (1.0 - point) / total + square / (4.0 * total * total);
        let half = z * variance.sqrt() / scale;
        let low = if self.hits == 0 { 0.0 } else { (center - half).max(0.0) };
        let high = if self.hits == self.total { 1.0 } else { (center + half).min(1.0) };
        Some(Interval { low, high })
    }
}

/// A closed interval, low ≤ high.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The two-sided 95 % point of the normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Returns the match rate if none, or all, of the `unmatched` had matched.
///
/// [M / (m + u), (M + u) / (m + u)] for M `matches` among m `paired` and u `unmatched` (Manski
/// 1989, J. Human Resources 24). It assumes nothing about why an answer is missing.
pub fn bounds_if_missing(matches: u64, paired: u64, unmatched: u64) -> Option<Interval> {
    let all = paired as f64 + unmatched as f64;
    if all <= 0.0 || paired < matches {
        return None;
    }
    let low = matches as f64 / all;
    let high = (matches as f64 + unmatched as f64) / all;
    Some(Interval { low, high: high.min(1.0) })
}

/// Returns the interval that holds the true rate at all looks at once, with probability 1 − α.
///
/// {p : ln B(½+k, ½+n−k) − ln B(½, ½) − k ln p − (n−k) ln(1−p) < ln(1/α)} for k `hits` among n
/// `total` and 0 < α < 1, by bisection on each side of k/n: Ville's inequality for the Jeffreys
/// mixture (Robbins 1970, Ann. Math. Stat. 41). Observations must be independent and their rate
/// constant.
pub fn rate_confidence_sequence(hits: u64, total: u64, alpha: f64) -> Option<Interval> {
    let point = Rate { hits, total }.point()?;
    if !is_probability(alpha) {
        return None;
    }
    let (k, misses) = (hits as f64, (total - hits) as f64);
    let mixture = ln_beta(0.5 + k, 0.5 + misses) - ln_beta(0.5, 0.5);
    let threshold = -alpha.ln();
    let is_excluded =
        |p: f64| mixture - weighted(k, p.ln()) - weighted(misses, (-p).ln_1p()) >= threshold;
    let low = if hits == 0 { 0.0 } else { bisect(point, 0.0, is_excluded) };
    let high = if hits == total { 1.0 } else { bisect(point, 1.0, is_excluded) };
    Some(Interval { low, high })
}

/// Says whether `value` lies strictly between 0 and 1.
fn is_probability(value: f64) -> bool {
    0.0 < value && value < 1.0
}

/// Returns count × logarithm, where none of something impossible is likely: 0 × −∞ = 0.
fn weighted(count: f64, logarithm: f64) -> f64 {
    if count == 0.0 { 0.0 } else { count * logarithm }
}

/// Returns the excluded end of the last step between `inside` and `outside`.
fn bisect(mut inside: f64, mut outside: f64, is_excluded: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (inside + outside);
        if is_excluded(middle) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    outside
}

/// Steps to within 2^-100, or to neighbouring floats.
const BISECTIONS: u32 = 100;

#[cfg(test)]
mod tests {
    use super::{Interval, Rate, Z95, bounds_if_missing, rate_confidence_sequence};
    use proptest::prelude::{prop_assert, proptest};
    use std::f64::consts::PI;

    fn check(found: Option<Interval>, low: f64, high: f64) {
        let found = found.expect("an interval");
        assert!((found.low - low).abs() < 1e-8, "low {} is not {low}", found.low);
        assert!((found.high - high).abs() < 1e-8, "high {} is not {high}", found.high);
    }

    #[test]
    fn wilson_of_newcombe() {
        let rate = Rate { hits: 81, total: 263 };
        check(rate.wilson(Z95), 0.255_288_519_878_274_2, 0.366_209_576_982_800_04);
        check(Rate { hits: 0, total: 4 }.wilson(2.0), 0.0, 0.5);
        check(Rate { hits: 4, total: 4 }.wilson(2.0), 0.5, 1.0);
    }

    #[test]
    fn nothing_is_known_of_nothing() {
        assert_eq!(Rate::default().point(), None);
        assert_eq!(Rate::default().wilson(Z95), None);
        assert_eq!(Rate { hits: 3, total: 2 }.point(), None);
        assert_eq!(Rate { hits: 1, total: 2 }.wilson(f64::NAN), None);
        assert_eq!(bounds_if_missing(0, 0, 0), None);
        assert_eq!(bounds_if_missing(2, 1, 5), None);
        assert_eq!(rate_confidence_sequence(0, 0, 0.05), None);
        assert_eq!(rate_confidence_sequence(3, 2, 0.05), None);
        for alpha in [f64::NAN, 0.0, 1.0] {
            assert_eq!(rate_confidence_sequence(1, 2, alpha), None);
        }
    }

    #[test]
    fn bounds_of_the_missing() {
        check(bounds_if_missing(9_500, 9_800, 200), 0.95, 0.97);
        check(bounds_if_missing(0, 0, 7), 0.0, 1.0);
    }

    #[test]
    fn confidence_sequences() {
        check(
            rate_confidence_sequence(5, 1_000, 0.05),
            0.000_539_304_165_843_957_3,
            0.018_003_858_871_300_887,
        );
        check(rate_confidence_sequence(0, 500, 0.05), 0.0, 0.013_262_569_232_341_658);
        check(rate_confidence_sequence(500, 500, 0.05), 1.0 - 0.013_262_569_232_341_658, 1.0);
    }

    #[test]
    fn a_thousand_million_observations_keep_their_digits() {
        let found =
            rate_confidence_sequence(500_000_000, 1_000_000_000, 0.05).expect("an interval");
        // Laplace: 2nd² = ln 20 − ln(2/π · √(π/(2n))) at p = ½, where the prior's density is 2/π.
        let mixture = (2.0 / PI * (PI / 2e9).sqrt()).ln();
        let half = ((20.0_f64.ln() - mixture) / 2e9).sqrt();
        assert!((found.high - 0.5 - half).abs() < 1e-10, "{} is not ½ + {half}", found.high);
        assert!((0.5 - found.low - half).abs() < 1e-10, "{} is not ½ − {half}", found.low);
    }

    proptest! {
        #[test]
        fn intervals_hold_the_point(
            hits in 0_u64..100_000,
            misses in 0_u64..100_000,
            alpha in 1e-9_f64..0.9,
        ) {
            let rate = Rate { hits, total: hits + misses + 1 };
            let point = rate.point().expect("a rate");
            let wilson = rate.wilson(Z95).expect("an interval");
            let sequence = rate_confidence_sequence(rate.hits, rate.total, alpha);
            for interval in [wilson, sequence.expect("an interval")] {
                prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
                prop_assert!(interval.low <= point && point <= interval.high);
            }
        }
    }
}
