//! Candidates that name themselves anew all the time, and verdicts on what is old.
//!
//! In: streams of a candidate whose records name model versions. Out: decisions, notices and the verdict. Holds: where
//! versions can't be tried one by one the arm is weighed as a whole, and a gate that reads `ok` alone is told no.
//! Knows nothing of: how versions are mapped.

use std::sync::Arc;

use parallax::model::rule::{Action, Metric, Op};
use serde_json::{Value, json};

use crate::world::{World, at, event, rule, spec};

const A_SECOND: i64 = 20;

/// Goes on from second `from` to `to`; the candidate's version and whether it fails, by second and request.
fn stream(
    world: &mut World,
    (from, to): (i64, i64),
    version: impl Fn(i64, i64) -> String,
    fails: impl Fn(i64, i64) -> bool,
) {
    for number in from * A_SECOND..to * A_SECOND {
        let (time, second) = (number as f64 / A_SECOND as f64, number / A_SECOND);
        let id = format!("r{number}");
        world.record(0, 0, event(&id, time, "ok", 10.0, "BR").as_bytes());
        let label = if fails(second, number) { "!" } else { "ok" };
        let version = version(second, number);
        let value = event(&id, time, label, 10.0, "BR");
        let value = value.replacen('{', &format!("{{\"model_version\":\"{version}\","), 1);
        world.record(0, 1, value.as_bytes());
        if number % A_SECOND == A_SECOND - 1 {
            world.tick(at(second as f64 + 1.0));
        }
    }
}

fn watched() -> World {
    let mut spec = spec();
    spec.rules =
        vec![rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05)];
    World::new(spec, 1)
}

fn verdict(world: &World) -> Value {
    world.evaluator.verdict(0).unwrap()
}

fn a_build(second: i64, _: i64) -> String {
    format!("build-{:03}", second / 3)
}

#[test]
fn a_candidate_that_names_itself_anew_every_few_seconds_is_told_and_judged_as_a_whole() {
    let mut world = watched();
    stream(&mut world, (0, 100), a_build, |_, number| number % 100 == 0);
    let told: Vec<_> = world.notices.iter().map(|notice| notice.kind.as_str()).collect();
    assert_eq!(told, ["many_versions"], "once as long as it lasts");
    let notice = &world.notices[0];
    assert!(notice.text.starts_with("9 model versions of the candidate answered"), "{notice:?}");
    assert!(notice.text.contains("such as build-000, build-001, build-002:"), "{notice:?}");
    assert!(notice.cure.contains("map a field that names the model"), "{notice:?}");
    let said = verdict(&world);
    assert_eq!((&said["verdict"], &said["ok"]), (&json!("blind"), &json!(false)), "{said}");
    assert_eq!(said["troubles"][0]["kind"], "many_versions");
    assert!(said["reason"].as_str().unwrap().starts_with("34 model versions"), "{said}");
    assert!(world.decisions.is_empty(), "{:?}", world.decisions);

    stream(&mut world, (100, 130), a_build, |_, number| number % 5 < 2);
    let shown = world.decisions.first().expect("it is dying");
    assert_eq!(shown.action, Action::Rollback, "{}", shown.reason);
    assert!(shown.time < at(110.0), "{}", shown.reason);
    assert_eq!(verdict(&world)["model_version"], "__other__");

    let mut heir = world.heir(&Arc::clone(&world.spec), &world.weighings);
    heir.lead();
    let (heirs, ours) = (heir.verdict(0).unwrap(), verdict(&world));
    for field in ["verdict", "reason", "rollout", "troubles", "rules", "decisions"] {
        assert_eq!(heirs[field], ours[field], "{field}");
    }
}

#[test]
fn more_versions_than_a_second_tells_apart_are_no_excuse() {
    let mut world = watched();
    let pod = |_: i64, number: i64| format!("pod-{:02}", number % 20);
    stream(&mut world, (0, 60), pod, |second, number| 30 <= second && number % 5 < 2);
    let shown = world.decisions.first().expect("it is dying");
    assert_eq!((shown.action, shown.basis.as_str()), (Action::Rollback, "vitals"));
    assert!(shown.time < at(40.0), "{}", shown.reason);
    let evidence: Value = serde_json::from_str(&shown.evidence).unwrap();
    assert_eq!(evidence["model_version"], "__other__");
    assert_eq!(world.notices[0].kind, "many_versions");
}

#[test]
fn a_rolling_change_of_version_is_no_trouble() {
    let mut world = watched();
    let version = |second: i64, number: i64| match second {
        0..60 => "v8".to_owned(),
        60..90 if number % 2 == 0 => "v8".to_owned(),
        _ => "v9".to_owned(),
    };
    stream(&mut world, (0, 150), version, |_, number| number % 100 == 0);
    let said = verdict(&world);
    assert_eq!((&said["model_version"], &said["ok"]), (&json!("v9"), &json!(true)), "{said}");
    assert!(world.notices.is_empty(), "{:?}", world.notices);
}

#[test]
fn what_is_old_is_not_ok() {
    let mut world = watched();
    let v8 = |_: i64, _: i64| "v8".to_owned();
    stream(&mut world, (0, 120), v8, |_, _| false);
    let word = |said: &Value| ["verdict", "ok", "stale", "enough"].map(|field| said[field].clone());
    let fresh = word(&verdict(&world));
    assert_eq!(fresh[..3], [json!("hold"), json!(true), json!(false)]);
    // Nobody sends any more.
    world.tick(at(150.0));
    assert_eq!(word(&verdict(&world)), fresh);
    world.tick(at(900.0));
    let said = verdict(&world);
    assert_eq!(word(&said), [json!("blind"), json!(false), json!(true), json!(false)]);
    assert_eq!(
        said["reason"],
        "nothing is known of the candidate now: the newest record that was weighed happened 13 min ago"
    );
    assert!(said["cure"].as_str().unwrap().starts_with("see whether both arms send"), "{said}");
    stream(&mut world, (900, 960), v8, |_, _| false);
    assert_eq!(word(&verdict(&world)), fresh);
    // A new owner doesn't know the time before its first second.
    let heir = world.heir(&Arc::clone(&world.spec), &world.weighings);
    let said = heir.verdict(0).unwrap();
    assert_eq!((&said["verdict"], &said["ok"]), (&json!("blind"), &json!(false)), "{said}");
}
