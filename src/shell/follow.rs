//! A recorded run again: its facts and cuts over the same records.
//!
//! In: the log of a run, a source with the records it read. Out: nothing but effects. Holds: facts are
//! obeyed where they stand, vitals end where they ended, what was weighed is weighed in the same
//! order; vitals that come out otherwise mean other records, and stop it. Knows nothing of: the host's
//! clock.

use std::collections::VecDeque;

use anyhow::{Result, ensure};

use super::assemble::valid_entries;
use super::driver::Driver;
use super::log::Contents;
use super::source::Source;
use super::stop::Stop;
use crate::engine;
use crate::model::entry::{Entry, Fact, Vitals, Weighing};
use crate::model::record::Record;

/// Records of one input that are taken at once.
const BATCH: usize = 1024;

/// What a run wrote down that its records don't tell.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Facts by task.
    facts: Vec<Vec<Fact>>,
    /// Seconds of vitals by task, in order.
    vitals: Vec<VecDeque<Vitals>>,
    /// What was weighed, in order.
    weighings: Vec<Weighing>,
}

impl Recorded {
    /// Reads the log of a run of the same configuration.
    ///
    /// # Errors
    /// It was another configuration's, or another number of partitions'.
    pub fn read(contents: Contents, config: u64, partitions: u32) -> Result<Self> {
        let (tasks, weighings) = valid_entries(contents);
        ensure!(
            tasks.len() == partitions as usize,
            "the recorded log has {} partitions, the sources have {partitions}",
            tasks.len()
        );
        let (mut facts, mut vitals) = (Vec::new(), Vec::new());
        for entries in tasks {
            let (mut of_task, mut seconds) = (Vec::new(), VecDeque::new());
            for (_, entry) in entries {
                match entry {
                    Entry::Claim { config: other, .. } => ensure!(
                        other == config,
                        "the recorded log belongs to configuration {other:016x}, this pipeline is {config:016x}; \
                         replay it with the pipeline file it was recorded with"
                    ),
                    Entry::Fact(fact) => of_task.push(fact),
                    Entry::Vitals(second) => seconds.push_back(second),
                    Entry::Closed(_) => {}
                }
            }
            facts.push(of_task);
            vitals.push(seconds);
        }
        Ok(Self { facts, vitals, weighings })
    }

    /// Its facts, as entries that a task recovers from.
    #[must_use]
    pub fn facts(&self) -> Vec<Vec<(u64, Entry)>> {
        let entries =
            |facts: &Vec<Fact>| facts.iter().map(|fact| (0, Entry::Fact(*fact))).collect();
        self.facts.iter().map(entries).collect()
    }

    /// Whether the run read bounded inputs to their end.
    fn was_bounded(&self) -> bool {
        self.facts.iter().flatten().any(|fact| fact.end)
    }
}

/// Reads what the run read and weighs what it weighed; `progress` is told how many records were read.
///
/// # Errors
/// What the world refused, or records that aren't those of the run.
pub fn run(
    driver: &mut Driver,
    source: &mut dyn Source,
    mut recorded: Recorded,
    stop: &Stop,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    for task in &mut driver.tasks {
        task.follow();
    }
    driver.evaluator.follow();
    driver.settle()?;
    let mut total = 0;
    for weighing in std::mem::take(&mut recorded.weighings) {
        while !driver.evaluator.can_weigh(&weighing) && !stop.is_set() {
            let more = second(driver, source, &mut recorded, &mut total)?;
            ensure!(more, "the recorded log weighs what its vitals never read: it isn't whole");
            progress(total);
        }
        driver.weigh(&weighing)?;
    }
    while second(driver, source, &mut recorded, &mut total)? {}
    progress(total);
    if recorded.was_bounded() {
        driver.evaluator.handle(engine::evaluator::Input::End);
    }
    driver.flush()
}

/// Follows the next second of vitals of every task; whether there was one.
fn second(
    driver: &mut Driver,
    source: &mut dyn Source,
    recorded: &mut Recorded,
    total: &mut u64,
) -> Result<bool> {
    let mut any = false;
    for number in 0..driver.tasks.len() {
        let Some(vitals) = recorded.vitals[number].pop_front() else { continue };
        any = true;
        for (input, arm) in vitals.arms.iter().enumerate().filter(|(_, arm)| arm.from != arm.to) {
            *total += read_to(driver, source, (number, input), arm.to)?;
        }
        driver.expect_vitals(u32::try_from(number)?, vitals.clone());
        driver.tasks[number].handle(engine::Input::Recorded(&vitals));
        driver.settle()?;
    }
    Ok(any)
}

fn read_to(
    driver: &mut Driver,
    source: &mut dyn Source,
    (number, input): (usize, usize),
    end: i64,
) -> Result<u64> {
    let mut total = 0;
    loop {
        let task = &mut driver.tasks[number];
        let left = usize::try_from(end - task.position(input)).unwrap_or(0);
        if left == 0 {
            return Ok(total);
        }
        let mut take = |records: &[Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: None });
        };
        let read = source.drain(input, u32::try_from(number)?, left.min(BATCH), &mut take)?;
        ensure!(
            read != 0,
            "the recorded run read partition {number} of input {input} up to offset {end}, the source ends at {}; \
             give the files that hold what it read",
            driver.tasks[number].position(input)
        );
        driver.counters.read(input, read);
        total += read as u64;
    }
}
