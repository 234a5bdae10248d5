//! Tests of the histogram, with the `hdrhistogram` crate as the model.
//!
//! In: values of every magnitude. Out: failures. Holds: whatever `hdrhistogram` says of buckets
//! and quantiles with two significant digits is said here too. Knows nothing of: the layout.

use super::{CoarseLatency, DenseHistogram, Latency};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

/// Values of every magnitude up to 2^40.
fn values() -> impl Strategy<Value = Vec<u64>> {
    vec((0_u32..=40, 0_u64..1 << 40).prop_map(|(shift, value)| value >> shift), 0..300)
}

#[test]
fn one_to_a_hundred_thousand() {
    let histogram = Latency::from_unsorted(1..=100_000);
    let quantiles = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0].map(|q| histogram.quantile(q));
    assert_eq!(quantiles, [50_175, 90_111, 95_231, 99_327, 100_351, 100_351].map(Some));
    assert_eq!(histogram.max(), Some(100_351));
    assert_eq!(histogram.count_above(Latency::highest_equivalent(50_000)), 100_000 - 50_175);
}

#[test]
fn nothing_has_no_quantile() {
    let empty = Latency::new();
    assert!(empty.is_empty());
    assert_eq!((empty.quantile(0.5), empty.max(), empty.value_at_rank(1)), (None, None, None));
    let one = Latency::from_unsorted([7]);
    assert_eq!(
        (one.quantile(f64::NAN), one.value_at_rank(0), one.value_at_rank(2)),
        (None, None, None)
    );
    assert_eq!((one.quantile(-1.0), one.quantile(2.0)), (Some(7), Some(7)));
}

#[test]
fn damage_is_not_read() {
    let read = |json| serde_json::from_str::<Latency>(json);
    assert_eq!(read("[[3,1],[2,4]]").expect("fine").total(), 5);
    for json in ["[[3,0]]", "[[3,1],[0,1]]", "[[4294967295,1],[1,1]]", "[[7424,1]]"] {
        assert!(read(json).is_err(), "{json}");
    }
}

proptest! {
    #[test]
    fn agrees_with_hdrhistogram(values in values(), q in 0.000_1_f64..=1.0) {
        let ours = Latency::from_unsorted(values.iter().copied());
        let mut theirs = hdrhistogram::Histogram::<u64>::new(2).expect("two digits");
        for value in &values {
            theirs.record(*value).expect("in range");
            let edge = theirs.highest_equivalent(*value);
            prop_assert_eq!(Latency::highest_equivalent(*value), edge);
            prop_assert_eq!(Latency::lowest_equivalent(*value), theirs.lowest_equivalent(*value));
            let above = values.iter().filter(|other| edge < **other).count() as u64;
            prop_assert_eq!(ours.count_above(edge), above);
        }
        prop_assert_eq!(ours.quantile(q).unwrap_or(0), theirs.value_at_quantile(q));
        prop_assert_eq!(ours.total(), theirs.len());
    }

    #[test]
    fn merging_is_recording(a in values(), b in values(), c in values()) {
        let [x, y, z] = [&a, &b, &c].map(|values| Latency::from_unsorted(values.iter().copied()));
        let merged = |parts: [&Latency; 3]| {
            let mut sum = Latency::new();
            parts.into_iter().for_each(|part| sum.merge(part));
            sum
        };
        let mut right = y.clone();
        right.merge(&z);
        let mut one_by_one = Latency::new();
        a.iter().chain(&b).chain(&c).for_each(|value| one_by_one.record(*value));
        prop_assert_eq!(&merged([&x, &y, &z]), &one_by_one);
        prop_assert_eq!(&merged([&z, &x, &y]), &one_by_one);
        prop_assert_eq!(&merged([&x, &right, &Latency::new()]), &one_by_one);
    }

    #[test]
    fn a_log_gives_back_what_it_took(values in values()) {
        let histogram = CoarseLatency::from_unsorted(values.iter().copied());
        let text = serde_json::to_string(&histogram).expect("serializes");
        let bytes = postcard::to_stdvec(&histogram).expect("serializes");
        prop_assert_eq!(&serde_json::from_str::<CoarseLatency>(&text).expect("reads"), &histogram);
        prop_assert_eq!(&postcard::from_bytes::<CoarseLatency>(&bytes).expect("reads"), &histogram);
    }

    #[test]
    fn buckets_hold_all_values_and_are_narrow(values in values()) {
        let histogram = CoarseLatency::from_unsorted(values.iter().copied());
        let sum: u64 = histogram.buckets().map(|bucket| bucket.2).sum();
        prop_assert_eq!(sum, histogram.total());
        for (low, high, _) in histogram.buckets() {
            prop_assert!(16 * (high - low) <= low);
        }
    }

    #[test]
    fn clearing_forgets(first in values(), second in values()) {
        let mut dense = DenseHistogram::<8>::new();
        first.iter().for_each(|value| dense.record(*value));
        dense.clear();
        second.iter().for_each(|value| dense.record(*value));
        prop_assert_eq!(dense.to_sparse(), Latency::from_unsorted(second));
    }
}
