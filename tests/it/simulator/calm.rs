//! The end of a schedule: no more trouble, and everything comes right by itself; or an input is damaged.
//!
//! In: a schedule after its trouble. Out: the same with everything read, closed and weighed. Holds:
//! what dead processes had on their way still arrives. Knows nothing of: what is right.

use anyhow::Result;
use parallax::model::resume::ResumePoint;
use parallax::model::time::Span;
use parallax::runtime::log::{Body, Stream};

use super::broker::{Damage, INPUTS, PARTITIONS};
use super::schedule::Schedule;

/// Everything must have come right by then.
const ROUNDS: usize = 60;

/// Nothing goes wrong any more.
pub(super) fn end(schedule: &mut Schedule, damaged: bool) -> Result<(), String> {
    {
        let mut shared = schedule.shared();
        shared.calm = true;
        shared.disk.full = false;
        shared.fates.values_mut().for_each(super::faults::Fate::spare);
    }
    // Those that died without having to do anything since.
    for at in (0..schedule.processes.len()).rev() {
        let id = schedule.processes[at].id;
        if schedule.shared().fates.get(&id).is_some_and(|fate| fate.died) {
            schedule.bury(at);
        }
    }
    match come_right(schedule) {
        Err(_) if damaged && schedule.refused.is_some() => Ok(()),
        other => other,
    }
}

fn come_right(schedule: &mut Schedule) -> Result<(), String> {
    let bounded = schedule.processes.len() <= 1 && schedule.rng.chance(50);
    let (mut before, mut still) = (0, 0);
    for round in 0..ROUNDS {
        if schedule.processes.is_empty() {
            schedule.start();
        }
        match round {
            _ if round == 0 || schedule.is_bereft() => schedule.rebalance(),
            2 => {
                let mut shared = schedule.shared();
                shared.log.land_adrift();
                shared.control.land();
            }
            4 if bounded => schedule.now = schedule.broker.last_arrival.max(schedule.now),
            4 => schedule.now = schedule.broker.after_all.max(schedule.now),
            5..26 => schedule.now = schedule.now.plus(Span::from_secs(1)),
            _ => {}
        }
        for at in (0..schedule.processes.len()).rev() {
            let done = one_round(schedule, at, bounded);
            schedule.outlive(at, done)?;
        }
        let now = progress(schedule);
        still = if now == before { still + 1 } else { 0 };
        before = now;
        if 28 < round && 2 < still && !schedule.processes.is_empty() {
            is_settled(schedule)?;
            return conclude(schedule, bounded).map_err(|error| format!("at the end: {error:#}"));
        }
    }
    Err("it never comes to rest".to_owned())
}

fn one_round(schedule: &mut Schedule, at: usize, bounded: bool) -> Result<()> {
    schedule.follow_group(at)?;
    let (now, Schedule { processes, broker, .. }) = (schedule.now, schedule);
    let process = &mut processes[at];
    process.read_all(broker, now);
    process.settle(broker, now)?;
    if !bounded {
        process.ask_ends(broker, now);
        process.take_ends(broker, now)?;
    }
    process.tick(now)?;
    process.settle(broker, now)
}

/// Grows while anything happens.
fn progress(schedule: &Schedule) -> usize {
    let frames: usize = schedule.shared().log.topics.values().map(|topic| topic.frames.len()).sum();
    let read = schedule.processes.iter().flat_map(|process| process.driver.owned());
    let read = read.flat_map(|(_, task)| (0..INPUTS).map(|input| task.position(input) as usize));
    frames + read.sum::<usize>()
}

/// Each partition is owned by whom the group says, and one evaluator leads.
fn is_settled(schedule: &Schedule) -> Result<(), String> {
    for process in &schedule.processes {
        let (owned, assigned) = (process.driver.partitions_owned(), schedule.assigned(process.id));
        if owned != assigned {
            let id = process.id;
            return Err(format!("process {id} owns {owned:?}, it was assigned {assigned:?}"));
        }
    }
    let leads = schedule.processes.iter().filter(|process| process.driver.evaluator().is_some());
    let obeyed = leads.clone().all(|process| {
        let in_force = process.driver.evaluator().map_or(0, |e| e.spec().revision);
        process.driver.spec.revision <= in_force
    });
    if !obeyed {
        return Err("older rules than those of the leader's pipeline file are in force".to_owned());
    }
    let retimed = leads.clone().all(|process| {
        let file = &process.driver.spec;
        process.driver.evaluator().is_none_or(|leader| {
            let in_force = leader.spec();
            let times = in_force.times();
            // Rules and times of one revision are put in force one after the other: a crash may come between.
            let newest = in_force.revision.max(times.revision);
            file.revision < newest || file.time.tempo() == times.tempo
        })
    });
    if !retimed || schedule.processes.iter().any(|process| process.driver.is_retiming()) {
        return Err("times never changed as they were to".to_owned());
    }
    let leads = leads.count();
    if leads != 1 {
        return Err(format!("{leads} evaluators lead"));
    }
    for (partition, inputs) in schedule.broker.partitions.iter().enumerate() {
        let task = schedule.processes.iter().find_map(|p| p.driver.task(partition as u32));
        for (input, topic) in inputs.iter().enumerate() {
            let last = topic.records.last().map_or(0, |record| record.offset + 1);
            if task.is_none_or(|task| task.position(input) < last) {
                return Err(format!("input {input} of partition {partition} isn't read"));
            }
        }
    }
    Ok(())
}

/// All leave; who leads reports what is open.
fn conclude(schedule: &mut Schedule, bounded: bool) -> Result<()> {
    let now = schedule.now;
    if bounded && schedule.processes.len() == 1 {
        schedule.processes[0].tick(now)?;
        return schedule.processes[0].driver.finish();
    }
    for process in &mut schedule.processes {
        process.tick(now)?;
        process.driver.flush()?;
    }
    for process in &mut schedule.processes {
        process.tick(now)?;
        if process.driver.evaluator().is_some() {
            process.driver.end(true)?;
        }
    }
    Ok(())
}

/// Damages an input behind the pipeline's back while nobody reads it; whether that must be noticed.
pub(super) fn damage(schedule: &mut Schedule) -> bool {
    while let Some(process) = schedule.processes.pop() {
        schedule.shared().bury(process.id);
    }
    schedule.shared().log.land_adrift();
    let (partition, input) = (schedule.rng.index(PARTITIONS), schedule.rng.index(INPUTS));
    let Some(resume) = resume(schedule, partition, input) else { return false };
    let topic = &schedule.broker.partitions[partition][input];
    let horizon =
        topic.records.iter().filter(|r| (resume.offset..resume.read_to).contains(&r.offset));
    let horizon: Vec<i64> = horizon.map(|record| record.offset).collect();
    if horizon.is_empty() {
        return false;
    }
    let one = horizon[schedule.rng.index(horizon.len())];
    let damage = match schedule.rng.below(3) {
        0 => Damage::Truncated(one + 1),
        // A topic that begins anew with the very records that were read is the same topic.
        1 if topic.records[topic.records.len() / 3].offset <= one => Damage::Recreated,
        _ => Damage::Replaced(one),
    };
    schedule.damage =
        Some(format!("input {input} of partition {partition}: {damage:?}, read again {resume:?}"));
    schedule.broker.damage(partition, input, damage);
    true
}

/// Where a new owner begins to read an input, if it has read any of it before.
fn resume(schedule: &Schedule, partition: usize, input: usize) -> Option<ResumePoint> {
    let shared = schedule.shared();
    let mut last = vec![None; INPUTS - 1];
    for frame in shared.log.topics.get(&Stream::Task(partition as u32))?.valid() {
        if let Body::Task(entry) = &frame.body
            && let Some(closed) = entry.word()
        {
            last[usize::from(closed.comparison)] = Some(closed.resume);
        }
    }
    let of_input = |(comparison, resume): (usize, Option<[ResumePoint; 2]>)| match input {
        0 => Some(resume.map(|resume| resume[0])),
        _ => (comparison + 1 == input).then(|| resume.map(|resume| resume[1])),
    };
    let resumes: Option<Vec<ResumePoint>> =
        last.into_iter().enumerate().filter_map(of_input).collect();
    resumes?.into_iter().min_by_key(|resume| resume.offset)
}
