//! Why two arms can't be compared, if they can't.
//!
//! In: a second's counts and sampled ids of the primary and of one candidate. Out: troubles in words, each with
//! what was seen and what to do. Holds: only what was seen is said; what keeps answers from being read or joined
//! is never told as the candidate's failure; memory is bounded, whatever the traffic. Knows nothing of: rules,
//! decisions.
//!
//! # Place beside the others
//!
//! [`crate::engine::evaluator`] hands in each second's counts and the ids that both arms sample alike, and each closed
//! pane. While a [`Trouble`] keeps answers from being joined, [`crate::rules`] on pairs see nothing.
//!
//! # Why samples of ids
//!
//! Whether two ids are the same request can be asked long before a join could say so, and where no join ever
//! will: both arms keep the ids with the lowest hashes of a second, so what one has sampled the other would have, too. Ids
//! that meet in another partition, at another time, or nowhere, each have a cause of their own and a cure.

mod ahead;
mod ids;
mod minutes;
mod pairing;
mod partitions;
mod reading;
mod strangers;

use serde::{Deserialize, Serialize};

use crate::model::entry::{Pane, SampledId};
use crate::model::finding::Share;
use crate::model::spec::Comparator;
use crate::model::time::{EventTime, Span};
use ahead::Ahead;
pub use pairing::{Looked, Pairing};
use partitions::Partitions;
pub use reading::{ArmSecond, Reading};
use strangers::Strangers;

/// What keeps a comparison from saying anything true.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// Which kind.
    pub kind: Kind,
    /// What was seen.
    pub text: String,
    /// What to do.
    pub cure: String,
}

/// Kinds of troubles; the words are part of the verdict's contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Too many records can't be read.
    Unreadable,
    /// Too many records come later than `wait`.
    Late,
    /// The candidate answers more of the requests than the file says are mirrored.
    MoreMirrored,
    /// No record carries the pipeline's cluster key.
    NoClusterKey,
    /// A part of the candidate's answers has an id that the primary doesn't know.
    UnknownIds,
    /// One arm writes nothing into a partition in which the other goes on.
    SilentPartition,
    /// A part of an arm's records lies ahead of its partition's time.
    Ahead,
    /// So many that the ones that are missed may be among them.
    MuchUnreadable,
    /// So many lie ahead that what is compared is a choice.
    MuchAhead,
    /// More model versions answer than can be tried one by one.
    ManyVersions,
    /// A good part of the answers names other model versions than the one on trial.
    OtherVersions,
    /// Most records of an arm are copies of others, or come later than `wait`.
    MostlyDropped,
    /// No record of an arm could be read.
    NothingReadable,
    /// An arm sends nothing.
    Silent,
    /// No answer of an arm carries what is compared.
    NothingComparable,
    /// An arm's records lie ahead of all time.
    OutOfTime,
    /// Both arms have other ids.
    OtherIds,
    /// Both arms stamp the same request too far apart.
    TimesApart,
    /// Both answers to a request lie in different partitions.
    PartitionsApart,
}

impl Kind {
    /// The word in verdicts, metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreadable | Self::MuchUnreadable => "unreadable",
            Self::Ahead | Self::MuchAhead => "ahead",
            Self::ManyVersions => "many_versions",
            Self::OtherVersions => "other_versions",
            Self::MostlyDropped => "mostly_dropped",
            Self::Late => "late",
            Self::MoreMirrored => "more_mirrored",
            Self::NoClusterKey => "no_cluster_key",
            Self::UnknownIds => "unknown_ids",
            Self::SilentPartition => "silent_partition",
            Self::NothingReadable => "nothing_readable",
            Self::Silent => "silent",
            Self::NothingComparable => "nothing_comparable",
            Self::OutOfTime => "out_of_time",
            Self::OtherIds => "other_ids",
            Self::TimesApart => "times_apart",
            Self::PartitionsApart => "partitions_apart",
        }
    }

    /// Returns whether no verdict can be given meanwhile.
    #[must_use]
    pub const fn is_blinding(self) -> bool {
        match self {
            Self::Unreadable
            | Self::Late
            | Self::MoreMirrored
            | Self::NoClusterKey
            | Self::UnknownIds
            | Self::SilentPartition
            | Self::Ahead
            | Self::MuchAhead
            | Self::MuchUnreadable => false,
            Self::ManyVersions
            | Self::OtherVersions
            | Self::MostlyDropped
            | Self::NothingReadable
            | Self::NothingComparable
            | Self::Silent
            | Self::OutOfTime
            | Self::OtherIds
            | Self::TimesApart
            | Self::PartitionsApart => true,
        }
    }

    /// Returns whether answers exist that can't be joined: a missing one says nothing of the candidate then, and pairs
    /// are a choice.
    #[must_use]
    pub const fn is_unjoined(self) -> bool {
        match self {
            Self::OtherIds
            | Self::TimesApart
            | Self::PartitionsApart
            | Self::OutOfTime
            | Self::MuchUnreadable
            | Self::MuchAhead
            | Self::NothingReadable => true,
            Self::Unreadable
            | Self::Ahead
            | Self::Late
            | Self::MoreMirrored
            | Self::NoClusterKey
            | Self::UnknownIds
            | Self::SilentPartition
            | Self::ManyVersions
            | Self::OtherVersions
            | Self::MostlyDropped
            | Self::Silent
            | Self::NothingComparable => false,
        }
    }
}

/// What is known of how both arms of one comparison are read and joined.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Diagnosis {
    reading: [Reading; 2],
    pairing: Pairing,
    strangers: Strangers,
    partitions: Partitions,
    ahead: [Ahead; 2],
}

/// Names and lengths that the words speak of.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The candidate.
    pub candidate: &'a str,
    /// How far apart both arms may stamp a request.
    pub skew: Span,
    /// How far ahead a record may lie.
    pub wait: Span,
    /// How predictions are compared.
    pub comparator: Comparator,
    /// The field that tells which answers come together, if one is to.
    pub cluster: Option<&'a str>,
}

impl Diagnosis {
    /// Takes a second of both arms, the primary's first; samples with their tasks.
    pub fn take(
        &mut self,
        at: EventTime,
        arms: [(ArmSecond<'_>, &[(u32, SampledId)]); 2],
        names: &Names<'_>,
    ) {
        let read = arms.map(|(second, _)| second.read);
        for (arm, (second, sample)) in arms.into_iter().enumerate() {
            self.reading[arm].take(at, &second, read[1 - arm]);
            self.pairing.take(arm, sample);
            self.partitions.take(arm, sample);
        }
        self.pairing.judge(names);
    }

    /// Takes a closed pane.
    pub fn take_pane(&mut self, pane: &Pane) {
        self.strangers.take(pane);
        self.ahead[0].take(pane, &pane.primary);
        self.ahead[1].take(pane, &pane.candidate);
    }

    /// Of the candidate's sampled ids since `since`, as far as the primary's samples would hold them, those that the
    /// primary doesn't know.
    #[must_use]
    pub fn strangers_since(&self, since: EventTime, skew: Span) -> Looked {
        self.pairing.strangers_since(since, skew)
    }

    /// Of the sampled requests of the primary since `since` that the candidate's samples hold, those that lie in another
    /// partition or further apart than `skew`.
    #[must_use]
    pub fn apart_since(&self, since: EventTime, skew: Span) -> Share {
        self.pairing.apart_since(since, skew)
    }

    /// Returns that the candidate's predictions aren't what is compared, if that is so.
    #[must_use]
    pub fn incomparable(&self, names: &Names<'_>) -> Option<Trouble> {
        let [primary, candidate] = &self.reading;
        candidate.incomparable(names.candidate, primary, names)
    }

    /// Of the candidate's answers in the last closed panes those to ids that the primary doesn't know.
    #[must_use]
    pub fn strangers_of_panes(&self) -> Share {
        self.strangers.share()
    }

    /// Returns what is wrong now, the gravest last.
    #[must_use]
    pub fn troubles(&self, names: &Names<'_>) -> Vec<Trouble> {
        let [primary, candidate] = &self.reading;
        let mut all = Vec::new();
        all.extend(primary.trouble("the primary", candidate, names));
        all.extend(candidate.trouble(names.candidate, primary, names));
        all.extend(primary.unkeyed("the primary", names));
        all.extend(candidate.unkeyed(names.candidate, names));
        all.extend(primary.dropped("the primary"));
        all.extend(candidate.dropped(names.candidate));
        all.extend(primary.lateness("the primary", names));
        all.extend(candidate.lateness(names.candidate, names));
        let apart = self.pairing.trouble();
        if apart.is_some_and(|trouble| trouble.kind == Kind::TimesApart) {
            // By its clock the other arm goes on for as long as it stamps later.
            all.retain(|trouble| trouble.kind != Kind::Silent);
        }
        all.extend(apart.cloned());
        all.extend(self.partitions.trouble(names));
        all.extend(self.ahead[0].trouble("the primary", names));
        all.extend(self.ahead[1].trouble(names.candidate, names));
        // What keeps answers from being joined says already why the primary knows none of their ids.
        if all.iter().all(|trouble| !trouble.kind.is_blinding() && !trouble.kind.is_unjoined()) {
            all.extend(self.strangers.trouble(names, &self.pairing.examples(names.skew)));
        }
        all.sort_by_key(|trouble| trouble.kind);
        all
    }
}
