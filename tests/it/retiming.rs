//! Streams across a change of pane, wait and skew, record by record; a change on a running pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallax::engine::{Effect, Input, Task};
use parallax::model::entry::{Entry, Heard, TimesSaid};
use parallax::model::record::Record;
use parallax::model::time::Span;
use parallax::model::times::{Tempo, Times};

use crate::world::{at, event, spec};

fn tempo([pane, wait, skew]: [i64; 3]) -> Tempo {
    let [pane, wait, skew] = [pane, wait, skew].map(Span::from_secs);
    Tempo { pane, wait, skew }
}

fn said(times: Times) -> Entry {
    Entry::Times(TimesSaid { times, hold: None, heard: Heard::default(), config: 7 })
}

/// The panes that come out of two inputs of (id, seconds): per arm paired, alone, duplicates, late.
fn panes(before: [i64; 3], after: [i64; 3], inputs: [&[(&str, f64)]; 2]) -> String {
    let (before, tempo) = (tempo(before), tempo(after));
    let times = Times { revision: 2, before, from: at(60.0), tempo };
    let mut task = Task::recover(Arc::new(spec()), 0, &[said(times)], &BTreeSet::new());
    for (input, records) in inputs.iter().enumerate() {
        for (offset, (id, seconds)) in (0..).zip(records.iter()) {
            let value = event(id, *seconds, "ok", 1.0, "BR");
            let value = Some(value.as_bytes());
            let records = [Record { offset, timestamp_ms: None, key: None, value }];
            task.handle(Input::Records { input, records: &records, read_at: None });
        }
    }
    task.handle(Input::Finish { time: at(1000.0) });
    let mut closed = BTreeMap::new();
    while let Some(effect) = task.poll() {
        match effect {
            Effect::Append(Entry::Fact(fact)) => task.handle(Input::Logged(fact)),
            Effect::Append(Entry::Checkpoint(entry)) => {
                closed.extend(entry.panes.into_iter().map(|pane| (pane.start, pane)));
            }
            _ => {}
        }
    }
    let mut text = String::new();
    for (start, pane) in closed {
        let size = times.at(start).pane.as_secs();
        let from = start.since(at(0.0)).as_secs();
        text.push_str(&format!("{from}+{size}:"));
        for buckets in [&pane.primary, &pane.candidate] {
            let [paired, alone, duplicate, late] =
                [buckets.paired, buckets.alone, buckets.duplicate, buckets.late];
            text.push_str(&format!(" [{paired} {alone} {duplicate} {late}]"));
        }
        text.push('\n');
    }
    text
}

#[test]
fn everything_grows() {
    // b's answer is near enough for the new skew alone, f is late for the old wait, g by its own.
    let primary =
        [("a", 52.0), ("b", 58.0), ("d", 59.5), ("e", 62.0), ("x", 70.0), ("f", 64.0), ("g", 59.0)];
    let candidate = [("a", 52.5), ("b", 60.5), ("d", 60.4), ("e", 65.0), ("x", 70.0), ("x", 72.0)];
    assert_eq!(
        panes([10, 5, 1], [20, 15, 4], [&primary, &candidate]),
        "50+10: [2 1 0 0] [2 0 0 0]\n60+20: [2 1 0 1] [2 1 1 0]\n"
    );
}

#[test]
fn everything_shrinks() {
    // a's answer is near enough for the old skew alone; f isn't late, as its time is of the old wait.
    let primary = [("a", 58.0), ("b", 61.0), ("x", 72.0), ("f", 58.5), ("g", 66.0), ("y", 80.0)];
    let candidate = [("f", 56.0), ("a", 61.5), ("b", 61.8), ("x", 72.0), ("y", 80.0), ("y", 83.0)];
    assert_eq!(
        panes([20, 15, 4], [10, 5, 1], [&primary, &candidate]),
        "40+20: [1 1 0 0] [1 0 0 0]\n60+10: [1 0 0 0] [1 1 0 0]\n70+10: [1 0 0 1] [1 0 0 0]\n\
         80+10: [1 0 0 0] [1 1 0 0]\n"
    );
}

#[test]
fn a_task_holds_until_it_hears_and_answers_again_only_behind_the_last_change() {
    let spec = Arc::new(spec());
    let mut task = Task::recover(Arc::clone(&spec), 0, &[], &BTreeSet::new());
    let wanted = tempo([20, 5, 1]);
    let hold = task.answer(2, wanted, None).unwrap();
    assert_eq!(hold.to.us(), i64::MIN, "nothing is closed: it may change from the beginning");

    // Closed to 90; the next pane and window that end together and lie clear of it end at 120.
    let feed = |task: &mut Task, seconds: std::ops::Range<i64>| {
        for (second, input) in seconds.flat_map(|second| [(second, 0), (second, 1)]) {
            let offset = task.position(input);
            let value = event(&format!("r{second}"), second as f64, "ok", 1.0, "BR");
            let value = Some(value.as_bytes());
            let records = [Record { offset, timestamp_ms: None, key: None, value }];
            task.handle(Input::Records { input, records: &records, read_at: None });
        }
    };
    let mut task = Task::recover(Arc::clone(&spec), 0, &[], &BTreeSet::new());
    feed(&mut task, 0..98);
    assert_eq!(task.closed_to(0), at(90.0));
    let hold = task.answer(2, wanted, None).unwrap();
    let base = at(0.0).floor(Span::from_secs(60)).since(at(-60.0)).as_secs() - 60.0;
    assert_eq!(hold.to, at(base + 120.0), "windows begin at whole minutes of the epoch");
    feed(&mut task, 98..300);
    assert_eq!(task.closed_to(0), hold.limit(&spec.time.tempo()));

    let mut log = vec![Entry::Claim { nonce: 1, config: 7 }];
    while let Some(effect) = task.poll() {
        if let Effect::Append(entry) = effect {
            log.push(entry);
        }
    }
    let (before, from) = (spec.time.tempo(), hold.to.plus(Span::from_secs(60)));
    log.push(said(Times { revision: 2, before, from, tempo: wanted }));
    let mut task = Task::recover(Arc::clone(&spec), 0, &log, &BTreeSet::new());
    assert!(task.answer(3, before, None).is_none(), "what it reads again lies before the change");
    let again = task.position(0);
    feed(&mut task, again..300);
    assert!(from < task.closed_to(0));
    feed(&mut task, 300..600);
    assert!(task.answer(3, before, None).is_some());
}
