//! Log-linear histograms that add up exactly.
//!
//! In: whole numbers. Out: counts by bucket, order statistics, counts above an edge.
//! Holds: buckets are those of HdrHistogram (Tene; `sub_bucket_count` = 2^BITS, unit 1) for all of
//! u64, so a merge loses nothing and its order doesn't matter. Below 2^BITS a bucket is one value;
//! above, its width is at most 2^(1 − BITS) of its lowest value. Knows nothing of: units, arms.

use std::cmp::Ordering;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::layout::{highest, index_of, lowest};

/// Two significant digits: buckets are at most 1/128 as wide as their values, as `hdrhistogram`'s
/// with `sigfig` 2.
pub type Latency = Histogram<8>;

/// Sixteen buckets per octave, at most 1/16 as wide as their values, as `hdrhistogram`'s with
/// `sigfig` 1.
pub type CoarseLatency = Histogram<5>;

/// A sparse histogram with 1 ≤ BITS ≤ 16.
///
/// It serializes as pairs of (distance from the bucket before, count).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram<const BITS: u32> {
    /// Ordered by index; no count is 0.
    buckets: Vec<(u32, u64)>,
    total: u64,
}

impl<const BITS: u32> Histogram<BITS> {
    /// Returns an empty histogram; it doesn't allocate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the histogram of values in any order.
    pub fn from_unsorted(values: impl IntoIterator<Item = u64>) -> Self {
        let mut dense = DenseHistogram::new();
        for value in values {
            dense.record(value);
        }
        dense.to_sparse()
    }

    /// Adds one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Adds a value `count` times. Counts saturate.
    pub fn record_n(&mut self, value: u64, count: u64) {
        if count == 0 {
            return;
        }
        let index = index_of::<BITS>(value);
        match self.buckets.binary_search_by_key(&index, |bucket| bucket.0) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (index, count)),
        }
        self.total = self.total.saturating_add(count);
    }

    /// Adds all of the other's counts. Associative and commutative.
    pub fn merge(&mut self, other: &Self) {
        if other.buckets.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.buckets.len().max(other.buckets.len()));
        let (mut mine, mut theirs) = (self.buckets.as_slice(), other.buckets.as_slice());
        while let (Some((a, mine_rest)), Some((b, theirs_rest))) =
            (mine.split_first(), theirs.split_first())
        {
            let order = a.0.cmp(&b.0);
            merged.push(match order {
                Ordering::Less => *a,
                Ordering::Equal => (a.0, a.1.saturating_add(b.1)),
                Ordering::Greater => *b,
            });
            mine = if order.is_le() { mine_rest } else { mine };
            theirs = if order.is_ge() { theirs_rest } else { theirs };
        }
        merged.extend_from_slice(mine);
        merged.extend_from_slice(theirs);
        self.buckets = merged;
        self.total = self.total.saturating_add(other.total);
    }

    /// Returns how many values there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Says whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns the value at rank ⌈q·n⌉, at least 1: the highest equivalent value of its bucket.
    ///
    /// `q` is clamped to [0, 1]; NaN has no quantile. Equals `hdrhistogram`'s `value_at_quantile`
    /// for q > 0 (at 0 that one returns the lowest equivalent value).
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if q.is_nan() {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 ≤ q·n; the cast saturates"
        )]
        let rank = (q.clamp(0.0, 1.0) * self.total as f64).ceil() as u64;
        self.value_at_rank(rank.clamp(1, self.total.max(1)))
    }

    /// Returns the highest equivalent value of the bucket of the `rank`-th lowest value.
    ///
    /// Ranks run from 1 to the total; there is no value at others.
    pub fn value_at_rank(&self, rank: u64) -> Option<u64> {
        if rank == 0 {
            return None;
        }
        let mut seen = 0_u64;
        for (index, count) in &self.buckets {
            seen = seen.saturating_add(*count);
            if rank <= seen {
                return Some(highest::<BITS>(*index));
            }
        }
        None
    }

    /// Returns the number of values in buckets that lie wholly above `edge`.
    ///
    /// Exact where the edge is the highest equivalent value of its bucket; elsewhere the values of
    /// the edge's own bucket count as not above.
    pub fn count_above(&self, edge: u64) -> u64 {
        let start = self.buckets.partition_point(|bucket| lowest::<BITS>(bucket.0) <= edge);
        self.buckets[start..].iter().fold(0, |sum, bucket| sum.saturating_add(bucket.1))
    }

    /// Returns the highest equivalent value of the highest value's bucket.
    pub fn max(&self) -> Option<u64> {
        self.buckets.last().map(|bucket| highest::<BITS>(bucket.0))
    }

    /// Returns (lowest value, highest value, count) of each bucket that has values, lowest first.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.buckets
            .iter()
            .map(|(index, count)| (lowest::<BITS>(*index), highest::<BITS>(*index), *count))
    }

    /// Returns the highest value that shares the bucket of `value`.
    pub fn highest_equivalent(value: u64) -> u64 {
        highest::<BITS>(index_of::<BITS>(value))
    }

    /// Returns the lowest value that shares the bucket of `value`.
    pub fn lowest_equivalent(value: u64) -> u64 {
        lowest::<BITS>(index_of::<BITS>(value))
    }
}

impl<const BITS: u32> Serialize for Histogram<BITS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut previous = 0;
        serializer.collect_seq(self.buckets.iter().map(|(index, count)| {
            let delta = index - previous;
            previous = *index;
            (delta, *count)
        }))
    }
}

impl<'de, const BITS: u32> Deserialize<'de> for Histogram<BITS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut buckets = Vec::<(u32, u64)>::deserialize(deserializer)?;
        let (mut previous, mut total) = (None, 0_u64);
        for (index, count) in &mut buckets {
            let next = previous.unwrap_or(0_u32).checked_add(*index);
            let next =
                next.filter(|next| *next <= index_of::<BITS>(u64::MAX) && previous < Some(*next));
            *index =
                next.ok_or_else(|| D::Error::custom("histogram bucket out of order or range"))?;
            if *count == 0 {
                return Err(D::Error::custom("histogram bucket without values"));
            }
            previous = Some(*index);
            total = total.saturating_add(*count);
        }
        Ok(Self { buckets, total })
    }
}

/// A histogram for hot loops: after warm-up, recording doesn't search or allocate. Never logged.
#[derive(Clone, Debug, Default)]
pub struct DenseHistogram<const BITS: u32> {
    counts: Vec<u64>,
}

impl<const BITS: u32> DenseHistogram<BITS> {
    /// Returns an empty histogram; it doesn't allocate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value. The memory grows to that of the highest value so far.
    pub fn record(&mut self, value: u64) {
        let index = index_of::<BITS>(value) as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] = self.counts[index].saturating_add(1);
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// Returns the same counts without the empty buckets.
    pub fn to_sparse(&self) -> Histogram<BITS> {
        let filled = (0..).zip(&self.counts).filter(|(_, count)| **count > 0);
        let buckets: Vec<(u32, u64)> = filled.map(|(index, count)| (index, *count)).collect();
        let total = buckets.iter().fold(0, |sum: u64, bucket| sum.saturating_add(bucket.1));
        Histogram { buckets, total }
    }
}

#[cfg(test)]
mod tests;
