//! Counts what became of the requests of one pane.
//!
//! In: pairs, unmatched primaries and orphans as views of kept observations. Out: tallies by the
//! candidate's model version and segment, requests to look at. Holds: a candidate's answer counts under
//! its primary's segments; bounded sets keep the names that both arms together have most, over all
//! versions, ties by name: a set chosen by one arm's counts would make equal arms differ. Knows nothing
//! of: time, the join, rules.
//!
//! # Place in a record's life
//!
//! The last step of a task: what [`crate::join`] and [`crate::compare`] found becomes integers and histograms, which a
//! checkpoint writes into the log. [`crate::engine::evaluator`] merges them over all tasks.
//!
//! # Why nothing here is a rate
//!
//! Rates can't be merged; counts can, in any order, exactly. So a window of an hour is the sum of its panes, a
//! pane is the sum over its partitions, and every rate that somebody reads is made last, from a numerator and a
//! denominator that stand beside it.

mod bounded;
pub mod records;
mod slot;
mod versions;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hashbrown::HashMap;

use crate::model::cluster::{ClusterKey, ClusterSize};
use crate::model::entry::{EXAMPLES_MAX, Examples, offer_lowest, offer_slowest};
use crate::model::observation::DIMENSIONS_MAX;
use crate::model::spec::{BoundedSet, Dimension, PipelineSpec};
use crate::model::tally::{OTHER, Segment, Tally};
use bounded::Names;
use records::{View, Word};
use slot::{Category, Half, Slot};
use versions::{NO_VERSION, PLACES, Versions};

/// Counts one pane of one comparison; memory is reused from pane to pane.
#[derive(Debug)]
pub struct PaneTally {
    dimensions: Vec<Dimension>,
    labels: BoundedSet,
    edges: Vec<f64>,
    slots: Vec<Slot>,
    used: usize,
    versions: Versions,
    /// By place of the version and number of the segment the slot; `NO_SLOT` where there is none yet.
    places: [Vec<usize>; PLACES],
    /// Segments by number; the first is everything.
    segments: Vec<Segment>,
    /// Number of a dimension's value, by name.
    by_name: Vec<BTreeMap<String, usize>>,
    /// Number of a word of a dimension, by (arm, dimension, pane of slice, number).
    by_word: HashMap<(bool, u8, u32, u32), usize>,
    classes: Names,
    class_of_word: HashMap<(bool, u32, u32), u32>,
    examples: Examples,
    /// Keys of what is counted, by arm: no more than the pane has records.
    clusters: [Vec<ClusterKey>; 2],
}

/// Segments of one observation by number, everything first.
type Segments = [usize; DIMENSIONS_MAX + 1];

/// The result of a pane.
#[derive(Debug, Default)]
pub struct Counted {
    /// By model version, then by segment.
    pub tallies: BTreeMap<String, BTreeMap<Segment, Tally>>,
    /// Requests to look at.
    pub examples: Examples,
    /// How large the clusters of each arm are, the primary's first.
    pub clusters: [ClusterSize; 2],
    /// Some names had to stand under `__other__` although nothing was declared.
    pub partial: bool,
}

/// The value that stands for "the record doesn't say".
pub const NONE: &str = "__none__";

const NO_SLOT: usize = usize::MAX;

impl PaneTally {
    /// An empty pane of the pipeline.
    #[must_use]
    pub fn new(spec: &PipelineSpec) -> Self {
        Self::of(spec.dimensions.clone(), spec.labels.clone(), spec.score_edges.clone())
    }

    fn of(dimensions: Vec<Dimension>, labels: BoundedSet, edges: Vec<f64>) -> Self {
        Self {
            by_name: vec![BTreeMap::new(); dimensions.len()],
            dimensions,
            labels,
            edges,
            slots: Vec::new(),
            used: 0,
            versions: Versions::default(),
            places: Default::default(),
            segments: vec![Segment::all()],
            by_word: HashMap::new(),
            classes: Names::default(),
            class_of_word: HashMap::new(),
            examples: Examples::default(),
            clusters: Default::default(),
        }
    }

    /// Counts a pair; `agrees` is `None` where the two can't be compared.
    pub fn add_pair(&mut self, primary: View<'_>, candidate: View<'_>, agrees: Option<bool>) {
        let halves = (self.half(true, primary), self.half(false, candidate));
        self.clusters[0].extend(primary.cluster());
        self.clusters[1].extend(candidate.cluster());
        let (ours, theirs) = (halves.0.failed, halves.1.failed);
        self.illustrate(candidate, agrees);
        let (from, to) = (halves.0.category, halves.1.category);
        let differs = !ours && !theirs && from != to;
        let is_flip = agrees == Some(false) && from.is_class() && to.is_class();
        let version = self.versions.place(candidate.version_word());
        self.each_slot(version, true, primary, |slot, bins| {
            slot.primary.add(halves.0, bins);
            slot.candidate.add(halves.1, bins);
            slot.counts.paired += 1;
            slot.counts.candidate_only_failed += u64::from(theirs && !ours);
            slot.counts.primary_only_failed += u64::from(ours && !theirs);
            slot.counts.both_failed += u64::from(ours && theirs);
            slot.counts.comparable += u64::from(agrees.is_some());
            slot.counts.matched += u64::from(agrees == Some(true));
            if is_flip {
                *slot.flips.entry((from, to)).or_default() += 1;
            } else if differs {
                *slot.moves.entry((from, to)).or_default() += 1;
            }
        });
    }

    /// Counts a primary without the candidate's answer.
    pub fn add_unmatched(&mut self, primary: View<'_>, unreadable: bool) {
        let half = self.half(true, primary);
        self.clusters[0].extend(primary.cluster());
        offer_lowest(&mut self.examples.unmatched, primary.hash(), primary.request_id());
        self.each_slot(NO_VERSION, true, primary, |slot, bins| {
            slot.primary.add(half, bins);
            slot.counts.unmatched_missing += u64::from(!unreadable);
            slot.counts.unmatched_unreadable += u64::from(unreadable);
        });
    }

    /// Counts a candidate's answer without primary.
    pub fn add_orphan(&mut self, candidate: View<'_>) {
        let half = self.half(false, candidate);
        self.clusters[1].extend(candidate.cluster());
        self.illustrate(candidate, None);
        let version = self.versions.place(candidate.version_word());
        self.each_slot(version, false, candidate, |slot, bins| {
            slot.candidate.add(half, bins);
            slot.counts.orphans += 1;
        });
    }

    /// Returns whether more model versions came than are told apart: everything counted is dropped, and the same
    /// requests are to be counted again. That happens once at most.
    pub fn must_recount(&mut self) -> bool {
        let must = self.versions.choose();
        if must {
            self.slots.iter_mut().take(self.used).for_each(Slot::clear);
            self.examples = Examples::default();
            self.clusters.iter_mut().for_each(Vec::clear);
            self.forget();
        }
        must
    }

    /// Takes the result out and is empty again.
    pub fn finish(&mut self) -> Counted {
        let mut counted = Counted::default();
        if self.used != 0 {
            let (names, cut) = self.classes.bound(&self.labels, &self.ranks_of_classes());
            counted.partial |= cut;
            let segments = self.bounded_segments(&mut counted.partial);
            for (place, slots) in self.places.iter().enumerate() {
                let slots = slots.iter().zip(&segments).filter(|(slot, _)| **slot != NO_SLOT);
                for (slot, segment) in slots {
                    let tally = self.slots[*slot].take(&names);
                    let version = self.versions.name(place);
                    if !counted.tallies.contains_key(version) {
                        counted.tallies.insert(version.to_owned(), BTreeMap::new());
                    }
                    let Some(tallies) = counted.tallies.get_mut(version) else { continue };
                    match tallies.entry(segment.clone()) {
                        Entry::Vacant(entry) => _ = entry.insert(tally),
                        Entry::Occupied(mut entry) => entry.get_mut().merge(&tally),
                    }
                }
            }
        }
        counted.examples = std::mem::take(&mut self.examples);
        for (size, keys) in counted.clusters.iter_mut().zip(&mut self.clusters) {
            *size = ClusterSize::of(keys);
            keys.clear();
        }
        self.forget();
        self.versions.clear();
        counted
    }

    /// Slots, words and names are met anew; what was chosen of the versions stays.
    fn forget(&mut self) {
        self.used = 0;
        self.places.iter_mut().for_each(Vec::clear);
        self.segments.truncate(1);
        self.by_name.iter_mut().for_each(BTreeMap::clear);
        self.by_word.clear();
        self.classes.clear();
        self.class_of_word.clear();
    }

    /// The slots of a segment, one for each version that has any.
    fn slots_of(&self, segment: usize) -> impl Iterator<Item = &Slot> {
        let slots = self.places.iter().filter_map(move |places| places.get(segment));
        slots.filter_map(|slot| self.slots.get(*slot))
    }

    /// By class how often both arms answered with it.
    fn ranks_of_classes(&self) -> Vec<u64> {
        let mut ranks = vec![0; self.classes.len()];
        for arm in self.slots_of(0).flat_map(|slot| [&slot.primary, &slot.candidate]) {
            for (rank, count) in ranks.iter_mut().zip(&arm.labels) {
                *rank += count;
            }
        }
        ranks
    }

    /// By number the segment under which it stands.
    fn bounded_segments(&self, partial: &mut bool) -> Vec<Segment> {
        let mut segments = self.segments.clone();
        for (dimension, values) in self.dimensions.iter().zip(&self.by_name) {
            let requests = |segment: usize| {
                self.slots_of(segment).map(|s| s.primary.requests + s.candidate.requests).sum()
            };
            let ranked = values.iter().filter(|(value, _)| value.as_str() != NONE);
            let ranked = ranked.map(|(value, &segment)| (value.as_str(), requests(segment)));
            let (kept, cut) = bounded::kept(&dimension.values, ranked);
            *partial |= cut;
            for (value, &segment) in values {
                if value != NONE && !kept.contains(value) {
                    OTHER.clone_into(&mut segments[segment].value);
                }
            }
        }
        segments
    }

    fn illustrate(&mut self, candidate: View<'_>, agrees: Option<bool>) {
        let (hash, id) = (candidate.hash(), candidate.request_id());
        if candidate.failed() {
            offer_lowest(&mut self.examples.failed, hash, id);
        } else if candidate.is_null() {
            offer_lowest(&mut self.examples.null, hash, id);
        } else if agrees == Some(false) {
            offer_lowest(&mut self.examples.mismatched, hash, id);
        }
        if let (false, Some(latency)) = (candidate.failed(), candidate.latency_us()) {
            offer_slowest(&mut self.examples.slowest, EXAMPLES_MAX, latency, id);
        }
    }

    fn half(&mut self, primary: bool, view: View<'_>) -> Half {
        let category = if let Some(label) = view.label() {
            let known = self.class_of_word.entry((primary, label.pane, label.number));
            Category::Class(*known.or_insert_with(|| self.classes.intern(label.text)))
        } else if let Some(number) = view.number() {
            Category::Bin(self.edges.partition_point(|edge| *edge <= number))
        } else {
            Category::Null
        };
        Half { failed: view.failed(), latency_us: view.latency_us(), category }
    }

    /// Runs `add` on the version's slot of everything and on that of each dimension's value, with the number of
    /// bins that the frozen edges make.
    fn each_slot(
        &mut self,
        version: usize,
        primary: bool,
        view: View<'_>,
        mut add: impl FnMut(&mut Slot, usize),
    ) {
        let mut at: Segments = [0; DIMENSIONS_MAX + 1];
        for (dimension, segment) in at.iter_mut().skip(1).take(self.dimensions.len()).enumerate() {
            *segment = self.segment_of(primary, dimension, view.segment(dimension));
        }
        for segment in at.iter().take(self.dimensions.len() + 1) {
            let slot = match self.places[version].get(*segment) {
                Some(&slot) if slot != NO_SLOT => slot,
                _ => self.take_slot(version, *segment),
            };
            add(&mut self.slots[slot], self.edges.len() + 1);
        }
    }

    fn segment_of(&mut self, primary: bool, dimension: usize, word: Word<'_>) -> usize {
        let key = (primary, u8::try_from(dimension).unwrap_or(u8::MAX), word.pane, word.number);
        if let Some(segment) = self.by_word.get(&key) {
            return *segment;
        }
        let value = if word.text.is_empty() { NONE } else { word.text };
        let segment = match self.by_name[dimension].get(value) {
            Some(segment) => *segment,
            None => {
                let name = self.dimensions[dimension].name.clone();
                self.segments.push(Segment { dimension: name, value: value.to_owned() });
                self.by_name[dimension].insert(value.to_owned(), self.segments.len() - 1);
                self.segments.len() - 1
            }
        };
        self.by_word.insert(key, segment);
        segment
    }

    fn take_slot(&mut self, version: usize, segment: usize) -> usize {
        if self.used == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let of_version = &mut self.places[version];
        if of_version.len() <= segment {
            of_version.resize(segment + 1, NO_SLOT);
        }
        of_version[segment] = self.used;
        self.used += 1;
        self.used - 1
    }
}

#[cfg(test)]
mod tests;
