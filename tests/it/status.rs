//! What a pipeline says of itself: how far recovery has come, and what `parallax status` reads in a log.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parallax::adapters::generate::{Pace, to_kafka};
use parallax::adapters::http;
use parallax::adapters::kafka::mock::EmbeddedBroker;
use parallax::adapters::log::file::FileLog;
use parallax::adapters::log::kafka::{KafkaLog, LogTopics};
use parallax::config::endpoint::LogEndpoint;
use parallax::config::{self, Pipeline};
use parallax::engine::evaluator;
use parallax::engine::{Input, ReadAgain, Task};
use parallax::generate::Scenario;
use parallax::model::entry::{Entry, EvaluatorEntry};
use parallax::model::record::Record;
use parallax::model::spec::PipelineSpec;
use parallax::runtime::clock::HostClock;
use parallax::runtime::log::{Begin, Body, Log, Stream};
use parallax::runtime::snapshot::{Snapshot, Snapshots};
use parallax::runtime::stop::Stop;
use parallax::wiring::reading;
use serde_json::{Value, json};

use crate::world::{World, at, event, spec};

const TIMES: &str = "time: {pane: 10s, wait: 5s, skew: 1s, idle_after: 2s}\n";

fn pipeline(folder: &Path, rest: &str) -> Pipeline {
    let text = format!(
        "pipeline: fraud\nprimary: {{topic: a}}\ncandidates: {{v8: {{topic: b}}}}\nlog: {{directory: state}}\n\
         output: {{matches: 0%}}\nwindows: [1m]\nrollback_when: [error_rate > 5%]\n{TIMES}{rest}"
    );
    std::fs::write(folder.join("p.yaml"), &text).unwrap();
    config::load(&text, "p.yaml", &HashMap::new()).map_err(|p| p.render(false)).unwrap()
}

/// What `status` says on stdout.
fn status(folder: &Path, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    let done = command.args(["status", "p.yaml"]).args(more).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The document that `status` prints for programs; it fits its schema.
fn document(folder: &Path) -> Value {
    let document: Value = serde_json::from_str(&status(folder, &["-o", "json"])).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/status.v1.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    document
}

/// Takes what changes from day to day out of a text, and blanks with it.
fn settled(text: &str, pipeline: &Pipeline) -> String {
    let text = text.replace(&format!("{:016x}", pipeline.spec.config_hash), "[configuration]");
    let line = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(without_age).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// `29, 3 d 4 h ago` as `29, [age]`; `…, 2026-11-25T09:00:00.000Z` as `…, [now]`.
fn without_age(cell: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in cell.split(' ') {
        if word.trim_end_matches(')') == "ago" {
            let mut open = "";
            while let Some(before) = words.pop_if(|w| w.len() < 6 && !w.ends_with(',')) {
                open = if before.starts_with('(') { "(" } else { "" };
            }
            words.push(if open.is_empty() { "[age]" } else { "([age])" });
        } else if word.ends_with('Z') && cell.contains("configuration") {
            words.push("[now]");
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

/// Two tasks that were claimed once; both arms answer, and from some second on the candidate fails.
fn lived(pipeline: &Pipeline) -> World {
    let mut world = World::new(pipeline.spec.clone(), 2);
    let claim = Entry::Claim { nonce: 7, config: pipeline.spec.config_hash };
    for task in 0..2 {
        world.logs[task as usize].push((1, claim.clone()));
        world.evaluator.handle(evaluator::Input::Entry { task, position: 1, entry: &claim });
    }
    for number in 0..66 * 40 {
        let (second, task) = (number / 40, number % 2);
        let time = f64::from(number) / 40.0;
        let label = if 60 <= second && number % 4 == 0 { "!" } else { "ok" };
        for (input, label) in [(0, "ok"), (1, label)] {
            let value = event(&format!("r{number}"), time, label, 10.0, "BR");
            world.record(task as usize, input, value.as_bytes());
        }
        if number % 40 == 39 {
            world.tick(at(f64::from(second + 1)));
        }
        if number == 50 * 40 {
            world.evaluator.handle(evaluator::Input::Flush);
            world.settle();
        }
    }
    let ends: Vec<(usize, i64)> = (0..2).map(|i| (i, world.tasks[1].position(i))).collect();
    let standing = Input::Standing { ends: &ends, confirmed: at(80.0), needed: &[] };
    world.tasks[1].handle(standing);
    world.settle();
    world
}

/// Writes what an engine wrote down into a log in a folder.
fn write_down(folder: &Path, pipeline: &Pipeline, world: &World) {
    let (mut log, _) = FileLog::open(&folder.join("state"), 2).unwrap();
    write_to(&mut log, pipeline, world);
}

/// Writes what an engine wrote down into a log; it is durable then.
fn write_to(log: &mut dyn Log, pipeline: &Pipeline, world: &World) {
    let claim = EvaluatorEntry::Claim { nonce: 7, config: pipeline.spec.config_hash };
    for stream in [Stream::Task(0), Stream::Task(1), Stream::Evaluator] {
        log.read(stream, Begin::Behind(0)).unwrap();
    }
    let mut written = 1 + world.logs.iter().map(Vec::len).sum::<usize>();
    for (partition, entries) in (0..).zip(&world.logs) {
        for (at, (_, entry)) in entries.iter().enumerate() {
            let body = Body::Task(Arc::new(entry.clone()));
            log.append(Stream::Task(partition), u64::from(at != 0), body).unwrap();
        }
    }
    log.append(Stream::Evaluator, 0, Body::Evaluator(Arc::new(claim))).unwrap();
    // The control topic's word on the signal is lost.
    for entry in
        world.weighings.iter().filter(|entry| !matches!(entry, EvaluatorEntry::Sent { .. }))
    {
        log.append(Stream::Evaluator, 1, Body::Evaluator(Arc::new(entry.clone()))).unwrap();
        written += 1;
    }
    while written != 0 {
        match log.poll().unwrap() {
            Some(_) => written -= 1,
            None => std::thread::yield_now(),
        }
    }
}

#[test]
fn a_dead_pipeline_is_told_by_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = pipeline(folder.path(), "http: {listen: none}\n");
    write_down(folder.path(), &pipeline, &lived(&pipeline));
    insta::assert_snapshot!(settled(&status(folder.path(), &[]), &pipeline), @r"
    fraud: log in state, configuration [configuration], [now]

    TASK  EPOCH  CLAIMED  LAST ENTRY  CLOSED TO  RESUMES AT  READS AGAIN  FACTS  PARKED
    0  1  [age]  79, [age]  2023-11-14 22:14:10 ([age])  primary 940, v8 940  at least 760 records  0  -
    1  1  [age]  82, [age]  2023-11-14 22:14:30 ([age])  primary 1320, v8 1320  at least 0 records  2  -

    EVALUATOR'S EPOCH  CLAIMED  LAST ENTRY  LAST STATE
    1  [age]  76, [age]  59, [age]

    CANDIDATE  WEIGHED TO  NEWEST SIGNAL  NOT SENT
    v8  2023-11-14 22:14:10 ([age])  rollback, sequence 2304, 2023-11-14T22:14:25.974Z  1
    ");
    let document = document(folder.path());
    let evaluator = &document["evaluator"];
    assert_eq!(evaluator["unsent"][0], evaluator["candidates"][0]["newest_signal"]);
    let task = &document["tasks"][1];
    insta::assert_snapshot!(format!("{:#}", task["facts"]), @r#"
    [
      {
        "arm": "primary",
        "end": false,
        "offset": 1320,
        "time": "2023-11-14T22:14:38.000Z"
      },
      {
        "arm": "v8",
        "end": false,
        "offset": 1320,
        "time": "2023-11-14T22:14:38.000Z"
      }
    ]
    "#);
    assert_eq!(task["last_entry"], json!({ "position": 82, "at": "2023-11-14T22:14:40.000Z" }));
    assert_eq!((&task["horizon"], &task["inputs"][0]["read_to"]), (&Value::Null, &json!(1320)));
}

#[test]
fn what_a_process_here_says_is_told_if_it_runs_this_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let published = Snapshots::default();
    let any = Some(([127, 0, 0, 1], 0).into());
    let (_, bound) = http::start(any, published.clone(), None, Stop::default()).unwrap();
    let listen = format!("http: {{listen: '{}'}}\n", bound.unwrap());
    let pipeline = pipeline(folder.path(), &listen);
    write_down(folder.path(), &pipeline, &lived(&pipeline));
    assert_eq!(document(folder.path())["process"]["reason"], "it says nothing yet");
    let why = |pipeline: &str| {
        let comparison = json!({ "candidate": "v8", "held_by": "primary", "because": "it sleeps" });
        let again = json!({ "records": 1200, "left": 700 });
        json!({
            "pipeline": pipeline,
            "evaluator": { "here": true, "leads": true },
            "tasks": [{ "task": 0, "read_again": again, "comparisons": [comparison] }],
        })
    };
    published.publish(Snapshot { why: why("ranker"), ..Snapshot::default() });
    let process = document(folder.path())["process"].clone();
    assert_eq!(process["reason"], "another pipeline answers there: ranker");
    published.publish(Snapshot { why: why("fraud"), ..Snapshot::default() });
    assert_eq!(document(folder.path())["process"]["why"], why("fraud"));
    let said = status(folder.path(), &[]);
    assert!(said.contains("answers: the evaluator leads here"), "{said}");
    assert!(said.contains("0     v8         primary  700 of 1,200 left  it sleeps"), "{said}");
}

#[test]
fn who_doesnt_weigh_tells_the_verdict_by_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = pipeline(folder.path(), "");
    pipeline.endpoints.log = LogEndpoint::Folder(folder.path().join("state"));
    let world = lived(&pipeline);
    let clock = HostClock::Real;
    let ask = |spec: Option<&Arc<PipelineSpec>>, path: &str| {
        let published = Snapshots::default();
        let any = Some(([127, 0, 0, 1], 0).into());
        let told = reading::told(pipeline.clone(), clock);
        let (_, bound) = http::start(any, published.clone(), Some(told), Stop::default()).unwrap();
        // It owns tasks, but not the first one.
        published.publish(Snapshot { spec: spec.cloned(), ..Snapshot::default() });
        get(bound.unwrap(), path)
    };
    let path = "/api/v1/pipelines/fraud/verdict";
    let (status, said) = ask(Some(&world.spec), path);
    assert_eq!(status, 503, "there is no log yet: {said}");
    assert!(said["reason"].as_str().unwrap().contains("state/parallax.log"), "{said}");
    write_down(folder.path(), &pipeline, &world);
    let (status, mut said) = ask(Some(&world.spec), path);
    assert_eq!((status, &said["verdict"]), (200, &json!("rollback")), "{said}");
    let mut wanted = world.evaluator.verdict(0).unwrap();
    assert!(said["stale"] == true && wanted["stale"] != true, "its age is told by the clock here");
    // The last window isn't part of a whole state: it is told when the next one was reported.
    for of_its_own in ["stale", "age_s", "last_window"] {
        said[of_its_own].take();
        wanted[of_its_own].take();
    }
    assert_eq!(said, wanted, "what whoever weighs says");
    assert_eq!(ask(None, path).0, 200, "before it has found its brokers, too");
    assert_eq!(ask(Some(&world.spec), &format!("{path}?candidate=v9")).0, 404);
    assert_eq!(ask(None, "/api/v1/pipelines/ranker/verdict").0, 404);
}

/// The status of an answer, and what it says.
fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn what_a_new_owner_reads_again_is_asked_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let broker = EmbeddedBroker::start(&["a", "b", "parallax.control"], 2).unwrap();
    let brokers = broker.endpoint("any").brokers;
    let kafka = format!("kafka: {{brokers: '{brokers}'}}\nhttp: {{listen: none}}\n");
    pipeline(folder.path(), &kafka);
    let send = |seed: u64, requests: u64| {
        let scenario = Scenario { requests, rate: 20.0, partitions: 2, ..Scenario::fraud(seed) };
        let topics = ["a".to_owned(), "b".to_owned()];
        let endpoint = broker.endpoint("any");
        to_kafka(scenario, &endpoint, &topics, Pace::Full, &Stop::default()).unwrap();
    };
    send(1, 4000);
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    let done = command.args(["run", "p.yaml", "--until-end"]).current_dir(folder.path()).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let input = |document: &Value, name: &str| -> i64 {
        let inputs = document["tasks"].as_array().unwrap().iter().map(|task| &task["inputs"][0]);
        inputs.map(|input| input[name].as_i64().unwrap()).sum()
    };
    let before = document(folder.path());
    assert_eq!((input(&before, "end"), input(&before, "read_to")), (4000, 4000));
    assert_eq!(input(&before, "held_from"), 0);
    assert_eq!(input(&before, "horizon"), 4000 - input(&before, "resumes_at"));
    send(2, 500);
    let after = document(folder.path());
    assert_eq!(input(&after, "horizon"), input(&before, "horizon") + 500);
    assert_eq!(after["problems"], json!([]));
}

#[test]
fn a_log_on_kafka_tells_the_same_as_one_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = pipeline(folder.path(), "http: {listen: none}\n");
    let world = lived(&in_folder);
    write_down(folder.path(), &in_folder, &world);
    let wanted = document(folder.path());
    let broker = EmbeddedBroker::start(&["a", "b", "x", "x.evaluator"], 2).unwrap();
    let endpoint = broker.endpoint("any");
    let text = std::fs::read_to_string(folder.path().join("p.yaml")).unwrap();
    let text = text.replace("directory: state", "topic: x");
    let kafka = format!("kafka: {{brokers: '{}'}}\n", endpoint.brokers);
    std::fs::write(folder.path().join("p.yaml"), text + &kafka).unwrap();
    let mut log = KafkaLog::new(&endpoint, LogTopics::new("x")).unwrap();
    write_to(&mut log, &in_folder, &world);
    let said = document(folder.path());
    let told = |document: &Value, task: usize, name: &str| document["tasks"][task][name].clone();
    for (task, name) in [0, 1].into_iter().flat_map(|task| {
        ["epoch", "claimed", "last_entry", "comparisons", "facts"].map(|name| (task, name))
    }) {
        assert_eq!(told(&said, task, name), told(&wanted, task, name), "{name} of {task}");
    }
    assert_eq!(said["evaluator"], wanted["evaluator"]);
    let problem = said["problems"][0].as_str().unwrap();
    assert!(problem.contains("a/0 ends at 0, and was read up to 1320"), "{problem}");
}

#[test]
fn a_loss_stops_a_run_unless_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let run = |brokers: &str, more: &[&str]| {
        let kafka = format!("kafka: {{brokers: '{brokers}'}}\nhttp: {{listen: none}}\n");
        pipeline(folder.path(), &kafka);
        let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
        command.args(["run", "p.yaml", "--until-end"]).args(more).current_dir(folder.path());
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let broker = || EmbeddedBroker::start(&["a", "b", "parallax.control"], 2).unwrap();
    let send = |broker: &EmbeddedBroker, seed: u64, requests: u64, later_s: i64| {
        let scenario = Scenario::fraud(seed);
        let start_us = scenario.start_us + later_s * 1_000_000;
        let scenario = Scenario { requests, rate: 20.0, partitions: 2, start_us, ..scenario };
        let topics = ["a".to_owned(), "b".to_owned()];
        let endpoint = broker.endpoint("any");
        to_kafka(scenario, &endpoint, &topics, Pace::Full, &Stop::default()).unwrap();
        endpoint.brokers
    };
    let first = broker();
    assert_eq!(run(&send(&first, 1, 4000, 0), &[]).0, Some(0));
    // The topics are made anew and hold later traffic, less of it.
    let anew = broker();
    let brokers = send(&anew, 2, 1000, 600);
    let (code, said) = run(&brokers, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--accept-loss"), "{said}");
    let (code, said) = run(&brokers, &["--accept-loss"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("goes on without them"), "{said}");
    send(&anew, 3, 1000, 700);
    assert_eq!(run(&brokers, &[]).0, Some(0), "a successor knows of it");
    let frames = FileLog::read_only(&folder.path().join("state")).unwrap().frames;
    for partition in 0..2 {
        let entries = frames[&Stream::Task(partition)].iter().filter_map(|f| match &f.body {
            Body::Task(entry) => Some(entry.as_ref()),
            Body::Evaluator(_) => None,
        });
        let entries: Vec<&Entry> = entries.collect();
        let lost: Vec<usize> =
            (0..entries.len()).filter(|&n| matches!(entries[n], Entry::Lost(_))).collect();
        assert_eq!(lost.len(), 2, "one of each input");
        let since = entries[lost[1]..].iter().filter_map(|entry| match entry {
            Entry::Checkpoint(closed) => Some(&closed.panes),
            _ => None,
        });
        let panes: Vec<_> = since.flatten().collect();
        assert!(panes[0].partial && !panes[panes.len() - 1].partial, "{panes:#?}");
        let vitals = entries[lost[1]..].iter().filter_map(|entry| match entry {
            Entry::Vitals(vitals) => vitals.arms[0].total().remove(&Default::default()),
            _ => None,
        });
        let counted: u64 = vitals.map(|counts| counts.requests).sum();
        // What may be the rest of a topic that was cut short isn't counted twice.
        assert!((400..600).contains(&counted), "{counted} are counted that came after it");
    }
}

#[test]
fn a_pipeline_that_never_ran_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    pipeline(folder.path(), "http: {listen: none}\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    let done = command.args(["status", "p.yaml"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("state/parallax.log"), "{said}");
}

#[test]
fn a_new_owner_says_how_far_it_has_come() {
    let mut world = World::new(spec(), 1);
    for second in 0..40 {
        let value = event(&format!("r{second}"), f64::from(second), "ok", 10.0, "BR");
        for input in 0..2 {
            world.record(0, input, value.as_bytes());
        }
        world.tick(at(f64::from(second + 1)));
    }
    assert_eq!(world.tasks[0].status().read_again(), ReadAgain::default(), "nobody was before it");
    let entries = world.logs[0].iter().map(|(_, entry)| entry);
    let mut successor = Task::recover(Arc::clone(&world.spec), 0, entries, &BTreeSet::new());
    let from = successor.position(0);
    let horizon = u64::try_from(40 - from).unwrap();
    let again = successor.status().read_again();
    assert_eq!(again, ReadAgain { records: 2 * horizon, left: 2 * horizon }, "from {from} on");
    for offset in from..40 {
        let value = event(&format!("r{offset}"), offset as f64, "ok", 10.0, "BR");
        let value = Some(value.as_bytes());
        let record = Record { offset, timestamp_ms: None, key: None, value };
        for input in 0..2 {
            successor.handle(Input::Records { input, records: &[record], read_at: None });
        }
        let left = 2 * u64::try_from(39 - offset).unwrap();
        assert_eq!(successor.status().read_again(), ReadAgain { left, ..again });
    }
}
