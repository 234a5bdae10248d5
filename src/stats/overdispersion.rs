//! How much more a rate scatters from look to look than independent observations would.
//!
//! In: one arm's events among totals, look by look. Out: a factor by which log evidence is divided.
//! Holds: looks are compared with the one before, so that a slow drift cancels; sums of two arms can
//! be pooled; a state forgets by a factor, so that it has a horizon. Take the divisor before the
//! look that it divides is added: it has to be fixed before the data it judges. Knows nothing of: what
//! an event is, why events come together.

use serde::{Deserialize, Serialize};

/// What is taken for known before events were seen: clusters of twenty.
pub const PRIOR_DIVISOR: f64 = 20.0;

/// So many events weigh as much as the prior.
pub const PRIOR_EVENTS: f64 = 5.0;

/// Running sums over successive looks of one arm.
///
/// d = rₜ − rₜ₋₁ and v = p(1 − p)(1/nₜ + 1/nₜ₋₁), with p of both looks together. A ratio of sums rather
/// than a mean of ratios, which is biased where events are rare (successive differences: von
/// Neumann 1941; the ratio as McCullagh & Nelder 1989, §4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overdispersion {
    /// Σ d², Σ d⁴ and Σ v.
    squares: f64,
    fourths: f64,
    variance: f64,
    /// How many pairs of looks, and events, are in the sums.
    pairs: f64,
    events: f64,
    /// Events and total of the look before.
    last: Option<(u64, u64)>,
    /// The pair with the largest d², forgotten in part: d², v, and its later look's events.
    largest: (f64, f64, f64),
}

impl Overdispersion {
    /// Takes in one look. One without observations is none. More events than observations count as
    /// all of them.
    pub fn add(&mut self, events: u64, total: u64) {
        if total == 0 {
            return;
        }
        let events = events.min(total);
        self.events += events as f64;
        if let Some((before, total_before)) = self.last.replace((events, total)) {
            let (k, n) = (events as f64, total as f64);
            let (k0, n0) = (before as f64, total_before as f64);
            let square = (k / n - k0 / n0).powi(2);
            let pooled = (k + k0) / (n + n0);
            let variance = pooled * (1.0 - pooled) * (1.0 / n + 1.0 / n0);
            self.squares += square;
            self.fourths += square * square;
            self.variance += variance;
            if self.largest.0 < square {
                self.largest = (square, variance, k.max(k0));
            }
            self.pairs += 1.0;
        }
    }

    /// Multiplies what was seen by a `factor` in [0, 1]; any other is ignored.
    pub fn forget(&mut self, factor: f64) {
        if (0.0..=1.0).contains(&factor) {
            let sums = [&mut self.squares, &mut self.fourths, &mut self.variance];
            let counts = [&mut self.pairs, &mut self.events];
            let (square, variance, events) = &mut self.largest;
            [square, variance, events].into_iter().for_each(|part| *part *= factor);
            sums.into_iter().chain(counts).for_each(|sum| *sum *= factor);
        }
    }

    /// Returns what two arms say together. It has no look before the next one.
    #[must_use]
    pub fn pooled(&self, other: &Self) -> Self {
        Self {
            squares: self.squares + other.squares,
            fourths: self.fourths + other.fourths,
            variance: self.variance + other.variance,
            pairs: self.pairs + other.pairs,
            events: self.events + other.events,
            last: None,
            largest: if self.largest.0 < other.largest.0 { other.largest } else { self.largest },
        }
    }

    /// Returns the same without the one pair that differs most, and its events.
    ///
    /// Clusters come again; a rate that changes once, such as a harm that begins, differs once.
    #[must_use]
    pub fn without_largest(&self) -> Self {
        let (square, variance, events) = self.largest;
        Self {
            squares: (self.squares - square).max(0.0),
            fourths: (self.fourths - square * square).max(0.0),
            variance: (self.variance - variance).max(0.0),
            events: (self.events - events).max(0.0),
            ..*self
        }
    }

    /// Forgets the look before, where the next one doesn't follow it.
    pub fn interrupt(&mut self) {
        self.last = None;
    }

    /// Returns Σd²/Σv, 1 on average where observations are independent; `None` without variance.
    pub fn phi(&self) -> Option<f64> {
        (0.0 < self.variance).then(|| self.squares / self.variance)
    }

    /// Returns max(1, (Σd² + 2√Σd⁴)/Σv), an upper end of [`Overdispersion::phi`]; 1 without variance.
    ///
    /// √Σd⁴ is about the standard deviation of Σd². What a few events say is little: see [`shrunk`].
    pub fn divisor(&self) -> f64 {
        if self.variance <= 0.0 {
            return 1.0;
        }
        ((self.squares + 2.0 * self.fourths.sqrt()) / self.variance).max(1.0)
    }

    /// Returns how many events are in the sums, forgotten ones in part.
    pub fn events(&self) -> f64 {
        self.events
    }

    /// Returns how many pairs of successive looks are in the sums, forgotten ones in part.
    pub fn pairs(&self) -> f64 {
        self.pairs
    }

    /// Returns the divisor to use: the one found, drawn to clusters of [`PRIOR_DIVISOR`] as far as
    /// events are few.
    pub fn shrunk_divisor(&self) -> f64 {
        shrunk(self.divisor(), self.events, PRIOR_DIVISOR, PRIOR_EVENTS)
    }
}

/// Returns (divisor · events + prior · weight)/(events + weight), with the prior worth so many
/// `prior_events` > 0: what isn't known about clustering is taken for clusters of a prior size.
///
/// The prior's divisor where the inputs aren't finite or are negative.
pub fn shrunk(divisor: f64, events: f64, prior_divisor: f64, prior_events: f64) -> f64 {
    let found = (divisor * events + prior_divisor * prior_events) / (events + prior_events);
    let is_known = 0.0 <= events && 0.0 <= prior_events && 0.0 <= divisor && found.is_finite();
    if is_known { found } else { prior_divisor }
}

#[cfg(test)]
mod tests {
    use super::{Overdispersion, PRIOR_DIVISOR, shrunk};
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn of(looks: &[(u64, u64)]) -> Overdispersion {
        let mut found = Overdispersion::default();
        looks.iter().for_each(|(events, total)| found.add(*events, *total));
        found
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn without_events_nothing_is_known() {
        let quiet = of(&[(0, 50), (0, 0), (0, 40)]);
        assert_eq!(quiet.phi(), None);
        close(quiet.divisor(), 1.0);
        close(quiet.pairs(), 1.0);
        close(quiet.shrunk_divisor(), PRIOR_DIVISOR);
        close(shrunk(3.0, 15.0, 20.0, 5.0), 7.25);
        for (divisor, events) in [(f64::NAN, 3.0), (f64::INFINITY, 3.0), (2.0, -1.0)] {
            close(shrunk(divisor, events, 20.0, 5.0), 20.0);
        }
        close(shrunk(2.0, 0.0, 20.0, 0.0), 20.0);
    }

    #[test]
    fn forgetting_keeps_the_ratio() {
        let mut state = of(&[(0, 50), (5, 50), (0, 50), (10, 50)]);
        let phi = state.phi().expect("a ratio");
        for bad in [f64::NAN, -0.5, 1.5] {
            let before = state;
            state.forget(bad);
            assert_eq!(state, before);
        }
        state.forget(0.5);
        close(state.phi().expect("a ratio"), phi);
        close(state.events(), 7.5);
        close(state.pairs(), 1.5);
        state.forget(0.0);
        assert_eq!(state.phi(), None);
    }

    #[test]
    fn arms_are_pooled_and_breaks_are_no_pairs() {
        let (a, b) = (of(&[(0, 50), (5, 50)]), of(&[(3, 50), (1, 40), (2, 50)]));
        let both = a.pooled(&b);
        close(both.pairs(), 3.0);
        close(both.events(), 11.0);
        assert_eq!(both, b.pooled(&a));
        let mut broken = of(&[(0, 50)]);
        broken.interrupt();
        broken.add(5, 50);
        close(broken.pairs(), 0.0);
    }

    proptest! {
        #[test]
        fn it_is_finite_and_at_least_one(looks in vec((0_u64..2_000_000_000, 0_u64..1_000_000_000), 0..30)) {
            let state = of(&looks);
            prop_assert!(1.0 <= state.divisor() && state.divisor().is_finite());
            prop_assert!(1.0 <= state.shrunk_divisor() && state.shrunk_divisor().is_finite());
            if let Some(phi) = state.phi() {
                prop_assert!(phi <= state.divisor());
            }
            let bytes = postcard::to_stdvec(&state).expect("serializes");
            prop_assert_eq!(postcard::from_bytes::<Overdispersion>(&bytes).expect("reads"), state);
        }
    }
}
