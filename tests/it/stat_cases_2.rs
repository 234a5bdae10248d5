//! The statistics of continued watching against numbers that were computed to fifty digits.
//!
//! In: `tests/data/stat-cases-2.json`, each case with inputs, formula, expected numbers and
//! tolerance. Out: a failure that names the case and the number. Holds: every case is computed by the
//! functions of `stats` (thresholds by the dealing of rules), none is skipped, and every expected
//! number is compared. Knows nothing of: streams.

use std::collections::HashMap;

use parallax::model::rule::Action;
use parallax::rules::budget::{ErrorBudget, allot};
use parallax::rules::watch::Watch;
use parallax::stats::attribution::attribution;
use parallax::stats::betting::{self, block_increment};
use parallax::stats::block_min::BlockMin;
use parallax::stats::change_prior::{self, ChangePrior};
use parallax::stats::detector::{Detector, log_threshold};
use parallax::stats::ebh::e_bh;
use parallax::stats::grid::{MULTIPLIERS, RateGrid, log_mean_exp, sample_needed};
use parallax::stats::kernel;
use parallax::stats::onset_set::OnsetSet;
use parallax::stats::overdispersion::Overdispersion;
use parallax::stats::proportion::Rate;
use parallax::stats::quantile_cs::{Beyond, quantile_ranks};
use parallax::stats::shift::tv_radius;
use parallax::stats::shift_betting::{self, ShiftBetting};
use parallax::stats::spending::SpendingSr;
use parallax::stats::sr::Sr;
use parallax::stats::tempered::tempered;
use serde_json::{Value, json};

use crate::stat_case::{Case, cases, list};

impl Case {
    fn rows<const N: usize>(&self, input: &str) -> Vec<[u64; N]> {
        list(&self.inputs[input]).iter().map(row).collect()
    }

    fn grid(&self) -> RateGrid {
        RateGrid::exceeds(self.number("limit")).expect("a limit")
    }
}

fn row<const N: usize>(value: &Value) -> [u64; N] {
    std::array::from_fn(|at| value[at].as_u64().expect("a count"))
}

/// Compares two values of one shape; returns how many leaves were compared.
fn compare(found: &Value, expected: &Value, abs: f64, at: &str) -> usize {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{at}");
            a.iter().map(|(key, a)| compare(a, &b[key], abs, &format!("{at} {key}"))).sum()
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{at}: so many numbers");
            let each = a.iter().zip(b).enumerate();
            each.map(|(place, (a, b))| compare(a, b, abs, &format!("{at}[{place}]"))).sum()
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
            // The one expectation of 5e10 is given to fewer digits than `abs` says.
            let error = (a - b).abs();
            assert!(error <= abs.max(1e-13 * b.abs()), "{at}: {a} is not {b}");
            1
        }
        _ => {
            assert_eq!(found, expected, "{at}");
            1
        }
    }
}

#[test]
fn every_case_holds() {
    let cases = cases("tests/data/stat-cases-2.json");
    let mut compared = 0;
    for case in &cases {
        compared += compare(&compute(case), &case.expected, case.tolerance["abs"], &case.name);
    }
    assert_eq!((cases.len(), compared), (34, 447), "cases and numbers");
}

fn compute(case: &Case) -> Value {
    match case.method.as_str() {
        "deal" => dealt(case),
        "tv_radius" => radius(case),
        "e_sr_grid" => detectors(case),
        "change_prior" => prior(case),
        "spending_sr" if case.inputs.contains_key("healthy") => spending(case),
        "spending_sr" => spending_expectation(case),
        "tempered_grid" if case.inputs.contains_key("looks") => {
            let (grid, m) = (case.grid(), case.number("m"));
            evidence(case, |k, n| tempered(&grid.increment(k, n), m))
        }
        "tempered_grid" => clusters_expectation(case),
        "block_betting" => {
            same(&case.numbers("c"), &betting::STAKES);
            let limit = case.number("limit");
            evidence(case, |k, n| block_increment(limit, k, n).expect("an increment").to_vec())
        }
        "overdispersion_ratio" => overdispersion(case),
        "e_sr_kernel" => kernel_sr(case),
        "e_min_union" => union(),
        "e_block_min" if case.inputs.contains_key("block_s") => block_min(case),
        "e_block_min" => block_expectation(case),
        "latency_kernel" => slow_unpaired(case),
        "latency_paired" => {
            let rows = case.rows::<2>("pairs_b_c");
            summed(rows.into_iter().map(|[b, c]| kernel::paired_increment(&MULTIPLIERS, b, c)))
        }
        "quantile_cs_ranks" => ranks(case),
        "quantile_fixed_x" => fixed_x(case),
        "shift_betting" if case.inputs.contains_key("classes") => shift(case),
        "shift_betting" => shift_expectation(case),
        "e_bh" => {
            let log_e: Vec<f64> = case.numbers("e_values").iter().map(|e| e.ln()).collect();
            let rejected = e_bh(&log_e, case.number("alpha"));
            json!({ "k_star": rejected.len(), "rejected": rejected })
        }
        "attribution" => attributed(case),
        "onset_set" => onsets(case),
        "sample_needed" => {
            let at = |key| case.number(key);
            let needed = sample_needed(at("limit"), at("rate"), at("log_threshold"), at("z"));
            json!({ "needed": needed })
        }
        other => panic!("{}: nobody computes {other}", case.name),
    }
}

fn same(of_case: &[f64], ours: &[f64]) {
    assert!(of_case.iter().zip(ours).all(|(a, b)| a.total_cmp(b).is_eq()), "{of_case:?}");
    assert_eq!(of_case.len(), ours.len());
}

/// The thresholds of watches as the product deals them.
fn dealt(case: &Case) -> Value {
    let rules = match case.count("watches") {
        4 => "[error_rate > 5%, latency_p99 > 2x primary]",
        _ => "[error_rate > 5%, latency_p99 > 2x primary, match_rate < 90% for 5m]",
    };
    let text = format!(
        "pipeline: p\nprimary: {{topic: a}}\ncandidates: {{b: {{topic: b}}}}\nrollback_when: {rules}\n\
         investigate_when: [missing_rate > 5%, unreadable_rate > 1%]\ncertainty: {{per_rollout: 1%}}\ntime: {{pane: 10s}}\n"
    );
    let loaded = parallax::config::load(&text, "p.yaml", &HashMap::new());
    let spec = loaded.map_err(|problems| problems.render(false)).unwrap().spec;
    let watches = allot(&spec, Vec::new(), ["", ""], &mut ErrorBudget::default());
    let may_roll_back = |watch: &&Watch| spec.rules[watch.rule].action == Action::Rollback;
    let count = watches.iter().filter(may_roll_back).count();
    assert_eq!(count as u64, case.count("watches"), "{}", case.name);
    let watch = &watches[0];
    let share = watch.chance() / case.number("per_rollout");
    let interval_share = watch.share_of_interval(&spec);
    let threshold = |look_s: u64| log_threshold(case.count("interval_s") / look_s, interval_share);
    json!({
        "share": share,
        "rollout": -watch.chance().ln(),
        "vitals": threshold(1),
        "panes": threshold(case.count("pane_s")),
    })
}

fn radius(case: &Case) -> Value {
    let categories = usize::try_from(case.count("categories")).expect("a length");
    let found = tv_radius(case.count("n"), case.number("n_opt"), categories, case.number("alpha"));
    let radius = found.expect("a radius");
    json!({ "radius": radius, "least_shown_at_limit_20pct": 0.2 + 2.0 * radius })
}

fn detectors(case: &Case) -> Value {
    same(&case.numbers("multipliers"), &MULTIPLIERS);
    let grid = case.grid();
    let (mut sr, mut old) = (Sr::new(), Detector::new());
    let [mut log_sr, mut log_cusum, mut plain, mut onset] = [const { Vec::new() }; 4];
    for [events, total] in case.rows::<2>("looks") {
        if total == 0 {
            continue;
        }
        let increment = grid.increment(events, total);
        assert!(sr.advance(&increment) && old.advance(&increment));
        log_sr.push(json!(sr.log_sr()));
        log_cusum.push(json!(old.log_cusum()));
        plain.push(json!(old.log_e()));
        onset.push(json!(old.onset()));
    }
    json!({ "log_sr": log_sr, "log_cusum": log_cusum, "log_plain_max": plain, "onset_look": onset })
}

fn prior(case: &Case) -> Value {
    let minutes: Vec<u64> =
        list(&case.inputs["minutes"]).iter().map(|m| m.as_u64().expect("a minute")).collect();
    let of = |value: &dyn Fn(u64) -> f64| minutes.iter().map(|m| value(*m)).collect::<Vec<_>>();
    json!({
        "weight": of(&change_prior::weight),
        "left": of(&change_prior::left),
        "log_weight_per_second": of(&|m| ChangePrior::of_seconds().weight(60 * m + 59).ln()),
    })
}

fn of_looks_per_minute(case: &Case) -> ChangePrior {
    ChangePrior::of_looks(60_000_000 / case.count("looks_per_minute"))
}

fn spending(case: &Case) -> Value {
    let (grid, threshold) = (case.grid(), -case.number("alpha").ln());
    let mut process = SpendingSr::new(of_looks_per_minute(case));
    let healthy = vec![row::<2>(&case.inputs["healthy"]); case.count("looks_healthy") as usize];
    let then = case.rows::<2>("then").repeat(case.count("times") as usize);
    let (mut log_s, mut crossed) = (Vec::new(), None);
    for [events, total] in healthy.into_iter().chain(then) {
        assert!(process.advance(&grid.increment(events, total)));
        if [1, 300, 310, 320, 330].contains(&process.looks()) {
            log_s.push(process.log_s());
        }
        if crossed.is_none() && threshold <= process.log_s() {
            crossed = Some(process.looks());
        }
    }
    json!({ "log_s": log_s, "threshold": threshold, "crossed_at_look": crossed })
}

fn spending_expectation(case: &Case) -> Value {
    let (grid, p) = (case.grid(), case.number("limit"));
    assert_eq!((case.count("looks"), case.count("n")), (4, 2));
    let chance = [(1.0 - p) * (1.0 - p), 2.0 * p * (1.0 - p), p * p];
    let (mut expectation, mut left) = (0.0, 0.0);
    for outcome in 0..81_u64 {
        let mut process = SpendingSr::new(of_looks_per_minute(case));
        let events = [outcome % 3, outcome / 3 % 3, outcome / 9 % 3, outcome / 27];
        for events in events {
            process.advance(&grid.increment(events, 2));
        }
        let weight: f64 = events.iter().map(|events| chance[*events as usize]).product();
        expectation += weight * process.log_s().exp();
        left = process.left();
    }
    json!({ "expectation": expectation, "mass_left": left, "sum": expectation + left })
}

/// Log evidence as a plain product and as e-SR, look by look.
fn evidence(case: &Case, increment: impl Fn(u64, u64) -> Vec<f64>) -> Value {
    let (mut sum, mut sr) = ([0.0; 7], Sr::new());
    let (mut log_e, mut log_sr) = (Vec::new(), Vec::new());
    for [events, total] in case.rows::<2>("looks") {
        let increment = increment(events, total);
        add(&mut sum, &increment);
        sr.advance(&increment);
        log_e.push(log_mean_exp(&sum));
        log_sr.push(sr.log_sr());
    }
    json!({ "log_e": log_e, "log_sr": log_sr })
}

fn add(sum: &mut [f64; 7], increment: &[f64]) {
    sum.iter_mut().zip(increment).for_each(|(sum, more)| *sum += more);
}

fn summed(increments: impl Iterator<Item = Vec<f64>>) -> Value {
    let mut sum = [0.0; 7];
    increments.for_each(|increment| add(&mut sum, &increment));
    json!({ "log_components": sum, "log_e": log_mean_exp(&sum) })
}

fn clusters_expectation(case: &Case) -> Value {
    let (grid, p) = (case.grid(), case.number("limit"));
    let (m, clusters) = (case.count("m"), case.count("clusters"));
    let expectation = |divisor: f64| -> f64 {
        let of = |(failing, chance): (u64, f64)| {
            let increment = grid.increment(m * failing, m * clusters);
            chance * log_mean_exp(&tempered(&increment, divisor)).exp()
        };
        binomial(clusters, p).into_iter().map(of).sum()
    };
    json!({ "raw": expectation(1.0), "tempered": expectation(m as f64) })
}

/// The chances of 0 to n events.
fn binomial(n: u64, p: f64) -> Vec<(u64, f64)> {
    let mut ways = 1.0;
    let chance = |k: u64| {
        let chance = ways * p.powf(k as f64) * (1.0 - p).powf((n - k) as f64);
        ways *= (n - k) as f64 / (k + 1) as f64;
        (k, chance)
    };
    (0..=n).map(chance).collect()
}

fn overdispersion(case: &Case) -> Value {
    let mut sums = Overdispersion::default();
    case.rows::<2>("looks").iter().for_each(|[events, total]| sums.add(*events, *total));
    json!({ "phi": sums.phi(), "divisor": sums.divisor(), "pairs": sums.pairs() })
}

fn rate(hits: u64, total: u64) -> Rate {
    Rate { hits, total }
}

fn kernel_sr(case: &Case) -> Value {
    let mut sr = Sr::new();
    let log_sr = case.rows::<4>("strata").into_iter().map(|[n1, n2, k1, k2]| {
        let (first, second) = (rate(k1, n1), rate(k2, n2));
        let increment = kernel::increment(&MULTIPLIERS, first, second, case.number("psi0"));
        increment.iter().for_each(|increment| assert!(sr.advance(increment)));
        sr.log_sr()
    });
    json!({ "log_sr": log_sr.collect::<Vec<_>>() })
}

fn versus(first: Rate, second: Rate) -> Vec<f64> {
    kernel::increment(&MULTIPLIERS, first, second, 1.0).expect("an increment")
}

/// The looks stand in the case as a sentence.
fn union() -> Value {
    let grid = RateGrid::exceeds(0.05).expect("a limit");
    let (mut limit, mut own) = (Sr::new(), Sr::new());
    let [mut log_rate, mut log_versus, mut log_min] = [const { Vec::new() }; 3];
    for (times, k1, k2) in [(30, 0, 0), (50, 13, 13), (30, 0, 1)] {
        for _ in 0..times {
            limit.advance(&grid.increment(k1, 40));
            own.advance(&versus(rate(k1, 40), rate(k2, 40)));
        }
        log_rate.push(limit.log_sr());
        log_versus.push(own.log_sr());
        log_min.push(limit.log_sr().min(own.log_sr()));
    }
    json!({ "log_rate": log_rate, "log_versus_primary": log_versus, "log_min": log_min })
}

/// The looks stand in the case as a sentence.
fn block_min(case: &Case) -> Value {
    let lengths: Vec<u32> =
        list(&case.inputs["block_s"]).iter().map(|b| b.to_string().parse().unwrap()).collect();
    let (grid, mut evidence) = (case.grid(), BlockMin::new(&lengths, ChangePrior::of_seconds()));
    let mut part = |times: u64, counts: &dyn Fn(u64) -> (u64, u64)| {
        for t in 0..times {
            let (k1, k2) = counts(t);
            assert!(evidence.advance(&grid.increment(k1, 20), &versus(rate(k1, 20), rate(k2, 20))));
        }
        evidence.log_r()
    };
    let before = part(120, &|t| (t % 2, u64::from(t % 5 == 0)));
    let during = part(60, &|t| (7, if t % 2 == 1 { 6 } else { 7 }));
    let after = part(60, &|t| (t % 2, 0));
    json!({ "log_r": [before, during, after] })
}

/// One block of one look, so that the mean of R is that of its e-value.
fn block_expectation(case: &Case) -> Value {
    let (grid, n) = (case.grid(), case.count("n"));
    let mut expectation = 0.0;
    for (k1, chance1) in binomial(n, case.number("p_candidate")) {
        for (k2, chance2) in binomial(n, case.number("p_primary")) {
            let mut evidence = BlockMin::new(&[1], ChangePrior::of_seconds());
            evidence.advance(&grid.increment(k1, n), &versus(rate(k1, n), rate(k2, n)));
            expectation += chance1 * chance2 * evidence.log_r().exp();
        }
    }
    json!({ "expectation": expectation })
}

fn slow_unpaired(case: &Case) -> Value {
    summed(list(&case.inputs["panes"]).iter().map(|pane| {
        let count = |key: &str| pane[key].as_u64().expect("a count");
        let candidate = rate(count("slow_candidate"), count("n_candidate"));
        versus(candidate, rate(count("slow_primary"), count("n_primary")))
    }))
}

fn ranks(case: &Case) -> Value {
    let (n, p) = (case.count("n"), case.number("p"));
    let ranks = quantile_ranks(n, p, case.number("alpha"), case.number("kappa")).expect("ranks");
    // The upper end of a 99 % one-sided interval at one fixed look.
    let fixed = (n as f64 * p + 2.326 * (n as f64 * p * (1.0 - p)).sqrt()).ceil() as u64;
    json!({
        "lower_rank": ranks.lower, "upper_rank": ranks.upper, "reference_rs_rank": fixed,
    })
}

fn fixed_x(case: &Case) -> Value {
    let candidate = rate(case.count("beyond_rx_candidate"), case.count("n_candidate"));
    let primary = rate(case.count("beyond_x_primary"), case.count("n_primary"));
    let found = Beyond::at(case.number("p"), candidate, primary).expect("evidence");
    json!({
        "log_e_primary": found.log_e_second,
        "log_e_candidate": found.log_e_first,
        "log_e": found.log_e(),
    })
}

fn shift(case: &Case) -> Value {
    same(&case.numbers("c"), &shift_betting::STAKES);
    let names = ["0", "1", "2"];
    let mut bets = ShiftBetting::exceeds(case.number("tau"), names.len()).expect("a limit");
    let (mut sum, mut sr) = ([0.0; 7], Sr::new());
    let pane = |pane: &Value| {
        let set: Vec<u64> = bets.set().map(|class| class.parse().expect("a class")).collect();
        let cells = list(pane).iter().map(row::<3>);
        let cells = cells.map(|[a, b, count]| (names[a as usize], names[b as usize], count));
        let scored = bets.pane(cells, 0);
        add(&mut sum, &scored.increment);
        sr.advance(&scored.increment);
        json!({
            "set": set, "plus": scored.plus, "minus": scored.minus, "zero": scored.zero,
            "log_e": log_mean_exp(&sum), "log_sr": sr.log_sr(),
        })
    };
    let panes = list(&case.inputs["panes_primary_candidate_count"]).iter().map(pane);
    json!({ "panes": panes.collect::<Vec<_>>() })
}

/// After a pane that moved `a` to `b`, three pairs with the given chances of a score.
fn shift_expectation(case: &Case) -> Value {
    let (plus, minus) = (case.number("p_plus"), case.number("p_minus"));
    let mut bets = ShiftBetting::exceeds(case.number("tau"), 2).expect("a limit");
    bets.pane([("a", "b", 1)], 0);
    let scores = [("a", "b", plus), ("b", "a", minus), ("a", "a", 1.0 - plus - minus)];
    let mut expectation = 0.0;
    for outcome in 0..27_usize {
        let pairs = [outcome % 3, outcome / 3 % 3, outcome / 9].map(|at| scores[at]);
        let chance: f64 = pairs.iter().map(|(_, _, chance)| chance).product();
        let scored = bets.clone().pane(pairs.map(|(a, b, _)| (a, b, 1)), 0);
        expectation += chance * log_mean_exp(&scored.increment).exp();
    }
    json!({ "expectation": expectation })
}

fn attributed(case: &Case) -> Value {
    let limit = case.number("limit");
    let segments = case.inputs["segments"].as_object().expect("segments");
    let arms = |segment: &Value| {
        let count = |key: &str| segment[key].as_u64().expect("a count");
        let primary = rate(count("primary_failed"), count("primary_total"));
        (rate(count("failed"), count("total")), primary)
    };
    let parts: Vec<(Rate, Rate)> = segments.values().map(arms).collect();
    let excess = |(arm, _): &(Rate, Rate)| (arm.hits as f64 - limit * arm.total as f64).max(0.0);
    let all: f64 = parts.iter().map(excess).sum();
    let found = segments.keys().zip(&parts).zip(attribution(&parts)).map(|((name, arms), part)| {
        let part = part.expect("both arms");
        let value = json!({
            "of_excess_over_limit": excess(arms) / all, "change": part.change,
            "of_change": part.of_change, "of_traffic": part.of_traffic, "z": part.z,
            "named": part.is_named,
        });
        (name.clone(), value)
    });
    Value::Object(found.collect())
}

fn onsets(case: &Case) -> Value {
    let looks: Vec<(u64, u64)> = case.rows::<2>("looks").iter().map(|[k, n]| (*k, *n)).collect();
    let set = OnsetSet::of(&case.grid(), &looks, case.number("alpha")).expect("a set");
    json!({ "kept": set.kept, "first": set.first(), "last": set.last(), "point": set.point })
}
