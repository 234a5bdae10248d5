//! Tasks and the evaluator over simulated records: what a pipeline would have decided where what matters happens
//! before the counting (copies, late answers, clocks, partitions that stand still, transactions).
//!
//! In: a way of delivery and seconds. Out: decisions and notices. Holds: records are read in the order in which they
//! come; an input stands at its end unless something of it is still held back by its broker. Knows nothing of: what
//! is right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallax::engine::evaluator::{self, Evaluator};
use parallax::engine::{Effect, Input, Task};
use parallax::model::entry::Entry;
use parallax::model::record::Record;
use parallax::model::row::DecisionRow;
use parallax::model::time::EventTime;

use crate::random::Rng;
use crate::world::{self, BEGIN};

pub(crate) const TASKS: usize = 4;

/// How the candidate's answer to one request is delivered; the primary's comes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// Chances that either arm fails.
    pub(crate) primary_fails: f64,
    pub(crate) candidate_fails: f64,
    /// Seconds until it is there.
    pub(crate) after: f64,
    /// Its broker holds it back meanwhile: it is below the high watermark, and can't be read.
    pub(crate) is_held: bool,
    /// What its producer's clock is ahead, in seconds.
    pub(crate) clock: f64,
    /// How often it is delivered, if it failed.
    pub(crate) copies_of_failed: u64,
}

impl Delivery {
    pub(crate) const FAIR: Self = Self {
        primary_fails: 0.01,
        candidate_fails: 0.01,
        after: 0.2,
        is_held: false,
        clock: 0.0,
        copies_of_failed: 1,
    };
}

/// The delivery of a request at a second, to a task.
pub(crate) type Way = dyn Fn(f64, usize, &mut Rng) -> Delivery + Sync;

/// What is on its way to an input.
type OnTheWay = BTreeMap<(i64, u64), String>;

/// The engine and what it said.
pub(crate) struct Whole {
    tasks: Vec<Task>,
    logs: Vec<u64>,
    offsets: Vec<[i64; 2]>,
    on_the_way: Vec<[OnTheWay; 2]>,
    /// Records of an input that its broker holds back.
    held: Vec<u64>,
    requests: u64,
    evaluator: Evaluator,
    pub(crate) decisions: Vec<DecisionRow>,
    pub(crate) notices: Vec<String>,
}

impl Whole {
    pub(crate) fn new(rules: &str) -> Self {
        let spec = world::spec(rules);
        let mut evaluator =
            Evaluator::recover(Arc::clone(&spec), TASKS, None, None).expect("it begins");
        evaluator.lead();
        let fresh = |n| Task::recover(Arc::clone(&spec), n, [], &BTreeSet::new());
        let mut whole = Self {
            tasks: (0..TASKS as u32).map(fresh).collect(),
            logs: vec![0; TASKS],
            offsets: vec![[0; 2]; TASKS],
            on_the_way: (0..TASKS).map(|_| <[OnTheWay; 2]>::default()).collect(),
            held: vec![0; TASKS],
            requests: 0,
            evaluator,
            decisions: Vec::new(),
            notices: Vec::new(),
        };
        whole.settle();
        whole
    }

    /// A second passes, with so many requests on average.
    pub(crate) fn take(&mut self, second: i64, rate: f64, way: &Way, rng: &mut Rng) {
        let requests = rng.poisson(rate);
        let mut times: Vec<f64> = (0..requests).map(|_| second as f64 + rng.unit()).collect();
        times.sort_by(f64::total_cmp);
        times.into_iter().for_each(|time| self.request(time, way, rng));
        let now = EventTime::from_us((BEGIN + second + 1) * 1_000_000);
        for task in 0..TASKS {
            for input in 0..2 {
                self.deliver(task, input, (second + 1) * 1_000_000, now);
            }
            self.stand(task, now);
            self.tasks[task].handle(Input::Tick { now, up_to: EventTime::END });
        }
        self.settle();
        self.evaluator.handle(evaluator::Input::Cut { at: now, patient: false });
        self.settle();
    }

    fn request(&mut self, time: f64, way: &Way, rng: &mut Rng) {
        let number = self.requests;
        self.requests += 1;
        let task = (number % TASKS as u64) as usize;
        let delivery = way(time, task, rng);
        let mut record = |chance: f64, clock: f64| {
            let us = BEGIN * 1_000_000 + ((time + clock) * 1e6) as i64;
            let fails = rng.unit() < chance;
            let status = if fails { 500 } else { 200 };
            let text = format!(
                r#"{{"request_id":"r{number}","event_time":{us},"status_code":{status},"prediction":{{"label":"ok"}},"latency_ms":12}}"#
            );
            (fails, text)
        };
        let (_, ours) = record(delivery.primary_fails, 0.0);
        let (fails, theirs) = record(delivery.candidate_fails, delivery.clock);
        let [primary, candidate] = &mut self.on_the_way[task];
        primary.insert((((time + 0.1) * 1e6) as i64, number * 16), ours);
        for copy in 0..if fails { delivery.copies_of_failed } else { 1 } {
            let at = ((time + delivery.after + copy as f64 * 3.0) * 1e6) as i64;
            candidate.insert((at, number * 16 + copy), theirs.clone());
            self.held[task] += u64::from(delivery.is_held);
        }
    }

    /// What has come by a time, in microseconds since the beginning, is read.
    fn deliver(&mut self, task: usize, input: usize, by: i64, now: EventTime) {
        let all = &mut self.on_the_way[task][input];
        let later = all.split_off(&(by, 0));
        let due = std::mem::replace(all, later);
        if input == 1 {
            self.held[task] = self.held[task].saturating_sub(due.len() as u64);
        }
        let offset = &mut self.offsets[task][input];
        let records: Vec<Record<'_>> = (*offset..)
            .zip(due.values())
            .map(|(offset, text)| Record {
                offset,
                timestamp_ms: None,
                key: None,
                value: Some(text.as_bytes()),
            })
            .collect();
        *offset += records.len() as i64;
        self.tasks[task].handle(Input::Records { input, records: &records, read_at: Some(now) });
        self.settle();
    }

    /// Inputs whose high watermark has been read stand at their ends.
    fn stand(&mut self, task: usize, now: EventTime) {
        let stands = |input: usize| input == 0 || self.held[task] == 0;
        let inputs = (0..2).filter(|input| stands(*input));
        let ends: Vec<_> = inputs.map(|input| (input, self.offsets[task][input])).collect();
        let needed = self.tasks.iter().map(|task| task.closed_to(0)).max().unwrap_or_default();
        self.tasks[task].handle(Input::Standing { ends: &ends, confirmed: now, needed: &[needed] });
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let entries = self.entries();
            let mut logged = Vec::new();
            while let Some(effect) = self.evaluator.poll() {
                match effect {
                    evaluator::Effect::Append(entry) => logged.push(entry),
                    evaluator::Effect::Send(signal) => {
                        self.evaluator.handle(evaluator::Input::Delivered(signal.sequence));
                    }
                    evaluator::Effect::Noticed(notice) => self.notices.push(notice.kind),
                    evaluator::Effect::Decided(row) => self.decisions.push(*row),
                    evaluator::Effect::Stage { .. } | evaluator::Effect::Reported(_) => {}
                }
            }
            if entries.is_empty() && logged.is_empty() {
                return;
            }
            for (task, position, entry) in &entries {
                if let Entry::Fact(fact) = entry {
                    self.tasks[*task].handle(Input::Logged(*fact));
                }
                let task = *task as u32;
                self.evaluator.handle(evaluator::Input::Entry { task, position: *position, entry });
            }
            for entry in &logged {
                self.evaluator.handle(evaluator::Input::Logged(entry));
            }
        }
    }

    /// What the tasks append; rows of pairs and dead letters go nowhere.
    fn entries(&mut self) -> Vec<(usize, u64, Entry)> {
        let mut entries = Vec::new();
        for (number, task) in self.tasks.iter_mut().enumerate() {
            while let Some(effect) = task.poll() {
                if let Effect::Append(entry) = effect {
                    self.logs[number] += 1;
                    entries.push((number, self.logs[number], entry));
                }
            }
        }
        entries
    }
}
