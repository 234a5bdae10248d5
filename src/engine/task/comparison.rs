//! One comparison of one task: its frontier, and what becomes of a pane that can no longer change.
//!
//! In: the inlets of both its arms. Out: closed panes and their rows. Holds: a pane's result
//! depends on the inlets' held records and side counts alone; panes that an earlier owner closed are
//! only written again as rows of an unfinished file. Knows nothing of: other comparisons, the log.

use std::collections::{BTreeSet, VecDeque};

use super::input::{Inlet, Side};
use super::rows::{self, NamesOfRows, agreement};
use crate::join::{Join, Joined};
use crate::model::bucket::Buckets;
use crate::model::entry::{Fact, PairFile, Pane};
use crate::model::feeds::Feeds;
use crate::model::key::Key;
use crate::model::loss::GapMarks;
use crate::model::resume::ResumePoint;
use crate::model::row::PairRow;
use crate::model::spec::PipelineSpec;
use crate::model::time::{DAY, EventTime};
use crate::tally::PaneTally;
use crate::tally::records::{Slice, View};

/// State of one comparison of one task.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Which candidate.
    pub(super) number: u8,
    /// Everything before this is closed and logged.
    pub(super) closed_to: EventTime,
    /// Host time of its last entry here; the beginning of time before the first.
    pub(super) said: EventTime,
    /// Everything before this has its rows in `rows` or in a completed file.
    pub(super) rows_to: EventTime,
    /// Rows of the unfinished file.
    pub(super) rows: Vec<PairRow>,
    /// Files that an entry names and that aren't known to be in place, oldest first.
    pub(super) named: VecDeque<PairFile>,
    /// It is caught up with elsewhere, from here.
    pub(super) parked: Option<Parked>,
    /// By feed, the primary's first, where its last entry says to read again.
    pub(super) resume: Vec<ResumePoint>,
    /// By feed likewise, up to when its panes may lack records.
    pub(super) lacks: Vec<GapMarks>,
    /// Records were lost since its last entry: the pane at the frontier is told even if nothing is
    /// left of it, so that no window that holds it passes for whole.
    pub(super) lost: bool,
}

/// Where a comparison that was parked is taken up again.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    /// By feed, as in `Comparison`.
    pub(super) resume: Vec<ResumePoint>,
    /// Facts of its inputs at or after the resume points.
    pub(super) facts: Vec<Fact>,
}

/// A file that is full.
#[derive(Debug)]
pub(super) struct Rolled {
    pub(super) from: EventTime,
    pub(super) rows: Vec<PairRow>,
}

/// Memory that is reused from pane to pane.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) join: Join,
    pub(super) tally: PaneTally,
    pub(super) keys: [Vec<Key>; 2],
    pub(super) words: NamesOfRows,
}

impl Comparison {
    /// One that has closed nothing.
    pub(super) fn new(number: u8, feeds: &Feeds) -> Self {
        let numbers =
            feeds.of(usize::from(number)).map(|feed| u8::try_from(feed).unwrap_or(u8::MAX));
        let resume: Vec<ResumePoint> = numbers.map(ResumePoint::beginning).collect();
        Self {
            number,
            closed_to: EventTime::START,
            said: EventTime::START,
            rows_to: EventTime::START,
            rows: Vec::new(),
            named: VecDeque::new(),
            parked: None,
            lacks: vec![GapMarks::default(); resume.len()],
            resume,
            lost: false,
        }
    }

    /// Returns where a feed stands in `resume` and `lacks`, if it is one of this comparison's.
    pub(super) fn place(&self, feed: u8) -> Option<usize> {
        self.resume.iter().position(|point| point.input == feed)
    }

    /// Returns where its last entry says to read a feed again, if it is one of its own.
    pub(super) fn point(&self, feed: u8) -> Option<ResumePoint> {
        self.resume.iter().find(|point| point.input == feed).copied()
    }

    /// Returns whether the pane that starts here may lack records.
    fn may_lack(&self, start: EventTime) -> bool {
        self.lacks.iter().any(|lacks| lacks.covers(start))
    }

    /// First pane whose rows are in no file that is known to be in place.
    pub(super) fn rows_from(&self) -> EventTime {
        self.named.front().map_or_else(|| self.open_from(), |file| file.from)
    }

    /// First pane of the unfinished file.
    fn open_from(&self) -> EventTime {
        self.rows.first().map_or(self.rows_to, |row| row.pane)
    }

    /// Forgets what can be read again.
    pub(super) fn park(&mut self, parked: Parked) {
        self.rows_to = self.open_from();
        self.rows = Vec::new();
        self.parked = Some(parked);
    }

    /// A file is in place.
    pub(super) fn completed(&mut self, name: &str) {
        self.named.retain(|file| file.name != name);
    }

    /// Closes everything before `to`; results and full files, in order.
    pub(super) fn close(
        &mut self,
        spec: &PipelineSpec,
        arms: [&[Inlet]; 2],
        work: &mut Workspace,
        to: EventTime,
    ) -> (Vec<Pane>, Vec<Rolled>) {
        let from = self.rows_to.min(self.closed_to);
        let mut starts: BTreeSet<EventTime> = BTreeSet::new();
        for inlet in arms.into_iter().flatten() {
            starts.extend(inlet.held.pane_starts(from, to));
            starts.extend(inlet.side.range(self.closed_to..to).map(|(start, _)| *start));
        }
        let told = self.closed_to;
        let is_told = std::mem::take(&mut self.lost) && told != EventTime::START;
        if is_told {
            starts.insert(told);
        }
        let (mut panes, mut rolled) = (Vec::new(), Vec::new());
        for start in starts {
            rolled.extend(self.roll_before(spec, start));
            let pane = self.pane(spec, arms, work, start);
            if self.closed_to <= start && (!is_empty(&pane) || is_told && start == told) {
                panes.push(pane);
            }
        }
        self.closed_to = self.closed_to.max(to);
        self.rows_to = self.rows_to.max(to);
        rolled.extend(self.roll_before(spec, to));
        (panes, rolled)
    }

    /// The unfinished file, whatever it holds.
    pub(super) fn roll(&mut self) -> Option<Rolled> {
        let from = self.open_from();
        let rows = std::mem::take(&mut self.rows);
        (!rows.is_empty()).then_some(Rolled { from, rows })
    }

    fn roll_before(&mut self, spec: &PipelineSpec, pane: EventTime) -> Option<Rolled> {
        let from = self.open_from();
        let end = from.floor(spec.roll).plus(spec.roll).min(from.floor(DAY).plus(DAY));
        // All rows of a file were made at one tempo.
        let change = spec.changed.map(|times| times.from).filter(|change| from < *change);
        let end = change.map_or(end, |change| end.min(change));
        let full = spec.roll_rows as usize <= self.rows.len();
        if end <= pane || full { self.roll() } else { None }
    }

    fn pane(
        &mut self,
        spec: &PipelineSpec,
        [primary, candidate]: [&[Inlet]; 2],
        work: &mut Workspace,
        start: EventTime,
    ) -> Pane {
        let mut pane = Pane::empty(start);
        for (inlets, buckets, offsets) in
            [(primary, &mut pane.primary, 0), (candidate, &mut pane.candidate, 1)]
        {
            for side in inlets.iter().filter_map(|inlet| inlet.side.get(&start)) {
                buckets.merge(&side_buckets(side));
            }
            // Offsets of several partitions are no range.
            if let [inlet] = inlets {
                pane.offsets[offsets] = inlet.offsets(start);
            }
        }
        if start == EventTime::START {
            return pane;
        }
        let times = spec.times();
        let end = times.end_of(start);
        let closes_at = times.closes_at(end);
        pane.fact_touched =
            [primary, candidate].into_iter().flatten().any(|inlet| inlet.is_touched(closes_at));
        let span = (start.minus(times.look_back()), end.plus(times.reach()));
        let Workspace { join, tally, keys: [ours, theirs], words } = work;
        let (p, c) = (slice(primary, span, ours), slice(candidate, span, theirs));
        if self.rows_to <= start || self.closed_to <= start {
            let keep_rows = self.rows_to <= start;
            let lacks = self.may_lack(start);
            let mut rows = Vec::new();
            join.run((start, end), &times, [&mut *ours, &mut *theirs], |joined| {
                weigh(spec, tally, (&p, &c), joined, lacks);
                count(&mut pane, &c, joined, lacks);
                // Where records are missing, one without counterpart says nothing of who answered.
                let is_pair = matches!(joined, Joined::Pair { .. } | Joined::Duplicate { .. });
                if keep_rows && (is_pair || !lacks) {
                    rows.extend(rows::pair_row(
                        spec,
                        (self.number, start),
                        (&p, &c),
                        joined,
                        words,
                    ));
                }
            });
            self.rows.append(&mut rows);
            if tally.must_recount() {
                join.run((start, end), &times, [ours, theirs], |joined| {
                    weigh(spec, tally, (&p, &c), joined, lacks);
                });
            }
        }
        let counted = tally.finish();
        pane.tallies = counted.tallies;
        pane.examples = counted.examples;
        pane.clusters = counted.clusters;
        pane.partial = counted.partial || self.may_lack(start);
        pane
    }
}

/// Returns what all inlets of an arm hold of a span.
fn slice<'h>(inlets: &'h [Inlet], span: (EventTime, EventTime), keys: &mut Vec<Key>) -> Slice<'h> {
    keys.clear();
    let mut slice = Slice::default();
    for inlet in inlets {
        inlet.held.slice(span, inlet.number(), keys, &mut slice);
    }
    slice
}

fn is_empty(pane: &Pane) -> bool {
    pane.primary.total() == 0 && pane.candidate.total() == 0
}

const fn side_buckets(side: &Side) -> Buckets {
    Buckets {
        undecodable: side.undecodable,
        quarantined: side.quarantined,
        late: side.late,
        overrides: side.overrides,
        duplicate: 0,
        paired: 0,
        alone: 0,
    }
}

/// Counts one outcome of the join as evidence; in a pane that `lacks` records, what has no counterpart is none.
fn weigh(
    spec: &PipelineSpec,
    tally: &mut PaneTally,
    (p, c): (&Slice<'_>, &Slice<'_>),
    joined: Joined,
    lacks: bool,
) {
    match joined {
        Joined::Duplicate { .. } | Joined::Overridden { .. } => {}
        Joined::Pair { primary, candidate, .. } => {
            if let (Some(ours), Some(theirs)) = (p.view(primary), c.view(candidate)) {
                tally.add_pair(ours, theirs, agreement(spec, ours, theirs));
            }
        }
        Joined::Unmatched { primary, unreadable, .. } => {
            if let Some(ours) = p.view(primary).filter(|_| !lacks) {
                tally.add_unmatched(ours, unreadable);
            }
        }
        Joined::Orphan { candidate, .. } => {
            if let Some(theirs) = c.view(candidate).filter(|_| !lacks) {
                tally.add_orphan(theirs);
            }
        }
    }
}

/// Puts the records of one outcome of the join into their buckets, and sees who answered.
fn count(pane: &mut Pane, c: &Slice<'_>, joined: Joined, lacks: bool) {
    match joined {
        Joined::Duplicate { primary: true, .. } => pane.primary.duplicate += 1,
        Joined::Duplicate { primary: false, .. } => pane.candidate.duplicate += 1,
        Joined::Overridden { primary: true, .. } => pane.primary.overrides += 1,
        Joined::Overridden { primary: false, .. } => pane.candidate.overrides += 1,
        Joined::Pair { candidate, .. } => {
            if let Some(theirs) = c.view(candidate) {
                see_version(pane, theirs);
            }
            pane.primary.paired += 1;
            pane.candidate.paired += 1;
        }
        Joined::Unmatched { .. } => pane.primary.alone += 1,
        Joined::Orphan { candidate, .. } => {
            if let Some(theirs) = c.view(candidate).filter(|_| !lacks) {
                see_version(pane, theirs);
            }
            pane.candidate.alone += 1;
        }
    }
}

fn see_version(pane: &mut Pane, view: View<'_>) {
    if view.version().is_empty() {
        return;
    }
    match &mut pane.version {
        None => pane.version = Some((view.time(), view.version().to_owned())),
        Some((time, version)) if (*time, version.as_str()) < (view.time(), view.version()) => {
            *time = view.time();
            if version != view.version() {
                view.version().clone_into(version);
            }
        }
        Some(_) => {}
    }
}
