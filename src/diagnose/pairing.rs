//! Where the other arm's answers to the same requests are.
//!
//! In: sampled ids of both arms: each second those with the lowest hashes, so that both arms sample the same
//! requests. Out: that ids differ, that times lie apart, that partitions lie apart. Holds: an id counts as not
//! found only if its hash is so low that the other arm's samples would hold it; at most `IDS_MAX` ids of an arm are
//! kept. Knows nothing of: records, how many there were.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Kind, Names, Trouble, ids};
use crate::model::entry::{SAMPLE_MAX, SampledId};
use crate::model::finding::Share;
use crate::model::time::{EventTime, Span};

/// Ids of an arm that are kept.
const IDS_MAX: usize = 512;
/// Fewer ids say nothing.
const ENOUGH: usize = 5;
/// Ids that the primary doesn't know, from which on nothing seems to join; where ids met before it may be a restart.
const FEW: usize = 2;
const MANY: usize = 20;
/// Ids that are shown of each side.
const SHOWN: usize = 3;
/// A tenth of the ids lies elsewhere, or apart: that is more than a slip.
const PART: usize = 10;

/// Sampled ids of both arms.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Pairing {
    arms: [Sampled; 2],
    /// What was found, until both arms' ids are seen to meet.
    found: Option<Trouble>,
    /// Both arms' ids were seen to meet once.
    has_met: bool,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Sampled {
    by_hash: BTreeMap<u64, Seen>,
    /// In order of coming.
    order: VecDeque<u64>,
    /// Hashes above this may be missing; by sample, in order of coming, with how many ids came with it.
    whole_below: VecDeque<(u64, usize)>,
    /// By task: one may be behind the others.
    newest: BTreeMap<u32, EventTime>,
    /// The latest time of one that had to go: what isn't later may have gone, too.
    gone: EventTime,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seen {
    task: u32,
    time: EventTime,
    id: String,
}

impl Seen {
    /// Returns by how much this lies from the other arm's, and whether it is the later one.
    fn apart(&self, other: &Self) -> (Span, bool) {
        let (later, sooner) = (self.time.since(other.time), other.time.since(self.time));
        (later.max(sooner), sooner < later)
    }
}

/// What is known of the candidate's sampled ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Looked {
    /// Those that the primary doesn't know, of all that could be looked up.
    pub ids: Share,
    /// Those that it may know yet.
    pub pending: u64,
}

/// What became of the candidate's ids.
#[derive(Default)]
struct Found<'a> {
    together: usize,
    elsewhere: Vec<&'a Seen>,
    apart: Vec<(Span, bool)>,
    /// Ids of the candidate that the primary doesn't know, and the other way round.
    nowhere: [usize; 2],
}

/// The highest hash that is sure to be among an arm's samples, and the times that were sampled.
struct Reach<'a> {
    below: u64,
    first: EventTime,
    /// Up to here one may have gone: both arms may stamp a request a skew apart.
    gone: EventTime,
    skew: Span,
    newest: &'a BTreeMap<u32, EventTime>,
}

impl Reach<'_> {
    fn would_hold(&self, hash: u64, seen: &Seen) -> bool {
        self.may_hold(hash, seen) && self.is_past(seen.time.plus(self.skew), seen.task)
    }

    /// Holds it already, or may yet: the other arm isn't so far.
    fn may_hold(&self, hash: u64, seen: &Seen) -> bool {
        hash <= self.below && self.first <= seen.time && self.gone < seen.time
    }

    fn is_past(&self, time: EventTime, task: u32) -> bool {
        let newest = self.newest.get(&task).or_else(|| self.newest.values().max());
        newest.is_some_and(|newest| time <= *newest)
    }
}

impl Sampled {
    /// Samples of one second, by task.
    fn take(&mut self, sample: &[(u32, SampledId)]) {
        let mut by_task: BTreeMap<u32, Vec<&SampledId>> = BTreeMap::new();
        for (task, id) in sample {
            by_task.entry(*task).or_default().push(id);
        }
        for (task, mut ids) in by_task {
            ids.sort_unstable_by_key(|id| id.hash);
            // Of several inputs together the lowest few are sure to be whole.
            let whole = ids.get(SAMPLE_MAX - 1).map_or(u64::MAX, |id| id.hash);
            let mut added = 0;
            for id in ids {
                let newest = self.newest.entry(task).or_insert(id.time);
                *newest = id.time.max(*newest);
                // One that comes again keeps its first time: ids go in the order in which they came, and by a later
                // time one would be missed in the other arm that has gone from there.
                if let std::collections::btree_map::Entry::Vacant(place) =
                    self.by_hash.entry(id.hash)
                {
                    place.insert(Seen { task, time: id.time, id: id.id.clone() });
                    self.order.push_back(id.hash);
                    added += 1;
                }
            }
            if 0 < added {
                self.whole_below.push_back((whole, added));
            }
        }
        while IDS_MAX < self.order.len() {
            let Some(hash) = self.order.pop_front() else { break };
            if let Some(gone) = self.by_hash.remove(&hash) {
                self.gone = self.gone.max(gone.time);
            }
            if let Some(first) = self.whole_below.front_mut() {
                first.1 = first.1.saturating_sub(1);
                if first.1 == 0 {
                    self.whole_below.pop_front();
                }
            }
        }
    }

    fn whole_below(&self) -> u64 {
        self.whole_below.iter().map(|(hash, _)| *hash).min().unwrap_or(0)
    }

    /// Returns what would be among the samples if this arm had it.
    fn reach(&self, skew: Span) -> Reach<'_> {
        let first = self.by_hash.values().map(|seen| seen.time).min().unwrap_or(EventTime::END);
        let gone = if self.gone == EventTime::START { self.gone } else { self.gone.plus(skew) };
        Reach { below: self.whole_below(), first, gone, skew, newest: &self.newest }
    }

    fn ids(&self) -> Vec<&str> {
        self.by_hash.values().map(|seen| seen.id.as_str()).collect()
    }
}

impl Pairing {
    pub(super) fn take(&mut self, arm: usize, sample: &[(u32, SampledId)]) {
        if let Some(arm) = self.arms.get_mut(arm) {
            arm.take(sample);
        }
    }

    /// Returns what keeps both arms' ids from meeting.
    pub(super) const fn trouble(&self) -> Option<&Trouble> {
        self.found.as_ref()
    }

    /// The candidate's ids that can be judged, each with whether the primary knows it.
    fn judged(&self, skew: Span) -> impl Iterator<Item = (&Seen, bool)> {
        let [primary, candidate] = &self.arms;
        let reach = primary.reach(skew);
        // Known ones by the same measure, so that their share is that of all ids.
        let candidate = candidate.by_hash.iter();
        let judged = candidate.filter(move |(hash, seen)| reach.would_hold(**hash, seen));
        judged.map(|(hash, seen)| (seen, primary.by_hash.contains_key(hash)))
    }

    /// Ids since `since` that the primary doesn't know, of all that can be judged, and how many it may know yet: the
    /// candidate may stamp them earlier by `skew`.
    pub(super) fn strangers_since(&self, since: EventTime, skew: Span) -> Looked {
        let [primary, candidate] = &self.arms;
        let reach = primary.reach(skew);
        let mut looked = Looked::default();
        for (hash, seen) in candidate.by_hash.iter().filter(|(_, seen)| since <= seen.time) {
            let is_known = primary.by_hash.contains_key(hash);
            if !reach.may_hold(*hash, seen) {
                continue;
            }
            if is_known || reach.is_past(seen.time.plus(skew), seen.task) {
                looked.ids.add(Share { events: u64::from(!is_known), total: 1 });
            } else {
                looked.pending += 1;
            }
        }
        looked
    }

    /// Of the primary's ids since `since` that the candidate's samples hold, those that lie elsewhere or apart.
    pub(super) fn apart_since(&self, since: EventTime, skew: Span) -> Share {
        let [primary, candidate] = &self.arms;
        let mut apart = Share::default();
        for (hash, ours) in primary.by_hash.iter().filter(|(_, seen)| since <= seen.time) {
            let Some(theirs) = candidate.by_hash.get(hash) else { continue };
            let is_apart = skew < theirs.apart(ours).0 || ours.task != theirs.task;
            apart.add(Share { events: u64::from(is_apart), total: 1 });
        }
        apart
    }

    /// Some ids that the primary doesn't know, and what they have in common: nothing where none is kept.
    pub(super) fn examples(&self, skew: Span) -> String {
        let unknown = self.judged(skew).filter(|(_, is_known)| !is_known);
        let unknown: Vec<&str> = unknown.map(|(seen, _)| seen.id.as_str()).collect();
        if unknown.is_empty() {
            return String::new();
        }
        let shown: Vec<&str> = unknown.iter().take(SHOWN).copied().collect();
        let what = ids::difference(&self.arms[0].ids(), &unknown, "these");
        let what = what.map_or_else(String::new, |what| format!(": {what}"));
        format!(", such as {}{what}", shown.join(", "))
    }

    /// Looks at the samples so far. What was found stays until ids are seen to meet: an arm that isn't as far as the
    /// other shows nothing meanwhile.
    pub(super) fn judge(&mut self, names: &Names<'_>) {
        let found = self.found(names);
        let (now, is_met) = (self.now(&found, names), ENOUGH <= found.together);
        // Times that drift further apart than the samples reach back look like other ids.
        let of = |trouble: &Option<Trouble>| trouble.as_ref().map(|trouble| trouble.kind);
        let drifts = of(&self.found) == Some(Kind::TimesApart) && of(&now) == Some(Kind::OtherIds);
        if (now.is_some() && !drifts) || is_met {
            self.found = now;
        }
        self.has_met |= is_met;
    }

    fn now(&self, found: &Found<'_>, names: &Names<'_>) -> Option<Trouble> {
        let [primary, candidate] = &self.arms;
        let met = found.together + found.elsewhere.len() + found.apart.len();
        let count = met + found.nowhere[0];
        if met + found.nowhere.iter().sum::<usize>() < ENOUGH {
            return None;
        }
        // Where all that met are apart, the others may be by so much that the samples don't reach back to them.
        let was = |kind| self.found.as_ref().is_some_and(|trouble| trouble.kind == kind);
        // What was told stays until it is half as much.
        let part = |kind| if was(kind) { 2 * PART } else { PART };
        if count < found.apart.len() * part(Kind::TimesApart)
            || ENOUGH <= met && met == found.apart.len()
        {
            return Some(apart(found, met, names));
        }
        if count < found.elsewhere.len() * part(Kind::PartitionsApart) {
            let example = found.elsewhere.first().map_or("", |seen| seen.id.as_str());
            let text = format!(
                "of {met} sampled requests that both arms saw, {} lie in different partitions (such as `{example}`): they are never paired",
                found.elsewhere.len()
            );
            let cure = "key both topics by the request's id with the same partitioner and as many partitions, or write `co_partitioned: false`";
            return Some(Trouble { kind: Kind::PartitionsApart, text, cure: cure.to_owned() });
        }
        // What the candidate doesn't answer may be missing: only its own ids tell that they are others.
        let alone = found.nowhere[0];
        let least = if self.has_met { MANY } else { FEW };
        if least <= alone && 0 < found.nowhere[1] && met * PART < alone {
            let (ours, theirs) = (primary.ids(), candidate.ids());
            let list =
                |ids: &[&str]| ids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
            let what = ids::difference(&ours, &theirs, names.candidate);
            let text = format!(
                "nothing joins: of {} sampled requests of {} {met} have an id that the primary knows; ids look like {} / {}{}",
                alone + met,
                names.candidate,
                list(&ours),
                list(&theirs),
                what.map_or_else(String::new, |what| format!(": {what}"))
            );
            let cure = "send the same `request_id` with both arms' answers";
            return Some(Trouble { kind: Kind::OtherIds, text, cure: cure.to_owned() });
        }
        None
    }

    /// Returns what became of both arms' ids that the other's samples would hold by now.
    fn found(&self, names: &Names<'_>) -> Found<'_> {
        let [primary, candidate] = &self.arms;
        let reaches = [primary.reach(names.skew), candidate.reach(names.skew)];
        let mut found = Found::default();
        for (hash, theirs) in &candidate.by_hash {
            match primary.by_hash.get(hash) {
                Some(ours) if ours.task != theirs.task => found.elsewhere.push(theirs),
                Some(ours) => match theirs.apart(ours) {
                    (by, _) if by <= names.skew => found.together += 1,
                    apart => found.apart.push(apart),
                },
                None => found.nowhere[0] += usize::from(reaches[0].would_hold(*hash, theirs)),
            }
        }
        for (hash, ours) in &primary.by_hash {
            let is_alone = !candidate.by_hash.contains_key(hash);
            found.nowhere[1] += usize::from(is_alone && reaches[1].would_hold(*hash, ours));
        }
        found
    }
}

fn apart(found: &Found<'_>, met: usize, names: &Names<'_>) -> Trouble {
    let mut spans: Vec<Span> = found.apart.iter().map(|(span, _)| *span).collect();
    spans.sort_unstable();
    let middle = spans.get(spans.len() / 2).copied().unwrap_or_default();
    let most = spans.last().copied().unwrap_or_default();
    let later = found.apart.iter().filter(|(_, later)| *later).count() * 2 >= found.apart.len();
    let second = Span::from_secs(1);
    let enough = Span::from_secs(most.us().div_euclid(second.us()) + 1);
    Trouble {
        kind: Kind::TimesApart,
        text: format!(
            "of {met} sampled requests that both arms saw, {} carry times further apart than `skew` ({}): {} stamps them {} {} in the middle",
            found.apart.len(),
            names.skew,
            names.candidate,
            middle.roughly(),
            if later { "later" } else { "earlier" },
        ),
        cure: if Span::from_secs(600) < enough {
            "stamp both arms with the request's own time, and see the clocks".to_owned()
        } else {
            format!(
                "stamp both arms with the request's own time, or write `time: {{skew: {enough}}}`"
            )
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{hash_of, short};
    use crate::model::spec::Comparator;

    const NAMES: Names<'static> = Names {
        candidate: "v8",
        skew: Span::from_secs(5),
        wait: Span::from_secs(30),
        comparator: Comparator::Label,
        cluster: None,
    };

    fn sample(
        task: u32,
        prefix: &str,
        numbers: std::ops::Range<u64>,
        late: i64,
    ) -> Vec<(u32, SampledId)> {
        numbers
            .map(|n| {
                let time = EventTime::from_us((n as i64 + late) * 1_000_000);
                (task, SampledId { hash: hash(prefix, n), time, id: format!("{prefix}{n}") })
            })
            .collect()
    }

    fn hash(prefix: &str, n: u64) -> u64 {
        n * 1000 + prefix.len() as u64
    }

    fn trouble(
        primary: &[Vec<(u32, SampledId)>],
        candidate: &[Vec<(u32, SampledId)>],
    ) -> Option<Trouble> {
        let mut pairing = Pairing::default();
        primary.iter().for_each(|sample| pairing.take(0, sample));
        candidate.iter().for_each(|sample| pairing.take(1, sample));
        pairing.judge(&NAMES);
        pairing.trouble().cloned()
    }

    #[test]
    fn the_same_requests_are_no_trouble() {
        assert_eq!(trouble(&[sample(0, "r", 0..7, 0)], &[sample(0, "r", 0..7, 1)]), None);
        assert_eq!(trouble(&[sample(0, "r", 0..7, 0)], &[]), None, "silence isn't told here");
    }

    #[test]
    fn other_ids_other_times_and_other_partitions_are_told_apart() {
        let other =
            trouble(&[sample(0, "r", 0..12, 0)], &[sample(0, "shadow-", 0..12, 0)]).unwrap();
        assert_eq!(other.kind, Kind::OtherIds);
        assert!(other.text.contains("r0, r1, r2 / shadow-0, shadow-1, shadow-2"), "{}", other.text);
        assert!(other.text.ends_with("all of v8 begin with `shadow-`"), "{}", other.text);
        let apart = trouble(&[sample(0, "r", 0..7, 0)], &[sample(0, "r", 0..7, 6)]).unwrap();
        assert_eq!(apart.kind, Kind::TimesApart);
        assert!(
            apart.text.contains("7 carry") && apart.text.contains("6 s later"),
            "{}",
            apart.text
        );
        assert!(apart.cure.contains("skew: 7s"), "{}", apart.cure);
        let lies = trouble(&[sample(0, "r", 0..7, 0)], &[sample(1, "r", 0..7, 0)]).unwrap();
        assert_eq!(lies.kind, Kind::PartitionsApart);
    }

    #[test]
    fn what_the_primary_does_not_know_was_not_seen_by_both() {
        let mut candidate = sample(0, "r", 0..7, 6);
        candidate.extend(sample(0, "x/", 1..3, 0));
        let apart = trouble(&[sample(0, "r", 0..7, 0)], &[candidate]).unwrap();
        assert!(apart.text.starts_with("of 7 sampled requests that both arms saw, 7 carry"));
    }

    #[test]
    fn a_full_sample_says_nothing_of_higher_hashes() {
        let full = SAMPLE_MAX as u64;
        let primary = sample(0, "r", 0..full, 0);
        // Of the candidate fewer were sampled, with higher hashes.
        let candidate = sample(0, "r", 100..100 + full, -100);
        assert_eq!(trouble(&[primary], &[candidate]), None);
    }

    /// Returns what a flush samples of ids like these.
    fn lowest(prefix: &str, count: i64) -> Vec<(u32, SampledId)> {
        let id = |n: i64| {
            let id = format!("{prefix}{n}");
            let hash = short(hash_of(&id));
            (0, SampledId { hash, time: EventTime::from_us(n * 100_000), id })
        };
        let mut all: Vec<_> = (0..count).map(id).collect();
        all.sort_by_key(|(_, one)| one.hash);
        all.truncate(SAMPLE_MAX);
        all
    }

    #[test]
    fn other_ids_are_told_from_one_sample_of_each() {
        for prefix in ["shadow-", "R", "x/", "req_"] {
            let told = trouble(&[lowest("r", 300)], &[lowest(prefix, 300)]);
            assert_eq!(told.map(|told| told.kind), Some(Kind::OtherIds), "{prefix}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut pairing = Pairing::default();
        for begin in 0..2_000 {
            pairing.take(0, &sample(0, "r", begin * 5..begin * 5 + 5, 0));
        }
        let Sampled { by_hash, order, whole_below, .. } = &pairing.arms[0];
        assert_eq!((by_hash.len(), order.len()), (IDS_MAX, IDS_MAX));
        assert!(whole_below.len() <= IDS_MAX);
    }
}
