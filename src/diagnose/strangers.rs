//! How many of the candidate's answers are to ids that the primary doesn't know.
//!
//! In: closed panes. Out: that a part of the answers has no request, with what that looks like. Holds: judged over the
//! last whole minute and the one that runs; of answers without a request those that a primary's record which couldn't be
//! read or placed may belong to are none; a constant amount is kept. Knows nothing of: ids, but as examples.

use serde::{Deserialize, Serialize};

use super::minutes::Minutes;
use super::{Kind, Names, Trouble};
use crate::model::bucket::Buckets;
use crate::model::entry::Pane;
use crate::model::finding::Share;

/// Fewer answers, and fewer without a request, say nothing.
const ENOUGH: [u64; 2] = [20, 5];
/// A twentieth of the answers is more than a slip; told until it is less than half of that.
const PART: u64 = 20;

/// Answers without a request, lately.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Strangers {
    counts: Minutes<Counts>,
    is_part: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Counts {
    answers: u64,
    unknown: u64,
    requests: u64,
    unanswered: u64,
}

impl Counts {
    const fn merge(&mut self, more: Self) {
        self.answers += more.answers;
        self.unknown += more.unknown;
        self.requests += more.requests;
        self.unanswered += more.unanswered;
    }
}

impl Strangers {
    /// Takes a closed pane.
    pub(super) fn take(&mut self, pane: &Pane) {
        let Buckets { undecodable, quarantined, late, paired, alone, .. } = pane.primary;
        self.counts.at(pane.start).merge(Counts {
            answers: pane.candidate.paired + pane.candidate.alone,
            unknown: pane.candidate.alone.saturating_sub(undecodable + quarantined + late),
            requests: paired + alone,
            unanswered: alone,
        });
        let Counts { answers, unknown, requests, .. } = self.lately();
        let is_enough = ENOUGH[0] <= answers && ENOUGH[1] <= unknown && requests != 0;
        let part = if self.is_part { 2 * PART } else { PART };
        self.is_part = is_enough && answers <= unknown * part;
    }

    /// Answers without a request, of all lately.
    pub(super) fn share(&self) -> Share {
        let Counts { answers, unknown, .. } = self.lately();
        Share { events: unknown, total: answers }
    }

    fn lately(&self) -> Counts {
        self.counts.lately(|lately, last| lately.merge(*last))
    }

    /// That a part of the answers has no request; `examples` are some of their ids, in words.
    pub(super) fn trouble(&self, names: &Names<'_>, examples: &str) -> Option<Trouble> {
        if !self.is_part {
            return None;
        }
        let Counts { answers, unknown, requests, unanswered } = self.lately();
        let name = names.candidate;
        #[expect(clippy::cast_precision_loss, reason = "counts of answers lie far below 2^53")]
        let percent = unknown as f64 / answers as f64 * 100.0;
        let mut text = format!(
            "of {answers} answers of {name} {unknown} ({percent:.0} %) have an id that the primary doesn't know near their time{examples}"
        );
        let is_renamed = unknown <= 2 * unanswered;
        let cure = if is_renamed {
            text.push_str(&format!(
                "; {unanswered} of {requests} requests have no answer, which may be the same ones"
            ));
            "send the same `request_id` with both arms' answers, from every client".to_owned()
        } else {
            format!(
                "keep probes and other traffic out of the topic of {name}, or see whether that of the primary lacks records"
            )
        };
        Some(Trouble { kind: Kind::UnknownIds, text, cure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Comparator;
    use crate::model::time::{EventTime, Span};

    const NAMES: Names<'static> = Names {
        candidate: "v8",
        skew: Span::from_secs(5),
        wait: Span::from_secs(30),
        comparator: Comparator::Label,
        cluster: None,
    };

    /// A pane of so many pairs, unanswered requests and answers without a request.
    fn pane(at: i64, paired: u64, unanswered: u64, unknown: u64) -> Pane {
        let mut pane = Pane::empty(EventTime::from_us(at * 10_000_000));
        pane.primary = Buckets { paired, alone: unanswered, ..Buckets::default() };
        pane.candidate = Buckets { paired, alone: unknown, ..Buckets::default() };
        pane
    }

    fn told(panes: impl Iterator<Item = Pane>) -> Option<Trouble> {
        let mut strangers = Strangers::default();
        panes.for_each(|pane| strangers.take(&pane));
        strangers.trouble(&NAMES, "")
    }

    #[test]
    fn a_part_is_told_with_its_likeliest_cause() {
        let renamed = told((0..6).map(|at| pane(at, 60, 30, 30))).unwrap();
        assert!(renamed.text.starts_with("of 540 answers of v8 180 (33 %)"), "{}", renamed.text);
        assert!(renamed.text.contains("180 of 540 requests have no answer"), "{}", renamed.text);
        assert!(renamed.cure.starts_with("send the same"), "{}", renamed.cure);
        let foreign = told((0..6).map(|at| pane(at, 60, 2, 30))).unwrap();
        assert!(foreign.cure.starts_with("keep probes"), "{}", foreign.cure);
        assert_eq!(told((0..6).map(|at| pane(at, 100, 0, 4))), None, "a slip");
        assert_eq!(told((0..6).map(|at| pane(at, 0, 0, 50))), None, "the primary is silent");
        assert_eq!(told((0..2).map(|at| pane(at, 2, 2, 2))), None, "too little");
        let mut unreadable = pane(0, 60, 0, 30);
        unreadable.primary.undecodable = 30;
        assert_eq!(told([unreadable].into_iter()), None, "the primary's records can't be read");
        let passed = told((0..30).map(|at| pane(at, 60, 0, if at < 6 { 30 } else { 0 })));
        assert_eq!(passed, None, "it is over");
    }
}
