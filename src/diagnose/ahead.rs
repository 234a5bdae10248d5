//! Records that lie ahead of their partition's time.
//!
//! In: closed panes. Out: that a part of an arm's records is set aside for its times, lately. Holds: told from a hundredth
//! on; where it is a tenth, what is compared is a choice. Knows nothing of: which clock is wrong.

use serde::{Deserialize, Serialize};

use super::minutes::Minutes;
use super::{Kind, Names, Trouble};
use crate::model::bucket::Buckets;
use crate::model::entry::Pane;
use crate::model::finding::Share;

/// Of fewer records nothing is said.
const ENOUGH: u64 = 100;
/// From this part of the records on it is told, and from the other nothing is compared any more: one in so many.
const PART: u64 = 100;
const MUCH: u64 = 10;

/// Records of an arm that were set aside, out of all.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ahead(Minutes<Share>);

impl Ahead {
    /// Takes what became of an arm's records in a closed pane.
    pub(super) fn take(&mut self, pane: &Pane, arm: &Buckets) {
        self.0.at(pane.start).add(Share { events: arm.quarantined, total: arm.total() });
    }

    /// Returns that `name`'s records are set aside.
    pub(super) fn trouble(&self, name: &str, names: &Names<'_>) -> Option<Trouble> {
        let lately = self.0.lately(|lately, last| lately.add(*last));
        let Share { events, total } = lately;
        if total < ENOUGH || events * PART <= total {
            return None;
        }
        let kind = if total < events * MUCH { Kind::MuchAhead } else { Kind::Ahead };
        let percent = lately.point().unwrap_or_default() * 100.0;
        let text = format!(
            "{events} of {total} records of {name} ({percent:.0} %) lie more than `wait` ({}) ahead of others of their partition: they aren't compared",
            names.wait
        );
        let cure = "see the clocks that stamp `event_time`, or raise `time: wait` beyond how far they are apart";
        Some(Trouble { kind, text, cure: cure.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Comparator;
    use crate::model::time::{EventTime, Span};

    #[test]
    fn a_clock_ahead_is_told_from_a_hundredth_of_the_records_on() {
        let (skew, wait) = (Span::from_secs(5), Span::from_secs(30));
        let names =
            Names { candidate: "v8", skew, wait, comparator: Comparator::Label, cluster: None };
        let told = |quarantined| {
            let mut ahead = Ahead::default();
            for second in 0..200 {
                let pane = Pane::empty(EventTime::from_us(second * 1_000_000));
                let arm = Buckets { quarantined, paired: 100 - quarantined, ..Buckets::default() };
                ahead.take(&pane, &arm);
            }
            ahead.trouble("v8", &names).map(|trouble| trouble.kind)
        };
        assert_eq!(told(1), None);
        assert_eq!(told(3), Some(Kind::Ahead));
        assert_eq!(told(25), Some(Kind::MuchAhead));
    }
}
