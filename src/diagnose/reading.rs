//! How well one arm's records can be read and placed in time.
//!
//! In: counts of each second. Out: that too little of them could be read, that all lie out of time, that none
//! come. Holds: judged over the last whole minute and the one that runs; a constant amount is kept. Knows nothing
//! of: the join.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::minutes::Minutes;
use super::{Kind, Names, Trouble};
use crate::model::bucket::Unreadable;
use crate::model::spec::Comparator;
use crate::model::tally::merge_counts;
use crate::model::time::{EventTime, Span};
use crate::stats::histogram::CoarseLatency;

/// An arm is silent after so long, if the other sends.
const SILENT: Span = Span::from_secs(30);
/// Silence is told when so many of an arm's records were due.
const DUE: u64 = 5;
/// Fewer records than this say nothing.
const ENOUGH: u64 = 20;
/// Of so many records some would carry a cluster key.
const KEYED_BY: u64 = 100;
/// So much that can't be read may be what is missed.
const MANY: f64 = 0.1;
/// The longest `wait` that a pipeline file may ask for.
const WAIT_MOST: Span = Span::from_secs(3600);
/// Unreadable and late records are told from this share on.
const SHARE: f64 = 0.01;

/// What was read of one arm in a second.
#[derive(Clone, Copy, Debug)]
pub struct ArmSecond<'a> {
    /// Records read.
    pub read: u64,
    /// Of them counted, copies and late ones and overrides included.
    pub placed: u64,
    /// How many carry a label, a score, a value, scores, a latency.
    pub carries: [u64; 5],
    /// Of them unreadable, by reason.
    pub unreadable: &'a BTreeMap<Unreadable, u64>,
    /// One of these: offset and what was found.
    pub example: Option<(i64, &'a str)>,
    /// Of them copies of others, and later than `wait`.
    pub dropped: [u64; 2],
    /// Some carry a value of the pipeline's cluster key.
    pub keyed: bool,
    /// How far those that came later than `wait` lay behind what was before them in their partition, in microseconds.
    pub late_by: &'a CoarseLatency,
}

/// Counts of a minute.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Minute {
    read: u64,
    placed: u64,
    carries: [u64; 5],
    unreadable: BTreeMap<Unreadable, u64>,
    dropped: [u64; 2],
    /// Seconds in which some carried a cluster key.
    keyed: u64,
    late_by: CoarseLatency,
}

impl Minute {
    fn merge(&mut self, more: &Self) {
        self.read += more.read;
        self.placed += more.placed;
        for (mine, more) in self.carries.iter_mut().zip(more.carries) {
            *mine += more;
        }
        merge_counts(&mut self.unreadable, &more.unreadable);
        for (mine, more) in self.dropped.iter_mut().zip(more.dropped) {
            *mine += more;
        }
        self.keyed += more.keyed;
        self.late_by.merge(&more.late_by);
    }

    fn unreadable(&self) -> u64 {
        self.unreadable.values().sum()
    }

    /// The most frequent reason why records can't be read.
    fn most_often(&self) -> &'static str {
        let rank = |(reason, count): &(&Unreadable, &u64)| (**count, std::cmp::Reverse(**reason));
        self.unreadable.iter().max_by_key(rank).map_or("", |(reason, _)| reason.code())
    }
}

/// What is known of an arm's records.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reading {
    minutes: Minutes<Minute>,
    example: Option<(i64, String)>,
    /// All records ever read.
    all: Minute,
    /// The other arm's records since this one was heard.
    unanswered: u64,
    /// When the first record came, and the last, by the clock of the cuts.
    first_heard: Option<EventTime>,
    heard: Option<EventTime>,
}

impl Reading {
    /// Takes a second, in which so many records of the other arm were read.
    pub(super) fn take(&mut self, at: EventTime, second: &ArmSecond<'_>, others: u64) {
        let ArmSecond { read, placed, carries, .. } = *second;
        let (unreadable, late_by) = (second.unreadable.clone(), second.late_by.clone());
        let keyed = u64::from(second.keyed);
        let dropped = second.dropped;
        let counts = Minute { read, placed, carries, unreadable, dropped, keyed, late_by };
        self.minutes.at(at).merge(&counts);
        self.all.merge(&counts);
        if let Some((offset, found)) = second.example {
            self.example = Some((offset, found.to_owned()));
        }
        self.unanswered = if second.read == 0 { self.unanswered + others } else { 0 };
        if second.read != 0 {
            self.first_heard.get_or_insert(at);
            self.heard = Some(at);
        }
    }

    pub(super) fn trouble(&self, name: &str, other: &Self, names: &Names<'_>) -> Option<Trouble> {
        let lately = self.lately();
        // What was read long ago counts where nothing else was.
        let known = if lately.read == 0 { &self.all } else { &lately };
        let (read, unreadable) = (known.read, known.unreadable());
        #[expect(clippy::cast_precision_loss, reason = "counts of records lie far below 2^53")]
        let share = if read == 0 { 0.0 } else { unreadable as f64 / read as f64 };
        if ENOUGH <= read && SHARE < share {
            let all = unreadable == read;
            let many = MANY < share;
            let text = format!(
                "{unreadable} of {read} records of {name} can't be read: {}",
                self.reasons(known)
            );
            let kind = match (all, many) {
                (true, _) => Kind::NothingReadable,
                (false, true) => Kind::MuchUnreadable,
                (false, false) => Kind::Unreadable,
            };
            let cure = "mend the producer, or map its fields; each record lies with its reason among the dead letters";
            return Some(Trouble { kind, text, cure: cure.to_owned() });
        }
        if let Some(trouble) = self.silence(name, other, names) {
            return Some(trouble);
        }
        let is_whole = self.minutes.is_whole();
        if is_whole && ENOUGH <= read && known.placed + unreadable == 0 {
            let text = format!(
                "none of {read} records of {name} lies near its partition's time: each is more than {} ahead",
                names.wait
            );
            let cure = "see the clocks that stamp `event_time`, and its unit";
            return Some(Trouble { kind: Kind::OutOfTime, text, cure: cure.to_owned() });
        }
        self.incomparable(name, other, names)
    }

    /// No answer carries what is compared, and many carry something else.
    pub(super) fn incomparable(
        &self,
        name: &str,
        other: &Self,
        names: &Names<'_>,
    ) -> Option<Trouble> {
        let mut trouble = incomparable(name, &self.lately(), names.comparator)?;
        let other = other.lately();
        if other.read != 0 && wanted(&other, names.comparator) != 0 {
            "mend one of the producers: the other arm's answers carry what is compared"
                .clone_into(&mut trouble.cure);
        }
        Some(trouble)
    }

    fn lately(&self) -> Minute {
        self.minutes.lately(Minute::merge)
    }

    /// That too many records came later than they may, and which `wait` would do.
    /// Of most records nothing is compared: what is left is no sample of the others.
    pub(super) fn dropped(&self, name: &str) -> Option<Trouble> {
        let Minute { placed, dropped: [copies, late], .. } = self.lately();
        // Delivered some times over, requests are compared all the same.
        let is_most = placed < 2 * late || 9 * placed < 10 * copies;
        (ENOUGH <= placed && is_most).then(|| Trouble {
            kind: Kind::MostlyDropped,
            text: format!(
                "of {placed} records of {name} {copies} are copies of others by their `request_id`, and {late} come later than `wait`: most of them aren't compared"
            ),
            cure: "see whether `request_id` is the request's own and not a session's or a user's, and whether records lie \
                   in order of time"
                .to_owned(),
        })
    }

    /// The field that is to tell which answers come together is in none of them: evidence is divided by an estimate.
    pub(super) fn unkeyed(&self, name: &str, names: &Names<'_>) -> Option<Trouble> {
        let field = names.cluster?;
        let Minute { placed, keyed, .. } = self.lately();
        (KEYED_BY <= placed && keyed == 0).then(|| Trouble {
            kind: Kind::NoClusterKey,
            text: format!(
                "none of {placed} records of {name} carries `{field}`, by which answers that come together are to be told: clusters are estimated instead"
            ),
            cure: format!("send `{field}` with both arms' answers, or mend `fields: {{cluster: …}}`"),
        })
    }

    pub(super) fn lateness(&self, name: &str, names: &Names<'_>) -> Option<Trouble> {
        let Minute { read, late_by, .. } = self.lately();
        let late = late_by.total();
        #[expect(clippy::cast_precision_loss, reason = "counts of records lie far below 2^53")]
        let share = late as f64 / read.max(1) as f64;
        if read < ENOUGH || share <= SHARE {
            return None;
        }
        let by = Span::from_us(i64::try_from(late_by.quantile(0.99)?).unwrap_or(i64::MAX));
        let enough = Span::from_secs(by.us() / 1_000_000 + 1);
        let text = format!(
            "{late} of {read} records of {name} ({:.0} %) come out of order, up to {} behind others of their partition, and `wait` is {}: they aren't compared",
            share * 100.0,
            enough.roughly(),
            names.wait
        );
        let order = if 0.5 < share {
            "most lie so: sort the topic or file by time"
        } else {
            "write them in order of time"
        };
        let cure = if WAIT_MOST < enough {
            format!("{order}, and see the clocks that stamp `event_time`")
        } else {
            format!("{order}, or write `time: {{wait: {enough}}}`")
        };
        Some(Trouble { kind: Kind::Late, text, cure })
    }

    fn silence(&self, name: &str, other: &Self, names: &Names<'_>) -> Option<Trouble> {
        let heard = self.heard.or(other.first_heard)?;
        let other_heard = other.heard?;
        // As many of its own were due as it sent of the other's before.
        let due = match self.all.read {
            0 => self.unanswered,
            own => self.unanswered.saturating_mul(own) / other.all.read.max(1),
        };
        let is_silent = SILENT.plus(names.skew) <= other_heard.since(heard)
            && ENOUGH <= other.all.read
            && DUE <= due;
        is_silent.then(|| Trouble {
            kind: Kind::Silent,
            text: match self.heard {
                None => {
                    format!("no record of {name} has come, and {} of the other arm", other.all.read)
                }
                Some(_) => format!(
                    "no record of {name} has come for {}, and the other arm goes on",
                    other_heard.since(heard).roughly()
                ),
            },
            cure: format!(
                "see whether {name} runs, and whether its topic is the one that it writes to"
            ),
        })
    }

    /// The most frequent reason, with an example.
    fn reasons(&self, known: &Minute) -> String {
        let most = known.most_often();
        match &self.example {
            Some((offset, found)) => format!("most often {most}; offset {offset}: {found}"),
            None => format!("most often {most}"),
        }
    }
}

/// Returns how many answers carry what is compared.
const fn wanted(lately: &Minute, comparator: Comparator) -> u64 {
    let [label, score, value, scores, _] = lately.carries;
    match comparator {
        Comparator::Label | Comparator::ArgMax => label + scores,
        Comparator::Number { .. } => value + score,
    }
}

fn incomparable(name: &str, lately: &Minute, comparator: Comparator) -> Option<Trouble> {
    let readable = lately.read - lately.unreadable();
    let [label, score, value, scores, _] = lately.carries;
    let (found, what) = match comparator {
        Comparator::Label | Comparator::ArgMax => (score.max(value), "labels"),
        Comparator::Number { .. } => (label.max(scores), "numbers"),
    };
    if wanted(lately, comparator) != 0 || readable < ENOUGH || found * 2 < readable {
        return None;
    }
    let (field, cure) = match comparator {
        Comparator::Label | Comparator::ArgMax if score < value => {
            ("value", "write `compare: {number: {relative: 0.01}}`")
        }
        Comparator::Label | Comparator::ArgMax => {
            ("score", "write `compare: {number: {relative: 0.01}}`")
        }
        Comparator::Number { .. } if label < scores => ("scores", "write `compare: argmax`"),
        Comparator::Number { .. } => ("label", "write `compare: label`"),
    };
    let text = format!(
        "predictions of {name} have `{field}` ({found} of {readable} answers), the pipeline compares {what}: nothing is comparable"
    );
    Some(Trouble { kind: Kind::NothingComparable, text, cure: cure.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_named_however_long_ago_it_was_read() {
        let names = Names {
            candidate: "v8",
            skew: Span::from_secs(1),
            wait: Span::from_secs(5),
            comparator: Comparator::Label,
            cluster: None,
        };
        let (mut reading, unreadable) =
            (Reading::default(), BTreeMap::from([(Unreadable::Syntax, 30)]));
        let (none, late_by) = (BTreeMap::new(), &CoarseLatency::default());
        for second in 0..300 {
            let (read, unreadable) = if second == 0 { (30, &unreadable) } else { (0, &none) };
            let at = EventTime::from_us(second * 1_000_000);
            let second = ArmSecond {
                read,
                placed: 0,
                carries: [0; 5],
                unreadable,
                example: None,
                dropped: [0; 2],
                keyed: false,
                late_by,
            };
            reading.take(at, &second, 0);
        }
        let told = reading.trouble("v8", &Reading::default(), &names).unwrap();
        assert_eq!(told.kind, Kind::NothingReadable);
        let code = Unreadable::Syntax.code();
        assert!(told.text.ends_with(&format!("can't be read: most often {code}")), "{}", told.text);
    }
}
