//! What a record looks like that isn't a native event, so that its writer can be mended.
//!
//! In: bytes that weren't read. Out: one sentence: what they are, and what belongs there. Holds: its
//! length is bounded, whatever the bytes are. Knows nothing of: records that could be read.

use std::fmt::Write as _;

use super::raw;

/// The most fields that are listed, and the most bytes of a name that are shown.
const NAMES_MAX: usize = 12;
const NAME_BYTES_MAX: usize = 32;

/// Bytes that a format begins with, and what they mean.
const BEGINNINGS: [(&[u8], &str); 10] = [
    (b"Obj\x01", "is an Avro file: produce one JSON event per record"),
    (b"\xc3\x01", "is Avro's single-object encoding: produce plain JSON"),
    (b"PAR1", "is a Parquet file: produce one JSON event per record"),
    (
        b"\x1f\x8b",
        "is compressed with gzip: leave compression to the producer's `compression.type`",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "is compressed with zstd: leave compression to the producer's `compression.type`",
    ),
    (
        b"\x04\x22\x4d\x18",
        "is compressed with lz4: leave compression to the producer's `compression.type`",
    ),
    (b"\xff\xfe", "is UTF-16: write UTF-8"),
    (b"\xfe\xff", "is UTF-16: write UTF-8"),
    (b"\x80", "is a Python pickle or MessagePack: produce plain JSON"),
    (b"<", "is XML: produce plain JSON"),
];

/// Returns what these bytes are, if they aren't an object in JSON.
pub(super) fn framing(bytes: &[u8]) -> Option<String> {
    if let Some(&[0, a, b, c, d]) = bytes.first_chunk() {
        let id = u32::from_be_bytes([a, b, c, d]);
        return Some(format!(
            "begins with a schema registry's prefix (schema id {id}); Avro, Protobuf and JSON-schema framing \
             isn't read: produce plain JSON"
        ));
    }
    if let Some(&[3, 0 | 5]) = bytes.first_chunk() {
        let what =
            "begins with AWS Glue's schema prefix; its framing isn't read: produce plain JSON";
        return Some(what.to_owned());
    }
    let begins = |(magic, _): &&(&[u8], &str)| bytes.starts_with(magic);
    if let Some((_, what)) = BEGINNINGS.iter().find(begins) {
        return Some(format!("the record {what}"));
    }
    let what = match bytes.trim_ascii_start().first()? {
        b'[' => "is an array, not an object: produce one event per record",
        b'"' => "is text, not an object: if it holds JSON, it was encoded twice",
        b'0'..=b'9' | b'-' | b't' | b'f' | b'n'
            if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() =>
        {
            "is a single value, not an object: produce an event"
        }
        _ => return None,
    };
    Some(format!("the record {what}"))
}

/// Names that others give to a field, without case and punctuation; the likeliest first.
fn other_names(field: &str) -> &'static [&'static str] {
    match field {
        "request_id" => &[
            "requestid",
            "reqid",
            "requestuuid",
            "correlationid",
            "inferenceid",
            "predictionid",
            "transactionid",
            "traceid",
            "eventid",
            "messageid",
            "recordid",
            "uuid",
            "guid",
            "id",
            "request",
        ],
        "event_time" => &[
            "eventtime",
            "eventtimestamp",
            "requesttime",
            "requesttimestamp",
            "timestamp",
            "timestampms",
            "timestampus",
            "timestampns",
            "eventts",
            "ts",
            "tsms",
            "datetime",
            "occurredat",
            "createdat",
            "time",
            "date",
        ],
        _ => &[],
    }
}

/// Says which fields are missing and what is there instead.
pub(super) fn missing(bytes: &[u8], missing: &[&str]) -> String {
    let there: Vec<String> = raw::fields(bytes).map(|(name, _)| name.into_owned()).collect();
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let mut said = format!("{} {verb} missing", missing.join(" and "));
    if there.is_empty() {
        said.push_str(": the record has no fields");
        return said;
    }
    let renamed: Vec<String> = missing.iter().filter_map(|field| rename(field, &there)).collect();
    if !renamed.is_empty() {
        let _ = write!(said, "; has {}", renamed.join(", "));
    } else if let Some(envelope) = envelope(&there) {
        let _ = write!(said, "; {envelope}");
    }
    let names: Vec<String> = there.iter().take(NAMES_MAX).map(|name| shown(name)).collect();
    let _ = write!(said, "; there are {}", names.join(", "));
    if NAMES_MAX < there.len() {
        let _ = write!(said, " and {} more", there.len() - NAMES_MAX);
    }
    said
}

fn rename(field: &str, there: &[String]) -> Option<String> {
    let bare = |name: &String| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let other = |other: &&str| there.iter().find(|name| bare(name) == **other);
    let name = other_names(field).iter().find_map(other)?;
    Some(format!("`{}`: rename it to {field}", shown(name)))
}

/// Says if the event seems to lie one level deeper.
fn envelope(there: &[String]) -> Option<String> {
    let has = |name: &str| there.iter().any(|there| there == name);
    if has("schema") && has("payload") {
        return Some(
            "this is Kafka Connect's envelope: set `value.converter.schemas.enable=false`"
                .to_owned(),
        );
    }
    let inner = ["payload", "data", "event", "message", "value", "record", "body", "after"];
    let name = inner.into_iter().find(|name| has(name))?;
    Some(format!("if the event stands in `{name}`: its fields belong to the top of the record"))
}

fn shown(name: &str) -> String {
    let end = (0..=NAME_BYTES_MAX).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    match name.get(..end) {
        Some(cut) if cut.len() < name.len() => format!("{}…", cut.escape_debug()),
        _ => name.escape_debug().to_string(),
    }
}
