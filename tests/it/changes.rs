//! Rules that change while a pipeline runs: the log governs, evidence stays where the meaning does, and the
//! stated errors hold over all changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parallax::engine::evaluator::{Effect, Input};
use parallax::model::entry::EvaluatorEntry;
use parallax::model::finding::Basis;
use parallax::model::rule::{Action, Metric, Op, Rule};
use parallax::model::spec::{Certainty, PipelineSpec};
use parallax::model::time::Span;
use parallax::rules::budget::{ErrorBudget, allot};
use parallax::rules::watch::Watch;
use serde_json::Value;

use crate::recovery::Rng;
use crate::scenario::{Answer, stream};
use crate::world::{World, rule, spec};

fn errors(percent: u32, action: Action) -> Rule {
    let value = f64::from(percent) / 100.0;
    rule(&format!("error_rate > {percent}%"), action, Metric::ErrorRate, Op::Above, value)
}

fn matches() -> Rule {
    rule("match_rate < 95%", Action::Investigate, Metric::MatchRate, Op::Below, 0.95)
}

fn file(revision: u32, rules: Vec<Rule>) -> PipelineSpec {
    PipelineSpec { revision, rules, config_hash: u64::from(revision), ..spec() }
}

/// Every third answer is an error, every second another label.
fn spoil(number: i64, answer: &mut Answer) {
    if number % 3 == 0 {
        answer.label = "!";
    } else if number % 2 == 0 {
        answer.label = "review";
    }
}

fn verdict(world: &World) -> Value {
    world.evaluator.verdict(0).unwrap()
}

/// What the verdict says of a rule on a basis.
fn finding(world: &World, text: &str, basis: &str) -> Value {
    let verdict = verdict(world);
    let rules = verdict["rules"].as_array().unwrap();
    let found = rules.iter().find(|rule| rule["rule"] == text && rule["basis"] == basis);
    found.cloned().unwrap_or_default()
}

#[test]
fn whoever_computes_it_under_whatever_file_decides_the_same() {
    let first = file(1, vec![errors(5, Action::Rollback)]);
    let second =
        file(2, vec![matches(), errors(5, Action::Rollback), errors(2, Action::Investigate)]);
    let mut world = World::new(first.clone(), 2);
    stream(&mut world, 0, 100, 20, |_, _| {});
    world.succeed(second.clone());
    stream(&mut world, 100, 130, 20, spoil);
    // A host that wasn't updated takes the seat: the log governs, not its file.
    world.succeed(first.clone());
    stream(&mut world, 130, 200, 20, spoil);
    world.finish();
    assert!(world.decisions.iter().any(|row| row.rule == "match_rate < 95%"), "new rules decide");
    assert_eq!(verdict(&world)["revision"], 2);
    assert_eq!(verdict(&world)["file_revision"], 1);
    assert_eq!(verdict(&world)["config_hash"], "0000000000000002");
    let changes = world.weighings.iter().filter(|w| matches!(w, EvaluatorEntry::Change(_)));
    assert_eq!(changes.count(), 2, "each revision is written down once");

    let (mut repeats, mut staged) = (0, BTreeMap::new());
    for (cut, old) in (0..world.weighings.len()).flat_map(|cut| [(cut, true), (cut, false)]) {
        let file = Arc::new(if old { first.clone() } else { second.clone() });
        let begun = cut.max(2);
        let mut heir = world.heir(&file, &world.weighings[..begun]);
        heir.repeat();
        for entry in &world.weighings[begun..] {
            heir.handle(Input::Logged(entry));
        }
        while let Some(effect) = heir.poll() {
            match effect {
                Effect::Send(signal) => {
                    assert!(world.signals.contains(&signal), "{}", signal.data);
                    repeats += 1;
                }
                Effect::Stage { file, rows, config } => {
                    let known = staged.entry(file.name).or_insert_with(|| (config, rows.clone()));
                    assert_eq!(*known, (config, rows), "a file is the same whoever writes it");
                }
                _ => {}
            }
        }
        assert_eq!(heir.verdict(0).unwrap()["rules"], verdict(&world)["rules"]);
    }
    assert!(2 * world.signals.len() <= repeats, "who began at the first entry sends all");
    assert!(staged.values().any(|(config, _)| *config == 1));
    assert!(staged.values().any(|(config, _)| *config == 2));
}

#[test]
fn what_means_the_same_keeps_its_evidence_and_what_is_new_has_none() {
    let mut world = World::new(file(1, vec![errors(5, Action::Rollback), matches()]), 2);
    stream(&mut world, 0, 100, 20, |number, answer| {
        if number % 30 == 0 {
            answer.label = "!";
        }
    });
    let kept = finding(&world, "error_rate > 5%", "vitals");
    assert_ne!(kept["total"], 0);
    let rules = vec![errors(20, Action::Investigate), errors(5, Action::Rollback)];
    world.succeed(file(2, rules));
    assert_eq!(finding(&world, "error_rate > 5%", "vitals"), kept);
    assert_eq!(finding(&world, "error_rate > 20%", "vitals")["total"], 0);
    assert!(finding(&world, "match_rate < 95%", "panes").is_null(), "a removed one is forgotten");

    // What is stated otherwise, or counted otherwise, begins anew.
    let certainty = Certainty { per_rollout: 0.02, ..world.spec.certainty };
    let blocks = Certainty { in_blocks: true, ..certainty };
    for other in [
        PipelineSpec { mirrored: 0.5, ..file(3, vec![errors(5, Action::Rollback)]) },
        PipelineSpec { certainty, ..file(4, vec![errors(5, Action::Rollback)]) },
        PipelineSpec { certainty: blocks, ..file(5, vec![errors(5, Action::Rollback)]) },
    ] {
        world.succeed(other);
        assert_eq!(finding(&world, "error_rate > 5%", "vitals")["total"], 0);
        stream(&mut world, 100, 101, 20, |_, _| {});
    }
}

#[test]
fn a_candidate_that_was_rolled_back_stays_rolled_back() {
    let mut world = World::new(file(1, vec![errors(5, Action::Rollback)]), 2);
    stream(&mut world, 0, 60, 20, |_, _| {});
    stream(&mut world, 60, 80, 20, spoil);
    assert_eq!(verdict(&world)["verdict"], "rollback");
    let sequence = world.signals[0].sequence;
    world.succeed(file(2, vec![errors(8, Action::Rollback), errors(3, Action::Rollback)]));
    assert_eq!(verdict(&world)["verdict"], "rollback");
    stream(&mut world, 80, 160, 20, spoil);
    world.finish();
    assert!(world.decisions.iter().any(|row| row.rule == "error_rate > 8%"), "it is shown again");
    assert_eq!(world.signals.len(), 1, "a rollout is rolled back once");
    assert_eq!(world.evaluator.newest_signals().next().unwrap().sequence, sequence);
}

#[test]
fn the_same_revision_with_other_rules_is_refused() {
    let mut world = World::new(file(1, vec![errors(5, Action::Rollback)]), 1);
    world.settle();
    let says = |other: PipelineSpec| world.heir(&Arc::new(other), &world.weighings).objection();
    let other = says(file(1, vec![errors(6, Action::Rollback)])).unwrap();
    assert!(other.contains("raise `revision` to 2"), "{other}");
    assert!(says(PipelineSpec { dry_run: false, ..file(1, world.spec.rules.clone()) }).is_some());
    assert_eq!(says(file(2, vec![errors(6, Action::Rollback)])), None);
    assert_eq!(says(file(1, world.spec.rules.clone())), None);
}

/// A pipeline with some of many rules.
fn some_rules(rng: &mut Rng) -> Vec<Rule> {
    let mut rules: Vec<Rule> = (1..6)
        .flat_map(|percent| {
            [errors(percent, Action::Rollback), errors(percent, Action::Investigate)]
        })
        .collect();
    rules.push(rule("shift", Action::Investigate, Metric::PredictionShift, Op::Above, 0.2));
    rules.push(Rule { observed: true, ..matches() });
    rules.retain(|_| rng.chance(40));
    rules
}

/// Adds up what is promised, whatever changes in whatever order.
#[test]
fn no_order_of_changes_and_versions_promises_more_than_is_stated() {
    let mut least: f64 = 1.0;
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let mut now = file(1, some_rules(&mut rng));
        let mut budget = ErrorBudget::default();
        let mut versions = ["v0".to_owned(), "v0".to_owned()];
        let mut spent: BTreeMap<(String, Action), f64> = BTreeMap::new();
        let mut watches: Vec<Watch> = Vec::new();
        for step in 0..40 {
            let mut goes_on = watches.clone();
            if rng.chance(30) {
                let basis = rng.below(2) as usize;
                versions[basis] = format!("v{step}");
                if rng.chance(50) {
                    versions = [versions[basis].clone(), versions[basis].clone()];
                    goes_on.clear();
                }
                let of = [Basis::Vitals, Basis::Panes][basis];
                goes_on.retain(|watch| watch.basis != of);
            } else {
                let next = file(1, some_rules(&mut rng));
                goes_on.retain_mut(|watch| {
                    let same = |rule: &Rule| *rule == now.rules[watch.rule];
                    next.rules.iter().position(same).map(|at| watch.rule = at).is_some()
                });
                now = next;
            }
            let of: [&str; 2] = [&versions[0], &versions[1]];
            watches = allot(&now, goes_on.clone(), of, &mut budget);
            budget.keep(of);
            let mut running: BTreeMap<Action, f64> = BTreeMap::new();
            for watch in watches.iter().filter(|watch| !now.rules[watch.rule].observed) {
                let action = now.rules[watch.rule].action;
                let share = watch.share_of_interval(&now);
                least = least.min(share);
                *running.entry(action).or_default() += share;
                if !goes_on.contains(watch) {
                    let version = versions[usize::from(watch.basis == Basis::Panes)].clone();
                    *spent.entry((version, action)).or_default() += watch.chance();
                }
            }
            assert!(running.values().all(|sum| *sum < 1.000_001), "seed {seed}: {running:?}");
        }
        let most = now.certainty.per_rollout * 1.000_001;
        assert!(spent.values().all(|sum| *sum < most), "seed {seed}: {spent:?}");
    }
    assert!(0.000_3 < least, "a new rule always has a share that can show something: {least}");
}

#[test]
fn panes_of_another_length_never_give_out_more_of_the_interval() {
    let first = file(1, vec![errors(5, Action::Rollback), matches()]);
    let watches = allot(&first, Vec::new(), ["", ""], &mut ErrorBudget::default());
    for (seconds, wanted) in [(5, 1.0), (10, 1.0), (20, 0.5)] {
        let mut other = first.clone();
        other.time.pane = Span::from_secs(seconds);
        for watch in watches.iter().filter(|watch| watch.basis == Basis::Panes) {
            let share = watch.share_of_interval(&first);
            let mut changed = watch.clone();
            changed.change_panes(first.time.pane, other.time.pane);
            let left = changed.share_of_interval(&other);
            assert!((left - share * wanted).abs() < 1e-9, "{seconds} s: {share} and then {left}");
        }
    }
}
