//! A numeric case as the files of `tests/data` write it.
//!
//! In: a file. Out: its cases; a case's inputs as numbers, or a failure that names case and input. Holds: nothing
//! is guessed. Knows nothing of: how a case is computed and compared.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) inputs: Map<String, Value>,
    pub(crate) expected: Value,
    pub(crate) tolerance: BTreeMap<String, f64>,
}

impl Case {
    pub(crate) fn number(&self, input: &str) -> f64 {
        self.inputs[input].as_f64().unwrap_or_else(|| panic!("{}: {input} is no number", self.name))
    }

    pub(crate) fn count(&self, input: &str) -> u64 {
        whole(&self.inputs[input]).unwrap_or_else(|| panic!("{}: {input} is no count", self.name))
    }

    pub(crate) fn numbers(&self, input: &str) -> Vec<f64> {
        list(&self.inputs[input]).iter().map(|value| value.as_f64().expect("a number")).collect()
    }

    pub(crate) fn counts(&self, input: &str) -> Vec<u64> {
        list(&self.inputs[input]).iter().map(|value| whole(value).expect("a count")).collect()
    }
}

pub(crate) fn cases(path: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path).expect("the cases");
    serde_json::from_str::<Cases>(&text).expect("cases").cases
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// A count, which one case writes as `100.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64()?.to_string().parse().ok())
}
