//! One input of one task: its clock, what it accepted, where the rest went, where to re-read.
//!
//! In: decoded records and facts in offset order. Out: held observations and side counts by pane.
//! Holds: everything here is a pure function of the partition's log and its facts from the resume
//! point on. Knows nothing of: the other arm, rules.

use std::collections::{BTreeMap, VecDeque};

use super::status::ReadAgain;
use crate::clock::{Clock, Freed, Passed};
use crate::model::arm::Assignment;
use crate::model::entry::Fact;
use crate::model::key::{hash_of, short};
use crate::model::observation::Observation;
use crate::model::resume::ResumePoint;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::model::times::Times;
use crate::tally::records::RecordStore;
use crate::vitals::VitalsCounter;
use crate::vitals::keys::Keys;
use crate::vitals::recent::Recent;

/// Resume points are kept once per this much event time.
const GRANULE: Span = Span::from_secs(1);
/// So many of the last believed records tell whether an input is live.
const LAGS: usize = 16;
/// Of so many bytes that a task may hold, all inputs together, one id more is known to tell copies.
const HELD_FOR_ID: usize = 128;
/// So many ids of an input are known, however little may be held.
const IDS_MIN: usize = 4096;

/// One input of one task.
#[derive(Debug)]
pub(super) struct Inlet {
    input: u8,
    times: Times,
    clock: Clock<Kept>,
    freed: Freed<Kept>,
    pub(super) held: RecordStore,
    pub(super) side: BTreeMap<EventTime, Side>,
    pub(super) vitals: VitalsCounter,
    bounds: VecDeque<Bound>,
    pending: VecDeque<Fact>,
    known: Vec<Fact>,
    touched: Vec<(EventTime, EventTime)>,
    lags_us: VecDeque<i64>,
    position: i64,
    keep_from: EventTime,
    /// Running max where reading began: what lies before it was never seen here.
    begun_at: EventTime,
    pub(super) fact_in_flight: bool,
    /// Time of the first record that passed.
    first: Option<EventTime>,
    /// Sum of the marks of all records read.
    marks: u64,
    /// The same when the first of those that wait as leaps came.
    marks_at_wait: u64,
    horizon: Horizon,
    /// Where reading began, and up to where an earlier owner had read or counted.
    again: (i64, i64),
    /// Records were lost, and what lies from here on came after them.
    gap: Option<i64>,
    /// When that has moved time: the offset, and up to when records may be missing.
    gap_end: Option<(i64, EventTime)>,
}

/// What an earlier owner read must be found again.
#[derive(Debug)]
enum Horizon {
    /// From here to there the marks must add up to this.
    Open { from: i64, to: i64, marks: u64 },
    /// They did, or there was nothing to check.
    Checked,
    /// They didn't, from here to there.
    Differs(i64, i64),
    /// And it was told: nothing may be closed from them.
    Told(i64),
}

/// Records that never get to the join, by the pane of the running max behind which they were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Side {
    pub(super) undecodable: u64,
    pub(super) quarantined: u64,
    pub(super) late: u64,
    pub(super) overrides: u64,
    /// First and last offset of them.
    offsets: Option<(i64, i64)>,
}

/// What is kept of a record while it waits as a leap.
#[derive(Debug)]
enum Kept {
    Observation(Observation<'static>, Option<i64>),
    Unreadable(String),
}

/// A place to re-read from: no record before its start lies beyond `passed`.
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// The running max that was reached next.
    reached: EventTime,
    /// The running max just before: above the start's if facts let time pass while some waited.
    passed: EventTime,
    start: Start,
}

/// Where a re-read begins; what waited as a leap lies behind it.
#[derive(Clone, Copy, Debug)]
struct Start {
    offset: i64,
    /// The running max there.
    max: EventTime,
    /// Sum of the marks of the records before it.
    marks: u64,
}

/// What the decoder made of a record that carries a time.
pub(super) enum Timed<'a> {
    Observation(Observation<'a>),
    Unreadable(String, EventTime),
}

impl Inlet {
    pub(super) fn new(spec: &PipelineSpec, from: ResumePoint, facts: &[Fact], vitals: i64) -> Self {
        let times = spec.times();
        let mut pending: Vec<_> =
            facts.iter().filter(|f| from.offset <= f.offset).copied().collect();
        // At one offset in the order in which they were stated, whatever part of the log was read.
        pending.sort_by_key(|fact| (fact.offset, fact.end, fact.time));
        let most = (spec.held_max / HELD_FOR_ID / spec.inputs().max(1)).max(IDS_MIN);
        let mut inlet = Self {
            input: from.input,
            times,
            clock: Clock::new(times, from.max),
            freed: Freed::default(),
            held: RecordStore::new(times),
            side: BTreeMap::new(),
            vitals: VitalsCounter::new(
                &spec.dimensions,
                (Recent::new(times, most), Keys::new(times, most)),
                vitals,
            ),
            bounds: VecDeque::from([Bound {
                reached: from.max,
                passed: from.max,
                start: Start { offset: from.offset, max: from.max, marks: 0 },
            }]),
            known: pending.clone(),
            pending: pending.into(),
            touched: Vec::new(),
            lags_us: VecDeque::with_capacity(LAGS),
            position: from.offset,
            keep_from: EventTime::START,
            begun_at: from.max,
            fact_in_flight: false,
            marks: 0,
            first: None,
            marks_at_wait: 0,
            horizon: Horizon::Open { from: from.offset, to: from.read_to, marks: from.marks },
            // Who catches up with a parked comparison counts nothing, from no offset on.
            again: (from.offset, from.read_to.max(if vitals == i64::MAX { 0 } else { vitals })),
            gap: None,
            gap_end: None,
        };
        inlet.check_before(from.offset);
        inlet
    }

    /// Its number among the task's inputs.
    pub(super) const fn number(&self) -> u8 {
        self.input
    }

    pub(super) const fn position(&self) -> i64 {
        self.position
    }

    pub(super) const fn max(&self) -> EventTime {
        self.clock.max()
    }

    pub(super) fn max_at_end(&self) -> EventTime {
        self.clock.max_if_released()
    }

    pub(super) const fn waiting(&self) -> usize {
        self.clock.waiting()
    }

    /// Returns whether a fact at `time` would free something that waits.
    pub(super) fn would_free(&self, time: EventTime) -> bool {
        self.clock.would_free(time)
    }

    /// Returns whether the last believed records came about when they were stamped: not a backfill.
    pub(super) fn is_live(&self, limit: Span) -> bool {
        self.lags_us.is_empty() || self.lags_us.iter().any(|&lag| lag <= limit.us())
    }

    /// Obeys the facts that stand before the record at `offset`.
    pub(super) fn obey_before(&mut self, offset: i64) {
        while self.pending.front().is_some_and(|fact| fact.offset <= offset) {
            if let Some(fact) = self.pending.pop_front() {
                self.obey(fact);
            }
        }
    }

    /// Obeys the facts that stand before the next offset.
    pub(super) fn obey_due(&mut self) {
        self.obey_before(self.position);
    }

    /// A fact that another cursor of this input stated.
    pub(super) fn learn(&mut self, fact: Fact) {
        self.known.push(fact);
        let at = self.pending.partition_point(|other| other.offset <= fact.offset);
        self.pending.insert(at, fact);
        self.obey_due();
    }

    /// Time of the first record that passed here; where only facts moved time, their time.
    pub(super) fn first(&self) -> EventTime {
        self.first.unwrap_or_else(|| self.clock.max())
    }

    /// Returns whether another inlet of the same input holds more records than this one.
    pub(super) fn keeps_less_than(&self, other: &Self) -> bool {
        let holds_from = |inlet: &Self| inlet.keep_from.max(inlet.begun_at);
        holds_from(other) < holds_from(self)
    }

    /// Takes the resume points of another inlet of the same input where they reach further back.
    pub(super) fn take_reach(&mut self, other: &mut Self) {
        let reach = |inlet: &Self| inlet.bounds.front().map_or(i64::MAX, |b| b.start.offset);
        if other.gap.is_some() {
            self.gap = other.gap;
        }
        if reach(other) < reach(self) {
            std::mem::swap(&mut self.bounds, &mut other.bounds);
            std::mem::swap(&mut self.known, &mut other.known);
            std::mem::swap(&mut self.marks, &mut other.marks);
            std::mem::swap(&mut self.marks_at_wait, &mut other.marks_at_wait);
            std::mem::swap(&mut self.horizon, &mut other.horizon);
        }
    }

    /// Vitals are counted by the one that goes on.
    pub(super) const fn swap_counts(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.vitals, &mut other.vitals);
    }

    /// A fact that was stated here was written down and read back.
    pub(super) fn logged(&mut self, fact: Fact) {
        self.fact_in_flight = false;
        self.known.push(fact);
        self.obey(fact);
    }

    fn obey(&mut self, fact: Fact) {
        self.vitals.pause();
        let (before, start) = (self.clock.max(), self.start());
        self.clock.obey(fact.time, fact.end, &mut self.freed);
        self.take_freed(start);
        let max = self.clock.max();
        if before < max {
            self.bound(max, before, start);
            self.touched.push((before, max));
            self.note_moved(self.position);
        }
    }

    /// Takes a record that couldn't be read and tells no time.
    pub(super) fn skip(&mut self, offset: i64, mark: u64) {
        self.position = offset + 1;
        self.marks = self.marks.wrapping_add(mark);
        let side = self.side_at(self.clock.max(), offset);
        side.undecodable += 1;
    }

    /// Takes a record that tells its time; `stamped` is its Kafka time stamp in microseconds.
    pub(super) fn take(
        &mut self,
        (offset, mark): (i64, u64),
        stamped: Option<i64>,
        record: Timed<'_>,
    ) {
        let start = self.start();
        let marks = self.marks;
        self.marks = marks.wrapping_add(mark);
        self.position = offset + 1;
        let time = match &record {
            Timed::Observation(observation) => observation.time,
            Timed::Unreadable(_, time) => *time,
        };
        let before = self.clock.max();
        if before.plus(self.clock.wait()) < time {
            let keep = || match record {
                Timed::Observation(observation) => {
                    Kept::Observation(observation.into_owned(), stamped)
                }
                Timed::Unreadable(id, _) => Kept::Unreadable(id),
            };
            if self.clock.waiting() == 0 {
                self.marks_at_wait = marks;
            }
            self.clock.feed(offset, time, keep, &mut self.freed);
        } else {
            // It passes at once, so nothing of it is copied.
            let never = || Kept::Unreadable(String::new());
            self.clock.feed(offset, time, never, &mut self.freed);
            if before < time {
                self.bound(time, before, start);
            }
            match record {
                Timed::Observation(observation) => {
                    self.accept(offset, before, &observation, stamped);
                }
                Timed::Unreadable(id, time) => self.note_unreadable(offset, before, &id, time),
            }
        }
        self.take_freed(start);
        if before < self.clock.max() {
            self.note_moved(offset);
        }
    }

    /// Records were lost before `until`: looks for what ends that.
    pub(super) const fn look_for_end(&mut self, until: i64) {
        self.gap = Some(until);
    }

    /// What was at `offset`, or stood there, moved time.
    fn note_moved(&mut self, offset: i64) {
        if let Some(until) = self.gap
            && until <= offset
        {
            self.gap = None;
            self.gap_end = Some((until, self.clock.max().plus(self.clock.wait())));
        }
    }

    /// Returns where a gap was and when it is over, once that is known.
    pub(super) const fn take_gap_end(&mut self) -> Option<(i64, EventTime)> {
        self.gap_end.take()
    }

    /// Running max where reading began.
    pub(super) const fn begun_at(&self) -> EventTime {
        self.begun_at
    }

    /// Returns where reading began, and up to where an earlier owner had read or counted.
    pub(super) const fn again(&self) -> (i64, i64) {
        self.again
    }

    fn take_freed(&mut self, start: Start) {
        if self.freed.passed.is_empty() && self.freed.quarantined.is_empty() {
            return;
        }
        let freed = std::mem::take(&mut self.freed);
        for record in freed.quarantined {
            let side = self.side_at(record.before, record.offset);
            match record.kept {
                Kept::Observation(..) => side.quarantined += 1,
                Kept::Unreadable(_) => side.undecodable += 1,
            }
        }
        for Passed { offset, time, before, kept } in freed.passed {
            if before < time {
                self.bound(time, before, start);
            }
            match kept {
                Kept::Observation(observation, stamped) => {
                    self.accept(offset, before, &observation, stamped);
                }
                Kept::Unreadable(id) => self.note_unreadable(offset, before, &id, time),
            }
        }
    }

    fn accept(
        &mut self,
        offset: i64,
        before: EventTime,
        observation: &Observation<'_>,
        stamped: Option<i64>,
    ) {
        let time = observation.time;
        if self.clock.is_late(time, before) {
            self.side_at(before.max(time), offset).late += 1;
            self.vitals.add_late(before.since(time));
            return;
        }
        self.first.get_or_insert(time);
        if let Some(stamped) = stamped {
            if self.lags_us.len() == LAGS {
                self.lags_us.pop_front();
            }
            self.lags_us.push_back(stamped.saturating_sub(time.us()));
        }
        let id = hash_of(&observation.request_id);
        self.vitals.add(short(id), observation, before);
        if observation.assignment == Assignment::Override {
            self.side_at(before.max(time), offset).overrides += 1;
            if self.keep_from <= time {
                self.held.insert_override(offset, &observation.request_id, time);
            }
        } else if self.keep_from <= time {
            self.held.insert(offset, id, observation);
        }
    }

    fn note_unreadable(&mut self, offset: i64, before: EventTime, id: &str, time: EventTime) {
        self.side_at(before.max(time), offset).undecodable += 1;
        if !self.clock.is_late(time, before) && self.keep_from <= time {
            self.held.insert_unreadable(offset, id, time);
        }
    }

    /// The counts of the pane of `max`, into which the record at `offset` goes.
    fn side_at(&mut self, max: EventTime, offset: i64) -> &mut Side {
        let side = self.side.entry(self.times.pane_of(max)).or_default();
        side.offsets = Some(include(side.offsets, (offset, offset)));
        side
    }

    /// First and last offset of the records that belong to a pane, whatever became of them.
    pub(super) fn offsets(&self, pane: EventTime) -> Option<(i64, i64)> {
        let side = self.side.get(&pane).and_then(|side| side.offsets);
        self.held.offsets(pane).map(|held| include(side, held)).or(side)
    }

    /// Returns where a re-read that sees what waits has to start.
    fn start(&self) -> Start {
        let (offset, max) = self.clock.start(self.position);
        let marks = if self.clock.waiting() == 0 { self.marks } else { self.marks_at_wait };
        Start { offset, max, marks }
    }

    /// Notes an offset from which a re-read finds everything from a time on. One for each granule of time is enough: to begin
    /// earlier than needed costs reading, to begin later would cost the result.
    fn bound(&mut self, reached: EventTime, passed: EventTime, start: Start) {
        let last = self.bounds.back().map(|bound| bound.reached);
        if last.is_none_or(|last| last.floor(GRANULE) < reached.floor(GRANULE)) {
            self.bounds.push_back(Bound { reached, passed, start });
        }
    }

    /// The last bound behind which everything from `need` on is seen and the vitals go on, else the first.
    fn bound_before(&self, need: EventTime) -> usize {
        let fits =
            |bound: &Bound| bound.passed < need && bound.start.offset <= self.vitals.flushed();
        self.bounds.iter().rposition(fits).unwrap_or(0)
    }

    /// Returns where to re-read so that everything from `need` on is seen, and the vitals go on.
    pub(super) fn resume(&self, need: EventTime) -> ResumePoint {
        let bound = self.bounds.get(self.bound_before(need));
        let Start { offset, max, marks } = bound.map_or_else(|| self.start(), |bound| bound.start);
        let marks = self.marks.wrapping_sub(marks);
        ResumePoint { input: self.input, offset, max, read_to: self.position, marks }
    }

    /// Checks the horizon if the record at `offset`, the next one, lies behind it.
    pub(super) fn check_before(&mut self, offset: i64) {
        if let Horizon::Open { from, to, marks } = self.horizon
            && to <= offset
        {
            let same = marks == self.marks;
            self.horizon = if same { Horizon::Checked } else { Horizon::Differs(from, to) };
        }
    }

    /// The range in which other records were found than an earlier owner read, once.
    pub(super) fn take_difference(&mut self) -> Option<(i64, i64)> {
        self.check_before(self.position);
        let Horizon::Differs(from, to) = self.horizon else { return None };
        self.horizon = Horizon::Told(to);
        Some((from, to))
    }

    /// Up to where records are read again, if they still are.
    pub(super) const fn reads_again_to(&self) -> Option<i64> {
        match self.horizon {
            Horizon::Open { to, .. } | Horizon::Differs(_, to) | Horizon::Told(to) => Some(to),
            Horizon::Checked => None,
        }
    }

    /// Returns how far reading has come with what an earlier owner had read.
    pub(super) fn read_again(&self) -> ReadAgain {
        let (from, to) = self.again;
        let count = |from: i64| u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        ReadAgain { records: count(from), left: count(self.position.max(from)) }
    }

    /// Facts at or after `offset`.
    pub(super) fn facts_from(&self, offset: i64) -> impl Iterator<Item = Fact> {
        self.known.iter().filter(move |fact| offset <= fact.offset).copied()
    }

    /// Returns whether a fact let time pass over the close of a pane that ends at `end`.
    pub(super) fn is_touched(&self, closes_at: EventTime) -> bool {
        self.touched.iter().any(|&(from, to)| from < closes_at && closes_at <= to)
    }

    /// Forgets what no comparison needs: records before `records`, counts before `panes`, resume
    /// points before `need`.
    pub(super) fn forget(&mut self, records: EventTime, panes: EventTime, need: EventTime) {
        self.keep_from = records;
        self.held.forget_before(records);
        self.side = self.side.split_off(&panes);
        // Not by offset: several facts may stand at one.
        self.bounds.drain(..self.bound_before(need));
        let keep = self.bounds.front().map_or_else(|| self.start().offset, |b| b.start.offset);
        self.known.retain(|fact| keep <= fact.offset);
        self.touched.retain(|&(_, to)| panes < to);
    }
}

/// The range that holds both.
fn include(range: Option<(i64, i64)>, (first, last): (i64, i64)) -> (i64, i64) {
    range.map_or((first, last), |(from, to)| (from.min(first), to.max(last)))
}
