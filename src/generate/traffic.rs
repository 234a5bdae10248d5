//! Records in order of arrival.
//!
//! In: a scenario. Out: arrivals, and the manifest of what was injected. Holds: every arrival is
//! counted; ids never repeat but as duplicates. Knows nothing of: where records go.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::Serialize;

use super::partition;
use super::payload::{Answer, BROKEN, break_it, write};
use super::rng::Rng;
use super::scenario::{FaultKind, Scenario};

/// A record on its way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Arrival {
    /// When it arrives, in microseconds since the epoch.
    pub at_us: i64,
    /// Keeps equal times in the order they were made.
    order: u64,
    /// 0 is the primary, n candidate n − 1.
    pub input: usize,
    /// Its partition.
    pub partition: u32,
    /// The request id.
    pub key: String,
    /// The event.
    pub payload: String,
}

/// What was injected.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Manifest {
    /// Requests made.
    pub requests: u64,
    /// Records by input and partition.
    pub records: Vec<Vec<u64>>,
    /// Records that can't be read, by kind.
    pub broken: BTreeMap<String, u64>,
    /// What was injected by kind and input, such as `duplicate/0`.
    pub injected: BTreeMap<String, u64>,
    /// Labels of whole, first records of requests that were randomly assigned, by input.
    pub labels: Vec<BTreeMap<String, u64>>,
    /// The scenario.
    pub scenario: Option<Scenario>,
}

/// An endless-looking but bounded stream of arrivals.
#[derive(Debug)]
pub struct Traffic {
    scenario: Scenario,
    rng: Rng,
    next: u64,
    order: u64,
    waiting: BinaryHeap<Reverse<Arrival>>,
    manifest: Manifest,
}

/// One request, before any arm answers.
struct Request {
    id: String,
    time_us: i64,
    class: usize,
    country: usize,
    /// The assignment was forced.
    is_override: bool,
    /// Only the primary's record says so, or only the candidates'.
    said_by_primary: Option<bool>,
    ahead: bool,
}

impl Traffic {
    /// Traffic of a scenario.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let inputs = scenario.candidates.len() + 1;
        let manifest = Manifest {
            records: vec![vec![0; scenario.partitions as usize]; inputs],
            labels: vec![BTreeMap::new(); inputs],
            scenario: Some(scenario.clone()),
            ..Manifest::default()
        };
        let rng = Rng::new(scenario.seed);
        Self { scenario, rng, next: 0, order: 0, waiting: BinaryHeap::new(), manifest }
    }

    /// Returns what was injected so far.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn seconds(&self, number: u64) -> f64 {
        let faults = &self.scenario.faults;
        let seconds = number as f64 / self.scenario.rate;
        if 0.0 < faults.silence_s && faults.silence_at_s <= seconds {
            seconds + faults.silence_s
        } else {
            seconds
        }
    }

    fn make(&mut self) {
        let number = self.next;
        self.next += 1;
        self.manifest.requests += 1;
        let seconds = self.seconds(number);
        let request = self.request(number, seconds);
        for input in 0..=self.scenario.candidates.len() {
            self.answer(&request, input, seconds);
        }
    }

    fn request(&mut self, number: u64, seconds: f64) -> Request {
        let faults = &self.scenario.faults;
        let ahead = 0.0 < faults.clock_ahead_s && number.is_multiple_of(faults.producers.max(1));
        let time_us = self.scenario.start_us + micros(seconds);
        let mut is_override = self.rng.chance(faults.overrides);
        let mut said_by_primary = None;
        // Traffic without them stays what it was.
        if 0.0 < faults.overrides_in_one_arm && self.rng.chance(faults.overrides_in_one_arm) {
            (is_override, said_by_primary) = (true, Some(self.rng.chance(0.5)));
        }
        Request {
            id: format!("{:08x}-{number:08}", self.rng.next() >> 32),
            time_us: time_us + if ahead { micros(faults.clock_ahead_s) } else { 0 },
            class: self.rng.pick(&self.scenario.classes),
            country: self.rng.pick(&self.scenario.countries),
            is_override,
            said_by_primary,
            ahead,
        }
    }

    fn answer(&mut self, request: &Request, input: usize, seconds: f64) {
        let scenario = self.scenario.clone();
        let faults = &scenario.faults;
        let country = scenario.countries[request.country].0.as_str();
        let mut label = request.class;
        let mut failed = self.rng.chance(scenario.error_rate);
        let mut null = self.rng.chance(scenario.null_rate);
        let mut latency = scenario.latency_ms * (scenario.latency_sigma * self.rng.normal()).exp();
        let mut version =
            if input == 0 { "v7".to_owned() } else { scenario.candidates[input - 1].clone() };
        let mut missing = input != 0 && self.rng.chance(faults.missing);
        let mut flip = input != 0 && !self.rng.chance(scenario.agreement);
        for fault in faults.candidate.iter().filter(|fault| input == 1 && fault.at_s <= seconds) {
            if fault.place.country.as_deref().is_some_and(|wanted| wanted != country) {
                continue;
            }
            match &fault.kind {
                FaultKind::Errors(rate) => failed |= self.rng.chance(*rate),
                FaultKind::Nulls(rate) => null |= self.rng.chance(*rate),
                FaultKind::Wrong(rate) => flip |= self.rng.chance(*rate),
                FaultKind::Slow(factor) => latency *= factor,
                FaultKind::Dead => missing = true,
                FaultKind::Version(name) => version.clone_from(name),
            }
        }
        if flip {
            label = (label + 1) % scenario.classes.len();
        }
        if missing {
            return self.count("missing", input);
        }
        let label = scenario.classes[label].0.as_str();
        let skew = if input == 0 { 0 } else { micros(self.rng.unit() * 0.05) };
        let says_so = request.is_override
            && request.said_by_primary.is_none_or(|by_primary| by_primary == (input == 0));
        let answer = Answer {
            request_id: &request.id,
            time_us: request.time_us + skew,
            arm: if input == 0 { "primary" } else { &scenario.candidates[input - 1] },
            version: &version,
            label: (!null).then_some(label),
            failed,
            latency_ms: latency,
            country,
            is_override: says_so,
        };
        let mut payload = String::with_capacity(400);
        write(&answer, &mut payload);
        let whole = !self.break_some(input, &mut payload);
        if request.is_override {
            self.count(if says_so { "override" } else { "override_unsaid" }, input);
        } else if whole && !failed && !null {
            *self.manifest.labels[input].entry(label.to_owned()).or_default() += 1;
        }
        self.send(request, input, seconds + latency / 1000.0, payload);
    }

    fn break_some(&mut self, input: usize, payload: &mut String) -> bool {
        let broken = self.rng.chance(self.scenario.faults.broken);
        if broken {
            let kind = self.rng.below(BROKEN.len());
            break_it(kind, payload);
            *self.manifest.broken.entry(BROKEN[kind].to_owned()).or_default() += 1;
            self.count("broken", input);
        }
        broken
    }

    fn send(&mut self, request: &Request, input: usize, sent_s: f64, payload: String) {
        let faults = self.scenario.faults.clone();
        let partition = partition::of(request.id.as_bytes(), self.scenario.partitions);
        let mut at = sent_s;
        if request.ahead {
            // Batches: everything of a period is sent at its end.
            let period = faults.batch as f64 * faults.producers as f64 / self.scenario.rate;
            at = (at / period).floor() * period + period;
            self.count("clock_ahead", input);
        }
        at += faults.disorder_s * self.rng.unit();
        if input == 1 && partition == 0 {
            at += faults.lagging_partition_s;
        }
        if self.rng.chance(faults.beyond_wait) {
            at += faults.wait_s * (3.0 + self.rng.unit());
            self.count("beyond_wait", input);
        }
        if self.rng.chance(faults.duplicate) {
            self.count("duplicate", input);
            let later = at + 5.0 * self.rng.unit();
            self.push(request, input, partition, later, payload.clone());
        }
        self.push(request, input, partition, at, payload);
    }

    fn push(&mut self, request: &Request, input: usize, partition: u32, at: f64, payload: String) {
        self.order += 1;
        self.waiting.push(Reverse(Arrival {
            at_us: self.scenario.start_us + micros(at),
            order: self.order,
            input,
            partition,
            key: request.id.clone(),
            payload,
        }));
    }

    fn count(&mut self, what: &str, input: usize) {
        *self.manifest.injected.entry(format!("{what}/{input}")).or_default() += 1;
    }
}

impl Iterator for Traffic {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            // Nothing arrives before it was asked for, so what arrives before the next request is next.
            let made_to = self.scenario.start_us + micros(self.seconds(self.next));
            let due = self.waiting.peek().is_some_and(|Reverse(first)| first.at_us < made_to);
            if due || self.next == self.scenario.requests {
                let Reverse(arrival) = self.waiting.pop()?;
                self.manifest.records[arrival.input][arrival.partition as usize] += 1;
                return Some(arrival);
            }
            self.make();
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of traffic")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_in_order_of_arrival() {
        let scenario = || Scenario { requests: 2000, ..Scenario::fraud(3) };
        let one: Vec<Arrival> = Traffic::new(scenario()).collect();
        assert_eq!(one, Traffic::new(scenario()).collect::<Vec<_>>());
        assert!(one.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us));
        assert_eq!(one.len(), 4000);
    }

    #[test]
    fn faults_come_at_their_rates_and_are_counted() {
        let mut scenario = Scenario { requests: 20_000, ..Scenario::fraud(5) };
        scenario.faults.missing = 0.03;
        scenario.faults.duplicate = 0.01;
        scenario.faults.broken = 0.01;
        scenario.faults.overrides = 0.02;
        scenario.faults.overrides_in_one_arm = 0.02;
        let mut traffic = Traffic::new(scenario);
        let sent: Vec<Arrival> = traffic.by_ref().collect();
        let manifest = traffic.manifest();
        let total: u64 = manifest.records.iter().flatten().sum();
        assert_eq!(total, sent.len() as u64);
        assert!((500..700).contains(&manifest.injected["missing/1"]));
        assert_eq!(
            manifest.records[1].iter().sum::<u64>(),
            20_000 - manifest.injected["missing/1"] + manifest.injected["duplicate/1"]
        );
        for input in 0..2 {
            assert!((500..700).contains(&manifest.injected[&format!("override/{input}")]));
            assert!((150..250).contains(&manifest.injected[&format!("override_unsaid/{input}")]));
        }
        assert!(sent.iter().all(|arrival| !arrival.payload.contains('\n')));
        assert_eq!(manifest.broken.len(), BROKEN.len());
    }
}
