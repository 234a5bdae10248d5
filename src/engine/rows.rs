//! Pair rows: what people look at when the numbers ask why.
//!
//! In: an outcome of the join. Out: its row, if it is written. Holds: disagreements, failures and
//! unmatched are always written; matches by a hash of the id at the stated rate. Knows nothing of:
//! files.

use super::closing::pair_status;
use crate::join::Joined;
use crate::model::row::{PairRow, PairSide, PairStatus};
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::tally::held::{Slice, View};

const PPM: u64 = 1_000_000;

/// The row of an outcome, or `None` for duplicates and matches that aren't sampled.
pub(super) fn pair_row(
    spec: &PipelineSpec,
    comparison: u8,
    pane: EventTime,
    (p, c): (&Slice<'_>, &Slice<'_>),
    joined: Joined,
) -> Option<PairRow> {
    let (primary, candidate, reason) = match joined {
        Joined::Duplicate { .. } => return None,
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
    let segments = (0..spec.dimensions.len()).map(|at| view.segment(at).text.to_owned());
    Some(PairRow {
        comparison,
        pane,
        request_id: view.request_id().to_owned(),
        status,
        reason,
        primary: primary.map(side),
        candidate: candidate.map(side),
        segments: segments.collect(),
        sampled,
    })
}

fn side(view: View<'_>) -> PairSide {
    PairSide {
        time: view.time(),
        offset: view.offset(),
        failed: view.failed(),
        label: view.label().map(|word| word.text.to_owned()),
        number: view.number(),
        latency_us: view.latency_us(),
    }
}
