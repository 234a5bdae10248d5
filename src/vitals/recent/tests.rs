//! Copies are told as the join tells them, and a new owner tells the same from its horizon on.

use super::*;
use crate::model::times::Tempo;

const MOST: usize = 1 << 20;

fn tempo(pane: i64, wait: i64, skew: i64) -> Tempo {
    let [pane, wait, skew] = [pane, wait, skew].map(Span::from_secs);
    Tempo { pane, wait, skew }
}

fn at(seconds: i64) -> EventTime {
    EventTime::from_us(seconds * 1_000_000)
}

/// Numbers without an order, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Passes these in order: which are copies.
fn copies(recent: &mut Recent, records: &[(u64, i64)]) -> Vec<bool> {
    let mut max = EventTime::START;
    let mut copies = Vec::new();
    for (hash, seconds) in records {
        copies.push(recent.is_copy(*hash, at(*seconds), max));
        max = max.max(at(*seconds));
    }
    copies
}

#[test]
fn a_copy_lies_within_both_skews_of_any_record_of_its_id() {
    let mut recent = Recent::new(Times::always(tempo(10, 30, 5)), MOST);
    let records =
        [(1, 100), (1, 110), (1, 121), (2, 121), (1, 100), (1, 105), (1, 95), (1, 131), (1, 142)];
    let expected = [false, true, false, false, true, true, true, true, false];
    assert_eq!(copies(&mut recent, &records), expected);
}

#[test]
fn records_that_lie_between_bring_their_neighbours_together() {
    let mut recent = Recent::new(Times::always(tempo(10, 30, 5)), MOST);
    assert_eq!(copies(&mut recent, &[(1, 100), (1, 118), (1, 109)]), [false, false, true]);
    assert_eq!(recent.len(), 1);
    assert!(recent.is_copy(1, at(104), at(118)), "what the first tells is still told");
    assert!(recent.is_copy(1, at(128), at(118)), "and what the second does");
}

#[test]
fn across_a_change_of_skew_both_count() {
    let times =
        Times { revision: 2, before: tempo(10, 30, 10), from: at(100), tempo: tempo(10, 30, 1) };
    let mut recent = Recent::new(times, MOST);
    assert_eq!(
        copies(&mut recent, &[(1, 98), (1, 109), (1, 112), (2, 101), (2, 104)]),
        [false, true, false, false, false]
    );
}

/// The horizon of a new owner begins three skews before what is closed; what isn't late it tells like one that
/// saw everything, whatever came before.
#[test]
fn a_new_owner_tells_the_same_from_its_horizon_on() {
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let tempo =
            tempo(1 + chance.below(10) as i64, chance.below(40) as i64, 1 + chance.below(8) as i64);
        let times = Times::always(tempo);
        let wait = tempo.wait.us() / 1_000_000;
        let mut clock = 1000;
        let mut max = i64::MIN;
        let mut accepted: Vec<(u64, i64, i64)> = Vec::new();
        while accepted.len() < 400 {
            clock += chance.below(2) as i64;
            let time = clock - chance.below(wait.cast_unsigned() + 2) as i64;
            if max != i64::MIN && time < max - wait {
                continue;
            }
            accepted.push((chance.below(12), time, max.max(0)));
            max = max.max(time);
        }
        let mut whole = Recent::new(times, MOST);
        let all: Vec<bool> = accepted
            .iter()
            .map(|(id, time, max)| whole.is_copy(*id, at(*time), at(*max)))
            .collect();
        // What is closed when an owner ends behind any record, and what its successor reads again.
        let end = 100 + usize::try_from(chance.below(250)).unwrap();
        let reached = accepted[..=end].iter().map(|(_, time, _)| *time).max().unwrap_or_default();
        let need = times.frontier(at(reached)).minus(times.look_back());
        let first = accepted.iter().position(|(_, time, _)| need <= at(*time)).unwrap_or_default();
        let mut again = Recent::new(times, MOST);
        for (place, (id, time, max)) in accepted.iter().enumerate().skip(first) {
            let told = again.is_copy(*id, at(*time), at(*max));
            assert!(place <= end || told == all[place], "seed {seed}: record {place}");
        }
    }
}

#[test]
fn what_no_record_can_be_a_copy_of_is_forgotten() {
    let mut recent = Recent::new(Times::always(tempo(10, 30, 5)), MOST);
    for second in 0_i64..10_000 {
        assert!(!recent.is_copy(second.cast_unsigned(), at(second), at(second - 1)));
        assert!(recent.len() <= 80, "{} at {second}", recent.len());
    }
    assert_eq!(recent.displaced(), 0);
}

#[test]
fn what_is_oldest_gives_way_and_is_counted() {
    let mut recent = Recent::new(Times::always(tempo(10, 100_000, 5)), 100);
    for second in 0_i64..1_000 {
        assert!(!recent.is_copy(second.cast_unsigned(), at(second), at(second - 1)));
        assert!(recent.len() <= 100);
    }
    assert_eq!(recent.displaced(), 1_000 - recent.len() as u64);
    assert!(recent.is_copy(999, at(999), at(999)), "the newest are known");
    assert!(!recent.is_copy(3, at(3), at(999)), "the oldest aren't");
}

#[test]
fn an_id_that_never_changes_is_one() {
    let mut recent = Recent::new(Times::always(tempo(10, 3_600, 5)), MOST);
    let counted = (0..10_000).filter(|second| !recent.is_copy(7, at(*second), at(*second))).count();
    assert_eq!((counted, recent.len()), (1, 1));
}
