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
        cluster: None,
        windows: vec![Span::from_secs(60)],
        rules: Vec::new(),
        mirrored: 1.0,
        certainty: Certainty {
            per_rollout: 0.01,
            interval: Span::from_secs(86_400),
            in_blocks: false,
        },
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
        "1700000000000000.0",
        "1.7e18",
        "\"1700000000000\"",
        "\"1700000000.000\"",
        "\"2023-11-14 22:13:20+00:00\"",
        "\"2023-11-14T23:13:20+01:00\"",
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
            "syntax: the record is an array, not an object: produce one event per record [None None]",
        ),
        (
            r#"{"event_time":1}"#,
            "missing_field: request_id is missing; there are event_time [None Some(1000000)]",
        ),
        (
            r#"{"request_id":"r"}"#,
            "missing_field: event_time is missing; there are request_id [Some(\"r\") None]",
        ),
        (
            r#"{"request_id":{},"event_time":1}"#,
            "bad_field: request_id is an object: write text, a number or a boolean [None Some(1000000)]",
        ),
        (
            r#"{"request_id":"","event_time":1}"#,
            "bad_field: request_id is empty: write 1 to 256 bytes [None Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"arm":"v9"}"#,
            "wrong_arm: arm is \"v9\", but this topic is that of `v8` [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"status_code":"UNAVAILABLE"}"#,
            "bad_field: status_code is \"UNAVAILABLE\": write a number such as 200, and other words to \
             error_type [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"assignment":"shadow"}"#,
            "bad_field: assignment is \"shadow\": write `random` or `override` [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"prediction":"x"}"#,
            "bad_field: prediction is text: write {\"label\": …} [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"request_id":"r","event_time":1,"prediction":{"label":["x"]}}"#,
            "bad_field: prediction.label is an array: write text, a number or a boolean \
             [Some(\"r\") Some(1000000)]",
        ),
        (
            r#"{"id":"r","schema_version":2}"#,
            "unknown_version: schema_version is 2: this engine reads 1 [None None]",
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
    let words =
        "[-{}\\[\\]:,\"0-9eE.aiNn \\\\]|request_id|event_time|prediction|label|scores|segments";
    let texts = proptest::collection::vec(words, 0..60).prop_map(|words| words.concat());
    proptest!(|(text in texts)| {
        for text in [text.clone(), format!("{{{text}}}"), format!("{{\"request_id\":1e7,{text}:0.5}}")] {
            let _ = decoder(Comparator::ArgMax).decode(0, Some(text.as_bytes()));
            let _ = raw::fields(text.as_bytes()).count();
            let _ = raw::plain_number(text.as_bytes());
        }
    });
}

fn detail(comparator: Comparator, bytes: &[u8]) -> String {
    let reject = decoder(comparator).decode(1, Some(bytes)).unwrap_err();
    assert!(reject.detail.len() < 1000, "{}", reject.detail);
    reject.detail
}

#[test]
fn says_what_a_foreign_record_looks_like() {
    let framed = b"\x00\x00\x00\x00\x11{\"request_id\":\"r\"}";
    let cases: [(&[u8], &str); 10] = [
        (
            framed,
            "begins with a schema registry's prefix (schema id 17); Avro, Protobuf and JSON-schema framing isn't read: produce plain JSON",
        ),
        (
            b"\x1f\x8b\x08\x00",
            "the record is compressed with gzip: leave compression to the producer's `compression.type`",
        ),
        (b"Obj\x01\x04", "the record is an Avro file: produce one JSON event per record"),
        (
            b"\"{\\\"request_id\\\":1}\"",
            "the record is text, not an object: if it holds JSON, it was encoded twice",
        ),
        (b"17", "the record is a single value, not an object: produce an event"),
        (b"not json", "expected ident at line 1 column 2"),
        (
            br#"{"requestId":"r","ts":1,"label":"a"}"#,
            "request_id and event_time are missing; has `requestId`: rename it to request_id, `ts`: rename it to event_time; there are requestId, ts, label",
        ),
        (
            br#"{"id":1,"x":2,"@timestamp":3}"#,
            "request_id and event_time are missing; has `id`: rename it to request_id, `@timestamp`: rename it to event_time; there are id, x, @timestamp",
        ),
        (
            br#"{"schema":{},"payload":{"request_id":"r"}}"#,
            "request_id and event_time are missing; this is Kafka Connect's envelope: set `value.converter.schemas.enable=false`; there are schema, payload",
        ),
        (b"{}", "request_id and event_time are missing: the record has no fields"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(detail(Comparator::Label, bytes), expected);
    }
    let many: Vec<String> = (0..40).map(|n| format!("\"{}{n}\":1", "é".repeat(30))).collect();
    let said = detail(Comparator::Label, format!("{{{}}}", many.join(",")).as_bytes());
    assert!(said.ends_with(&format!("{}… and 28 more", "é".repeat(16))), "{said}");
    let reject = decoder(Comparator::Label).decode(1, Some(br#"{"request_id":7,"ts":1}"#));
    assert_eq!(reject.unwrap_err().request_id.as_deref(), Some("7"), "what can be read is kept");
}

#[test]
fn a_time_that_cant_be_read_is_told_with_what_belongs_there() {
    let forms = "write RFC 3339 with an offset, such as 2026-01-01T12:00:00Z, or an epoch in s, ms, µs or ns";
    for (time, expected) in [
        ("\"2026-01-01T12:00:00\"", "event_time is \"2026-01-01T12:00:00\", which has no offset: write 2026-01-01T12:00:00Z or 2026-01-01T12:00:00+02:00".to_owned()),
        ("\"2026-01-01\"", "event_time is \"2026-01-01\", which has no time of day: write 2026-01-01T12:00:00Z".to_owned()),
        ("\"soon\"", format!("event_time is \"soon\": {forms}")),
        ("\"20260101\"", "event_time is \"20260101\", which has no time of day: write 20260101T12:00:00Z".to_owned()),
        ("{\"seconds\":1}", format!("event_time is an object: {forms}")),
        ("true", format!("event_time is true: {forms}")),
        ("-1", format!("event_time is -1, before 1970: {forms}")),
        ("99999999999", format!("event_time is 99999999999, after 2199: {forms}")),
        ("18446744073709551615", format!("event_time is 18446744073709551615, after 2199: {forms}")),
        ("null", "event_time is null: every event has its own".to_owned()),
    ] {
        let text = format!(r#"{{"request_id":"r","event_time":{time}}}"#);
        assert_eq!(detail(Comparator::Label, text.as_bytes()), expected, "{time}");
    }
}

#[test]
fn an_error_type_that_says_anything_is_a_failure() {
    for (error, failed) in [
        ("\"\"", false),
        ("null", false),
        ("NaN", false),
        ("false", false),
        ("0", false),
        ("0.0", false),
        ("{}", false),
        ("[]", false),
        ("\"timeout\"", true),
        ("true", true),
        ("14", true),
        ("-0.5", true),
        (r#"{"code":14}"#, true),
        ("[null]", true),
    ] {
        let text = format!(
            r#"{{"request_id":"r","event_time":1,"prediction":{{"label":"a"}},"error_type":{error}}}"#
        );
        let seen = decoder(Comparator::Label).decode(1, Some(text.as_bytes())).unwrap();
        assert_eq!(seen.answer == Answer::Failed, failed, "{error}");
    }
}

#[test]
fn a_field_that_decides_stands_for_itself_and_null_is_never_replaced() {
    let number = Comparator::Number { absolute: 0.1, relative: 0.0 };
    for (comparator, prediction, answer) in [
        (number, r#"{"value":null,"score":0.9}"#, "Null"),
        (number, r#"{"value":NaN,"score":0.9}"#, "Null"),
        (number, r#"{"value":"","score":0.9}"#, "Null"),
        (number, r#"{"score":0.9}"#, "Number(0.9)"),
        (number, r#"{"score":0.9,"value":1e999}"#, "Null"),
        (Comparator::Label, r#"{"label":null,"scores":{"a":1}}"#, "Null"),
        (Comparator::Label, r#"{"label":"","scores":{"a":1}}"#, "Null"),
        (Comparator::Label, r#"{"scores":{"a":1}}"#, "Label(\"a\")"),
        (Comparator::ArgMax, r#"{"label":"a","scores":[NaN,null]}"#, "Null"),
        (Comparator::ArgMax, r#"{"label":"a","scores":null}"#, "Null"),
        (Comparator::ArgMax, r#"{"label":"a"}"#, "Label(\"a\")"),
    ] {
        let text = format!(r#"{{"request_id":"r","event_time":1,"prediction":{prediction}}}"#);
        let seen = decoder(comparator).decode(1, Some(text.as_bytes())).unwrap();
        assert_eq!(format!("{:?}", seen.answer), answer, "{prediction}");
    }
}

#[test]
fn numbers_in_quotes_are_numbers_and_words_for_none_are_null() {
    let number = Comparator::Number { absolute: 0.1, relative: 0.0 };
    for (value, answer) in [
        ("\"0.93\"", "Number(0.93)"),
        ("\"-1e3\"", "Number(-1000.0)"),
        ("\"NaN\"", "Null"),
        ("\"Infinity\"", "Null"),
        ("\"-Infinity\"", "Null"),
        ("\"nan\"", "Null"),
        ("\"1e999\"", "Null"),
        ("-inf", "Null"),
        ("1e999", "Null"),
        ("12345678901234567890", "Number(1.2345678901234567e19)"),
    ] {
        let text = format!(
            r#"{{"request_id":"r","event_time":"1700000000000","prediction":{{"value":{value}}},"latency_ms":"1.5","status_code":"200"}}"#
        );
        let seen = decoder(number).decode(1, Some(text.as_bytes())).unwrap();
        assert_eq!(format!("{:?}", seen.answer), answer, "{value}");
        assert_eq!((seen.latency_us, seen.broken), (Some(1500), 0));
        assert_eq!(seen.time.us(), 1_700_000_000_000_000);
    }
    let failed = br#"{"request_id":"r","event_time":1,"status_code":"503"}"#;
    let seen = decoder(number).decode(1, Some(failed)).unwrap();
    assert_eq!(seen.answer, Answer::Failed);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of records")]
fn a_broken_field_that_isnt_compared_is_null_and_the_record_stays() {
    let number = Comparator::Number { absolute: 0.1, relative: 0.0 };
    for (comparator, rest, broken, answer) in [
        (
            Comparator::Label,
            r#""prediction":{"label":"a","score":"high"}"#,
            CARRIES_SCORE,
            "Label(\"a\")",
        ),
        (
            Comparator::Label,
            r#""prediction":{"label":"a","value":[1]}"#,
            CARRIES_VALUE,
            "Label(\"a\")",
        ),
        (
            Comparator::Label,
            r#""prediction":{"label":"a","scores":[[0.1,0.9]]}"#,
            CARRIES_SCORES,
            "Label(\"a\")",
        ),
        (
            Comparator::ArgMax,
            r#""prediction":{"label":{},"scores":{"b":1}}"#,
            CARRIES_LABEL,
            "Label(\"b\")",
        ),
        (
            number,
            r#""prediction":{"value":1,"label":[],"score":true}"#,
            CARRIES_LABEL | CARRIES_SCORE,
            "Number(1.0)",
        ),
        (number, r#""prediction":{"value":1},"latency_ms":-0.001"#, CARRIES_LATENCY, "Number(1.0)"),
        (number, r#""prediction":{"value":1},"latency_ms":"fast""#, CARRIES_LATENCY, "Number(1.0)"),
        (
            number,
            r#""prediction":{"value":1},"model_version":{"v":1}"#,
            BROKEN_VERSION,
            "Number(1.0)",
        ),
        (number, r#""prediction":{"value":1},"segments":["BR"]"#, BROKEN_SEGMENTS, "Number(1.0)"),
        (
            number,
            r#""prediction":{"value":1},"segments":{"country":{"x":1},"y":[]}"#,
            BROKEN_SEGMENTS,
            "Number(1.0)",
        ),
        (Comparator::Label, r#""status_code":500,"prediction":"oops""#, 15, "Failed"),
        (
            Comparator::Label,
            r#""error_type":"x","prediction":{"label":[]}"#,
            CARRIES_LABEL,
            "Failed",
        ),
    ] {
        let text = format!(r#"{{"request_id":"r","event_time":1,{rest}}}"#);
        let seen = decoder(comparator).decode(1, Some(text.as_bytes())).unwrap();
        assert_eq!(
            (format!("{:?}", seen.answer).as_str(), seen.broken),
            (answer, broken),
            "{rest}"
        );
        assert_eq!((seen.latency_us, &seen.model_version, &*seen.segments[0]), (None, &None, ""));
    }
    for (comparator, prediction, said) in [
        (
            Comparator::Label,
            r#"{"label":{}}"#,
            "prediction.label is an object: write text, a number or a boolean",
        ),
        (
            Comparator::ArgMax,
            r#"{"scores":[[0.1,0.9]]}"#,
            "prediction.scores holds arrays or objects: write one probability for each class",
        ),
        (
            Comparator::ArgMax,
            r#"{"scores":"a"}"#,
            "prediction.scores is text: write one probability for each class",
        ),
        (
            Comparator::ArgMax,
            r#"{"scores":{"a":"high"}}"#,
            "prediction.scores holds what isn't a number: write one probability for each class",
        ),
        (
            number,
            r#"{"value":"high","score":1}"#,
            "prediction.value is \"high\": write a number, or null",
        ),
        (number, r#"{"score":false}"#, "prediction.score is false: write a number, or null"),
        (number, "0.5", "prediction is a number: write {\"value\": …}"),
    ] {
        let text = format!(r#"{{"request_id":"r","event_time":1,"prediction":{prediction}}}"#);
        assert_eq!(detail(comparator, text.as_bytes()), said);
    }
}

#[test]
fn texts_and_numbers_keep_every_digit() {
    let seen = |rest: &str| {
        let text = format!(r#"{{"event_time":1,{rest}}}"#);
        decoder(Comparator::Label)
            .decode(1, Some(text.as_bytes()))
            .map(Observation::into_owned)
            .map_err(|reject| format!("{}: {}", reject.reason.code(), reject.detail))
    };
    for (id, text) in [
        ("9223372036854775808", "9223372036854775808"),
        ("9223372036854775809", "9223372036854775809"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("123456789012345678901234567890123456789", "123456789012345678901234567890123456789"),
        ("0.1234567890123456789012345", "0.1234567890123456789012345"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("true", "true"),
    ] {
        let seen = seen(&format!(
            r#""model_version":{id},"prediction":{{"x":{{"label":1.5}},"label":{id}}},"request_id":{id},"segments":{{"country":{id}}}"#
        ));
        let seen = seen.unwrap();
        assert_eq!(seen.request_id, text);
        assert_eq!(seen.model_version.as_deref(), Some(text));
        assert_eq!((&seen.answer, seen.broken), (&Answer::Label(text.into()), 0));
        assert_eq!(seen.segments[0], text);
    }
    let long = "7".repeat(300);
    let said = seen(&format!(r#""request_id":{long}"#)).unwrap_err();
    assert_eq!(said, "too_long: request_id has 300 bytes: at most 256 belong there");
    let said = seen(r#""request_id":1e-390"#).unwrap_err();
    assert_eq!(said, "too_long: request_id has 392 bytes: at most 256 belong there");
    let said = seen(r#""request_id":1e-990"#).unwrap_err();
    assert_eq!(said, "bad_field: request_id is a number of more than 256 digits: write text");
    let said = seen(&format!(r#""request_id":1,"prediction":{{"label":"{long}"}}"#)).unwrap_err();
    assert_eq!(
        said,
        "too_long: a class in prediction.label has 300 bytes: at most 128 belong there"
    );
    let seen = seen(&format!(r#""request_id":1,"model_version":"{long}""#)).unwrap();
    assert_eq!((seen.model_version, seen.broken), (None, BROKEN_VERSION));
}

#[test]
fn the_best_class_doesnt_depend_on_the_order_of_keys() {
    let best = |scores: &str| {
        let text =
            format!(r#"{{"request_id":"r","event_time":1,"prediction":{{"scores":{scores}}}}}"#);
        let decoder = decoder(Comparator::ArgMax);
        format!("{:?}", decoder.decode(1, Some(text.as_bytes())).unwrap().answer)
    };
    for scores in [r#"{"b":0.5,"a":0.5,"c":0.5,"d":0.1}"#, r#"{"d":0.1,"a":0.5,"c":0.5,"b":0.5}"#] {
        assert_eq!(best(scores), "Label(\"a\")");
    }
    for scores in ["[0,0,1,0,0,0,0,0,0,0,1]", r#"{"10":1,"2":1}"#, r#"{"2":1,"10":1.0}"#] {
        assert_eq!(best(scores), "Label(\"2\")", "an array and an object agree");
    }
    let twice = r#"{"a":1}},"prediction":{"scores":{"b":0.5}"#;
    assert_eq!(best(twice), "Label(\"b\")", "of a field that stands twice the last counts");
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let text = "\u{feff}{\"request_id\":\"r\",\"event_time\":1}";
    assert!(read(Comparator::Label, 1, text).starts_with("r 1000000 Null"));
}

#[test]
fn the_cluster_key_is_read_where_the_pipeline_names_its_field() {
    let keyed = Decoder { cluster: Some("batch_id".into()), ..decoder(Comparator::Label) };
    let key = |decoder: &Decoder, field: &str| {
        let text = format!(r#"{{"request_id":"r1","event_time":1700000000,{field}"arm":"v8"}}"#);
        decoder.decode(1, Some(text.as_bytes())).expect("an observation").cluster
    };
    let batch = key(&keyed, r#""batch_id":"7","#);
    assert!(batch.is_some());
    assert_eq!(key(&keyed, r#""batch_id":7,"#), batch, "a number is its text");
    assert_ne!(key(&keyed, r#""batch_id":7.5,"#), key(&keyed, r#""batch_id":7.25,"#));
    for own in ["", r#""batch_id":null,"#, r#""batch_id":"","#, r#""batch_id":{"a":1},"#] {
        assert_eq!(key(&keyed, own), None, "{own} is a cluster of its own");
    }
    assert_eq!(key(&decoder(Comparator::Label), r#""batch_id":"7","#), None, "nobody asked for it");
}
