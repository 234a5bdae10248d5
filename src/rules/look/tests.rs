//! One pane and one second, counted by each metric.

use super::*;

const METRICS: [Metric; 5] = [
    Metric::ErrorRate,
    Metric::NullRate,
    Metric::Latency { rank: 99_000 },
    Metric::MissingRate,
    Metric::UnreadableRate,
];

/// A hundred requests: the candidate fails 3, has no prediction for 5, is slow with 7, doesn't answer 11, and 13 of
/// its answers can't be read.
fn pane() -> Pane {
    let mut pane = Pane::empty(EventTime::from_us(0));
    let mut tally = Tally::default();
    tally.primary.requests = 100;
    tally.candidate.requests = 76;
    tally.candidate.failed = 3;
    tally.candidate.null = 5;
    tally.candidate.latency.record_n(1_000, 66);
    tally.candidate.latency.record_n(90_000, 7);
    tally.unmatched_missing = 11;
    tally.unmatched_unreadable = 13;
    pane.candidate.undecodable = 13;
    pane.candidate.paired = 76;
    pane.tallies = BTreeMap::from([("v8".to_owned(), BTreeMap::from([(Segment::all(), tally)]))]);
    pane
}

fn look<'a>(pane: &'a Pane, version: &'a str) -> Look<'a> {
    let (from, to) = (pane.start, EventTime::from_us(10_000_000));
    let seen = Seen::Pane(pane);
    let trial = Trial::of(&seen, version);
    Look { seen, from, to, trial, old: 0.0, unjoined: false, begun: true }
}

fn events(pane: &Pane) -> [(u64, u64); 5] {
    let look = look(pane, "v8");
    METRICS.map(|metric| {
        let share = look.share(metric, Of::Candidate, &Segment::all(), 50_000);
        (share.events, share.total)
    })
}

#[test]
fn one_harm_is_counted_in_one_place() {
    assert_eq!(events(&pane()), [(3, 76), (5, 73), (7, 73), (11, 100), (13, 89)]);
    let mut worse = pane();
    worse
        .tallies
        .get_mut("v8")
        .and_then(|of| of.get_mut(&Segment::all()))
        .unwrap()
        .unmatched_missing = 24;
    assert_eq!(events(&worse), [(3, 76), (5, 73), (7, 73), (24, 100), (13, 89)]);
}

#[test]
fn missing_answers_that_exist_elsewhere_are_no_evidence() {
    let missing = |change: &dyn Fn(&mut Pane, &mut Tally)| {
        let mut pane = pane();
        let mut tally = pane.tallies["v8"][&Segment::all()].clone();
        change(&mut pane, &mut tally);
        pane.tallies.get_mut("v8").unwrap().insert(Segment::all(), tally);
        events(&pane)[3].0
    };
    assert_eq!(missing(&|_, tally| tally.orphans = 4), 7);
    assert_eq!(missing(&|pane, _| pane.candidate.late = 2), 9);
    assert_eq!(missing(&|pane, _| pane.candidate.quarantined = 20), 0);
    assert_eq!(missing(&|pane, _| pane.candidate.undecodable = 14), 10, "one tells no id");
}

#[test]
fn another_version_counts_for_nothing() {
    let pane = pane();
    let of =
        |version| look(&pane, version).share(Metric::ErrorRate, Of::Candidate, &Segment::all(), 0);
    assert_eq!(of("v8").events, 3);
    assert_eq!(of("v9"), Share::default());
}

#[test]
fn vitals_count_the_version_on_trial_and_those_that_name_none() {
    let counts = |requests, failed| VitalCounts { requests, failed, ..VitalCounts::default() };
    let of = |counts| BTreeMap::from([(Segment::all(), counts)]);
    let candidate: ByVersion<VitalCounts> = [
        (String::new(), of(counts(4, 4))),
        ("v8".to_owned(), of(counts(50, 20))),
        ("v9".to_owned(), of(counts(50, 0))),
    ]
    .into();
    let primary = [("m1".to_owned(), of(counts(104, 1)))].into();
    let seen = Seen::Vitals {
        read: 110,
        primary: &primary,
        candidate: &candidate,
        unreadable: 6,
        clusters: Default::default(),
    };
    let look = Look {
        seen,
        from: EventTime::from_us(0),
        to: EventTime::from_us(1),
        trial: Trial::of(&seen, "v9"),
        old: 0.0,
        unjoined: false,
        begun: true,
    };
    let share = |metric, of| look.share(metric, of, &Segment::all(), 0);
    assert_eq!(share(Metric::ErrorRate, Of::Candidate), Share { events: 4, total: 54 });
    assert_eq!(share(Metric::ErrorRate, Of::Primary), Share { events: 1, total: 104 });
    let unreadable = Share { events: 6, total: 110 };
    assert_eq!(share(Metric::UnreadableRate, Of::Candidate), unreadable, "of all versions");
    assert_eq!(look.portion(&Segment::all()), Share { events: 54, total: 104 });
    let whole = Look { trial: Trial::whole(), ..look };
    let all = whole.share(Metric::ErrorRate, Of::Candidate, &Segment::all(), 0);
    assert_eq!(all, Share { events: 24, total: 104 }, "versions that can't be told apart");
}

#[test]
fn what_answers_without_a_request_may_have_done_is_counted() {
    let mut pane = pane();
    let tally = pane.tallies.get_mut("v8").and_then(|of| of.get_mut(&Segment::all())).unwrap();
    (tally.orphans, tally.candidate_only_failed) = (4, 1);
    let look = look(&pane, "v8");
    let alone = |metric| {
        let Share { events, total } = look.alone(metric, &Segment::all(), 50_000);
        (events, total)
    };
    assert_eq!(METRICS.map(alone), [(2, 4), (4, 4), (4, 4), (0, 0), (0, 0)]);
}
