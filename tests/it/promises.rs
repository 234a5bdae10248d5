//! What `docs/statistics.md` promises of rules, on streams of two tasks: each test is named there.
//!
//! In: small streams. Out: decisions. Holds: a test here fails when its sentence stops being true.

use parallax::model::rule::{Action, Metric, Op, Rule};
use parallax::model::spec::PipelineSpec;
use parallax::model::time::{EventTime, Span};
use serde_json::Value;

use crate::scenario::stream;
use crate::world::{World, at, event, rule, spec};

fn world(rules: Vec<Rule>) -> World {
    World::new(PipelineSpec { rules, ..spec() }, 2)
}

fn errors(action: Action) -> Rule {
    rule("error_rate > 5%", action, Metric::ErrorRate, Op::Above, 0.05)
}

fn missing(percent: u32, action: Action) -> Rule {
    let value = f64::from(percent) / 100.0;
    rule(&format!("missing_rate > {percent}%"), action, Metric::MissingRate, Op::Above, value)
}

/// Seconds in which the answers of one in `of` requests are missing.
fn lose(world: &mut World, seconds: std::ops::Range<i64>, of: i64) {
    for second in seconds {
        stream(world, second, second + 1, 20, |number, answer| {
            answer.missing = number % of == 0;
        });
        if of == 1 {
            (0..2).for_each(|task| world.stand(task, 1, at(second as f64 + 1.0)));
        }
    }
}

/// Seconds in which the candidate fails one in `of` requests.
fn fail(world: &mut World, seconds: std::ops::Range<i64>, of: i64) {
    stream(world, seconds.start, seconds.end, 40, |number, answer| {
        if number % of == 0 {
            answer.label = "!";
        }
    });
}

fn told(world: &World) -> Vec<(Action, &str, EventTime)> {
    world.decisions.iter().map(|row| (row.action, row.rule.as_str(), row.time)).collect()
}

#[test]
fn what_the_mirror_is_known_to_leave_out_is_not_missing() {
    let run = |mirrored: f64| {
        let rules = vec![missing(5, Action::Investigate)];
        let mut world = World::new(PipelineSpec { mirrored, rules, ..spec() }, 2);
        lose(&mut world, 0..60, 1_000_000);
        lose(&mut world, 60..400, 10);
        world.finish();
        world.decisions.len()
    };
    assert_eq!((run(1.0), run(0.93)), (1, 0));
}

#[test]
fn a_mirror_that_restarts_rolls_nobody_back_and_a_silent_candidate_is() {
    let silent = |seconds: i64| {
        let mut world = world(vec![missing(50, Action::Rollback), missing(5, Action::Investigate)]);
        lose(&mut world, 0..120, 1_000_000);
        lose(&mut world, 120..120 + seconds, 1);
        lose(&mut world, 120 + seconds..400, 1_000_000);
        world.finish();
        let told = told(&world);
        (told.first().map(|told| told.2), told.last().map(|told| told.0))
    };
    let (first, worst) = silent(40);
    assert_eq!(worst, Some(Action::Investigate));
    assert!(first.is_some_and(|first| first <= at(150.0)), "told within three panes: {first:?}");
    assert_eq!(silent(150).1, Some(Action::Rollback));
}

#[test]
fn nothing_is_missing_before_the_first_answer() {
    let mut world = world(vec![missing(50, Action::Rollback), missing(5, Action::Investigate)]);
    lose(&mut world, 0..180, 1);
    lose(&mut world, 180..400, 1_000_000);
    world.finish();
    assert_eq!(told(&world), []);
}

#[test]
fn nothing_is_missing_while_much_cannot_be_read() {
    let mut world = world(vec![missing(50, Action::Rollback), missing(5, Action::Investigate)]);
    lose(&mut world, 0..60, 1_000_000);
    for second in 60..300 {
        lose(&mut world, second..second + 1, 4);
        for task in 0..2 {
            (0..3).for_each(|_| world.record(task, 1, b"{"));
        }
    }
    world.finish();
    assert_eq!(told(&world), []);
}

#[test]
fn without_a_primary_the_rate_alone_counts() {
    let mut world = world(vec![errors(Action::Rollback)]);
    for second in 0..400_i64 {
        for n in 0..40 {
            let number = second * 40 + n;
            let label = if 60 <= second && number % 3 == 0 { "!" } else { "ok" };
            let text = event(&format!("r{number}"), number as f64 / 40.0, label, 10.0, "BR");
            world.record((number % 2) as usize, 1, text.as_bytes());
        }
        // A primary of next to no traffic isn't silent.
        if second % 90 == 0 {
            let text = event(&format!("r{}", second * 40), second as f64, "ok", 10.0, "BR");
            world.record(0, 0, text.as_bytes());
        }
        world.tick(at(second as f64 + 1.0));
    }
    let told = told(&world);
    // Its first answers are to ids that the primary doesn't know.
    let last = told.last().unwrap();
    assert!(last.0 == Action::Rollback && last.2 < at(180.0), "{told:?}");
}

/// Both arms fail every third request from the second minute on.
fn shared_outage(shared_cause_investigates: bool) -> Vec<Action> {
    let rules = vec![errors(Action::Rollback)];
    let mut world = World::new(PipelineSpec { shared_cause_investigates, rules, ..spec() }, 2);
    for number in 0..180 * 40_i64 {
        let fails = 60 * 40 < number && number % 3 == 0;
        let label = if fails { "!" } else { "ok" };
        for input in 0..2 {
            let text = event(&format!("r{number}"), number as f64 / 40.0, label, 10.0, "BR");
            world.record((number % 2) as usize, input, text.as_bytes());
        }
        if number % 40 == 39 {
            world.tick(at(number as f64 / 40.0));
        }
    }
    world.finish();
    world.decisions.iter().map(|row| row.action).collect()
}

#[test]
fn who_wants_a_shared_cause_rolled_back_has_it_so() {
    assert_eq!(shared_outage(true), [Action::Investigate]);
    assert_eq!(shared_outage(false), [Action::Rollback]);
}

#[test]
fn for_asks_for_the_whole_span_and_that_it_lasts() {
    let failing = |seconds: i64| {
        let held = Rule { held_for: Some(Span::from_secs(60)), ..errors(Action::Rollback) };
        let mut world = world(vec![held]);
        fail(&mut world, 0..60, 100);
        fail(&mut world, 60..60 + seconds, 4);
        fail(&mut world, 60 + seconds..400, 100);
        world.finish();
        told(&world).first().map(|told| told.2)
    };
    assert_eq!(failing(40), None);
    assert!(failing(150).is_some_and(|at_| at(120.0) <= at_ && at_ <= at(150.0)));
}

#[test]
fn while_clusters_are_unknown_nothing_is_shown_before_the_third_look() {
    let mut world = world(vec![errors(Action::Rollback)]);
    stream(&mut world, 0, 60, 40, |_, _| {});
    fail(&mut world, 60..80, 1);
    let told = told(&world);
    assert!(at(62.0) <= told[0].2 && told[0].2 <= at(66.0), "{told:?}");
}

#[test]
fn a_signal_says_which_bound_was_crossed_and_what_divided_its_evidence() {
    let signal = crate::scenario::a_rollback();
    let data: Value = serde_json::from_str(&signal.data).unwrap();
    let by_chance = &data["by_chance"];
    assert!(by_chance["per_rollout"].is_null() != by_chance["interval_s"].is_null());
    let divided = data["evidence"]["divided_for_clusters"].as_f64().unwrap();
    assert!((1.0..=5.0).contains(&divided), "{divided}");
    let [evidence, threshold] =
        ["log_evidence", "log_threshold"].map(|key| data["evidence"][key].as_f64().unwrap());
    assert!(threshold <= evidence, "{evidence} of {threshold}");
}

#[test]
fn arms_that_are_slow_together_are_not_told() {
    let slow = || Rule {
        relative: true,
        ..rule(
            "latency_p99 > 2x primary",
            Action::Rollback,
            Metric::Latency { rank: 99_000 },
            Op::Above,
            2.0,
        )
    };
    let run = |both: bool| {
        let mut world = world(vec![slow()]);
        for number in 0..240 * 40_i64 {
            let seconds = number as f64 / 40.0;
            let times = |is_slow: bool| if 120.0 < seconds && is_slow { 4.0 } else { 1.0 };
            let latency = 10.0 + (number * 37 % 100) as f64 / 10.0;
            for (input, is_slow) in [both, true].into_iter().enumerate() {
                let latency = latency * times(is_slow);
                let text = event(&format!("r{number}"), seconds, "ok", latency, "BR");
                world.record((number % 2) as usize, input, text.as_bytes());
            }
            if number % 40 == 39 {
                world.tick(at(seconds));
            }
        }
        world.finish();
        world.decisions.iter().filter(|row| row.action == Action::Rollback).count()
    };
    assert_eq!((run(true), run(false)), (0, 1));
}

#[test]
fn observed_alerts_by_the_point_and_says_that_chance_is_not_bounded() {
    let mut world = world(vec![Rule { observed: true, ..errors(Action::Investigate) }]);
    fail(&mut world, 0..120, 100);
    fail(&mut world, 120..240, 10);
    world.finish();
    assert_eq!(world.decisions.len(), 1);
    let row = &world.decisions[0];
    assert_eq!(row.action, Action::Investigate);
    assert!(row.reason.contains("isn't bounded"), "{}", row.reason);
}
