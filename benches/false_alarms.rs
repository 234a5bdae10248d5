//! How often a healthy candidate is rolled back by chance, beside the naive reading of the same rules.
//!
//! `cargo bench --bench false_alarms -- [DAYS]`: simulated days of vitals, a third each at 5, 50 and
//! 500 requests a second; 1 % errors against 5 %, 0.2 % nulls against 1 %, log-normal latencies
//! (σ = 1) against twice the primary's p99. Every day is a rollout of its own for the naive count;
//! the engine's rules run on without end. Fails if they exceed the stated rate.
#![expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench speaks and may stop"
)]

use std::collections::BTreeMap;

use parallax::config;
use parallax::model::entry::VitalCounts;
use parallax::model::finding::Basis;
use parallax::model::spec::PipelineSpec;
use parallax::model::tally::Segment;
use parallax::model::time::{EventTime, Span};
use parallax::rules::deal::{Ledger, deal};
use parallax::rules::look::{Look, Seen};
use parallax::rules::watch::Watch;
use parallax::stats::histogram::CoarseLatency;

const DAY: i64 = 86_400;
const RULES: [&str; 3] = ["error_rate > 5%", "null_rate > 1%", "latency_p99 > 2x primary"];

struct Rng(u64);

impl Rng {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Poisson numbers by inversion, of a mean small enough for a table.
struct Poisson(Vec<f64>);

impl Poisson {
    fn new(mean: f64) -> Self {
        let (mut k, mut p) = (0.0, (-mean).exp());
        let mut sums = vec![p];
        while k < mean || 1e-18 < p {
            k += 1.0;
            p *= mean / k;
            sums.push(sums[sums.len() - 1] + p);
        }
        Self(sums)
    }

    fn draw(&self, rng: &mut Rng) -> u64 {
        let at = rng.unit();
        self.0.partition_point(|sum| *sum < at) as u64
    }
}

/// Latency buckets of a log-normal with σ = 1 and median 10 ms, with their probabilities.
fn buckets() -> Vec<(u64, f64)> {
    let cdf = |x: f64| 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
    (-12..16)
        .map(|k| {
            let (low, high) = (f64::from(k) / 4.0, f64::from(k + 1) / 4.0);
            ((10_000.0 * (low + 0.125).exp()) as u64, cdf(high) - cdf(low))
        })
        .collect()
}

/// Abramowitz and Stegun 7.1.26; good to 1.5e-7, plenty for a simulation's buckets.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly = ((((1.061_405_429 * t - 1.453_152_027) * t) + 1.421_413_741) * t - 0.284_496_736)
        * t
        + 0.254_829_592;
    (1.0 - poly * t * (-x * x).exp()).copysign(x)
}

/// Seconds of one arm.
struct Traffic {
    latency: Vec<(u64, Poisson)>,
    failed: Poisson,
    null: Poisson,
}

impl Traffic {
    fn new(rate: f64) -> Self {
        let latency = buckets()
            .into_iter()
            .map(|(value, chance)| (value, Poisson::new(rate * 0.99 * chance)))
            .collect();
        Self { latency, failed: Poisson::new(rate * 0.01), null: Poisson::new(rate * 0.99 * 0.002) }
    }

    fn second(&self, rng: &mut Rng) -> VitalCounts {
        let mut latency = CoarseLatency::default();
        for (value, number) in &self.latency {
            latency.record_n(*value, number.draw(rng));
        }
        let (failed, answered) = (self.failed.draw(rng), latency.total());
        let null = self.null.draw(rng).min(answered);
        VitalCounts { requests: answered + failed, failed, null, latency }
    }
}

#[derive(Default)]
struct Result {
    days: u64,
    alarms: Vec<String>,
    naive_days: [u64; 3],
}

fn simulate(spec: &PipelineSpec, rate: f64, days: u64, seed: u64) -> Result {
    let (mut rng, traffic) = (Rng(seed), Traffic::new(rate));
    let mut watches: Vec<Watch> = deal(spec, Vec::new(), ["", ""], &mut Ledger::default());
    watches.retain(|watch| watch.basis == Basis::Vitals);
    let fresh = watches.clone();
    let mut result = Result { days, ..Result::default() };
    for day in 0..days {
        let mut naive = [false; 3];
        for second_of_day in 0..DAY {
            let at = (day as i64 * DAY + second_of_day) * 1_000_000;
            let side = |counts: VitalCounts| BTreeMap::from([(Segment::all(), counts)]);
            let primary = side(traffic.second(&mut rng));
            let candidate = side(traffic.second(&mut rng));
            let look = Look {
                seen: Seen::Vitals { primary: &primary, candidate: &candidate },
                from: EventTime::from_us(at),
                to: EventTime::from_us(at).plus(Span::from_secs(1)),
                every_request: true,
            };
            for (at, watch) in watches.iter_mut().enumerate() {
                let rule = watch.rule;
                if let Some(shown) = watch.look(spec, &look) {
                    result.alarms.push(format!(
                        "{} at {rate}/s on day {day}: {:.1} nats",
                        RULES[rule], shown.log_evidence
                    ));
                    // A rollout ends with its rollback; the next one begins afresh.
                    *watch = fresh[at].clone();
                }
            }
            let (c, p) = (&candidate[&Segment::all()], &primary[&Segment::all()]);
            naive[0] |= 0 < c.requests && 0.05 < c.failed as f64 / c.requests as f64;
            naive[1] |= 0 < c.answered() && 0.01 < c.null as f64 / c.answered() as f64;
            let slower = |q: &CoarseLatency| q.quantile(0.99);
            naive[2] |= slower(&c.latency).zip(slower(&p.latency)).is_some_and(|(c, p)| 2 * p < c);
        }
        for (count, crossed) in result.naive_days.iter_mut().zip(naive) {
            *count += u64::from(crossed);
        }
    }
    result
}

fn main() {
    let days: u64 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(30);
    let text = format!(
        "pipeline: p\nprimary: {{topic: a}}\ncandidates: {{b: {{topic: b}}}}\nrollback_when: [{}]\n",
        RULES.join(", ")
    );
    let spec = config::load(&text, "p", &std::collections::HashMap::new())
        .expect("the pipeline loads")
        .spec;
    let each = days.div_ceil(3);
    let mut total = Result::default();
    println!(
        "rate/s   days   alarms   days on which the naive reading fires: {}",
        RULES.join(" | ")
    );
    for (rate, seed) in [(5.0, 1_u64), (50.0, 2), (500.0, 3)] {
        let run = |half: u64, days: u64| simulate(&spec, rate, days, seed * 1000 + half);
        let result = std::thread::scope(|scope| {
            let other = scope.spawn(|| run(1, each / 2));
            let mut one = run(0, each - each / 2);
            let other = other.join().expect("the other half ran");
            one.days += other.days;
            one.alarms.extend(other.alarms);
            one.naive_days.iter_mut().zip(other.naive_days).for_each(|(a, b)| *a += b);
            one
        });
        println!(
            "{rate:6}   {:4}   {:6}   {:?}",
            result.days,
            result.alarms.len(),
            result.naive_days
        );
        total.days += result.days;
        total.alarms.extend(result.alarms);
    }
    for alarm in &total.alarms {
        println!("ALARM {alarm}");
    }
    // Two halves of three rates are six rollouts: 1 % each, and one alarm a year of looking.
    let expected = 6.0 * 0.01 + total.days as f64 / 365.0;
    let allowed = (expected + 3.0 * expected.sqrt()).ceil();
    println!(
        "{} alarms in {} days; stated: at most {expected:.2} on average, {allowed} tolerated",
        total.alarms.len(),
        total.days
    );
    assert!(total.alarms.len() as f64 <= allowed, "more false alarms than stated");
}
