//! Traffic as real topics bring it, second by second.
//!
//! In: a shape of traffic and a second. Out: what both arms did in it. Holds: what is the same in both arms is
//! healthy by construction. Knows nothing of: the engine.

use parallax::stats::histogram::CoarseLatency;

use crate::random::Rng;

/// What one arm did in a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arm {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) null: u64,
    pub(crate) latency: CoarseLatency,
    /// The most records of one cluster key; 0 without keys.
    pub(crate) largest: u64,
}

/// What both did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    pub(crate) primary: Arm,
    pub(crate) candidate: Arm,
    /// Requests whose answer of the candidate never comes.
    pub(crate) missing: u64,
    /// Answers of the candidate that can't be read.
    pub(crate) unreadable: u64,
    /// Answers of the candidate that have no counterpart.
    pub(crate) orphans: u64,
    /// All was read long after it happened.
    pub(crate) old: bool,
}

/// One arm's chances in a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chances {
    /// That a request fails.
    pub(crate) fails: f64,
    /// Failures come in so many at once.
    pub(crate) cluster: u64,
    /// A key of the records tells which come together.
    pub(crate) keyed: bool,
    /// That an answer holds no usable prediction.
    pub(crate) null: f64,
    /// Latencies are multiplied by this.
    pub(crate) slower: f64,
}

impl Chances {
    pub(crate) const HEALTHY: Self =
        Self { fails: 0.01, cluster: 1, keyed: false, null: 0.002, slower: 1.0 };
}

/// Chances of both arms, and what becomes of the candidate's answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) primary: Chances,
    pub(crate) candidate: Chances,
    pub(crate) missing: f64,
    pub(crate) unreadable: f64,
    /// Of the candidate's answers only the failed ones can be read.
    pub(crate) only_failures: bool,
    pub(crate) unpairable: f64,
    pub(crate) old: bool,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        primary: Chances::HEALTHY,
        candidate: Chances::HEALTHY,
        missing: 0.0,
        unreadable: 0.0,
        only_failures: false,
        unpairable: 0.0,
        old: false,
    };

    /// The same for both arms.
    pub(crate) const fn both(chances: Chances) -> Self {
        Self { primary: chances, candidate: chances, ..Self::FAIR }
    }
}

/// Middles and chances of the buckets of a log-normal.
pub(crate) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// Of a median of 10 ms.
    pub(crate) fn new(sigma: f64) -> Self {
        let cdf = |x: f64| 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
        let edges = (-16..20).map(|k| (f64::from(k) / 4.0, f64::from(k + 1) / 4.0));
        let bucket = |(low, high): (f64, f64)| {
            (10_000.0 * (sigma * (low + high) / 2.0).exp(), cdf(high) - cdf(low))
        };
        Self(edges.map(bucket).collect())
    }

    fn draw(&self, rng: &mut Rng, answers: u64, slower: f64) -> CoarseLatency {
        let mut latency = CoarseLatency::default();
        let (mut left, mut mass) = (answers, 1.0);
        for (us, chance) in &self.0 {
            let here = rng.binomial(left, (chance / mass).min(1.0));
            latency.record_n((us * slower) as u64, here);
            (left, mass) = (left - here, mass - chance);
            if left == 0 || mass <= 1e-9 {
                break;
            }
        }
        latency
    }
}

/// Abramowitz and Stegun 7.1.26; good to 1.5e-7, plenty for a simulation's buckets.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly = ((((1.061_405_429 * t - 1.453_152_027) * t) + 1.421_413_741) * t - 0.284_496_736)
        * t
        + 0.254_829_592;
    (1.0 - poly * t * (-x * x).exp()).copysign(x)
}

fn arm(rng: &mut Rng, buckets: &Buckets, requests: u64, chances: &Chances) -> Arm {
    let mean = requests as f64 * chances.fails / chances.cluster as f64;
    let failed = if chances.cluster == 1 {
        rng.binomial(requests, chances.fails)
    } else {
        (rng.poisson(mean) * chances.cluster).min(requests)
    };
    let answered = requests - failed;
    Arm {
        requests,
        failed,
        null: rng.binomial(answered, chances.null),
        latency: buckets.draw(rng, answered, chances.slower),
        largest: if chances.keyed { chances.cluster.min(requests) } else { 0 },
    }
}

/// A second of so many requests on average.
pub(crate) fn second(rng: &mut Rng, buckets: &Buckets, rate: f64, weather: &Weather) -> Second {
    let requests = rng.poisson(rate);
    let missing = rng.binomial(requests, weather.missing);
    let unreadable = rng.binomial(requests - missing, weather.unreadable);
    let orphans = rng.binomial(requests - missing - unreadable, weather.unpairable);
    let primary = arm(rng, buckets, requests, &weather.primary);
    let candidate = arm(rng, buckets, requests - missing - unreadable, &weather.candidate);
    let (candidate, unreadable) = if weather.only_failures {
        let hidden = candidate.requests - candidate.failed;
        let Arm { failed, largest, .. } = candidate;
        let latency = CoarseLatency::default();
        (Arm { requests: failed, failed, null: 0, latency, largest }, unreadable + hidden)
    } else {
        (candidate, unreadable)
    };
    Second { primary, candidate, missing, unreadable, orphans, old: weather.old }
}
