//! The native event as JSON: which fields are wanted, read in one pass.
//!
//! In: bytes. Out: the wanted fields, unjudged. Holds: borrowed where it can be; other fields are
//! skipped; of a field that stands twice the last counts. Knows nothing of: what makes an event valid.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::no_segments;
use super::value::Value;
use crate::model::observation::DIMENSIONS_MAX;

/// The wanted fields of a native event.
#[derive(Debug)]
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
    pub(super) label: Value<'a>,
    pub(super) score: Value<'a>,
    pub(super) value: Value<'a>,
    /// The class with the highest finite probability; the first of equals.
    pub(super) best: Option<(Cow<'a, str>, f64)>,
    pub(super) segments: [Value<'a>; DIMENSIONS_MAX],
    pub(super) bad_prediction: Option<&'static str>,
}

impl Event<'_> {
    /// All texts that have the length limit of a word.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        let best = self.best.as_ref().map(|(name, _)| name.as_ref());
        [&self.label, &self.model_version]
            .into_iter()
            .chain(&self.segments)
            .filter_map(Value::as_str)
            .chain(best)
    }
}

/// Reads one event.
pub(super) fn parse<'a>(bytes: &'a [u8], dimensions: &[String]) -> serde_json::Result<Event<'a>> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let event = EventSeed { dimensions }.deserialize(&mut json)?;
    json.end()?;
    Ok(event)
}

/// The text with bare `NaN`, `Infinity` and `-Infinity` as null, or `None` if it has none.
pub(super) fn without_bare_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut clean = Vec::with_capacity(bytes.len());
    let (mut at, mut quoted, mut found) = (0, false, false);
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let bare = [&b"NaN"[..], b"Infinity", b"-Infinity"];
        if quoted && byte == b'\\' {
            clean.extend(rest.iter().take(2));
            at += 2;
        } else if let Some(word) = bare.iter().find(|word| !quoted && rest.starts_with(word)) {
            clean.extend_from_slice(b"null");
            at += word.len();
            found = true;
        } else {
            quoted ^= byte == b'"';
            clean.push(byte);
            at += 1;
        }
    }
    found.then_some(clean)
}

struct EventSeed<'s> {
    dimensions: &'s [String],
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
        let mut event = Event {
            schema_version: Value::Absent,
            request_id: Value::Absent,
            event_time: Value::Absent,
            arm: Value::Absent,
            assignment: Value::Absent,
            model_version: Value::Absent,
            latency_ms: Value::Absent,
            status_code: Value::Absent,
            error_type: Value::Absent,
            label: Value::Absent,
            score: Value::Absent,
            value: Value::Absent,
            best: None,
            segments: no_segments(),
            bad_prediction: None,
        };
        while let Some(key) = map.next_key_seed(KeySeed(FIELDS))? {
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
                Some(10) => map.next_value_seed(SegmentsSeed(self.dimensions, &mut event))?,
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

/// `prediction`: an object with label, score, value or scores; or null.
struct PredictionSeed<'e, 'de>(&'e mut Event<'de>);

impl<'de> DeserializeSeed<'de> for PredictionSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PredictionSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a prediction")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.0.bad_prediction = Some("prediction is a boolean, not an object");
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.0.bad_prediction = Some("prediction is a number, not an object");
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.0.bad_prediction = Some("prediction is a number, not an object");
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.0.bad_prediction = Some("prediction is a number, not an object");
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.0.bad_prediction = Some("prediction is a string, not an object");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.0.bad_prediction = Some("prediction is an array, not an object");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let names = ["label", "score", "value", "scores"];
        while let Some(key) = map.next_key_seed(KeySeed(&names))? {
            match key {
                Some(0) => self.0.label = map.next_value()?,
                Some(1) => self.0.score = map.next_value()?,
                Some(2) => self.0.value = map.next_value()?,
                Some(3) => map.next_value_seed(ScoresSeed(&mut *self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if matches!(self.0.label, Value::Nested) {
            self.0.bad_prediction = Some("prediction.label is an array or object");
        }
        for (value, problem) in [
            (&self.0.score, "prediction.score isn't a number"),
            (&self.0.value, "prediction.value isn't a number"),
        ] {
            if !value.is_absent() && value.number().is_none() {
                self.0.bad_prediction = Some(problem);
            }
        }
        Ok(())
    }
}

/// `prediction.scores`: probabilities by class name, or in order (then a class is its index).
struct ScoresSeed<'e, 'de>(&'e mut Event<'de>);

impl<'de> ScoresSeed<'_, 'de> {
    fn offer(&mut self, name: Cow<'de, str>, score: &Value<'_>) {
        let Some(score) = score.number().filter(|score| score.is_finite()) else { return };
        if self.0.best.as_ref().is_none_or(|(_, best)| *best < score) {
            self.0.best = Some((name, score));
        }
    }
}

impl<'de> DeserializeSeed<'de> for ScoresSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScoresSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probabilities by class, or in order")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut class = 0_u32;
        while let Some(score) = seq.next_element::<Value<'de>>()? {
            self.offer(Cow::Owned(class.to_string()), &score);
            class += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, score)) = map.next_entry::<Value<'de>, Value<'de>>()? {
            self.offer(name.text().unwrap_or_default(), &score);
        }
        Ok(())
    }
}

/// `segments`: an object; only the pipeline's dimensions are kept.
struct SegmentsSeed<'s, 'e, 'de>(&'s [String], &'e mut Event<'de>);

impl<'de> DeserializeSeed<'de> for SegmentsSeed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SegmentsSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of segments")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
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
