//! A rule: a claim about the candidate in the user's words, parsed.
//!
//! In: what `rules::grammar` read. Out: plain data. Holds: numbers are finite, shares lie in
//! (0, 1), a ratio is positive. Knows nothing of: how the claim is shown.

use serde::{Deserialize, Serialize};

use super::tally::Segment;
use super::time::Span;

/// What a rule speaks of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Metric {
    /// Failed ÷ all observations of the arm.
    ErrorRate,
    /// Primaries without an answer of the candidate ÷ primaries expected to be mirrored.
    MissingRate,
    /// Records of the candidate that couldn't be read ÷ its records.
    UnreadableRate,
    /// Answered without a usable prediction ÷ answered.
    NullRate,
    /// A latency quantile, in thousandths of a percent of rank: 99000 is p99, 99900 is p99.9.
    Latency {
        /// Rank × 100,000.
        rank: u32,
    },
    /// Matching ÷ comparable pairs.
    MatchRate,
    /// Total variation of answered predictions.
    PredictionShift,
    /// Correct ÷ matured observations with an outcome.
    Accuracy,
}

impl Metric {
    /// Returns whether it speaks of how both arms' answers to one request meet.
    #[must_use]
    pub const fn is_about_pairs(self) -> bool {
        matches!(self, Self::MissingRate | Self::MatchRate | Self::PredictionShift)
    }

    /// The name in rules, tables and signals.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::ErrorRate => "error_rate".to_owned(),
            Self::MissingRate => "missing_rate".to_owned(),
            Self::UnreadableRate => "unreadable_rate".to_owned(),
            Self::NullRate => "null_rate".to_owned(),
            Self::Latency { rank } => {
                let whole = rank / 1000;
                let rest = format!("{:03}", rank % 1000);
                format!(
                    "latency_p{whole}{}",
                    match rest.trim_end_matches('0') {
                        "" => String::new(),
                        digits => format!(".{digits}"),
                    }
                )
            }
            Self::MatchRate => "match_rate".to_owned(),
            Self::PredictionShift => "prediction_shift".to_owned(),
            Self::Accuracy => "accuracy".to_owned(),
        }
    }
}

/// How the metric stands to the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Op {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Op {
    /// As written.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

/// What a decision asks for, in order of severity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Keep going as it is.
    Hold,
    /// The candidate may take over.
    Promote,
    /// A person should look.
    Investigate,
    /// Take the candidate away.
    Rollback,
}

impl Action {
    /// The word in signals, tables and HTTP.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Promote => "promote",
            Self::Investigate => "investigate",
            Self::Rollback => "rollback",
        }
    }
}

/// A claim that must be shown before it acts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// The user's words, white space normalised.
    pub text: String,
    /// What follows when it is shown.
    pub action: Action,
    /// What it speaks of.
    pub metric: Metric,
    /// How it stands to the value.
    pub op: Op,
    /// A share, a latency in microseconds, or a factor of the primary's value.
    pub value: f64,
    /// The value is a factor of the primary's (`2x primary`).
    pub relative: bool,
    /// The margin that must be excluded (`at worst 1.5x`).
    pub at_worst: Option<f64>,
    /// Must be true at every pane of this span.
    pub held_for: Option<Span>,
    /// Speaks of one declared segment value only.
    pub segment: Option<Segment>,
    /// The naive reading (`observed:`): may alert, never acts.
    pub observed: bool,
    /// Nobody stated it: it is there by default, and the file doesn't say what is mirrored.
    pub assumed: bool,
}

impl Rule {
    /// The span over which the naive reading reads the point estimate.
    #[must_use]
    pub fn observed_over(&self) -> Span {
        self.held_for.unwrap_or(Span::from_secs(60))
    }
}
