//! Bytes to an observation, or the reason why not.
//!
//! In: one record's value. Out: an `Observation` borrowed from it, or a `Reject` that still carries
//! id and time where those could be read. Holds: never panics, never stops the job; no allocation
//! for a plain record. Knows nothing of: topics, offsets, the clock.

mod json;
mod value;

use std::borrow::Cow;

use crate::model::arm::{Assignment, Side};
use crate::model::bucket::Unreadable;
use crate::model::observation::{
    Answer, DIMENSIONS_MAX, LATENCY_US_MAX, Observation, REQUEST_ID_MAX, WORD_MAX,
};
use crate::model::spec::{Comparator, PipelineSpec};
use crate::model::time::EventTime;
use json::Event;
use value::Value;

/// The version of the native event that is read.
const SCHEMA_VERSION: i64 = 1;
/// 2200-01-01T00:00:00Z: later times can only be mistakes.
const LATEST_US: i64 = 7_258_118_400_000_000;

/// Reads native events for one pipeline.
#[derive(Clone, Debug)]
pub struct Decoder {
    dimensions: Vec<String>,
    candidates: Vec<String>,
    comparator: Comparator,
}

/// Why a record isn't an observation, and what could be read of it all the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Reject<'a> {
    /// The counted reason.
    pub reason: Unreadable,
    /// What was found, for people.
    pub detail: String,
    /// Its request id, if readable.
    pub request_id: Option<Cow<'a, str>>,
    /// Its event time, if readable.
    pub time: Option<EventTime>,
}

impl Decoder {
    /// A decoder for the pipeline's dimensions, candidates and comparator.
    #[must_use]
    pub fn new(spec: &PipelineSpec) -> Self {
        Self {
            dimensions: spec.dimensions.iter().map(|dimension| dimension.name.clone()).collect(),
            candidates: spec.candidates.clone(),
            comparator: spec.comparator,
        }
    }

    /// Reads the value of a record of input `input`.
    ///
    /// # Errors
    /// A `Reject` for anything that isn't a complete native event.
    pub fn decode<'a>(
        &self,
        input: usize,
        bytes: Option<&'a [u8]>,
    ) -> Result<Observation<'a>, Reject<'a>> {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return Err(Reject::bare(Unreadable::Empty, "the record has no value".to_owned()));
        };
        match json::parse(bytes, &self.dimensions) {
            Ok(event) => self.observation(input, event),
            // Python's json module writes bare NaN and Infinity: read as null, not rejected.
            Err(error) => match json::without_bare_numbers(bytes) {
                Some(clean) => match json::parse(&clean, &self.dimensions) {
                    Ok(event) => self
                        .observation(input, event)
                        .map(Observation::into_owned)
                        .map_err(Reject::into_owned),
                    Err(_) => Err(Reject::bare(Unreadable::Syntax, error.to_string())),
                },
                None => Err(Reject::bare(Unreadable::Syntax, error.to_string())),
            },
        }
    }

    fn observation<'a>(
        &self,
        input: usize,
        event: Event<'a>,
    ) -> Result<Observation<'a>, Reject<'a>> {
        let request_id = event.request_id.clone().text().filter(|id| !id.is_empty());
        let time = time_of(&event.event_time);
        if let Some((reason, detail)) = self.problem(input, &event, request_id.as_deref(), time) {
            let id = request_id.filter(|id| id.len() <= REQUEST_ID_MAX);
            return Err(Reject { reason, detail, request_id: id, time });
        }
        let (Some(request_id), Some(time)) = (request_id, time) else {
            return Err(Reject::bare(Unreadable::MissingField, "request_id, event_time".into()));
        };
        let answer = self.answer(&event);
        Ok(Observation {
            request_id,
            time,
            assignment: match event.assignment.as_str() {
                Some("override") => Assignment::Override,
                _ => Assignment::Random,
            },
            answer,
            latency_us: latency_us(&event.latency_ms).unwrap_or_default(),
            segments: event.segments.map(|segment| segment.text().unwrap_or_default()),
            model_version: event.model_version.text(),
            carries: 0,
        })
    }

    /// The first thing that is wrong, in a fixed order.
    fn problem(
        &self,
        input: usize,
        event: &Event<'_>,
        request_id: Option<&str>,
        time: Option<EventTime>,
    ) -> Option<(Unreadable, String)> {
        use Unreadable::{BadField, MissingField, TooLong, UnknownVersion, WrongArm};
        let version = &event.schema_version;
        if !version.is_absent() && version.number() != Some(SCHEMA_VERSION as f64) {
            return Some((UnknownVersion, format!("schema_version is {version}, not 1")));
        }
        if event.request_id.is_absent() {
            return Some((MissingField, "request_id".to_owned()));
        }
        if event.event_time.is_absent() {
            return Some((MissingField, "event_time".to_owned()));
        }
        let Some(id) = request_id else {
            return Some((BadField, format!("request_id is {}", event.request_id)));
        };
        if REQUEST_ID_MAX < id.len() {
            return Some((TooLong, format!("request_id has {} bytes, not ≤ 256", id.len())));
        }
        if time.is_none() {
            return Some((BadField, format!("event_time is {}", event.event_time)));
        }
        if let Some(word) = self.wrong_arm(input, &event.arm) {
            return Some((WrongArm, format!("arm is {word}")));
        }
        if !event.assignment.is_absent()
            && !matches!(event.assignment.as_str(), Some("random" | "override"))
        {
            return Some((BadField, format!("assignment is {}", event.assignment)));
        }
        if latency_us(&event.latency_ms).is_none() {
            return Some((BadField, format!("latency_ms is {}", event.latency_ms)));
        }
        if !event.status_code.is_absent() && event.status_code.number().is_none() {
            return Some((BadField, format!("status_code is {}", event.status_code)));
        }
        if !event.model_version.is_absent() && event.model_version.as_str().is_none() {
            return Some((BadField, format!("model_version is {}", event.model_version)));
        }
        event.bad_prediction.map(|field| (BadField, field.to_owned())).or_else(|| {
            event.words().find(|word| WORD_MAX < word.len()).map(|word| {
                (
                    TooLong,
                    format!("a label, segment or version has {} bytes, not ≤ 128", word.len()),
                )
            })
        })
    }

    fn wrong_arm(&self, input: usize, arm: &Value<'_>) -> Option<String> {
        if arm.is_absent() {
            return None;
        }
        let word = arm.as_str().unwrap_or_default();
        let fits = match Side::parse(word) {
            Some(Side::Primary) => input == 0,
            Some(Side::Candidate) => input != 0,
            None => {
                input.checked_sub(1).and_then(|at| self.candidates.get(at)).map(String::as_str)
                    == Some(word)
            }
        };
        if fits { None } else { Some(arm.to_string()) }
    }

    fn answer<'a>(&self, event: &Event<'a>) -> Answer<'a> {
        let failed = event.status_code.number().is_some_and(|status| 500.0 <= status)
            || event.error_type.as_str().is_some_and(|error| !error.is_empty());
        if failed {
            return Answer::Failed;
        }
        let label = |value: &Value<'a>| value.clone().text().filter(|text| !text.is_empty());
        let best = || event.best.as_ref().map(|(name, _)| name.clone());
        match self.comparator {
            Comparator::Label => {
                label(&event.label).or_else(best).map_or(Answer::Null, Answer::Label)
            }
            Comparator::ArgMax => {
                best().or_else(|| label(&event.label)).map_or(Answer::Null, Answer::Label)
            }
            Comparator::Number { .. } => [&event.value, &event.score]
                .into_iter()
                .find_map(Value::number)
                .filter(|number| number.is_finite())
                .map_or(Answer::Null, Answer::Number),
        }
    }
}

impl Reject<'_> {
    fn bare(reason: Unreadable, detail: String) -> Self {
        Self { reason, detail, request_id: None, time: None }
    }

    fn into_owned(self) -> Reject<'static> {
        Reject {
            reason: self.reason,
            detail: self.detail,
            request_id: self.request_id.map(|id| Cow::Owned(id.into_owned())),
            time: self.time,
        }
    }
}

/// Reads RFC 3339 text, or an epoch whose unit its magnitude tells: below 1e11 seconds, below 1e14
/// milliseconds, below 1e17 microseconds, else nanoseconds. From 1970 to 2200.
fn time_of(value: &Value<'_>) -> Option<EventTime> {
    let us = match value {
        Value::Text(text) => text.parse::<jiff::Timestamp>().ok()?.as_microsecond(),
        Value::Int(n) => match *n {
            ..0 => return None,
            0..100_000_000_000 => n.checked_mul(1_000_000)?,
            100_000_000_000..100_000_000_000_000 => n.checked_mul(1_000)?,
            100_000_000_000_000..100_000_000_000_000_000 => *n,
            _ => n / 1_000,
        },
        Value::Float(seconds) if (0.0..1e11).contains(seconds) => rounded(seconds * 1e6),
        Value::Float(millis) if (1e11..1e14).contains(millis) => rounded(millis * 1e3),
        _ => return None,
    };
    (0..LATEST_US).contains(&us).then(|| EventTime::from_us(us))
}

/// Latency in microseconds: `Some(None)` without one, `None` if it makes no sense.
fn latency_us(value: &Value<'_>) -> Option<Option<u64>> {
    if value.is_absent() {
        return Some(None);
    }
    let millis = value.number().filter(|millis| 0.0 <= *millis)?;
    let us = u64::try_from(rounded(millis * 1e3)).unwrap_or(LATENCY_US_MAX);
    Some(Some(us.min(LATENCY_US_MAX)))
}

/// The nearest integer; `as` saturates, so that a latency of ages is merely long.
#[expect(clippy::cast_possible_truncation, reason = "saturating is meant")]
const fn rounded(number: f64) -> i64 {
    number.round() as i64
}

/// An array of empty values, one per dimension.
const fn no_segments<'a>() -> [Value<'a>; DIMENSIONS_MAX] {
    [Value::Absent, Value::Absent, Value::Absent, Value::Absent]
}

#[cfg(test)]
mod tests;
