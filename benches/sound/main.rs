//! Whether decisions are right on traffic as real topics bring it: how often a healthy candidate is rolled back, how
//! soon a sick one is, and what is said.
//!
//! `cargo bench --bench sound -- [--short] [--only WORDS]`: each row is a kind of traffic at 5, 50 and 500 requests a
//! second, many seeded runs of some hours each. Prints a table; fails where a healthy candidate is rolled back more
//! often than stated (never, where the cause is shared, missing, unreadable or unpairable), or a sick one isn't found.
#![expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench speaks, and draws whole numbers"
)]

mod random;
mod records;
mod scenarios;
mod traffic;
mod world;

use std::collections::BTreeMap;

use parallax::model::row::DecisionRow;
use parallax::model::rule::Action;
use random::Rng;
use records::Whole;
use scenarios::{Scenario, Shape, scenarios};
use traffic::Buckets;
use world::World;

const RATES: [f64; 3] = [5.0, 50.0, 500.0];
const RULES: &str = "rollback_when: [error_rate > 5%, null_rate > 1%, latency_p99 > 2x primary]\n";

/// What the runs of a row at a rate came to.
#[derive(Default)]
struct Runs {
    runs: u64,
    hours: f64,
    /// Hours that were simulated: a run ends with its rollback.
    ran: f64,
    rolled_back: u64,
    investigated: u64,
    /// Seconds from the beginning of the harm.
    took: Vec<f64>,
    /// Until anything was told.
    warned: Vec<f64>,
    /// How often each rule or trouble was the first that was told.
    told: BTreeMap<String, u64>,
}

impl Runs {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.hours += other.hours;
        self.ran += other.ran;
        self.rolled_back += other.rolled_back;
        self.investigated += other.investigated;
        self.took.extend(other.took);
        self.warned.extend(other.warned);
        for (word, count) in other.told {
            *self.told.entry(word).or_default() += count;
        }
    }
}

/// What a run decided and noticed, and for how many seconds it ran.
type Told = (Vec<DecisionRow>, Vec<String>, i64);

/// Runs until the candidate is rolled back, or for so many seconds.
fn told(scenario: &Scenario, rate: f64, seed: u64, seconds: i64) -> Told {
    let rules = scenario.rules.unwrap_or(RULES);
    let mut rng = Rng::new(seed);
    let is_over = |rows: &[DecisionRow]| rows.iter().any(|row| row.action == Action::Rollback);
    match &scenario.shape {
        Shape::Seconds(weather) => {
            let buckets = Buckets::new(scenario.sigma);
            let (mut world, mut ran) = (World::new(rules), 0);
            while ran < seconds && !is_over(&world.decisions) {
                let weather = weather(ran, &mut rng);
                world.take(&traffic::second(&mut rng, &buckets, rate, &weather));
                ran += 1;
            }
            (world.decisions, world.notices, ran)
        }
        Shape::Records(way) => {
            let (mut whole, mut ran) = (Whole::new(rules), 0);
            while ran < seconds && !is_over(&whole.decisions) {
                whole.take(ran, rate, &**way, &mut rng);
                ran += 1;
            }
            (whole.decisions, whole.notices, ran)
        }
    }
}

fn run(scenario: &Scenario, rate: f64, seed: u64, seconds: i64) -> Runs {
    let (decisions, notices, ran) = told(scenario, rate, seed, seconds);
    let hours = |seconds: i64| seconds as f64 / 3600.0;
    let mut runs = Runs { runs: 1, hours: hours(seconds), ran: hours(ran), ..Runs::default() };
    let since_harm = |row: &DecisionRow| World::seconds_at(row.time) - scenario.harm_from as f64;
    runs.warned.extend(decisions.first().map(since_harm));
    let rollback = decisions.iter().find(|row| row.action == Action::Rollback);
    if let Some(row) = rollback {
        runs.rolled_back = 1;
        runs.took.push(since_harm(row));
    }
    runs.investigated = u64::from(decisions.iter().any(|row| row.action == Action::Investigate));
    let first = decisions.first().map(|row| format!("{} {}", row.action.word(), row.rule));
    let told = first.or_else(|| notices.first().cloned());
    *runs.told.entry(told.unwrap_or_else(|| "nothing".to_owned())).or_default() += 1;
    runs
}

/// All runs of a row at a rate, on two threads.
fn row(scenario: &Scenario, rate: f64, short: bool) -> Runs {
    let (runs, seconds) = if short { scenario.short } else { scenario.long };
    let seed = |at: u64| {
        let name =
            scenario.name.bytes().fold(rate as u64, |sum, b| sum.wrapping_mul(31) + u64::from(b));
        name.wrapping_mul(100_003) + at
    };
    let half = |of: u64| {
        let mut all = Runs::default();
        (of..runs).step_by(2).for_each(|at| all.add(run(scenario, rate, seed(at), seconds)));
        all
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mut all = half(0);
        all.add(other.join().expect("the other half ran"));
        all
    })
}

/// Upper end of the 95 % interval of a share (Clopper & Pearson 1934), by bisection.
fn upper(hits: u64, runs: u64) -> f64 {
    let below = |p: f64| {
        // P(X ≤ hits) of a binomial.
        let (mut term, mut sum) = ((1.0 - p).powf(runs as f64), 0.0);
        for k in 0..=hits {
            sum += term;
            term *= (runs - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if 0.025 < below(middle) { low = middle } else { high = middle }
    }
    if hits == runs { 1.0 } else { high }
}

/// The median of seconds, where there is one.
fn median(seconds: &mut [f64]) -> String {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).map_or_else(|| "-".to_owned(), |s| format!("{s:.0}"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let short = arguments.iter().any(|a| a == "--short");
    let only = arguments.iter().position(|a| a == "--only").and_then(|at| arguments.get(at + 1));
    let (mut days, mut wrong) = (0.0, Vec::new());
    println!(
        "| traffic | requests/s | runs × hours | rolled back (95 % at most) | stated | rolled back after s | before | told after s | told first |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|---|");
    for scenario in scenarios().iter().filter(|s| only.is_none_or(|o| s.name.contains(o.as_str())))
    {
        for (at, rate) in RATES.into_iter().enumerate() {
            let mut runs = row(scenario, rate, short);
            days += runs.ran / 24.0;
            let stated = scenario.stated(runs.hours / runs.runs as f64);
            let told: Vec<String> =
                runs.told.iter().map(|(word, count)| format!("{word}: {count}")).collect();
            println!(
                "| {} | {rate} | {} × {:.1} | {} ({:.1} %) | {} | {} | {} | {} | {} |",
                scenario.name,
                runs.runs,
                runs.hours / runs.runs as f64,
                runs.rolled_back,
                upper(runs.rolled_back, runs.runs) * 100.0,
                stated.map_or_else(|| "found".to_owned(), |s| format!("{:.2} %", s * 100.0)),
                median(&mut runs.took),
                scenario.before.and_then(|before| before.get(at).copied()).unwrap_or("-"),
                if scenario.before.is_some() { median(&mut runs.warned) } else { "-".to_owned() },
                told.join(", ")
            );
            wrong.extend(scenario.judge(rate, runs.rolled_back, runs.runs, stated));
        }
    }
    println!("\n{days:.0} simulated days");
    for line in &wrong {
        println!("WRONG {line}");
    }
    assert!(wrong.is_empty(), "{} rows aren't as stated", wrong.len());
}
