//! Kinds of traffic, and what must be decided on each.
//!
//! In: a second. Out: the chances of both arms in it. Holds: what is healthy by construction is marked so. Knows
//! nothing of: the engine.

use crate::random::Rng;
use crate::records::{Delivery, Way};
use crate::traffic::{Chances, Weather};

/// What is true of the candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// As good as the primary, and within all limits: rolled back no more often than stated.
    Healthy,
    /// What happens isn't its fault, or nobody can know: never rolled back.
    NotItsFault,
    /// It is sick, and must be found.
    Sick,
}

/// What happens at a second.
type Sky = dyn Fn(i64, &mut Rng) -> Weather + Sync;

/// What is simulated.
pub(crate) enum Shape {
    /// Counts of each second.
    Seconds(Box<Sky>),
    /// Records, each with its way.
    Records(Box<Way>),
}

/// A kind of traffic.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) truth: Truth,
    pub(crate) rules: Option<&'static str>,
    /// Spread of the logarithm of latencies.
    pub(crate) sigma: f64,
    pub(crate) harm_from: i64,
    /// Median seconds until the rollback at each rate, as the engine of log version 1 had it on the same traffic;
    /// by then missing answers were failures.
    pub(crate) before: Option<[&'static str; 3]>,
    /// Runs, and seconds of each.
    pub(crate) long: (u64, i64),
    pub(crate) short: (u64, i64),
    pub(crate) shape: Shape,
}

impl Scenario {
    /// The share of rollouts of so many hours that may be rolled back by chance; none where it must be found.
    pub(crate) fn stated(&self, hours: f64) -> Option<f64> {
        match self.truth {
            Truth::Healthy => Some(0.01 + hours / 24.0 / 365.0),
            Truth::NotItsFault => Some(0.0),
            Truth::Sick => None,
        }
    }

    /// What is wrong with the row.
    pub(crate) fn judge(
        &self,
        rate: f64,
        hits: u64,
        runs: u64,
        stated: Option<f64>,
    ) -> Option<String> {
        let what = format!("{} at {rate}/s: {hits} of {runs} rolled back", self.name);
        match stated {
            None => (hits < runs).then(|| format!("{what}, and all should be")),
            Some(stated) => {
                let mean = stated * runs as f64;
                let allowed = if stated == 0.0 { 0.0 } else { (mean + 3.0 * mean.sqrt()).ceil() };
                (allowed < hits as f64).then(|| format!("{what}, at most {allowed} by chance"))
            }
        }
    }
}

const HOUR: i64 = 3600;

fn healthy(
    name: &'static str,
    weather: impl Fn(i64, &mut Rng) -> Weather + Sync + 'static,
) -> Scenario {
    Scenario {
        name,
        truth: Truth::Healthy,
        rules: None,
        sigma: 0.6,
        harm_from: 0,
        before: None,
        long: (60, 8 * HOUR),
        short: (4, HOUR),
        shape: Shape::Seconds(Box::new(weather)),
    }
}

fn blameless(
    name: &'static str,
    weather: impl Fn(i64, &mut Rng) -> Weather + Sync + 'static,
) -> Scenario {
    let truth = Truth::NotItsFault;
    Scenario { truth, long: (150, HOUR), short: (6, 1800), ..healthy(name, weather) }
}

/// The candidate isn't to blame for how its answers are delivered.
fn delivered(
    name: &'static str,
    way: impl Fn(f64, usize, &mut Rng) -> Delivery + Sync + 'static,
) -> Scenario {
    Scenario {
        shape: Shape::Records(Box::new(way)),
        long: (20, HOUR),
        short: (2, 900),
        ..blameless(name, |_, _| Weather::FAIR)
    }
}

/// Sick from the twentieth minute on.
fn sick(
    name: &'static str,
    hours: i64,
    before: [&'static str; 3],
    weather: impl Fn(&mut Weather) + Sync + 'static,
) -> Scenario {
    let shape = move |second: i64, _: &mut Rng| {
        let mut fair = Weather::FAIR;
        if 1200 <= second {
            weather(&mut fair);
        }
        fair
    };
    let base = healthy(name, shape);
    let harm_from = 1200;
    Scenario {
        truth: Truth::Sick,
        harm_from,
        before: Some(before),
        long: (20, hours * HOUR),
        short: (2, hours * HOUR),
        ..base
    }
}

fn failing(fails: f64, cluster: u64) -> Chances {
    Chances { fails, cluster, ..Chances::HEALTHY }
}

/// The same, and a key of the records tells which come together.
fn keyed(fails: f64, cluster: u64) -> Chances {
    Chances { keyed: true, ..failing(fails, cluster) }
}

fn within(second: i64, from: i64, length: i64) -> bool {
    (from..from + length).contains(&second)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = at_the_limit();
    all.extend(clusters());
    all.extend(shared());
    all.extend(lossy());
    all.extend(deliveries());
    all.extend(sick_ones());
    all.extend(in_blocks());
    all
}

fn at_the_limit() -> Vec<Scenario> {
    vec![
        healthy("healthy: 1 % errors", |_, _| Weather::FAIR),
        healthy("exactly at the limit: 5 % errors, 1 % null", |_, _| {
            Weather::both(Chances { fails: 0.05, null: 0.01, ..Chances::HEALTHY })
        }),
        healthy("exactly twice as slow", |_, _| Weather {
            candidate: Chances { slower: 2.0, ..Chances::HEALTHY },
            ..Weather::FAIR
        }),
        healthy("candidate alone at the limit", |_, _| Weather {
            candidate: failing(0.05, 1),
            ..Weather::FAIR
        }),
        healthy("both steadily at 6 %", |_, _| Weather::both(failing(0.06, 1))),
        healthy("a daily wave of 0 to 4.8 % in both", |second, _| {
            let phase = second as f64 / 86_400.0 * std::f64::consts::TAU * 4.0;
            Weather::both(failing(0.024 * (1.0 + phase.sin()), 1))
        }),
        healthy("a ramp of the candidate from 1 to 4.8 %", |second, _| {
            let done = second as f64 / (8 * HOUR) as f64;
            Weather { candidate: failing(0.01 + 0.038 * done, 1), ..Weather::FAIR }
        }),
        Scenario { sigma: 1.0, ..healthy("heavy tails in both", |_, _| Weather::FAIR) },
    ]
}

fn clusters() -> Vec<Scenario> {
    vec![
        healthy("failures in twos at the limit, both", |_, _| Weather::both(failing(0.05, 2))),
        healthy("failures in fives at 60 % of the limit, candidate", |_, _| Weather {
            candidate: failing(0.03, 5),
            ..Weather::FAIR
        }),
        healthy("one pod in ten fails 30 % for 5 min each hour", |second, _| {
            let bursts = 600 <= second % HOUR && second % HOUR < 900;
            let fails = if bursts { 0.9 * 0.01 + 0.1 * 0.3 } else { 0.01 };
            Weather { candidate: failing(fails, 1), ..Weather::FAIR }
        }),
        healthy("failures in twenties at 1 %, both", |_, _| Weather::both(failing(0.01, 20))),
        healthy("failures in twenties at the limit, both, with a cluster key", |_, _| {
            Weather::both(keyed(0.05, 20))
        }),
        healthy("failures in twenties at the limit, candidate, with a cluster key", |_, _| {
            Weather { primary: keyed(0.01, 1), candidate: keyed(0.05, 20), ..Weather::FAIR }
        }),
        healthy("failures in twenties at 1 %, candidate", |_, _| Weather {
            candidate: failing(0.01, 20),
            ..Weather::FAIR
        }),
    ]
}

/// Each look is one observation, whatever comes together in it.
fn in_blocks() -> Vec<Scenario> {
    let rules = Some(
        "rollback_when: [error_rate > 5%, null_rate > 1%, latency_p99 > 2x primary]\n\
         certainty: {dependence: blocks}\n",
    );
    let candidate = |fails: f64, cluster: u64| {
        move |_: i64, _: &mut Rng| Weather { candidate: failing(fails, cluster), ..Weather::FAIR }
    };
    let all = vec![
        healthy("blocks: failures in twenties at 1 %, candidate", candidate(0.01, 20)),
        healthy("blocks: failures in twenties at the limit, candidate", candidate(0.05, 20)),
        healthy("blocks: candidate alone at the limit", candidate(0.05, 1)),
        sick("blocks: sick, errors 1 to 10 %", 1, ["-"; 3], |weather: &mut Weather| {
            weather.candidate.fails = 0.1;
        }),
        sick("blocks: sick, errors 1 to 30 %", 1, ["-"; 3], |weather: &mut Weather| {
            weather.candidate.fails = 0.3;
        }),
    ];
    all.into_iter().map(|scenario| Scenario { rules, ..scenario }).collect()
}

fn shared() -> Vec<Scenario> {
    let outage = |length: i64| {
        move |second: i64, _: &mut Rng| {
            let down = within(second, 600, length);
            Weather::both(failing(if down { 0.33 } else { 0.01 }, 1))
        }
    };
    let slow = |length: i64| {
        move |second: i64, _: &mut Rng| {
            let slower = if within(second, 600, length) { 3.0 } else { 1.0 };
            Weather::both(Chances { slower, ..Chances::HEALTHY })
        }
    };
    vec![
        blameless("shared outage of 10 s", outage(10)),
        blameless("shared outage of 1 min", outage(60)),
        blameless("shared outage of 10 min", outage(600)),
        blameless("shared slowdown of 2 min", slow(120)),
        blameless("shared slowdown of 10 min", slow(600)),
        blameless("shared outage, candidate worse below the limit", |second, _| {
            let down = within(second, 600, 60);
            let ours = failing(if down { 0.325 } else { 0.01 }, 1);
            Weather { candidate: failing(if down { 0.33 } else { 0.02 }, 1), ..Weather::both(ours) }
        }),
        blameless("backlog in which the candidate failed", |second, _| Weather {
            candidate: failing(if second < 1200 { 0.5 } else { 0.01 }, 1),
            old: second < 1200,
            ..Weather::FAIR
        }),
    ]
}

fn lossy() -> Vec<Scenario> {
    vec![
        blameless("mirror loses 0.5 %", |_, _| Weather { missing: 0.005, ..Weather::FAIR }),
        blameless("mirror loses 2.5 %", |_, _| Weather { missing: 0.025, ..Weather::FAIR }),
        blameless("mirror loses 5 %", |_, _| Weather { missing: 0.05, ..Weather::FAIR }),
        blameless("mirror samples 10 %, unsaid", |_, _| Weather { missing: 0.9, ..Weather::FAIR }),
        blameless("half of its records unreadable", |_, _| Weather {
            unreadable: 0.5,
            ..Weather::FAIR
        }),
        blameless("all of its records unreadable", |_, _| Weather {
            unreadable: 1.0,
            ..Weather::FAIR
        }),
        blameless("only its failures can be read", |_, _| Weather {
            only_failures: true,
            ..Weather::FAIR
        }),
        blameless("no id in common", |_, _| Weather { unpairable: 1.0, ..Weather::FAIR }),
        blameless("a tenth of its ids unknown", |_, _| Weather {
            unpairable: 0.1,
            ..Weather::FAIR
        }),
    ]
}

fn deliveries() -> Vec<Scenario> {
    let when = |time: f64, from: i64, length: i64| within(time as i64, from, length);
    vec![
        delivered("3 % fail, and those come three times", |_, _, _| Delivery {
            candidate_fails: 0.03,
            copies_of_failed: 3,
            ..Delivery::FAIR
        }),
        delivered("a tenth comes two minutes late", |_, _, rng| Delivery {
            after: if rng.unit() < 0.1 { 120.0 } else { 0.2 },
            ..Delivery::FAIR
        }),
        delivered("one partition stands still for 4 min", move |time, task, _| {
            let stands = task == 1 && when(time, 300, 240);
            Delivery {
                after: if stands { 540.0 - time } else { 0.2 },
                is_held: stands,
                ..Delivery::FAIR
            }
        }),
        delivered("one producer's clock is 90 s behind", |_, task, _| Delivery {
            clock: if task == 2 { -90.0 } else { 0.0 },
            ..Delivery::FAIR
        }),
        delivered("transactions of a minute", |time, _, _| Delivery {
            after: 60.0 - time % 60.0 + 0.2,
            is_held: true,
            ..Delivery::FAIR
        }),
        delivered("shared outage read from copies", move |time, _, _| {
            let fails = if when(time, 300, 60) { 0.33 } else { 0.01 };
            Delivery {
                primary_fails: fails,
                candidate_fails: fails,
                copies_of_failed: 3,
                ..Delivery::FAIR
            }
        }),
    ]
}

fn sick_ones() -> Vec<Scenario> {
    let errors = |name, hours, before, fails: f64| {
        sick(name, hours, before, move |weather| weather.candidate.fails = fails)
    };
    let slower = |name, hours, before, times: f64| {
        sick(name, hours, before, move |weather| weather.candidate.slower = times)
    };
    vec![
        errors("sick: errors 1 to 6 %", 4, ["3110", "330", "37"], 0.06),
        errors("sick: errors 1 to 10 %", 1, ["198", "22", "3"], 0.1),
        errors("sick: errors 1 to 30 %", 1, ["15", "2", "1"], 0.3),
        slower("sick: p99 × 2.4", 12, ["never", "never", "1407"], 2.4),
        slower("sick: p99 × 4", 2, ["66", "5", "1"], 4.0),
        sick("sick: dead", 1, ["10", "10", "10"], |weather| weather.missing = 1.0),
        sick("sick: half of its answers null", 1, ["6", "1", "1"], |weather| {
            weather.candidate.null = 0.5;
        }),
        Scenario {
            rules: Some("rollback_when: [error_rate > 5%, missing_rate > 5%]\n"),
            ..sick("sick: 20 % missing, rule at 5 %", 1, ["20", "10", "10"], |weather| {
                weather.missing = 0.2;
            })
        },
        sick("sick primary at 6 %, candidate at 12 %", 2, ["119", "11", "2"], |weather| {
            weather.primary.fails = 0.06;
            weather.candidate.fails = 0.12;
        }),
        Scenario {
            shape: Shape::Seconds(Box::new(|second, _| Weather {
                candidate: keyed(if second < 1200 { 0.01 } else { 0.6 }, 20),
                ..Weather::both(keyed(0.01, 20))
            })),
            ..sick("sick: errors 1 to 60 %, in twenties with a cluster key", 2, ["-"; 3], |_| {})
        },
    ]
}
