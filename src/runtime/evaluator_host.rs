//! The evaluator's seat: it is taken by whoever owns task 0.
//!
//! In: frames of all streams. Out: entries of the evaluator's own, files, signals. Holds: a new owner
//! first weighs again what its predecessor wrote down, in order; only then it leads; what it decides is
//! sent after the entry that led to it was read back. Knows nothing of: how tasks are owned.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::task_host::check_writer;
use crate::decide::format;
use crate::engine::Epoch;
use crate::engine::evaluator::{self, Effect, Evaluator, First};
use crate::model::entry::{EvaluatorEntry, TableFile};
use crate::model::signal::Signal;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::runtime::counters::Counters;
use crate::runtime::log::{Begin, Body, GONE, Log, LogError, LogFrame, Stream, valid};
use crate::runtime::ports::{
    InFlight, Observer, OtherConfiguration, Owner, SignalSink, Tables, append,
};

/// Frames of its log that a new owner looks at first, from the end.
const TAIL: u64 = 16_384;

/// The evaluator, its log and its sink.
pub(super) struct EvaluatorHost {
    spec: Arc<PipelineSpec>,
    partitions: u32,
    log: Box<dyn Log>,
    signals: Box<dyn SignalSink>,
    nonce: u64,
    state: Role,
    in_flight: InFlight,
    /// Up to where the tasks' streams were read, while it is here.
    read_to: BTreeMap<u32, u64>,
    /// Signals that the control topic hasn't taken yet, and whether the first is on its way.
    unsent: VecDeque<Signal>,
    sending: bool,
    superseded: bool,
}

enum Role {
    /// Somebody else's.
    Empty,
    /// The log is read up to the claim that was appended.
    Claimed { nonce: u64, frames: Vec<LogFrame>, tail: u64, whole: bool },
    /// What the predecessor weighed since its last whole state is weighed again.
    Follows {
        evaluator: Box<Evaluator>,
        epoch: u64,
        pending: VecDeque<EvaluatorEntry>,
        tasks: Vec<Epoch>,
    },
    /// It decides.
    Leads { evaluator: Box<Evaluator>, epoch: u64, tasks: Vec<Epoch> },
}

impl Role {
    /// Returns what a whole state is: who wrote it, its bytes, and the files that it names.
    fn last(of: Option<&(u64, Arc<EvaluatorEntry>)>) -> Option<(u64, &[u8], &[TableFile])> {
        match of.map(|(epoch, weighing)| (*epoch, weighing.as_ref()))? {
            (epoch, EvaluatorEntry::State { bytes, files }) => Some((epoch, bytes, files)),
            _ => None,
        }
    }
}

impl EvaluatorHost {
    /// Hosts nobody yet: who owns task 0 claims the evaluator.
    pub(super) fn new(
        spec: Arc<PipelineSpec>,
        partitions: u32,
        log: Box<dyn Log>,
        signals: Box<dyn SignalSink>,
        nonce: u64,
    ) -> Self {
        Self {
            spec,
            partitions,
            log,
            signals,
            nonce,
            state: Role::Empty,
            in_flight: InFlight::new(),
            read_to: BTreeMap::new(),
            unsent: VecDeque::new(),
            sending: false,
            superseded: false,
        }
    }

    /// Returns whether another process claimed the evaluator since the last call.
    pub(super) const fn take_superseded(&mut self) -> bool {
        std::mem::replace(&mut self.superseded, false)
    }

    /// Appends a claim to the evaluator's stream and reads up to it, as [`super::task_host`] does for tasks. What an earlier
    /// host of this process still had in memory is forgotten first: the log is the only truth.
    pub(super) fn claim(&mut self) -> Result<()> {
        self.release();
        self.nonce = self.nonce.wrapping_add(1);
        let (nonce, config) = (self.nonce, self.spec.tasks_hash);
        let whole = self.log.read(Stream::Evaluator, Begin::Tail(TAIL))?;
        let claim = Body::Evaluator(Arc::new(EvaluatorEntry::Claim { nonce, config }));
        self.log.append(Stream::Evaluator, 0, claim)?;
        self.state = Role::Claimed { nonce, frames: Vec::new(), tail: TAIL, whole };
        Ok(())
    }

    /// Lets the evaluator go, with what it had read of all tasks. A signal that is on its way may arrive; its id is the
    /// same whoever sends it again.
    pub(super) fn release(&mut self) {
        self.state = Role::Empty;
        self.in_flight.clear();
        self.read_to.clear();
        self.unsent.clear();
        self.sending = false;
        self.log.forget(Stream::Evaluator);
        for partition in 0..self.partitions {
            self.log.forget(Stream::Task(partition));
        }
    }

    /// Lets the log drop what it kept for readers that begin.
    pub(super) fn forget_history(&mut self) {
        self.log.settled();
    }

    /// Returns true unless it is on its way to lead: elsewhere, or leading here.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, Role::Empty | Role::Leads { .. })
    }

    /// Returns the evaluator once it has weighed again all that its predecessor wrote down. Before that its verdict would
    /// be one of the past.
    pub(super) fn leader(&self) -> Option<&Evaluator> {
        match &self.state {
            Role::Leads { evaluator, .. } => Some(evaluator),
            Role::Empty | Role::Claimed { .. } | Role::Follows { .. } => None,
        }
    }

    /// Returns the position of the claim in force, once it came back.
    pub(super) fn epoch(&self) -> Option<u64> {
        match &self.state {
            Role::Leads { epoch, .. } | Role::Follows { epoch, .. } => Some(*epoch),
            Role::Empty | Role::Claimed { .. } => None,
        }
    }

    /// Returns the bytes appended since the process began.
    pub(super) fn written(&self) -> u64 {
        self.log.written()
    }

    /// Returns how many of its entries aren't read back, and how many signals aren't taken: leaving in order waits for
    /// both.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.values().sum::<usize>() + self.unsent.len()
    }

    /// Returns whether it has read what tasks read back of their own streams; true where it isn't here.
    pub(super) fn has_read(&self, streams: &BTreeMap<u32, u64>) -> bool {
        let behind = |(task, to): (&u32, &u64)| self.read_to.get(task).is_some_and(|at| at < to);
        !streams.iter().any(behind)
    }

    /// Tells the leading evaluator what happened.
    pub(super) fn handle(&mut self, input: evaluator::Input<'_>) {
        if let Role::Leads { evaluator, .. } = &mut self.state {
            evaluator.handle(input);
        }
    }

    /// Has the leader say its state once more, while leaving, so that the next host has little to weigh again.
    pub(super) fn repeat(&mut self) {
        if let Role::Leads { evaluator, .. } = &mut self.state {
            evaluator.repeat();
        }
    }

    /// Does what the evaluator asks for; whether anything was.
    pub(super) fn carry_out(
        &mut self,
        tables: &mut dyn Tables,
        observers: &mut [Box<dyn Observer>],
        counters: &mut Counters,
    ) -> Result<bool> {
        let (Role::Leads { evaluator, epoch, .. } | Role::Follows { evaluator, epoch, .. }) =
            &mut self.state
        else {
            return Ok(false);
        };
        let (stream, epoch) = (Stream::Evaluator, *epoch);
        let mut moved = false;
        while let Some(effect) = evaluator.poll() {
            moved = true;
            match effect {
                Effect::Append(entry) => {
                    let body = Body::Evaluator(Arc::new(entry));
                    append(self.log.as_mut(), &mut self.in_flight, (stream, epoch), body)?;
                }
                Effect::Stage { file, rows, config } => {
                    counters.files += 1;
                    tables.stage(Owner { stream, epoch }, &file, &rows, config)?;
                }
                Effect::Send(signal) => self.unsent.push_back(signal),
                Effect::Decided(row) => {
                    counters.decided(&row);
                    observers.iter_mut().for_each(|observer| observer.decided(&row));
                }
                Effect::Noticed(notice) => {
                    counters.noticed(&notice);
                    observers.iter_mut().for_each(|observer| observer.noticed(&notice));
                }
                Effect::Reported(row) => {
                    counters.reported(&row);
                    observers.iter_mut().for_each(|observer| observer.reported(&row));
                }
            }
        }
        moved |= self.pump_signals(counters);
        Ok(moved)
    }

    /// Sends the newest signal again where a lower one followed it: a superseded owner's, come late.
    /// One that is still to be sent will follow whatever is there.
    pub(super) fn repeat_overtaken(&mut self, counters: &mut Counters) {
        let Role::Leads { evaluator, .. } = &self.state else { return };
        let is_sent = |signal: &&Signal| self.unsent.iter().all(|s| s.sequence != signal.sequence);
        let newest: BTreeMap<&str, u64> = evaluator
            .newest_signals()
            .filter(is_sent)
            .map(|s| (s.key.as_str(), s.sequence))
            .collect();
        let overtaken = self.signals.overtaken(&newest);
        for signal in evaluator.newest_signals().filter(|s| overtaken.contains(&s.key)) {
            tracing::warn!(
                signal = signal.id,
                "A lower signal followed the newest; it is sent again."
            );
            counters.signals_repeated += 1;
            self.unsent.push_back(signal.clone());
        }
    }

    /// Tries to send again what the control topic refused.
    pub(super) fn send(&mut self) {
        if let (Some(signal), false) = (self.unsent.front(), self.sending) {
            self.signals.start(signal);
            self.sending = true;
        }
    }

    /// Moves signals on, one after the other; what is refused waits for the next second.
    fn pump_signals(&mut self, counters: &mut Counters) -> bool {
        if self.unsent.is_empty() {
            return false;
        }
        if !self.sending && counters.signal_refused.is_none() {
            self.send();
        }
        match self.sending.then(|| self.signals.poll()).flatten() {
            None => false,
            Some(Ok(())) => {
                self.sending = false;
                counters.signals += 1;
                counters.signal_refused = None;
                if let Some(signal) = self.unsent.pop_front() {
                    self.handle(evaluator::Input::Delivered(signal.sequence));
                }
                true
            }
            Some(Err(error)) => {
                self.sending = false;
                counters.signal_errors += 1;
                counters.signal_refused = Some(error.to_string());
                let signal = self.unsent.front().map(|signal| signal.id.as_str());
                tracing::error!(%error, signal, "The control topic refused a signal; it is sent again in a second.");
                false
            }
        }
    }

    /// Takes what the log gives back; whether anything was.
    pub(super) fn read_back(
        &mut self,
        tables: &mut dyn Tables,
        counters: &mut Counters,
    ) -> Result<bool> {
        let mut moved = false;
        while let Some(frame) = self.log.poll()? {
            moved = true;
            match frame.stream {
                Stream::Task(task) => self.take_task(task, &frame),
                Stream::Evaluator => self.take_own(frame, tables, counters)?,
            }
            self.catch_up()?;
        }
        Ok(moved)
    }

    /// Takes a frame of a task's stream. Frames of older epochs are counted for nobody, here as in the task's own host: both
    /// read the same stream by the same rule.
    fn take_task(&mut self, task: u32, frame: &LogFrame) {
        if let Some(at) = self.read_to.get_mut(&task) {
            *at = frame.position;
        }
        let (Role::Leads { evaluator, tasks, .. } | Role::Follows { evaluator, tasks, .. }) =
            &mut self.state
        else {
            return;
        };
        let Some(current) = tasks.get_mut(task as usize) else { return };
        let counts = current.admits(frame.position, frame.epoch, frame.body.claim().is_some());
        if let (true, Body::Task(entry)) = (counts, &frame.body) {
            evaluator.handle(evaluator::Input::Entry { task, position: frame.position, entry });
        }
    }

    /// Takes a frame of the evaluator's own stream: the claim that was waited for, what a predecessor weighed, or what
    /// this host appended itself. A newer claim of somebody else ends its lead.
    fn take_own(
        &mut self,
        frame: LogFrame,
        tables: &mut dyn Tables,
        counters: &mut Counters,
    ) -> Result<()> {
        match &mut self.state {
            Role::Empty => Ok(()),
            Role::Claimed { nonce, frames, .. } => {
                let is_ours = frame.body.claim() == Some(*nonce);
                frames.push(frame);
                if is_ours { self.begin(tables) } else { Ok(()) }
            }
            Role::Follows { epoch, .. } | Role::Leads { epoch, .. } => {
                if frame.body.claim().is_some() {
                    tracing::warn!("Another process claimed the evaluator; it ends here.");
                    self.release();
                    self.superseded = true;
                    return Ok(());
                }
                if frame.epoch != *epoch {
                    counters.ignored_frames += 1;
                    return Ok(());
                }
                let owner = Owner { stream: frame.stream, epoch: *epoch };
                if let Some(count) = self.in_flight.get_mut(&frame.stream) {
                    *count = count.saturating_sub(1);
                }
                let Body::Evaluator(entry) = &frame.body else { return Ok(()) };
                match entry.as_ref() {
                    EvaluatorEntry::State { files, .. } => complete(files, owner, tables)?,
                    EvaluatorEntry::Change(rules) => {
                        let (revision, rules) = (rules.revision, rules.rules.len());
                        tracing::info!(revision, rules, "From here on these rules are in force.");
                    }
                    EvaluatorEntry::Asks { revision, .. } => {
                        tracing::info!(
                            revision,
                            "`time` changes once all tasks have said how far they close until then."
                        );
                    }
                    EvaluatorEntry::TempoChange(times) if times.revision != 0 => {
                        let from =
                            (EventTime::START < times.from).then(|| format::time(times.from));
                        let revision = times.revision;
                        tracing::info!(
                            revision,
                            from,
                            "From then on `time` is as this revision says."
                        );
                    }
                    _ => {}
                }
                self.handle(evaluator::Input::Logged(entry));
                Ok(())
            }
        }
    }

    /// The claim was read back: the last whole state is what it begins with.
    fn begin(&mut self, tables: &mut dyn Tables) -> Result<()> {
        let Role::Claimed { nonce, frames, tail, whole } =
            std::mem::replace(&mut self.state, Role::Empty)
        else {
            return Ok(());
        };
        let epoch = frames.last().map_or(0, |frame| frame.position);
        let weighing = |frame: LogFrame| match frame.body {
            Body::Evaluator(weighing) => Some((frame.epoch, weighing)),
            Body::Task(_) => None,
        };
        let weighings: Vec<_> = valid(frames).filter_map(weighing).collect();
        let last =
            weighings.iter().rposition(|(_, w)| matches!(w.as_ref(), EvaluatorEntry::State { .. }));
        let since = last.map_or(0, |at| at + 1);
        let pending = || weighings.iter().skip(since).map(|(_, weighing)| weighing);
        let says = Role::last(last.and_then(|at| weighings.get(at)));
        let count = self.partitions as usize;
        let first = First {
            rules: pending().find_map(|weighing| weighing.rules()),
            times: pending().find_map(|weighing| weighing.times()),
        };
        let bytes = says.map(|(_, bytes, _)| bytes);
        let evaluator = Evaluator::recover(Arc::clone(&self.spec), count, bytes, first)
            .map_err(anyhow::Error::msg)
            .context("go on from the log")?;
        let says_times = evaluator.says_times() || first.times.is_some();
        if (last.is_none() || !says_times) && !whole {
            let tail = tail.saturating_mul(8);
            let whole = self.log.read(Stream::Evaluator, Begin::Tail(tail))?;
            self.state = Role::Claimed { nonce, frames: Vec::new(), tail, whole };
            return Ok(());
        }
        if !says_times {
            check_writer(&self.spec, &weighings, |weighing| match weighing {
                EvaluatorEntry::Claim { config, .. } => Some(*config),
                _ => None,
            })?;
        }
        if last.is_none() && tables.holds_reports()? {
            let what = self.log.cut(Stream::Evaluator).unwrap_or_else(|| {
                let place = self.log.place(Stream::Evaluator);
                format!("{place} holds nothing of what was written into the tables")
            });
            return Err(LogError::Lost { stream: Stream::Evaluator, what, cure: GONE }.into());
        }
        if let Some((epoch, _, files)) = says {
            complete(files, Owner { stream: Stream::Evaluator, epoch }, tables)?;
        }
        tables.clear_older(Owner { stream: Stream::Evaluator, epoch })?;
        let mut tasks = Vec::new();
        for task in 0..self.partitions {
            let (position, epoch) = evaluator.taken_of(task as usize);
            self.log.read(Stream::Task(task), Begin::Behind(position))?;
            self.read_to.insert(task, position);
            tasks.push(epoch);
        }
        let pending = weighings.into_iter().skip(since).map(|(_, w)| Arc::unwrap_or_clone(w));
        let pending = pending.filter(|w| !matches!(w, EvaluatorEntry::Claim { .. })).collect();
        self.state = Role::Follows { evaluator: Box::new(evaluator), epoch, pending, tasks };
        self.catch_up()
    }

    /// Weighs again what can be, and leads once nothing is left.
    ///
    /// Rules of the log go before those of the pipeline file, unless the file's are newer.
    fn catch_up(&mut self) -> Result<()> {
        let Role::Follows { evaluator, pending, .. } = &mut self.state else { return Ok(()) };
        while let Some(next) = pending.front() {
            if !evaluator.can_weigh(next) {
                return Ok(());
            }
            evaluator.handle(evaluator::Input::Logged(next));
            pending.pop_front();
        }
        if let Some(objection) = evaluator.objection() {
            return Err(OtherConfiguration(objection).into());
        }
        let (file, in_force) = (self.spec.revision, evaluator.spec().revision);
        if file < in_force {
            tracing::warn!(
                file,
                in_force,
                "The log holds newer rules and times than this pipeline file: they are in force here too."
            );
        }
        if let Role::Follows { mut evaluator, epoch, tasks, .. } =
            std::mem::replace(&mut self.state, Role::Empty)
        {
            evaluator.lead();
            self.state = Role::Leads { evaluator, epoch, tasks };
        }
        Ok(())
    }
}

/// Puts the evaluator's files in place.
fn complete(files: &[TableFile], owner: Owner, tables: &mut dyn Tables) -> Result<()> {
    for file in files {
        anyhow::ensure!(
            tables.complete(owner, file).context("complete a staged file")?,
            "the file {} of {} is neither staged nor in place; restore the output folder, or begin anew with a \
             log of its own",
            file.name,
            file.table
        );
    }
    Ok(())
}
