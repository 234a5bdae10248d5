//! The leap rule on traffic as it is: batches from one wrong clock, sparse backlogs, silence.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of test traffic"
)]

use super::*;
use crate::model::times::Tempo;

/// A wait of 30 s.
fn thirty() -> Times {
    Times::always(Tempo { wait: Span::from_secs(30), ..Tempo::default() })
}

fn run(times: &[(f64, bool)]) -> [usize; 4] {
    let mut clock = Clock::new(thirty(), EventTime::START);
    let (mut good_lost, mut passed, mut quarantined, mut late) = (0, 0, 0, 0);
    let mut count = |freed: Freed<bool>, clock: &Clock<bool>| {
        for record in freed.quarantined {
            quarantined += 1;
            good_lost += usize::from(record.kept);
        }
        for record in freed.passed {
            passed += 1;
            if clock.is_late(record.time, record.before) {
                late += 1;
                good_lost += usize::from(record.kept);
            }
        }
    };
    for (offset, &(seconds, good)) in (0_i64..).zip(times) {
        let time = EventTime::from_us((seconds * 1e6) as i64);
        let mut freed = Freed::default();
        if let Fate::Passes(before) = clock.feed(offset, time, || good, &mut freed) {
            freed.passed.insert(0, Passed { offset, time, before, kept: good });
        }
        count(freed, &clock);
    }
    let mut freed = Freed::default();
    clock.obey(EventTime::START, true, &mut freed);
    count(freed, &clock);
    [good_lost, passed, quarantined, late]
}

/// Eight pods that send in batches each `linger` seconds, the first of them `ahead` seconds ahead.
fn batches(rate: f64, linger: f64, ahead: f64) -> Vec<(f64, bool)> {
    let mut sends = Vec::new();
    for pod in 0..8_u32 {
        let mut at = linger * f64::from(pod) / 8.0 + 0.003;
        while at < 300.0 {
            let count = (rate * linger) as u32;
            let records = (0..count).map(move |n| {
                let time = at - linger + linger * f64::from(n) / f64::from(count.max(1));
                (time + if pod == 0 { ahead } else { 0.0 }, pod != 0)
            });
            sends.push((at, records.collect::<Vec<_>>()));
            at += linger;
        }
    }
    sends.sort_by(|a, b| a.0.total_cmp(&b.0));
    sends.into_iter().flat_map(|(_, records)| records).collect()
}

#[test]
fn one_pod_a_day_ahead_makes_nobody_else_late() {
    for ahead in [86_400.0, 120.0] {
        let [good_lost, passed, quarantined, _] = run(&batches(200.0, 0.1, ahead));
        assert_eq!(good_lost, 0, "{ahead} s ahead");
        assert!(4_000 < quarantined, "{quarantined} of the wrong clock's records are put aside");
        assert!(40_000 < passed);
    }
}

#[test]
fn sparse_backlogs_and_silences_lose_nothing() {
    for gap in [60.0, 10.0, 5.0, 2.0, 0.5] {
        let times: Vec<_> = (0..1000).map(|n| (f64::from(n) * gap, true)).collect();
        assert_eq!(run(&times), [0, 1000, 0, 0], "one record every {gap} s");
    }
    let quiet: Vec<_> = (0..3000)
        .map(|n| (f64::from(n) * 0.05 + if n < 1500 { 0.0 } else { 65.0 }, true))
        .collect();
    assert_eq!(run(&quiet), [0, 3000, 0, 0], "a silence of 65 s");
    assert_eq!(run(&[(0.0, true), (60.0, true), (120.0, true)]), [0, 3, 0, 0], "three in all");
}

/// A batch of a wrong clock that says of itself that it paused for longer than `wait`.
#[test]
fn a_clock_that_is_an_hour_ahead_cant_vouch_for_itself() {
    let mut times: Vec<_> = (0..6000).map(|n| (f64::from(n) * 0.05, true)).collect();
    let part = |from: f64| (0..20).map(move |n| (from + f64::from(n) * 0.075, false));
    times.splice(2000..2000, part(3700.0).chain(part(3741.0)));
    assert_eq!(run(&times), [0, 6000, 40, 0]);
}

#[test]
fn a_restart_begins_at_the_first_record_that_waits() {
    let mut clock = Clock::new(thirty(), EventTime::from_us(0));
    let mut freed = Freed::default();
    assert_eq!(clock.start(5), (5, EventTime::from_us(0)));
    clock.feed(5, EventTime::from_us(90_000_000), || (), &mut freed);
    assert_eq!(clock.start(6), (5, EventTime::from_us(0)));
    clock.feed(6, EventTime::from_us(1_000_000), || (), &mut freed);
    assert_eq!(clock.start(7), (7, EventTime::from_us(1_000_000)));
    assert_eq!(freed.quarantined.len(), 1);
}

#[test]
fn a_fact_frees_what_is_no_leap_any_more_and_leaves_the_wrong_clock_waiting() {
    let mut clock = Clock::new(thirty(), EventTime::START);
    let mut freed = Freed::default();
    for (offset, seconds) in [(0, 0), (1, 5), (2, 86_400), (3, 12)] {
        clock.feed(offset, EventTime::from_us(seconds * 1_000_000), || offset, &mut freed);
    }
    assert!(clock.would_free(EventTime::from_us(2_000_000)));
    clock.obey(EventTime::from_us(2_000_000), false, &mut freed);
    assert_eq!(freed.passed.iter().map(|record| record.kept).collect::<Vec<_>>(), [0, 1, 3]);
    assert!(freed.passed.iter().all(|record| !clock.is_late(record.time, record.before)));
    assert_eq!((clock.waiting(), clock.max()), (1, EventTime::from_us(12_000_000)));
    // Whether records were believed depended on all that waited, those let go included.
    assert_eq!(clock.start(4), (0, EventTime::START), "a re-read begins where waiting began");
    clock.obey(EventTime::from_us(90_000_000_000), false, &mut freed);
    assert_eq!(clock.start(4), (4, EventTime::from_us(90_000_000_000)));
}
