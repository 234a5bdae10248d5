//! Carries out what the tasks and the evaluator ask for.
//!
//! In: tasks, evaluator, log, tables, sinks. Out: durable entries, files, signals. Holds: an entry is
//! durable and read back under its owner's epoch before what it names is done: facts are obeyed, files
//! renamed, vitals weighed, signals sent. Knows nothing of: where records come from, when seconds end,
//! who is to own what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::engine::evaluator::{self, Evaluator};
use crate::engine::{self, Task};
use crate::model::entry::{EvaluatorEntry, Vitals};
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::model::times::Times;
use crate::runtime::clock::idle;
use crate::runtime::counters::Counters;
use crate::runtime::evaluator_host::EvaluatorHost;
use crate::runtime::source::Gap;
use crate::runtime::task_host::Tasks;

pub use crate::runtime::ports::{
    Change, Group, LetterSink, Observer, OtherConfiguration, Owner, Ports, ShutdownLimits,
    SignalSink, Tables,
};
pub use crate::runtime::task_host::{Begun, CatchUpCursor, Holding};
pub use crate::runtime::tempo_ack::TempoAck;

/// While leaving, what the control topic refused is sent again so many times.
const SENT_AGAIN: u32 = 20;

/// The engine and its hands.
pub struct Driver {
    /// The pipeline.
    pub spec: Arc<PipelineSpec>,
    /// Tasks of the whole pipeline, here or elsewhere.
    pub partitions: u32,
    /// What is counted for people.
    pub counters: Counters,
    tasks: Tasks,
    evaluator_host: EvaluatorHost,
    tables: Box<dyn Tables>,
    letters: Box<dyn LetterSink>,
    observers: Vec<Box<dyn Observer>>,
    /// The inputs end.
    bounded: bool,
    /// The cluster doesn't answer.
    away: bool,
    /// What is last in the log is said again after so long.
    heartbeat: Option<Span>,
    limits: ShutdownLimits,
}

impl Driver {
    /// An engine that owns nothing yet.
    #[must_use]
    pub fn new(spec: Arc<PipelineSpec>, partitions: u32, ports: Ports) -> Self {
        let Ports { tasks_log, evaluator_log, tables, signals, letters, nonce, limits } = ports;
        Self {
            tasks: Tasks::new(Arc::clone(&spec), tasks_log, nonce),
            evaluator_host: EvaluatorHost::new(
                Arc::clone(&spec),
                partitions,
                evaluator_log,
                signals,
                nonce,
            ),
            spec,
            partitions,
            counters: Counters::default(),
            tables,
            letters,
            observers: Vec::new(),
            bounded: false,
            away: false,
            heartbeat: None,
            limits,
        }
    }

    /// Tells `observer` what happens from now on.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// Tells observers how far recovery has come.
    pub fn tell_recovery(&mut self) {
        let tasks = self.owned().map(|(partition, task)| (partition, task.status().read_again()));
        let tasks: Vec<_> = tasks.filter(|(_, again)| again.left != 0).collect();
        self.observers.iter_mut().for_each(|observer| observer.recovering(&tasks));
    }

    /// Claims a task; it begins once its log was read up to the claim. Who owns task 0 owns the
    /// evaluator.
    ///
    /// # Errors
    /// The log refused.
    pub fn claim(&mut self, partition: u32) -> Result<()> {
        self.tasks.claim(partition)?;
        if partition == 0 {
            self.evaluator_host.claim()?;
        }
        Ok(())
    }

    /// Lets a task go: somebody else owns it, or will.
    pub fn release(&mut self, partition: u32) {
        self.tasks.release(partition);
        if partition == 0 {
            self.evaluator_host.release();
        }
    }

    /// Tasks that began since the last call, with where to read.
    pub fn take_begun(&mut self) -> Vec<Begun> {
        std::mem::take(&mut self.tasks.begun)
    }

    /// Tasks that others claimed since the last call.
    ///
    /// Task 0 and the evaluator go together: their claims lie in different streams, so two processes may
    /// have won one each; who lost either lets both go.
    pub fn take_superseded(&mut self) -> Vec<u32> {
        let mut superseded = std::mem::take(&mut self.tasks.superseded);
        if self.evaluator_host.take_superseded() && !superseded.contains(&0) {
            self.tasks.release(0);
            superseded.push(0);
        }
        if superseded.contains(&0) {
            self.evaluator_host.release();
        }
        superseded
    }

    /// Everything that was claimed has begun, and the evaluator leads if it is here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.tasks.all_begun() && self.evaluator_host.is_settled()
    }

    /// Returns whether tasks are about to go by other times: what they hold isn't to be left to them.
    #[must_use]
    pub fn is_retiming(&self) -> bool {
        self.tasks.is_retiming()
    }

    /// What came before in the log isn't needed any more.
    pub fn forget_history(&mut self) {
        self.tasks.forget_history();
        self.evaluator_host.forget_history();
    }

    /// Partitions that are held here, and how.
    pub fn holdings(&self) -> impl Iterator<Item = (u32, &Holding)> {
        self.tasks.holdings.iter().map(|(partition, holding)| (*partition, holding))
    }

    /// Tasks that are owned here, by partition.
    pub fn owned(&self) -> impl Iterator<Item = (u32, &Task)> {
        self.holdings().filter_map(|(partition, holding)| Some((partition, holding.task()?)))
    }

    /// Partitions that are owned here.
    #[must_use]
    pub fn partitions_owned(&self) -> Vec<u32> {
        self.owned().map(|(partition, _)| partition).collect()
    }

    /// A task that is owned here.
    #[must_use]
    pub fn task(&self, partition: u32) -> Option<&Task> {
        self.tasks.holdings.get(&partition)?.task()
    }

    /// The same, to hand it what happened.
    pub fn task_mut(&mut self, partition: u32) -> Option<&mut Task> {
        self.tasks.holdings.get_mut(&partition)?.task_mut()
    }

    /// Returns whether a task's entries that aren't read back yet are too many to go on.
    #[must_use]
    pub fn is_choked(&self, partition: u32) -> bool {
        self.tasks.holdings.get(&partition).is_some_and(Holding::is_choked)
    }

    /// The log forgets what is old: what counts is said again when nothing was said for so long.
    pub const fn set_heartbeat(&mut self, every: Span) {
        self.heartbeat = Some(every);
    }

    /// The inputs end: no task is ever missing, however far it lies behind the others.
    pub const fn set_bounded(&mut self) {
        self.bounded = true;
    }

    /// Whether the cluster doesn't answer: then no task is missing, however long that takes.
    pub const fn set_away(&mut self, away: bool) {
        self.away = away;
    }

    /// Records that are gone stop nothing: what may lack them is marked.
    pub const fn accept_loss(&mut self) {
        self.tasks.accepts_loss = true;
    }

    /// Returns whether records that are gone stop nothing.
    #[must_use]
    pub const fn accepts_loss(&self) -> bool {
        self.tasks.accepts_loss
    }

    /// An input of a task that has just begun no longer holds what is to be read: writes that down; the
    /// task begins again once it was read back.
    pub fn lose(&mut self, partition: u32, gap: Gap) {
        if let Some(task) = self.task_mut(partition) {
            task.lose(gap.input, (gap.first, gap.end));
        }
    }

    /// The same of the parked comparison that a second cursor was to catch up with; whether a loss is
    /// written down.
    pub fn lose_parked(&mut self, partition: u32, gaps: &[Gap]) -> bool {
        self.tasks.holdings.get_mut(&partition).is_some_and(|holding| holding.lose_parked(gaps))
    }

    /// Comparisons are held whatever they need: the inputs end.
    pub fn never_park(&mut self) {
        self.tasks.running().for_each(Task::never_park);
    }

    /// Begins to catch up with a parked comparison of a task, if one can be (`at_all`: whether it can
    /// be kept up with afterwards or not); where to read, by input, below 0 for nothing.
    pub fn catch_up(&mut self, partition: u32, at_all: bool) -> Option<(u8, Vec<i64>)> {
        self.tasks.holdings.get_mut(&partition)?.catch_up(at_all)
    }

    /// The second cursor of a task, and the first, beyond which it doesn't read.
    pub fn behind_mut(&mut self, partition: u32) -> Option<(&mut CatchUpCursor, &Task)> {
        self.tasks.holdings.get_mut(&partition)?.behind_mut()
    }

    /// Takes a parked comparison back if it is caught up with; whether it was.
    pub fn take_back(&mut self, partition: u32) -> bool {
        self.tasks.holdings.get_mut(&partition).is_some_and(Holding::take_back)
    }

    /// The evaluator, if it is here and knows all that was weighed.
    #[must_use]
    pub fn evaluator(&self) -> Option<&Evaluator> {
        self.evaluator_host.leader()
    }

    /// The evaluator's epoch, if it is here.
    #[must_use]
    pub fn evaluator_epoch(&self) -> Option<u64> {
        self.evaluator_host.epoch()
    }

    /// Bytes appended to the log by this process.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.tasks.written() + self.evaluator_host.written()
    }

    /// A second is over: vitals are flushed, written down and weighed.
    ///
    /// # Errors
    /// What the world refused.
    pub fn tick(&mut self, now: EventTime) -> Result<()> {
        self.tick_up_to(now, EventTime::END)
    }

    /// The same where inputs are read to other times: vitals of those beyond `up_to` wait for a later tick.
    ///
    /// # Errors
    /// What the world refused.
    pub fn tick_up_to(&mut self, now: EventTime, up_to: EventTime) -> Result<()> {
        for task in self.tasks.running() {
            task.handle(engine::Input::Tick { now, up_to });
        }
        self.settle()?;
        self.evaluator_host
            .handle(evaluator::Input::Cut { at: now, patient: self.bounded || self.away });
        if let Some(every) = self.heartbeat {
            let before = now.minus(every);
            self.tasks.repeat(before);
            self.evaluator_host.handle(evaluator::Input::Repeat { before });
        }
        self.evaluator_host.repeat_overtaken(&mut self.counters);
        self.evaluator_host.send();
        self.settle()
    }

    /// The last event time of the tasks that are owned here, if everything that waits were believed.
    #[must_use]
    pub fn last_time(&self) -> EventTime {
        self.owned().map(|(_, task)| task.last_time()).max().unwrap_or(EventTime::START)
    }

    /// The inputs end here: everything closes as if time had passed.
    ///
    /// # Errors
    /// What the world refused.
    pub fn finish(&mut self) -> Result<()> {
        let last = self.last_time();
        self.finish_tasks(last)?;
        self.finish_weighing(last)
    }

    /// The same of the tasks alone, where `last` is the last event time of all, here and elsewhere.
    ///
    /// # Errors
    /// What the world refused.
    pub fn finish_tasks(&mut self, last: EventTime) -> Result<()> {
        if last == EventTime::START {
            return Ok(());
        }
        let closes = |times: Times| times.closes_at(times.end_of(times.pane_of(last)));
        let end = self.owned().map(|(_, task)| closes(task.times())).max().unwrap_or(last);
        for task in self.tasks.running() {
            task.handle(engine::Input::Finish { time: end });
        }
        self.drain()
    }

    /// The same of the evaluator, once all tasks have, here and elsewhere.
    ///
    /// # Errors
    /// What the world refused.
    pub fn finish_weighing(&mut self, last: EventTime) -> Result<()> {
        self.evaluator_host.handle(evaluator::Input::Cut { at: last, patient: true });
        self.drain()?;
        self.end(true)
    }

    /// Up to where the streams of the tasks that are owned here were read back.
    #[must_use]
    pub fn read_to(&self) -> BTreeMap<u32, u64> {
        self.tasks.read_to.clone()
    }

    /// Returns whether the evaluator, if it is here, has read so much of the tasks' streams.
    #[must_use]
    pub fn has_read(&self, streams: &BTreeMap<u32, u64>) -> bool {
        self.evaluator_host.has_read(streams)
    }

    /// Nothing more comes; at the end of `bounded` inputs open windows are reported as they are.
    ///
    /// # Errors
    /// What the world refused.
    pub fn end(&mut self, bounded: bool) -> Result<()> {
        if bounded {
            self.evaluator_host.handle(evaluator::Input::End);
        }
        self.flush()
    }

    /// Completes files and sends what is left: the process is about to leave.
    ///
    /// # Errors
    /// What the world refused.
    pub fn flush(&mut self) -> Result<()> {
        for task in self.tasks.running() {
            task.handle(engine::Input::Flush);
        }
        self.drain()?;
        self.evaluator_host.handle(evaluator::Input::Flush);
        self.drain()
    }

    /// A recorded run is repeated: vitals are flushed where it flushed them, and it is weighed what
    /// `weigh` says.
    pub fn repeat(&mut self) {
        for task in self.tasks.running() {
            task.follow();
        }
        self.evaluator_host.repeat();
    }

    /// Weighs what an earlier run weighed.
    ///
    /// # Errors
    /// What the world refused.
    pub fn weigh(&mut self, entry: &EvaluatorEntry) -> Result<()> {
        self.evaluator_host.handle(evaluator::Input::Logged(entry));
        self.settle()
    }

    /// The next vitals of a task must be these.
    pub fn expect_vitals(&mut self, task: u32, vitals: Vitals) {
        self.tasks.expected.insert(task, vitals);
    }

    /// Claims tasks, and waits until all have begun.
    ///
    /// # Errors
    /// The log refused.
    pub fn own(&mut self, partitions: impl IntoIterator<Item = u32>) -> Result<()> {
        for partition in partitions {
            self.claim(partition)?;
        }
        self.settle()?;
        while !self.is_settled() {
            idle(Duration::from_millis(1));
            self.settle()?;
        }
        self.forget_history();
        Ok(())
    }

    /// Carries out effects and what was read back, as far as that goes without waiting.
    ///
    /// # Errors
    /// What the world refused.
    pub fn settle(&mut self) -> Result<()> {
        let Self { tasks, evaluator_host, tables, letters, observers, counters, .. } = self;
        let (tables, letters) = (tables.as_mut(), letters.as_mut());
        loop {
            let mut moved = tasks.carry_out(tables, letters, counters)?;
            moved |= tasks.read_back(tables, counters)?;
            moved |= evaluator_host.carry_out(tables, observers, counters)?;
            moved |= evaluator_host.read_back(tables, counters)?;
            if !moved {
                return Ok(());
            }
        }
    }

    /// Carries out everything, what has to be waited for included, but not for ever: what the log or the
    /// control topic doesn't take is done again by whoever goes on. The evaluator reads the tasks' streams
    /// by itself, and may be later than they are.
    fn drain(&mut self) -> Result<()> {
        let ShutdownLimits { looks, pause } = self.limits;
        for look in 0..looks {
            self.settle()?;
            let is_read = self.evaluator_host.has_read(&self.tasks.read_to);
            if self.tasks.in_flight() == 0 && self.evaluator_host.in_flight() == 0 && is_read {
                return Ok(());
            }
            if look % (looks / SENT_AGAIN).max(1) == 0 {
                self.evaluator_host.send();
            }
            idle(pause);
        }
        anyhow::bail!(
            "the log, the control topic or the dead-letter topic took nothing for {} s; nothing is lost: the \
             next start goes on from what was written down",
            pause.saturating_mul(looks).as_secs()
        )
    }
}
