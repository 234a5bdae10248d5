//! Which model version a candidate's rollout is about.
//!
//! In: the versions that a look's answers name. Out: whether another rollout begins. Holds: a version that wasn't
//! on trial before begins one at once; one that was begins another only when it alone has answered for a minute, so
//! that stragglers of an old version begin none; the version on trial is never forgotten. Where more versions answer
//! than can be tried one by one, all of them are one rollout, so that a candidate that names itself anew every few
//! seconds isn't excused each time. Knows nothing of: evidence.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::decide;
use crate::diagnose::{Kind, Trouble};
use crate::model::entry::VERSIONS_MAX;
use crate::model::tally::OTHER;
use crate::model::time::{EventTime, Span};

/// Versions that were on trial and are remembered.
const PAST_MAX: usize = 64;
/// A version that was on trial before is on trial again after it alone has answered for so long.
const ALONE: Span = Span::from_secs(60);
/// If more than `VERSIONS_MAX` versions of few answers are seen within this span, they aren't told apart.
const LATELY: Span = Span::from_secs(600);
/// They are again when no more than this answer within it.
const FEW: usize = VERSIONS_MAX / 2;
/// Whoever has given so many answers meanwhile can be tried by itself: half as much again as a usual limit is shown by
/// about as many.
const ENOUGH: u64 = 5000;
/// A version that wasn't on trial before is once it gives one of so many answers of a minute: one probe that names itself
/// otherwise mustn't take the trial from whoever answers all others.
const PART: u64 = 50;
/// Half of the span of which answers are counted.
const HALF: Span = Span::from_secs(30);
/// A rolling change takes so long: then it is told that others answer beside the version on trial.
const ROLLING: Span = Span::from_secs(180);
/// Versions that answered lately and are remembered.
const ANSWERED_MAX: usize = 64;
/// So many of them are named, and so many characters of each.
const NAMED: usize = 3;
const NAME_MAX: usize = 48;

/// The model version on trial, on one basis.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Versions {
    current: decide::Rollout,
    last_seen: Option<EventTime>,
    /// In the order in which they went.
    past: VecDeque<String>,
    /// Those that answered lately, with when they did last and how often; `OTHER` stands for those beyond a bounded table.
    answered: BTreeMap<String, (EventTime, u64)>,
    /// They aren't told apart: the rollout is all of theirs.
    together: bool,
    /// Answers by version in this half of a minute and the one before.
    lately: [BTreeMap<String, u64>; 2],
    /// When this half began.
    half: Option<EventTime>,
    /// Since when a good part of the answers names others than the version on trial.
    divided: Option<EventTime>,
}

/// What a look made of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// The same rollout goes on.
    None,
    /// The rollout that had no name has one.
    Named,
    /// Another rollout begins.
    Begins,
}

/// The version that most answers of a look name, of those that fit.
fn most<'v>(seen: &[(&'v str, u64)], fits: impl Fn(&str) -> bool) -> Option<&'v str> {
    let fitting = seen.iter().filter(|(version, _)| *version != OTHER && fits(version));
    fitting.max_by_key(|(version, count)| (*count, *version)).map(|(version, _)| *version)
}

impl Versions {
    /// The rollout on trial; of versions that aren't told apart it is called `OTHER`.
    pub(super) const fn current(&self) -> &decide::Rollout {
        &self.current
    }

    /// Returns whether versions aren't told apart.
    pub(super) const fn are_together(&self) -> bool {
        self.together
    }

    /// Takes the versions of a look that ends at `at`, with how many answers name them.
    pub(super) fn see<'v>(
        &mut self,
        at: EventTime,
        seen: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> Change {
        let is_named = |(version, count): &(&str, u64)| !version.is_empty() && *count != 0;
        let seen: Vec<(&str, u64)> = seen.into_iter().filter(is_named).collect();
        self.note(at, &seen);
        self.count(at, &seen);
        if self.together {
            return self.part(at, &seen);
        }
        if self.are_more_than(VERSIONS_MAX) {
            self.together = true;
            return self.begin(at, OTHER);
        }
        if self.current.version.is_empty() {
            return most(&seen, |_| true).map_or(Change::None, |version| self.begin(at, version));
        }
        let is_current = |version: &str| version == self.current.version;
        let is_past = |version: &str| self.past.iter().any(|past| past == version);
        let takes_part = |version: &str| self.of_lately(version) * PART >= self.all_lately();
        let is_fresh = |version: &str| !is_current(version) && !is_past(version);
        let next = match most(&seen, |version| is_fresh(version) && takes_part(version)) {
            Some(fresh) => Some(fresh),
            // One that is still too rare keeps nobody from being on trial.
            None if most(&seen, is_current).is_some() || most(&seen, is_fresh).is_some() => {
                self.last_seen = Some(at);
                None
            }
            None => most(&seen, |_| true)
                .filter(|_| self.last_seen.is_none_or(|last| ALONE <= at.since(last))),
        };
        next.map_or(Change::None, |next| self.begin(at, next))
    }

    /// Counts the answers of the last minute.
    fn count(&mut self, at: EventTime, seen: &[(&str, u64)]) {
        let half = *self.half.get_or_insert(at);
        if HALF <= at.since(half) {
            let [now, before] = &mut self.lately;
            *before = std::mem::take(now);
            self.half = Some(at);
        }
        let now = &mut self.lately[0];
        for (version, answers) in seen {
            // Bounded as a pane's versions are.
            if now.contains_key(*version) || now.len() < ANSWERED_MAX {
                *now.entry((*version).to_owned()).or_default() += *answers;
            }
        }
        let (ours, all) = (self.of_lately(&self.current.version), self.all_lately());
        let is_divided = !self.together && ours * 4 < all * 3;
        self.divided = is_divided.then(|| self.divided.unwrap_or(at));
    }

    fn of_lately(&self, version: &str) -> u64 {
        self.lately.iter().filter_map(|half| half.get(version)).sum()
    }

    fn all_lately(&self) -> u64 {
        self.lately.iter().flat_map(BTreeMap::values).sum()
    }

    /// Returns whether nearly all answers that named a version lately named the one on trial.
    pub(super) fn is_alone(&self) -> bool {
        self.together || self.all_lately() * 19 <= self.of_lately(&self.current.version) * 20
    }

    /// Returns what people are told where others answer beside the version on trial for longer than a rolling change
    /// takes: whatever these do is in nobody's evidence.
    pub(super) fn division(&self, at: EventTime) -> Option<Trouble> {
        let since = self.divided.filter(|since| ROLLING <= at.since(*since))?;
        let current = &self.current.version;
        let others = self.lately.iter().flat_map(BTreeMap::keys).filter(|name| *name != current);
        let others: std::collections::BTreeSet<String> =
            others.map(|name| name.chars().take(NAME_MAX).collect()).collect();
        let names: Vec<String> = others.into_iter().take(NAMED).collect();
        let (ours, all) = (self.of_lately(current), self.all_lately());
        Some(Trouble {
            kind: Kind::OtherVersions,
            text: format!(
                "{} of {all} answers of the candidate within the last minute name another model version than `{current}`, \
                 which is on trial, such as {}, and have for {} min: what they do isn't weighed",
                all - ours,
                names.join(", "),
                at.since(since).us() / 60_000_000
            ),
            cure: "let one version at a time answer as this candidate, or give each a candidate of its own; where these are \
                   builds or pods of one model, map a field that names the model"
                .to_owned(),
        })
    }

    /// Returns whether more than so many answered lately, each too rarely to be tried by itself.
    fn are_more_than(&self, most: usize) -> bool {
        let rare = self.answered.values().filter(|(_, answers)| *answers < ENOUGH).count();
        self.answered.contains_key(OTHER) || most < rare
    }

    /// Returns what people are told while versions aren't told apart.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let names = || self.answered.keys().filter(|version| *version != OTHER);
        let is_more = self.answered.contains_key(OTHER) || ANSWERED_MAX <= self.answered.len();
        let count = match (names().count(), is_more) {
            (count, false) => count.to_string(),
            (count, true) => format!("at least {}", count.max(VERSIONS_MAX)),
        };
        let cut = |name: &String| name.chars().take(NAME_MAX).collect::<String>();
        let such_as: Vec<String> = names().take(NAMED).map(cut).collect();
        let such_as = match such_as.as_slice() {
            [] => String::new(),
            names => format!(", such as {}", names.join(", ")),
        };
        self.together.then(|| Trouble {
            kind: Kind::ManyVersions,
            text: format!(
                "{count} model versions of the candidate answered within {LATELY}{such_as}: none can be tried \
                 by itself, and rules weigh all of them together"
            ),
            cure: "map a field that names the model as `model_version`, not its build, pod or request; versions are \
                   told apart again once no more than four of few answers are seen within ten minutes"
                .to_owned(),
        })
    }

    /// Remembers who answered lately.
    fn note(&mut self, at: EventTime, seen: &[(&str, u64)]) {
        self.answered.retain(|_, (last, _)| at.since(*last) < LATELY);
        for (version, answers) in seen {
            if let Some((last, so_far)) = self.answered.get_mut(*version) {
                *last = at;
                *so_far = so_far.saturating_add(*answers);
                continue;
            }
            if self.answered.len() == ANSWERED_MAX {
                let last = |(version, (last, _)): &(&String, &(EventTime, u64))| {
                    (version.as_str() == OTHER, *last, (*version).clone())
                };
                let longest_ago = self.answered.iter().min_by_key(last);
                let longest_ago = longest_ago.map(|(version, _)| version.clone());
                self.answered.retain(|version, _| Some(version) != longest_ago.as_ref());
            }
            self.answered.insert((*version).to_owned(), (at, *answers));
        }
    }

    /// Tells versions apart again, once few of them answer.
    fn part(&mut self, at: EventTime, seen: &[(&str, u64)]) -> Change {
        if self.are_more_than(FEW) {
            return Change::None;
        }
        let Some(next) = most(seen, |_| true) else { return Change::None };
        self.together = false;
        // The others were on trial with it: they begin nothing by going on.
        let others = self.answered.keys().filter(|version| *version != next);
        let others: Vec<String> = others.cloned().collect();
        others.into_iter().for_each(|version| self.pass(version));
        self.begin(at, next)
    }

    /// A rollout that had no name gets one, or another begins.
    fn begin(&mut self, at: EventTime, version: &str) -> Change {
        self.last_seen = Some(at);
        if self.current.version.is_empty() {
            version.clone_into(&mut self.current.version);
            return Change::Named;
        }
        // Who gives way to one that comes back may come back itself at once: it isn't a straggler.
        let is_way_back = self.past.iter().any(|past| past == version);
        self.past.retain(|past| past != version);
        let number = self.current.number.saturating_add(1);
        let next = decide::Rollout { number, version: version.to_owned() };
        let before = std::mem::replace(&mut self.current, next).version;
        if !is_way_back && before != OTHER {
            self.pass(before);
        }
        Change::Begins
    }

    fn pass(&mut self, version: String) {
        self.past.retain(|past| *past != version);
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(versions: &mut Versions, second: i64, seen: &[(&str, u64)]) -> Change {
        versions.see(EventTime::from_us(second * 1_000_000), seen.iter().copied())
    }

    #[test]
    fn a_new_version_begins_a_rollout_and_stragglers_none() {
        let mut versions = Versions::default();
        assert_eq!(see(&mut versions, 0, &[("", 9)]), Change::None);
        assert_eq!(see(&mut versions, 1, &[("", 9), ("v8", 1)]), Change::Named);
        assert_eq!(see(&mut versions, 2, &[("v8", 9), ("v9", 1)]), Change::Begins);
        assert_eq!((versions.current.number, versions.current.version.as_str()), (1, "v9"));
        for second in 3..40 {
            assert_eq!(see(&mut versions, second, &[("v8", 9), ("v9", 1)]), Change::None);
        }
        assert_eq!(versions.current.version, "v9");
    }

    #[test]
    fn a_way_back_is_a_rollout_of_its_own() {
        let mut versions = Versions::default();
        see(&mut versions, 0, &[("a", 1)]);
        see(&mut versions, 1, &[("b", 1)]);
        assert_eq!(see(&mut versions, 60, &[("a", 1)]), Change::None, "it may be a straggler");
        assert_eq!(see(&mut versions, 61, &[("a", 1)]), Change::Begins);
        assert_eq!((versions.current.number, versions.current.version.as_str()), (2, "a"));
        assert_eq!(see(&mut versions, 130, &[("b", 1)]), Change::Begins);
        assert_eq!(versions.current.number, 3);
    }

    #[test]
    fn the_current_one_is_never_forgotten() {
        let mut versions = Versions::default();
        for number in 0..200 {
            see(&mut versions, number * 120, &[(&format!("v{number}"), 1)]);
        }
        assert_eq!(versions.past.len(), PAST_MAX);
        assert_eq!(versions.current.version, "v199");
        assert_eq!(see(&mut versions, 200 * 120, &[("v199", 1)]), Change::None);
    }

    #[test]
    fn versions_that_change_all_the_time_are_one_rollout_until_they_do_no_more() {
        let mut versions = Versions::default();
        let mut begun = 0;
        for second in 0..400 {
            let build = format!("build-{:03}", second / 4);
            begun += u32::from(see(&mut versions, second, &[(&build, 5)]) == Change::Begins);
            assert_eq!(versions.are_together(), versions.trouble().is_some());
        }
        assert_eq!(begun, 8, "seven versions after the first, and then all together");
        assert_eq!((versions.current.number, versions.current.version.as_str()), (8, OTHER));
        assert_eq!(versions.answered.len(), ANSWERED_MAX);
        let trouble = versions.trouble().unwrap();
        assert!(
            trouble.text.starts_with(
                "at least 64 model versions of the candidate answered within 10m, such as build-036, build-037, \
                 build-038:"
            ),
            "{}",
            trouble.text
        );
        let mut change = Change::None;
        for second in 400..1100 {
            let of_the_last = if second % 2 == 0 { "build-098" } else { "build-099" };
            let seen = see(&mut versions, second, &[(of_the_last, 5)]);
            change = if seen == Change::None { change } else { seen };
        }
        assert_eq!((change, versions.trouble()), (Change::Begins, None));
        assert_eq!(versions.current.number, 9, "and only one of them begins a rollout");
        let last = versions.current.version.clone();
        assert_eq!(see(&mut versions, 1100, &[(&last, 5)]), Change::None);
        let begins =
            (1101..1110).find(|second| see(&mut versions, *second, &[("v9", 5)]) == Change::Begins);
        assert!(begins.is_some_and(|second| second <= 1102), "it is a new one");
    }

    #[test]
    fn a_version_that_answers_once_in_a_while_takes_no_trial_and_a_lasting_division_is_told() {
        let mut versions = Versions::default();
        for second in 0..600 {
            let probe = u64::from(second % 30 == 0);
            see(&mut versions, second, &[("v8", 50), ("probe", probe)]);
            assert_eq!(versions.current.version, "v8");
            assert!(versions.is_alone());
        }
        assert_eq!(versions.division(EventTime::from_us(600_000_000)), None);
        // A rolling change that stops half way.
        let mut told = None;
        for second in 600..1200 {
            see(&mut versions, second, &[("v8", 25), ("v9", 25)]);
            let at = EventTime::from_us(second * 1_000_000);
            told = told.or_else(|| versions.division(at).map(|trouble| (second, trouble.text)));
        }
        assert_eq!(versions.current.version, "v9");
        let (second, text) = told.expect("it is told");
        assert!((780..=820).contains(&second), "{second}");
        assert!(text.contains("another model version than `v9`") && text.contains("v8"), "{text}");
        assert!(!versions.is_alone());
    }

    #[test]
    fn versions_of_many_answers_are_tried_by_themselves_however_short_they_last() {
        let mut versions = Versions::default();
        for second in 0..400 {
            let release = format!("v{:03}", second / 4);
            see(&mut versions, second, &[(&release, ENOUGH)]);
            // A fiftieth of a minute's answers is a second of them, or two.
            let is_tried = versions.current.version == release || second % 4 == 0;
            assert!(is_tried && !versions.are_together(), "{second}: {}", versions.current.version);
        }
        assert_eq!(versions.current.number, 99);
    }

    #[test]
    fn versions_beyond_the_bounded_table_are_on_trial_where_nothing_else_is() {
        let mut versions = Versions::default();
        assert_eq!(see(&mut versions, 0, &[(OTHER, 9)]), Change::Named);
        assert!(versions.are_together());
        assert_eq!(versions.current.version, OTHER);
        assert_eq!(see(&mut versions, 1, &[("v8", 9), (OTHER, 1)]), Change::None);
        assert!(versions.trouble().unwrap().text.starts_with("at least 8 model versions"));
        for second in 2..600 {
            assert_eq!(see(&mut versions, second, &[("v8", 9)]), Change::None);
        }
        assert_eq!(see(&mut versions, 601, &[("v8", 9)]), Change::Begins);
        assert_eq!(versions.current.version, "v8");
        assert_eq!(versions.past, VecDeque::<String>::new());
    }
}
