//! Vitals are evidence at once, so they must say of each second what panes will say of it later.
//!
//! In: streams with copies, late records, leaps, several versions. Out: what vitals counted, beside the tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use parallax::engine::{Effect, Input, Task};
use parallax::model::bucket::{Buckets, Unreadable};
use parallax::model::entry::{ArmVitals, Entry, SAMPLE_MAX, Vitals};
use parallax::model::record::Record;
use parallax::model::rule::{Action, Metric, Op};
use parallax::model::spec::PipelineSpec;
use parallax::model::tally::{OTHER, Segment};
use parallax::model::time::EventTime;

use crate::scenario::stream;
use crate::world::{Counted, World, at, event, rule, spec};

fn watched(tasks: u32) -> World {
    let rules = vec![rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05)];
    World::new(PipelineSpec { rules, ..spec() }, tasks)
}

fn vitals(world: &World) -> impl Iterator<Item = &Vitals> {
    world.logs.iter().flatten().filter_map(|(_, entry)| match entry {
        Entry::Vitals(vitals) => Some(vitals),
        _ => None,
    })
}

/// What the vitals of an arm add up to.
fn counted(world: &World, arm: usize) -> Counted {
    let mut sum = Counted::default();
    vitals(world).for_each(|vitals| sum.add(&vitals.arms[arm]));
    sum
}

/// (requests, failed) by vitals, and by the windows; and the buckets of the windows.
fn both(world: &World, arm: usize) -> ([(u64, u64); 2], Buckets) {
    let (mut windows, mut buckets) = ((0, 0), Buckets::default());
    for row in world.windows.iter().filter(|row| row.segment.is_all()) {
        let side = if arm == 0 { &row.tally.primary } else { &row.tally.candidate };
        windows = (windows.0 + side.requests, windows.1 + side.failed);
        let (primary, candidate) = row.buckets.unwrap();
        buckets.merge(if arm == 0 { &primary } else { &candidate });
    }
    let sum = counted(world, arm);
    let failed = sum.counts.values().map(|counts| counts[&Segment::all()].failed).sum();
    ([(sum.requests(), failed), windows], buckets)
}

fn put(world: &mut World, task: usize, input: usize, (id, seconds): (&str, f64), label: &str) {
    world.record(task, input, event(id, seconds, label, 10.0, "BR").as_bytes());
}

#[test]
fn failed_answers_that_are_delivered_three_times_count_once() {
    let mut world = watched(2);
    let (rate, mut delivered) = (40, 0);
    let mut again: Vec<(i64, usize, String)> = Vec::new();
    for second in 0..240 {
        stream(&mut world, second, second + 1, rate, |number, answer| {
            if number % 33 == 0 {
                answer.label = "!";
            }
        });
        let failed = (second * rate..(second + 1) * rate).filter(|number| number % 33 == 0);
        again.extend(failed.flat_map(|number| {
            let (id, time) = (format!("r{number}"), number as f64 / rate as f64 + 0.01);
            let text = event(&id, time, "!", 10.0, "BR");
            // Within the second, and behind the next flushes.
            [0, 1 + number % 3].map(|after| (second + after, (number % 2) as usize, text.clone()))
        }));
        again.retain(|(due, task, text)| {
            if *due <= second {
                world.record(*task, 1, text.as_bytes());
                delivered += 1;
            }
            second < *due
        });
    }
    world.finish();
    assert!(world.decisions.is_empty(), "{:?}", world.decisions[0].reason);
    let ([by_vitals, by_windows], buckets) = both(&world, 1);
    assert_eq!(by_vitals, by_windows);
    assert_eq!(by_vitals, (9600, 291), "each request once");
    assert_eq!((counted(&world, 1).copies, buckets.duplicate), (delivered, delivered));
    assert!(500 < delivered);
    let ([by_vitals, by_windows], _) = both(&world, 0);
    assert_eq!((by_vitals, by_windows), ((9600, 0), (9600, 0)));
}

#[test]
fn records_that_come_too_late_count_for_nothing() {
    let mut world = watched(1);
    for number in 0..2400_i64 {
        let time = number as f64 / 20.0;
        for input in 0..2 {
            put(&mut world, 0, input, (&format!("r{number}"), time), "ok");
        }
        if 1200 < number && number % 4 == 0 {
            put(&mut world, 0, 1, (&format!("old{number}"), time - 50.0), "!");
        }
        if number % 20 == 19 {
            world.tick(at(time));
        }
    }
    world.finish();
    let ([by_vitals, by_windows], buckets) = both(&world, 1);
    assert_eq!((by_vitals, by_windows), ((2400, 0), (2400, 0)));
    assert_eq!((counted(&world, 1).late, buckets.late), (299, 299));
    assert!(world.decisions.is_empty());
}

#[test]
fn a_leap_counts_when_a_record_lets_it_pass_and_only_then() {
    let mut world = watched(1);
    for number in 0..8 {
        put(&mut world, 0, 1, (&format!("r{number}"), number as f64 * 0.4), "ok");
    }
    world.tick(at(5.0));
    assert_eq!(counted(&world, 1).requests(), 0, "time hasn't begun");
    for number in 8..40 {
        put(&mut world, 0, 1, (&format!("r{number}"), number as f64 * 0.4), "ok");
    }
    world.tick(at(20.0));
    assert_eq!(
        counted(&world, 1).requests(),
        40,
        "what waited counts with the record that lets it pass"
    );
    // A clock that is wrong, until the next record says so.
    put(&mut world, 0, 1, ("wild", 4_000.0), "!");
    put(&mut world, 0, 1, ("r40", 16.0), "ok");
    // The input stands at its end, and time passes over one that waits.
    put(&mut world, 0, 1, ("r41", 26.0), "!");
    world.stand(0, 1, at(31.0));
    put(&mut world, 0, 1, ("r42", 27.0), "ok");
    put(&mut world, 0, 1, ("r41", 26.0), "!");
    world.finish();
    let sum = counted(&world, 1);
    let ([(requests, failed), by_windows], buckets) = both(&world, 1);
    assert_eq!(
        (requests, failed, sum.copies),
        (42, 0, 1),
        "what passes with a fact isn't news, nor its copy"
    );
    assert_eq!(
        (by_windows, buckets.quarantined, buckets.duplicate),
        ((43, 1), 1, 1),
        "panes hold it all"
    );
    assert_eq!(sum.late, 0);
}

#[test]
fn model_versions_are_told_apart() {
    let mut world = watched(1);
    let versioned = |number: i64, version: &str, label: &str| {
        let text = event(&format!("r{number}"), number as f64 / 20.0, label, 10.0, "BR");
        text.replacen('{', &format!("{{\"model_version\":\"{version}\","), 1)
    };
    for number in 0..400 {
        put(&mut world, 0, 0, (&format!("r{number}"), number as f64 / 20.0), "ok");
        let (version, label) = match number {
            0..200 => ("v8", if number % 5 < 2 { "!" } else { "ok" }),
            // A rolling change: both answer.
            200..300 if number % 2 == 0 => ("v8", "ok"),
            _ => ("v9", "ok"),
        };
        world.record(0, 1, versioned(number, version, label).as_bytes());
        if number % 20 == 19 {
            world.tick(at(number as f64 / 20.0));
        }
    }
    let of = |sum: &Counted, version: &str| {
        let counts = &sum.counts[version][&Segment::all()];
        (counts.requests, counts.failed)
    };
    let sum = counted(&world, 1);
    assert_eq!((of(&sum, "v8"), of(&sum, "v9")), ((250, 80), (150, 0)));
    assert_eq!(counted(&world, 0).counts.keys().collect::<Vec<_>>(), [""]);
    // More of them than are told apart; in the next second there is room again.
    for number in 400..412 {
        world.record(0, 1, versioned(number, &format!("w{number}"), "ok").as_bytes());
    }
    world.tick(at(21.0));
    world.record(0, 1, versioned(412, "w412", "ok").as_bytes());
    world.tick(at(22.0));
    let sum = counted(&world, 1);
    assert_eq!((of(&sum, OTHER), of(&sum, "w400"), of(&sum, "w412")), ((4, 0), (1, 0), (1, 0)));
    assert_eq!(sum.counts.len(), 12);
    world.finish();
    assert_eq!(sum.requests(), 413);
}

/// The vitals of one task that is handed these batches of (seconds, stamp in seconds, value), read at `now`.
fn is_catching_up(batches: &[&[(Option<i64>, String)]], now: EventTime) -> bool {
    let mut task = Task::recover(Arc::new(spec()), 0, [], &BTreeSet::new());
    let mut offset = 0;
    // What the other arm reads is fresh, and says nothing of this one.
    let fresh = event("p0", 0.0, "ok", 10.0, "BR");
    let timestamp_ms = Some(now.us() / 1000);
    let fresh = Record { offset: 0, timestamp_ms, key: None, value: Some(fresh.as_bytes()) };
    task.handle(Input::Records { input: 0, records: &[fresh], read_at: Some(now) });
    for batch in batches {
        let record = |(stamp, value): &(Option<i64>, String)| {
            offset += 1;
            (offset - 1, stamp.map(|s| at(s as f64).us() / 1000), value.clone())
        };
        let held: Vec<(i64, Option<i64>, String)> = batch.iter().map(record).collect();
        let records: Vec<Record<'_>> = held
            .iter()
            .map(|(offset, timestamp_ms, value)| {
                let (offset, timestamp_ms) = (*offset, *timestamp_ms);
                Record { offset, timestamp_ms, key: None, value: Some(value.as_bytes()) }
            })
            .collect();
        task.handle(Input::Records { input: 1, records: &records, read_at: Some(now) });
    }
    task.handle(Input::Tick { now, up_to: EventTime::END });
    let mut effects = std::iter::from_fn(|| task.poll());
    let vitals = effects.find_map(|effect| match effect {
        Effect::Append(Entry::Vitals(vitals)) => Some(vitals),
        _ => None,
    });
    let arms = vitals.unwrap().arms;
    assert!(!arms[0].catching_up);
    arms[1].catching_up
}

#[test]
fn an_input_catches_up_only_if_nothing_that_it_reads_is_fresh() {
    let value = |n: i64| event(&format!("r{n}"), n as f64, "ok", 10.0, "BR");
    let old = [(Some(0), value(0)), (Some(10), value(1))];
    let mixed = [(Some(0), value(2)), (Some(290), value(3)), (Some(5), value(4))];
    assert!(is_catching_up(&[&old], at(300.0)));
    assert!(!is_catching_up(&[&mixed], at(300.0)), "the last of a batch isn't the freshest");
    assert!(!is_catching_up(&[&old, &mixed, &old], at(300.0)));
    assert!(is_catching_up(&[&mixed, &old], at(400.0)));
    assert!(!is_catching_up(&[&[(None, value(0))]], at(400.0)), "who says no time is no backlog");
}

#[test]
fn both_arms_sample_the_same_requests_and_what_couldnt_be_read_is_shown() {
    let mut world = watched(1);
    for number in 0..200 {
        let id = format!("{}-r{number}", "é".repeat(40));
        for input in 0..2 {
            put(&mut world, 0, input, (&id, number as f64 * 0.1), "ok");
        }
    }
    world.record(0, 1, b"{");
    world.record(0, 1, br#"{"request_id":"r","event_time":"yesterday"}"#);
    world.record(0, 1, b"");
    world.tick(at(20.0));
    let arms: &[ArmVitals] = &vitals(&world).next().unwrap().arms;
    assert_eq!(arms[0].sample, arms[1].sample);
    let sample = &arms[1].sample;
    assert_eq!(sample.len(), SAMPLE_MAX);
    assert!(sample.is_sorted_by_key(|one| one.hash));
    assert!(sample.iter().all(|one| one.id == "é".repeat(32)), "64 bytes, between characters");
    let arms: &[ArmVitals] = &vitals(&world).last().unwrap().arms;
    let by_reason: Vec<(Unreadable, u64)> =
        arms[1].unreadable.iter().map(|(reason, count)| (*reason, *count)).collect();
    let wanted = [Unreadable::Empty, Unreadable::Syntax, Unreadable::BadField].map(|r| (r, 1));
    assert_eq!((by_reason.as_slice(), arms[1].unreadable()), (wanted.as_slice(), 3));
    let (offset, found) = arms[1].unreadable_example.clone().unwrap();
    assert_eq!(offset, 200);
    assert!(found.contains("EOF"), "{found}");
    assert_eq!(arms[1].newest, Some(at(19.9)));
}

#[test]
fn what_an_override_does_counts_in_its_own_number() {
    let mut world = watched(1);
    for number in 0..100 {
        let text = event(&format!("r{number}"), number as f64 * 0.1, "!", 10.0, "BR");
        let is_forced = number % 10 == 0;
        let with = if is_forced { "{\"assignment\":\"override\"," } else { "{" };
        world.record(0, 1, text.replacen('{', with, 1).as_bytes());
        world.record(0, 1, text.replacen('{', with, 1).as_bytes());
    }
    world.tick(at(10.0));
    let sum = counted(&world, 1);
    assert_eq!((sum.overrides, sum.requests(), sum.copies), (20, 90, 90));
}
