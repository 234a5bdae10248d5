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
