//! Pipeline files: those that ship load, and bad ones say everything at once, with place and cure.

use std::collections::HashMap;
use std::path::Path;

use parallax::config::endpoint::Threads;
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
    let properties = &pipeline.endpoints.kafka.as_ref().unwrap().properties;
    assert_eq!(properties["sasl.password"].value, "hunter2", "a variable in quotes is read, too");
    assert!(!format!("{pipeline:?}").contains("hunter2"));
    for wrongly in ["time: {pane: '${SECRET}'}", "labels: {max: '${SECRET}'}", "compare: ${SECRET}"]
    {
        let said = wrong(&format!("{HEAD}{wrongly}\n"));
        assert!(!said.contains("hunter2"), "{said}");
    }
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
fn threads_are_a_number_or_auto_and_no_part_of_the_meaning() {
    let pipeline = |text: &str| load(&format!("{HEAD}{text}")).unwrap();
    assert_eq!(pipeline("").endpoints.threads, Threads::Exactly(1));
    assert_eq!(pipeline("threads: 4\n").endpoints.threads, Threads::Exactly(4));
    assert_eq!(pipeline("threads: auto\n").endpoints.threads, Threads::Auto);
    assert_eq!(pipeline("threads: 4\n").spec.config_hash, pipeline("").spec.config_hash);
    for wrongly in ["0", "-1", "257", "1.5", "many"] {
        let said = wrong(&format!("{HEAD}threads: {wrongly}\n"));
        assert!(said.contains("p.yaml:4:10") && said.contains("write `auto`"), "{said}");
    }
}

#[test]
fn what_tasks_do_and_what_the_evaluator_does_are_told_apart() {
    let spec = |text: &str| load(&format!("{HEAD}{text}")).unwrap().spec;
    let now = spec("");
    assert_eq!(now.config_hash, 0x777c_feeb_8975_1ada, "a file of today means what it meant");
    for rules in [
        "rollback_when: ['error_rate > 5%']",
        "certainty: {per_rollout: 2%}",
        "certainty: {dependence: blocks}",
        "mirrored: 50%",
        "shared_cause: rollback",
        "control: {dry_run: false}",
    ] {
        let other = spec(&format!("{rules}\n"));
        assert_eq!(other.tasks_hash, now.tasks_hash, "{rules}");
        assert_ne!(other.config_hash, now.config_hash, "{rules}");
        assert_eq!(now.with_rules(&other.rules_spec()), other, "{rules}");
    }
    assert_eq!(spec("certainty: {dependence: estimated}\n").config_hash, now.config_hash);
    let said = wrong(&format!("{HEAD}certainty: {{dependence: none}}\n"));
    assert!(said.contains("p.yaml:4:25") && said.contains("`estimated` or `blocks`"), "{said}");
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

#[test]
fn a_variable_that_nobody_set_is_said_with_its_place() {
    let text = "\
pipeline: p
# ${NOT_READ}
kafka: {brokers: \"${BROKERS}\", group: \"${GROUP:-g}\", properties: {sasl.password: 'a$b'}}
primary: {topic: a}
candidates:
  b:
    topic: ${TOPIC}
time: {pane: soon}
";
    insta::assert_snapshot!(wrong(text), @r#"
    error: the environment has no `BROKERS`
     --> p.yaml:3:19
      |
    3 | kafka: {brokers: "${BROKERS}", group: "${GROUP:-g}", properties: {sasl.password: *****}}
      |                   ^^^^^^^^^^ set it, or write `${BROKERS:-default}`

    error: the environment has no `TOPIC`
     --> p.yaml:7:12
      |
    7 |     topic: ${TOPIC}
      |            ^^^^^^^^ set it, or write `${TOPIC:-default}`

    error: this isn't a duration
     --> p.yaml:8:14
      |
    8 | time: {pane: soon}
      |              ^ write a duration such as `10s`, `5m` or `250ms`

    p.yaml: 3 problems
    "#);
    let text = format!("{HEAD}kafka: {{brokers: x, properties: {{sasl.password: 'a$b'}}}}\n");
    let pipeline = load(&text).unwrap();
    assert_eq!(pipeline.endpoints.kafka.unwrap().properties["sasl.password"].value, "a$b");
}

#[test]
fn what_has_the_wrong_shape_hides_nothing_else() {
    let text = "\
pipeline: p
primary: fraud.primary
candidates: [v8, v9]
kafka: {broker: x, sasl: {username: u, password: p}}
time: {pane: [10s]}
compare: label2
labels: {max: many}
windows: 1m
windows: [1m]
control: {dry_run: maybe}
rollback_when: error_rate > 5%
";
    insta::assert_snapshot!(wrong(text));
}

#[test]
fn what_is_missing_empty_or_too_much_is_said() {
    insta::assert_snapshot!(wrong("model: m\n"), @r#"
    error: `pipeline` is missing
     --> p.yaml:1:1
      |
    1 | model: m
      | ^ add `pipeline: NAME`

    error: `primary` is missing
     --> p.yaml:1:1
      |
    1 | model: m
      | ^ add `primary: {topic: …}`

    error: `candidates` is missing
     --> p.yaml:1:1
      |
    1 | model: m
      | ^ add `candidates: {NAME: {topic: …}}`

    p.yaml: 3 problems
    "#);
    assert!(wrong("{pipeline: p} # primary: …\n").contains("`candidates` is missing"));
    assert!(wrong("# primary: candidates:\npipeline: p\n").contains("`primary` is missing"));
    insta::assert_snapshot!(wrong("# nothing\n"), @r#"
    error: the file is empty
     --> p.yaml:1:11
      |
    1 | # nothing
      |          ^ pipelines/minimal.yaml is a beginning

    p.yaml: 1 problem
    "#);
    insta::assert_snapshot!(wrong(&format!("{HEAD}---\npipeline: q\n")), @r#"
    error: a second document begins here
     --> p.yaml:5:1
      |
    5 | pipeline: q
      | ^ leave it out: a file holds one pipeline

    p.yaml: 1 problem
    "#);
    insta::assert_snapshot!(
        wrong(&format!("{HEAD}time: {{pane: 7s}}\noutput: {{directory: ''}}\ncontrol: {{topic: a b}}\n")),
        @r#"
    error: the default windows (1m and 5m) and files (5m) don't hold whole panes of this length
     --> p.yaml:4:14
      |
    4 | time: {pane: 7s}
      |              ^ choose one that divides a minute, or set `windows` and `output.roll`, too

    error: a folder needs a name
     --> p.yaml:5:21
      |
    5 | output: {directory: ''}
      |                     ^ write it, or leave the field out

    error: a topic's name has 1 to 249 of A-Z, a-z, 0-9, `.`, - and _
     --> p.yaml:6:18
      |
    6 | control: {topic: a b}
      |                  ^ write the name that Kafka knows

    p.yaml: 3 problems
    "#
    );
}

#[test]
fn names_that_readers_merge_and_what_can_never_be_watched_are_refused_at_once() {
    let text = "\
pipeline: \"null\"
primary: {topic: a}
candidates:
  \"01\": {topic: b}
  \"true\": {topic: c}
  e5: {topic: d}
segments:
  Country: {declared: [BR, __other__]}
  country: {max: 5}
  2026-01-01: {declared: [x]}
labels: {declared: [__none__]}
mirrored: 0%
rollback_when:
  - latency_p99.9996 > 80ms
  - latency_p99 > 2h
";
    insta::assert_snapshot!(wrong(text));
    let named = |pipeline: usize, candidate: usize| {
        let (pipeline, candidate) = ("p".repeat(pipeline), "c".repeat(candidate));
        format!(
            "pipeline: {pipeline}\nprimary: {{topic: a}}\ncandidates: {{{candidate}: {{topic: b}}}}\n"
        )
    };
    let said = wrong(&named(64, 32));
    assert!(said.contains("makes names of files too long") && said.contains("127 bytes"), "{said}");
    assert!(load(&named(63, 32)).is_ok());
}

#[test]
fn a_cluster_key_is_a_field_of_the_users_own_and_part_of_what_tasks_do() {
    let plain = load(HEAD).unwrap().spec;
    let keyed = load(&format!("{HEAD}fields: {{cluster: batch_id}}\n")).unwrap().spec;
    assert_eq!((plain.cluster, keyed.cluster.as_deref()), (None, Some("batch_id")));
    assert_ne!(plain.tasks_hash, keyed.tasks_hash);
    assert_ne!(plain.lasting_hash, keyed.lasting_hash);
    insta::assert_snapshot!(wrong(&format!("{HEAD}fields: {{cluster: request_id}}\n")), @"
    error: `request_id` has a meaning of its own in every event
     --> p.yaml:4:19
      |
    4 | fields: {cluster: request_id}
      |                   ^ name a field of yours, such as `batch_id`

    p.yaml: 1 problem
    ");
    let said = wrong(&format!("{HEAD}fields: {{cluster: ''}}\n"));
    assert!(said.contains("a field's name has 1 to 64 bytes"), "{said}");
}

#[test]
fn a_rule_that_asks_for_longer_than_what_is_kept_is_refused_with_the_longest() {
    let text = format!(
        "{HEAD}rollback_when:\n  - error_rate > 5% for 50m\n  - 'prediction_shift > 20% for 41m'\n  - \
         'observed: error_rate > 5% for 11h'\n  - error_rate > 5% for 40m\n"
    );
    insta::assert_snapshot!(wrong(&text));
    let with = |pane: &str, held: &str| {
        load(&format!(
            "{HEAD}time: {{pane: {pane}}}\nrollback_when: [error_rate > 5% for {held}]\n"
        ))
    };
    assert!(with("60s", "4h").is_ok(), "longer panes reach back further");
    assert!(with("1s", "5m").expect_err("too long").contains("`for 4m` is the longest"));
}
