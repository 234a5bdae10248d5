//! Counts what became of the requests of one pane.
//!
//! In: pairs, unmatched primaries and orphans as views of kept observations. Out: tallies by segment,
//! requests to look at. Holds: a candidate's answer counts under its primary's segments; bounded
//! sets keep the names the primary has most, ties by name. Knows nothing of: time, the join, rules.

mod bounded;
pub mod held;

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::entry::{EXAMPLES_MAX, Examples, offer_lowest, offer_slowest};
use crate::model::observation::DIMENSIONS_MAX;
use crate::model::spec::{BoundedSet, Dimension, PipelineSpec};
use crate::model::tally::{ArmTally, Segment, Tally};
use crate::stats::histogram::DenseHistogram;
use bounded::Names;
use held::{View, Word};

/// Counts one pane of one comparison; memory is reused from pane to pane.
#[derive(Debug)]
pub struct PaneTally {
    dimensions: Vec<Dimension>,
    labels: BoundedSet,
    edges: Vec<f64>,
    slots: Vec<Slot>,
    used: usize,
    /// Slot of a dimension's value, by name.
    by_name: Vec<BTreeMap<String, usize>>,
    /// Slot of a word of a dimension, by (arm, dimension, pane of slice, number).
    by_word: HashMap<(bool, u8, u32, u32), usize>,
    classes: Names,
    class_of_word: HashMap<(bool, u32, u32), u32>,
    examples: Examples,
}

#[derive(Debug, Default)]
struct Slot {
    segment: Segment,
    primary: DenseArm,
    candidate: DenseArm,
    counts: Tally,
    flips: HashMap<(u32, u32), u64>,
}

#[derive(Debug, Default)]
struct DenseArm {
    requests: u64,
    failed: u64,
    null: u64,
    latency: DenseHistogram<8>,
    labels: Vec<u64>,
    scores: Vec<u64>,
}

/// What a request adds to a slot.
#[derive(Clone, Copy)]
struct Half<'h> {
    view: View<'h>,
    class: Option<u32>,
}

/// The result of a pane.
#[derive(Debug, Default)]
pub struct Counted {
    /// By segment.
    pub tallies: BTreeMap<Segment, Tally>,
    /// Requests to look at.
    pub examples: Examples,
    /// Some names had to stand under `__other__` although nothing was declared.
    pub partial: bool,
}

/// The value that stands for "the record doesn't say".
pub const NONE: &str = "__none__";

impl PaneTally {
    /// An empty pane of the pipeline.
    #[must_use]
    pub fn new(spec: &PipelineSpec) -> Self {
        Self {
            dimensions: spec.dimensions.clone(),
            labels: spec.labels.clone(),
            edges: spec.score_edges.clone(),
            slots: Vec::new(),
            used: 0,
            by_name: vec![BTreeMap::new(); spec.dimensions.len()],
            by_word: HashMap::new(),
            classes: Names::default(),
            class_of_word: HashMap::new(),
            examples: Examples::default(),
        }
    }

    /// Counts a pair; `agrees` is `None` where the two can't be compared.
    pub fn add_pair(&mut self, primary: View<'_>, candidate: View<'_>, agrees: Option<bool>) {
        let halves = (self.half(true, primary), self.half(false, candidate));
        let (ours, theirs) = (primary.failed(), candidate.failed());
        self.illustrate(candidate, agrees);
        self.each_slot(true, primary, |slot, edges| {
            slot.primary.add(halves.0, edges);
            slot.candidate.add(halves.1, edges);
            slot.counts.paired += 1;
            slot.counts.candidate_only_failed += u64::from(theirs && !ours);
            slot.counts.primary_only_failed += u64::from(ours && !theirs);
            let Some(agrees) = agrees else { return };
            slot.counts.comparable += 1;
            slot.counts.matched += u64::from(agrees);
            if let (false, Some(from), Some(to)) = (agrees, halves.0.class, halves.1.class) {
                *slot.flips.entry((from, to)).or_default() += 1;
            }
        });
    }

    /// Counts a primary without the candidate's answer.
    pub fn add_unmatched(&mut self, primary: View<'_>, unreadable: bool) {
        let half = self.half(true, primary);
        offer_lowest(&mut self.examples.unmatched, primary.hash(), primary.request_id());
        self.each_slot(true, primary, |slot, edges| {
            slot.primary.add(half, edges);
            slot.counts.unmatched_missing += u64::from(!unreadable);
            slot.counts.unmatched_unreadable += u64::from(unreadable);
        });
    }

    /// Counts a candidate's answer without primary.
    pub fn add_orphan(&mut self, candidate: View<'_>) {
        let half = self.half(false, candidate);
        self.illustrate(candidate, None);
        self.each_slot(false, candidate, |slot, edges| {
            slot.candidate.add(half, edges);
            slot.counts.orphans += 1;
        });
    }

    /// Takes the result out and is empty again.
    pub fn finish(&mut self) -> Counted {
        let mut counted = Counted::default();
        if self.used != 0 {
            let ranks: Vec<u64> = (0..self.classes.len())
                .map(|class| self.slots[0].primary.labels.get(class).copied().unwrap_or(0))
                .collect();
            let (names, cut) = self.classes.bound(&self.labels, &ranks);
            counted.partial |= cut;
            let keep = self.bounded_values(&mut counted.partial);
            for slot in self.slots.iter_mut().take(self.used) {
                let tally = slot.take(&names);
                let mut segment = std::mem::take(&mut slot.segment);
                if let Some(kept) = keep.get(&segment.dimension)
                    && !kept.contains(&segment.value)
                {
                    crate::model::tally::OTHER.clone_into(&mut segment.value);
                }
                counted.tallies.entry(segment).or_default().merge(&tally);
            }
        }
        counted.examples = std::mem::take(&mut self.examples);
        self.used = 0;
        self.by_name.iter_mut().for_each(BTreeMap::clear);
        self.by_word.clear();
        self.classes.clear();
        self.class_of_word.clear();
        counted
    }

    /// By dimension the values that keep their name.
    fn bounded_values(&self, partial: &mut bool) -> BTreeMap<String, Vec<String>> {
        let mut keep = BTreeMap::new();
        for (dimension, values) in self.dimensions.iter().zip(&self.by_name) {
            let ranked = values.iter().filter(|(value, _)| value.as_str() != NONE);
            let ranked =
                ranked.map(|(value, &slot)| (value.as_str(), self.slots[slot].primary.requests));
            let (mut kept, cut) = bounded::kept(&dimension.values, ranked);
            *partial |= cut;
            kept.push(NONE.to_owned());
            keep.insert(dimension.name.clone(), kept);
        }
        keep
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

    fn half<'h>(&mut self, primary: bool, view: View<'h>) -> Half<'h> {
        let class = view.label().map(|label| {
            let known = self.class_of_word.entry((primary, label.pane, label.number));
            *known.or_insert_with(|| self.classes.intern(label.text))
        });
        Half { view, class }
    }

    /// Runs `add` on the slot of everything and on that of each dimension's value.
    fn each_slot(&mut self, primary: bool, view: View<'_>, mut add: impl FnMut(&mut Slot, &[f64])) {
        if self.used == 0 {
            self.take_slot(Segment::all());
        }
        let mut at = [0; DIMENSIONS_MAX + 1];
        for (dimension, slot) in at.iter_mut().skip(1).take(self.dimensions.len()).enumerate() {
            *slot = self.slot_of(primary, dimension, view.segment(dimension));
        }
        for slot in at.iter().take(self.dimensions.len() + 1) {
            add(&mut self.slots[*slot], &self.edges);
        }
    }

    fn slot_of(&mut self, primary: bool, dimension: usize, word: Word<'_>) -> usize {
        let key = (primary, u8::try_from(dimension).unwrap_or(u8::MAX), word.pane, word.number);
        if let Some(slot) = self.by_word.get(&key) {
            return *slot;
        }
        let value = if word.text.is_empty() { NONE } else { word.text };
        let slot = match self.by_name[dimension].get(value) {
            Some(slot) => *slot,
            None => {
                let name = self.dimensions[dimension].name.clone();
                let slot = self.take_slot(Segment { dimension: name, value: value.to_owned() });
                self.by_name[dimension].insert(value.to_owned(), slot);
                slot
            }
        };
        self.by_word.insert(key, slot);
        slot
    }

    fn take_slot(&mut self, segment: Segment) -> usize {
        if self.used == self.slots.len() {
            self.slots.push(Slot::default());
        }
        self.slots[self.used].segment = segment;
        self.used += 1;
        self.used - 1
    }
}

impl DenseArm {
    fn add(&mut self, half: Half<'_>, edges: &[f64]) {
        self.requests += 1;
        if half.view.failed() {
            self.failed += 1;
            return;
        }
        if let Some(latency) = half.view.latency_us() {
            self.latency.record(latency);
        }
        if let Some(class) = half.class {
            let class = class as usize;
            if self.labels.len() <= class {
                self.labels.resize(class + 1, 0);
            }
            self.labels[class] += 1;
        } else if let Some(number) = half.view.number() {
            self.scores.resize(edges.len() + 1, 0);
            self.scores[edges.partition_point(|edge| *edge <= number)] += 1;
        } else {
            self.null += 1;
        }
    }

    fn take(&mut self, names: &[String]) -> ArmTally {
        let mut labels = BTreeMap::new();
        for (name, count) in names.iter().zip(self.labels.drain(..)).filter(|(_, n)| *n != 0) {
            *labels.entry(name.clone()).or_default() += count;
        }
        let latency = self.latency.to_sparse();
        self.latency.clear();
        ArmTally {
            requests: std::mem::take(&mut self.requests),
            failed: std::mem::take(&mut self.failed),
            null: std::mem::take(&mut self.null),
            latency,
            labels,
            scores: std::mem::take(&mut self.scores),
        }
    }
}

impl Slot {
    fn take(&mut self, names: &[String]) -> Tally {
        let mut tally = std::mem::take(&mut self.counts);
        tally.primary = self.primary.take(names);
        tally.candidate = self.candidate.take(names);
        let name = |class: u32| names.get(class as usize).cloned().unwrap_or_default();
        let mut flips: Vec<_> = self.flips.drain().collect();
        flips.sort_unstable();
        for ((from, to), count) in flips {
            *tally.flips.entry((name(from), name(to))).or_default() += count;
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Key, hash_of};
    use crate::model::observation::{Answer, Observation};
    use crate::model::time::{EventTime, Span};
    use crate::model::times::{Tempo, Times};
    use crate::tally::held::Slice;
    use held::Held;

    fn observation(
        id: &'static str,
        label: &'static str,
        country: &'static str,
    ) -> Observation<'static> {
        Observation {
            request_id: id.into(),
            time: EventTime::from_us(1),
            assignment: crate::model::arm::Assignment::Random,
            answer: if label == "!" { Answer::Failed } else { Answer::Label(label.into()) },
            latency_us: Some(1000),
            segments: [country.into(), "".into(), "".into(), "".into()],
            model_version: None,
            carries: 0,
        }
    }

    fn tally(max: usize) -> PaneTally {
        let set = |max| BoundedSet { declared: Vec::new(), max };
        PaneTally {
            dimensions: vec![Dimension { name: "country".into(), values: set(max) }],
            labels: set(2),
            edges: Vec::new(),
            slots: Vec::new(),
            used: 0,
            by_name: vec![BTreeMap::new()],
            by_word: HashMap::new(),
            classes: Names::default(),
            class_of_word: HashMap::new(),
            examples: Examples::default(),
        }
    }

    /// Panes of 10 s.
    fn ten() -> Times {
        Times::always(Tempo { pane: Span::from_secs(10), ..Tempo::default() })
    }

    #[test]
    fn counts_by_segment_and_bounds_names() {
        let mut primary = Held::new(ten());
        let mut candidate = Held::new(ten());
        for (offset, (id, ours, theirs, country)) in (0_i64..).zip([
            ("a", "ok", "ok", "BR"),
            ("b", "ok", "fraud", "BR"),
            ("c", "fraud", "!", "DE"),
            ("d", "odd", "odd", ""),
        ]) {
            primary.insert(offset, hash_of(id), &observation(id, ours, country));
            candidate.insert(offset, hash_of(id), &observation(id, theirs, "XX"));
        }
        let (mut ours, mut theirs): (Vec<Key>, Vec<Key>) = Default::default();
        let all = (EventTime::from_us(0), EventTime::from_us(10));
        let (mut p, mut c) = (Slice::default(), Slice::default());
        primary.slice(all, 0, &mut ours, &mut p);
        candidate.slice(all, 1, &mut theirs, &mut c);
        let mut tally = tally(1);
        for _ in 0..2 {
            for (one, other) in ours.iter().zip(&theirs) {
                let (one, other) = (p.view(one.place).unwrap(), c.view(other.place).unwrap());
                let same = match (one.label(), other.label()) {
                    (Some(a), Some(b)) => Some(a.text == b.text),
                    _ => None,
                };
                tally.add_pair(one, other, same);
            }
            let counted = tally.finish();
            let all = &counted.tallies[&Segment::all()];
            assert_eq!((all.paired, all.comparable, all.matched), (4, 3, 2));
            assert_eq!(all.candidate_only_failed, 1);
            assert_eq!(all.flips[&("ok".to_owned(), "fraud".to_owned())], 1);
            assert_eq!(
                all.primary.labels["__other__"], 1,
                "three classes, two names: odd comes last"
            );
            let names: Vec<_> = counted.tallies.keys().map(ToString::to_string).collect();
            assert_eq!(names, ["all", "country=BR", "country=__none__", "country=__other__"]);
            assert!(counted.partial);
            assert_eq!(counted.examples.mismatched.len(), 1);
        }
    }
}
