//! What is read, what isn't, and why.

use super::*;
use crate::model::spec::{BoundedSet, Certainty, Dimension, TimeSpec};
use crate::model::time::Span;

fn decoder(comparator: Comparator) -> Decoder {
    let set = BoundedSet { declared: Vec::new(), max: 10 };
    Decoder::new(&PipelineSpec {
        name: "fraud".into(),
        model: "fraud".into(),
        candidates: vec!["v8".into()],
        time: TimeSpec {
            pane: Span::from_secs(10),
            wait: Span::from_secs(30),
            skew: Span::from_secs(5),
            idle_after: Span::from_secs(10),
            lead: Span::from_secs(120),
        },
        comparator,
        dimensions: vec![Dimension { name: "country".into(), values: set.clone() }],
        labels: set,
        score_edges: Vec::new(),
        windows: vec![Span::from_secs(60)],
        rules: Vec::new(),
        every_request: true,
        certainty: Certainty { per_rollout: 0.01, interval: Span::from_secs(86_400) },
        shared_cause_investigates: true,
        matches_sampled_ppm: 0,
        roll: Span::from_secs(300),
        roll_rows: 1000,
        held_max: 0,
        dry_run: true,
        config_hash: 0,
        changed: None,
        tasks_hash: 0,
        co_partitioned: true,
        feeds: crate::model::feeds::Feeds::default(),
        lasting_hash: 0,
        revision: 1,
    })
}

fn read(comparator: Comparator, input: usize, text: &str) -> String {
    match decoder(comparator).decode(input, Some(text.as_bytes())) {
        Ok(seen) => format!(
            "{} {} {:?} {:?} {:?} {:?}",
            seen.request_id,
            seen.time.us(),
            seen.answer,
            seen.latency_us,
            seen.segments[0],
            seen.assignment
        ),
        Err(reject) => format!(
            "{}: {} [{:?} {:?}]",
            reject.reason.code(),
            reject.detail,
            reject.request_id,
            reject.time.map(EventTime::us)
        ),
    }
}

#[test]
fn reads_every_kind_of_prediction() {
    let event = |rest: &str| format!(r#"{{"request_id":"r1","event_time":1700000000.5,{rest}}}"#);
    let cases = [
        (
            Comparator::Label,
            r#""prediction":{"label":"fraud"},"latency_ms":1.25"#,
            "Label(\"fraud\") Some(1250) \"\" Random",
        ),
        (Comparator::Label, r#""prediction":{"label":7}"#, "Label(\"7\") None \"\" Random"),
        (Comparator::Label, r#""prediction":null"#, "Null None \"\" Random"),
        (Comparator::Label, r#""prediction":{"label":""}"#, "Null None \"\" Random"),
        (
            Comparator::Label,
            r#""prediction":{"label":"a"},"status_code":503"#,
            "Failed None \"\" Random",
        ),
        (
            Comparator::Label,
            r#""error_type":"timeout","latency_ms":30"#,
            "Failed Some(30000) \"\" Random",
        ),
        (
            Comparator::ArgMax,
            r#""prediction":{"scores":{"a":0.2,"b":0.8}}"#,
            "Label(\"b\") None \"\" Random",
        ),
        (
            Comparator::ArgMax,
            r#""prediction":{"scores":[0.2,NaN,0.3]}"#,
            "Label(\"2\") None \"\" Random",
        ),
        (
            Comparator::Number { absolute: 0.1, relative: 0.0 },
            r#""prediction":{"score":0.5}"#,
            "Number(0.5) None \"\" Random",
        ),
        (
            Comparator::Number { absolute: 0.1, relative: 0.0 },
            r#""prediction":{"score":NaN}"#,
            "Null None \"\" Random",
        ),
        (
            Comparator::Number { absolute: 0.1, relative: 0.0 },
            r#""prediction":{"value":-Infinity}"#,
            "Null None \"\" Random",
        ),
        (
            Comparator::Label,
            r#""segments":{"country":"BR","x":1},"assignment":"override""#,
            "Null None \"BR\" Override",
        ),
    ];
    for (comparator, rest, expected) in cases {
        assert_eq!(read(comparator, 1, &event(rest)), format!("r1 1700000000500000 {expected}"));
    }
}

#[test]
fn says_what_a_record_carries_whatever_is_compared() {
    for (rest, carries) in [
        (r#""prediction":null"#, 0),
        (r#""prediction":{"label":"a"}"#, CARRIES_LABEL),
        (r#""prediction":{"label":false,"score":0.5}"#, CARRIES_LABEL | CARRIES_SCORE),
        (r#""prediction":{"label":"","score":null,"value":NaN,"scores":[NaN]}"#, 0),
        (r#""prediction":{"value":0},"latency_ms":0"#, CARRIES_VALUE | CARRIES_LATENCY),
        (r#""prediction":{"scores":{"a":1}}"#, CARRIES_SCORES),
        (r#""status_code":500,"latency_ms":7"#, CARRIES_LATENCY),
    ] {
        let text = format!(r#"{{"request_id":"r","event_time":1,{rest}}}"#);
        let number = Comparator::Number { absolute: 0.0, relative: 0.0 };
        for comparator in [Comparator::Label, Comparator::ArgMax, number] {
            let seen = decoder(comparator).decode(1, Some(text.as_bytes())).unwrap();
            assert_eq!(seen.carries, carries, "{rest}");
            assert_eq!(seen.into_owned().carries, carries, "{rest}");
        }
    }
}

#[test]
fn tells_times_apart_by_form_and_magnitude() {
    for time in [
        "1700000000",
        "1700000000000",
        "1700000000000000",
        "1700000000000000000",
        "\"2023-11-14T22:13:20Z\"",
    ] {
        let text = format!(r#"{{"request_id":"r","event_time":{time}}}"#);
        assert!(read(Comparator::Label, 0, &text).starts_with("r 1700000000000000 "), "{time}");
    }
}

#[test]
fn says_why_a_record_cant_be_read_and_keeps_id_and_time() {
    let cases = [
        ("", "empty: the record has no value [None None]"),
        ("{\"request_id\":", "syntax: EOF while parsing a value at line 1 column 14 [None None]"),
        (
            "[1]",
            "syntax: invalid type: sequence, expected a JSON object at line 1 column 0 [None None]",
        ),
        (r#"{"event_time":1}"#, "missing_field: request_id [None Some(1000000)]"),
        (r#"{"request_id":"r"}"#, "missing_field: event_time [Some(\"r\") None]"),
        (
            r#"{"request_id":"r","event_time":"soon"}"#,
            "bad_field: event_time is \"soon\" [Some(\"r\") None]",
        ),
        (
            r#"{"request_id":{},"event_time":1}"#,
            "bad_field: request_id is an array or object [None Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"arm":"v9"}"#,
            "wrong_arm: arm is \"v9\" [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"latency_ms":-1}"#,
            "bad_field: latency_ms is -1 [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"prediction":"x"}"#,
            "bad_field: prediction is a string, not an object [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"schema_version":2}"#,
            "unknown_version: schema_version is 2, not 1 [Some(\"r\") Some(1000000)]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(Comparator::Label, 1, text), expected);
    }
}

#[test]
fn never_panics_on_any_bytes() {
    use proptest::prelude::*;
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..200))| {
        let _ = decoder(Comparator::Label).decode(0, Some(&bytes));
    });
    let event =
        r#"{"request_id":"r1","event_time":1,"prediction":{"label":"NaN"},"latency_ms":NaN}"#;
    for end in 0..event.len() {
        let _ = decoder(Comparator::ArgMax).decode(0, event.as_bytes().get(..end));
    }
}
