//! Evidence that a probability exceeds a limit, on a grid of odds ratios.
//!
//! In: counts of events among totals. Out: log likelihood ratios per grid point, their mean, and
//! how many observations a real excess needs. Holds: if the probability is at most the limit at
//! every observation, given those before, each point's exp(sum) is an e-process, and so is the
//! mean. Increments add up, in any order. Knows nothing of: what an event is, or when one looks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The odds ratios on which the evidence is bet, equally weighted (statistics.md §1.2).
pub const MULTIPLIERS: [f64; 7] = [1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// The same for limits up to [`SMALL`]: a harm may be a hundred times as much.
pub const MULTIPLIERS_WIDE: [f64; 9] = [1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// Limits up to this are small: 1 %, and what is left of 1 less 99 %.
pub const SMALL: f64 = 0.01 + 1e-9;

/// The least log evidence that is kept: exp(−745) is the least positive `f64`.
pub const LOG_E_MIN: f64 = -745.0;

/// The grid for one null hypothesis, "event probability ≤ limit".
///
/// Events are the harmful thing: error, null, slow, mismatch. A floor p₀ on matches is the limit
/// 1 − p₀ on mismatches; to show that a probability is *below* a limit, exchange events and
/// non-events and take the limit's complement. It serializes as its limit, and whether it is wide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(f64, bool)", into = "(f64, bool)")]
pub struct RateGrid {
    limit: f64,
    multipliers: &'static [f64],
}

impl RateGrid {
    /// Returns the grid against "event probability ≤ `limit`", for 0 < limit < 1.
    pub fn exceeds(limit: f64) -> Option<Self> {
        is_probability(limit).then_some(Self { limit, multipliers: &MULTIPLIERS })
    }

    /// Returns the same as far as a harm may go at this limit: the wider grid for small ones.
    pub fn watching(limit: f64) -> Option<Self> {
        is_probability(limit).then_some(Self { limit, multipliers: multipliers(limit) })
    }

    /// Returns the odds ratios on which it bets.
    pub fn multipliers(&self) -> &'static [f64] {
        self.multipliers
    }

    /// Returns the limit, in (0, 1).
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Returns k ln(qⱼ/q₀) + (n − k) ln((1 − qⱼ)/(1 − q₀)) for k `events` among n `total`.
    ///
    /// qⱼ = q₀ μⱼ / (1 − q₀ + q₀ μⱼ) (statistics.md §1.3, match rate floor), written as
    /// k ln μⱼ − n ln(1 − q₀ + q₀ μⱼ). More events than observations count as all of them.
    pub fn increment(&self, events: u64, total: u64) -> Vec<f64> {
        debug_assert!(events <= total, "events are among the total");
        let (k, n) = (events.min(total) as f64, total as f64);
        self.each(|multiplier| k * multiplier.ln() - n * log_scale(self.limit, multiplier))
    }

    /// Returns −k ln μⱼ − n ln(1 − q₀ + q₀/μⱼ): the same against "event probability ≥ limit".
    ///
    /// It is [`RateGrid::increment`] of the non-events among the total at the limit's complement.
    pub fn increment_below(&self, events: u64, total: u64) -> Vec<f64> {
        debug_assert!(events <= total, "events are among the total");
        let (k, n) = (events.min(total) as f64, total as f64);
        self.each(|multiplier| -k * multiplier.ln() - n * log_scale(self.limit, 1.0 / multiplier))
    }

    /// Returns the log evidence of all observations so far: the log mean of their e-values.
    pub fn log_e(&self, events: u64, total: u64) -> f64 {
        log_mean_exp(&self.increment(events, total))
    }

    fn each(&self, log: impl Fn(f64) -> f64) -> Vec<f64> {
        self.multipliers.iter().map(|multiplier| log(*multiplier)).collect()
    }
}

impl TryFrom<(f64, bool)> for RateGrid {
    type Error = BadLimit;

    fn try_from((limit, is_wide): (f64, bool)) -> Result<Self, BadLimit> {
        let grid = Self::exceeds(limit).ok_or(BadLimit { limit })?;
        Ok(if is_wide { Self { multipliers: &MULTIPLIERS_WIDE, ..grid } } else { grid })
    }
}

impl From<RateGrid> for (f64, bool) {
    fn from(grid: RateGrid) -> Self {
        (grid.limit, grid.multipliers.len() == MULTIPLIERS_WIDE.len())
    }
}

/// A limit that is no probability strictly between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BadLimit {
    limit: f64,
}

impl fmt::Display for BadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {} is not between 0 and 1", self.limit)
    }
}

impl std::error::Error for BadLimit {}

/// Returns the odds ratios that are bet on at this limit.
pub fn multipliers(limit: f64) -> &'static [f64] {
    if limit <= SMALL { &MULTIPLIERS_WIDE } else { &MULTIPLIERS }
}

/// Returns ln(Σ exp(vⱼ) / J) of J values, at least [`LOG_E_MIN`]. With a NaN among them, or of none, it
/// is that least.
pub fn log_mean_exp(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return LOG_E_MIN;
    }
    let highest = values.iter().fold(f64::NEG_INFINITY, |highest, value| highest.max(*value));
    if !highest.is_finite() {
        return highest.max(LOG_E_MIN);
    }
    let sum: f64 = values.iter().map(|value| (value - highest).exp()).sum();
    (highest + (sum / values.len() as f64).ln()).max(LOG_E_MIN)
}

/// Returns how many observations at a true `rate` show, with some power, that it exceeds `limit`.
///
/// [(z√v + √(z²v + 4gL)) / (2g)]² with g the mean and v the variance of one observation's log
/// likelihood ratio, L = `log_threshold` > 0 and z = `z_power`, the normal quantile of the power
/// (0 for one half, 0.8416 for 0.8): statistics.md §6.2, within 10 % of simulations. An odds ratio
/// beyond the last of [`multipliers`] is bet on as the last. `None` if the rate isn't above the limit.
pub fn sample_needed(limit: f64, rate: f64, log_threshold: f64, z_power: f64) -> Option<f64> {
    let is_shown = is_probability(limit) && limit < rate && rate <= 1.0;
    let is_asked = 0.0 < log_threshold && log_threshold.is_finite() && z_power.is_finite();
    if !is_shown || !is_asked {
        return None;
    }
    let odds_ratio = rate * (1.0 - limit) / (limit * (1.0 - rate));
    let multiplier = multipliers(limit).iter().fold(1.0, |last, m| m.max(last)).min(odds_ratio);
    let gain = rate * multiplier.ln() - log_scale(limit, multiplier);
    let spread = z_power * (rate * (1.0 - rate)).sqrt() * multiplier.ln();
    let root = (spread + (spread * spread + 4.0 * gain * log_threshold).sqrt()) / (2.0 * gain);
    let needed = root * root;
    (0.0 < gain && needed.is_finite()).then_some(needed)
}

/// Returns how many observations the grid as a whole needs, which is what is in use.
///
/// [`sample_needed`] reckons with one odds ratio, the true one; the mean over the grid holds a
/// seventh of the evidence of its best point (a ninth at small limits), so ln 7 more has to be shown
/// (ln 9). Say this number to users, and keep [`sample_needed`] for evidence at a single odds ratio.
pub fn sample_needed_by_grid(
    limit: f64,
    rate: f64,
    log_threshold: f64,
    z_power: f64,
) -> Option<f64> {
    let price = (multipliers(limit).len() as f64).ln();
    let is_asked = 0.0 < log_threshold;
    is_asked.then(|| sample_needed(limit, rate, log_threshold + price, z_power)).flatten()
}

fn is_probability(value: f64) -> bool {
    0.0 < value && value < 1.0
}

/// Returns ln(1 − q₀ + q₀ μ), exact for small limits too.
fn log_scale(limit: f64, multiplier: f64) -> f64 {
    (limit * (multiplier - 1.0)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::{
        LOG_E_MIN, MULTIPLIERS, MULTIPLIERS_WIDE, RateGrid, log_mean_exp, sample_needed,
        sample_needed_by_grid,
    };
    use proptest::array;
    use proptest::prelude::{prop_assert, proptest};

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    #[test]
    fn match_floor_from_both_sides() {
        let harm = RateGrid::exceeds(0.01).expect("a limit");
        close(harm.log_e(50, 5_000), -1.880_507_087_430_654_2, 1e-8);
        let safe = RateGrid::exceeds(0.99).expect("a limit");
        close(safe.log_e(4_980, 5_000), 10.141_896_198_263_312, 1e-8);
    }

    #[test]
    fn only_probabilities_are_limits() {
        for limit in [f64::NAN, -0.1, 0.0, 1.0, f64::INFINITY] {
            assert_eq!(RateGrid::exceeds(limit), None);
        }
        assert!(serde_json::from_str::<RateGrid>("[1.5,false]").is_err());
        for grid in [RateGrid::exceeds(0.005), RateGrid::watching(0.005)] {
            let text = serde_json::to_string(&grid).expect("serializes");
            assert_eq!(serde_json::from_str::<Option<RateGrid>>(&text).expect("reads"), grid);
        }
        assert_ne!(RateGrid::exceeds(0.005), RateGrid::watching(0.005));
        assert_eq!(RateGrid::exceeds(0.02), RateGrid::watching(0.02));
        let p99 = RateGrid::watching(1.0 - 0.99).expect("a limit");
        assert_eq!(p99.multipliers(), MULTIPLIERS_WIDE);
    }

    /// Requests until a rate of so many times the limit has a log evidence of 20, on either grid.
    #[test]
    fn harms_far_beyond_a_small_limit_are_shown_sooner() {
        let shown_after = |grid: Option<RateGrid>, of_thousand: u64| {
            let grid = grid.expect("a limit");
            let is_shown = |n: &u64| 20.0 <= grid.log_e(n * of_thousand / 1000, *n);
            (1..).find(is_shown).expect("it is shown")
        };
        let both = |(limit, rate): (f64, u64)| {
            [RateGrid::exceeds(limit), RateGrid::watching(limit)].map(|g| shown_after(g, rate))
        };
        let found = [(0.001, 3), (0.005, 15), (0.01, 30)].map(both);
        assert_eq!(found, [[17_000, 17_334], [3_400, 3_400], [1_700, 1_700]], "three times");
        let found = [(0.001, 10), (0.005, 50), (0.01, 100)].map(both);
        assert_eq!(found, [[1_600, 1_600], [320, 320], [160, 160]], "ten times");
        let found = [(0.001, 100), (0.005, 500), (0.01, 900)].map(both);
        assert_eq!(found, [[100, 70], [20, 12], [12, 7]], "as far as it goes");
    }

    #[test]
    fn nothing_and_nan_are_no_evidence() {
        let grid = RateGrid::exceeds(0.05).expect("a limit");
        close(grid.log_e(0, 0), 0.0, 1e-15);
        let mut values = [3.0; 7];
        close(log_mean_exp(&values), 3.0, 1e-15);
        values[4] = f64::NAN;
        close(log_mean_exp(&values), LOG_E_MIN, 0.0);
        close(log_mean_exp(&[f64::NEG_INFINITY; 7]), LOG_E_MIN, 0.0);
        close(grid.log_e(0, u64::MAX), LOG_E_MIN, 0.0);
    }

    #[test]
    fn needs_of_the_formula() {
        close(
            sample_needed(0.01, 0.02, 20.0_f64.ln(), 0.841_621_233_572_914_3).expect("a need"),
            1_616.888_510_644_472,
            1e-5,
        );
        for (rate, threshold, z) in [
            (0.01, 3.0, 0.8),
            (0.005, 3.0, 0.8),
            (0.02, 0.0, 0.8),
            (f64::NAN, 3.0, 0.8),
            (0.02, 3.0, f64::NAN),
        ] {
            assert_eq!(sample_needed(0.01, rate, threshold, z), None);
        }
        let always = sample_needed(0.05, 1.0, 3.0, 0.8).expect("a need");
        close(always, 3.0 / (10.0_f64.ln() - 1.45_f64.ln()), 1e-9);
    }

    #[test]
    fn the_grid_has_its_price() {
        let alone = sample_needed(0.05, 0.3, 18.0 + 7.0_f64.ln(), 0.8).expect("a need");
        close(sample_needed_by_grid(0.05, 0.3, 18.0, 0.8).expect("a need"), alone, 1e-9);
        let alone = sample_needed(0.005, 0.5, 18.0 + 9.0_f64.ln(), 0.8).expect("a need");
        close(sample_needed_by_grid(0.005, 0.5, 18.0, 0.8).expect("a need"), alone, 1e-9);
        assert_eq!(sample_needed_by_grid(0.05, 0.3, 0.0, 0.8), None);
        assert_eq!(sample_needed_by_grid(0.05, 0.05, 18.0, 0.8), None);
    }

    proptest! {
        /// Below a limit is above the complement's, for what didn't happen.
        #[test]
        fn below_is_above_from_the_other_side(
            limit in 0.001_f64..0.999,
            counts in array::uniform2(0_u64..1_000_000_000),
        ) {
            let [k, rest] = counts;
            let grid = RateGrid::exceeds(limit).expect("a limit");
            let below = grid.increment_below(k, k + rest);
            let other = RateGrid::exceeds(1.0 - limit).expect("a limit").increment(rest, k + rest);
            for j in 0..MULTIPLIERS.len() {
                prop_assert!((below[j] - other[j]).abs() <= 1e-14 * (k + rest) as f64 + 1e-12);
            }
        }

        /// The expectation of an e-value, summed over all outcomes, is at most 1 under the null.
        #[test]
        fn the_mean_e_value_is_at_most_one(
            limit in 0.001_f64..0.999,
            part in 0.0_f64..=1.0,
            total in 1_u64..40,
        ) {
            let grid = RateGrid::watching(limit).expect("a limit");
            let rate = limit * part;
            let (mut weight, mut mean) = (1.0_f64, 0.0);
            for events in 0..=total {
                let (k, n) = (events as f64, total as f64);
                let likelihood = rate.powf(k) * (1.0 - rate).powf(n - k);
                mean += weight * likelihood * grid.log_e(events, total).exp();
                weight *= (n - k) / (k + 1.0);
            }
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
        }

        #[test]
        fn increments_add_up(
            limit in 0.001_f64..0.999,
            counts in array::uniform4(0_u64..1_000),
        ) {
            let [a, b, c, d] = counts;
            let grid = RateGrid::exceeds(limit).expect("a limit");
            let (first, second) = (grid.increment(a, a + b), grid.increment(c, c + d));
            let both = grid.increment(a + c, a + b + c + d);
            for j in 0..MULTIPLIERS.len() {
                prop_assert!((first[j] + second[j] - both[j]).abs() < 1e-9);
            }
        }
    }
}
