//! Time of one partition: a running max that a single wrong clock can't move.
//!
//! In: records' event times in offset order, and facts. Out: which records pass, and behind which
//! running max; which are quarantined. Holds: a pure function of the partition's log and its facts;
//! no more than `BELIEVED_AT` records wait. Knows nothing of: arms, joins, panes.
//!
//! Where `wait` changes, a record is late by the one of its own time, and a leap by that of the running max.
//!
//! A record more than `wait` ahead of the running max is a *leap*: it waits and doesn't move time.
//! An ordinary record that raises the running max frees what is now within `wait` and quarantines
//! the rest. Many waiting records that are spread like real traffic are believed (`believe`).
//!
//! # Place in a record's life
//!
//! Between [`crate::decode`] and the two that use what passes: [`crate::vitals`] at once, [`crate::join`] when both arms'
//! time has passed a pane.
//!
//! # Why not a watermark from the host
//!
//! What is late has to be the same for whoever reads the partition again, so it may depend on the partition's own log
//! alone: on what came before the record, never on when it was read or how far other partitions were. Where nothing comes
//! any more, time can't pass by itself; then an owner writes a *fact* into its log before it obeys it, and every
//! successor obeys the same one at the same offset.
//!
//! # Why many leaps are believed
//!
//! One producer with a wrong clock must not drag a partition a year ahead, after which all others are late. But a
//! topic that was silent for an hour begins again an hour ahead, with every producer right. The two differ in how the
//! waiting records are spread: traffic fills its span, a stuck clock or a typo doesn't.

use crate::model::time::{EventTime, Span};
use crate::model::times::Times;

/// From so many waiting records on, it is looked whether time has really leapt.
const LOOKED_AT: usize = 16;
/// Up to here with each record that waits, then with every eighth.
const LOOKED_AT_EACH: usize = 64;
/// So many are believed whatever they look like.
const BELIEVED_AT: usize = 65_536;

/// Time of one partition.
#[derive(Debug)]
pub struct Clock<T> {
    times: Times,
    max: EventTime,
    waiting: Vec<Passed<T>>,
    /// Times of `waiting`, ascending: order statistics without sorting anew.
    sorted: Vec<EventTime>,
    /// Since when some record has always waited: the first one's offset, and the running max there.
    /// Whether records are believed depends on all that waited since, the ones let go included.
    waits_since: Option<(i64, EventTime)>,
}

/// A record that was held back and now passes or is quarantined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passed<T> {
    /// Its offset.
    pub offset: i64,
    /// Its event time.
    pub time: EventTime,
    /// The running max before it.
    pub before: EventTime,
    /// What was kept of it.
    pub kept: T,
}

/// What becomes of a record at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It passes; the running max before it.
    Passes(EventTime),
    /// It waits as a leap.
    Waits,
}

/// What a record or a fact let go.
#[derive(Debug)]
pub struct Freed<T> {
    /// Records that pass now, in offset order.
    pub passed: Vec<Passed<T>>,
    /// Records that no clock can be believed for; `before` is the running max when that was clear.
    pub quarantined: Vec<Passed<T>>,
}

impl<T> Default for Freed<T> {
    fn default() -> Self {
        Self { passed: Vec::new(), quarantined: Vec::new() }
    }
}

impl<T> Clock<T> {
    /// A clock at `max`, with nothing waiting.
    #[must_use]
    pub const fn new(times: Times, max: EventTime) -> Self {
        Self { times, max, waiting: Vec::new(), sorted: Vec::new(), waits_since: None }
    }

    /// Returns how far a record may lie ahead without being a leap.
    #[must_use]
    pub fn wait(&self) -> Span {
        self.wait_at(self.max)
    }

    /// Returns how long after a request of that time its record may still come.
    fn wait_at(&self, time: EventTime) -> Span {
        self.times.at(time).wait
    }

    /// The running max.
    #[must_use]
    pub const fn max(&self) -> EventTime {
        self.max
    }

    /// Returns how many records wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns where a re-read that must see what waits has to start, and the running max there; `next` is
    /// the next offset to be read.
    #[must_use]
    pub fn start(&self, next: i64) -> (i64, EventTime) {
        self.waits_since.unwrap_or((next, self.max))
    }

    /// Returns whether a record that passed behind `before` came too late.
    #[must_use]
    pub fn is_late(&self, time: EventTime, before: EventTime) -> bool {
        time < before.minus(self.wait_at(time))
    }

    /// Takes a record; `keep` makes what is needed of it later, should it wait.
    pub fn feed(
        &mut self,
        offset: i64,
        time: EventTime,
        keep: impl FnOnce() -> T,
        freed: &mut Freed<T>,
    ) -> Fate {
        let before = self.max;
        if before.plus(self.wait()) < time {
            self.waits_since.get_or_insert((offset, before));
            let at = self.sorted.partition_point(|&other| other <= time);
            self.sorted.insert(at, time);
            self.waiting.push(Passed { offset, time, before, kept: keep() });
            self.believe(freed);
            return Fate::Waits;
        }
        if before < time {
            self.max = time;
            if !self.waiting.is_empty() {
                self.quarantine_beyond(time.plus(self.wait()), before, freed);
                self.release(freed);
            }
        }
        Fate::Passes(before)
    }

    /// Obeys a fact: time passes to it, and what waits and isn't a leap any more is believed (at the
    /// `end` of a bounded input all of it).
    pub fn obey(&mut self, time: EventTime, end: bool, freed: &mut Freed<T>) {
        let top = if end { EventTime::END } else { time.plus(self.wait_at(time)) };
        self.release_up_to(top, freed);
        self.max = self.max.max(time);
    }

    /// Returns whether a fact at `time` would free something that waits.
    #[must_use]
    pub fn would_free(&self, time: EventTime) -> bool {
        self.sorted.first().is_some_and(|&first| first <= time.plus(self.wait_at(time)))
    }

    /// The running max if everything that waits were believed.
    #[must_use]
    pub fn max_if_released(&self) -> EventTime {
        self.sorted.last().map_or(self.max, |&last| last.max(self.max))
    }

    /// Has time really leapt? Judged on the lower half of what waits, so that a minority can't
    /// decide it.
    fn believe(&mut self, freed: &mut Freed<T>) {
        let count = self.waiting.len();
        if LOOKED_AT_EACH < count && !count.is_multiple_of(8) {
            return;
        }
        let (low, middle) = (self.sorted[count / 8], self.sorted[count / 2]);
        let span = middle.since(low);
        if count < BELIEVED_AT && !(LOOKED_AT <= count && self.is_spread(span)) {
            return;
        }
        let top = middle.plus(span.times(4)).plus(self.wait());
        let max = self.max;
        self.quarantine_beyond(top, max, freed);
        self.release(freed);
    }

    /// Returns whether the stretch from rank n/8 to n/2 spans at least wait/2 without a hole larger than
    /// half of that span.
    fn is_spread(&self, span: Span) -> bool {
        let count = self.sorted.len();
        span.times(2) >= self.wait()
            && self.sorted[count / 8..=count / 2]
                .windows(2)
                .all(|pair| pair[1].since(pair[0]).times(2) <= span)
    }

    fn quarantine_beyond(&mut self, top: EventTime, before: EventTime, freed: &mut Freed<T>) {
        if self.sorted.last().is_none_or(|&last| last <= top) {
            return;
        }
        for mut record in std::mem::take(&mut self.waiting) {
            if top < record.time {
                record.before = before;
                freed.quarantined.push(record);
            } else {
                self.waiting.push(record);
            }
        }
    }

    fn release(&mut self, freed: &mut Freed<T>) {
        self.release_up_to(EventTime::END, freed);
    }

    fn release_up_to(&mut self, top: EventTime, freed: &mut Freed<T>) {
        for mut record in std::mem::take(&mut self.waiting) {
            if top < record.time {
                self.waiting.push(record);
                continue;
            }
            record.before = self.max;
            self.max = self.max.max(record.time);
            freed.passed.push(record);
        }
        let left = self.sorted.partition_point(|&time| time <= top);
        self.sorted.drain(..left);
        if self.waiting.is_empty() {
            self.waits_since = None;
        }
    }
}

#[cfg(test)]
mod tests;
