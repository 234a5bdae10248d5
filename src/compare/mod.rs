//! Do two predictions agree?
//!
//! In: two usable predictions of one request. Out: whether they agree under the pipeline's
//! comparator. Holds: symmetric; NaN never gets here. Knows nothing of: where the predictions came
//! from.
//!
//! # Place in a record's life
//!
//! Called for each pair that [`crate::join`] found, by [`crate::engine::task`], which hands the answer on to
//! [`crate::tally`]. `None` isn't disagreement: a pair with an answer that can't be compared is counted as incomparable
//! and leaves the match rate alone.

mod number;

use crate::model::spec::Comparator;

/// A usable prediction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Prediction<'a> {
    /// A class: a label or the arg-max of probabilities.
    Label(&'a str),
    /// A finite number.
    Number(f64),
}

/// Returns whether the two agree; `None` where one isn't of the comparator's kind.
#[must_use]
pub fn agree(comparator: Comparator, ours: Prediction<'_>, theirs: Prediction<'_>) -> Option<bool> {
    match (comparator, ours, theirs) {
        (
            Comparator::Label | Comparator::ArgMax,
            Prediction::Label(ours),
            Prediction::Label(theirs),
        ) => Some(ours == theirs),
        (
            Comparator::Number { absolute, relative },
            Prediction::Number(ours),
            Prediction::Number(theirs),
        ) => Some(number::agree(ours, theirs, absolute, relative)),
        (Comparator::Label | Comparator::ArgMax | Comparator::Number { .. }, _, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_dont_fit_cant_be_compared() {
        let (label, number) = (Prediction::Label("a"), Prediction::Number(1.0));
        assert_eq!(agree(Comparator::Label, label, number), None);
        assert_eq!(agree(Comparator::ArgMax, label, label), Some(true));
        assert_eq!(agree(Comparator::Label, label, Prediction::Label("b")), Some(false));
    }
}
