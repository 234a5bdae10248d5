//! How the stated errors are dealt to the watches of an action: at the start, for a new model version, and
//! where rules change.
//!
//! In: a pipeline, the watches that go on, what each rollout has spent. Out: all watches. Holds: the running
//! watches' shares of the stated interval never add up to more than one; nor do the shares of the stated
//! chance that were ever given out in a rollout, whatever became of them (`docs/statistics.md`). Knows
//! nothing of: evidence, why rules change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::watch::{Shares, Watch, bases};
use crate::model::finding::Basis;
use crate::model::rule::Action;
use crate::model::spec::PipelineSpec;

/// So much of what is free is given out at once.
const STAKE: f64 = 0.9;
/// Where less is free, nothing of it is given out.
const LEAST: f64 = 0.01;

/// The chance of a false alarm that was given out so far, by rollout (model version) and action.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ErrorBudget {
    spent: BTreeMap<String, BTreeMap<Action, f64>>,
}

impl ErrorBudget {
    /// The rollout that had no name is this version's.
    pub fn name(&mut self, version: &str) {
        let unnamed = self.spent.get("").cloned().unwrap_or_default();
        self.spent.entry(version.to_owned()).or_insert(unnamed);
    }

    /// Forgets all rollouts but these.
    pub fn keep(&mut self, versions: [&str; 2]) {
        self.spent.retain(|version, _| versions.contains(&version.as_str()));
    }

    fn of_action(&self, version: &str, action: Action) -> f64 {
        self.spent.get(version).and_then(|spent| spent.get(&action)).copied().unwrap_or(0.0)
    }

    fn add(&mut self, version: &str, action: Action, chance: f64) {
        *self.spent.entry(version.to_owned()).or_default().entry(action).or_default() += chance;
    }
}

/// A rule on a basis, and its watch once there is one.
struct Place {
    rule: usize,
    basis: Basis,
    watch: Option<Watch>,
}

/// All watches of a pipeline: those of `going_on` as they are, and for every other place one that begins.
/// `versions` are the rollouts on vitals and on panes.
#[must_use]
pub fn allot(
    spec: &PipelineSpec,
    mut going_on: Vec<Watch>,
    versions: [&str; 2],
    budget: &mut ErrorBudget,
) -> Vec<Watch> {
    let mut places = Vec::new();
    for (rule, of) in spec.rules.iter().enumerate() {
        for &basis in bases(of) {
            let known = going_on.iter().position(|w| (w.rule, w.basis) == (rule, basis));
            let watch = known.map(|at| going_on.swap_remove(at));
            places.push(Place { rule, basis, watch });
        }
    }
    let actions: BTreeSet<Action> = spec.rules.iter().map(|rule| rule.action).collect();
    for action in actions {
        let of_action = |place: &&mut Place| {
            let rule = &spec.rules[place.rule];
            rule.action == action && !rule.observed
        };
        allot_action(spec, action, places.iter_mut().filter(of_action).collect(), versions, budget);
    }
    // What only observes has no error to state.
    let whole = Shares { chance: 1.0, interval: 1.0 };
    let watch = |Place { rule, basis, watch }: Place| {
        watch.or_else(|| Watch::new(spec, rule, basis, whole))
    };
    places.into_iter().filter_map(watch).collect()
}

fn allot_action(
    spec: &PipelineSpec,
    action: Action,
    mut places: Vec<&mut Place>,
    versions: [&str; 2],
    budget: &mut ErrorBudget,
) {
    let all = places.len();
    let fresh = |places: &[&mut Place]| places.iter().filter(|p| p.watch.is_none()).count();
    if fresh(&places) == 0 {
        return;
    }
    let running = places.iter().filter_map(|place| place.watch.as_ref());
    let mut free = 1.0 - running.map(|watch| watch.share_of_interval(spec)).sum::<f64>();
    if free < LEAST {
        // Too little is left to show anything with: all begin anew, side by side.
        places.iter_mut().for_each(|place| place.watch = None);
        free = 1.0;
    }
    let interval = part(free, fresh(&places), all);
    let version_of = |basis: Basis| versions[usize::from(basis == Basis::Panes)];
    let begins: Vec<bool> = places.iter().map(|place| place.watch.is_none()).collect();
    for version in BTreeSet::from(versions) {
        let here = |place: &Place| version_of(place.basis) == version;
        let count = places.iter().zip(&begins).filter(|(p, begins)| **begins && here(p)).count();
        let free = 1.0 - budget.of_action(version, action) / spec.certainty.per_rollout;
        let chance = if free < LEAST { 0.0 } else { part(free, count, all) };
        budget.add(version, action, chance * count_of(count) * spec.certainty.per_rollout);
        for (place, _) in places.iter_mut().zip(&begins).filter(|(p, begins)| **begins && here(p)) {
            place.watch = Watch::new(spec, place.rule, place.basis, Shares { chance, interval });
        }
    }
}

/// Returns what each of `fresh` places gets of what is `free`: its equal part of the whole if that is there,
/// otherwise the same share of what is.
fn part(free: f64, fresh: usize, all: usize) -> f64 {
    let equal = STAKE / count_of(all);
    if equal * count_of(fresh) <= free { equal } else { STAKE * free / count_of(fresh) }
}

fn count_of(count: usize) -> f64 {
    f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX))
}
