//! Crashes, zombies and facts change nothing: the executable model of recovery, on the real `Task`.
//!
//! One task reads three inputs (a primary and two candidates) in any interleaving, is killed between
//! any two effects, replaced, or lives on as a zombie beside its successor. What the valid entries of
//! the log and the completed files hold must equal what one undisturbed task says that reads the same
//! inputs one after the other, given the same facts: panes, rows and vitals, each exactly once. Broken
//! variants of the protocol must be caught by the same comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use parallax::engine::{Effect, Epoch, Frame, Input, Task};
use parallax::model::entry::{Checkpoint, Entry, Heard, PairFile, Pane, TimesSaid};
use parallax::model::record::Record;
use parallax::model::row::PairRow;
use parallax::model::spec::{PipelineSpec, TimeSpec};
use parallax::model::tally::Segment;
use parallax::model::time::{EventTime, Span};
use parallax::model::times::{Tempo, Times};

use crate::world::{Counted, at, event};

pub(crate) const INPUTS: usize = 3;

/// A way to get recovery wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broken {
    Nothing,
    NoLookBack,
    FactsNotLogged,
    EpochsIgnored,
    OneResumePoint,
    VitalsForgotten,
    IdsForgotten,
    RenamedBeforeEntry,
}

pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// At most so many records of an input, of these offsets.
pub(crate) fn records(log: &[(i64, String)], offsets: Range<i64>, most: usize) -> Vec<Record<'_>> {
    log.iter()
        .filter(|(offset, _)| offsets.contains(offset))
        .take(most)
        .map(|(offset, value)| Record {
            offset: *offset,
            timestamp_ms: None,
            key: None,
            value: Some(value.as_bytes()),
        })
        .collect()
}

/// Inputs with skewed stamps, stragglers, copies, reused ids, wild clocks, bursts, quiet gaps, broken
/// records, overrides and gaps between offsets: (offset, value).
pub(crate) fn inputs(rng: &mut Rng) -> Vec<Vec<(i64, String)>> {
    let mut arrivals: Vec<(i64, u64, usize, String)> = Vec::new();
    let mut time = 1000;
    for n in 0..5 + rng.below(150) {
        time += if rng.chance(97) { rng.below(4) as i64 } else { 100 + rng.below(800) as i64 };
        let burst = if rng.chance(3) { 20 } else { 1 };
        for more in 0..burst {
            for input in 0..INPUTS {
                if rng.chance(12) {
                    continue;
                }
                let mut stamp = time + more + if input == 0 { 0 } else { rng.below(8) as i64 - 3 };
                let late =
                    [0, 0, 0, rng.below(13) as i64, rng.below(91) as i64][rng.below(5) as usize];
                if rng.chance(1) {
                    stamp += rng.below(7000) as i64 - 2000;
                }
                let label = ["ok", "ok", "fraud", "?", "!"][rng.below(5) as usize];
                let country = ["BR", "DE", "XX"][rng.below(3) as usize];
                let id = format!("r{}", if rng.chance(2) { n / 2 } else { n * 32 + more as u64 });
                let mut value = event(&id, stamp as f64, label, rng.below(40) as f64, country);
                // Retries, and neighbours of a batch; some have no key.
                if n % 4 != 3 {
                    let batch = format!("{{\"batch\":\"b{}\",", n / 3);
                    value = value.replacen('{', &batch, 1);
                }
                match rng.below(40) {
                    4..8 => value = value.replacen('{', "{\"model_version\":\"v8\",", 1),
                    0 => value.truncate(20),
                    1 => value = value.replace("\"latency_ms\":", "\"latency_ms\":-1e"),
                    2 => value = value.replacen('{', "{\"assignment\":\"override\",", 1),
                    3 => value = value.replacen('{', "{\"model_version\":\"v9\",", 1),
                    _ => {}
                }
                arrivals.push((time + late, rng.next(), input, value.clone()));
                if rng.chance(9) {
                    // Delivered again, or tried again.
                    let again = [0, 0, rng.below(16) as i64][rng.below(3) as usize];
                    let [old, new] =
                        [0, again].map(|more| at((stamp + more) as f64).us().to_string());
                    let value = value.replace(&old, &new);
                    arrivals.push((time + late + rng.below(60) as i64, rng.next(), input, value));
                }
            }
        }
    }
    arrivals.sort();
    let mut logs = vec![Vec::new(); INPUTS];
    let mut next = [0; INPUTS];
    for (_, _, input, value) in arrivals {
        next[input] += 1 + if rng.chance(10) { rng.below(5) as i64 } else { 0 };
        logs[input].push((next[input] - 1, value));
    }
    logs
}

pub(crate) fn spec() -> PipelineSpec {
    PipelineSpec {
        candidates: vec!["s".into(), "t".into()],
        cluster: Some("batch".into()),
        time: TimeSpec {
            pane: Span::from_secs(30),
            wait: Span::from_secs(30),
            skew: Span::from_secs(6),
            idle_after: Span::from_secs(10),
            lead: Span::from_secs(600),
        },
        roll: Span::from_secs(120),
        roll_rows: 200,
        matches_sampled_ppm: 500_000,
        ..crate::world::spec()
    }
}

struct Owner {
    task: Task,
    epoch: u64,
    /// By input, up to where an earlier owner had read or counted.
    again: Vec<(usize, i64)>,
}

struct World {
    spec: Arc<PipelineSpec>,
    logs: Vec<Vec<(i64, String)>>,
    log: Vec<(u64, Frame<Entry>)>,
    /// By epoch and name.
    staged: BTreeMap<(u64, String), Vec<PairRow>>,
    files: BTreeMap<String, Vec<PairRow>>,
    broken: Broken,
    /// How far each input is known to reach.
    known: Vec<i64>,
    /// An owner found other records than one before it.
    differs: bool,
}

impl World {
    fn claimed(&self) -> u64 {
        let claims = self.log.iter().filter(|(_, f)| matches!(f.entry, Entry::Claim { .. }));
        claims.map(|(position, _)| *position).max().unwrap_or(0)
    }

    fn entries(&self) -> Vec<Entry> {
        self.entries_by_epoch().into_iter().map(|(_, entry)| entry).collect()
    }

    /// Entries that count, with the epoch of their writer.
    fn entries_by_epoch(&self) -> Vec<(u64, Entry)> {
        let mut current = Epoch::default();
        let counts = |(position, frame): &&(u64, Frame<Entry>)| {
            let is_claim = matches!(frame.entry, Entry::Claim { .. });
            current.admits(*position, frame.epoch, is_claim) || self.broken == Broken::EpochsIgnored
        };
        let log = self.log.iter().filter(counts);
        log.map(|(_, frame)| (frame.epoch, frame.entry.clone())).collect()
    }

    fn owner(&mut self) -> Owner {
        let epoch = self.log.len() as u64 + 1;
        let claim = Entry::Claim { nonce: epoch, config: 1 };
        self.log.push((epoch, Frame { epoch, entry: claim }));
        let by_epoch = self.entries_by_epoch();
        let mut last: BTreeMap<u8, (u64, &Checkpoint)> = BTreeMap::new();
        for (writer, entry) in &by_epoch {
            if let Some(closed) = entry.word() {
                last.insert(closed.comparison, (*writer, closed));
            }
        }
        let mut in_place = BTreeSet::new();
        for (writer, closed) in last.into_values() {
            in_place.extend(self.complete(writer, closed));
        }
        self.staged.retain(|(writer, _), _| epoch <= *writer);
        let mut entries: Vec<Entry> = by_epoch.into_iter().map(|(_, entry)| entry).collect();
        if epoch.is_multiple_of(2) {
            forget(&mut entries);
        }
        match self.broken {
            Broken::VitalsForgotten => entries.retain(|entry| !matches!(entry, Entry::Vitals(_))),
            Broken::OneResumePoint => one_resume_point(&mut entries),
            _ => {}
        }
        let task = Task::recover(Arc::clone(&self.spec), 0, &entries, &in_place);
        Owner { again: task.horizons().collect(), task, epoch }
    }

    /// Puts the files that an entry names in place; the names of those that are.
    fn complete(&mut self, writer: u64, closed: &Checkpoint) -> Vec<String> {
        let mut in_place = Vec::new();
        for PairFile { name, .. } in &closed.files {
            if let Some(rows) = self.staged.remove(&(writer, name.clone())) {
                self.files.insert(name.clone(), rows);
            }
            if self.files.contains_key(name) {
                in_place.push(name.clone());
            }
        }
        in_place
    }

    /// Carries out at most `most` effects; false if the owner has ended.
    fn carry_out(&mut self, owner: &mut Owner, most: usize) -> bool {
        for done in 0.. {
            let Some(effect) = owner.task.poll() else { return true };
            if done == most {
                return false;
            }
            match effect {
                Effect::DeadLetter(_) => {}
                Effect::Differs(_) => self.differs = true,
                Effect::Stage { name, rows, .. } if self.broken == Broken::RenamedBeforeEntry => {
                    self.files.entry(format!("{name}@{}", owner.epoch)).or_insert(rows);
                }
                Effect::Stage { name, rows, .. } => {
                    self.staged.insert((owner.epoch, name), rows);
                }
                Effect::Append(mut entry) => {
                    if let (
                        Entry::Checkpoint(closed) | Entry::Repeated(closed),
                        Broken::NoLookBack,
                    ) = (&mut entry, self.broken)
                    {
                        for resume in &mut closed.resume {
                            resume.offset = owner.task.position(usize::from(resume.input));
                            resume.max = owner.task.max(usize::from(resume.input));
                            (resume.read_to, resume.marks) = (0, 0);
                        }
                    }
                    let position = self.log.len() as u64 + 1;
                    let unlogged = self.broken == Broken::FactsNotLogged
                        && matches!(entry, Entry::Fact(f) if !f.end);
                    if !unlogged {
                        self.log
                            .push((position, Frame { epoch: owner.epoch, entry: entry.clone() }));
                    }
                    let ours =
                        self.claimed() == owner.epoch || self.broken == Broken::EpochsIgnored;
                    match entry {
                        _ if !ours => return false,
                        Entry::Fact(fact) => owner.task.handle(Input::Logged(fact)),
                        Entry::Checkpoint(closed) | Entry::Repeated(closed) => {
                            let comparison = closed.comparison;
                            for name in self.complete(owner.epoch, &closed) {
                                owner.task.handle(Input::Completed { comparison, name: &name });
                            }
                        }
                        Entry::Claim { .. }
                        | Entry::Vitals(_)
                        | Entry::Lost(_)
                        | Entry::GapMarks(_)
                        | Entry::Feeds(_)
                        | Entry::Times(_) => {}
                    }
                }
            }
        }
        true
    }

    fn read(&mut self, owner: &mut Owner, input: usize, most: usize) {
        self.feed(&mut owner.task, input, (most, i64::MAX));
        let position = owner.task.position(input);
        self.known[input] = self.known[input].max(position);
        let reads_again = owner.again.iter().any(|&(of, to)| of == input && position <= to);
        if self.broken == Broken::IdsForgotten && reads_again {
            owner.task.forget_ids(input);
        }
    }

    /// Hands a task up to `most` records before the offset `end`.
    fn feed(&self, task: &mut Task, input: usize, (most, end): (usize, i64)) {
        let from = task.position(input);
        let records = records(&self.logs[input], from..end, most);
        if !task.awaits(input) {
            task.handle(Input::Records { input, records: &records, read_at: None });
        }
    }

    /// Catches up with what is parked; whether anything was.
    fn take_back_parked(&mut self, owner: &mut Owner) -> bool {
        owner.task.never_park();
        let parked: Vec<u8> = owner.task.parked().collect();
        for comparison in &parked {
            let mut again = owner.task.catch_up(*comparison).unwrap();
            for input in self.spec.feeds.of(usize::from(*comparison)) {
                let end = owner.task.position(input);
                self.feed(&mut again, input, (usize::MAX, end));
            }
            owner.task.take_back(again, *comparison);
            assert!(self.carry_out(owner, usize::MAX));
        }
        !parked.is_empty()
    }

    /// An owner answers that it holds, and later hears from when on another tempo counts; whether it did.
    fn retime(&mut self, owner: &mut Owner, rng: &mut Rng) -> bool {
        let times = owner.task.times();
        if self.claimed() != owner.epoch || times.revision != 0 {
            return false;
        }
        let mut say = |said: TimesSaid| {
            let position = self.log.len() as u64 + 1;
            let entry = Entry::Times(said);
            self.log.push((position, Frame { epoch: owner.epoch, entry }));
        };
        let said = TimesSaid { times, hold: None, heard: Heard::default(), config: 7 };
        let Some(hold) = owner.task.hold() else {
            let mut one_of = |seconds: [i64; 4]| Span::from_secs(seconds[rng.below(4) as usize]);
            let (pane, wait) = (one_of([10, 20, 30, 60]), one_of([5, 30, 50, 100]));
            let tempo = Tempo { pane, wait, skew: one_of([0, 3, 6, 20]) };
            if let Some(hold) = owner.task.answer(2, tempo, None) {
                say(TimesSaid { hold: Some(hold), ..said });
            }
            return false;
        };
        let later = Span::from_secs(60 * rng.below(4) as i64);
        let is_first = hold.to == EventTime::START;
        let from = if is_first { hold.to } else { hold.to.plus(later) };
        let (before, tempo) = (times.tempo, hold.tempo);
        say(TimesSaid { times: Times { revision: 2, before, from, tempo }, ..said });
        true
    }

    fn left(&self, owner: &Owner) -> Vec<usize> {
        let end = |input: usize| self.logs[input].last().map_or(0, |(offset, _)| offset + 1);
        (0..self.logs.len()).filter(|&input| owner.task.position(input) < end(input)).collect()
    }
}

/// A log that forgets: what lies before the last repeated word of each comparison is gone.
fn forget(entries: &mut Vec<Entry>) {
    let mut last: BTreeMap<u8, usize> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Entry::Repeated(closed) = entry {
            let feeds = at.checked_sub(1).filter(|at| matches!(entries[*at], Entry::Feeds(_)));
            last.insert(closed.comparison, feeds.unwrap_or(at));
        }
    }
    if last.len() == INPUTS - 1 {
        // What an owner says of its times it says again with each repeated word.
        let from = last.into_values().min().unwrap_or(0);
        let mut at = 0..;
        entries.retain(|entry| {
            at.next().is_some_and(|at| from <= at) || matches!(entry, Entry::Times(_))
        });
    }
}

/// All comparisons go on from the furthest point of any.
fn one_resume_point(entries: &mut [Entry]) {
    let mut last: BTreeMap<u8, usize> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Some(closed) = entry.word() {
            last.insert(closed.comparison, at);
        }
    }
    let resume = |at: &usize| entries[*at].word().map(|closed| closed.resume[0]);
    let Some(furthest) = last.values().filter_map(resume).max_by_key(|resume| resume.offset) else {
        return;
    };
    for at in last.values() {
        if let Entry::Checkpoint(closed) | Entry::Repeated(closed) = &mut entries[*at] {
            closed.resume[0] = furthest;
        }
    }
}

/// What a set of entries and files says: panes, rows, vitals' totals; and whether anything is there twice.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Said {
    pub(crate) panes: BTreeMap<(u8, EventTime), Pane>,
    rows: Vec<String>,
    counted: BTreeMap<usize, Counted>,
    twice: usize,
}

impl Said {
    pub(crate) fn read(entries: &[Entry], files: &BTreeMap<String, Vec<PairRow>>) -> Self {
        let mut said = Self::default();
        for entry in entries {
            match entry {
                Entry::Checkpoint(closed) => {
                    for pane in &closed.panes {
                        let old = said.panes.insert((closed.comparison, pane.start), pane.clone());
                        said.twice += usize::from(old.is_some());
                    }
                }
                Entry::Vitals(vitals) => {
                    for (input, arm) in vitals.arms.iter().enumerate() {
                        said.counted.entry(input).or_default().add(arm);
                    }
                }
                Entry::Claim { .. }
                | Entry::Fact(_)
                | Entry::Lost(_)
                | Entry::GapMarks(_)
                | Entry::Repeated(_)
                | Entry::Feeds(_)
                | Entry::Times(_) => {}
            }
        }
        said.rows = files.values().flatten().map(|row| format!("{row:?}")).collect();
        said.rows.sort();
        said
    }

    /// What vitals count of records that pass is by the times in force when they did.
    fn untimed(mut self) -> Self {
        self.counted.values_mut().for_each(|counted| *counted = counted.untimed());
        self
    }
}

/// The records of each arm, spread over partitions with no thought of where their counterparts lie.
pub(crate) fn spread(
    rng: &mut Rng,
    logs: Vec<Vec<(i64, String)>>,
    partitions: &[u32],
) -> Vec<Vec<(i64, String)>> {
    let mut feeds = Vec::new();
    for (log, count) in logs.into_iter().zip(partitions) {
        let mut of_arm = vec![Vec::new(); *count as usize];
        for record in log {
            of_arm[rng.below(u64::from(*count)) as usize].push(record);
        }
        feeds.append(&mut of_arm);
    }
    feeds
}

/// One schedule; what it said and what an undisturbed task says. With `partitions` the arms' topics aren't
/// co-partitioned.
fn run(
    seed: u64,
    broken: Broken,
    partitions: Option<&[u32]>,
    is_retimed: bool,
) -> (Said, Said, BTreeSet<&'static str>) {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let (mut spec, mut logs) = (spec(), inputs(&mut rng));
    if let Some(partitions) = partitions {
        spec = spec.routed(partitions).unwrap();
        logs = spread(&mut rng, logs, partitions);
    }
    let mut world = World {
        spec: Arc::new(spec),
        known: vec![0; logs.len()],
        logs,
        log: Vec::new(),
        staged: BTreeMap::new(),
        files: BTreeMap::new(),
        broken,
        differs: false,
    };
    let mut hit = BTreeSet::new();
    let mut owners = vec![world.owner()];
    // Enough trouble ends at some time: an owner that re-reads a long horizon would never get through.
    let mut trouble = 2 + rng.below(14);
    loop {
        let last = owners.len() - 1;
        let at = if rng.chance(80) { last } else { rng.below(owners.len() as u64) as usize };
        let is_read = at == last && world.left(&owners[at]).is_empty();
        let pending = owners[at].task.hold().is_some();
        let changes = is_retimed && at == last && (is_read && pending || rng.chance(4));
        if changes && world.retime(&mut owners[at], &mut rng) {
            hit.insert("retimed");
            owners.truncate(last);
            owners.push(world.owner());
            continue;
        }
        if is_read && owners[at].task.hold().is_none() {
            break;
        }
        let what = if trouble == 0 { 5 + rng.below(95) } else { rng.below(100) };
        if what < 5 {
            trouble -= 1;
            hit.insert(if what < 3 { "kill" } else { "zombie" });
            let replaced = if what < 3 { owners.len() - 1 } else { owners.len() };
            owners.truncate(replaced);
            owners.push(world.owner());
            owners.drain(..owners.len().saturating_sub(2));
            continue;
        }
        if step(&mut world, &mut owners[at], what, &mut rng) {
            hit.insert("fact");
        }
        let ends = 0 < trouble && rng.chance(4);
        let most = if ends { rng.below(4) as usize } else { usize::MAX };
        if !world.carry_out(&mut owners[at], most) {
            hit.insert("between effects");
            trouble = trouble.saturating_sub(1);
            owners.remove(at);
            if owners.len() == at {
                owners.push(world.owner());
            }
        }
    }
    finish(&mut world, owners.pop().unwrap(), &mut hit);
    assert!(!world.differs || broken != Broken::Nothing, "seed {seed} reads other records again");
    let said = Said::read(&world.entries(), &world.files);
    let wanted = undisturbed(&world);
    if hit.contains("retimed") {
        return (said.untimed(), wanted.untimed(), hit);
    }
    (said, wanted, hit)
}

/// The inputs end: what is parked is caught up with, and everything closes.
fn finish(world: &mut World, mut owner: Owner, hit: &mut BTreeSet<&'static str>) {
    if world.take_back_parked(&mut owner) {
        hit.insert("parked");
    }
    let times = owner.task.times();
    let end = times.closes_at(times.end_of(times.pane_of(owner.task.last_time())));
    let end = if owner.task.last_time() == EventTime::START { at(0.0) } else { end };
    owner.task.handle(Input::Finish { time: end });
    assert!(world.carry_out(&mut owner, usize::MAX));
    owner.task.handle(Input::Flush);
    assert!(world.carry_out(&mut owner, usize::MAX));
}

/// One thing happens to an owner; whether it could state a fact.
fn step(world: &mut World, owner: &mut Owner, what: u64, rng: &mut Rng) -> bool {
    let left = world.left(owner);
    match what {
        0..9 => owner.task.handle(Input::Tick { now: at_seconds(rng), up_to: EventTime::END }),
        9..13 => owner.task.handle(Input::Repeat { before: EventTime::END }),
        13..18 => {
            let ends: Vec<(usize, i64)> = (0..world.logs.len())
                .map(|input| (input, owner.task.position(input)))
                .filter(|&(input, position)| world.known[input] <= position && rng.chance(60))
                .collect();
            let latest = (0..world.logs.len()).map(|input| owner.task.max(input)).max();
            let Some(latest) = latest.filter(|latest| *latest != EventTime::START) else {
                return false;
            };
            let confirmed = latest.plus(Span::from_secs(10 + rng.below(120) as i64));
            let needed = [EventTime::END; 2];
            owner.task.handle(Input::Standing { ends: &ends, confirmed, needed: &needed });
            return true;
        }
        _ if !left.is_empty() => {
            let input = left[rng.below(left.len() as u64) as usize];
            let most = 1 + rng.below(6) as usize;
            world.read(owner, input, most);
        }
        _ => {}
    }
    false
}

fn at_seconds(rng: &mut Rng) -> EventTime {
    at(rng.below(10_000) as f64)
}

/// What one task says that reads the inputs one after the other, given the same facts.
fn undisturbed(world: &World) -> Said {
    let is_given = |entry: &Entry| matches!(entry, Entry::Fact(_) | Entry::Times(_));
    let facts: Vec<Entry> = world.entries().into_iter().filter(is_given).collect();
    let mut alone = World {
        spec: Arc::clone(&world.spec),
        logs: world.logs.clone(),
        log: Vec::new(),
        staged: BTreeMap::new(),
        files: BTreeMap::new(),
        broken: Broken::Nothing,
        known: vec![0; world.logs.len()],
        differs: false,
    };
    let mut owner = alone.owner();
    owner.task = Task::recover(Arc::clone(&world.spec), 0, &facts, &BTreeSet::new());
    owner.task.never_park();
    for input in 0..world.logs.len() {
        alone.read(&mut owner, input, usize::MAX);
    }
    owner.task.handle(Input::Flush);
    assert!(alone.carry_out(&mut owner, usize::MAX));
    Said::read(&alone.entries(), &alone.files)
}

pub(crate) fn difference(said: &Said, wanted: &Said) -> String {
    let only = |a: &Said, b: &Said| {
        let mut panes = a.panes.iter().filter(|(key, pane)| b.panes.get(key) != Some(pane));
        panes.next().map(|(key, pane)| format!("{key:?} {pane:?}"))
    };
    format!(
        "twice {}\nrow {:?}\nonly disturbed: {:?}\nonly undisturbed: {:?}\nrows {} and {}\nvitals {:?} and {:?}",
        said.twice,
        said.rows.iter().zip(&wanted.rows).find(|(a, b)| a != b),
        only(said, wanted),
        only(wanted, said),
        said.rows.len(),
        wanted.rows.len(),
        said.counted,
        wanted.counted,
    )
}

pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var_os(name).and_then(|value| value.to_str()?.parse().ok()).unwrap_or(otherwise)
}

/// What many schedules did together.
#[derive(Default, Debug)]
struct Total {
    panes: usize,
    rows: usize,
    paired: u64,
    /// Copies and late records that vitals told, and requests by model version.
    copies: u64,
    late: u64,
    requests: BTreeMap<String, u64>,
    /// By what happened, in how many.
    hits: BTreeMap<&'static str, u64>,
}

/// Runs so many schedules, or the one of `PARALLAX_SEED`: each says what an undisturbed task says. `run` is one.
/// Whether it was all of them, and what they did.
fn same_as_undisturbed(
    schedules: u64,
    run: impl Fn(u64) -> (Said, Said, BTreeSet<&'static str>),
) -> (bool, Total) {
    let one = number("PARALLAX_SEED", u64::MAX);
    let is_one = one != u64::MAX;
    let seeds = if is_one { one..one + 1 } else { 0..number("PARALLAX_SCHEDULES", schedules) };
    let mut total = Total::default();
    for seed in seeds {
        let (said, wanted, hit) = run(seed);
        assert!(said == wanted, "PARALLAX_SEED={seed}\n{}", difference(&said, &wanted));
        total.panes += said.panes.len();
        total.rows += said.rows.len();
        total.paired += said.panes.values().map(|pane| pane.primary.paired).sum::<u64>();
        for counted in said.counted.values() {
            total.copies += counted.copies;
            total.late += counted.late;
            for (version, counts) in &counted.counts {
                *total.requests.entry(version.clone()).or_default() +=
                    counts[&Segment::all()].requests;
            }
        }
        for what in hit {
            *total.hits.entry(what).or_default() += 1;
        }
    }
    (!is_one, total)
}

#[test]
fn no_schedule_of_crashes_zombies_and_facts_changes_anything() {
    let (all, total) = same_as_undisturbed(2000, |seed| run(seed, Broken::Nothing, None, false));
    println!("{total:?}");
    assert!(!all || 10_000 < total.copies && 5_000 < total.late, "{total:?}");
    let versions = total.requests.values().filter(|requests| 1_000 < **requests).count();
    assert!(!all || versions == 3, "{total:?}");
    let hits = total.hits;
    assert!(!all || hits.values().all(|count| 100 <= *count) && hits.len() == 5);
}

#[test]
fn nor_where_topics_are_not_co_partitioned() {
    let (all, total) = same_as_undisturbed(1500, |seed| {
        let partitions = [[2, 3, 1], [1, 1, 4], [3, 2, 2]][(seed % 3) as usize];
        run(seed, Broken::Nothing, Some(&partitions), seed % 2 == 0)
    });
    println!("{total:?}");
    let hits = total.hits;
    assert!(!all || hits.values().all(|count| 100 <= *count) && hits.len() == 6);
}

#[test]
fn a_change_of_times_comes_to_the_same_wherever_owners_crash() {
    let (all, total) = same_as_undisturbed(2000, |seed| run(seed, Broken::Nothing, None, true));
    println!("{total:?}");
    assert!(!all || total.hits.get("retimed").is_some_and(|count| 500 < *count));
}

#[test]
fn broken_variants_are_caught() {
    for broken in [
        Broken::NoLookBack,
        Broken::FactsNotLogged,
        Broken::EpochsIgnored,
        Broken::OneResumePoint,
        Broken::VitalsForgotten,
        Broken::IdsForgotten,
        Broken::RenamedBeforeEntry,
    ] {
        let caught = (0..300).find(|&seed| {
            let (said, wanted, _) = run(seed, broken, None, false);
            said != wanted
        });
        println!("{broken:?} caught by seed {caught:?}");
        assert!(caught.is_some(), "{broken:?} goes unnoticed");
    }
}
