//! The native event as JSON: which fields are wanted, read in one pass.
//!
//! In: bytes. Out: the wanted fields, unjudged. Holds: borrowed where it can be; other fields are
//! skipped; of a field that stands twice the last counts; which class is best doesn't depend on the
//! order of keys. Knows nothing of: what makes an event valid.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::raw;
use super::value::{Numeric, Value};
use crate::model::observation::DIMENSIONS_MAX;

/// The wanted fields of a native event.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    pub(super) schema_version: Value<'a>,
    pub(super) request_id: Value<'a>,
    pub(super) event_time: Value<'a>,
    pub(super) arm: Value<'a>,
    pub(super) assignment: Value<'a>,
    pub(super) model_version: Value<'a>,
    pub(super) latency_ms: Value<'a>,
    pub(super) status_code: Value<'a>,
    pub(super) error_type: Value<'a>,
    pub(super) prediction: Prediction<'a>,
    pub(super) segments: [Value<'a>; DIMENSIONS_MAX],
    pub(super) cluster: Value<'a>,
    /// What `segments` is, if no object.
    pub(super) bad_segments: Option<&'static str>,
}

/// What the pipeline wants beside the fields that every event has.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'s> {
    /// Keys of `segments`.
    pub(super) dimensions: &'s [String],
    /// The field of the record that is its cluster key.
    pub(super) cluster: Option<&'s str>,
}

/// What stands at `prediction`.
#[derive(Debug, Default)]
pub(super) struct Prediction<'a> {
    pub(super) label: Value<'a>,
    pub(super) score: Value<'a>,
    pub(super) value: Value<'a>,
    pub(super) scores: Scores<'a>,
    /// What it is itself, if no object.
    pub(super) bad: Option<&'static str>,
}

/// What stands at `prediction.scores`.
#[derive(Debug, Default)]
pub(super) struct Scores<'a> {
    pub(super) is_there: bool,
    /// The class with the highest finite probability; of equals the one with the lowest name.
    pub(super) best: Option<(Cow<'a, str>, f64)>,
    /// What it is or holds, if no probabilities.
    pub(super) bad: Option<&'static str>,
}

impl<'a> Event<'a> {
    /// Numbers that serve as text are read again, with all their digits.
    fn keep_digits(&mut self, bytes: &[u8], wanted: Wanted<'_>) {
        fn keep(value: &mut Value<'_>, raw: impl FnOnce() -> Option<String>) {
            if let (Value::Float(_), Some(text)) = (&value, raw()) {
                *value = Value::Text(Cow::Owned(text));
            }
        }
        let number = |object: &[u8], name: &str| raw::plain_number(raw::field(object, name)?);
        let inner = |object, name: &str| number(raw::field(bytes, object)?, name);
        keep(&mut self.request_id, || number(bytes, "request_id"));
        keep(&mut self.model_version, || number(bytes, "model_version"));
        keep(&mut self.prediction.label, || inner("prediction", "label"));
        keep(&mut self.cluster, || number(bytes, wanted.cluster?));
        for (segment, name) in self.segments.iter_mut().zip(wanted.dimensions) {
            keep(segment, || inner("segments", name));
        }
    }

    /// Returns whether a number stands where text is wanted, and may have lost digits.
    fn has_number_as_text(&self) -> bool {
        [&self.request_id, &self.model_version, &self.prediction.label, &self.cluster]
            .into_iter()
            .chain(&self.segments)
            .any(|value| matches!(value, Value::Float(_)))
    }
}

/// Reads one event.
pub(super) fn parse<'a>(bytes: &'a [u8], wanted: Wanted<'_>) -> serde_json::Result<Event<'a>> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut event = EventSeed { wanted }.deserialize(&mut json)?;
    json.end()?;
    if event.has_number_as_text() {
        event.keep_digits(bytes, wanted);
    }
    Ok(event)
}

/// Words that some writers put where a number is none.
const BARE: [&[u8]; 7] = [b"NaN", b"Infinity", b"nan", b"infinity", b"inf", b"NAN", b"INF"];

/// The text with bare `NaN` and `Infinity`, numbers beyond all that can be held, and a byte order mark
/// left out or written as null; `None` if it has none of these.
pub(super) fn without_bare_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut clean = Vec::with_capacity(bytes.len());
    let (mut at, mut quoted, mut found) = (0, false, false);
    if bytes.starts_with(b"\xef\xbb\xbf") {
        (at, found) = (3, true);
    }
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        if quoted && byte == b'\\' {
            clean.extend(rest.iter().take(2));
            at += 2;
        } else if let Some(length) = (!quoted).then(|| not_finite(rest)).flatten() {
            clean.extend_from_slice(b"null");
            at += length;
            found = true;
        } else if !quoted && byte.is_ascii_digit() {
            let length = rest.iter().take_while(|byte| is_of_number(**byte)).count();
            clean.extend(rest.iter().take(length));
            at += length;
        } else {
            quoted ^= byte == b'"';
            clean.push(byte);
            at += 1;
        }
    }
    found.then_some(clean)
}

/// Returns how long the number is that begins here and isn't finite.
fn not_finite(rest: &[u8]) -> Option<usize> {
    let sign = usize::from(matches!(rest.first()?, b'-' | b'+'));
    let unsigned = rest.get(sign..)?;
    if let Some(word) = BARE.iter().find(|word| unsigned.starts_with(word)) {
        return Some(sign + word.len());
    }
    let length = unsigned.iter().take_while(|byte| is_of_number(**byte)).count();
    let number = std::str::from_utf8(unsigned.get(..length)?).ok()?.parse::<f64>().ok()?;
    number.is_infinite().then_some(sign + length)
}

const fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')
}

struct EventSeed<'s> {
    wanted: Wanted<'s>,
}

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = Event<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<'de>, A::Error> {
        let mut event = Event::default();
        while let Some(key) = map.next_key_seed(FieldSeed(self.wanted.cluster))? {
            match key {
                Some(0) => event.schema_version = map.next_value()?,
                Some(1) => event.request_id = map.next_value()?,
                Some(2) => event.event_time = map.next_value()?,
                Some(3) => event.arm = map.next_value()?,
                Some(4) => event.assignment = map.next_value()?,
                Some(5) => event.model_version = map.next_value()?,
                Some(6) => event.latency_ms = map.next_value()?,
                Some(7) => event.status_code = map.next_value()?,
                Some(8) => event.error_type = map.next_value()?,
                Some(9) => map.next_value_seed(PredictionSeed(&mut event))?,
                Some(10) => {
                    map.next_value_seed(SegmentsSeed(self.wanted.dimensions, &mut event))?;
                }
                Some(CLUSTER) => event.cluster = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(event)
    }
}

const FIELDS: &[&str] = &[
    "schema_version",
    "request_id",
    "event_time",
    "arm",
    "assignment",
    "model_version",
    "latency_ms",
    "status_code",
    "error_type",
    "prediction",
    "segments",
];

/// The number that stands for the cluster key.
const CLUSTER: usize = FIELDS.len();

/// Finds one of the event's fields, or the cluster key.
struct FieldSeed<'s>(Option<&'s str>);

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        let known = FIELDS.iter().position(|name| *name == key);
        Ok(known.or_else(|| (self.0 == Some(key)).then_some(CLUSTER)))
    }
}

/// Finds a key in a list without keeping it.
struct KeySeed<'s, S>(&'s [S]);

impl<'de, S: AsRef<str>> DeserializeSeed<'de> for KeySeed<'_, S> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<S: AsRef<str>> Visitor<'_> for KeySeed<'_, S> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|name| name.as_ref() == key))
    }
}

/// Says of every scalar what it is.
macro_rules! otherwise_scalar {
    () => {
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            self.otherwise("a boolean")
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            self.otherwise("a number")
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            self.otherwise("a number")
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            self.otherwise("a number")
        }

        fn visit_str<E>(self, text: &str) -> Result<(), E> {
            if text.is_empty() { Ok(()) } else { self.otherwise("text") }
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    };
}

/// `prediction`: an object with label, score, value or scores; or null.
struct PredictionSeed<'e, 'de>(&'e mut Event<'de>);

impl PredictionSeed<'_, '_> {
    fn otherwise<E>(self, what: &'static str) -> Result<(), E> {
        self.0.prediction.bad = Some(what);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for PredictionSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.prediction = Prediction::default();
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PredictionSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a prediction")
    }

    otherwise_scalar!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.otherwise("an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let names = ["label", "score", "value", "scores"];
        let prediction = &mut self.0.prediction;
        while let Some(key) = map.next_key_seed(KeySeed(&names))? {
            match key {
                Some(0) => prediction.label = map.next_value()?,
                Some(1) => prediction.score = map.next_value()?,
                Some(2) => prediction.value = map.next_value()?,
                Some(3) => map.next_value_seed(ScoresSeed(&mut prediction.scores))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// `prediction.scores`: probabilities by class name, or in order (then a class is its index).
struct ScoresSeed<'e, 'de>(&'e mut Scores<'de>);

impl<'de> ScoresSeed<'_, 'de> {
    fn otherwise<E>(self, what: &'static str) -> Result<(), E> {
        self.0.bad = Some(what);
        Ok(())
    }

    fn offer(&mut self, name: impl FnOnce() -> Cow<'de, str>, score: &Value<'_>) {
        match score.numeric() {
            Numeric::Is(score) => {
                let best = self.0.best.as_ref();
                if best.is_none_or(|(_, best)| *best < score) {
                    self.0.best = Some((name(), score));
                } else if best.is_some_and(|(_, best)| *best <= score) {
                    let name = name();
                    if best.is_some_and(|(best, _)| is_before(&name, best)) {
                        self.0.best = Some((name, score));
                    }
                }
            }
            Numeric::Missing | Numeric::Null => {}
            Numeric::Broken if score.is_nested() => self.0.bad = Some("holds arrays or objects"),
            Numeric::Broken => self.0.bad = Some("holds what isn't a number"),
        }
    }
}

/// The order of class names: that of their indices where they are some, so that an array and an
/// object with the same classes agree.
fn is_before(one: &str, other: &str) -> bool {
    let is_index = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    if is_index(one) && is_index(other) {
        return (one.len(), one) < (other.len(), other);
    }
    one < other
}

impl<'de> DeserializeSeed<'de> for ScoresSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 = Scores { is_there: true, ..Scores::default() };
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScoresSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probabilities by class, or in order")
    }

    otherwise_scalar!();

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut class = 0_u32;
        while let Some(score) = seq.next_element::<Value<'de>>()? {
            self.offer(|| Cow::Owned(class.to_string()), &score);
            class += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, score)) = map.next_entry::<Value<'de>, Value<'de>>()? {
            self.offer(|| name.text().unwrap_or_default(), &score);
        }
        Ok(())
    }
}

/// `segments`: an object; only the pipeline's dimensions are kept.
struct SegmentsSeed<'s, 'e, 'de>(&'s [String], &'e mut Event<'de>);

impl SegmentsSeed<'_, '_, '_> {
    fn otherwise<E>(self, what: &'static str) -> Result<(), E> {
        self.1.bad_segments = Some(what);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for SegmentsSeed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        (self.1.segments, self.1.bad_segments) = Default::default();
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SegmentsSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of segments")
    }

    otherwise_scalar!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.otherwise("an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(dimension) = map.next_key_seed(KeySeed(self.0))? {
            match dimension.and_then(|at| self.1.segments.get_mut(at)) {
                Some(slot) => *slot = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
