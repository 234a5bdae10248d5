//! Several workers in one process: the same files and signals as one, and one answer over HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use parallax::adapters::generate::{Pace, to_kafka};
use parallax::adapters::kafka::mock::EmbeddedBroker;
use parallax::generate::Scenario;
use parallax::generate::scenario::{Fault, FaultKind, Faults, Where};
use parallax::runtime::end_barrier::EndBarrier;
use parallax::runtime::snapshot::{Snapshot, Snapshots};
use parallax::runtime::stop::Stop;
use serde_json::{Value, json};

use crate::world::at;

/// A bounded run with so many threads, in a folder of its own.
fn run(brokers: &str, threads: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "pipeline: fraud\nthreads: {threads}\nkafka: {{brokers: '{brokers}'}}\nprimary: {{topic: a}}\n\
         candidates: {{v8: {{topic: b}}}}\noutput: {{matches: 100%, roll: 30s}}\nrollback_when: [error_rate > 5%]\n\
         http: {{listen: none}}\n"
    );
    std::fs::write(folder.path().join("p.yaml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    let done = command.args(["run", "p.yaml", "--until-end"]).current_dir(folder.path()).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    folder
}

/// Bytes by path of everything below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in next.read_dir().unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_path_buf();
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// Ids of the signals that panes led to; when a second of vitals ends is the host's business.
fn signals(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("out/signals.jsonl")).unwrap();
    let signals = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    signals
        .filter(|signal| signal["data"]["rule"]["basis"] == "panes")
        .map(|s| s["id"].clone())
        .collect()
}

#[test]
fn several_workers_come_to_what_one_does() {
    let broker = EmbeddedBroker::start(&["a", "b"], 5).unwrap();
    let topics = ["a".to_owned(), "b".to_owned()];
    let kind = FaultKind::Errors(0.5);
    let candidate = vec![Fault { kind, at_s: 60.0, place: Where::default() }];
    let faults = Faults { candidate, ..Faults::default() };
    let scenario =
        Scenario { requests: 12_000, rate: 100.0, partitions: 5, faults, ..Scenario::fraud(3) };
    to_kafka(scenario, &broker.endpoint("any"), &topics, Pace::Full, &Stop::default()).unwrap();
    let brokers = broker.endpoint("any").brokers;
    let one = run(&brokers, "1");
    let pairs = files(&one.path().join("out/pairs"));
    assert!(10 < pairs.len(), "{} files", pairs.len());
    assert_eq!(signals(one.path()).len(), 1, "the candidate is rolled back");
    for threads in ["2", "auto", "64"] {
        let several = run(&brokers, threads);
        assert_eq!(files(&several.path().join("out/pairs")), pairs, "{threads} threads");
        assert_eq!(signals(several.path()), signals(one.path()), "{threads} threads");
    }
}

#[test]
fn workers_of_a_bounded_run_wait_for_the_last() {
    let [one, two, three]: [EndBarrier; 3] = EndBarrier::of(3).try_into().unwrap();
    assert_eq!(one.has_read(at(10.0)), None);
    assert_eq!(three.has_read(at(30.0)), None);
    assert_eq!(two.has_read(at(20.0)), Some(at(30.0)));
    assert_eq!(one.has_read(at(10.0)), Some(at(30.0)), "whoever asks");
    two.has_written([(1, 7)].into());
    assert_eq!(one.written_by_others(), None);
    three.has_written([(2, 9)].into());
    assert_eq!(one.written_by_others(), Some([(1, 7), (2, 9)].into()));
}

#[test]
fn what_workers_say_adds_up() {
    let all = Snapshots::default();
    let [one, two]: [Snapshots; 2] = all.split(2).try_into().unwrap();
    let why = |task: u32, here: bool, bytes: u64| {
        let evaluator = json!({ "here": here, "leads": here });
        json!({ "pipeline": "fraud", "evaluator": evaluator, "log_bytes": bytes, "tasks": [{ "task": task }] })
    };
    one.publish(Snapshot { ready: true, why: why(3, false, 10), ..Snapshot::default() });
    assert!(!all.read().ready, "the other hasn't said anything yet");
    two.publish(Snapshot { ready: true, why: why(0, true, 5), ..Snapshot::default() });
    let both = all.read();
    assert!(both.ready);
    assert_eq!(both.why["tasks"], json!([{ "task": 0 }, { "task": 3 }]));
    assert_eq!(
        (&both.why["log_bytes"], &both.why["evaluator"]["here"]),
        (&json!(15), &json!(true))
    );
}
