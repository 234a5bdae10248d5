//! Pipeline files: those that ship load, and bad ones say everything at once, with place and cure.

use std::collections::HashMap;
use std::path::Path;

use parallax::config::{self, Pipeline};

fn load(text: &str) -> Result<Pipeline, String> {
    let environment = HashMap::from([("SECRET".to_owned(), "hunter2".to_owned())]);
    config::load(text, "p.yaml", &environment).map_err(|problems| problems.render(false))
}

fn wrong(text: &str) -> String {
    load(text).map(|pipeline| format!("{pipeline:?}")).expect_err("this file is wrong")
}

const HEAD: &str = "pipeline: p\nprimary: {topic: a}\ncandidates: {b: {topic: b}}\n";

#[test]
fn every_shipped_pipeline_loads_and_fits_the_schema() {
    let validator = jsonschema::validator_for(&config::schema()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        load(&text).unwrap();
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let problems: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}");
        count += 1;
    }
    assert!(3 <= count);
}

#[test]
fn the_committed_schema_is_the_codes() {
    let committed = include_str!("../../schemas/pipeline.v1.json");
    let committed: serde_json::Value = serde_json::from_str(committed).unwrap();
    assert_eq!(
        committed,
        config::schema(),
        "run: parallax schema pipeline > schemas/pipeline.v1.json"
    );
}

#[test]
fn all_problems_come_at_once_with_place_and_cure() {
    let text = "\
pipeline: Fraud
primary: {topic: fraud.primary}
candidates:
  v8: {topic: fraud.primary}
time: {pane: 10, wiat: 30s}
windows: [7s]
rollback_when:
  - eror_rate > 5%
  - error_rate > 5% in country=BR
promote_when:
  - accuracy >= 0.95x primary
kafka:
  brokers: localhost:9092
  properties: {enable.auto.commit: 'true', sasl.password: '${SECRET}'}
";
    insta::assert_snapshot!(wrong(text));
}

#[test]
fn secrets_never_show() {
    let text =
        format!("{HEAD}kafka: {{brokers: x, properties: {{sasl.password: '${{SECRET}}'}}}}\n");
    let pipeline = load(&text).unwrap();
    assert!(!format!("{pipeline:?}").contains("hunter2"));
    let text = format!("{HEAD}time: {{pane: '${{SECRET}}'}}\n");
    assert!(!wrong(&text).contains("hunter2"));
}

#[test]
fn the_hash_follows_the_meaning_not_the_place() {
    let hash = |text: &str| load(text).unwrap().spec.config_hash;
    let one = hash(HEAD);
    assert_eq!(one, hash(&format!("# a comment\n{HEAD}log: {{directory: elsewhere}}\n")));
    assert_ne!(one, hash(&format!("{HEAD}time: {{wait: 31s}}\n")));
}

#[test]
fn a_revision_is_a_whole_number_from_1_and_no_part_of_the_meaning() {
    let spec = |text: &str| load(&format!("{HEAD}{text}")).unwrap().spec;
    assert_eq!(spec("").revision, 1);
    assert_eq!(spec("revision: 7\n").revision, 7);
    assert_eq!(spec("revision: 7\n").config_hash, spec("").config_hash);
    for wrongly in ["0", "-1", "1.5", "two"] {
        let said = wrong(&format!("{HEAD}revision: {wrongly}\n"));
        assert!(said.contains("p.yaml:4:"), "{said}");
    }
}

#[test]
fn what_tasks_do_and_what_the_evaluator_does_are_told_apart() {
    let spec = |text: &str| load(&format!("{HEAD}{text}")).unwrap().spec;
    let now = spec("");
    assert_eq!(now.config_hash, 0x6c99_3166_8110_cc4a, "a file of today means what it meant");
    for rules in [
        "rollback_when: ['error_rate > 5%']",
        "certainty: {per_rollout: 2%}",
        "mirrored: 50%",
        "shared_cause: rollback",
        "control: {dry_run: false}",
    ] {
        let other = spec(&format!("{rules}\n"));
        assert_eq!(other.tasks_hash, now.tasks_hash, "{rules}");
        assert_ne!(other.config_hash, now.config_hash, "{rules}");
        assert_eq!(now.with_rules(&other.rules_spec()), other, "{rules}");
    }
    for tasks in [
        "model: m",
        "time: {wait: 31s}",
        "compare: argmax",
        "segments: {country: {declared: [BR]}}",
        "labels: {max: 3}",
        "scores: {edges: [0.5]}",
        "windows: [60s]",
        "output: {matches: 2%}",
        "output: {roll: 10m}",
        "output: {roll_rows: 7000}",
    ] {
        let other = spec(&format!("{tasks}\n"));
        assert_ne!(other.tasks_hash, now.tasks_hash, "{tasks}");
        assert_ne!(other.config_hash, now.config_hash, "{tasks}");
    }
}
