//! Parking changes nothing: a comparison that is parked and caught up with by a second cursor ends as
//! if it had never been.
//!
//! One task reads three inputs in any order, one of them stuck for a long while, with a small `lead`;
//! what is parked is caught up with and taken back at random moments. Its entries and files must hold
//! what one task says that reads the inputs one after the other, given the same facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallax::engine::{Effect, Input, Task};
use parallax::model::entry::Entry;
use parallax::model::row::PairRow;
use parallax::model::spec::{PipelineSpec, TimeSpec};
use parallax::model::time::{EventTime, Span};

use crate::recovery::{INPUTS, Rng, Said, difference, inputs, number, records, spec};
use crate::world::at;

struct World {
    spec: Arc<PipelineSpec>,
    logs: Vec<Vec<(i64, String)>>,
    task: Task,
    behind: Option<(u8, Task)>,
    entries: Vec<Entry>,
    files: BTreeMap<String, Vec<PairRow>>,
    parked: u64,
}

impl World {
    fn new(spec: Arc<PipelineSpec>, logs: Vec<Vec<(i64, String)>>, facts: &[Entry]) -> Self {
        let task = Task::recover(Arc::clone(&spec), 0, facts, &BTreeSet::new());
        let (entries, files) = (Vec::new(), BTreeMap::new());
        Self { spec, logs, task, behind: None, entries, files, parked: 0 }
    }

    fn settle(&mut self) {
        loop {
            let again = self.behind.as_mut().and_then(|(_, task)| task.poll());
            let Some(effect) = again.or_else(|| self.task.poll()) else { return };
            match effect {
                Effect::DeadLetter(_) => {}
                Effect::Differs(differs) => panic!("{differs:?}"),
                Effect::Stage { name, rows, .. } => {
                    assert!(self.files.insert(name, rows).is_none());
                }
                Effect::Append(entry) => {
                    match &entry {
                        Entry::Fact(fact) => {
                            self.task.handle(Input::Logged(*fact));
                            if let Some((_, task)) = &mut self.behind {
                                task.learn(*fact);
                            }
                        }
                        Entry::Checkpoint(closed) | Entry::Repeated(closed) => {
                            for file in &closed.files {
                                let (comparison, name) = (closed.comparison, file.name.as_str());
                                let owner = match &mut self.behind {
                                    Some((of, task)) if *of == comparison => task,
                                    _ => &mut self.task,
                                };
                                owner.handle(Input::Completed { comparison, name });
                            }
                        }
                        Entry::Claim { .. }
                        | Entry::Vitals(_)
                        | Entry::Lost(_)
                        | Entry::GapMarks(_)
                        | Entry::Feeds(_)
                        | Entry::Times(_) => {}
                    }
                    self.entries.push(entry);
                }
            }
        }
    }

    fn left(&self, input: usize) -> bool {
        self.logs[input].last().is_some_and(|(offset, _)| self.task.position(input) <= *offset)
    }

    /// One step of the second cursor, if there is one or can be.
    fn catch_up(&mut self, at_all: bool, most: usize) {
        if self.behind.is_none() {
            let first = self.task.parked().find(|c| at_all || self.task.can_catch_up(*c));
            self.behind = first.and_then(|c| Some((c, self.task.catch_up(c)?)));
            self.parked += u64::from(self.behind.is_some());
        }
        let Some((comparison, mut again)) = self.behind.take() else { return };
        for input in [0, usize::from(comparison) + 1] {
            let end = self.task.position(input);
            read(&mut again, &self.logs[input], input, (most, end));
        }
        let awaits = [0, usize::from(comparison) + 1].iter().any(|i| self.task.awaits(*i));
        if again.lies_behind(&self.task, comparison) == 0 && !awaits {
            self.task.take_back(again, comparison);
        } else {
            self.behind = Some((comparison, again));
        }
        self.settle();
    }

    fn finish(&mut self) {
        self.task.never_park();
        while self.task.parked().next().is_some() {
            self.catch_up(true, usize::MAX);
        }
        let time = self.spec.time;
        let last = self.task.last_time();
        let end = last.floor(time.pane).plus(time.pane).plus(time.wait).plus(time.skew);
        let end = if last == EventTime::START { at(0.0) } else { end };
        self.task.handle(Input::Finish { time: end });
        self.settle();
        self.task.handle(Input::Flush);
        self.settle();
    }
}

/// Reads up to `most` records before the offset `end`.
fn read(task: &mut Task, log: &[(i64, String)], input: usize, (most, end): (usize, i64)) {
    let from = task.position(input);
    let records = records(log, from..end, most);
    if !records.is_empty() && !task.awaits(input) {
        task.handle(Input::Records { input, records: &records, read_at: None });
    }
}

fn run(seed: u64) -> (Said, Said, u64) {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 7);
    let logs = inputs(&mut rng);
    let spec = spec();
    let time = TimeSpec { lead: Span::from_secs(100), ..spec.time };
    let spec = Arc::new(PipelineSpec { time, ..spec });
    let mut world = World::new(Arc::clone(&spec), logs.clone(), &[]);
    let stuck = rng.below(INPUTS as u64) as usize;
    let until = rng.below(400);
    for round in 0.. {
        let left: Vec<usize> = (0..INPUTS).filter(|&input| world.left(input)).collect();
        let free: Vec<usize> =
            left.iter().copied().filter(|input| until < round || *input != stuck).collect();
        if left.is_empty() {
            break;
        }
        if !free.is_empty() {
            let input = free[rng.below(free.len() as u64) as usize];
            let most = 1 + rng.below(8) as usize;
            read(&mut world.task, &logs[input], input, (most, i64::MAX));
        }
        if rng.chance(15) {
            world.task.handle(Input::Tick { now: at(round as f64), up_to: EventTime::END });
        }
        let latest = (0..INPUTS).map(|input| world.task.max(input)).max().unwrap_or_default();
        if rng.chance(2) && latest != EventTime::START {
            let stands: Vec<(usize, i64)> = (0..INPUTS)
                .filter(|_| rng.chance(50))
                .map(|input| (input, world.task.position(input)))
                .collect();
            let confirmed = latest.plus(Span::from_secs(10 + rng.below(60) as i64));
            let needed = [EventTime::END; 2];
            world.task.handle(Input::Standing { ends: &stands, confirmed, needed: &needed });
        }
        world.settle();
        if rng.chance(30) {
            let most = if rng.chance(50) { usize::MAX } else { 1 + rng.below(20) as usize };
            world.catch_up(rng.chance(10), most);
        }
    }
    world.finish();
    let facts: Vec<Entry> =
        world.entries.iter().filter(|entry| matches!(entry, Entry::Fact(_))).cloned().collect();
    let mut alone = World::new(spec, logs, &facts);
    alone.task.never_park();
    for input in 0..INPUTS {
        read(&mut alone.task, &alone.logs[input], input, (usize::MAX, i64::MAX));
    }
    alone.task.handle(Input::Flush);
    alone.settle();
    let said = Said::read(&world.entries, &world.files);
    (said, Said::read(&alone.entries, &alone.files), world.parked)
}

#[test]
fn an_arm_that_was_unreadable_and_then_says_nothing_more_is_caught_up_with() {
    let spec = spec();
    let time = TimeSpec { lead: Span::from_secs(100), ..spec.time };
    let spec = Arc::new(PipelineSpec { time, ..spec });
    let mut rng = Rng(5);
    let mut world = World::new(Arc::clone(&spec), inputs(&mut rng), &[]);
    let logs = world.logs.clone();
    for input in [0, 2] {
        read(&mut world.task, &logs[input], input, (usize::MAX, i64::MAX));
    }
    let stand = |world: &mut World, inputs: &[usize], second: f64| {
        let stands: Vec<_> = inputs.iter().map(|&i| (i, world.task.position(i))).collect();
        let needed = [EventTime::END; 2];
        world.task.handle(Input::Standing {
            ends: &stands,
            confirmed: at(second),
            needed: &needed,
        });
        world.task.handle(Input::Tick { now: at(second), up_to: EventTime::END });
        world.settle();
    };
    stand(&mut world, &[0, 2], 10_000.0);
    assert_eq!(world.task.parked().collect::<Vec<_>>(), [0]);
    read(&mut world.task, &logs[1], 1, (usize::MAX, i64::MAX));
    assert!(!world.task.can_catch_up(0), "its last record is old");
    stand(&mut world, &[0, 1, 2], 10_001.0);
    assert!(world.task.can_catch_up(0), "nothing more can come that is as old as that");
}

#[test]
fn parking_and_catching_up_change_nothing() {
    let one = number("PARALLAX_SEED", u64::MAX);
    let seeds = if one == u64::MAX { 0..number("PARALLAX_SCHEDULES", 1000) } else { one..one + 1 };
    let (mut parked, mut panes) = (0, 0);
    for seed in seeds {
        let (said, wanted, times) = run(seed);
        assert!(said == wanted, "PARALLAX_SEED={seed}\n{}", difference(&said, &wanted));
        parked += times;
        panes += said.panes.len();
    }
    println!("{panes} panes, parked and caught up with {parked} times");
    assert!(one != u64::MAX || 500 < parked);
}
