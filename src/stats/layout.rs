//! The buckets of HdrHistogram, for all of u64.
//!
//! In: values, or bucket indices. Out: the index of a value's bucket, and a bucket's two ends.
//! Holds: with 1 ≤ BITS ≤ 16 the buckets tile 0 to `u64::MAX` in order; one value each below
//! 2^BITS, 2^(BITS − 1) buckets per octave above (Tene, HdrHistogram: `sub_bucket_count` = 2^BITS,
//! unit 1). Knows nothing of: counts.

/// Returns the place of a value's bucket: BITS leading bits, and how far they were shifted.
pub(super) fn index_of<const BITS: u32>(value: u64) -> u32 {
    const { assert!(1 <= BITS && BITS <= 16, "1 to 16 bits") };
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS);
    #[expect(clippy::cast_possible_truncation, reason = "at most BITS ≤ 16 bits are left")]
    let leading = (value >> shift) as u32;
    (shift << (BITS - 1)) + leading
}

/// Returns how far the leading bits of a bucket's values were shifted.
fn shift_of<const BITS: u32>(index: u32) -> u32 {
    (index >> (BITS - 1)).saturating_sub(1)
}

/// Returns the lowest value of a bucket.
pub(super) fn lowest<const BITS: u32>(index: u32) -> u64 {
    let shift = shift_of::<BITS>(index);
    u64::from(index - (shift << (BITS - 1))) << shift
}

/// Returns the highest value of a bucket.
pub(super) fn highest<const BITS: u32>(index: u32) -> u64 {
    lowest::<BITS>(index) + ((1 << shift_of::<BITS>(index)) - 1)
}

#[cfg(test)]
mod tests {
    use super::{highest, index_of, lowest};

    #[test]
    fn buckets_tile_all_numbers() {
        let last = index_of::<5>(u64::MAX);
        assert_eq!((lowest::<5>(0), highest::<5>(last)), (0, u64::MAX));
        for index in 1..=last {
            assert_eq!(lowest::<5>(index), highest::<5>(index - 1) + 1);
            assert_eq!(index_of::<5>(lowest::<5>(index)), index);
            assert_eq!(index_of::<5>(highest::<5>(index)), index);
        }
    }

    #[test]
    fn slots_of_hdr() {
        let slots = [
            index_of::<5>(u32::MAX.into()),
            index_of::<8>(u32::MAX.into()),
            index_of::<11>(u32::MAX.into()),
        ];
        assert_eq!(slots.map(|slot| slot + 1), [464, 3_328, 23_552]);
    }
}
