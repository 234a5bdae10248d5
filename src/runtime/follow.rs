//! A recorded run again: its facts and cuts over the same records.
//!
//! In: the log of a run, a source with the records it read. Out: nothing but effects. Holds: facts are
//! obeyed where they stand, vitals end where they ended, what was weighed is weighed in the same
//! order, under the rules of the log; vitals that come out otherwise mean other records, and stop it.
//! Knows nothing of: the host's clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use crate::engine;
use crate::model::entry::{Entry, EvaluatorEntry, Fact, Heard, TimesSaid, Vitals};
use crate::model::record::Record;
use crate::model::spec::PipelineSpec;
use crate::runtime::driver::Driver;
use crate::runtime::log::{Body, LogFrame, Stream, valid};
use crate::runtime::replay::begin;
use crate::runtime::source::Source;
use crate::runtime::stop::Stop;

/// Records of one input that are taken at once.
const BATCH: usize = 1024;

/// What a run wrote down that its records don't tell.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Facts by task.
    facts: Vec<Vec<Fact>>,
    /// By which times each task went in the end, if it said: they hold for the whole run.
    times: Vec<Option<TimesSaid>>,
    /// Seconds of vitals by task, in order.
    vitals: Vec<VecDeque<Vitals>>,
    /// What was weighed, in order, and where rules changed.
    weighings: Vec<EvaluatorEntry>,
}

impl Recorded {
    /// Reads the log of a run whose tasks did the same.
    ///
    /// # Errors
    /// They did something else.
    pub fn read(
        mut frames: BTreeMap<Stream, Vec<LogFrame>>,
        spec: &PipelineSpec,
        tasks: u32,
    ) -> Result<Self> {
        let (mut facts, mut times, mut vitals) = (Vec::new(), Vec::new(), Vec::new());
        for task in 0..tasks {
            let (mut of_task, mut seconds) = (Vec::new(), VecDeque::new());
            let (mut claimed, mut writer, mut said) = (None, None, None);
            let mut changes = BTreeSet::new();
            for frame in valid(frames.remove(&Stream::Task(task)).unwrap_or_default()) {
                let Body::Task(entry) = frame.body else { continue };
                if !matches!(*entry, Entry::Claim { .. }) {
                    writer = claimed;
                }
                match Arc::unwrap_or_clone(entry) {
                    Entry::Claim { config, .. } => claimed = Some(config),
                    Entry::Fact(fact) => of_task.push(fact),
                    Entry::Vitals(second) => seconds.push_back(second),
                    Entry::Checkpoint(_)
                    | Entry::GapMarks(_)
                    | Entry::Repeated(_)
                    | Entry::Feeds(_) => {}
                    Entry::Times(times) => {
                        said = Some(times);
                        changes.extend((0 < times.times.revision).then_some(times.times.revision));
                    }
                    Entry::Lost(_) => bail!(
                        "the recorded run lost records of partition {task} and went on without them; it can't be \
                         replayed from its sources"
                    ),
                }
            }
            let is_it = |said: TimesSaid| said.config == spec.lasting_hash;
            let is_old = |config: &u64| said.map_or_else(|| spec.does_what(*config), is_it);
            let other = writer.filter(|config| !is_old(config)).unwrap_or_default();
            ensure!(
                changes.len() <= 1,
                "`time` changed {} times while the recorded run went on; one change can be followed",
                changes.len()
            );
            ensure!(
                other == 0,
                "the recorded log belongs to configuration {other:016x}, this pipeline's tasks are {:016x}; replay \
                 it with the pipeline file it was recorded with",
                spec.tasks_hash
            );
            facts.push(of_task);
            times.push(said.map(|said| TimesSaid { hold: None, heard: Heard::default(), ..said }));
            vitals.push(seconds);
        }
        let mut weighings = Vec::new();
        for frame in valid(frames.remove(&Stream::Evaluator).unwrap_or_default()) {
            if let Body::Evaluator(weighing) = frame.body
                && weighing.is_command()
            {
                weighings.push(Arc::unwrap_or_clone(weighing));
            }
        }
        ensure!(
            frames.is_empty(),
            "the recorded log has more partitions than the sources, which have {tasks}"
        );
        Ok(Self { facts, times, vitals, weighings })
    }

    /// The pipeline as it was when the recording began; rules and times that changed since change again.
    #[must_use]
    pub fn pipeline(&self, spec: &PipelineSpec) -> PipelineSpec {
        let rules = self.weighings.iter().find_map(EvaluatorEntry::rules);
        let times = self.weighings.iter().find_map(EvaluatorEntry::times);
        let began = rules.map_or_else(|| spec.clone(), |rules| spec.with_rules(rules));
        times.map_or_else(|| began.clone(), |times| began.with_times(times))
    }

    /// Its facts and times, as the frames of a log that tasks begin with.
    #[must_use]
    pub fn facts(&self) -> BTreeMap<Stream, Vec<LogFrame>> {
        let frames = |(task, (facts, times)): (u32, (&Vec<Fact>, &Option<TimesSaid>))| {
            let stream = Stream::Task(task);
            let frame = |(position, entry): (u64, Entry)| LogFrame {
                stream,
                position,
                epoch: 0,
                appended: None,
                body: Body::Task(Arc::new(entry)),
            };
            let times = times.iter().copied().map(Entry::Times);
            let entries = times.chain(facts.iter().copied().map(Entry::Fact));
            (stream, (1..).zip(entries).map(frame).collect())
        };
        (0..).zip(self.facts.iter().zip(&self.times)).map(frames).collect()
    }

    /// Returns whether the run read bounded inputs to their end.
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
    driver.repeat();
    begin(driver, source)?;
    let mut total = 0;
    for weighing in std::mem::take(&mut recorded.weighings) {
        let can = |driver: &Driver| driver.evaluator().is_some_and(|e| e.can_weigh(&weighing));
        while !can(driver) && !stop.is_set() {
            let more = second(driver, source, &mut recorded, &mut total)?;
            ensure!(more, "the recorded log weighs what its vitals never read: it isn't whole");
            progress(total);
        }
        driver.weigh(&weighing)?;
    }
    while second(driver, source, &mut recorded, &mut total)? {}
    progress(total);
    driver.end(recorded.was_bounded())
}

/// Follows the next second of vitals of every task; whether there was one.
fn second(
    driver: &mut Driver,
    source: &mut dyn Source,
    recorded: &mut Recorded,
    total: &mut u64,
) -> Result<bool> {
    let mut any = false;
    for number in driver.partitions_owned() {
        let Some(vitals) = recorded.vitals[number as usize].pop_front() else { continue };
        any = true;
        for (input, arm) in vitals.arms.iter().enumerate().filter(|(_, arm)| arm.from != arm.to) {
            *total += read_to(driver, source, (number, input), arm.to)?;
        }
        driver.expect_vitals(number, vitals.clone());
        if let Some(task) = driver.task_mut(number) {
            task.handle(engine::Input::Recorded(&vitals));
        }
        driver.settle()?;
    }
    Ok(any)
}

fn read_to(
    driver: &mut Driver,
    source: &mut dyn Source,
    (number, input): (u32, usize),
    end: i64,
) -> Result<u64> {
    let mut total = 0;
    loop {
        let Some(task) = driver.task_mut(number) else { return Ok(total) };
        let left = usize::try_from(end - task.position(input)).unwrap_or(0);
        if left == 0 {
            return Ok(total);
        }
        let mut take = |records: &[Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: None });
        };
        let read = source.drain(input, number, left.min(BATCH), &mut take)?;
        ensure!(
            read != 0,
            "the recorded run read partition {number} of input {input} up to offset {end}, the source ends at {}; \
             give the files that hold what it read",
            driver.task(number).map_or(0, |task| task.position(input))
        );
        driver.counters.read(input, read);
        total += read as u64;
    }
}
