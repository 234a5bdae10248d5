//! The loop of a live run: read, close, tick, say when inputs stand at their end.
//!
//! In: a source, a driver, a clock. Out: nothing but effects. Holds: the input that is furthest
//! behind is read first; reading waits for no join: what drifts apart is parked and read again; a second of vitals is weighed each second; what isn't handed out to this
//! process isn't read. Knows nothing of: how entries are kept.

mod parked;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::decide::format;
use crate::engine::evaluator::Evaluator;
use crate::engine::{self, Task};
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::runtime::clock::{HostClock, idle, monotonic};
use crate::runtime::driver::{Begun, Change, Driver, Group};
use crate::runtime::end_barrier::EndBarrier;
use crate::runtime::snapshot::{Snapshot, Snapshots};
use crate::runtime::source::Source;
use crate::runtime::stop::Stop;
use crate::runtime::tempo_change;
use crate::runtime::transactions::Transactions;

/// An input that gave nothing for so long is stuck: nobody waits for it.
const STUCK: Duration = Duration::from_secs(2);
/// How long the first cursor pauses for that.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait before a task is claimed again that another process claimed.
const BACK_OFF: Span = Span::from_secs(2);
/// Records of one input and partition that are taken at once.
const BATCH: usize = 1024;
/// A second, in the clock's time.
const SECOND: Span = Span::from_secs(1);
/// How long to wait when there is nothing to read.
const IDLE: Duration = Duration::from_millis(2);
/// The host's clock may leave the monotonic one by so much before it has been stepped.
const STEP: Span = Span::from_secs(2);
/// A cluster that hasn't said for so long where inputs end is away.
const AWAY: Duration = Duration::from_secs(10);
/// A loop that is later than this has fallen behind.
const BEHIND: Span = Span::from_secs(5);

/// A live run.
pub struct Live<'a> {
    /// The engine and its hands.
    pub driver: &'a mut Driver,
    /// Where records come from.
    pub source: &'a mut dyn Source,
    /// Who says what is ours.
    pub share: TaskShare,
    /// The host's clock.
    pub clock: HostClock,
    /// Asked to leave?
    pub stop: Stop,
    /// What can be read over HTTP.
    pub published: Snapshots,
    /// Where a bounded run ends.
    pub until: Option<Until>,
    /// Opens the inputs a second time, for parked comparisons.
    pub reopen: &'a dyn Fn() -> Result<Box<dyn Source>>,
}

/// Which tasks are a worker's.
pub enum TaskShare {
    /// Those that the group hands out.
    Group(Box<dyn Group>),
    /// These.
    Fixed(Vec<u32>),
}

/// The end of a bounded run.
pub struct Until {
    /// Ends found at the start, by task and input.
    pub ends: Vec<Vec<i64>>,
    /// Where its workers wait for each other.
    pub barrier: EndBarrier,
}

/// What the loop remembers from round to round.
struct Round {
    next_tick: EventTime,
    /// End offsets known last, by task and input, and what open transactions hide before them.
    ends: Vec<Vec<i64>>,
    transactions: Transactions,
    asked: bool,
    /// The host's clock and the monotonic one, when the ends were asked for last.
    clocks: (EventTime, Instant),
    /// When the cluster last said where an input ends.
    heard: Instant,
    /// The host's clock was stepped, and no record has been near it since.
    doubts_clock: bool,
    /// What the group handed out last; `None` while it is deciding.
    assigned: Option<Vec<u32>>,
    /// When an input was read last, by partition and input.
    moved: BTreeMap<(u32, usize), Instant>,
    /// Reads parked comparisons' inputs again.
    second: Option<Box<dyn Source>>,
    /// Since when a task waits for its second cursor, which is close behind.
    waits: BTreeMap<u32, Instant>,
    /// Tasks that others claimed although they are ours, and when to claim them again.
    again: BTreeMap<u32, EventTime>,
}

impl Round {
    /// Nothing was asked, heard or handed out yet.
    fn begin(next_tick: EventTime, now: EventTime, ends: Vec<Vec<i64>>) -> Self {
        Self {
            next_tick,
            ends,
            transactions: Transactions::default(),
            asked: false,
            clocks: (now, monotonic()),
            heard: monotonic(),
            doubts_clock: false,
            assigned: None,
            moved: BTreeMap::new(),
            second: None,
            waits: BTreeMap::new(),
            again: BTreeMap::new(),
        }
    }

    fn end_second(&mut self, partition: u32) {
        self.waits.remove(&partition);
        if let Some(second) = &mut self.second {
            second.end(partition);
        }
    }

    /// Returns whether a task pauses for a moment, so that its second cursor can draw level.
    fn waits_for_second(&mut self, partition: u32) -> bool {
        let Some(since) = self.waits.get(&partition) else { return false };
        if PAUSE.saturating_mul(5) < since.elapsed() {
            self.waits.remove(&partition);
            return false;
        }
        since.elapsed() < PAUSE
    }
}

impl Live<'_> {
    /// Runs until asked to leave, or until the ends that were found at the start.
    ///
    /// # Errors
    /// What the world refused; what was written down before it stays true.
    pub fn run(&mut self) -> Result<()> {
        let inputs = self.driver.spec.inputs();
        let ends = vec![vec![0; inputs]; self.driver.partitions as usize];
        let now = self.clock.now();
        let mut round = Round::begin(now.floor(SECOND).plus(SECOND), now, ends);
        if self.until.is_some() {
            self.driver.set_bounded();
        }
        if let TaskShare::Fixed(partitions) = &self.share {
            self.driver.own(partitions.iter().copied())?;
            round.assigned = Some(partitions.clone());
        }
        while !self.stop.is_set() {
            self.source.pump().context("serve the source")?;
            self.follow_group(&mut round)?;
            let mut read = self.read_all(&mut round)?;
            read += self.read_parked(&mut round)?;
            self.driver.settle()?;
            self.begin_tasks(&mut round)?;
            self.ask_ends(&mut round)?;
            let now = self.clock.now();
            if now.plus(STEP) < round.next_tick {
                // The clock went back: seconds go on from where it is.
                round.next_tick = now.floor(SECOND).plus(SECOND);
            }
            if round.next_tick <= now {
                self.tick(&mut round, now)?;
            }
            if let Some(last) = self.ends_at(&mut round)? {
                return self.finish(last);
            }
            if read == 0 {
                idle(self.clock.until(round.next_tick, IDLE));
            }
        }
        self.leave()
    }

    /// Claims what the group hands out and lets go what it takes away. A task that comes back goes on
    /// as if nothing had been, unless somebody claimed it meanwhile.
    fn follow_group(&mut self, round: &mut Round) -> Result<()> {
        let TaskShare::Group(group) = &mut self.share else { return Ok(()) };
        let now = self.clock.now();
        let holds = self.driver.holdings().next().is_some();
        while let Some(change) = group.poll(holds)? {
            match change {
                Change::Revoked => round.assigned = None,
                Change::Assigned(list) => {
                    anyhow::ensure!(
                        list.iter().all(|partition| *partition < self.driver.partitions),
                        "the group handed out partitions {list:?}, and the inputs had {} when this process started: \
                         partitions were added, so that requests lie elsewhere; begin anew: another `log` and another \
                         `output.directory`",
                        self.driver.partitions
                    );
                    let held: Vec<u32> = self.driver.holdings().map(|(p, _)| p).collect();
                    for partition in held.iter().filter(|held| !list.contains(held)) {
                        self.source.end(*partition);
                        round.end_second(*partition);
                        self.driver.release(*partition);
                    }
                    for partition in list.iter().filter(|partition| !held.contains(partition)) {
                        self.driver.claim(*partition)?;
                    }
                    tracing::info!(partitions = ?list, "The group handed out partitions.");
                    round.again.clear();
                    round.assigned = Some(list);
                }
            }
        }
        round.again.retain(|partition, _| {
            round.assigned.as_ref().is_some_and(|assigned| assigned.contains(partition))
        });
        let due = |(partition, at): (&u32, &EventTime)| (*at <= now).then_some(*partition);
        let due: Vec<u32> = round.again.iter().filter_map(due).collect();
        for partition in due {
            round.again.remove(&partition);
            self.driver.claim(partition)?;
        }
        Ok(())
    }

    /// Starts to read what has begun, and notices what others claimed.
    fn begin_tasks(&mut self, round: &mut Round) -> Result<()> {
        let begun = self.driver.take_begun();
        let any = !begun.is_empty();
        for Begun { partition, offsets, horizons, cut } in begun {
            if let Some(cut) = cut
                && self.source.ever_held(partition)?
            {
                return Err(cut.into());
            }
            if !self.goes_round(partition, &offsets, &horizons)? {
                self.source.begin(partition, &offsets, &horizons)?;
            }
        }
        if any {
            self.driver.tell_recovery();
        }
        for partition in self.driver.take_superseded() {
            self.source.end(partition);
            round.end_second(partition);
            anyhow::ensure!(
                matches!(self.share, TaskShare::Group(_)),
                "another process claimed partition {partition} of this pipeline; one of the two must stop"
            );
            round.again.insert(partition, self.clock.now().plus(BACK_OFF));
        }
        Ok(())
    }

    /// Writes down what is gone, where loss is accepted. Returns whether something was; the task begins again then.
    fn goes_round(
        &mut self,
        partition: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<bool> {
        if !self.driver.accepts_loss() {
            return Ok(false);
        }
        let gaps = self.source.gaps(partition, offsets, horizons)?;
        for gap in &gaps {
            let needed = offsets.get(gap.input).copied().unwrap_or_default();
            let read_to = horizons.iter().find(|(input, _)| *input == gap.input).map(|(_, to)| *to);
            tracing::warn!(
                arm = self.driver.spec.feed_name(gap.input),
                partition,
                needed,
                read_to,
                first = gap.first,
                end = gap.end,
                "Records that recovery needs are gone; it goes on without them, and what may lack them is marked."
            );
            self.source.end(partition);
            self.driver.lose(partition, *gap);
        }
        Ok(!gaps.is_empty())
    }

    /// Reads each task's inputs once, the one furthest behind first.
    fn read_all(&mut self, round: &mut Round) -> Result<usize> {
        let mut read = 0;
        let now = self.clock.now();
        for partition in round.assigned.clone().unwrap_or_default() {
            if self.driver.is_choked(partition) || round.waits_for_second(partition) {
                continue;
            }
            let inputs = self.order(partition);
            for &input in &inputs {
                if self.is_held_back(partition, input, &inputs, round, now) {
                    continue;
                }
                let count = self.read(partition, input, now)?;
                if count != 0 {
                    round.moved.insert((partition, input), monotonic());
                }
                read += count;
            }
        }
        Ok(read)
    }

    fn read(&mut self, partition: u32, input: usize, now: EventTime) -> Result<usize> {
        let Some(task) = self.driver.task_mut(partition) else { return Ok(0) };
        let end = self.until.as_ref().map_or(i64::MAX, |u| u.ends[partition as usize][input]);
        let max = usize::try_from(end - task.position(input)).unwrap_or(0).min(BATCH);
        if max == 0 || task.awaits(input) {
            return Ok(0);
        }
        let mut take = |records: &[crate::model::record::Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: Some(now) });
        };
        let read = self.source.drain_before(input, partition, (max, end), &mut take)?;
        self.driver.counters.read(input, read);
        Ok(read)
    }

    /// Inputs by running max, the one furthest behind first.
    fn order(&self, partition: u32) -> Vec<usize> {
        let mut inputs: Vec<usize> = (0..self.driver.spec.inputs()).collect();
        if let Some(task) = self.driver.task(partition) {
            inputs.sort_by_key(|&input| (task.max(input), input));
        }
        inputs
    }

    /// Returns whether an input of the past leads one by more than half of `lead` that has something to read,
    /// and gets it. Beyond that nothing waits: the comparison is parked.
    fn is_held_back(
        &self,
        partition: u32,
        input: usize,
        inputs: &[usize],
        round: &Round,
        now: EventTime,
    ) -> bool {
        let Some(task) = self.driver.task(partition) else { return true };
        let lead = self.driver.spec.time.lead;
        let is_past = task.max(input).plus(lead) < now;
        let moves = |other: usize| {
            let last = round.moved.get(&(partition, other));
            last.is_none_or(|last| last.elapsed() < STUCK)
        };
        is_past
            && inputs.iter().any(|&other| {
                let end = round.ends[partition as usize][other];
                task.max(other).plus(lead.half()) < task.max(input)
                    && self.source.position(other, partition)
                        < round.transactions.readable(partition, other, end)
                    && moves(other)
            })
    }

    /// Asks for end offsets, and tells tasks which of their inputs stand at their end.
    fn ask_ends(&mut self, round: &mut Round) -> Result<()> {
        let Some(answer) = self.source.take_ends()? else { return Ok(()) };
        round.asked = false;
        if !answer.ends.is_empty() {
            round.heard = monotonic();
        }
        for &(input, partition, end) in &answer.ends {
            round.ends[partition as usize][input] = end;
        }
        round.transactions.see(answer.open);
        let is_bounded = self.until.is_some();
        for news in round.transactions.news(&self.driver.spec, answer.confirmed, is_bounded) {
            tracing::info!("{news}");
        }
        if is_bounded {
            round.transactions.end(&self.driver.spec)?;
        }
        let stepped = self.clock.stepped(round.clocks);
        round.clocks = (self.clock.now(), monotonic());
        if STEP < stepped {
            let seconds = stepped.as_secs();
            tracing::warn!(
                seconds,
                "The host's clock was stepped: idle inputs wait until a record is near it."
            );
            round.doubts_clock = true;
            return Ok(());
        }
        round.doubts_clock &= !self.is_record_near(round.clocks.0);
        if round.doubts_clock || is_bounded {
            return Ok(());
        }
        let owned = self.driver.partitions_owned();
        // What others have closed isn't known here: then a task closes what it can.
        let all_here = owned.len() == self.driver.partitions as usize;
        let needed: Vec<EventTime> = (0..self.driver.spec.candidates.len())
            .map(|c| self.driver.owned().map(|(_, task)| task.closed_to(c)).max())
            .map(|to| if all_here { to.unwrap_or_default() } else { EventTime::END })
            .collect();
        for partition in owned {
            let seen = |input: usize| {
                let is_it = |end: &&(usize, u32, i64)| (end.0, end.1) == (input, partition);
                answer.ends.iter().find(is_it).map(|end| end.2)
            };
            let source = &self.source;
            let Some(task) = self.driver.task_mut(partition) else { continue };
            let standing: Vec<(usize, i64)> = (0..task.inputs())
                .filter(|&i| seen(i).is_some_and(|end| end <= source.position(i, partition)))
                .map(|input| (input, task.position(input)))
                .collect();
            task.handle(engine::Input::Standing {
                ends: &standing,
                confirmed: answer.confirmed,
                needed: &needed,
            });
        }
        self.driver.settle()
    }

    /// Returns whether the time of any input is near the host's, so that no fact could make its next record late.
    /// A log on Kafka knows the broker's time as well, and that is stricter.
    fn is_record_near(&self, now: EventTime) -> bool {
        let time = self.driver.spec.time;
        let is_near =
            |max: EventTime| now.since(max).max(max.since(now)) <= time.wait.plus(time.idle_after);
        let mut inputs = 0..self.driver.spec.inputs();
        matches!(self.share, TaskShare::Group(_))
            || inputs.any(|input| self.driver.owned().any(|(_, task)| is_near(task.max(input))))
    }

    fn tick(&mut self, round: &mut Round, now: EventTime) -> Result<()> {
        if matches!(self.clock, HostClock::Real) && round.next_tick.plus(BEHIND) < now {
            let behind = now.since(round.next_tick).as_secs();
            tracing::warn!(behind, "The loop fell behind, or the process was stopped for a while.");
        }
        self.driver.set_away(AWAY < monotonic().duration_since(round.heard));
        self.driver.tick(now.floor(SECOND))?;
        round.next_tick = now.floor(SECOND).plus(SECOND);
        if !round.asked {
            self.source.request_ends(self.clock)?;
            round.asked = true;
        }
        self.driver.tell_recovery();
        self.commit();
        self.publish(round, now);
        Ok(())
    }

    fn commit(&mut self) {
        let inputs = self.driver.spec.inputs();
        let live = &*self;
        let owned = live.driver.owned();
        let positions: Vec<(usize, u32, i64)> = owned
            .flat_map(|(n, task)| (0..inputs).map(move |i| (i, n, live.position(task, n, i))))
            .collect();
        match &mut self.share {
            TaskShare::Group(group) => group.commit(&positions),
            TaskShare::Fixed(_) => self.source.commit(&positions),
        }
    }

    /// Up to where an input was read, with the markers of transactions, which no task ever sees.
    fn position(&self, task: &Task, partition: u32, input: usize) -> i64 {
        task.position(input).max(self.source.position(input, partition))
    }

    /// The last event time of all workers, once each of them has read to its ends.
    fn ends_at(&mut self, round: &mut Round) -> Result<Option<EventTime>> {
        if !self.is_at_end() || !self.nothing_is_parked(round)? {
            return Ok(None);
        }
        let last = self.driver.last_time();
        Ok(self.until.as_ref().and_then(|until| until.barrier.has_read(last)))
    }

    fn is_at_end(&self) -> bool {
        let Some(until) = &self.until else { return false };
        let begins_anew = self.driver.owned().any(|(_, task)| task.awaits_loss());
        !begins_anew
            && !self.driver.is_retiming()
            && self.driver.holdings().all(|(partition, _)| {
                until.ends[partition as usize].iter().enumerate().all(|(input, end)| {
                    // The source's position passes control records that no task ever sees.
                    *end <= self.source.position(input, partition)
                })
            })
    }

    /// Closes everything; who has the evaluator waits for what the others write down.
    fn finish(&mut self, last: EventTime) -> Result<()> {
        let Some(barrier) = self.until.as_ref().map(|until| until.barrier.clone()) else {
            return self.leave();
        };
        self.driver.tick(self.clock.now())?;
        self.driver.finish_tasks(last)?;
        if self.driver.evaluator_epoch().is_none() {
            self.driver.flush()?;
            barrier.has_written(self.driver.read_to());
        } else {
            let is_read = |driver: &Driver| {
                barrier.written_by_others().is_some_and(|streams| driver.has_read(&streams))
            };
            while !is_read(self.driver) {
                if self.stop.is_set() {
                    return self.leave();
                }
                self.driver.settle()?;
                idle(IDLE);
            }
            self.driver.finish_weighing(last)?;
        }
        self.publish_last();
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.driver.tick(self.clock.now())?;
        self.driver.flush()?;
        self.commit();
        self.publish_last();
        Ok(())
    }

    fn publish_last(&self) {
        let round = Round::begin(EventTime::START, EventTime::START, Vec::new());
        self.publish(&round, self.clock.now());
    }

    fn publish(&self, round: &Round, now: EventTime) {
        let spec = &self.driver.spec;
        let evaluator = self.driver.evaluator();
        let weighed_to: Vec<EventTime> = (0..spec.candidates.len())
            .map(|c| evaluator.map_or(EventTime::START, |evaluator| evaluator.weighed_to(c)))
            .collect();
        let verdict = |(at, name): (usize, &String)| Some((name.clone(), evaluator?.verdict(at)?));
        let settled = self.driver.is_settled();
        self.published.publish(Snapshot {
            ready: settled,
            checks: [("log", settled), ("source", round.assigned.is_some()), ("output", true)]
                .into(),
            spec: Some(std::sync::Arc::clone(spec)),
            verdicts: spec.candidates.iter().enumerate().filter_map(verdict).collect(),
            why: why(self, round, now),
            counters: self.driver.counters.clone(),
            tasks: self.driver.owned().map(|(_, task)| task.status()).collect(),
            weighed_to,
            now,
        });
    }
}

/// How an input stands in its topic.
struct Stands {
    /// Up to where it was read.
    position: i64,
    /// Its end, if it is known.
    end: Option<i64>,
    /// Since when a transaction hides what lies between.
    hidden: Option<EventTime>,
}

impl Stands {
    /// Each input of a task.
    fn of(live: &Live<'_>, round: &Round, partition: u32, task: &Task) -> Vec<Self> {
        let ends = round.ends.get(partition as usize);
        let of = |input: usize| {
            let position = live.position(task, partition, input);
            let hidden = round.transactions.before(partition, input, position);
            let end = ends.and_then(|ends| ends.get(input)).copied();
            Self { position, end, hidden: hidden.map(|open| open.since) }
        };
        (0..task.inputs()).map(of).collect()
    }
}

/// Per task what it waits for.
fn why(live: &Live<'_>, round: &Round, now: EventTime) -> Value {
    let driver = &*live.driver;
    let spec = &driver.spec;
    let time = |t: EventTime| (EventTime::START < t).then(|| format::time(t));
    let weighed =
        |at: usize| driver.evaluator().and_then(|evaluator| time(evaluator.weighed_to(at)));
    let tasks = driver.holdings().map(|(partition, holding)| {
        let mut said = json!({ "task": partition, "epoch": holding.epoch() });
        match driver.task(partition) {
            None => said["waits_for"] = json!("its claim to come back through the log"),
            Some(task) => {
                explain(spec, task, &Stands::of(live, round, partition, task), &mut said);
            }
        }
        said
    });
    json!({
        "pipeline": spec.name,
        "now": format::time(now),
        "evaluator": {
            "here": driver.evaluator_epoch().is_some(),
            "leads": driver.evaluator().is_some(),
            "epoch": driver.evaluator_epoch(),
            "revision": driver.evaluator().map(|evaluator| evaluator.spec().revision),
            "rules": driver.evaluator().map(|evaluator| whose_rules(spec, evaluator.spec())),
            "times": driver.evaluator().and_then(Evaluator::times_told),
        },
        "weighed_to": spec.candidates.iter().enumerate().map(|(at, name)| {
            (name.clone(), json!(weighed(at)))
        }).collect::<serde_json::Map<_, _>>(),
        "troubles": spec.candidates.iter().enumerate().filter_map(|(at, name)| {
            Some((name.clone(), driver.evaluator()?.verdict(at)?["troubles"].take()))
        }).collect::<serde_json::Map<_, _>>(),
        "log_bytes": driver.log_bytes(),
        "tasks": tasks.collect::<Vec<_>>(),
    })
}

/// Whose rules are in force.
fn whose_rules(file: &PipelineSpec, in_force: &PipelineSpec) -> String {
    let (revision, ours) = (in_force.revision, file.revision);
    if ours < revision {
        format!("revision {revision} of the log; the pipeline file here is older: revision {ours}")
    } else if revision < ours {
        format!("revision {revision} of the log; revision {ours} follows once it is written down")
    } else {
        format!("revision {revision}, as in the pipeline file here")
    }
}

/// What a task waits for.
fn explain(spec: &PipelineSpec, task: &Task, stands: &[Stands], said: &mut Value) {
    let time = |t: EventTime| (EventTime::START < t).then(|| format::time(t));
    let status = task.status();
    said["read_again"] = read_again(status.read_again());
    said["times"] = tempo_change::of_task(task);
    said["inputs"] = status
        .inputs
        .iter()
        .enumerate()
        .zip(stands)
        .map(|((input, seen), stands)| {
            json!({
                "arm": spec.feed_name(input),
                "position": stands.position,
                "end": stands.end,
                "transaction_open_since": stands.hidden.map(format::time),
                "reads_again_to": seen.reads_again_to.filter(|to| seen.position < *to),
                "read_again": read_again(seen.read_again),
                "time": time(seen.max),
                "waiting_as_leap": seen.waiting,
                "held_records": seen.held_records,
                "held_bytes": seen.held_bytes,
            })
        })
        .collect();
    said["comparisons"] = status
        .comparisons
        .iter()
        .zip(&spec.candidates)
        .map(|(seen, name)| {
            let input = &status.inputs[seen.held_by];
            json!({
                "candidate": name,
                "closed_to": time(seen.closed_to),
                "held_by": spec.feed_name(seen.held_by),
                "because": if seen.parked {
                "its arms are too far apart: parked, and caught up with when they are near again".to_owned()
            } else {
                because(task, input, stands.get(seen.held_by))
            },
                "open_rows": seen.open_rows,
                "parked": seen.parked,
            })
        })
        .collect();
}

/// `null` once everything is read again.
fn read_again(seen: engine::ReadAgain) -> Value {
    match seen.left {
        0 => Value::Null,
        left => json!({ "records": seen.records, "left": left }),
    }
}

fn because(task: &Task, input: &engine::InputStatus, stands: Option<&Stands>) -> String {
    let engine::ReadAgain { records, left } = input.read_again;
    if left != 0 {
        let (left, records) = (format::count(left), format::count(records));
        format!(
            "it reads again what an earlier owner had read: {left} of {records} records are left"
        )
    } else if input.waiting != 0 {
        format!("{} records are ahead of time and wait to be believed", input.waiting)
    } else if let Some(since) = stands.and_then(|stands| stands.hidden) {
        let since = format::time(since);
        format!(
            "a transaction is open since {since}: its records aren't visible yet, time waits for them"
        )
    } else if stands.is_some_and(|s| s.end.is_some_and(|end| s.position < end)) {
        "it has records that aren't read yet".to_owned()
    } else if input.max == EventTime::START {
        "nothing has come yet; time passes when it has stood at its end for idle_after".to_owned()
    } else {
        let wait = task.times().at(input.max).wait;
        format!("records may still come until {} has passed", format::span(wait))
    }
}
