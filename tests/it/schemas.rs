//! The contracts in `schemas/` say what the code writes.

use std::path::Path;

use parallax::adapters::tables::schema_text;

use crate::world::spec;

fn committed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn tables_have_the_committed_columns() {
    for table in ["windows", "pairs", "panes", "decisions"] {
        let text = schema_text(table, &spec()).unwrap();
        let name = format!("{table}.v1.parquet.txt");
        if std::env::var_os("PARALLAX_UPDATE_SCHEMAS").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(&name);
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, committed(&name), "{table}: set PARALLAX_UPDATE_SCHEMAS=1 to accept");
    }
}

#[test]
fn signals_fit_their_schema_and_the_golden_file() {
    let schema: serde_json::Value = serde_json::from_str(&committed("signal.v1.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let signal = crate::scenario::a_rollback();
    let data: serde_json::Value = serde_json::from_str(&signal.data).unwrap();
    let problems: Vec<String> = validator.iter_errors(&data).map(|e| e.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let text = format!("{}\n", serde_json::to_string_pretty(&data).unwrap());
    if std::env::var_os("PARALLAX_UPDATE_SCHEMAS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/signal.golden.json");
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, committed("signal.golden.json"), "set PARALLAX_UPDATE_SCHEMAS=1 to accept");
}

#[test]
fn generated_events_fit_their_schema() {
    let schema: serde_json::Value = serde_json::from_str(&committed("prediction.v1.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let scenario = parallax::generate::Scenario {
        requests: 200,
        null_rate: 0.0,
        ..parallax::generate::Scenario::fraud(1)
    };
    for arrival in parallax::generate::Traffic::new(scenario) {
        let event: serde_json::Value = serde_json::from_str(&arrival.payload).unwrap();
        assert!(validator.is_valid(&event), "{}", arrival.payload);
    }
    for example in schema["examples"].as_array().unwrap() {
        assert!(validator.is_valid(example), "{example}");
    }
}

#[test]
fn what_the_event_schema_allows_is_read_and_nothing_is_read_that_it_doesnt_name() {
    use parallax::decode::Decoder;
    let schema: serde_json::Value = serde_json::from_str(&committed("prediction.v1.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let decoder = Decoder::new(&spec());
    for (fields, fits) in [
        (r#""request_id":18446744073709551616,"event_time":1"#, true),
        (r#""request_id":"r","event_time":"1767268800000""#, true),
        (r#""request_id":"r","event_time":1,"model_version":8"#, true),
        (r#""request_id":"r","event_time":1,"model_version":true,"latency_ms":"1.5""#, true),
        (
            r#""request_id":"r","event_time":1,"prediction":{"score":"NaN","value":"-Infinity"}"#,
            true,
        ),
        (
            r#""request_id":"r","event_time":1,"prediction":{"label":7,"score":"","value":"1e-3"}"#,
            true,
        ),
        (r#""request_id":"r","event_time":1,"status_code":"503","error_type":{"code":14}"#, true),
        (r#""request_id":"r","event_time":1,"error_type":[],"segments":null"#, true),
        (r#""request_id":["r"],"event_time":1"#, false),
        (r#""request_id":"r","event_time":{"seconds":1}"#, false),
        (r#""request_id":"r","event_time":1,"status_code":"UNAVAILABLE""#, false),
        (r#""request_id":"r","event_time":1,"prediction":{"label":["a"]}"#, false),
        (r#""request_id":"r","event_time":1,"prediction":0.5"#, false),
        (r#""request_id":"r","event_time":1,"assignment":"shadow""#, false),
        (r#""request_id":"r","event_time":1,"schema_version":2"#, false),
        (r#""requestId":"r","event_time":1"#, false),
    ] {
        let text = format!("{{{fields}}}");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(validator.is_valid(&event), fits, "the schema says otherwise: {text}");
        let read = decoder.decode(0, Some(text.as_bytes()));
        assert_eq!(read.is_ok(), fits, "the decoder does otherwise: {text}: {read:?}");
    }
}
