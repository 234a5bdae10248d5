//! The demo's traffic: a fraud model whose candidate goes wrong twice.
//!
//! In: a seed. Out: a scenario of six minutes. Holds: first it flips predictions in one country, later
//! it grows slow there; when and how much follows from the seed. Knows nothing of: the pipeline.

use super::rng::Rng;
use super::scenario::{Fault, FaultKind, Scenario, Where};

/// The country in which the candidate goes wrong.
pub const COUNTRY: &str = "BR";
/// Event time that the demo covers, in seconds.
pub const SECONDS: f64 = 360.0;

/// Six minutes of traffic; a healthy one has no faults.
#[must_use]
pub fn scenario(seed: u64, healthy: bool) -> Scenario {
    let mut rng = Rng::new(seed);
    let rate = 400.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
    let requests = (rate * SECONDS) as u64;
    let mut scenario = Scenario { rate, requests, ..Scenario::fraud(seed) };
    scenario.faults.missing = 0.004;
    scenario.faults.disorder_s = 1.0;
    scenario.faults.duplicate = 0.002;
    scenario.faults.broken = 0.0002;
    if !healthy {
        let place = || Where { country: Some(COUNTRY.to_owned()) };
        let wrong_at = 100.0 + 30.0 * rng.unit();
        let slow_at = wrong_at + 80.0 + 40.0 * rng.unit();
        scenario.faults.candidate = vec![
            Fault {
                kind: FaultKind::Wrong(0.10 + 0.04 * rng.unit()),
                at_s: wrong_at,
                place: place(),
            },
            Fault { kind: FaultKind::Slow(3.5 + rng.unit()), at_s: slow_at, place: place() },
        ];
    }
    scenario
}
