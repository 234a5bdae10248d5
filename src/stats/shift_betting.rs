//! Evidence that two distributions over classes lie apart by more than a limit, from pairs.
//!
//! In: pairs of classes, pane by pane. Out: log e-value increments, and an estimate of the distance.
//! Holds: the set of classes on which a pane is bet is fixed before the pane, so no set has to be
//! paid for; if the total variation is at most the limit at every pair, each stake's exp(sum) is an
//! e-process; memory is a given number of classes. Knows nothing of: what a class is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The parts of the highest allowed stake that are bet, equally weighted.
pub const STAKES: [f64; 7] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.9];

/// What a pane keeps of the panes before.
const KEEP: f64 = 0.9;

/// A class of which less than so many pairs are left is forgotten.
const WEIGHT_MIN: f64 = 1e-6;

/// Bets on the classes that gained so far.
///
/// A class is in the set A if in earlier panes, forgotten by 0.9 per pane, more pairs moved into it
/// than out of it. A pair scores +1 if its second class is in A and its first isn't, −1 the other
/// way round, else 0. The mean score is `P₂(A) − P₁(A)`, at most the total variation, so that
/// ln(1 + Lⱼ(score − τ)) with Lⱼ = cⱼ/(1 + τ) has an exponential of mean at most 1 (Shekhar & Ramdas
/// 2023, "Nonparametric two-sample testing by betting"; Chugg et al. 2023).
///
/// Only pairs in which the classes differ can score, and the set depends on them only: those are
/// what a pane hands in by class, the others by their number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftBetting {
    limit: f64,
    classes_max: usize,
    /// By class: pairs that moved into it, and out of it, forgotten ones in part.
    moved: BTreeMap<String, (f64, f64)>,
    /// Σ of scores and number of pairs, forgotten ones in part.
    score: f64,
    pairs: f64,
}

/// What a pane's pairs scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Pairs whose second class only is in the set.
    pub plus: u64,
    /// Pairs whose first class only is in the set.
    pub minus: u64,
    /// All other pairs.
    pub zero: u64,
    /// The log e-value increments.
    pub increment: [f64; 7],
}

impl ShiftBetting {
    /// Returns bets against "total variation ≤ `limit`", for 0 < limit < 1, on so many classes.
    pub fn exceeds(limit: f64, classes_max: usize) -> Option<Self> {
        let is_limit = 0.0 < limit && limit < 1.0;
        let moved = BTreeMap::new();
        is_limit.then_some(Self { limit, classes_max, moved, score: 0.0, pairs: 0.0 })
    }

    /// Takes in one pane: how many pairs went from a first class to another second class, and how
    /// many didn't differ.
    ///
    /// A pair of equal classes among `differing` is one that didn't. Pairs of classes that aren't
    /// told apart (an "others") belong to those. A pane without pairs is zeros, and forgets.
    pub fn pane<'a, I>(&mut self, differing: I, same: u64) -> Scored
    where
        I: IntoIterator<Item = (&'a str, &'a str, u64)>,
    {
        let (mut plus, mut minus, mut zero) = (0_u64, 0_u64, same);
        let mut moves: BTreeMap<&'a str, (f64, f64)> = BTreeMap::new();
        for (first, second, count) in differing {
            let score = match (self.has(first), self.has(second)) {
                (false, true) => &mut plus,
                (true, false) => &mut minus,
                _ => &mut zero,
            };
            *score = score.saturating_add(count);
            if first != second {
                moves.entry(second).or_default().0 += count as f64;
                moves.entry(first).or_default().1 += count as f64;
            }
        }
        self.learn(moves);
        let increment = self.increment(plus, minus, zero);
        let all = plus as f64 + minus as f64 + zero as f64;
        self.score = KEEP * self.score + (plus as f64 - minus as f64);
        self.pairs = KEEP * self.pairs + all;
        Scored { plus, minus, zero, increment }
    }

    /// Returns the classes that gained so far: what the next pane is bet on.
    pub fn set(&self) -> impl Iterator<Item = &str> {
        self.moved
            .iter()
            .filter(|(_, weights)| is_gained(**weights))
            .map(|(class, _)| class.as_str())
    }

    /// Returns `P₂(A) − P₁(A)` of the panes so far, forgotten by 0.9 per pane, each with its own set.
    ///
    /// In [−1, 1]. On average it is at most the total variation, and in the long run near it for the
    /// classes that moved. `None` without pairs.
    pub fn distance(&self) -> Option<f64> {
        (0.0 < self.pairs).then(|| (self.score / self.pairs).clamp(-1.0, 1.0))
    }

    /// Returns the limit, in (0, 1).
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Forgets what was seen: a new hypothesis begins.
    pub fn reset(&mut self) {
        self.moved.clear();
        (self.score, self.pairs) = (0.0, 0.0);
    }

    fn has(&self, class: &str) -> bool {
        self.moved.get(class).is_some_and(|weights| is_gained(*weights))
    }

    /// Returns the evidence of a pane as one observation, its mean score: ln(1 + Lⱼ((n₊ − n₋)/n − τ)).
    ///
    /// Valid however pairs depend on each other within the pane, at most twice the evidence per pane. Zeros
    /// without pairs.
    pub fn of_mean(&self, scored: &Scored) -> [f64; 7] {
        let (plus, minus) = (scored.plus as f64, scored.minus as f64);
        let pairs = plus + minus + scored.zero as f64;
        if pairs <= 0.0 {
            return [0.0; 7];
        }
        let over = (plus - minus) / pairs - self.limit;
        STAKES.map(|stake| (stake / (1.0 + self.limit) * over).ln_1p())
    }

    /// n₊ ln(1 + Lⱼ(1 − τ)) + n₋ ln(1 − Lⱼ(1 + τ)) + n₀ ln(1 − Lⱼ τ).
    fn increment(&self, plus: u64, minus: u64, zero: u64) -> [f64; 7] {
        let tau = self.limit;
        STAKES.map(|stake| {
            let bet = stake / (1.0 + tau);
            let gain = plus as f64 * (bet * (1.0 - tau)).ln_1p();
            let loss = minus as f64 * (-stake).ln_1p();
            gain + loss + zero as f64 * (-bet * tau).ln_1p()
        })
    }

    /// Moves the weights on by a pane, and keeps the classes that weigh most.
    fn learn(&mut self, moves: BTreeMap<&str, (f64, f64)>) {
        for weights in self.moved.values_mut() {
            *weights = (KEEP * weights.0, KEEP * weights.1);
        }
        for (class, (into, out)) in moves {
            let weights = self.moved.entry(class.to_owned()).or_default();
            *weights = (weights.0 + into, weights.1 + out);
        }
        self.moved.retain(|_, (into, out)| WEIGHT_MIN <= *into + *out);
        if self.moved.len() <= self.classes_max {
            return;
        }
        let mut by_weight: Vec<(String, (f64, f64))> =
            std::mem::take(&mut self.moved).into_iter().collect();
        // Stable: between equals the first by name is kept.
        by_weight.sort_by(|(_, a), (_, b)| (b.0 + b.1).total_cmp(&(a.0 + a.1)));
        by_weight.truncate(self.classes_max);
        self.moved = by_weight.into_iter().collect();
    }
}

fn is_gained((into, out): (f64, f64)) -> bool {
    out < into
}

#[cfg(test)]
mod tests {
    use super::{STAKES, ShiftBetting};
    use crate::stats::grid::log_mean_exp;
    use crate::stats::sr::Sr;
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_shift_is_found_and_measured() {
        let mut bets = ShiftBetting::exceeds(0.2, 10).expect("a limit");
        assert_eq!(bets.distance(), None);
        let mut sr = Sr::new();
        for _ in 0..20 {
            sr.advance(&bets.pane([("a", "b", 35), ("b", "a", 3)], 62).increment);
        }
        assert_eq!(bets.set().collect::<Vec<_>>(), ["b"]);
        let distance = bets.distance().expect("a distance");
        assert!((0.25..0.33).contains(&distance), "{distance}");
        assert!(20.0 < sr.log_sr());
        bets.reset();
        assert_eq!(bets, ShiftBetting::exceeds(0.2, 10).expect("a limit"));
    }

    #[test]
    fn classes_are_bounded_and_forgotten() {
        let mut bets = ShiftBetting::exceeds(0.2, 3).expect("a limit");
        bets.pane([("a", "b", 5), ("c", "d", 5), ("e", "f", 9)], 0);
        assert_eq!(bets.moved.keys().collect::<Vec<_>>(), ["a", "e", "f"]);
        for _ in 0..200 {
            let nothing = bets.pane([], 0);
            assert!(nothing.increment.iter().all(|value| value.abs() < 1e-15));
        }
        assert!(bets.moved.is_empty());
    }

    #[test]
    fn only_limits_and_finite_numbers() {
        for limit in [0.0, 1.0, f64::NAN] {
            assert_eq!(ShiftBetting::exceeds(limit, 3), None);
        }
        let mut bets = ShiftBetting::exceeds(0.999, 3).expect("a limit");
        for _ in 0..3 {
            let scored = bets.pane([("a", "b", u64::MAX), ("b", "a", 1_000_000_000)], u64::MAX);
            assert!(scored.increment.iter().all(|value| value.is_finite()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Two panes of two pairs over three classes, all outcomes: the set of the second follows
        /// from the first. The joint distribution is any with total variation at most the limit.
        #[test]
        fn the_mean_e_value_is_at_most_one(
            weights in proptest::array::uniform9(0.001_f64..1.0),
            slack in 0.0_f64..0.3,
        ) {
            let sum: f64 = weights.iter().sum();
            let names = ["a", "b", "c"];
            let shares = |of: &dyn Fn(usize) -> usize| {
                let mut shares = [0.0; 3];
                weights.iter().enumerate().for_each(|(at, w)| shares[of(at)] += w / sum);
                shares
            };
            let (first, second) = (shares(&|at| at / 3), shares(&|at| at % 3));
            let mut mean_of_means = 0.0;
            let apart: f64 = first.iter().zip(&second).map(|(p, q)| (p - q).abs()).sum();
            let limit = (apart / 2.0 + slack).clamp(1e-3, 0.999);
            let mut mean = 0.0;
            for outcome in 0..6_561_usize {
                let mut bets = ShiftBetting::exceeds(limit, 2).expect("a limit");
                let (mut log, mut chance, mut rest) = ([0.0; 7], 1.0, outcome);
                let (mut together, mut chance_together) = ([0.0; 7], 1.0);
                for _ in 0..2 {
                    let cells = [rest % 9, rest / 9 % 9];
                    rest /= 81;
                    let pair = |cell: usize| (names[cell / 3], names[cell % 3], 1);
                    cells.iter().for_each(|cell| chance *= weights[*cell] / sum);
                    let scored = bets.pane(cells.map(pair), 0);
                    log.iter_mut().zip(scored.increment).for_each(|(log, more)| *log += more);
                    // In a pane whose pairs are all alike, one chance stands for both.
                    chance_together *= if cells[0] == cells[1] { weights[cells[0]] / sum } else { 0.0 };
                    let of_mean = bets.of_mean(&scored);
                    together.iter_mut().zip(of_mean).for_each(|(log, more)| *log += more);
                }
                mean += chance * log_mean_exp(&log).exp();
                mean_of_means += chance_together * log_mean_exp(&together).exp();
            }
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
            prop_assert!(mean_of_means <= 1.0 + 1e-9, "{mean_of_means}");
        }

    }

    proptest! {
        #[test]
        fn the_log_gives_back_the_state(
            panes in proptest::collection::vec((0_usize..4, 0_usize..4, 0_u64..100), 0..20),
        ) {
            let mut bets = ShiftBetting::exceeds(0.1, 3).expect("a limit");
            let names = ["a", "b", "c", "d"];
            for (first, second, count) in panes {
                let scored = bets.pane([(names[first], names[second], count)], 5);
                prop_assert_eq!(scored.plus + scored.minus + scored.zero, count + 5);
                prop_assert!(bets.moved.len() <= 3);
            }
            prop_assert!(STAKES.len() == 7);
            let bytes = postcard::to_stdvec(&bets).expect("serializes");
            prop_assert_eq!(postcard::from_bytes::<ShiftBetting>(&bytes).expect("reads"), bets);
        }
    }
}
