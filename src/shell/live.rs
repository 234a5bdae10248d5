//! The loop of a live run: read, close, tick, say when inputs stand at their end.
//!
//! In: a source, a driver, a clock. Out: nothing but effects. Holds: the input that is furthest
//! behind is read first, and none leads the others by more than `lead` while they have something to
//! read; a second of vitals is weighed each second. Knows nothing of: Kafka.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::clock::{HostClock, idle};
use super::driver::Driver;
use super::http::{Published, Snapshot};
use super::metrics;
use super::source::Source;
use super::stop::Stop;
use crate::decide::words;
use crate::engine::{self, Task};
use crate::model::time::{EventTime, Span};

/// Records of one input and partition that are taken at once.
const BATCH: usize = 1024;
/// A second, in the clock's time.
const SECOND: Span = Span::from_secs(1);
/// How long to wait when there is nothing to read.
const IDLE: Duration = Duration::from_millis(2);
/// Host clock and itself may differ by so much from one second to the next before it has stepped.
const STEP: Span = Span::from_secs(5);

/// A live run.
pub struct Live<'a> {
    /// The engine and its hands.
    pub driver: &'a mut Driver,
    /// Where records come from.
    pub source: &'a mut dyn Source,
    /// The host's clock.
    pub clock: HostClock,
    /// Asked to leave?
    pub stop: Stop,
    /// What can be read over HTTP.
    pub published: Published,
    /// Ends found at the start, by task and input, for a bounded run.
    pub until: Option<Vec<Vec<i64>>>,
}

/// What the loop remembers from round to round.
struct Round {
    next_tick: EventTime,
    /// End offsets known last, by task and input.
    ends: Vec<Vec<i64>>,
    asked: bool,
}

impl Live<'_> {
    /// Runs until asked to leave, or until the ends that were found at the start.
    ///
    /// # Errors
    /// What the world refused; what was written down before it stays true.
    pub fn run(&mut self) -> Result<()> {
        let inputs = self.driver.spec.candidates.len() + 1;
        let tasks = self.driver.tasks.len();
        let mut round = Round {
            next_tick: self.clock.now().floor(SECOND).plus(SECOND),
            ends: vec![vec![0; inputs]; tasks],
            asked: false,
        };
        self.driver.settle()?;
        while !self.stop.is_set() {
            self.source.pump().context("serve the source")?;
            let read = self.read_all(&round)?;
            self.driver.settle()?;
            self.ask_ends(&mut round)?;
            let now = self.clock.now();
            if round.next_tick <= now {
                self.tick(&mut round, now)?;
            }
            if self.is_at_end() {
                return self.finish();
            }
            if read == 0 {
                idle(self.clock.until(round.next_tick, IDLE));
            }
        }
        self.leave()
    }

    /// Reads each task's inputs once, the one furthest behind first.
    fn read_all(&mut self, round: &Round) -> Result<usize> {
        let mut read = 0;
        let now = self.clock.now();
        for number in 0..self.driver.tasks.len() {
            let inputs = self.order(number);
            for &input in &inputs {
                if self.is_held_back(number, input, &inputs, &round.ends[number]) {
                    continue;
                }
                read += self.read(number, input, now)?;
            }
        }
        Ok(read)
    }

    fn read(&mut self, number: usize, input: usize, now: EventTime) -> Result<usize> {
        let partition = u32::try_from(number)?;
        let max = match &self.until {
            None => BATCH,
            Some(until) => {
                let left = until[number][input] - self.driver.tasks[number].position(input);
                usize::try_from(left).unwrap_or(0).min(BATCH)
            }
        };
        let task = &mut self.driver.tasks[number];
        if max == 0 || task.awaits(input) {
            return Ok(0);
        }
        let mut take = |records: &[crate::model::record::Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: Some(now) });
        };
        let read = self.source.drain(input, partition, max, &mut take)?;
        self.driver.counters.read(input, read);
        Ok(read)
    }

    /// Inputs by running max, the one furthest behind first.
    fn order(&self, number: usize) -> Vec<usize> {
        let task = &self.driver.tasks[number];
        let mut inputs: Vec<usize> = (0..=self.driver.spec.candidates.len()).collect();
        inputs.sort_by_key(|&input| (task.max(input), input));
        inputs
    }

    /// Whether an input leads one that has something to read by more than `lead`.
    fn is_held_back(&self, number: usize, input: usize, inputs: &[usize], ends: &[i64]) -> bool {
        let task = &self.driver.tasks[number];
        let lead = self.driver.spec.time.lead;
        inputs.iter().any(|&other| {
            task.max(other).plus(lead) < task.max(input)
                && self.source.position(other, u32::try_from(number).unwrap_or(0)) < ends[other]
        })
    }

    /// Asks for end offsets, and tells tasks which of their inputs stand at their end.
    fn ask_ends(&mut self, round: &mut Round) -> Result<()> {
        let Some(answer) = self.source.take_ends()? else { return Ok(()) };
        round.asked = false;
        for &(input, partition, end) in &answer.ends {
            round.ends[partition as usize][input] = end;
        }
        if self.until.is_some() {
            return Ok(());
        }
        let needed: Vec<EventTime> = (0..self.driver.spec.candidates.len())
            .map(|c| self.driver.tasks.iter().map(|t| t.closed_to(c)).max())
            .map(|to| to.unwrap_or(EventTime::START))
            .collect();
        for (number, ends) in round.ends.iter().enumerate() {
            let partition = u32::try_from(number)?;
            let standing: Vec<(usize, i64)> = (0..ends.len())
                .filter(|&input| ends[input] <= self.source.position(input, partition))
                .map(|input| (input, self.driver.tasks[number].position(input)))
                .collect();
            self.driver.tasks[number].handle(engine::Input::Standing {
                ends: &standing,
                confirmed: answer.confirmed,
                needed: &needed,
            });
        }
        self.driver.settle()
    }

    fn tick(&mut self, round: &mut Round, now: EventTime) -> Result<()> {
        if matches!(self.clock, HostClock::Real) && round.next_tick.plus(STEP) < now {
            tracing::warn!(
                behind = now.since(round.next_tick).as_secs(),
                "The loop fell behind, or the host's clock was stepped."
            );
        }
        self.driver.tick(now.floor(SECOND))?;
        round.next_tick = now.floor(SECOND).plus(SECOND);
        if !round.asked {
            self.source.request_ends(self.clock)?;
            round.asked = true;
        }
        let positions = self.positions();
        self.source.commit(&positions);
        self.publish(round, now);
        Ok(())
    }

    fn positions(&self) -> Vec<(usize, u32, i64)> {
        let inputs = self.driver.spec.candidates.len() + 1;
        let tasks = (0_u32..).zip(&self.driver.tasks);
        tasks.flat_map(|(n, task)| (0..inputs).map(move |i| (i, n, task.position(i)))).collect()
    }

    fn is_at_end(&self) -> bool {
        let Some(until) = &self.until else { return false };
        until.iter().enumerate().all(|(number, ends)| {
            ends.iter().enumerate().all(|(input, end)| {
                // The source's position passes control records that no task ever sees.
                *end <= self.source.position(input, u32::try_from(number).unwrap_or(0))
            })
        })
    }

    fn finish(&mut self) -> Result<()> {
        self.driver.tick(self.clock.now())?;
        self.driver.finish()?;
        self.publish_last();
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.driver.tick(self.clock.now())?;
        self.driver.flush()?;
        let positions = self.positions();
        self.source.commit(&positions);
        self.publish_last();
        Ok(())
    }

    fn publish_last(&self) {
        let round = Round { next_tick: EventTime::START, ends: Vec::new(), asked: false };
        self.publish(&round, self.clock.now());
    }

    fn publish(&self, round: &Round, now: EventTime) {
        let spec = &self.driver.spec;
        let evaluator = &self.driver.evaluator;
        let weighed: Vec<EventTime> =
            (0..spec.candidates.len()).map(|c| evaluator.weighed_to(c)).collect();
        let verdicts = spec.candidates.iter().enumerate();
        self.published.publish(Snapshot {
            ready: true,
            checks: [("log", true), ("source", true), ("output", true)].into(),
            pipeline: spec.name.clone(),
            verdicts: verdicts
                .filter_map(|(at, name)| Some((name.clone(), evaluator.verdict(at)?)))
                .collect(),
            why: why(&self.driver.tasks, self.driver, round, now),
            metrics: metrics::exposition(
                spec,
                &self.driver.counters,
                &self.driver.tasks,
                &weighed,
                now,
            ),
        });
    }
}

/// Per task what it waits for.
fn why(tasks: &[Task], driver: &Driver, round: &Round, now: EventTime) -> Value {
    let spec = &driver.spec;
    let time = |t: EventTime| (EventTime::START < t).then(|| words::time(t));
    let tasks = tasks.iter().enumerate().map(|(number, task)| {
        let status = task.status();
        let ends = round.ends.get(number);
        json!({
            "task": status.partition,
            "inputs": status.inputs.iter().enumerate().map(|(input, seen)| json!({
                "arm": metrics::arm_name(spec, input),
                "position": seen.position,
                "end": ends.and_then(|ends| ends.get(input)),
                "time": time(seen.max),
                "waiting_as_leap": seen.waiting,
                "held_records": seen.held_records,
                "held_bytes": seen.held_bytes,
            })).collect::<Vec<_>>(),
            "comparisons": status.comparisons.iter().zip(&spec.candidates).map(|(seen, name)| {
                let input = &status.inputs[seen.held_by];
                json!({
                    "candidate": name,
                    "closed_to": time(seen.closed_to),
                    "held_by": metrics::arm_name(spec, seen.held_by),
                    "because": because(spec.time.wait, input, ends.and_then(|e| e.get(seen.held_by))),
                    "open_rows": seen.open_rows,
                })
            }).collect::<Vec<_>>(),
        })
    });
    json!({
        "pipeline": spec.name,
        "now": words::time(now),
        "weighed_to": spec.candidates.iter().enumerate().map(|(at, name)| {
            (name.clone(), json!(time(driver.evaluator.weighed_to(at))))
        }).collect::<serde_json::Map<_, _>>(),
        "tasks": tasks.collect::<Vec<_>>(),
    })
}

fn because(wait: Span, input: &engine::InputStatus, end: Option<&i64>) -> String {
    if input.waiting != 0 {
        format!("{} records are ahead of time and wait to be believed", input.waiting)
    } else if end.is_some_and(|end| input.position < *end) {
        "it has records that aren't read yet".to_owned()
    } else if input.max == EventTime::START {
        "nothing has come yet; time passes when it has stood at its end for idle_after".to_owned()
    } else {
        format!("records may still come until {} has passed", words::span(wait))
    }
}
