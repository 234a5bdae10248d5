//! Which of many hypotheses are shown, with a bound on the share of false ones.
//!
//! In: current log e-values, one per hypothesis. Out: the places of those that are shown. Holds: of
//! the shown ones at most a share α is false on average, whatever the dependence between them.
//! Knows nothing of: what the hypotheses are.

/// Returns the places, ascending, of the k* largest e-values, k* = max{k : e₍ₖ₎ ≥ K/(kα)}.
///
/// The e-BH procedure at false discovery rate `alpha` in (0, 1] (Wang & Ramdas 2022). The e-values
/// are those of *now* (an e-process at a stopping time: Wang, Dandapanthula & Ramdas 2025), never
/// running maxima. NaN is no evidence. Nothing is shown at any other α.
pub fn e_bh(log_e: &[f64], alpha: f64) -> Vec<usize> {
    if alpha.is_nan() || alpha <= 0.0 || 1.0 < alpha {
        return Vec::new();
    }
    let mut falling: Vec<f64> = log_e.iter().copied().filter(|value| !value.is_nan()).collect();
    falling.sort_by(|a, b| b.total_cmp(a));
    let log_all = (log_e.len() as f64).ln() - alpha.ln();
    let is_shown = |(before, value): (usize, &f64)| log_all - (before as f64 + 1.0).ln() <= *value;
    let last = falling.iter().enumerate().rfind(|(before, v)| is_shown((*before, *v)));
    let Some((_, least)) = last else { return Vec::new() };
    let shown = log_e.iter().enumerate().filter(|(_, value)| *least <= **value);
    shown.map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::e_bh;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    #[test]
    fn nothing_is_shown_of_nothing() {
        assert!(e_bh(&[], 0.05).is_empty());
        for alpha in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(e_bh(&[1e9], alpha).is_empty());
        }
        assert_eq!(e_bh(&[f64::NAN, 10.0, f64::NEG_INFINITY], 0.05), [1]);
        assert_eq!(e_bh(&[f64::INFINITY, 10.0], 0.05), [0, 1]);
    }

    #[test]
    fn equals_are_shown_together() {
        let log = 20.0_f64.ln() + 1e-12;
        assert_eq!(e_bh(&[log, log, log], 0.05), [0, 1, 2]);
        assert!(e_bh(&[log, log, 0.0], 0.05).is_empty());
    }

    proptest! {
        /// One of them alone would be shown at α/K; all at α: e-BH lies between.
        #[test]
        fn it_lies_between_bonferroni_and_none(log_e in vec(-5.0_f64..12.0, 1..20)) {
            let shown = e_bh(&log_e, 0.05);
            for (place, value) in log_e.iter().enumerate() {
                let single = (log_e.len() as f64 / 0.05).ln();
                prop_assert!(*value < single || shown.contains(&place));
                prop_assert!(20.0_f64.ln() <= *value || !shown.contains(&place));
            }
            let least = (log_e.len() as f64 / 0.05 / shown.len().max(1) as f64).ln();
            prop_assert!(shown.iter().all(|place| least <= log_e[*place] + 1e-12));
            prop_assert_eq!(shown.iter().filter(|place| log_e.len() <= **place).count(), 0);
        }
    }
}
