//! The command line: exit codes and what is said, end to end over files.

use std::path::Path;
use std::process::{Command, Output};

fn parallax(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

fn pipeline() -> String {
    format!("{}/pipelines/fraud.yaml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_bad_file_says_everything_and_exits_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    std::fs::write(
        &path,
        "pipeline: p\nprimary: {topik: a}\ncandidates: {b: {topic: b}}\nwindows: [7s]\n",
    )
    .unwrap();
    let done = parallax(&["validate", "bad.yaml"], folder.path());
    assert_eq!(done.status.code(), Some(78));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("bad.yaml:2:11") && said.contains("did you mean `topic`?"), "{said}");
    assert!(done.stdout.is_empty(), "data only on stdout");
    let done = parallax(&["validate", &pipeline()], folder.path());
    assert_eq!(done.status.code(), Some(0));
}

#[test]
fn an_unreachable_broker_exits_with_69_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let text = "pipeline: p\nkafka: {brokers: '127.0.0.1:1'}\nprimary: {topic: a}\ncandidates: {b: {topic: b}}\nhttp: {listen: none}\nrollback_when: [error_rate > 5%]\n";
    std::fs::write(path, text).unwrap();
    let done = parallax(&["run", "p.yaml"], folder.path());
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(69), "{said}");
    assert!(said.contains("127.0.0.1:1") && said.contains("kafka.brokers"), "{said}");
}

#[test]
fn two_replays_of_generated_files_are_identical_and_roll_back() {
    let folder = tempfile::tempdir().unwrap();
    let made = parallax(
        &[
            "generate",
            "--out",
            "data",
            "--requests",
            "20000",
            "--rate",
            "200",
            "--partitions",
            "2",
            "--duplicate",
            "1%",
            "--errors",
            "30%@60s:country=BR",
        ],
        folder.path(),
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut said = Vec::new();
    for out in ["one", "two"] {
        let done = parallax(
            &[
                "replay",
                "--pipeline",
                &pipeline(),
                "--source",
                "primary=data",
                "--source",
                "v8=data",
                "--out",
                out,
            ],
            folder.path(),
        );
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        said.push(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0].contains("ROLLBACK") && said[0].contains("country=BR holds"), "{}", said[0]);
    let files = |out: &str| -> Vec<(String, Vec<u8>)> {
        let root = folder.path().join(out);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    found.push((name, std::fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    };
    let (one, two) = (files("one"), files("two"));
    assert!(5 <= one.len());
    assert!(one == two, "the same input gives the same bytes");
}

#[test]
fn compact_says_what_it_merged_and_does_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "pipeline: fraud\nprimary: {topic: a}\ncandidates: {v8: {topic: b}}\nsegments: {country: {declared: [BR]}}\noutput: {directory: out, roll: 10s, matches: 100%}\nrollback_when: [error_rate > 5%]\n";
    std::fs::write(folder.path().join("p.yaml"), text).unwrap();
    let succeed = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let done = parallax(&arguments, folder.path());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    succeed(
        "generate --out data --requests 2000 --rate 20 --partitions 2 --start 2026-03-01T10:00:00Z",
    );
    succeed("replay --pipeline p.yaml --source primary=data --source v8=data --out out");
    assert_eq!(succeed("compact p.yaml"), "fraud: nothing to merge\n", "the newest day is open");
    let refused = parallax(&["compact", "p.yaml", "--day", "2026-03-01"], folder.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--keep-days 0"));
    let said = succeed("compact p.yaml --day 2026-03-01 --keep-days 0 -o json");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let pairs = said["merged"].as_array().unwrap().iter().find(|done| done["table"] == "pairs");
    let pairs = pairs.unwrap();
    assert_eq!((&pairs["day"], &pairs["candidate"]), (&"2026-03-01".into(), &"v8".into()));
    assert!(10 < pairs["files_before"].as_u64().unwrap() && pairs["files_after"] == 1, "{pairs}");
    assert!(pairs["bytes_after"].as_u64() < pairs["bytes_before"].as_u64(), "{pairs}");
    assert_eq!(pairs["rows"], 2000);
    assert_eq!(succeed("compact p.yaml --keep-days 0"), "fraud: nothing to merge\n");
    assert_eq!(std::fs::read_dir(folder.path().join("out/.staging")).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_no_text_exits_with_78_as_well() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.yaml"), b"pipeline: \xff\n").unwrap();
    let done = parallax(&["validate", "p.yaml"], folder.path());
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(78), "{said}");
    assert!(said.contains("p.yaml") && said.contains("UTF-8"), "{said}");
}

#[test]
fn generate_says_what_it_cant_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = |more: &[&str]| {
        let done = parallax(
            &[&["generate", "--out", "d", "--requests", "10"], more].concat(),
            folder.path(),
        );
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for (wrong, word) in [
        (["--partitions", "0"], "1 or more"),
        (["--rate", "0"], "more than 0"),
        (["--slow", "4@6m"], "write 4x@5m"),
        (["--errors", "x@2m"], "write 30%@5m"),
        (["--errors", "3%@2m:country=XX"], "there are US, BR"),
        (["--start", "yesterday"], "2026-01-01T10:00:00Z"),
    ] {
        let (code, said) = said(&wrong);
        assert!(code == Some(1) && said.contains(word), "{wrong:?}: {said}");
    }
    let (code, said) = said(&["--errors", "30%@2m"]);
    assert!(code == Some(0) && said.contains("the traffic ends at"), "{said}");
}

#[test]
fn a_replay_says_that_nothing_could_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), "not json\n").unwrap();
    let arguments = [
        "replay",
        "--pipeline",
        &pipeline(),
        "--source",
        "primary=x",
        "--source",
        "v8=x",
        "--out",
        "o",
    ];
    let done = parallax(&arguments, folder.path());
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("2 of 2 records couldn't be read"), "{said}");
    assert!(folder.path().join("o/dead_letters.jsonl").exists());
    assert!(String::from_utf8_lossy(&done.stdout).contains("nothing was compared"));
}

#[test]
fn a_second_replay_into_one_folder_is_refused_until_it_may_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |error: &str| -> String {
        let line = |n: i64| {
            let time = 1_767_268_800_000 + n * 100;
            format!(
                "{{\"request_id\":{n},\"event_time\":{time},\"prediction\":{{\"label\":\"a\"}}{error}}}\n"
            )
        };
        (0..300).map(line).collect()
    };
    std::fs::write(folder.path().join("good"), lines("")).unwrap();
    std::fs::write(folder.path().join("bad"), lines(",\"error_type\":{\"code\":14}")).unwrap();
    let text = "pipeline: t\nprimary: {topic: a}\ncandidates: {v8: {topic: b}}\nrollback_when: [error_rate > 5%]\n";
    std::fs::write(folder.path().join("p.yaml"), text).unwrap();
    let replay = |candidate: &str, more: &[&str]| {
        let candidate = format!("v8={candidate}");
        let words =
            ["replay", "--pipeline", "p.yaml", "--source", "primary=good", "--source", &candidate];
        parallax(&[&words, &["--out", "out"][..], more].concat(), folder.path())
    };
    let first = replay("bad", &[]);
    assert!(String::from_utf8_lossy(&first.stdout).contains("ROLLBACK"));
    assert!(folder.path().join("out/signals.jsonl").exists());
    let second = replay("good", &[]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(73), "{said}");
    assert!(said.contains("out already holds windows") && said.contains("--overwrite"), "{said}");
    std::fs::write(folder.path().join("out/notes"), "").unwrap();
    let third = replay("good", &["--overwrite"]);
    assert!(third.status.success(), "{}", String::from_utf8_lossy(&third.stderr));
    assert!(!folder.path().join("out/signals.jsonl").exists(), "what the first one said is gone");
    assert!(folder.path().join("out/notes").exists(), "what no replay wrote stays");
}
