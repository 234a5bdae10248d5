//! Answers that don't come, or come to nobody's question: what is the candidate's fault, and what isn't known to be.

use parallax::model::rule::{Action, Metric, Op, Rule};
use parallax::model::spec::PipelineSpec;

use crate::scenario::stream;
use crate::world::{World, at, event, rule, spec};

/// What is there where the file says nothing of it.
fn defaults() -> Vec<Rule> {
    let missing = |text, action, value| Rule {
        assumed: true,
        ..rule(text, action, Metric::MissingRate, Op::Above, value)
    };
    vec![
        missing("missing_rate > 50%", Action::Rollback, 0.5),
        missing("missing_rate > 5%", Action::Investigate, 0.05),
    ]
}

fn world(rules: Vec<Rule>) -> World {
    World::new(PipelineSpec { rules, ..spec() }, 2)
}

/// Nine of ten answers never come.
fn a_tenth(world: &mut World, from: i64, to: i64) {
    stream(world, from, to, 20, |number, answer| answer.missing = number / 2 % 10 != 0);
}

#[test]
fn a_mirror_that_samples_without_the_file_saying_so_rolls_nobody_back() {
    let mut world = world(defaults());
    a_tenth(&mut world, 0, 1200);
    world.finish();
    assert_eq!(world.decisions.len(), 1, "told once, and nothing after");
    let told = &world.decisions[0];
    assert_eq!(told.action, Action::Investigate);
    assert!(
        told.reason.ends_with(
            "since its first answer v8 has answered 10.0 % of the primary's requests; if the mirror samples, \
             write `mirrored: 10%`; if it doesn't, v8 doesn't answer the others"
        ),
        "{}",
        told.reason
    );
    assert_eq!(world.signals.len(), 1);

    // Where only the graver of both is there, it is weakened, and says why.
    let mut world = self::world(defaults().into_iter().take(1).collect());
    a_tenth(&mut world, 0, 1200);
    world.finish();
    assert_eq!(world.decisions.len(), 1);
    let data: serde_json::Value = serde_json::from_str(&world.signals[0].data).unwrap();
    assert_eq!(
        (data["action"].as_str(), data["rule"]["asks_for"].as_str()),
        (Some("investigate"), Some("rollback"))
    );
    assert!(data["weakened_because"].as_str().unwrap().contains("`mirrored: 10%`"), "{data}");
}

#[test]
fn a_candidate_that_dies_after_healthy_minutes_is_rolled_back() {
    let mut world = world(defaults());
    stream(&mut world, 0, 180, 20, |_, _| {});
    a_tenth(&mut world, 180, 420);
    world.finish();
    let rollback = world.decisions.iter().find(|row| row.action == Action::Rollback).unwrap();
    assert_eq!(rollback.rule, "missing_rate > 50%");
    assert!(rollback.time <= at(300.0), "{}", rollback.reason);
    for row in &world.decisions {
        assert!(
            !row.reason.contains("mirrored:"),
            "it wasn't so from the beginning: {}",
            row.reason
        );
    }
}

#[test]
fn a_rule_that_the_file_states_on_missing_answers_acts() {
    let stated = defaults().into_iter().map(|rule| Rule { assumed: false, ..rule }).collect();
    let mut world = world(stated);
    a_tenth(&mut world, 0, 300);
    world.finish();
    let rollback = world.decisions.iter().find(|row| row.action == Action::Rollback).unwrap();
    assert_eq!(rollback.rule, "missing_rate > 50%");
}

#[test]
fn a_new_version_that_answers_a_tenth_where_an_older_one_answered_all_is_rolled_back() {
    let mut world = world(defaults());
    for number in 0..8000_i64 {
        let seconds = number as f64 / 20.0;
        let version = if number < 4000 { "v8.1" } else { "v8.2" };
        let answers = number < 4000 || number / 2 % 10 == 0;
        let text = event(&format!("r{number}"), seconds, "ok", 10.0, "BR");
        world.record((number % 2) as usize, 0, text.as_bytes());
        if answers {
            let text = text.replacen('{', &format!("{{\"model_version\":\"{version}\","), 1);
            world.record((number % 2) as usize, 1, text.as_bytes());
        }
        if number % 20 == 19 {
            world.tick(at(seconds));
        }
    }
    world.finish();
    let rollback = world.signals.iter().find(|signal| signal.kind.contains("rollback")).unwrap();
    let data: serde_json::Value = serde_json::from_str(&rollback.data).unwrap();
    assert_eq!(data["rule"]["text"], "missing_rate > 50%");
    assert_eq!(data["model_version"], "v8.2");
}
