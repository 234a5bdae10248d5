//! How a pipeline stands, told by what it wrote down.
//!
//! In: its log and its input topics, read beside whoever runs it. Out: by task the epoch, how far it has
//! come and where a new owner would begin; the same of the evaluator. Holds: it comes to what a new
//! owner would come to, by the same code, and changes nothing. Knows nothing of: running processes.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use crate::config::Pipeline;
use crate::engine::evaluator::{Evaluator, First, Input};
use crate::engine::{Epoch, Task};
use crate::model::entry::{Checkpoint, Entry, EvaluatorEntry, Fact, TimesSaid};
use crate::model::resume::ResumePoint;
use crate::model::signal::Signal;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::runtime::log::{Begin, Body, LogError, LogFrame, Stream, valid};
use crate::runtime::log_reader::LogReader;
use crate::runtime::source::{Bounds, Kept, SourceError};
use crate::runtime::tempo_change;

/// Frames that are looked at first, from the end of a stream.
const TAIL: u64 = 4096;

/// How a pipeline stands.
#[derive(Debug)]
pub struct Inspection {
    /// The pipeline, with the feeds of its task where its topics aren't co-partitioned.
    pub spec: Arc<PipelineSpec>,
    /// By partition.
    pub tasks: Vec<TaskInspection>,
    /// Where it decides.
    pub evaluator: EvaluatorInspection,
    /// What somebody has to look at, in words.
    pub problems: Vec<String>,
}

/// How a stream of the log stands.
#[derive(Debug, Default)]
pub struct StreamInspection {
    /// Position of the claim in force; `None` if nobody ever claimed it.
    pub epoch: Option<u64>,
    /// Configuration that it was claimed with.
    pub config: Option<u64>,
    /// When it was claimed. A log in a folder tells only when its owner first named the host's time.
    pub claimed: Option<EventTime>,
    /// Position of the last entry that counts, and when it was written, told likewise.
    pub last: Option<(u64, Option<EventTime>)>,
}

/// How a task stands.
#[derive(Debug)]
pub struct TaskInspection {
    /// Its stream.
    pub stream: StreamInspection,
    /// By input.
    pub inputs: Vec<InputInspection>,
    /// By candidate.
    pub comparisons: Vec<ComparisonInspection>,
    /// Facts that a new owner obeys again.
    pub facts: Vec<Fact>,
    /// By which times its owner goes, if its log says.
    pub times: Option<TimesSaid>,
}

/// How an input of a task stands.
#[derive(Clone, Copy, Debug)]
pub struct InputInspection {
    /// Where a new owner begins to read.
    pub resumes_at: i64,
    /// Up to where it is known to have been read.
    pub read_to: i64,
    /// What the topic holds, if it could be asked.
    pub bounds: Option<Bounds>,
}

impl InputInspection {
    /// Records that a new owner reads before it stands at the end.
    #[must_use]
    pub fn horizon(&self) -> Option<u64> {
        let Bounds { first, end, .. } = self.bounds?;
        Some(u64::try_from(end - self.resumes_at.max(first)).unwrap_or(0))
    }

    /// The same, as far as the log alone tells: it is at least so many.
    #[must_use]
    pub fn horizon_at_least(&self) -> u64 {
        let told = u64::try_from(self.read_to - self.resumes_at).unwrap_or(0);
        self.horizon().unwrap_or(told)
    }
}

/// How a comparison of a task stands.
#[derive(Clone, Debug)]
pub struct ComparisonInspection {
    /// Everything before this is closed.
    pub closed_to: EventTime,
    /// A new owner would let it wait, as its arms are too far apart.
    pub parked: bool,
    /// Where its last entry says to read again.
    pub resume: Option<Vec<ResumePoint>>,
}

/// How the evaluator stands.
#[derive(Debug, Default)]
pub struct EvaluatorInspection {
    /// Its stream.
    pub stream: StreamInspection,
    /// Position of its last whole state, and when it was written.
    pub state: Option<(u64, Option<EventTime>)>,
    /// By candidate how far it has been weighed.
    pub weighed_to: Vec<EventTime>,
    /// The newest signal of each candidate that has one.
    pub newest: Vec<Signal>,
    /// Signals that the control topic isn't known to have taken.
    pub unsent: Vec<Signal>,
    /// By which times tasks go, and what else is asked for.
    pub times: Option<serde_json::Value>,
}

impl Inspection {
    /// Looks at a pipeline's log and at what its inputs hold, if it has any that could be `asked`.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn of(
        pipeline: &Pipeline,
        look: &mut dyn LogReader,
        asked: Option<Result<Kept, SourceError>>,
    ) -> Result<Self> {
        let mut problems = Vec::new();
        // The evaluator's stream first: what it weighed is then in the tasks' streams.
        let known = asked.as_ref().and_then(|bounds| bounds.as_ref().ok()).map(Vec::as_slice);
        let spec = Arc::new(with_feeds(&pipeline.spec, look, known)?);
        let evaluator = evaluator(&spec, look, &mut problems)?;
        let count = look.tasks();
        let mut tasks = (0..count)
            .map(|partition| task(&spec, look, partition))
            .collect::<Result<Vec<_>, _>>()?;
        match asked {
            None => {}
            Some(Err(error)) => problems.push(format!("the inputs' ends aren't known: {error}")),
            Some(Ok(bounds)) => {
                for (task, partition) in tasks.iter_mut().zip(0..) {
                    for (at, input) in task.inputs.iter_mut().enumerate() {
                        let partition = spec.feeds.partition(at).unwrap_or(partition) as usize;
                        let of = bounds.get(partition).and_then(|of| of.get(spec.feeds.arm(at)));
                        input.bounds = of.copied().flatten();
                    }
                }
            }
        }
        let holds: Vec<_> = tasks.iter().map(|task| task.times?.hold).collect();
        problems.extend(tempo_change::pending(evaluator.times.as_ref(), &holds));
        let others: BTreeSet<u64> =
            tasks.iter().filter_map(|task| does_else(&spec, task)).collect();
        for other in others {
            problems.push(format!(
                "it was written by tasks that do something else than this pipeline file says (configuration {other:016x}, now {:016x})",
                spec.tasks_hash
            ));
        }
        for (partition, task) in (0_u32..).zip(&tasks) {
            for (at, input) in task.inputs.iter().enumerate() {
                let topic = pipeline.endpoints.topics.get(spec.feeds.arm(at));
                let partition = spec.feeds.partition(at).unwrap_or(partition);
                problems.extend(topic.and_then(|topic| lost(topic, partition, *input)));
                problems.extend(topic.and_then(|topic| hidden(topic, partition, *input)));
            }
        }
        Ok(Self { spec, tasks, evaluator, problems })
    }
}

/// The pipeline with the feeds of its task: what the log says of them, else what the topics are now.
fn with_feeds(
    spec: &PipelineSpec,
    look: &mut dyn LogReader,
    topics: Option<&[Vec<Option<Bounds>>]>,
) -> Result<PipelineSpec> {
    if spec.co_partitioned {
        return Ok(spec.clone());
    }
    let (frames, _) = look.frames(Stream::Task(0), Begin::Tail(TAIL), u64::MAX)?;
    let told = valid(frames).filter_map(|frame| match frame.entry()? {
        Entry::Feeds(points) => Some(points.partitions.clone()),
        _ => None,
    });
    let counted = topics.map(|topics| {
        let count =
            |arm: usize| topics.iter().filter(|of| matches!(of.get(arm), Some(Some(_)))).count();
        let arms = 0..=spec.candidates.len();
        arms.map(|arm| u32::try_from(count(arm)).unwrap_or(u32::MAX)).collect::<Vec<_>>()
    });
    Ok(match told.last().or(counted) {
        Some(partitions) => spec.routed(&partitions)?,
        None => spec.clone(),
    })
}

/// Returns what a task's owner did, if that is something else than this file says.
fn does_else(spec: &PipelineSpec, task: &TaskInspection) -> Option<u64> {
    match &task.times {
        Some(said) => (said.config != spec.lasting_hash).then_some(said.config),
        None => task.stream.config.filter(|config| !spec.does_what(*config)),
    }
}

/// Returns what of an input is gone that a new owner would read.
fn lost(topic: &str, partition: u32, input: InputInspection) -> Option<String> {
    let InputInspection { resumes_at, read_to, bounds } = input;
    let Bounds { first, written: end, .. } = bounds?;
    let was_read = resumes_at != 0 || read_to != 0;
    if was_read && resumes_at < first {
        return Some(format!(
            "{topic}/{partition} holds records from {first} on, and a new owner needs them from {resumes_at} on: \
             retention overtook the job, or the topic was recreated; it stops there, but for `run --accept-loss`"
        ));
    }
    let needed = read_to.max(resumes_at);
    (end < needed).then(|| {
        format!(
            "{topic}/{partition} ends at {end}, and was read up to {needed}: it was truncated or recreated; a new \
             owner stops there, but for `run --accept-loss`"
        )
    })
}

fn hidden(topic: &str, partition: u32, input: InputInspection) -> Option<String> {
    let Bounds { end, written, .. } = input.bounds?;
    (end < written).then(|| {
        format!(
            "{topic}/{partition}: a transaction is open: what lies from {end} to {written} isn't visible yet, time \
             waits for it"
        )
    })
}

/// Returns when a frame was written, if it tells.
fn told(frame: &LogFrame) -> Option<EventTime> {
    let host = || match &frame.body {
        Body::Task(entry) => match entry.as_ref() {
            Entry::Vitals(vitals) => Some(vitals.at),
            Entry::Fact(fact) => (!fact.end).then_some(fact.confirmed),
            Entry::Claim { .. }
            | Entry::Checkpoint(_)
            | Entry::Lost(_)
            | Entry::GapMarks(_)
            | Entry::Repeated(_)
            | Entry::Feeds(_)
            | Entry::Times(_) => None,
        },
        Body::Evaluator(weighing) => match weighing.as_ref() {
            EvaluatorEntry::Cut { at, .. } => Some(*at),
            EvaluatorEntry::Claim { .. }
            | EvaluatorEntry::Panes { .. }
            | EvaluatorEntry::Sent { .. }
            | EvaluatorEntry::State { .. }
            | EvaluatorEntry::Change(_)
            | EvaluatorEntry::Asks { .. }
            | EvaluatorEntry::TempoChange(_) => None,
        },
    };
    // Before its first second an owner knows no time.
    frame.appended.or_else(host).filter(|time| EventTime::START < *time)
}

fn config(frame: &LogFrame) -> Option<u64> {
    match &frame.body {
        Body::Task(entry) => match entry.as_ref() {
            Entry::Claim { config, .. } => Some(*config),
            _ => None,
        },
        Body::Evaluator(weighing) => match weighing.as_ref() {
            EvaluatorEntry::Claim { config, .. } => Some(*config),
            _ => None,
        },
    }
}

/// Returns how a stream stands whose valid frames end like this.
fn stream(
    look: &mut dyn LogReader,
    stream: Stream,
    frames: &[LogFrame],
) -> Result<StreamInspection, LogError> {
    let Some(last) = frames.last() else { return Ok(StreamInspection::default()) };
    let epoch = last.epoch;
    let claim = match frames.iter().find(|frame| frame.position == epoch) {
        Some(claim) => Some(claim.clone()),
        // Further back than was looked; perhaps it isn't kept any more.
        None => match look.frames(stream, Begin::Behind(epoch.saturating_sub(1)), 1) {
            Ok((frames, _)) => frames.into_iter().next(),
            Err(LogError::Lost { .. }) => None,
            Err(error) => return Err(error),
        },
    };
    let first_told = || frames.iter().filter(|f| f.epoch == epoch).find_map(told);
    let is_whole = frames.first().is_some_and(|first| first.position <= epoch);
    let claimed = claim.as_ref().and_then(told);
    Ok(StreamInspection {
        epoch: Some(epoch),
        config: claim.as_ref().and_then(config),
        claimed: claimed.or_else(|| if is_whole { first_told() } else { None }),
        last: Some((last.position, frames.iter().rev().find_map(told))),
    })
}

/// Valid frames from so far back that they tell all; whether they are the whole stream.
fn tail(
    look: &mut dyn LogReader,
    stream: Stream,
    tells_all: impl Fn(&[LogFrame]) -> bool,
) -> Result<(Vec<LogFrame>, bool), LogError> {
    let mut count = TAIL;
    loop {
        let (frames, whole) = look.frames(stream, Begin::Tail(count), u64::MAX)?;
        let frames: Vec<LogFrame> = valid(frames).collect();
        if whole || tells_all(&frames) {
            return Ok((frames, whole));
        }
        count = count.saturating_mul(8);
    }
}

fn closed(frame: &LogFrame) -> Option<&Checkpoint> {
    frame.entry()?.word()
}

fn times(frame: &LogFrame) -> Option<TimesSaid> {
    frame.entry()?.times()
}

/// Returns how a task stands: what its next owner would come to.
fn task(
    spec: &Arc<PipelineSpec>,
    look: &mut dyn LogReader,
    partition: u32,
) -> Result<TaskInspection, LogError> {
    let of = Stream::Task(partition);
    let tells_all = |frames: &[LogFrame]| {
        let told: BTreeSet<u8> = frames.iter().filter_map(closed).map(|c| c.comparison).collect();
        told.len() == spec.candidates.len() && frames.iter().any(|frame| times(frame).is_some())
    };
    let (frames, _) = tail(look, of, tells_all)?;
    let last = |number: u8| frames.iter().rev().filter_map(closed).find(|c| c.comparison == number);
    // Its next owner puts in place what the last entries name.
    let in_place = (0_u8..).zip(&spec.candidates).filter_map(|(number, _)| last(number));
    let in_place =
        in_place.flat_map(|closed| closed.files.iter().map(|f| f.name.clone())).collect();
    let entries = frames.iter().filter_map(LogFrame::entry);
    let task = Task::recover(Arc::clone(spec), partition, entries, &in_place);
    let mut inputs: Vec<InputInspection> = (0..task.inputs())
        .map(|input| task.position(input))
        .map(|resumes_at| InputInspection { resumes_at, read_to: resumes_at, bounds: None })
        .collect();
    for (input, to) in task.horizons() {
        inputs[input].read_to = inputs[input].read_to.max(to);
    }
    let parked: BTreeSet<u8> = task.parked().collect();
    let comparisons = (0_u8..).zip(&spec.candidates).map(|(number, _)| ComparisonInspection {
        closed_to: task.closed_to(usize::from(number)),
        parked: parked.contains(&number),
        resume: last(number).map(|closed| match spec.feeds.is_routed() {
            true => task.resumes(usize::from(number)).to_vec(),
            false => closed.resume.to_vec(),
        }),
    });
    let comparisons = comparisons.collect();
    let facts = task.facts().collect();
    let times = frames.iter().rev().find_map(times);
    Ok(TaskInspection { stream: stream(look, of, &frames)?, inputs, comparisons, facts, times })
}

/// Returns how the evaluator stands: its next owner weighs again what was weighed since its last whole state.
fn evaluator(
    spec: &Arc<PipelineSpec>,
    look: &mut dyn LogReader,
    problems: &mut Vec<String>,
) -> Result<EvaluatorInspection, LogError> {
    let frames = evaluators(look)?;
    let at = frames.iter().rposition(|frame| state(frame).is_some());
    let told_before = |at: usize| frames.iter().take(at + 1).rev().find_map(told);
    let mut survey = EvaluatorInspection {
        stream: stream(look, Stream::Evaluator, &frames)?,
        state: at.map(|at| (frames[at].position, told_before(at))),
        ..EvaluatorInspection::default()
    };
    match weigh_again(spec, look, &frames) {
        Ok(evaluator) => {
            survey.weighed_to =
                (0..spec.candidates.len()).map(|at| evaluator.weighed_to(at)).collect();
            survey.newest = evaluator.newest_signals().cloned().collect();
            survey.unsent = evaluator.unsent().to_vec();
            survey.times = evaluator.times_told();
        }
        Err(problem) => problems.push(format!("what was decided can't be told: {problem}")),
    }
    Ok(survey)
}

/// A whole state, if a frame holds one.
fn state(frame: &LogFrame) -> Option<&[u8]> {
    match &frame.body {
        Body::Evaluator(weighing) => match weighing.as_ref() {
            EvaluatorEntry::State { bytes, .. } => Some(bytes),
            _ => None,
        },
        Body::Task(_) => None,
    }
}

/// Returns what counts of the evaluator's stream, from its last whole state on at least.
fn evaluators(look: &mut dyn LogReader) -> Result<Vec<LogFrame>, LogError> {
    let has_state = |frames: &[LogFrame]| frames.iter().any(|frame| state(frame).is_some());
    Ok(tail(look, Stream::Evaluator, has_state)?.0)
}

/// The evaluator as somebody comes to it who owns nothing; `None` where nobody weighed anything yet.
///
/// # Errors
/// The log can't be read, or doesn't hold what was weighed.
pub fn weighed(pipeline: &Pipeline, look: &mut dyn LogReader) -> Result<Option<Evaluator>> {
    let spec = Arc::new(with_feeds(&pipeline.spec, look, None)?);
    let frames = evaluators(look)?;
    if frames.iter().all(|frame| frame.body.claim().is_some()) {
        return Ok(None);
    }
    let evaluator = weigh_again(&spec, look, &frames);
    evaluator.map(Some).map_err(|problem| anyhow!("what was decided can't be told: {problem}"))
}

/// Weighs again what was weighed since the last whole state among these frames.
fn weigh_again(
    spec: &Arc<PipelineSpec>,
    look: &mut dyn LogReader,
    frames: &[LogFrame],
) -> Result<Evaluator, String> {
    let tasks = look.tasks();
    let at = frames.iter().rposition(|frame| state(frame).is_some());
    let whole = at.and_then(|at| state(&frames[at]));
    let since = frames.iter().skip(at.map_or(0, |at| at + 1));
    let said = || {
        since.clone().filter_map(|frame| match &frame.body {
            Body::Evaluator(weighing) => Some(weighing),
            Body::Task(_) => None,
        })
    };
    let first = First {
        rules: said().find_map(|weighing| weighing.rules()),
        times: said().find_map(|weighing| weighing.times()),
    };
    let mut evaluator = Evaluator::recover(Arc::clone(spec), tasks as usize, whole, first)?;
    for task in 0..tasks {
        let (position, mut epoch): (u64, Epoch) = evaluator.taken_of(task as usize);
        let (frames, _) = look
            .frames(Stream::Task(task), Begin::Behind(position), u64::MAX)
            .map_err(|error| error.to_string())?;
        for frame in frames {
            let counts = epoch.admits(frame.position, frame.epoch, frame.body.claim().is_some());
            if let (true, Body::Task(entry)) = (counts, &frame.body) {
                evaluator.handle(Input::Entry { task, position: frame.position, entry });
            }
        }
    }
    for frame in since {
        let Body::Evaluator(weighing) = &frame.body else { continue };
        if !evaluator.can_weigh(weighing) {
            return Err("it weighed what the tasks' streams don't hold".to_owned());
        }
        evaluator.handle(Input::Logged(weighing));
        // Nothing of it is done again.
        while evaluator.poll().is_some() {}
    }
    Ok(evaluator)
}
