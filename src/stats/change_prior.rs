//! A prior over the moment at which a change happens, without an end.
//!
//! In: minutes or looks, counted from 0. Out: probabilities. Holds: all weights together are 1; a
//! change after m minutes costs ln m + 2 ln ln m of log evidence, however long one watches; the
//! weight of a look is known before the look. Knows nothing of: what changes, or the clock.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

const MINUTE_US: u64 = 60_000_000;

/// Returns the prior probability that the change falls into this `minute`.
///
/// w(m) = F(m) − F(m + 1) with F(m) = 1/log₂(m + 2): a telescoping sum, which is 1, and falls like
/// 1/(m ln² m) (after Rissanen 1983, the universal prior of whole numbers; its use for change
/// points as in Shin, Ramdas & Rinaldo 2023). Keeps its digits for late minutes too.
pub fn weight(minute: u64) -> f64 {
    between(minute, minute.saturating_add(1))
}

/// Returns the prior probability that the change falls into this `minute` or a later one:
/// F(m) = 1/log₂(m + 2), 1 for the first minute.
pub fn left(minute: u64) -> f64 {
    LN_2 / (minute as f64 + 2.0).ln()
}

/// Returns F(from) − F(to), without losing digits to the difference.
fn between(from: u64, to: u64) -> f64 {
    let (a, b) = (from as f64 + 2.0, to as f64 + 2.0);
    let apart = to.saturating_sub(from) as f64;
    LN_2 * (apart / a).ln_1p() / (a.ln() * b.ln())
}

/// The prior for looks of one length: within a minute it is spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePrior {
    look_us: u64,
}

impl ChangePrior {
    /// Returns the prior for looks that last so many microseconds; at least one.
    pub fn of_looks(look_us: u64) -> Self {
        Self { look_us: look_us.max(1) }
    }

    /// Returns the prior for looks of a second.
    pub fn of_seconds() -> Self {
        Self::of_looks(MINUTE_US / 60)
    }

    /// Returns the prior probability that the change falls into the `look`-th look, from 0.
    pub fn weight(&self, look: u64) -> f64 {
        let from = look.saturating_mul(self.look_us);
        let to = from.saturating_add(self.look_us);
        let (first, last) = (from / MINUTE_US, to / MINUTE_US);
        let part = |us: u64| us as f64 / MINUTE_US as f64;
        if first == last {
            return weight(first) * part(to - from);
        }
        let head = weight(first) * (1.0 - part(from % MINUTE_US));
        head + between(first + 1, last) + weight(last) * part(to % MINUTE_US)
    }

    /// Returns the prior probability that the change falls into this look or a later one.
    pub fn left(&self, look: u64) -> f64 {
        let from = look.saturating_mul(self.look_us);
        let minute = from / MINUTE_US;
        left(minute) - weight(minute) * ((from % MINUTE_US) as f64 / MINUTE_US as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangePrior, left, weight};
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn late_minutes_keep_their_digits() {
        let m = 1e12_f64;
        let density = std::f64::consts::LN_2 / (m * m.ln() * m.ln());
        assert!((weight(1_000_000_000_000) / density - 1.0).abs() < 1e-10);
        assert!(0.0 < ChangePrior::of_looks(u64::MAX).weight(0));
        assert!(ChangePrior::of_seconds().weight(u64::MAX).is_finite());
    }

    proptest! {
        /// What is given out and what is left are one, at any length of look.
        #[test]
        fn nothing_is_given_twice(
            look_us in 1_000_u64..1_000_000_000,
            looks in 0_u64..500,
        ) {
            let prior = ChangePrior::of_looks(look_us);
            let given: f64 = (0..looks).map(|look| prior.weight(look)).sum();
            prop_assert!((given + prior.left(looks) - 1.0).abs() < 1e-12);
            prop_assert!(0.0 < prior.weight(looks));
        }

        #[test]
        fn minutes_and_looks_agree(minute in 0_u64..10_000_000) {
            let seconds = ChangePrior::of_seconds();
            prop_assert!((seconds.weight(60 * minute) * 60.0 / weight(minute) - 1.0).abs() < 1e-12);
            prop_assert!((seconds.left(60 * minute) - left(minute)).abs() < 1e-15);
        }
    }
}
