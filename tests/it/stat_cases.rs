//! Our statistics against numbers that others computed.
//!
//! In: `tests/data/stat-cases.json`, each case with inputs, expected numbers, tolerance and source.
//! Out: a failure that names the case and the number. Holds: every case whose method `stats` has
//! is checked; the others are skipped by their method's name. Knows nothing of: rules, streams.

use std::collections::BTreeMap;

use parallax::stats::detector::{Detector, log_threshold};
use parallax::stats::grid::{RateGrid, sample_needed};
use parallax::stats::histogram::{Histogram, Latency};
use parallax::stats::proportion::{
    Interval, Rate, Z95, bounds_if_missing, rate_confidence_sequence,
};
use parallax::stats::shift::{psi, total_variation, tv_lower, tv_radius};
use parallax::stats::special::{ln_beta, ln_gamma};

use crate::stat_case::{Case, cases};

/// The numbers found, by their name in the case.
type Found = Vec<(&'static str, f64)>;

impl Case {
    /// Compares a number with the expected one, or with the `at`-th of the expected list.
    fn check(&self, key: &str, at: usize, found: f64) {
        let expected = &self.expected[key];
        let value = expected.as_array().map_or(expected, |values| &values[at]);
        let value = value.as_f64().expect("an expected number");
        let abs = self.tolerance.get("abs").copied().unwrap_or(0.0);
        let rel = self.tolerance.get("rel").copied().unwrap_or(0.0);
        let error = (found - value).abs();
        assert!(
            error <= abs.max(rel * value.abs()),
            "{} {key}[{at}]: {found} is not {value}",
            self.name
        );
    }
}

#[test]
fn every_case_of_ours_holds() {
    let cases = cases("tests/data/stat-cases.json");
    let (mut checked, mut numbers) = (0, 0);
    for case in &cases {
        let Some(found) = compute(case) else { continue };
        let mut positions = BTreeMap::new();
        for (key, value) in &found {
            let at = positions.entry(*key).or_insert(0);
            case.check(key, *at, *value);
            *at += 1;
        }
        checked += 1;
        numbers += found.len();
    }
    assert_eq!((checked, numbers), (CASES, NUMBERS), "cases and numbers checked");
}

/// How many cases at least are ours: one that is silently skipped is a failure.
const CASES: usize = 24;

/// How many expected numbers at least those cases hold.
const NUMBERS: usize = 65;

/// Computes what a case asks for; `None` if its method isn't ours.
fn compute(case: &Case) -> Option<Found> {
    let found = match case.method.as_str() {
        "wilson_interval" => {
            let rate = Rate { hits: case.count("successes"), total: case.count("n") };
            ends(rate.wilson(Z95))
        }
        "beta_binomial_cs_fixed_prior" => ends(rate_confidence_sequence(
            case.count("successes"),
            case.count("n"),
            case.number("alpha"),
        )),
        "match_rate_bounds" => missing(case),
        "or_grid_logE_one_sample" => match_floor(case),
        "or_grid_logE_discordant" => discordant(case),
        "sequential_n_needed_match_floor" => {
            let (limit, rate) = (1.0 - case.number("p0"), 1.0 - case.number("p_true"));
            needs(case, "n80", limit, rate)
        }
        "sequential_events_needed" => {
            let (rho, psi) = (case.number("rho"), case.number("psi"));
            needs(case, "m80", rho, rho * psi / (1.0 - rho + rho * psi))
        }
        "e_cusum_e_sr_recursion" => cusum(case),
        "e_detector_threshold" => {
            let horizon = log_threshold(case.count("horizon_windows"), case.number("alpha"));
            let mean = log_threshold(case.count("arl_windows"), 1.0);
            vec![
                ("log_threshold_horizon", horizon.expect("a threshold")),
                ("log_threshold_arl", mean.expect("a threshold")),
            ]
        }
        "tv_time_uniform_lcb" => tv_bound(case),
        "distribution_distances" | "hellinger_categorical" => {
            let (a, b) = (case.counts("reference_counts"), case.counts("current_counts"));
            vec![("tv", total_variation(&a, &b).expect("a distance"))]
        }
        "psi_epsilon_sensitivity" => {
            let (a, b) = (case.counts("reference_counts"), case.counts("current_counts"));
            vec![("psi_jeffreys_0.5", psi(&a, &b).expect("an index"))]
        }
        "hdrhistogram_quantiles" if case.count("sigfig") == 2 => one_to_a_hundred_thousand(),
        "hdr_coordinated_omission" => before_correction(),
        _ => return compute_special(case),
    };
    Some(found)
}

/// Computes the cases that are sums of our special functions and nothing else.
fn compute_special(case: &Case) -> Option<Found> {
    let log_e = match case.method.as_str() {
        "beta_binomial_logE_simple_null" => {
            let (k, n, p) = (case.number("successes"), case.number("n"), case.number("p0"));
            beta_binomial(case, k, n, p)
        }
        "beta_binomial_logE_sup_null" => {
            let (k, n) = (case.number("matches"), case.number("n"));
            beta_binomial(case, k, n, (k / n).max(case.number("p0")))
        }
        "mcnemar" => {
            let cell = |row: usize, column: usize| {
                case.inputs["table"][row][column].as_f64().expect("a count")
            };
            let (b, c) = (cell(0, 1), cell(1, 0));
            let log_e = ln_beta(1.0 + b, 1.0 + c) - ln_beta(1.0, 1.0) + (b + c) * 2.0_f64.ln();
            return Some(vec![("log_e_beta1_1", log_e)]);
        }
        "dirichlet_multinomial_logE" => dirichlet_multinomial(case),
        _ => return None,
    };
    Some(vec![("log_e", log_e)])
}

fn missing(case: &Case) -> Found {
    let (matches, paired) = (case.count("matches"), case.count("matched_pairs"));
    let mut found = ends(bounds_if_missing(matches, paired, case.count("unmatched")));
    let point = Rate { hits: matches, total: paired }.point();
    found.push(("point", point.expect("a rate")));
    found
}

/// A floor on matches is a limit on mismatches; from the safe side, a limit on matches.
fn match_floor(case: &Case) -> Found {
    let (matches, n, p0) = (case.count("matches"), case.count("n"), case.number("p0"));
    let is_safe = case.inputs["direction"] == "safe";
    let (limit, events) = if is_safe { (p0, matches) } else { (1.0 - p0, n - matches) };
    let grid = RateGrid::exceeds(limit).expect("a limit");
    let components = grid.increment(events, n).into_iter();
    let mut found: Found = components.map(|value| ("log_components", value)).collect();
    found.push(("log_e", grid.log_e(events, n)));
    found
}

fn discordant(case: &Case) -> Found {
    let (b, c) = (case.count("b_shadow_only"), case.count("c_primary_only"));
    let grid = RateGrid::exceeds(case.number("rho")).expect("a limit");
    vec![("log_e", grid.log_e(b, b + c))]
}

fn needs(case: &Case, key: &'static str, limit: f64, rate: f64) -> Found {
    /// The normal quantile of a power of 0.8.
    const Z80: f64 = 0.841_621_233_572_914_2;
    let need = |alpha: f64| sample_needed(limit, rate, -alpha.ln(), Z80).expect("a need");
    case.numbers("alpha").into_iter().map(|alpha| (key, need(alpha))).collect()
}

fn cusum(case: &Case) -> Found {
    let mut detector = Detector::new();
    let mut look = |increment: f64| {
        assert!(detector.advance(&[increment; 7]), "a number is a look");
        ("log_cusum", detector.log_cusum())
    };
    case.numbers("log_increments").into_iter().map(&mut look).collect()
}

fn tv_bound(case: &Case) -> Found {
    let alpha = case.number("alpha");
    let (n_canary, n_primary) = (case.count("n_canary"), case.count("n_primary"));
    let (opt_canary, opt_primary) = (case.number("n_opt_canary"), case.number("n_opt_primary"));
    let bins = usize::try_from(case.count("bins")).expect("a length");
    let radius = |n, n_opt| tv_radius(n, n_opt, bins, alpha).expect("a radius");
    let (mut canary, mut primary) = (vec![0; bins], vec![0; bins]);
    (primary[0], canary[0], canary[1]) = (n_primary, 3 * n_canary / 4, n_canary / 4);
    let found = total_variation(&canary, &primary).expect("a distance");
    assert!((found - case.number("tv_hat")).abs() < 1e-12, "a quarter of the canary's moved");
    let lower = tv_lower(&canary, &primary, opt_canary, opt_primary, alpha);
    vec![
        ("u_canary", radius(n_canary, opt_canary)),
        ("u_primary", radius(n_primary, opt_primary)),
        ("lcb", lower.expect("a bound")),
    ]
}

fn one_to_a_hundred_thousand() -> Found {
    let histogram = Latency::from_unsorted(1..=100_000);
    let asked = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];
    let mut found = quantiles(&histogram, &asked);
    found.push(("max", histogram.max().expect("a value") as f64));
    found
}

fn before_correction() -> Found {
    let mut histogram = Histogram::<11>::new();
    histogram.record_n(1_000, 10_000);
    histogram.record(100_000_000);
    let mut found = quantiles(&histogram, &[("raw_p99.99", 0.9999), ("raw_p99.999", 0.999_99)]);
    found.push(("raw_count", histogram.total() as f64));
    found
}

fn quantiles<const BITS: u32>(histogram: &Histogram<BITS>, asked: &[(&'static str, f64)]) -> Found {
    let quantile = |q| histogram.quantile(q).expect("a value") as f64;
    asked.iter().map(|(key, q)| (*key, quantile(*q))).collect()
}

fn beta_binomial(case: &Case, k: f64, n: f64, p: f64) -> f64 {
    let (a, b) = (case.number("a"), case.number("b"));
    ln_beta(a + k, b + n - k) - ln_beta(a, b) - k * p.ln() - (n - k) * (-p).ln_1p()
}

/// statistics.md §6.3.
fn dirichlet_multinomial(case: &Case) -> f64 {
    let (counts, shares) = (case.numbers("counts"), case.numbers("theta0"));
    let concentration = case.number("concentration");
    let n: f64 = counts.iter().sum();
    let arm = |(count, share): (&f64, &f64)| {
        let prior = concentration * share;
        ln_gamma(prior + count) - ln_gamma(prior) - count * share.ln()
    };
    let arms: f64 = counts.iter().zip(&shares).map(arm).sum();
    ln_gamma(concentration) - ln_gamma(concentration + n) + arms
}

fn ends(interval: Option<Interval>) -> Found {
    let interval = interval.expect("an interval");
    vec![("lower", interval.low), ("upper", interval.high)]
}
