//! What traffic is like, and what is wrong with it.
//!
//! In: choices. Out: plain data. Holds: rates are shares from 0 to 1, times are seconds from the
//! start. Knows nothing of: records.

use serde::Serialize;

use crate::model::time::{EventTime, Span};

/// Traffic of one primary and its candidates.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scenario {
    /// Numbers follow from it.
    pub seed: u64,
    /// Requests in all.
    pub requests: u64,
    /// Requests per second of event time.
    pub rate: f64,
    /// Partitions of every topic.
    pub partitions: u32,
    /// Event time of the first request, in microseconds since the epoch.
    pub start_us: i64,
    /// Candidates by name, each answers every request.
    pub candidates: Vec<String>,
    /// Classes by weight.
    pub classes: Vec<(String, f64)>,
    /// Countries by weight.
    pub countries: Vec<(String, f64)>,
    /// Failed answers of every arm.
    pub error_rate: f64,
    /// Answers without a prediction, of every arm.
    pub null_rate: f64,
    /// Candidates' answers that agree with the primary's.
    pub agreement: f64,
    /// Median latency in milliseconds; log-normal.
    pub latency_ms: f64,
    /// Standard deviation of its logarithm.
    pub latency_sigma: f64,
    /// What is wrong.
    pub faults: Faults,
}

/// What is wrong with the traffic.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Faults {
    /// Candidates' answers that are never sent.
    pub missing: f64,
    /// Records that are sent again.
    pub duplicate: f64,
    /// Arrival is delayed by up to so many seconds.
    pub disorder_s: f64,
    /// Records that arrive more than three times `wait_s` late.
    pub beyond_wait: f64,
    /// The engine's `wait`, for `beyond_wait`.
    pub wait_s: f64,
    /// Partition 0 of the first candidate lags so many seconds.
    pub lagging_partition_s: f64,
    /// One producer of `producers` stamps so many seconds ahead.
    pub clock_ahead_s: f64,
    /// Producers.
    pub producers: u64,
    /// Records that the producer with the wrong clock sends at once.
    pub batch: u64,
    /// Seconds without requests.
    pub silence_s: f64,
    /// When the silence begins.
    pub silence_at_s: f64,
    /// Records that can't be read.
    pub broken: f64,
    /// Requests whose assignment was forced.
    pub overrides: f64,
    /// Requests whose assignment was forced, as either the primary's record alone says or the candidates'.
    pub overrides_in_one_arm: f64,
    /// Faults of the first candidate that begin at some time.
    pub candidate: Vec<Fault>,
}

/// Where a fault strikes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Where {
    /// Only in this country.
    pub country: Option<String>,
}

/// A fault of the first candidate from some time on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fault {
    /// `errors`, `nulls`, `wrong`, `slow`, `dead` or `version`.
    pub kind: FaultKind,
    /// When it begins, in seconds from the start.
    pub at_s: f64,
    /// Where.
    pub place: Where,
}

/// What a candidate does wrong.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Fails this share.
    Errors(f64),
    /// Answers this share without a prediction.
    Nulls(f64),
    /// Flips this share.
    Wrong(f64),
    /// Takes so many times as long.
    Slow(f64),
    /// Answers nothing.
    Dead,
    /// Has a new model version.
    Version(String),
}

impl Scenario {
    /// Event time at which a fault begins.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "seconds of traffic")]
    pub fn begins(&self, fault: &Fault) -> EventTime {
        EventTime::from_us(self.start_us).plus(Span::from_us((fault.at_s * 1e6) as i64))
    }
    /// Healthy traffic of a fraud model.
    #[must_use]
    pub fn fraud(seed: u64) -> Self {
        let weights = |pairs: &[(&str, f64)]| {
            pairs.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
        };
        Self {
            seed,
            requests: 100_000,
            rate: 1000.0,
            partitions: 4,
            start_us: 1_767_261_600_000_000,
            candidates: vec!["v8".to_owned()],
            classes: weights(&[("ok", 0.90), ("review", 0.07), ("fraud", 0.03)]),
            countries: weights(&[
                ("US", 0.40),
                ("BR", 0.22),
                ("DE", 0.16),
                ("IN", 0.14),
                ("GB", 0.08),
            ]),
            error_rate: 0.005,
            null_rate: 0.0005,
            agreement: 0.987,
            latency_ms: 4.0,
            latency_sigma: 0.5,
            faults: Faults { wait_s: 30.0, producers: 8, batch: 20, ..Faults::default() },
        }
    }
}
