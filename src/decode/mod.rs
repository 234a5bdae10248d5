//! Bytes to an observation, or the reason why not.
//!
//! In: one record's value. Out: an `Observation` borrowed from it, or a `Reject` that still carries
//! id and time where those could be read. Holds: never panics, never stops the job; no allocation
//! for a plain record. Knows nothing of: topics, offsets, the clock.
//!
//! # Place in a record's life
//!
//! The first step. Before it, a source (`runtime::source`) has handed out the bytes; after it, [`crate::clock`] decides
//! whether the record moves time.
//!
//! # Why a reject carries id and time
//!
//! A record that can't be read is counted and put aside with its reason, and the job goes on. It still answers two
//! questions if it can: *when*, so that it moves its partition's clock as any other and a re-read finds the same panes;
//! and *which request*, so that the request's missing answer is told as unreadable and not as the candidate's silence.

mod foreign;
mod json;
mod raw;
mod time;
mod value;

use std::borrow::Cow;

use crate::model::arm::{Assignment, Side};
use crate::model::bucket::Unreadable;
use crate::model::cluster::ClusterKey;
use crate::model::observation::{
    Answer, BROKEN_SEGMENTS, BROKEN_VERSION, CARRIES_LABEL, CARRIES_LATENCY, CARRIES_SCORE,
    CARRIES_SCORES, CARRIES_VALUE, LATENCY_US_MAX, Observation, REQUEST_ID_MAX, WORD_MAX,
};
use crate::model::spec::{Comparator, PipelineSpec};
use crate::model::time::EventTime;
use json::{Event, Prediction, Wanted};
use value::{Numeric, Value};

/// The version of the native event that is read.
const SCHEMA_VERSION: f64 = 1.0;
/// What belongs at `status_code`.
const STATUS: &str = "write a number such as 200, and other words to error_type";

/// Reads native events for one pipeline.
#[derive(Clone, Debug)]
pub struct Decoder {
    dimensions: Vec<String>,
    cluster: Option<String>,
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
            cluster: spec.cluster.clone(),
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
        match json::parse(bytes, self.wanted()) {
            Ok(event) => self.observation(input, event, bytes),
            // Python's json module writes bare NaN and Infinity: read as null, not rejected.
            Err(error) => self.lenient(input, bytes).unwrap_or_else(|| {
                let detail = foreign::framing(bytes).unwrap_or_else(|| error.to_string());
                Err(Reject::bare(Unreadable::Syntax, detail))
            }),
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { dimensions: &self.dimensions, cluster: self.cluster.as_deref() }
    }

    fn lenient<'a>(
        &self,
        input: usize,
        bytes: &[u8],
    ) -> Option<Result<Observation<'a>, Reject<'a>>> {
        let clean = json::without_bare_numbers(bytes)?;
        let event = json::parse(&clean, self.wanted()).ok()?;
        let read = self.observation(input, event, &clean);
        Some(read.map(Observation::into_owned).map_err(Reject::into_owned))
    }

    fn observation<'a>(
        &self,
        input: usize,
        mut event: Event<'a>,
        bytes: &[u8],
    ) -> Result<Observation<'a>, Reject<'a>> {
        let id = std::mem::take(&mut event.request_id);
        let time = time::read(&event.event_time);
        let latency_us = latency_us(&event.latency_ms);
        let (carries, broken) = (carries(&event, latency_us), broken(&event));
        let problem = unknown_version(&event.schema_version)
            .or_else(|| unidentified(&id, &event.event_time, &time, bytes))
            .or_else(|| self.unfit(input, &event));
        let id = id.text().filter(|id| (1..=REQUEST_ID_MAX).contains(&id.len()));
        let answer = problem.map_or_else(|| self.answer(&mut event), Err);
        match (answer, id, time) {
            (Ok(answer), Some(request_id), Ok(time)) => Ok(Observation {
                request_id,
                time,
                assignment: match event.assignment.as_str() {
                    Some("override") => Assignment::Override,
                    _ => Assignment::Random,
                },
                answer,
                latency_us,
                segments: event.segments.map(|segment| word(segment).unwrap_or_default()),
                model_version: word(event.model_version),
                cluster: event.cluster.text().as_deref().and_then(ClusterKey::of),
                carries,
                broken,
            }),
            (answer, request_id, time) => {
                let (reason, detail) = answer.err().unwrap_or_else(|| {
                    (Unreadable::BadField, "request_id or event_time can't be read".to_owned())
                });
                Err(Reject { reason, detail, request_id, time: time.ok() })
            }
        }
    }

    /// The first field that keeps an identified record from being weighed, in a fixed order.
    fn unfit(&self, input: usize, event: &Event<'_>) -> Option<(Unreadable, String)> {
        use Unreadable::{BadField, WrongArm};
        if let Some(own) = self.wrong_arm(input, &event.arm) {
            let said = format!("arm is {}, but this topic is that of `{own}`", event.arm);
            return Some((WrongArm, said));
        }
        let assignment = &event.assignment;
        if !assignment.is_absent() && !matches!(assignment.as_str(), Some("random" | "override")) {
            let said = format!("assignment is {assignment}: write `random` or `override`");
            return Some((BadField, said));
        }
        let status = &event.status_code;
        (status.numeric() == Numeric::Broken)
            .then(|| (BadField, format!("status_code is {status}: {STATUS}")))
    }

    /// The arm whose topic this is, if the record names another one.
    fn wrong_arm(&self, input: usize, arm: &Value<'_>) -> Option<&str> {
        if arm.is_absent() {
            return None;
        }
        let word = arm.as_str().unwrap_or_default();
        let own = input.checked_sub(1).and_then(|at| self.candidates.get(at)).map(String::as_str);
        let fits = match Side::parse(word) {
            Some(Side::Primary) => input == 0,
            Some(Side::Candidate) => input != 0,
            None => own == Some(word),
        };
        (!fits).then(|| own.unwrap_or("primary"))
    }

    /// Returns the answer: the field that decides stands for itself. Where it is null, so is the answer:
    /// another field is looked at only where the record hasn't this one.
    fn answer<'a>(&self, event: &mut Event<'a>) -> Result<Answer<'a>, (Unreadable, String)> {
        let status = event.status_code.numeric().finite();
        if status.is_some_and(|status| 500.0 <= status) || !event.error_type.is_empty() {
            return Ok(Answer::Failed);
        }
        let prediction = &mut event.prediction;
        if let Some(what) = prediction.bad {
            let field = match self.comparator {
                Comparator::Label => r#"{"label": …}"#,
                Comparator::ArgMax => r#"{"scores": {…}}"#,
                Comparator::Number { .. } => r#"{"value": …}"#,
            };
            let said = format!("prediction is {what}: write {field}");
            return Err((Unreadable::BadField, said));
        }
        match self.comparator {
            Comparator::Label if matches!(prediction.label, Value::Missing) => best(prediction),
            Comparator::ArgMax if prediction.scores.is_there => best(prediction),
            Comparator::Label | Comparator::ArgMax => label(prediction),
            Comparator::Number { .. } => number(prediction),
        }
    }
}

fn unknown_version(version: &Value<'_>) -> Option<(Unreadable, String)> {
    let is_known = version.is_absent() || version.numeric() == Numeric::Is(SCHEMA_VERSION);
    let said = || format!("schema_version is {version}: this engine reads 1");
    (!is_known).then(|| (Unreadable::UnknownVersion, said()))
}

/// Returns what is wrong with id and time: without them a record belongs nowhere.
fn unidentified(
    id: &Value<'_>,
    event_time: &Value<'_>,
    time: &Result<EventTime, String>,
    bytes: &[u8],
) -> Option<(Unreadable, String)> {
    let mut missing = [("request_id", id), ("event_time", event_time)]
        .into_iter()
        .filter_map(|(name, value)| matches!(value, Value::Missing).then_some(name));
    if let Some(first) = missing.next() {
        let missing: Vec<&str> = std::iter::once(first).chain(missing).collect();
        return Some((Unreadable::MissingField, foreign::missing(bytes, &missing)));
    }
    if id.is_absent() || event_time.is_absent() {
        let name = if id.is_absent() { "request_id" } else { "event_time" };
        return Some((
            Unreadable::MissingField,
            format!("{name} is null: every event has its own"),
        ));
    }
    let said = match id {
        Value::Text(text) if REQUEST_ID_MAX < text.len() => {
            let said = format!("request_id has {} bytes: at most 256 belong there", text.len());
            return Some((Unreadable::TooLong, said));
        }
        Value::Text(text) if text.is_empty() => {
            "request_id is empty: write 1 to 256 bytes".to_owned()
        }
        Value::Array { .. } | Value::Object { .. } => {
            format!("request_id is {id}: write text, a number or a boolean")
        }
        Value::Float(_) => "request_id is a number of more than 256 digits: write text".to_owned(),
        _ => time.as_ref().err()?.clone(),
    };
    Some((Unreadable::BadField, said))
}

/// The class that `label` names.
fn label<'a>(prediction: &mut Prediction<'a>) -> Result<Answer<'a>, (Unreadable, String)> {
    let label = std::mem::take(&mut prediction.label);
    if label.is_nested() || matches!(label, Value::Float(_)) {
        let said = format!("prediction.label is {label}: write text, a number or a boolean");
        return Err((Unreadable::BadField, said));
    }
    class("label", label.text())
}

/// The class with the highest probability.
fn best<'a>(prediction: &mut Prediction<'a>) -> Result<Answer<'a>, (Unreadable, String)> {
    if let Some(what) = prediction.scores.bad {
        let verb = if what.starts_with("holds") { "" } else { "is " };
        let said = format!("prediction.scores {verb}{what}: write one probability for each class");
        return Err((Unreadable::BadField, said));
    }
    class("scores", prediction.scores.best.take().map(|(name, _)| name))
}

fn class<'a>(field: &str, name: Option<Cow<'a, str>>) -> Result<Answer<'a>, (Unreadable, String)> {
    match name.filter(|name| !name.is_empty()) {
        None => Ok(Answer::Null),
        Some(name) if name.len() <= WORD_MAX => Ok(Answer::Label(name)),
        Some(name) => {
            let length = name.len();
            let said = format!(
                "a class in prediction.{field} has {length} bytes: at most 128 belong there"
            );
            Err((Unreadable::TooLong, said))
        }
    }
}

/// The number that `value` holds, or `score` where the record has no `value`.
fn number<'a>(prediction: &Prediction<'_>) -> Result<Answer<'a>, (Unreadable, String)> {
    let (name, value) = match prediction.value {
        Value::Missing => ("score", &prediction.score),
        _ => ("value", &prediction.value),
    };
    match value.numeric() {
        Numeric::Missing | Numeric::Null => Ok(Answer::Null),
        Numeric::Is(number) => Ok(Answer::Number(number)),
        Numeric::Broken => {
            let said = format!("prediction.{name} is {value}: write a number, or null");
            Err((Unreadable::BadField, said))
        }
    }
}

/// Text within its limit; what is no text stands for nothing.
fn word(value: Value<'_>) -> Option<Cow<'_, str>> {
    value.text().filter(|text| text.len() <= WORD_MAX)
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

/// Latency in microseconds, if it makes sense.
fn latency_us(value: &Value<'_>) -> Option<u64> {
    let millis = value.numeric().finite().filter(|millis| 0.0 <= *millis)?;
    let us = u64::try_from(rounded(millis * 1e3)).unwrap_or(LATENCY_US_MAX);
    Some(us.min(LATENCY_US_MAX))
}

/// Returns what of a prediction the record carries, and whether a latency.
fn carries(event: &Event<'_>, latency_us: Option<u64>) -> u8 {
    let Prediction { label, score, value, scores, .. } = &event.prediction;
    bits([
        (!label.is_absent() && !label.is_nested() && label.as_str() != Some(""), CARRIES_LABEL),
        (score.numeric().finite().is_some(), CARRIES_SCORE),
        (value.numeric().finite().is_some(), CARRIES_VALUE),
        (scores.best.is_some(), CARRIES_SCORES),
        (latency_us.is_some(), CARRIES_LATENCY),
    ])
}

/// Returns which fields hold what doesn't belong there.
fn broken(event: &Event<'_>) -> u8 {
    let Prediction { label, score, value, scores, bad } = &event.prediction;
    let no_number = |value: &Value<'_>| value.numeric() == Numeric::Broken;
    let no_word = |value: &Value<'_>| match value {
        Value::Text(text) => WORD_MAX < text.len(),
        value => value.is_nested() || matches!(value, Value::Float(_)),
    };
    let latency = event.latency_ms.numeric();
    let negative = latency.finite().is_some_and(|millis| millis < 0.0);
    bits([
        (no_word(label) || bad.is_some(), CARRIES_LABEL),
        (no_number(score) || bad.is_some(), CARRIES_SCORE),
        (no_number(value) || bad.is_some(), CARRIES_VALUE),
        (scores.bad.is_some() || bad.is_some(), CARRIES_SCORES),
        (negative || latency == Numeric::Broken, CARRIES_LATENCY),
        (no_word(&event.model_version), BROKEN_VERSION),
        (event.bad_segments.is_some() || event.segments.iter().any(no_word), BROKEN_SEGMENTS),
    ])
}

fn bits<const N: usize>(flags: [(bool, u8); N]) -> u8 {
    flags.into_iter().fold(0, |bits, (is_set, bit)| if is_set { bits | bit } else { bits })
}

/// The nearest integer; `as` saturates, so that a latency of ages is merely long.
#[expect(clippy::cast_possible_truncation, reason = "saturating is meant")]
const fn rounded(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests;
