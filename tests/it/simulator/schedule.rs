//! One schedule: what happens to whom, by one seed.
//!
//! In: a seed, a planted bug. Out: what was compared, or what went wrong. Holds: trouble ends at some
//! time, and then everything must come right by itself. Knows nothing of: how a driver works.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use parallax::model::rule::{Action, Metric, Op};
use parallax::model::spec::{Certainty, PipelineSpec, TimeSpec};
use parallax::model::time::{EventTime, Span};

use super::broker::{Broker, INPUTS, PARTITIONS, broker};
use super::calm;
use super::faults::{Bug, Fate, Hits};
use super::oracle::{Compared, End, compare};
use super::ports::{Reach, Shared};
use super::process::Process;
use super::rng::Rng;
use crate::world::{at, rule};

/// A schedule under way.
pub(super) struct Schedule {
    pub(super) rng: Rng,
    /// The pipeline file by revision, and which of them is the newest so far.
    pub(super) files: Vec<Arc<PipelineSpec>>,
    newest: usize,
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) broker: Broker,
    pub(super) now: EventTime,
    pub(super) processes: Vec<Process>,
    /// Who owns each partition, says the group; and how often it decided.
    assignment: Vec<u32>,
    generation: u64,
    next_id: u32,
    /// One process at a time, on a local disk.
    pub(super) is_file: bool,
    trouble: u64,
    /// A process was stopped by a refusal.
    pub(super) refused: Option<String>,
    /// What was done to an input.
    pub(super) damage: Option<String>,
}

/// What came of a schedule.
pub(super) struct Outcome {
    pub(super) compared: Compared,
    pub(super) hits: Hits,
    /// An input was damaged, and that was noticed.
    pub(super) noticed: bool,
    /// An input was damaged.
    pub(super) damaged: bool,
}

fn spec() -> PipelineSpec {
    let latency = Metric::Latency { rank: 90_000 };
    PipelineSpec {
        candidates: vec!["s".into(), "t".into()],
        cluster: Some("batch".into()),
        time: TimeSpec {
            pane: Span::from_secs(10),
            wait: Span::from_secs(10),
            skew: Span::from_secs(2),
            idle_after: Span::from_secs(5),
            lead: Span::from_secs(1_000_000),
        },
        windows: vec![Span::from_secs(30)],
        rules: vec![
            rule("error_rate > 1%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.01),
            rule("null_rate > 0.5%", Action::Investigate, Metric::NullRate, Op::Above, 0.005),
            rule("latency_p90 > 1.5x primary", Action::Investigate, latency, Op::Above, 1.5),
            rule("match_rate < 99%", Action::Investigate, Metric::MatchRate, Op::Below, 0.99),
        ],
        certainty: Certainty { per_rollout: 0.99, interval: Span::from_secs(1), in_blocks: false },
        shared_cause_investigates: true,
        roll: Span::from_secs(30),
        roll_rows: 30,
        matches_sampled_ppm: 500_000,
        ..crate::world::spec()
    }
}

/// The same pipeline with other rules, twice: one is altered, one gone, one new; then all begin anew. Either
/// may come with other times.
fn files(rng: &mut Rng) -> Vec<Arc<PipelineSpec>> {
    let first = spec();
    let rate = |text, action, value| rule(text, action, Metric::ErrorRate, Op::Above, value);
    let mut second = PipelineSpec { revision: 2, config_hash: 2, dry_run: false, ..first.clone() };
    let null = rule("null_rate > 0.2%", Action::Investigate, Metric::NullRate, Op::Above, 0.002);
    second.rules[1] = null;
    second.rules.remove(3);
    second.rules.insert(0, rate("error_rate > 2%", Action::Investigate, 0.02));
    let certainty = Certainty { per_rollout: 0.9, ..first.certainty };
    let time = other_times(rng, first.time);
    let which = rng.below(4);
    if which == 0 {
        second.time = time;
    }
    let mut third = PipelineSpec { revision: 3, config_hash: 3, certainty, ..second.clone() };
    if which == 1 {
        third.time = time;
    }
    [first, second, third].map(Arc::new).into()
}

fn other_times(rng: &mut Rng, time: TimeSpec) -> TimeSpec {
    let mut one_of = |seconds: [i64; 4]| Span::from_secs(seconds[rng.index(4)]);
    let (pane, wait) = (one_of([5, 10, 15, 30]), one_of([5, 10, 20, 40]));
    TimeSpec { pane, wait, skew: one_of([0, 1, 2, 7]), ..time }
}

/// Runs one schedule; what went wrong, if anything did.
pub(super) fn run(seed: u64, bug: Bug) -> Result<Outcome, String> {
    let mut rng = Rng::new(seed);
    let broker = broker(&mut rng);
    let is_file = rng.chance(25);
    let shared = Shared {
        rng: Rng::new(seed ^ 0x5eed),
        bug,
        calm: false,
        log: super::log::Frames { is_file, ..Default::default() },
        disk: Default::default(),
        control: Default::default(),
        letters: Default::default(),
        repairs: false,
        fates: Default::default(),
        hits: Hits::new(),
    };
    let mut schedule = Schedule {
        trouble: 3 + rng.below(12),
        files: files(&mut rng),
        rng,
        newest: 0,
        shared: Arc::new(Mutex::new(shared)),
        broker,
        now: at(1000.0),
        processes: Vec::new(),
        assignment: vec![0; PARTITIONS],
        generation: 0,
        next_id: 1,
        is_file,
        refused: None,
        damage: None,
    };
    schedule.trouble()?;
    let undamaged = schedule.broker.clone();
    let damaged = bug == Bug::Nothing && schedule.rng.chance(6) && calm::damage(&mut schedule);
    calm::end(&mut schedule, damaged)?;
    let noticed = schedule.refused.is_some();
    if damaged && !noticed {
        return Err(format!("nobody noticed damage: {:?}", schedule.damage));
    }
    let end = if noticed { End::Refused } else { End::Whole };
    let shared = schedule.shared.lock().unwrap();
    let compared = compare(&schedule.files[0], &undamaged, &shared, end)?;
    Ok(Outcome { compared, hits: shared.hits.clone(), noticed, damaged })
}

impl Schedule {
    pub(super) fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Everything that can go wrong.
    fn trouble(&mut self) -> Result<(), String> {
        let steps = 80 + self.rng.below(160);
        for _ in 0..steps {
            while self.processes.is_empty() {
                self.shared().disk.full = false;
                self.start();
            }
            match self.rng.below(100) {
                0..25 => self.pass_time(),
                25..31 if 0 < self.trouble => self.misfortune(),
                31..33 => {
                    let mut shared = self.shared();
                    shared.log.land_adrift();
                    shared.control.land();
                }
                33..37 if self.is_bereft() => self.rebalance(),
                37 if self.newest + 1 < self.files.len() && self.rng.chance(50) => self.newest += 1,
                _ => {
                    let at = self.rng.index(self.processes.len());
                    let done = self.live(at);
                    self.outlive(at, done)?;
                }
            }
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        self.now = self.now.plus(Span::from_secs(self.rng.below(5) as i64));
        let soon = self.now.plus(Span::from_secs(40));
        let next = self.broker.next_arrival(self.now);
        if let Some(next) = next.filter(|next| soon < *next && self.rng.chance(20)) {
            self.now = next;
        }
    }

    fn misfortune(&mut self) {
        self.trouble -= 1;
        match self.rng.below(11) {
            0..3 => {
                let at = self.rng.index(self.processes.len());
                self.bury(at);
            }
            // The power fails.
            10 => (0..self.processes.len()).rev().for_each(|at| self.bury(at)),
            3 => self.shared().disk.full = true,
            4..7 => self.rebalance(),
            _ if self.is_file || 3 <= self.processes.len() => {}
            _ => self.start(),
        }
    }

    /// A process is no more.
    pub(super) fn bury(&mut self, at: usize) {
        let process = self.processes.remove(at);
        let is_last = self.processes.is_empty();
        let mut shared = self.shared();
        shared.bury(process.id);
        let stops_all = shared.fates.get(&process.id).is_some_and(|fate| fate.stops_all);
        if is_last && (stops_all || shared.rng.chance(40)) {
            let Shared { disk, rng, .. } = &mut *shared;
            disk.lose_stages(rng);
            shared.repairs = true;
        }
        if shared.rng.chance(60) {
            shared.disk.full = false;
        }
    }

    /// A process that failed is buried, if it was meant to; another failure is an error.
    pub(super) fn outlive(&mut self, at: usize, done: Result<()>) -> Result<(), String> {
        let Err(error) = done else { return Ok(()) };
        let id = self.processes[at].id;
        if !self.shared().fates.get(&id).is_some_and(|fate| fate.died) {
            self.refused = Some(format!("{error:#}"));
        }
        let calm = self.shared().calm;
        if !calm && self.shared().fates.get(&id).is_some_and(|fate| fate.stops_all) {
            while self.processes.first().is_some_and(|process| process.id != id) {
                self.bury(0);
            }
            while 1 < self.processes.len() {
                self.bury(1);
            }
            self.bury(0);
        } else {
            self.bury(at);
        }
        match &self.refused {
            Some(error) => Err(format!("process {id} stopped: {error}")),
            None => Ok(()),
        }
    }

    /// Another process starts.
    pub(super) fn start(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let repairs = std::mem::take(&mut self.shared().repairs);
        let calm = self.shared().calm;
        let fate = if calm { Fate::default() } else { Fate::drawn(&mut self.rng, repairs) };
        self.shared().fates.insert(id, fate);
        // Not every host has the newest file.
        let old = self.rng.chance(25);
        let file = if old { self.rng.index(self.newest + 1) } else { self.newest };
        let reach = Reach::new(id, &self.shared);
        let mut process = Process::new(id, &self.files[file], reach);
        if self.is_file {
            let done = process.own_all();
            self.processes.push(process);
            // A process that dies at its first steps is followed by the next.
            let last = self.processes.len() - 1;
            if done.is_err() {
                self.bury(last);
            }
        } else {
            self.processes.push(process);
            self.rebalance();
        }
    }

    /// Somebody who is no more owns something.
    pub(super) fn is_bereft(&self) -> bool {
        let lives = |id: &u32| self.processes.iter().any(|process| process.id == *id);
        !self.is_file && !self.assignment.iter().all(lives)
    }

    /// The group decides anew; who isn't in it any more learns that later.
    pub(super) fn rebalance(&mut self) {
        if self.is_file || self.processes.is_empty() {
            return;
        }
        let calm = self.shared().calm;
        let mut members: Vec<u32> = self.processes.iter().map(|process| process.id).collect();
        while 1 < members.len() && !calm && self.rng.chance(35) {
            members.remove(self.rng.index(members.len()));
        }
        for owner in &mut self.assignment {
            *owner = members[self.rng.index(members.len())];
        }
        self.generation += 1;
    }

    /// Partitions of a process, says the group.
    pub(super) fn assigned(&self, id: u32) -> Vec<u32> {
        if self.is_file {
            return (0..PARTITIONS as u32).collect();
        }
        let owned = (0..).zip(&self.assignment).filter(|(_, owner)| **owner == id);
        owned.map(|(partition, _)| partition).collect()
    }

    /// What the group decided comes to a process.
    pub(super) fn follow_group(&mut self, at: usize) -> Result<()> {
        let list = self.assigned(self.processes[at].id);
        let process = &mut self.processes[at];
        if !self.is_file && process.generation < self.generation {
            process.generation = self.generation;
            process.take_assigned(list)?;
        }
        process.claim_again(self.now)
    }

    /// A process goes on a little.
    fn live(&mut self, at: usize) -> Result<()> {
        match self.rng.below(100) {
            0..20 => self.follow_group(at)?,
            20..22 if !self.is_file => self.processes[at].assigned = None,
            _ => {}
        }
        let (what, now) = (self.rng.below(100), self.now);
        if self.processes.len() <= at {
            return Ok(());
        }
        let Self { processes, rng, broker, .. } = self;
        let process = &mut processes[at];
        match what {
            0..55 => {
                for _ in 0..1 + rng.below(4) {
                    let place = (rng.below(PARTITIONS as u64) as u32, rng.index(INPUTS));
                    process.read(broker, place, 1 + rng.index(6), now);
                }
            }
            55..70 => process.tick(now)?,
            70..76 => process.ask_ends(broker, now),
            76..84 => process.take_ends(broker, now)?,
            84..86 => {
                process.tick(now)?;
                self.shared().calm = true;
                let done = self.processes[at].driver.flush();
                self.shared().calm = false;
                done?;
                if self.rng.chance(50) {
                    self.bury(at);
                    return Ok(());
                }
            }
            _ => {}
        }
        let Self { processes, broker, .. } = self;
        processes[at].settle(broker, now)
    }
}
