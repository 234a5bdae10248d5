//! A field of the records tells which come together: evidence is divided by the largest such cluster.
//!
//! In: streams in which batches fail as a whole. Out: decisions, and what they say of it.

use parallax::model::cluster::ClusterSize;
use parallax::model::entry::Entry;
use parallax::model::rule::{Action, Metric, Op, Rule};
use parallax::model::spec::PipelineSpec;

use crate::world::{World, at, event, rule, spec};

/// Requests of a batch, which are sent within a second.
const BATCH: i64 = 20;

fn error_rate() -> Rule {
    rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05)
}

fn watched(rule: Rule, key: Option<&str>) -> World {
    let cluster = key.map(str::to_owned);
    World::new(PipelineSpec { rules: vec![rule], cluster, ..spec() }, 1)
}

/// Three batches a second; what the candidate answers to all of one.
fn batches(world: &mut World, from: i64, to: i64, answer: impl Fn(i64) -> &'static str) {
    for second in from..to {
        for n in 0..3 * BATCH {
            let number = second * 3 * BATCH + n;
            let (batch, seconds) = (number / BATCH, second as f64 + n as f64 / 60.0);
            for (input, label) in [(0, "ok"), (1, answer(batch))] {
                let value = event(&format!("r{number}"), seconds, label, 10.0, "BR");
                let value = value.replacen('{', &format!("{{\"batch_id\":\"b{batch}\","), 1);
                world.record(0, input, value.as_bytes());
            }
        }
        world.tick(at(second as f64 + 1.0));
    }
}

/// A fixed, uneven order of numbers below 100.
const fn spread(batch: i64) -> i64 {
    batch * 7919 % 10_007 % 100
}

#[test]
fn a_key_that_no_record_carries_is_told() {
    let mut world = watched(error_rate(), Some("batchId"));
    batches(&mut world, 0, 120, |_| "ok");
    world.finish();
    let troubles = world.evaluator.verdict(0).unwrap()["troubles"].clone();
    let told: Vec<&str> = troubles
        .as_array()
        .unwrap()
        .iter()
        .map(|trouble| trouble["kind"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["no_cluster_key", "no_cluster_key"], "of both arms: {troubles}");
    let text = troubles[0]["text"].as_str().unwrap();
    assert!(text.contains("records of the primary carries `batchId`"), "{text}");

    let mut world = watched(error_rate(), Some("batch_id"));
    batches(&mut world, 0, 120, |_| "ok");
    world.finish();
    assert_eq!(world.evaluator.verdict(0).unwrap()["troubles"], serde_json::json!([]));
}

#[test]
fn batches_that_fail_as_a_whole_roll_no_candidate_at_the_limit_back() {
    let mut world = watched(error_rate(), Some("batch_id"));
    batches(&mut world, 0, 1200, |batch| if spread(batch) < 5 { "!" } else { "ok" });
    world.finish();
    assert!(world.decisions.is_empty(), "{}", world.decisions[0].reason);
}

#[test]
fn a_sick_candidate_is_found_and_the_signal_says_what_evidence_was_divided_by() {
    let mut world = watched(error_rate(), Some("batch_id"));
    batches(&mut world, 0, 60, |_| "ok");
    batches(&mut world, 60, 240, |batch| if spread(batch) < 40 { "!" } else { "ok" });
    let told = &world.decisions[0];
    assert!(
        told.reason
            .contains("up to 20 answers come together by `batch_id`: evidence is divided by 20"),
        "{}",
        told.reason
    );
    let data: serde_json::Value = serde_json::from_str(&world.signals[0].data).unwrap();
    assert_eq!(data["evidence"]["clusters_by"], "key");
    assert_eq!(data["evidence"]["divided_for_clusters"], 20.0);
    assert!(told.time <= at(120.0), "{}", told.reason);
}

#[test]
fn a_key_that_no_record_carries_leaves_the_estimate() {
    for key in [None, Some("pod")] {
        let mut world = watched(error_rate(), key);
        batches(&mut world, 0, 60, |_| "ok");
        batches(&mut world, 60, 600, |batch| if spread(batch) < 60 { "!" } else { "ok" });
        let data: serde_json::Value = serde_json::from_str(&world.signals[0].data).unwrap();
        assert_eq!(data["evidence"]["clusters_by"], "estimated");
        let reason = &world.decisions[0].reason;
        assert!(!reason.contains("come together"), "{reason}");
    }
}

#[test]
fn a_shift_of_whole_batches_is_divided_too() {
    let shift = || {
        rule("prediction_shift > 20%", Action::Rollback, Metric::PredictionShift, Op::Above, 0.2)
    };
    let took = |key| {
        let mut world = watched(shift(), key);
        batches(&mut world, 0, 900, |batch| if spread(batch) < 60 { "fraud" } else { "ok" });
        let signal: serde_json::Value = serde_json::from_str(&world.signals[0].data).unwrap();
        (world.decisions[0].time, signal["evidence"]["clusters_by"].clone())
    };
    let (keyed, unkeyed) = (took(Some("batch_id")), took(None));
    assert_eq!((keyed.1.as_str(), unkeyed.1.as_str()), (Some("key"), Some("none")));
    assert!(unkeyed.0 < keyed.0, "{unkeyed:?} {keyed:?}");
}

#[test]
fn vitals_and_panes_tell_the_same_clusters_without_copies_and_what_is_late() {
    let mut world = watched(error_rate(), Some("batch_id"));
    let send = |world: &mut World, id: &str, seconds: f64| {
        for input in 0..2 {
            let value = event(id, seconds, "ok", 10.0, "BR");
            let value = value.replacen('{', "{\"batch_id\":7,", 1);
            world.record(0, input, value.as_bytes());
        }
    };
    batches(&mut world, 0, 40, |_| "ok");
    for copy in 0..50 {
        send(&mut world, "copied", 39.0);
        // Five seconds are waited for.
        send(&mut world, &format!("late{copy}"), 20.0);
    }
    world.tick(at(41.0));
    world.finish();
    let (mut vitals, mut panes) = (ClusterSize::default(), ClusterSize::default());
    for (_, entry) in &world.logs[0] {
        match entry {
            Entry::Vitals(counted) => {
                counted.arms.iter().for_each(|arm| vitals.raise(arm.clusters));
            }
            Entry::Checkpoint(closed) => {
                let sizes = closed.panes.iter().flat_map(|pane| pane.clusters);
                sizes.for_each(|size| panes.raise(size));
            }
            _ => {}
        }
    }
    let wanted = ClusterSize { largest: BATCH as u64, unknown: 0 };
    assert_eq!((vitals, panes), (wanted, wanted));
}
