//! Which model version a candidate's rollout is about.
//!
//! In: the versions that a look's answers name. Out: whether another rollout begins. Holds: a version that wasn't
//! on trial before begins one at once; one that was begins another only when it alone has answered for a minute, so
//! that stragglers of an old version begin none; the version on trial is never forgotten. Knows nothing of:
//! evidence.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::decide;
use crate::model::tally::OTHER;
use crate::model::time::{EventTime, Span};

/// Versions that were on trial and are remembered.
const PAST_MAX: usize = 64;
/// A version that was on trial before is on trial again after it alone has answered for so long.
const ALONE: Span = Span::from_secs(60);

/// The model version on trial, on one basis.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Versions {
    current: decide::Rollout,
    last_seen: Option<EventTime>,
    /// In the order in which they went.
    past: VecDeque<String>,
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

impl Versions {
    /// The rollout on trial.
    pub(super) const fn current(&self) -> &decide::Rollout {
        &self.current
    }

    /// Takes the versions of a look that ends at `at`, with how many answers name them.
    pub(super) fn see<'v>(
        &mut self,
        at: EventTime,
        seen: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> Change {
        let seen: Vec<(&str, u64)> = seen
            .into_iter()
            .filter(|(version, count)| !version.is_empty() && *version != OTHER && *count != 0)
            .collect();
        let most = |of: &dyn Fn(&str) -> bool| {
            let fits = seen.iter().filter(|(version, _)| of(version));
            fits.max_by_key(|(version, count)| (*count, *version)).map(|(version, _)| *version)
        };
        if self.current.version.is_empty() {
            let Some(version) = most(&|_| true) else { return Change::None };
            version.clone_into(&mut self.current.version);
            self.last_seen = Some(at);
            return Change::Named;
        }
        let is_current = |version: &str| version == self.current.version;
        let is_past = |version: &str| self.past.iter().any(|past| past == version);
        let next = match most(&|version| !is_current(version) && !is_past(version)) {
            Some(fresh) => Some(fresh),
            None if most(&is_current).is_some() => {
                self.last_seen = Some(at);
                None
            }
            None => most(&|_| true)
                .filter(|_| self.last_seen.is_none_or(|last| ALONE <= at.since(last))),
        };
        let Some(next) = next.map(str::to_owned) else { return Change::None };
        // Who gives way to one that comes back may come back itself at once: it isn't a straggler.
        let is_way_back = self.past.contains(&next);
        self.past.retain(|past| *past != next);
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        let number = self.current.number.saturating_add(1);
        let before =
            std::mem::replace(&mut self.current, decide::Rollout { number, version: next });
        if !is_way_back {
            self.past.push_back(before.version);
        }
        self.last_seen = Some(at);
        Change::Begins
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
            see(&mut versions, number, &[(&format!("v{number}"), 1)]);
        }
        assert_eq!(versions.past.len(), PAST_MAX);
        assert_eq!(versions.current.version, "v199");
        assert_eq!(see(&mut versions, 201, &[("v199", 1)]), Change::None);
    }
}
