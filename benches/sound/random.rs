//! Seeded randomness for simulated traffic.
//!
//! In: a seed. Out: numbers. Holds: the same seed gives the same numbers. Knows nothing of: traffic.

/// SplitMix64 (Steele, Lea & Flood 2014).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal (Box & Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A Poisson number: by inversion where the mean is small, else by the normal's nearest.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if 60.0 < mean {
            return mean.sqrt().mul_add(self.normal(), mean).round().max(0.0) as u64;
        }
        let (mut k, mut p, u) = (0, (-mean).exp(), self.unit());
        let mut sum = p;
        while sum < u && k < 1_000 {
            k += 1;
            p *= mean / k as f64;
            sum += p;
        }
        k
    }

    /// How many of `n` happen that each do with this chance.
    pub(crate) fn binomial(&mut self, n: u64, chance: f64) -> u64 {
        if chance <= 0.0 || n == 0 {
            return 0;
        }
        if 1.0 <= chance {
            return n;
        }
        if n <= 64 {
            return (0..n).filter(|_| self.unit() < chance).count() as u64;
        }
        let mean = n as f64 * chance;
        if mean < 30.0 {
            return self.poisson(mean).min(n);
        }
        let spread = (mean * (1.0 - chance)).sqrt();
        spread.mul_add(self.normal(), mean).round().clamp(0.0, n as f64) as u64
    }
}
