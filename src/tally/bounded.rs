//! Sets of names that can't grow without bound.
//!
//! In: names with their counts. Out: those that keep their name. Holds: declared names are exact;
//! undeclared ones are ranked by count, ties by name. Knows nothing of: what the names mean, arms.

use std::collections::BTreeMap;

use crate::model::spec::BoundedSet;
use crate::model::tally::OTHER;

/// Names met in a pane, by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    pub(super) fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }

    pub(super) const fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or(OTHER, String::as_str)
    }

    /// Each name with its count, which stands at its number.
    pub(super) fn ranked(&self, ranks: &[u64]) -> impl Iterator<Item = (&str, u64)> {
        self.names.iter().map(String::as_str).zip(ranks.iter().copied())
    }

    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.names.clear();
    }

    /// By number the name to use, and whether an undeclared one had to give way.
    pub(super) fn bound(&self, set: &BoundedSet, ranks: &[u64]) -> (Vec<String>, bool) {
        let (kept, cut) = kept(set, self.ranked(ranks));
        let name =
            |name: &String| if kept.contains(name) { name.clone() } else { OTHER.to_owned() };
        (self.names.iter().map(name).collect(), cut)
    }
}

/// The names that keep their name, and whether an undeclared one had to give way.
pub(super) fn kept<'n>(
    set: &BoundedSet,
    ranked: impl Iterator<Item = (&'n str, u64)>,
) -> (Vec<String>, bool) {
    if !set.declared.is_empty() {
        return (set.declared.clone(), false);
    }
    let ranked: Vec<_> = ranked.collect();
    let cut = set.max < ranked.len();
    (most(ranked.into_iter(), set.max), cut)
}

/// The names with the highest counts, ties by name.
pub(super) fn most<'n>(ranked: impl Iterator<Item = (&'n str, u64)>, max: usize) -> Vec<String> {
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    ranked.into_iter().take(max).map(|(name, _)| name.to_owned()).collect()
}
