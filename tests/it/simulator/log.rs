//! The log: a topic per stream, or one local file.
//!
//! In: frames. Out: the same, read back. Holds: as a topic, what processes append arrives later and
//! interleaved, and what a dead one had on its way may arrive long after; as a file, one sync makes the
//! frames of all streams durable in order, and a crash loses what wasn't. Knows nothing of: what
//! entries mean, but for the bugs that are planted here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parallax::model::entry::{Entry, EvaluatorEntry};
use parallax::runtime::log::{Begin, Body, Log, LogError, LogFrame, Stream};

use super::faults::{Bug, Side, Step};
use super::planted;
use super::ports::{Reach, Shared};
use super::rng::Rng;

/// A tail is so many times shorter than asked for, so that it is too short at times.
const SHORTER: u64 = 512;

/// One stream's frames.
#[derive(Default)]
pub(super) struct Topic {
    pub(super) frames: Vec<LogFrame>,
    /// The epoch in force at each.
    in_force: Vec<u64>,
}

impl Topic {
    fn push(&mut self, frame: LogFrame) {
        let before = self.in_force.last().copied().unwrap_or(0);
        self.in_force.push(if frame.body.claim().is_some() { frame.position } else { before });
        self.frames.push(frame);
    }

    fn end(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.position)
    }

    /// Frames with the epoch in force at each.
    pub(super) fn judged(&self) -> impl Iterator<Item = (&LogFrame, u64)> {
        self.frames.iter().zip(self.in_force.iter().copied())
    }

    /// Frames that count.
    pub(super) fn valid(&self) -> impl Iterator<Item = &LogFrame> {
        let counts = |(frame, epoch): &(&LogFrame, u64)| {
            frame.body.claim().is_some() || frame.epoch == *epoch
        };
        self.judged().filter(counts).map(|(frame, _)| frame)
    }

    /// Where a tail of so many frames begins. A real one is longer than all that superseded owners
    /// leave behind, so that it always holds a frame of the epoch in force.
    fn tail(&self, count: u64) -> usize {
        let mut begin = self.frames.len().saturating_sub(count as usize);
        while 0 < begin && !self.tells_epoch(begin) {
            begin -= 1;
        }
        begin
    }

    fn tells_epoch(&self, begin: usize) -> bool {
        for (frame, epoch) in self.judged().skip(begin) {
            if frame.body.claim().is_some() {
                return self.frames[begin].body.claim().is_some();
            }
            if frame.epoch == epoch {
                return true;
            }
        }
        false
    }
}

/// A frame on its way.
type Outgoing = (u64, Body);
/// A handle of a process.
type HandleKey = (u32, u8);

/// The whole log.
#[derive(Default)]
pub(super) struct Frames {
    pub(super) is_file: bool,
    pub(super) topics: BTreeMap<Stream, Topic>,
    pub(super) handles: BTreeMap<HandleKey, Handle>,
    /// Of the file, not durable yet.
    pub(super) fresh: Vec<LogFrame>,
    /// Of processes that are no more.
    pub(super) adrift: Vec<(Stream, VecDeque<Outgoing>)>,
}

#[derive(Default)]
pub(super) struct Handle {
    outgoing: BTreeMap<Stream, VecDeque<Outgoing>>,
    cursors: BTreeMap<Stream, Cursor>,
    /// Handed out before it is durable, and what was: a planted bug.
    early: VecDeque<LogFrame>,
    handed: Vec<Body>,
}

struct Cursor {
    /// Everything up to this position was handed out.
    read: u64,
    /// Frames that are handed out otherwise, or not at all: planted bugs.
    altered: BTreeMap<u64, Option<LogFrame>>,
}

impl Frames {
    /// Some of what a stream has on its way arrives.
    fn land(&mut self, stream: Stream, frames: &mut VecDeque<Outgoing>, count: usize, gap: u64) {
        let topic = self.topics.entry(stream).or_default();
        for (n, (epoch, body)) in (0..).zip(frames.drain(..count.min(frames.len()))) {
            let position = topic.end() + 1 + if n == 0 { gap } else { 0 };
            topic.push(LogFrame { stream, position, epoch, appended: None, body });
        }
    }

    fn carry(&mut self, key: HandleKey, calm: bool, rng: &mut Rng) {
        let Some(handle) = self.handles.get_mut(&key) else { return };
        let mut outgoing = std::mem::take(&mut handle.outgoing);
        for (stream, frames) in &mut outgoing {
            let count = if calm { frames.len() } else { rng.index(frames.len() + 2) };
            let gap = if rng.chance(5) { rng.below(4) } else { 0 };
            if calm || rng.chance(70) {
                self.land(*stream, frames, count, gap);
            }
        }
        outgoing.retain(|_, frames| !frames.is_empty());
        if let Some(handle) = self.handles.get_mut(&key) {
            handle.outgoing = outgoing;
        }
    }

    /// What dead processes had on their way arrives.
    pub(super) fn land_adrift(&mut self) {
        for (stream, mut frames) in std::mem::take(&mut self.adrift) {
            let all = frames.len();
            self.land(stream, &mut frames, all, 0);
        }
    }

    pub(super) fn bury(&mut self, process: u32, rng: &mut Rng) {
        for which in 0..2 {
            let Some(handle) = self.handles.remove(&(process, which)) else { continue };
            for (stream, mut frames) in handle.outgoing {
                frames.truncate(rng.index(frames.len() + 1));
                self.adrift.push((stream, frames));
            }
        }
        if self.is_file {
            let fresh = self.fresh.len();
            self.sync(rng.index(fresh + 1));
            self.fresh.clear();
        }
    }

    fn sync(&mut self, count: usize) {
        for frame in self.fresh.drain(..count) {
            self.topics.entry(frame.stream).or_default().push(frame);
        }
    }

    fn next_position(&self, stream: Stream) -> u64 {
        let durable = self.topics.get(&stream).map_or(0, Topic::end);
        let fresh = self.fresh.iter().rev().find(|frame| frame.stream == stream);
        fresh.map_or(durable, |frame| frame.position) + 1
    }

    /// The stream and index of a frame that the handle can read next, chosen by chance.
    fn readable(&self, key: HandleKey, rng: &mut Rng) -> Option<(Stream, usize)> {
        let mut found = Vec::new();
        for (stream, cursor) in &self.handles.get(&key)?.cursors {
            let Some(topic) = self.topics.get(stream) else { continue };
            let next = topic.frames.partition_point(|frame| frame.position <= cursor.read);
            if next < topic.frames.len() {
                found.push((*stream, next));
            }
        }
        if found.is_empty() { None } else { Some(found[rng.index(found.len())]) }
    }
}

/// One handle of the log.
pub(super) struct VirtualLog {
    reach: Reach,
    which: u8,
    written: u64,
}

impl VirtualLog {
    pub(super) fn new(reach: Reach, which: u8) -> Self {
        Self { reach, which, written: 0 }
    }

    fn key(&self) -> HandleKey {
        (self.reach.process, self.which)
    }
}

impl Log for VirtualLog {
    fn read(&mut self, stream: Stream, from: Begin) -> Result<bool, LogError> {
        let mut shared = self.reach.shared();
        shared.pass(self.reach.process, Step::LogRead, Side::Before).map_err(died)?;
        let topic = shared.log.topics.entry(stream).or_default();
        let read = match from {
            Begin::Behind(position) => position,
            Begin::Tail(count) => {
                let begin = topic.tail(count / SHORTER);
                begin.checked_sub(1).map_or(0, |before| topic.frames[before].position)
            }
        };
        let read = if shared.log.is_file && matches!(from, Begin::Tail(_)) { 0 } else { read };
        let altered = planted::altered(&shared, self.which, stream);
        let handle = shared.log.handles.entry(self.key()).or_default();
        handle.cursors.insert(stream, Cursor { read, altered });
        shared.pass(self.reach.process, Step::LogRead, Side::After).map_err(died)?;
        Ok(read == 0)
    }

    fn forget(&mut self, stream: Stream) {
        let mut shared = self.reach.shared();
        if let Some(handle) = shared.log.handles.get_mut(&self.key()) {
            handle.cursors.remove(&stream);
            handle.early.retain(|frame| frame.stream != stream);
        }
    }

    fn append(&mut self, stream: Stream, epoch: u64, mut body: Body) -> Result<(), LogError> {
        let mut shared = self.reach.shared();
        let step = append_step(&body);
        shared.pass(self.reach.process, step, Side::Before).map_err(died)?;
        planted::alter_append(shared.bug, &mut body);
        self.written += 1;
        let bug = shared.bug;
        let log = &mut shared.log;
        let position = log.next_position(stream);
        if log.is_file {
            log.fresh.push(LogFrame {
                stream,
                position,
                epoch,
                appended: None,
                body: body.clone(),
            });
        }
        let handle = log.handles.entry(self.key()).or_default();
        if bug == Bug::ActsBeforeReadBack && body.claim().is_none() {
            handle.early.push_back(LogFrame {
                stream,
                position,
                epoch,
                appended: None,
                body: body.clone(),
            });
        }
        if !log.is_file {
            handle.outgoing.entry(stream).or_default().push_back((epoch, body));
        }
        shared.pass(self.reach.process, step, Side::After).map_err(died)
    }

    fn poll(&mut self) -> Result<Option<LogFrame>, LogError> {
        let mut shared = self.reach.shared();
        let (process, key) = (self.reach.process, self.key());
        let Shared { log, rng, calm, .. } = &mut *shared;
        if !*calm && rng.chance(15) {
            return Ok(None);
        }
        if log.is_file {
            let waits = log.readable(key, rng).is_none() && (*calm || rng.chance(60));
            let fresh = log.fresh.len();
            log.sync(if waits { fresh } else { 0 });
        } else {
            log.carry(key, *calm, rng);
        }
        let handle = log.handles.entry(key).or_default();
        if let Some(frame) = handle.early.pop_front() {
            handle.handed.push(frame.body.clone());
            return Ok(Some(frame));
        }
        let Some((stream, next)) = log.readable(key, rng) else { return Ok(None) };
        let topic = &log.topics[&stream];
        let (mut frame, in_force) = (topic.frames[next].clone(), topic.in_force[next]);
        let step = match (&frame.body, frame.body.claim()) {
            (_, Some(_)) => Step::ReadBackClaim,
            (Body::Task(_), None) => Step::ReadBackEntry,
            (Body::Evaluator(_), None) => Step::ReadBackWeighing,
        };
        shared.pass(process, step, Side::Before).map_err(died)?;
        let bug = shared.bug;
        let Some(Handle { cursors, handed, .. }) = shared.log.handles.get_mut(&key) else {
            return Ok(None);
        };
        let Some(cursor) = cursors.get_mut(&stream) else { return Ok(None) };
        cursor.read = frame.position;
        let altered = cursor.altered.remove(&frame.position);
        if let Some(at) = handed.iter().position(|body| is_same(body, &frame.body)) {
            handed.swap_remove(at);
            return Ok(None);
        }
        match altered {
            Some(Some(other)) => frame = other,
            Some(None) => return Ok(None),
            None if bug == Bug::SeatIgnoresEpochs
                && self.which == 1
                && matches!(stream, Stream::Task(_))
                && frame.body.claim().is_none() =>
            {
                frame.epoch = in_force;
            }
            None => {}
        }
        shared.dies(process, step, Side::After, false);
        Ok(Some(frame))
    }

    fn settled(&mut self) {}

    fn written(&self) -> u64 {
        self.written
    }
}

fn is_same(one: &Body, other: &Body) -> bool {
    match (one, other) {
        (Body::Task(one), Body::Task(other)) => Arc::ptr_eq(one, other),
        (Body::Evaluator(one), Body::Evaluator(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

fn append_step(body: &Body) -> Step {
    match body {
        Body::Task(entry) => match entry.as_ref() {
            Entry::Claim { .. } => Step::AppendClaim,
            Entry::Fact(_) | Entry::Lost(_) | Entry::GapMarks(_) => Step::AppendFact,
            Entry::Vitals(_) => Step::AppendVitals,
            Entry::Checkpoint(_) | Entry::Repeated(_) | Entry::Feeds(_) => Step::AppendClosed,
            Entry::Times(_) => Step::AppendTimes,
        },
        Body::Evaluator(weighing) => match weighing.as_ref() {
            EvaluatorEntry::Claim { .. } => Step::AppendClaim,
            EvaluatorEntry::Cut { .. } => Step::AppendCut,
            EvaluatorEntry::Panes { .. } => Step::AppendPanes,
            EvaluatorEntry::Sent { .. } => Step::AppendSent,
            EvaluatorEntry::State { .. } => Step::AppendState,
            EvaluatorEntry::Change(_) => Step::AppendChange,
            EvaluatorEntry::Asks { .. } | EvaluatorEntry::TempoChange(_) => Step::AppendRetimes,
        },
    }
}

fn died(error: anyhow::Error) -> LogError {
    LogError::Foreign(error.to_string())
}
