//! The contracts in `schemas/` say what the code writes.

use std::path::Path;

use parallax::shell::tables::schema_text;

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
