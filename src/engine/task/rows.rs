//! Pair rows: what people look at when the numbers ask why.
//!
//! In: an outcome of the join. Out: its row, if it is written. Holds: disagreements, failures and
//! unmatched are always written; matches by a hash of the id at the stated rate. Knows nothing of:
//! files.

use std::sync::Arc;

use crate::compare::{Prediction, agree};
use crate::join::Joined;
use crate::model::row::{PairRow, PairSide, PairStatus, SEPARATOR};
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::tally::records::{Slice, View};

const PPM: u64 = 1_000_000;
/// Words that rows share; beyond it they are forgotten and met anew.
const WORDS_MAX: usize = 256;

/// Labels and segments that rows have in common.
#[derive(Debug, Default)]
pub(super) struct NamesOfRows {
    known: Vec<Arc<str>>,
    scratch: String,
}

impl NamesOfRows {
    fn scratch(&mut self) -> Arc<str> {
        let scratch = std::mem::take(&mut self.scratch);
        let word = self.get(&scratch);
        self.scratch = scratch;
        word
    }

    fn get(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.known.iter().find(|known| known.as_ref() == word) {
            return Arc::clone(known);
        }
        if self.known.len() == WORDS_MAX {
            self.known.clear();
        }
        let word: Arc<str> = word.into();
        self.known.push(Arc::clone(&word));
        word
    }
}

/// The row of an outcome, or `None` for duplicates, what was forced and matches that aren't sampled.
pub(super) fn pair_row(
    spec: &PipelineSpec,
    (comparison, pane): (u8, EventTime),
    (p, c): (&Slice<'_>, &Slice<'_>),
    joined: Joined,
    words: &mut NamesOfRows,
) -> Option<PairRow> {
    let (primary, candidate, reason) = match joined {
        Joined::Duplicate { .. } | Joined::Overridden { .. } => return None,
        Joined::Pair { primary, candidate, .. } => (p.view(primary), c.view(candidate), None),
        Joined::Unmatched { primary, unreadable, .. } => {
            (p.view(primary), None, Some(if unreadable { "unreadable" } else { "missing" }))
        }
        Joined::Orphan { candidate, .. } => (None, c.view(candidate), None),
    };
    let status = match (primary, candidate) {
        (Some(ours), Some(theirs)) => pair_status(spec, ours, theirs),
        (Some(_), None) => PairStatus::Unmatched,
        (None, _) => PairStatus::Orphan,
    };
    let view = primary.or(candidate)?;
    let mut sampled = 1.0;
    if status == PairStatus::Match {
        if u64::from(spec.matches_sampled_ppm) <= view.hash() % PPM {
            return None;
        }
        sampled = f64::from(spec.matches_sampled_ppm) / 1e6;
    }
    words.scratch.clear();
    for at in 0..spec.dimensions.len() {
        words.scratch.push_str(view.segment(at).text);
        words.scratch.push(SEPARATOR);
    }
    let segments = words.scratch();
    Some(PairRow {
        comparison,
        pane,
        request_id: view.request_id().to_owned(),
        status,
        reason,
        primary: primary.map(|view| side(view, words)),
        candidate: candidate.map(|view| side(view, words)),
        segments,
        sampled,
    })
}

fn side(view: View<'_>, words: &mut NamesOfRows) -> PairSide {
    PairSide {
        time: view.time(),
        feed: view.feed(),
        offset: view.offset(),
        failed: view.failed(),
        label: view.label().map(|word| words.get(word.text)),
        number: view.number(),
        latency_us: view.latency_us(),
    }
}

/// Returns what the status of a pair is.
pub(super) fn pair_status(spec: &PipelineSpec, ours: View<'_>, theirs: View<'_>) -> PairStatus {
    match (ours.failed(), theirs.failed()) {
        (_, true) => PairStatus::CandidateFailed,
        (true, false) => PairStatus::PrimaryFailed,
        (false, false) => match agreement(spec, ours, theirs) {
            Some(true) => PairStatus::Match,
            Some(false) => PairStatus::Mismatch,
            None => PairStatus::Incomparable,
        },
    }
}

/// Returns whether two answers agree; `None` where either has no usable prediction.
pub(super) fn agreement(spec: &PipelineSpec, ours: View<'_>, theirs: View<'_>) -> Option<bool> {
    agree(spec.comparator, prediction(ours)?, prediction(theirs)?)
}

fn prediction(view: View<'_>) -> Option<Prediction<'_>> {
    view.label()
        .map(|word| Prediction::Label(word.text))
        .or_else(|| view.number().map(Prediction::Number))
}
