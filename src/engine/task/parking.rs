//! Comparisons whose arms have drifted apart: parked, caught up with by another cursor, taken back.
//!
//! In: a task with a comparison that would hold too much, or hold back the others. Out: a task that
//! reads that comparison's inputs again from its resume points, and its state once both have read the
//! same. Holds: reading, and with it vitals, never waits for a join; a pane's result is the same
//! whichever of the two closes it; vitals are counted by the first alone. Knows nothing of: sources.

use super::Task;
use super::comparison::Parked;
use crate::model::entry::Fact;
use crate::model::resume::ResumePoint;
use crate::model::time::{EventTime, Span};

impl Task {
    /// Never parks: the inputs end, and what waits for the end is held until then.
    pub const fn never_park(&mut self) {
        self.parks = false;
    }

    /// Comparisons that are parked.
    pub fn parked(&self) -> impl Iterator<Item = u8> {
        self.comparisons.iter().filter(|c| c.parked.is_some()).map(|c| c.number)
    }

    /// Returns whether everything that a parked comparison named is in place and its arms are near each other
    /// again, so that it can be caught up with.
    #[must_use]
    pub fn can_catch_up(&self, comparison: u8) -> bool {
        let at = usize::from(comparison);
        let is_quiet = |c: &super::comparison::Comparison| c.parked.is_some() && c.named.is_empty();
        self.comparisons.get(at).is_some_and(is_quiet)
            && self.apart(at).times(2) <= self.spec.time.lead
    }

    /// A task that catches up with a parked comparison: it reads the primary and that candidate again,
    /// closes nothing else and counts no vitals.
    #[must_use]
    pub fn catch_up(&self, comparison: u8) -> Option<Self> {
        let at = usize::from(comparison);
        let parked = self.comparisons.get(at)?.parked.clone()?;
        let points =
            |input: usize| ResumePoint::of(&parked.resume, u8::try_from(input).unwrap_or(u8::MAX));
        let mut behind = Self::begin(
            std::sync::Arc::clone(&self.spec),
            self.partition,
            |input| (points(input), i64::MAX),
            &parked.facts,
        );
        behind.parks = false;
        behind.counts = false;
        behind.hold = self.hold;
        for (mine, theirs) in self.comparisons.iter().zip(&mut behind.comparisons) {
            theirs.closed_to = mine.closed_to;
            theirs.rows_to = mine.rows_to;
            theirs.resume.clone_from(&mine.resume);
            theirs.lacks.clone_from(&mine.lacks);
            theirs.lost = mine.lost;
            if mine.number != comparison {
                theirs.park(Parked { resume: parked.resume.clone(), facts: Vec::new() });
            }
        }
        behind.look_for_ends();
        Some(behind)
    }

    /// A fact was written down that concerns inputs which are read here again.
    pub fn learn(&mut self, fact: Fact) {
        if let Some(inlet) = self.inlets.get_mut(usize::from(fact.input)) {
            inlet.learn(fact);
        }
        self.advance();
    }

    /// Returns how many records a task that catches up still lies behind; 0 when both have read the same.
    #[must_use]
    pub fn lies_behind(&self, ahead: &Self, comparison: u8) -> i64 {
        let feeds = self.spec.feeds.of(usize::from(comparison));
        feeds.map(|input| ahead.position(input) - self.position(input)).sum()
    }

    /// Takes a comparison back from a task that has read just what this one has.
    pub fn take_back(&mut self, mut behind: Self, comparison: u8) {
        let at = usize::from(comparison);
        debug_assert_eq!(behind.lies_behind(self, comparison), 0, "both have read the same");
        for input in self.spec.feeds.of(at) {
            let keeps_more = self.inlets[input].keeps_less_than(&behind.inlets[input]);
            if self.spec.feeds.arm(input) != 0 || keeps_more {
                std::mem::swap(&mut self.inlets[input], &mut behind.inlets[input]);
                self.inlets[input].swap_counts(&mut behind.inlets[input]);
            }
            self.inlets[input].take_reach(&mut behind.inlets[input]);
        }
        self.comparisons.swap_remove(at);
        self.comparisons.push(behind.comparisons.swap_remove(at));
        self.comparisons.sort_by_key(|comparison| comparison.number);
        self.effects.append(&mut behind.effects);
        self.advance();
    }

    /// Parks what has drifted apart beyond `lead`, or holds more than it may.
    pub(super) fn park(&mut self) {
        if !self.parks {
            return;
        }
        let held: usize = self.inlets.iter().map(|inlet| inlet.held.bytes()).sum();
        let is_full = self.spec.held_max < held;
        for at in 0..self.comparisons.len() {
            let apart = self.apart(at);
            let limit = if is_full { self.spec.time.pane } else { self.spec.time.lead };
            if self.comparisons[at].parked.is_none() && limit < apart {
                self.park_one(at);
            }
        }
    }

    fn park_one(&mut self, at: usize) {
        let parked = self.resumes_at(at);
        self.comparisons[at].park(parked);
        self.forget();
    }

    /// Facts that a parked comparison will have to obey when it is caught up with.
    pub(super) fn note_for_parked(&mut self, fact: Fact) {
        for comparison in &mut self.comparisons {
            let reads =
                self.spec.feeds.reads(usize::from(comparison.number), usize::from(fact.input));
            if let Some(parked) = comparison.parked.as_mut().filter(|_| reads) {
                parked.facts.push(fact);
            }
        }
    }

    /// The inputs whose time keeps a parked comparison from being caught up with.
    pub(super) fn feeds_behind(&self, at: usize) -> impl Iterator<Item = usize> {
        let times = self.reached(at);
        let furthest = times.clone().map(|(_, time)| time).max().unwrap_or_default();
        let lead = self.spec.time.lead;
        let is_behind = move |time: EventTime| lead < furthest.since(time).times(2);
        times.filter(move |(_, time)| is_behind(*time)).map(|(feed, _)| feed)
    }

    /// Returns how far the inputs of a comparison are apart in time.
    fn apart(&self, at: usize) -> Span {
        let times = || self.reached(at).map(|(_, time)| time);
        match (times().min(), times().max()) {
            (Some(first), Some(last)) => last.since(first),
            _ => Span::ZERO,
        }
    }

    /// The time of each input of a comparison; one that has shown nothing yet is where the others began.
    fn reached(&self, at: usize) -> impl Iterator<Item = (usize, EventTime)> + Clone {
        let feeds = || self.spec.feeds.of(at).map(|feed| (feed, &self.inlets[feed]));
        let shown = feeds().filter(|(_, inlet)| inlet.max() != EventTime::START);
        let began = shown.map(|(_, inlet)| inlet.first()).min().unwrap_or_default();
        feeds().map(move |(feed, inlet)| {
            (feed, if inlet.max() == EventTime::START { began } else { inlet.max() })
        })
    }
}
