//! Carries out what the tasks and the evaluator ask for.
//!
//! In: tasks, evaluator, log, tables, sinks. Out: durable entries, files, signals. Holds: an entry is
//! durable and read back before what it names is done: facts are obeyed, files renamed, vitals
//! weighed, signals sent. Knows nothing of: where records come from, when seconds end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::log::Log;
use super::metrics::Counters;
use super::sink::{Letters, Signals};
use super::tables::{Stage, StagedFile};
use crate::engine::evaluator::{self, Evaluator, Rows};
use crate::engine::{self, Effect, Task};
use crate::model::entry::{Entry, Vitals, Weighing};
use crate::model::row::{DecisionRow, WindowRow};
use crate::model::signal::Signal;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;

/// Where entries go.
#[derive(Debug)]
pub enum Ledger {
    /// To disk: the job survives a crash.
    Durable(Box<Log>),
    /// Nowhere: a replay starts from its files.
    Memory {
        /// Positions, by task and for the evaluator last.
        positions: Vec<u64>,
    },
}

/// What people are told as it happens.
pub trait Observer: Send {
    /// A rule was shown.
    fn decided(&mut self, row: &DecisionRow);
    /// A window was reported.
    fn reported(&mut self, row: &WindowRow);
}

/// The engine and its hands.
pub struct Driver {
    /// The pipeline.
    pub spec: Arc<PipelineSpec>,
    /// By partition.
    pub tasks: Vec<Task>,
    /// Merges, weighs and decides.
    pub evaluator: Evaluator,
    ledger: Ledger,
    tables: Stage,
    signals: Signals,
    letters: Letters,
    observers: Vec<Box<dyn Observer>>,
    /// Files that were staged and are yet to be named by an entry, by name.
    staged: BTreeMap<String, StagedFile>,
    /// Signals that the control topic hasn't taken yet.
    unsent: VecDeque<Signal>,
    /// Vitals that an earlier run recorded, by task: the next ones must be the same.
    expected: BTreeMap<u32, Vitals>,
    /// What is counted for people.
    pub counters: Counters,
}

/// Entries on their way back from the log.
#[derive(Default)]
struct ReadBack {
    tasks: Vec<(u32, u64, Entry)>,
    evaluator: Vec<Weighing>,
}

impl Driver {
    /// An engine with its hands; what the logs still name is completed first.
    ///
    /// # Errors
    /// Files that an entry names and that can't be completed.
    pub fn new(
        spec: Arc<PipelineSpec>,
        (tasks, evaluator): (Vec<Task>, Evaluator),
        ledger: Ledger,
        tables: Stage,
        (signals, letters): (Signals, Letters),
    ) -> Self {
        Self {
            spec,
            tasks,
            evaluator,
            ledger,
            tables,
            signals,
            letters,
            observers: Vec::new(),
            staged: BTreeMap::new(),
            unsent: VecDeque::new(),
            expected: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// Tells `observer` what happens from now on.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// A second is over: vitals are flushed, written down and weighed.
    ///
    /// # Errors
    /// What the world refused.
    pub fn tick(&mut self, now: EventTime) -> Result<()> {
        for task in &mut self.tasks {
            task.handle(engine::Input::Tick { now });
        }
        self.settle()?;
        self.evaluator.handle(evaluator::Input::Cut { at: now });
        self.settle()?;
        self.send_unsent();
        self.settle()
    }

    /// The inputs end here: everything closes as if time had passed.
    ///
    /// # Errors
    /// What the world refused.
    pub fn finish(&mut self) -> Result<()> {
        let time = self.spec.time;
        let last = self.tasks.iter().map(Task::last_time).max().unwrap_or(EventTime::START);
        if last != EventTime::START {
            let end = last.floor(time.pane).plus(time.pane).plus(time.wait).plus(time.skew);
            for task in &mut self.tasks {
                task.handle(engine::Input::Finish { time: end });
            }
            self.settle()?;
        }
        self.evaluator.handle(evaluator::Input::Cut { at: last });
        self.settle()?;
        self.evaluator.handle(evaluator::Input::End);
        self.flush()
    }

    /// Completes files and sends what is left: the process is about to leave.
    ///
    /// # Errors
    /// What the world refused.
    pub fn flush(&mut self) -> Result<()> {
        for task in &mut self.tasks {
            task.handle(engine::Input::Flush);
        }
        self.settle()?;
        self.evaluator.handle(evaluator::Input::Flush);
        self.settle()?;
        self.send_unsent();
        self.settle()
    }

    /// Weighs what an earlier run weighed.
    ///
    /// # Errors
    /// What the world refused.
    pub fn weigh(&mut self, entry: &Weighing) -> Result<()> {
        self.evaluator.handle(evaluator::Input::Logged(entry));
        self.settle()
    }

    /// The next vitals of a task must be these.
    pub fn expect_vitals(&mut self, task: u32, vitals: Vitals) {
        self.expected.insert(task, vitals);
    }

    /// Carries out effects until nothing is asked for.
    ///
    /// # Errors
    /// What the world refused.
    pub fn settle(&mut self) -> Result<()> {
        loop {
            let mut back = ReadBack::default();
            for number in 0..self.tasks.len() {
                while let Some(effect) = self.tasks[number].poll() {
                    self.carry_out(number, effect, &mut back)?;
                }
            }
            while let Some(effect) = self.evaluator.poll() {
                self.carry_out_evaluator(effect, &mut back)?;
            }
            if back.tasks.is_empty() && back.evaluator.is_empty() {
                return Ok(());
            }
            // Vitals say that these records were counted, so they may not be lost after it.
            self.letters.flush().context("put unreadable records aside")?;
            if let Ledger::Durable(log) = &mut self.ledger {
                log.sync().context("make the log durable")?;
            }
            self.read_back(back)?;
        }
    }

    fn carry_out(&mut self, number: usize, effect: Effect, back: &mut ReadBack) -> Result<()> {
        let task = u32::try_from(number).unwrap_or(u32::MAX);
        match effect {
            Effect::Append(entry) => {
                self.check_vitals(task, &entry)?;
                let position = match &mut self.ledger {
                    Ledger::Durable(log) => log.append_task(task, &entry)?,
                    Ledger::Memory { positions } => next(positions, number),
                };
                self.counters.entry(&entry);
                back.tasks.push((task, position, entry));
            }
            Effect::Stage { name, comparison, rows } => {
                self.counters.pair_rows += rows.len() as u64;
                let file = self.tables.stage_pairs(task, comparison, &rows, &name)?;
                self.staged.insert(name, file);
            }
            Effect::DeadLetter(letter) => {
                self.counters.dead_letter(letter.reason);
                self.letters.put(task, &letter).context("put an unreadable record aside")?;
            }
        }
        Ok(())
    }

    fn check_vitals(&mut self, task: u32, entry: &Entry) -> Result<()> {
        if let (Entry::Vitals(vitals), Some(expected)) = (entry, self.expected.remove(&task)) {
            let ranges = |vitals: &Vitals| -> Vec<_> {
                vitals.arms.iter().map(|arm| (arm.from, arm.to)).collect()
            };
            anyhow::ensure!(
                *vitals == expected,
                "partition {task} holds other records than the recorded run read: its vitals differ \
                 (offsets by input {:?}, recorded {:?})",
                ranges(vitals),
                ranges(&expected)
            );
        }
        Ok(())
    }

    fn carry_out_evaluator(
        &mut self,
        effect: evaluator::Effect,
        back: &mut ReadBack,
    ) -> Result<()> {
        match effect {
            evaluator::Effect::Append(entry) => {
                match &mut self.ledger {
                    Ledger::Durable(log) => {
                        log.append_evaluator(&entry)?;
                    }
                    Ledger::Memory { .. } => {}
                }
                back.evaluator.push(entry);
            }
            evaluator::Effect::Stage { name, comparison, rows } => {
                let file = match rows {
                    Rows::Windows(rows) => self.tables.stage_windows(comparison, &rows, &name)?,
                    Rows::Panes(rows) => self.tables.stage_panes(comparison, &rows, &name)?,
                    Rows::Decisions(rows) => {
                        self.tables.stage_decisions(comparison, &rows, &name)?
                    }
                };
                self.staged.insert(name, file);
            }
            evaluator::Effect::Send(signal) => self.unsent.push_back(signal),
            evaluator::Effect::Decided(row) => {
                self.counters.decided(&row);
                for observer in &mut self.observers {
                    observer.decided(&row);
                }
            }
            evaluator::Effect::Reported(row) => {
                self.counters.reported(&row);
                for observer in &mut self.observers {
                    observer.reported(&row);
                }
            }
        }
        Ok(())
    }

    fn read_back(&mut self, back: ReadBack) -> Result<()> {
        for (task, position, entry) in &back.tasks {
            match entry {
                Entry::Fact(fact) => {
                    self.tasks[*task as usize].handle(engine::Input::Logged(*fact));
                }
                Entry::Closed(closed) => self.complete(&closed.files)?,
                Entry::Claim { .. } | Entry::Vitals(_) => {}
            }
            let (task, position) = (*task, *position);
            self.evaluator.handle(evaluator::Input::Entry { task, position, entry });
        }
        for entry in &back.evaluator {
            if let Weighing::State { files, .. } = entry {
                self.complete(files)?;
            }
            self.evaluator.handle(evaluator::Input::Logged(entry));
        }
        self.send_unsent();
        Ok(())
    }

    fn complete(&mut self, files: &[String]) -> Result<()> {
        for name in files {
            if let Some(file) = self.staged.remove(name) {
                self.counters.files += 1;
                self.tables.complete(&file.relative).context("complete a staged file")?;
            }
        }
        Ok(())
    }

    /// Sends what the control topic hasn't taken; what it refuses waits for the next second.
    fn send_unsent(&mut self) {
        while let Some(signal) = self.unsent.front() {
            match self.signals.send(signal) {
                Ok(()) => {
                    let sequence = signal.sequence;
                    self.unsent.pop_front();
                    self.counters.signals += 1;
                    self.evaluator.handle(evaluator::Input::Delivered(sequence));
                }
                Err(error) => {
                    self.counters.signal_errors += 1;
                    tracing::error!(%error, signal = signal.id, "The control topic refused a signal; it is sent again in a second.");
                    return;
                }
            }
        }
    }
}

fn next(positions: &mut [u64], number: usize) -> u64 {
    positions.get_mut(number).map_or(0, |position| {
        *position += 1;
        *position
    })
}
