//! The model versions of one pane, told apart up to a maximum.
//!
//! In: version words of candidates' answers. Out: a place for each, and the name of a place. Holds: the
//! empty word has a place of its own; when more names come than are told apart, those met most keep
//! their name in a second count, ties by name, so what is kept doesn't depend on the order. Knows
//! nothing of: what is counted.

use hashbrown::HashMap;

use super::bounded::{Names, most};
use super::records::Word;
use crate::model::entry::VERSIONS_MAX;
use crate::model::tally::OTHER;

/// Places there are: no version, each that is told apart, and all others.
pub(super) const PLACES: usize = VERSIONS_MAX + 2;
/// Where answers stand whose record names no version.
pub(super) const NO_VERSION: usize = 0;
const OTHERS: usize = PLACES - 1;

/// Versions met in a pane.
#[derive(Debug, Default)]
pub(super) struct Versions {
    names: Names,
    counts: Vec<u64>,
    /// Number of a word's name, by (pane of slice, number).
    by_word: HashMap<(u32, u32), u32>,
    /// The word met last, and the number of its name: mostly the next one is the same.
    last: Option<(u32, u32, u32)>,
    /// What an earlier count of the same pane found to be kept.
    kept: Option<Vec<String>>,
}

impl Versions {
    /// The place of a candidate's answer, which is counted.
    pub(super) fn place(&mut self, word: Word<'_>) -> usize {
        if word.number == 0 {
            return NO_VERSION;
        }
        let number = match self.last {
            Some((pane, number, name)) if (pane, number) == (word.pane, word.number) => name,
            _ => self.look_up(word),
        };
        self.counts[number as usize] += 1;
        self.place_of(number as usize)
    }

    fn look_up(&mut self, word: Word<'_>) -> u32 {
        let (names, counts) = (&mut self.names, &mut self.counts);
        let known = self.by_word.entry((word.pane, word.number));
        let name = *known.or_insert_with(|| names.intern(word.text));
        counts.resize(names.len(), 0);
        self.last = Some((word.pane, word.number, name));
        name
    }

    fn place_of(&self, number: usize) -> usize {
        match &self.kept {
            None => (number + 1).min(OTHERS),
            Some(kept) => {
                let name = self.names.name(number);
                kept.iter().position(|other| other == name).map_or(OTHERS, |at| at + 1)
            }
        }
    }

    /// The name of a place.
    pub(super) fn name(&self, place: usize) -> &str {
        match (place.checked_sub(1), &self.kept) {
            (None, _) => "",
            (Some(_), _) if place == OTHERS => OTHER,
            (Some(at), None) => self.names.name(at),
            (Some(at), Some(kept)) => kept.get(at).map_or(OTHER, String::as_str),
        }
    }

    /// Returns whether some stand under `OTHER` only because they were met late: then the pane is counted again
    /// from its beginning, and those met most keep their name.
    pub(super) fn choose(&mut self) -> bool {
        if self.kept.is_some() || self.names.len() <= VERSIONS_MAX {
            return false;
        }
        let kept = most(self.names.ranked(&self.counts), VERSIONS_MAX);
        self.clear();
        self.kept = Some(kept);
        true
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.counts.clear();
        self.by_word.clear();
        self.last = None;
        self.kept = None;
    }
}
