//! The owner of one partition of all inputs, or of all of them where they aren't co-partitioned.
//!
//! In: records, ticks, ends, facts read back. Out: entries for its log, rows, dead letters. Holds:
//! what its log says about a pane is a pure function of the input logs and the facts written in it,
//! whoever read them in whatever order. Knows nothing of: other tasks, rules, the world.
//!
//! # Its parts
//!
//! Each input has an `input` with its clock, its vitals and its kept observations; each candidate has a `comparison`
//! with its frontier and its resume point; `parking` lets a comparison go whose arms are too far apart, `data_loss`
//! writes down what an input no longer holds, `tempo` carries out a change of pane, wait or skew, [`recover`] finds in a
//! log where to go on, and `rows` makes rows of pairs.
//!
//! # Before and after
//!
//! [`crate::decode`], [`crate::clock`], [`crate::vitals`], [`crate::join`], [`crate::compare`] and [`crate::tally`] are
//! called from here, in this order. What comes out goes to the log, and from there to [`super::evaluator`].

mod comparison;
mod data_loss;
mod effect;
mod heartbeat;
mod input;
mod parking;
pub mod recover;
mod rows;
mod status;
mod tempo;

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::comparison::{Comparison, Parked, Rolled, Workspace};
pub use self::effect::{DeadLetter, Differs, Effect, Input};
use self::input::{Inlet, Timed};
use self::recover::Recovered;
pub use self::recover::{Epoch, Frame, valid};
pub use self::status::{ComparisonStatus, InputStatus, ReadAgain, TaskStatus};
use self::tempo::at_times;
use crate::decode::{Decoder, Reject};
use crate::join::Join;
use crate::model::entry::{
    ArmVitals, Checkpoint, Entry, Fact, FeedPoints, PairFile, Pane, Vitals, VitalsPoint,
};
use crate::model::key::{hash_of, short};
use crate::model::record::Record;
use crate::model::resume::ResumePoint;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::model::times::Hold;
use crate::tally::PaneTally;

/// Records that were older than this when they were read are a backlog.
const CATCHING_UP: Span = Span::from_secs(60);

/// The owner of one partition of all inputs.
#[derive(Debug)]
pub struct Task {
    spec: Arc<PipelineSpec>,
    decoder: Decoder,
    partition: u32,
    inlets: Vec<Inlet>,
    comparisons: Vec<Comparison>,
    work: Workspace,
    effects: VecDeque<Effect>,
    /// By input, age on arrival of the freshest record since the last tick.
    freshest: Vec<Option<Span>>,
    now: EventTime,
    /// Vitals of inputs that are read further stay: only a replay sets it.
    flushed_up_to: EventTime,
    /// Vitals are flushed where an earlier run recorded it, and nowhere else.
    follows: bool,
    /// Parks comparisons that have drifted apart.
    parks: bool,
    /// Counts vitals; who catches up with a parked comparison doesn't.
    counts: bool,
    /// Losses on their way through the log.
    losses_in_flight: usize,
    /// How far it closes, while a change of its times is on its way.
    hold: Option<Hold>,
}

impl Task {
    /// A new owner, going on from the valid entries of the task's log (none for a new task); of the
    /// files that the last ones name, `in_place` are.
    #[must_use]
    pub fn recover<'e>(
        spec: Arc<PipelineSpec>,
        partition: u32,
        log: impl IntoIterator<Item = &'e Entry>,
        in_place: &BTreeSet<String>,
    ) -> Self {
        let state = Recovered::read(log, &spec.feeds, spec.candidates.len());
        let spec = state.times.map_or_else(|| Arc::clone(&spec), |times| at_times(&spec, &times));
        let comparisons = (0_u8..).zip(&spec.candidates).map(|(number, _)| {
            let fresh = Comparison::new(number, &spec.feeds);
            let feeds = || fresh.resume.iter().map(|point| point.input);
            Comparison {
                closed_to: state.closed.get(&number).map_or(EventTime::START, |last| last.to),
                rows_to: state.rows_to(number, in_place),
                resume: feeds().map(|input| state.resume(number, input)).collect(),
                lacks: feeds().map(|input| state.lacks(number, input)).collect(),
                lost: state.closed.get(&number).is_some_and(|last| last.lost),
                ..fresh
            }
        });
        let comparisons: Vec<Comparison> = comparisons.collect();
        let furthest = comparisons.iter().map(|c| c.closed_to).max().unwrap_or_default();
        let lead = spec.time.lead;
        // What an earlier owner had parked is parked still: it holds back nothing else.
        let is_parked = |number: u8| {
            state.closed.get(&number).is_some_and(|last| last.to.plus(lead) < furthest)
        };
        let point = |input: usize| {
            let number = u8::try_from(input).unwrap_or(u8::MAX);
            let vitals = state.vitals.get(&number).copied().unwrap_or(0);
            let goes_on = state.vitals_points.get(&number).copied();
            (begins_at(&comparisons, number, |c| is_parked(c.number), goes_on), vitals)
        };
        let mut task = Self::begin(Arc::clone(&spec), partition, point, &state.facts);
        (task.comparisons, task.hold) = (comparisons, state.hold);
        task.look_for_ends();
        for (at, number) in (0..spec.candidates.len()).zip(0_u8..) {
            if let Some(last) = state.closed.get(&number).filter(|_| is_parked(number)) {
                let of = |fact: &&Fact| {
                    last.resume.iter().any(|r| r.input == fact.input && r.offset <= fact.offset)
                };
                let facts = state.facts.iter().filter(of).copied().collect();
                task.comparisons[at].park(Parked { resume: last.resume.clone(), facts });
            }
        }
        task
    }

    /// A task that reads each input from a point on, and counts vitals from an offset on.
    fn begin(
        spec: Arc<PipelineSpec>,
        partition: u32,
        point: impl Fn(usize) -> (ResumePoint, i64),
        facts: &[Fact],
    ) -> Self {
        let inlets = (0..spec.inputs()).map(|input| {
            let (from, vitals) = point(input);
            let facts: Vec<Fact> =
                facts.iter().filter(|fact| usize::from(fact.input) == input).copied().collect();
            let mut inlet = Inlet::new(&spec, from, &facts, vitals);
            inlet.obey_due();
            inlet
        });
        let comparisons = (0_u8..).zip(&spec.candidates);
        let comparisons = comparisons.map(|(number, _)| Comparison::new(number, &spec.feeds));
        let comparisons = comparisons.collect();
        let freshest = vec![None; spec.inputs()];
        Self {
            decoder: Decoder::new(&spec),
            partition,
            inlets: inlets.collect(),
            comparisons,
            work: Workspace {
                join: Join::default(),
                tally: PaneTally::new(&spec),
                keys: [Vec::new(), Vec::new()],
                words: rows::NamesOfRows::default(),
            },
            spec,
            effects: VecDeque::new(),
            freshest,
            now: EventTime::START,
            flushed_up_to: EventTime::END,
            follows: false,
            parks: true,
            counts: true,
            losses_in_flight: 0,
            hold: None,
        }
    }

    /// Forgets by which ids copies are told: as who takes over without reading its horizon for them, which
    /// tests of recovery must notice.
    pub fn forget_ids(&mut self, input: usize) {
        if let Some(inlet) = self.inlets.get_mut(input) {
            inlet.vitals.forget_ids();
        }
    }

    /// Flushes vitals only where `Input::Recorded` says so, from now on.
    pub const fn follow(&mut self) {
        self.follows = true;
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Records { input, records, read_at } => self.read(input, records, read_at),
            Input::Tick { now, up_to } => {
                (self.now, self.flushed_up_to) = (now, up_to);
                self.flush_vitals();
                self.park();
            }
            Input::Recorded(vitals) => {
                self.now = vitals.at;
                self.log_vitals(vitals.arms.iter().map(|arm| arm.catching_up));
            }
            Input::Standing { ends, confirmed, needed } => self.stand(ends, confirmed, needed),
            Input::Logged(fact) => {
                if let Some(inlet) = self.inlets.get_mut(usize::from(fact.input)) {
                    inlet.logged(fact);
                }
                self.note_for_parked(fact);
                self.advance();
            }
            Input::Refused(fact) => {
                if let Some(inlet) = self.inlets.get_mut(usize::from(fact.input)) {
                    inlet.fact_in_flight = false;
                }
            }
            Input::Lost(loss) => self.obey_loss(&loss),
            Input::Repeat { before } => self.repeat(before),
            Input::Completed { comparison, name } => {
                if let Some(of) = self.comparisons.get_mut(usize::from(comparison)) {
                    of.completed(name);
                }
            }
            Input::Finish { time } => self.finish(time),
            Input::Flush => self.flush(),
        }
    }

    /// Returns what is asked of the world next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns how many inputs it has.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inlets.len()
    }

    /// Returns whether a comparison reads an input.
    #[must_use]
    pub fn reads(&self, comparison: u8, input: usize) -> bool {
        self.spec.feeds.reads(usize::from(comparison), input)
    }

    /// Returns whether vitals are what is asked next: what they counted as unreadable must be put aside before.
    #[must_use]
    pub fn is_next_vitals(&self) -> bool {
        matches!(self.effects.front(), Some(Effect::Append(Entry::Vitals(_))))
    }

    /// Next offset to read of an input.
    #[must_use]
    pub fn position(&self, input: usize) -> i64 {
        self.inlets.get(input).map_or(0, Inlet::position)
    }

    /// Up to where each input must hold what an earlier owner read.
    pub fn horizons(&self) -> impl Iterator<Item = (usize, i64)> {
        let reached = |inlet: &Inlet| {
            let counted = if self.counts { inlet.vitals.flushed() } else { 0 };
            inlet.reads_again_to().unwrap_or_default().max(counted)
        };
        self.inlets.iter().map(reached).enumerate().filter(|(_, to)| 0 < *to)
    }

    /// Facts that stand at or after where it begins to read.
    pub fn facts(&self) -> impl Iterator<Item = Fact> {
        self.inlets.iter().flat_map(|inlet| inlet.facts_from(i64::MIN))
    }

    /// Running max of an input.
    #[must_use]
    pub fn max(&self, input: usize) -> EventTime {
        self.inlets.get(input).map_or(EventTime::START, Inlet::max)
    }

    /// Returns whether a fact about this input is on its way through the log: it isn't to be read meanwhile.
    #[must_use]
    pub fn awaits(&self, input: usize) -> bool {
        self.inlets.get(input).is_some_and(|inlet| inlet.fact_in_flight)
    }

    /// The last event time of all inputs, if everything that waits were believed.
    #[must_use]
    pub fn last_time(&self) -> EventTime {
        self.inlets.iter().map(Inlet::max_at_end).max().unwrap_or(EventTime::START)
    }

    /// Everything of a comparison before this is closed.
    #[must_use]
    pub fn closed_to(&self, comparison: usize) -> EventTime {
        self.comparisons.get(comparison).map_or(EventTime::START, |c| c.closed_to)
    }

    /// Returns where the last entry of a comparison says to read each of its inputs again.
    #[must_use]
    pub fn resumes(&self, comparison: usize) -> &[ResumePoint] {
        self.comparisons.get(comparison).map_or(&[], |c| &c.resume)
    }

    /// Returns how the task stands, for people.
    #[must_use]
    pub fn status(&self) -> TaskStatus {
        let inputs = self.inlets.iter().map(|inlet| InputStatus {
            position: inlet.position(),
            max: inlet.max(),
            reads_again_to: inlet.reads_again_to(),
            read_again: inlet.read_again(),
            waiting: inlet.waiting(),
            held_records: inlet.held.len(),
            held_bytes: inlet.held.bytes(),
            displaced_ids: inlet.vitals.recent().displaced(),
        });
        let comparisons = self.comparisons.iter().map(|comparison| {
            let feeds = self.spec.feeds.of(usize::from(comparison.number));
            ComparisonStatus {
                closed_to: comparison.closed_to,
                held_by: feeds.min_by_key(|feed| self.max(*feed)).unwrap_or(0),
                open_rows: comparison.rows.len(),
                parked: comparison.parked.is_some(),
            }
        });
        TaskStatus {
            partition: self.partition,
            inputs: inputs.collect(),
            comparisons: comparisons.collect(),
        }
    }

    /// Takes a batch of one input, in order of offsets, and notes how old the freshest of it was when it was read: a
    /// backlog's evidence investigates and never acts.
    fn read(&mut self, input: usize, records: &[Record<'_>], read_at: Option<EventTime>) {
        for record in records {
            self.read_one(input, record);
        }
        // Not the last one's: slow producers and lagging clocks stand among the others.
        let newest = || records.iter().filter_map(|record| record.timestamp_ms).max();
        if let Some((now, stamp)) = read_at.and_then(|now| Some((now, newest()?)))
            && let Some(freshest) = self.freshest.get_mut(input)
        {
            let age = now.since(EventTime::from_us(stamp.saturating_mul(1000)));
            *freshest = Some(freshest.map_or(age, |known| known.min(age)));
        }
        self.advance();
    }

    /// Takes one record through decode, vitals and clock. What lies before the position was read already: sources may
    /// hand out more than was asked for. Facts that stand at this offset are obeyed first, so that time passes here for
    /// whoever reads the partition again.
    fn read_one(&mut self, input: usize, record: &Record<'_>) {
        let Some(inlet) = self.inlets.get_mut(input) else { return };
        if record.offset < inlet.position() {
            return;
        }
        debug_assert!(!inlet.fact_in_flight, "nothing is read while a fact is on its way");
        inlet.obey_before(record.offset);
        inlet.check_before(record.offset);
        let fresh = inlet.vitals.begin(record.offset);
        match self.decoder.decode(self.spec.feeds.arm(input), record.value) {
            Ok(observation) => {
                let stamped = record.timestamp_ms.map(|ms| ms.saturating_mul(1000));
                inlet.vitals.see(short(hash_of(&observation.request_id)), &observation);
                let mark = mark(record.offset, observation.request_id.as_bytes());
                inlet.take((record.offset, mark), stamped, Timed::Observation(observation));
            }
            Err(reject) => {
                if fresh {
                    inlet.vitals.add_unreadable(record.offset, reject.reason, &reject.detail);
                    self.effects.push_back(dead_letter(input, record, &reject));
                }
                let mark = mark(record.offset, record.value.unwrap_or_default());
                match (reject.request_id, reject.time) {
                    (Some(id), Some(time)) => {
                        let timed = Timed::Unreadable(id.into_owned(), time);
                        inlet.take((record.offset, mark), None, timed);
                    }
                    _ => inlet.skip(record.offset, mark),
                }
            }
        }
        inlet.obey_due();
        if let Some((from, to)) = inlet.take_difference() {
            self.effects.push_back(Effect::Differs(Differs { input, from, to }));
        }
    }

    /// Says what vitals have counted since the last time, with whether it was old; nothing while a recorded run is followed,
    /// whose vitals stand in its log.
    fn flush_vitals(&mut self) {
        let is_old = |age: &mut Option<Span>| age.take().is_some_and(|age| CATCHING_UP < age);
        let catching_up: Vec<bool> = self.freshest.iter_mut().map(is_old).collect();
        if !self.follows {
            self.log_vitals(catching_up);
        }
    }

    /// By input, whether what was read since the last flush was old.
    fn log_vitals(&mut self, catching_up: impl IntoIterator<Item = bool>) {
        let up_to = self.flushed_up_to;
        let catching_up = catching_up.into_iter().chain(std::iter::repeat(false));
        let flush = |(inlet, is_old): (&mut Inlet, bool)| {
            let is_due = inlet.vitals.newest().is_none_or(|newest| newest <= up_to);
            if is_due { inlet.vitals.flush(is_old) } else { inlet.vitals.sampled() }
        };
        let arms: Vec<Option<ArmVitals>> =
            self.inlets.iter_mut().zip(catching_up).map(flush).collect();
        if arms.iter().all(Option::is_none) {
            return;
        }
        let arms = arms.into_iter().map(Option::unwrap_or_default).collect();
        let vitals = Vitals { arms, at: self.now };
        self.effects.push_back(Effect::Append(Entry::Vitals(vitals)));
    }

    /// Closes what can be closed.
    fn advance(&mut self) {
        self.note_ends();
        for at in 0..self.comparisons.len() {
            // Nothing is closed from records that may not be those that were read before.
            if self.comparisons[at].parked.is_some() || self.reads_again(at) {
                continue;
            }
            let to = self.frontier(at, Inlet::max);
            if self.comparisons[at].closed_to < to {
                self.close(at, to);
            }
        }
    }

    /// Returns whether what an earlier owner read isn't found again yet.
    fn reads_again(&self, at: usize) -> bool {
        self.spec.feeds.of(at).any(|feed| self.inlets[feed].reads_again_to().is_some())
    }

    /// Returns how far a comparison can be closed, given each input's time.
    fn frontier(&self, comparison: usize, time: impl Fn(&Inlet) -> EventTime) -> EventTime {
        let times = self.spec.feeds.of(comparison).map(|feed| time(&self.inlets[feed]));
        self.within_hold(self.spec.times().frontier(times.min().unwrap_or_default()))
    }

    /// Closes a comparison's panes up to `to`: joins what both arms hold of them, and writes the checkpoint.
    fn close(&mut self, at: usize, to: EventTime) {
        let arms = [0, at + 1].map(|arm| &self.inlets[self.spec.feeds.of_arm(arm)]);
        let comparison = &mut self.comparisons[at];
        let (panes, rolled) = comparison.close(&self.spec, arms, &mut self.work, to);
        self.log_closed(at, panes, rolled);
    }

    /// Vitals first, so that no resume point lies behind what they have counted; then the files
    /// that the entry names; then the entry.
    fn log_closed(&mut self, at: usize, panes: Vec<Pane>, rolled: Vec<Rolled>) {
        self.flush_vitals();
        let Comparison { number, .. } = self.comparisons[at];
        for Rolled { from, rows } in rolled {
            let last = rows.last().map_or(from, |row| row.pane);
            let name = self.file_name(at, from, last);
            let file = PairFile { from, to: self.spec.times().end_of(last), name: name.clone() };
            self.comparisons[at].named.push_back(file);
            self.effects.push_back(Effect::Stage { name, comparison: number, rows });
        }
        let parked = self.resumes_at(at);
        let closed = Checkpoint { panes, ..self.word(at, parked) };
        self.effects.push_back(Effect::Append(Entry::Checkpoint(closed)));
        self.forget();
    }

    /// Returns where a comparison is taken up again, as its inlets stand.
    fn resumes_at(&self, at: usize) -> Parked {
        let resume = self.points(at, self.need(at));
        Parked { facts: self.facts_behind(&resume), resume }
    }

    /// Returns how far a comparison is closed and where it is taken up again, without panes; what has to stand before
    /// such an entry is appended.
    fn word(&mut self, at: usize, Parked { resume, facts }: Parked) -> Checkpoint {
        self.repeat_lacks(at);
        let feeds = &self.spec.feeds;
        let first = |arm: usize| u8::try_from(feeds.of_arm(arm).start).unwrap_or(u8::MAX);
        let firsts = [0, at + 1].map(|arm| ResumePoint::of(&resume, first(arm)));
        let comparison = self.comparisons[at].number;
        if feeds.is_routed() {
            let (partitions, resume) = (feeds.partitions(), resume.clone());
            let points = FeedPoints { comparison, partitions, resume };
            self.effects.push_back(Effect::Append(Entry::Feeds(points)));
        }
        let vitals = if self.counts { self.vitals_points() } else { Vec::new() };
        let apart: Vec<ResumePoint> = vitals.iter().filter_map(|point| point.resume).collect();
        let facts = [facts, self.facts_behind(&apart)].concat();
        let of = &mut self.comparisons[at];
        (of.resume, of.said) = (resume, self.now);
        Checkpoint {
            comparison,
            to: of.closed_to,
            panes: Vec::new(),
            resume: firsts,
            facts,
            files: of.named.iter().cloned().collect(),
            rows_from: of.rows_from(),
            vitals,
        }
    }

    /// Returns how far the vitals of each input have counted; where no comparison that reads it says from where they
    /// go on, that too.
    fn vitals_points(&self) -> Vec<VitalsPoint> {
        let point = |(input, inlet): (usize, &Inlet)| {
            let reads = |c: &Comparison| {
                c.parked.is_none() && self.spec.feeds.reads(usize::from(c.number), input)
            };
            let is_read = self.comparisons.iter().any(reads);
            let resume = (!is_read).then(|| inlet.resume(self.need_of_vitals(inlet)));
            VitalsPoint { to: inlet.vitals.flushed(), resume }
        };
        self.inlets.iter().enumerate().map(point).collect()
    }

    /// Everything from here on is needed to go on with an input's vitals alone, as to close its panes.
    fn need_of_vitals(&self, inlet: &Inlet) -> EventTime {
        self.spec.times().frontier(inlet.max()).minus(self.look_back())
    }

    /// Returns where to read each feed of a comparison again so that everything from `need` on is seen.
    fn points(&self, at: usize, need: EventTime) -> Vec<ResumePoint> {
        self.spec.feeds.of(at).map(|feed| self.inlets[feed].resume(need)).collect()
    }

    /// Facts at or after these points.
    fn facts_behind(&self, points: &[ResumePoint]) -> Vec<Fact> {
        let of =
            |point: &ResumePoint| self.inlets[usize::from(point.input)].facts_from(point.offset);
        points.iter().flat_map(of).collect()
    }

    /// Names a file of pair rows by what is in it, never by when it was written: an owner that writes the same rows again
    /// gives the same name.
    fn file_name(&self, at: usize, from: EventTime, last: EventTime) -> String {
        let candidate = &self.spec.candidates[at];
        let end = self.spec.times().end_of(last);
        let partition = self.partition;
        format!("pairs-{candidate}-{partition:04}-{}-{}.parquet", from.us() / 1000, end.us() / 1000)
    }

    /// Everything of a comparison from here on is needed when it is read again.
    fn need(&self, at: usize) -> EventTime {
        let comparison = &self.comparisons[at];
        comparison.closed_to.min(comparison.rows_from()).minus(self.look_back())
    }

    /// Frees what no comparison needs any more.
    fn forget(&mut self) {
        let look_back = self.look_back();
        for (input, inlet) in self.inlets.iter_mut().enumerate() {
            let users = || {
                let feeds = &self.spec.feeds;
                let reads = |c: &&Comparison| feeds.reads(usize::from(c.number), input);
                self.comparisons.iter().filter(|c| c.parked.is_none()).filter(reads)
            };
            let records = users().map(|c| c.closed_to.min(c.rows_to)).min();
            let panes = users().map(|c| c.closed_to).min();
            let need = users().map(|c| c.closed_to.min(c.rows_from())).min();
            if let (Some(records), Some(panes), Some(need)) = (records, panes, need) {
                inlet.forget(records.minus(look_back), panes, need.minus(look_back));
            } else {
                let need = self.spec.times().frontier(inlet.max()).minus(look_back);
                inlet.forget(EventTime::END, EventTime::END, need);
            }
        }
    }

    /// States facts for inputs that stand at their end, where that closes something or frees a leap.
    fn stand(&mut self, ends: &[(usize, i64)], confirmed: EventTime, needed: &[EventTime]) {
        let time = confirmed.minus(self.spec.time.idle_after);
        let live = self.spec.time.wait.plus(self.spec.time.idle_after);
        let stands: Vec<bool> = (0..self.inlets.len())
            .map(|input| {
                let inlet = &self.inlets[input];
                // Where an earlier owner has counted more, the end that was seen is an old one.
                let is_counted = !self.counts || inlet.vitals.flushed() <= inlet.position();
                !inlet.fact_in_flight
                    && is_counted
                    && inlet.is_live(live)
                    && ends.iter().any(|&(of, end)| of == input && end <= inlet.position())
            })
            .collect();
        let mut state = vec![false; self.inlets.len()];
        for (input, inlet) in self.inlets.iter().enumerate() {
            state[input] = stands[input] && inlet.would_free(time);
        }
        for at in 0..self.comparisons.len() {
            if self.comparisons[at].parked.is_some() {
                // An arm that has fallen silent meanwhile must come near again too.
                for input in self.feeds_behind(at).filter(|feed| self.inlets[*feed].max() < time) {
                    state[input] |= stands[input];
                }
                continue;
            }
            let to = self.frontier(at, |inlet| {
                let idle = stands[usize::from(inlet.number())];
                if idle { inlet.max().max(time) } else { inlet.max() }
            });
            if self.is_worth_closing(at, to, needed.get(at).copied()) {
                let closes_at = self.spec.times().closes_at(to);
                for input in self.spec.feeds.of(at) {
                    let behind = self.inlets[input].max() < closes_at;
                    state[input] |= stands[input] && behind;
                }
            }
        }
        for (input, _) in state.iter().enumerate().filter(|(_, state)| **state) {
            self.state_fact(input, time, Some(confirmed));
        }
    }

    /// Returns whether closing up to `to` would close a pane that holds something, or is waited for.
    fn is_worth_closing(&self, at: usize, to: EventTime, needed: Option<EventTime>) -> bool {
        let from = self.comparisons[at].closed_to;
        let holds = |inlet: &Inlet| {
            inlet.held.pane_starts(from, to).next().is_some()
                || inlet.side.range(from..to).next().is_some()
        };
        from < to
            && (needed.is_some_and(|needed| from < needed)
                || self.spec.feeds.of(at).any(|feed| holds(&self.inlets[feed])))
    }

    /// `confirmed` is when the input was seen to stand at its end; it is bounded without.
    fn state_fact(&mut self, input: usize, time: EventTime, confirmed: Option<EventTime>) {
        let inlet = &mut self.inlets[input];
        inlet.fact_in_flight = true;
        let fact = Fact {
            input: inlet.number(),
            offset: inlet.position(),
            time,
            end: confirmed.is_none(),
            confirmed: confirmed.unwrap_or(time),
        };
        self.effects.push_back(Effect::Append(Entry::Fact(fact)));
    }

    /// Ends bounded inputs: a fact at each end lets time pass to the last event of all, and frees what waits as a leap.
    fn finish(&mut self, time: EventTime) {
        self.flushed_up_to = EventTime::END;
        self.flush_vitals();
        for input in 0..self.inlets.len() {
            self.state_fact(input, time, None);
        }
    }

    /// Writes down what can be: leaving in order costs the next owner nothing that a crash would have.
    fn flush(&mut self) {
        self.flush_vitals();
        for at in 0..self.comparisons.len() {
            if self.comparisons[at].parked.is_some() {
                continue;
            }
            // Rows that an earlier owner left in an unfinished file are written again first, if all that
            // they follow from was read again.
            let Comparison { rows_to, closed_to, .. } = self.comparisons[at];
            let is_read = closed_to <= self.frontier(at, Inlet::max) && !self.reads_again(at);
            if rows_to < closed_to && is_read {
                self.close(at, closed_to);
            }
            let rolled: Vec<Rolled> = self.comparisons[at].roll().into_iter().collect();
            if !rolled.is_empty() {
                self.log_closed(at, Vec::new(), rolled);
            }
        }
    }
}

/// Returns where the owner of these comparisons begins to read an input; its vitals alone can go on from a point.
fn begins_at(
    comparisons: &[Comparison],
    input: u8,
    is_parked: impl Fn(&Comparison) -> bool,
    vitals: Option<ResumePoint>,
) -> ResumePoint {
    let points = |of: &dyn Fn(&Comparison) -> bool| {
        let users = comparisons.iter().filter(|c| of(c));
        users.filter_map(|c| c.point(input)).collect::<Vec<_>>()
    };
    // Of the same offset the one that was read furthest: more of it can be checked.
    let rank = |point: &ResumePoint| (point.offset, Reverse(point.read_to));
    let active = points(&|c| !is_parked(c)).into_iter().min_by_key(rank);
    // Only its vitals go on, as well from any point as from the latest.
    active.unwrap_or_else(|| {
        let all = points(&|_| true).into_iter().chain(vitals);
        let latest = all.max_by_key(|point| point.offset);
        let ResumePoint { offset, max, .. } =
            latest.unwrap_or_else(|| ResumePoint::beginning(input));
        ResumePoint { input, offset, max, read_to: 0, marks: 0 }
    })
}

/// Returns what a record leaves behind, so that who reads it again knows it: its id, or its bytes where none
/// could be read.
fn mark(offset: i64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, offset.cast_unsigned())
}

/// Keeps a record that couldn't be read with its reason, whole, so that it can be read again once its producer is
/// mended.
fn dead_letter(input: usize, record: &Record<'_>, reject: &Reject<'_>) -> Effect {
    Effect::DeadLetter(DeadLetter {
        input,
        offset: record.offset,
        reason: reject.reason,
        detail: reject.detail.clone(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
    })
}
