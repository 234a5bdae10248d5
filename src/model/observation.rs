//! What one arm did with one request.
//!
//! In: borrowed fields of a decoded record. Out: an observation, and its owned twin for the few
//! that must wait. Holds: text is within its limits. Knows nothing of: the encoding it came in.

use std::borrow::Cow;

use super::arm::Assignment;
use super::cluster::ClusterKey;
use super::time::EventTime;

/// The most segment dimensions a pipeline may have.
pub const DIMENSIONS_MAX: usize = 4;
/// The longest request id, in bytes.
pub const REQUEST_ID_MAX: usize = 256;
/// The longest class label, segment value or model version, in bytes.
pub const WORD_MAX: usize = 128;
/// The longest latency that is told apart, in microseconds: one hour.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;

/// A class label that can be used.
pub const CARRIES_LABEL: u8 = 1;
/// A finite score.
pub const CARRIES_SCORE: u8 = 2;
/// A finite value.
pub const CARRIES_VALUE: u8 = 4;
/// Class probabilities, at least one of them finite.
pub const CARRIES_SCORES: u8 = 8;
/// A latency that can be used.
pub const CARRIES_LATENCY: u8 = 16;
/// A model version that is no text and can't be written as one.
pub const BROKEN_VERSION: u8 = 32;
/// Segments that are no object, or a value that can't be written as text.
pub const BROKEN_SEGMENTS: u8 = 64;
/// The fields that these bits stand for, from the lowest.
pub const FIELDS: [&str; 7] = [
    "prediction.label",
    "prediction.score",
    "prediction.value",
    "prediction.scores",
    "latency_ms",
    "model_version",
    "segments",
];

/// One arm's answer to one request, borrowed from the record it was read from.
#[derive(Clone, PartialEq, Debug)]
pub struct Observation<'a> {
    /// Joins the arms' answers.
    pub request_id: Cow<'a, str>,
    /// When the request happened.
    pub time: EventTime,
    /// Forced assignments are counted, never used.
    pub assignment: Assignment,
    /// What came back.
    pub answer: Answer<'a>,
    /// How long it took, in microseconds, if known.
    pub latency_us: Option<u64>,
    /// Values of the pipeline's dimensions, in its order; the empty text where there is none.
    pub segments: [Cow<'a, str>; DIMENSIONS_MAX],
    /// Version of the model that answered, if the record says.
    pub model_version: Option<Cow<'a, str>>,
    /// Which records it comes together with, if the pipeline names a field for that and the record has it.
    pub cluster: Option<ClusterKey>,
    /// What the record carries in a form that can be used, whether it is compared or not: `CARRIES_*`.
    pub carries: u8,
    /// Fields that hold what doesn't belong there, and that the comparison can do without: they count
    /// as null. Bits as in `carries`, and `BROKEN_*`.
    pub broken: u8,
}

/// What came back from the model.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer<'a> {
    /// An error or a time-out.
    Failed,
    /// Answered without a usable prediction: null, empty, NaN or infinite.
    Null,
    /// A class: a label, or the arg-max of probabilities.
    Label(Cow<'a, str>),
    /// A number: a score or a regression value; finite.
    Number(f64),
}

impl Answer<'_> {
    fn into_owned(self) -> Answer<'static> {
        match self {
            Self::Failed => Answer::Failed,
            Self::Null => Answer::Null,
            Self::Label(label) => Answer::Label(Cow::Owned(label.into_owned())),
            Self::Number(number) => Answer::Number(number),
        }
    }
}

impl Observation<'_> {
    /// A copy that outlives its record.
    #[must_use]
    pub fn into_owned(self) -> Observation<'static> {
        Observation {
            request_id: Cow::Owned(self.request_id.into_owned()),
            time: self.time,
            assignment: self.assignment,
            answer: self.answer.into_owned(),
            latency_us: self.latency_us,
            segments: self.segments.map(|value| Cow::Owned(value.into_owned())),
            model_version: self.model_version.map(|version| Cow::Owned(version.into_owned())),
            cluster: self.cluster,
            carries: self.carries,
            broken: self.broken,
        }
    }
}
