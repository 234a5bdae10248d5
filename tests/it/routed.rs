//! Topics that aren't co-partitioned: one task finds the answers to a request wherever they lie.
//!
//! In: records of several partitions of each arm, in any interleaving. Out: the same bytes. Holds: where each
//! arm has one partition it is what a task of co-partitioned topics says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use parallax::engine::{Effect, Input, Task};
use parallax::model::entry::Entry;
use parallax::model::row::PairRow;
use parallax::model::spec::PipelineSpec;

use crate::recovery::{Rng, Said, inputs, records, spec, spread};
use crate::world::{World, at, event};

/// `seconds feed id label`, as `primary/0`; `seconds feed ends`: the input stands at its end since then.
fn tell(partitions: &[u32; 2], text: &str) -> World {
    let mut world = World::new(crate::world::spec().routed(partitions).unwrap(), 1);
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for line in text.lines().map(str::trim).filter(is_said) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds: f64 = words[0].parse().unwrap();
        let (arm, partition) = words[1].split_once('/').unwrap();
        let arm = usize::from(arm != "primary");
        let feed = world.spec.feeds.of_arm(arm).start + partition.parse::<usize>().unwrap();
        match words[2..] {
            ["ends"] => world.stand(0, feed, at(seconds)),
            [id, label] => {
                world.record(0, feed, event(id, seconds, label, 10.0, "BR").as_bytes());
            }
            _ => panic!("unreadable line {line}"),
        }
    }
    world
}

fn report(world: &World) -> String {
    let mut out = String::new();
    for (_, entry) in &world.logs[0] {
        match entry {
            Entry::Checkpoint(closed) => {
                for pane in &closed.panes {
                    let (p, c) = (pane.primary, pane.candidate);
                    let _ = writeln!(
                        out,
                        "{:?} paired {}, unmatched {}, late {}, duplicate {}; orphans {}, late {}; fact {}",
                        pane.start.us() / 1_000_000 - at(0.0).us() / 1_000_000,
                        p.paired,
                        p.alone,
                        p.late,
                        p.duplicate,
                        c.alone,
                        c.late,
                        pane.fact_touched,
                    );
                }
            }
            Entry::Feeds(points) => {
                let points: Vec<i64> = points.resume.iter().map(|point| point.offset).collect();
                let _ = writeln!(out, "resume {points:?}");
            }
            Entry::Fact(fact) => {
                let _ = writeln!(
                    out,
                    "fact of feed {} at {}{}",
                    fact.input,
                    fact.offset,
                    if fact.end { ", the end" } else { "" }
                );
            }
            _ => {}
        }
    }
    for PairRow { request_id, status, primary, candidate, .. } in &world.pairs {
        let place = |side: &Option<parallax::model::row::PairSide>| {
            side.as_ref()
                .map(|side| (world.spec.feeds.partition(side.feed.into()).unwrap(), side.offset))
        };
        let _ = writeln!(
            out,
            "{request_id} {} {:?} {:?}",
            status.word(),
            place(primary),
            place(candidate)
        );
    }
    out
}

#[test]
fn answers_are_found_in_other_partitions() {
    let mut world = tell(
        &[2, 3],
        "
        0 primary/0 r1 ok
        1 primary/1 r2 ok
        1 candidate/2 r1 fraud
        1 candidate/0 r2 fraud
        2 primary/1 r3 ok
        2 candidate/1 r3 fraud
        3 primary/0 r3 ok
        3 candidate/1 r9 ok
        4 primary/0 r4 ok
        ",
    );
    world.finish();
    insta::assert_snapshot!(report(&world), @"
    fact of feed 0 at 3, the end
    fact of feed 1 at 2, the end
    fact of feed 2 at 1, the end
    fact of feed 3 at 2, the end
    fact of feed 4 at 1, the end
    resume [0, 0, 0, 0, 0]
    0 paired 3, unmatched 1, late 0, duplicate 1; orphans 1, late 0; fact true
    resume [0, 0, 0, 0, 0]
    r1 mismatch Some((0, 0)) Some((2, 0))
    r2 mismatch Some((1, 0)) Some((0, 0))
    r3 mismatch Some((1, 1)) Some((1, 0))
    r4 unmatched Some((0, 2)) None
    r9 orphan None Some((1, 1))
    ");
}

#[test]
fn late_is_decided_by_a_records_own_partition_and_time_is_the_slowest_ones() {
    let world = tell(
        &[2, 1],
        "
        0 primary/0 r1 ok
        2.1 primary/0 ends
        0 primary/1 r2 ok
        2.1 primary/1 ends
        0 candidate/0 r1 ok
        2.1 candidate/0 ends
        0 candidate/0 r2 ok
        4 primary/0 a ok
        8 primary/0 b ok
        12 primary/0 c ok
        16 primary/0 d ok
        20 primary/0 e ok
        8 primary/0 late ok
        # what is late in one partition is timely in another, whose time is behind: it is unmatched, since
        # its answer is late in the candidate's
        4 candidate/0 a ok
        8 candidate/0 b ok
        12 candidate/0 c ok
        16 candidate/0 d ok
        20 candidate/0 e ok
        4 primary/1 timely ok
        4 candidate/0 timely ok
        40 primary/1 ends
        ",
    );
    insta::assert_snapshot!(report(&world), @"
    fact of feed 0 at 1
    fact of feed 1 at 1
    fact of feed 2 at 1
    resume [0, 0, 0]
    fact of feed 1 at 2
    resume [0, 0, 0]
    0 paired 4, unmatched 1, late 0, duplicate 0; orphans 0, late 0; fact true
    ");
}

/// What a task says that reads these inputs in this order, a few records at a time, to their end.
fn read(
    spec: &PipelineSpec,
    logs: &[Vec<(i64, String)>],
    mut next: impl FnMut(&[usize]) -> (usize, usize),
) -> Said {
    let mut task = Task::recover(Arc::new(spec.clone()), 0, [], &BTreeSet::new());
    task.never_park();
    loop {
        let end = |input: usize| logs[input].last().map_or(0, |(offset, _)| offset + 1);
        let left: Vec<usize> = (0..logs.len()).filter(|&i| task.position(i) < end(i)).collect();
        if left.is_empty() {
            break;
        }
        let (input, most) = next(&left);
        let records = records(&logs[input], task.position(input)..i64::MAX, most);
        task.handle(Input::Records { input, records: &records, read_at: None });
    }
    let time = spec.time;
    let end = task.last_time().floor(time.pane).plus(time.pane).plus(time.wait).plus(time.skew);
    task.handle(Input::Finish { time: end });
    let (mut entries, mut files) = (Vec::new(), BTreeMap::new());
    for flush in [false, true] {
        if flush {
            task.handle(Input::Flush);
        }
        while let Some(effect) = task.poll() {
            match effect {
                Effect::Append(entry) => {
                    if let Entry::Fact(fact) = &entry {
                        task.handle(Input::Logged(*fact));
                    }
                    entries.push(entry);
                }
                Effect::Stage { name, rows, .. } => {
                    files.insert(name, rows);
                }
                Effect::DeadLetter(_) | Effect::Differs(_) => {}
            }
        }
    }
    Said::read(&entries, &files)
}

#[test]
fn the_order_of_reading_partitions_changes_nothing() {
    for seed in 0..300 {
        let mut rng = Rng(seed * 77 + 5);
        let partitions =
            [1 + rng.below(4) as u32, 1 + rng.below(4) as u32, 1 + rng.below(4) as u32];
        let spec = spec().routed(&partitions).unwrap();
        let logs = inputs(&mut rng);
        let logs = spread(&mut rng, logs, &partitions);
        let one = read(&spec, &logs, |left| (left[0], usize::MAX));
        let other = read(&spec, &logs, |left| {
            (left[rng.below(left.len() as u64) as usize], 1 + rng.below(9) as usize)
        });
        assert!(one == other, "seed {seed}");
    }
}

#[test]
fn with_one_partition_each_it_is_a_task_of_co_partitioned_topics() {
    for seed in 0..100 {
        let logs = inputs(&mut Rng(seed * 31 + 3));
        let routed = spec().routed(&[1, 1, 1]).unwrap();
        let order = |left: &[usize]| (left[0], usize::MAX);
        assert!(read(&spec(), &logs, order) == read(&routed, &logs, order), "seed {seed}");
    }
}

#[test]
fn partition_counts_are_part_of_what_the_task_does() {
    let spec = spec();
    let hash = |counts: &[u32]| spec.routed(counts).unwrap().tasks_hash;
    assert_ne!(hash(&[2, 3, 1]), hash(&[3, 2, 1]));
    assert_ne!(hash(&[2, 3, 1]), spec.tasks_hash);
    assert!(spec.routed(&[200, 50, 6]).unwrap_err().to_string().contains("256"));
}
