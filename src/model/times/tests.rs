//! Laws of tempos that change: they never go back, they agree with one another, and without a change they
//! are what they were.

use super::*;

/// Numbers by chance.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).cast_signed().rem_euclid(end)
    }

    fn one_of<const N: usize>(&mut self, numbers: [i64; N]) -> Span {
        let at = self.below(i64::try_from(N).unwrap());
        Span::from_us(numbers[usize::try_from(at).unwrap()])
    }

    fn tempo(&mut self) -> Tempo {
        Tempo {
            pane: self.one_of([1, 2, 3, 5, 10, 20]),
            wait: Span::from_us(self.below(40)),
            skew: self.one_of([0, 1, 2, 7, 30]),
        }
    }

    fn times(&mut self) -> Times {
        let (before, tempo) = (self.tempo(), self.tempo());
        Times { revision: 2, before, from: at(60 * (1 + self.below(3))), tempo }
    }
}

fn at(us: i64) -> EventTime {
    EventTime::from_us(us)
}

/// Ends of panes, in order.
fn ends(times: &Times) -> Vec<EventTime> {
    let mut ends = Vec::new();
    let mut start = times.pane_of(at(0));
    while start < at(400) {
        start = times.end_of(start);
        ends.push(start);
    }
    ends
}

#[test]
fn without_a_change_it_is_the_plain_formula() {
    let mut rng = Rng(1);
    for _ in 0..2000 {
        let tempo = rng.tempo();
        let times = Times::always(tempo);
        let max = at(rng.below(400) - 100);
        assert_eq!(times.frontier(max), max.minus(tempo.wait).minus(tempo.skew).floor(tempo.pane));
        let end = times.end_of(times.pane_of(max));
        assert_eq!(times.closes_at(end), end.plus(tempo.wait).plus(tempo.skew));
        assert_eq!(times.look_back(), tempo.skew.times(3));
        assert_eq!(times.frontier(EventTime::START), EventTime::START);
        // A change to the same is none.
        let same = Times { from: at(60), ..times };
        assert_eq!(times.closes_at(end), same.closes_at(end));
        assert_eq!(times.frontier(max), same.frontier(max));
    }
}

#[test]
fn a_frontier_never_goes_back_stops_at_the_change_and_is_where_panes_close() {
    let mut rng = Rng(2);
    for _ in 0..500 {
        let times = rng.times();
        let ends = ends(&times);
        assert!(ends.contains(&times.from), "no pane lies across the change");
        let mut last = EventTime::START;
        for max in (-50..400).map(at) {
            let to = times.frontier(max);
            assert!(last <= to, "{times:?}: {last:?} and then {to:?}");
            last = to;
            for end in ends.iter().filter(|end| **end < at(350)) {
                let closed = times.closes_at(*end) <= max;
                assert_eq!(closed, *end <= to, "{times:?} {max:?} {end:?} {to:?}");
            }
        }
    }
}

/// What the words of the design say, record by record.
#[test]
fn a_pane_closes_when_all_that_could_touch_it_is_late_and_not_before() {
    let mut rng = Rng(3);
    for _ in 0..300 {
        let times = rng.times();
        let late = |time: EventTime, max: EventTime| time < max.minus(times.at(time).wait);
        for end in ends(&times).into_iter().filter(|end| *end < at(300)) {
            // Times that lie in the pane, before it, or pair with one in it.
            let pairs = |time: i64| {
                let (time, last) = (at(time), at(end.us() - 1));
                let apart = time.since(last).max(last.since(time));
                time < end || apart <= times.skew_of(time, last)
            };
            let touching: Vec<i64> = (0..400).filter(|time| pairs(*time)).collect();
            let closes = times.closes_at(end);
            assert!(touching.iter().all(|time| late(at(*time), closes)), "{times:?} {end:?}");
        }
    }
}

#[test]
fn what_was_closed_before_a_hold_doesnt_depend_on_the_change() {
    let mut rng = Rng(4);
    for _ in 0..2000 {
        let (before, tempo) = (rng.tempo(), rng.tempo());
        let plain = Times::always(before);
        let closed = plain.frontier(at(rng.below(200)));
        let spans = [Span::from_us(60)];
        let to = next_change(closed, &plain, &tempo, &spans).unwrap_or_default();
        let hold = Hold { revision: 2, tempo, to };
        assert!(closed <= hold.limit(&before), "what is closed lies before the hold");
        assert!(plain.closes_at(closed) <= to);
        // Others may hold later.
        let from = to.plus(Span::from_us(60 * rng.below(3)));
        let times = Times { revision: 2, before, from, tempo };
        let mut end = times.end_of(times.pane_of(at(0)));
        while end <= hold.limit(&before) {
            assert_eq!(times.closes_at(end), plain.closes_at(end));
            assert!(times.closes_at(end) <= times.from, "until then leaps are told as before");
            end = times.end_of(end);
        }
        assert!(closed.minus(plain.look_back()) <= from.minus(times.look_back()));
    }
}

#[test]
fn panes_and_windows_end_together_or_the_change_is_refused() {
    let spans = |seconds: &[i64]| seconds.iter().map(|s| Span::from_secs(*s)).collect::<Vec<_>>();
    assert_eq!(common_multiple(spans(&[10, 15, 60])), Some(Span::from_secs(60)));
    assert_eq!(common_multiple(spans(&[86_399, 86_400])), None);
}
