//! Bugs that are planted in the log: what it makes of frames for a broken protocol.
//!
//! In: frames as they are. Out: frames as a broken owner would take them. Holds: without a bug nothing
//! is altered. Knows nothing of: how drivers react.

use std::collections::BTreeMap;
use std::sync::Arc;

use parallax::model::entry::{Checkpoint, Entry, EvaluatorEntry, TimesSaid};
use parallax::model::resume::ResumePoint;
use parallax::model::time::{EventTime, Span};
use parallax::runtime::log::{Body, LogFrame, Stream};

use super::faults::Bug;
use super::log::Topic;
use super::ports::Shared;

/// What a new owner finds that isn't so, by position.
pub(super) fn altered(
    shared: &Shared,
    which: u8,
    stream: Stream,
) -> BTreeMap<u64, Option<LogFrame>> {
    let Some(topic) = shared.log.topics.get(&stream) else { return BTreeMap::new() };
    match (shared.bug, which, stream) {
        (Bug::OneResumePoint, 0, _) => one_resume_point(topic),
        (Bug::VitalsTwice, 0, _) => {
            let vitals = topic.frames.iter().filter(|frame| is_vitals(frame));
            vitals.map(|frame| (frame.position, None)).collect()
        }
        (Bug::VitalsRejected, 0, _) => accepted(topic, is_vitals),
        (Bug::TimesForgotten, 0, Stream::Task(_)) => said_otherwise(topic, |said| {
            said.times.tempo = said.times.before;
        }),
        (Bug::StateOfLostEntry, 1, Stream::Evaluator) => accepted(topic, is_state),
        (Bug::ChangesForgotten, 1, Stream::Evaluator) => {
            let changes = topic.frames.iter().filter(|frame| is_change(frame));
            changes.map(|frame| (frame.position, None)).collect()
        }
        (Bug::ChangesOfZombies, 1, Stream::Evaluator) => accepted(topic, is_change),
        _ => BTreeMap::new(),
    }
}

/// What is written down that isn't so.
pub(super) fn alter_append(bug: Bug, body: &mut Body) {
    if let (Bug::TimesTooEarly, Body::Evaluator(weighing)) = (bug, &mut *body)
        && let EvaluatorEntry::TempoChange(times) = Arc::make_mut(weighing)
        && EventTime::START < times.from
    {
        times.from = times.from.minus(Span::from_secs(60));
    }
    if let (Bug::HoldsTooEarly, Body::Task(entry)) = (bug, &mut *body)
        && let Entry::Times(TimesSaid { hold: Some(hold), .. }) = Arc::make_mut(entry)
        && EventTime::START < hold.to
    {
        hold.to = hold.to.minus(Span::from_secs(60));
    }
    let (Bug::NoLookBack, Body::Task(entry)) = (bug, body) else { return };
    if let Entry::Checkpoint(closed) = Arc::make_mut(entry) {
        let max = closed.to.plus(Span::from_secs(12));
        for resume in &mut closed.resume {
            let offset = resume.read_to;
            *resume = ResumePoint { offset, max, read_to: 0, marks: 0, ..*resume };
        }
    }
}

/// What tasks said of their times, otherwise.
fn said_otherwise(topic: &Topic, alter: fn(&mut TimesSaid)) -> BTreeMap<u64, Option<LogFrame>> {
    let said = |frame: &LogFrame| match &frame.body {
        Body::Task(entry) => match entry.as_ref() {
            Entry::Times(said) => Some(*said),
            _ => None,
        },
        Body::Evaluator(_) => None,
    };
    let altered = topic.frames.iter().filter_map(|frame| {
        let mut said = said(frame)?;
        alter(&mut said);
        let body = Body::Task(Arc::new(Entry::Times(said)));
        Some((frame.position, Some(LogFrame { body, ..frame.clone() })))
    });
    altered.collect()
}

fn is_vitals(frame: &LogFrame) -> bool {
    matches!(&frame.body, Body::Task(entry) if matches!(entry.as_ref(), Entry::Vitals(_)))
}

fn is_state(frame: &LogFrame) -> bool {
    matches!(&frame.body, Body::Evaluator(w) if matches!(w.as_ref(), EvaluatorEntry::State { .. }))
}

fn is_change(frame: &LogFrame) -> bool {
    matches!(&frame.body, Body::Evaluator(w) if matches!(w.as_ref(), EvaluatorEntry::Change(_)))
}

/// Frames that don't count, as if they did.
fn accepted(topic: &Topic, which: fn(&LogFrame) -> bool) -> BTreeMap<u64, Option<LogFrame>> {
    let stale = topic.judged().filter(|(frame, epoch)| frame.epoch != *epoch && which(frame));
    stale
        .map(|(frame, epoch)| (frame.position, Some(LogFrame { epoch, ..frame.clone() })))
        .collect()
}

/// All comparisons go on from the furthest point of any.
fn one_resume_point(topic: &Topic) -> BTreeMap<u64, Option<LogFrame>> {
    let mut last: BTreeMap<u8, (&LogFrame, &Checkpoint)> = BTreeMap::new();
    for frame in topic.valid() {
        if let Body::Task(entry) = &frame.body
            && let Entry::Checkpoint(closed) = entry.as_ref()
        {
            last.insert(closed.comparison, (frame, closed));
        }
    }
    let resume = last.values().map(|(_, closed)| closed.resume[0]);
    let Some(furthest) = resume.max_by_key(|resume| resume.offset) else { return BTreeMap::new() };
    let alter = |(frame, closed): &(&LogFrame, &Checkpoint)| {
        let closed =
            Checkpoint { resume: [furthest, closed.resume[1]], ..Checkpoint::clone(closed) };
        let body = Body::Task(Arc::new(Entry::Checkpoint(closed)));
        (frame.position, Some(LogFrame { body, ..LogFrame::clone(frame) }))
    };
    last.values().map(alter).collect()
}
