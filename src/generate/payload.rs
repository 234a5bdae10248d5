//! Native events as bytes, whole and broken.
//!
//! In: an answer. Out: JSON. Holds: no allocation per event but the bytes themselves; a broken record
//! never holds a line feed. Knows nothing of: arrival.

use std::fmt::Write as _;

/// What an arm answered.
#[derive(Clone, Debug)]
pub(super) struct Answer<'a> {
    pub(super) request_id: &'a str,
    pub(super) time_us: i64,
    pub(super) arm: &'a str,
    pub(super) version: &'a str,
    /// `None` without a usable prediction.
    pub(super) label: Option<&'a str>,
    pub(super) failed: bool,
    pub(super) latency_ms: f64,
    pub(super) country: &'a str,
    pub(super) is_override: bool,
}

pub(super) fn write(answer: &Answer<'_>, out: &mut String) {
    let Answer { request_id, time_us, arm, version, latency_ms, country, .. } = answer;
    // Writing to a string can't fail.
    let _ = write!(
        out,
        r#"{{"schema_version":1,"request_id":"{request_id}","event_time":{time_us},"arm":"{arm}","model_version":"{version}""#
    );
    if answer.is_override {
        out.push_str(r#","assignment":"override""#);
    }
    match (answer.failed, answer.label) {
        (true, _) => {
            out.push_str(r#","prediction":null,"status_code":503,"error_type":"unavailable""#);
        }
        (false, Some(label)) => {
            let _ =
                write!(out, r#","prediction":{{"label":"{label}","score":0.5}},"status_code":200"#);
        }
        (false, None) => {
            out.push_str(r#","prediction":{"label":null,"score":NaN},"status_code":200"#);
        }
    }
    let _ = write!(
        out,
        r#","latency_ms":{latency_ms:.3},"segments":{{"country":"{country}","channel":"web"}},"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#
    );
}

/// Kinds of records that can't be read.
pub(super) const BROKEN: [&str; 7] =
    ["syntax", "empty", "no_id", "no_time", "bad_latency", "wrong_arm", "long_id"];

/// Breaks a record in one of the kinds.
pub(super) fn break_it(kind: usize, whole: &mut String) {
    match kind {
        0 => whole.truncate(whole.len() / 2),
        1 => whole.clear(),
        2 => *whole = whole.replacen("\"request_id\"", "\"request\"", 1),
        3 => *whole = whole.replacen("\"event_time\"", "\"time\"", 1),
        4 => *whole = whole.replacen("\"latency_ms\":", "\"latency_ms\":-", 1),
        5 => *whole = whole.replacen("\"arm\":\"", "\"arm\":\"not-", 1),
        _ => {
            let long = format!("\"request_id\":\"{}", "x".repeat(300));
            *whole = whole.replacen("\"request_id\":\"", &long, 1);
        }
    }
}
