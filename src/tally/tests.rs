//! Panes of few requests, counted.

use super::*;
use crate::model::key::{Key, hash_of};
use crate::model::observation::{Answer, Observation};
use crate::model::time::{EventTime, Span};
use crate::model::times::{Tempo, Times};
use crate::tally::records::Slice;
use records::RecordStore;

fn observation(id: &str, label: &str, country: &str) -> Observation<'static> {
    Observation {
        request_id: id.to_owned().into(),
        time: EventTime::from_us(1),
        assignment: crate::model::arm::Assignment::Random,
        answer: answer(label),
        latency_us: Some(1000),
        segments: [country.to_owned().into(), "".into(), "".into(), "".into()],
        model_version: None,
        broken: 0,
        cluster: None,
        carries: 0,
    }
}

fn tally(max: usize) -> PaneTally {
    let set = |max| BoundedSet { declared: Vec::new(), max };
    let country = Dimension { name: "country".into(), values: set(max) };
    PaneTally::of(vec![country], set(2), Vec::new())
}

/// `!` failed, `?` has no prediction, digits are a number, all else is a class.
fn answer(text: &str) -> Answer<'static> {
    match (text, text.parse()) {
        ("!", _) => Answer::Failed,
        ("?", _) => Answer::Null,
        (_, Ok(number)) => Answer::Number(number),
        (class, Err(_)) => Answer::Label(class.to_owned().into()),
    }
}

/// Panes of 10 s.
fn ten() -> Times {
    Times::always(Tempo { pane: Span::from_secs(10), ..Tempo::default() })
}

#[test]
fn counts_by_segment_and_bounds_names() {
    let mut primary = RecordStore::new(ten());
    let mut candidate = RecordStore::new(ten());
    for (offset, (id, ours, theirs, country)) in (0_i64..).zip([
        ("a", "ok", "ok", "BR"),
        ("b", "ok", "fraud", "BR"),
        ("c", "fraud", "!", "DE"),
        ("d", "odd", "odd", ""),
    ]) {
        primary.insert(offset, hash_of(id), &observation(id, ours, country));
        candidate.insert(offset, hash_of(id), &observation(id, theirs, "XX"));
    }
    let (mut ours, mut theirs): (Vec<Key>, Vec<Key>) = Default::default();
    let all = (EventTime::from_us(0), EventTime::from_us(10));
    let (mut p, mut c) = (Slice::default(), Slice::default());
    primary.slice(all, 0, &mut ours, &mut p);
    candidate.slice(all, 1, &mut theirs, &mut c);
    let mut tally = tally(1);
    for _ in 0..2 {
        for (one, other) in ours.iter().zip(&theirs) {
            let (one, other) = (p.view(one.place).unwrap(), c.view(other.place).unwrap());
            let same = match (one.label(), other.label()) {
                (Some(a), Some(b)) => Some(a.text == b.text),
                _ => None,
            };
            tally.add_pair(one, other, same);
        }
        let counted = tally.finish();
        assert_eq!(counted.tallies.len(), 1, "no record names a version");
        let tallies = &counted.tallies[""];
        let all = &tallies[&Segment::all()];
        assert_eq!((all.paired, all.comparable, all.matched), (4, 3, 2));
        assert_eq!((all.candidate_only_failed, all.both_failed), (1, 0));
        assert_eq!(all.flips[&("ok".to_owned(), "fraud".to_owned())], 1);
        assert_eq!(all.primary.labels["__other__"], 1, "three classes, two names: odd comes last");
        let names: Vec<_> = tallies.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["all", "country=BR", "country=__none__", "country=__other__"]);
        assert!(counted.partial);
        assert_eq!(counted.examples.mismatched.len(), 1);
    }
}

/// Returns what both arms hold, in the same order.
fn both<'h>(arms: &'h [RecordStore; 2]) -> Vec<(View<'h>, View<'h>)> {
    let all = (EventTime::from_us(0), EventTime::from_us(10));
    let [ours, theirs] = arms.each_ref().map(|held| {
        let (mut keys, mut slice) = (Vec::new(), Slice::default());
        held.slice(all, 0, &mut keys, &mut slice);
        keys.iter().map(|key| slice.view(key.place).unwrap()).collect::<Vec<_>>()
    });
    ours.into_iter().zip(theirs).collect()
}

fn agrees(ours: View<'_>, theirs: View<'_>) -> Option<bool> {
    Some(ours.label()?.text == theirs.label()?.text)
}

/// Counts pairs: (version of the candidate, primary's answer, candidate's, country).
fn count(tally: &mut PaneTally, pairs: &[(&str, &str, &str, &str)]) -> Counted {
    let mut arms = [RecordStore::new(ten()), RecordStore::new(ten())];
    for (offset, (version, ours, theirs, country)) in (0_i64..).zip(pairs) {
        let id = format!("r{offset}");
        arms[0].insert(offset, hash_of(&id), &observation(&id, ours, country));
        let model_version = (!version.is_empty()).then(|| (*version).to_owned().into());
        let theirs = Observation { model_version, ..observation(&id, theirs, "XX") };
        arms[1].insert(offset, hash_of(&theirs.request_id), &theirs);
    }
    let pairs = both(&arms);
    loop {
        pairs
            .iter()
            .for_each(|(ours, theirs)| tally.add_pair(*ours, *theirs, agrees(*ours, *theirs)));
        if !tally.must_recount() {
            return tally.finish();
        }
    }
}

#[test]
fn each_version_has_tallies_of_its_own_and_names_are_kept_over_all_of_them() {
    let mut tally = tally(1);
    for _ in 0..2 {
        let counted = count(
            &mut tally,
            &[
                ("v8", "a", "b", "BR"),
                ("v9", "b", "b", "BR"),
                ("v9", "c", "!", "DE"),
                ("", "c", "c", "DE"),
                ("v9", "b", "c", "DE"),
            ],
        );
        let versions: Vec<_> = counted.tallies.keys().map(String::as_str).collect();
        assert_eq!(versions, ["", "v8", "v9"]);
        let paired = |version: &str, segment: &Segment| counted.tallies[version][segment].paired;
        let all = Segment::all();
        assert_eq!((paired("", &all), paired("v8", &all), paired("v9", &all)), (1, 1, 3));
        // DE has most over all versions, though BR has as many in v8 and none has less than it in "".
        let names = |version: &str| -> Vec<String> {
            counted.tallies[version].keys().map(ToString::to_string).collect()
        };
        assert_eq!(names("v8"), ["all", "country=__other__"]);
        assert_eq!(names("v9"), ["all", "country=DE", "country=__other__"]);
        // b and c were answered four times each, a once: v8's primary answered with nothing that is kept.
        assert_eq!(counted.tallies["v8"][&all].primary.labels["__other__"], 1);
        assert_eq!(counted.tallies["v9"][&all].flips[&("b".to_owned(), "c".to_owned())], 1);
        assert_eq!(counted.tallies["v9"][&all].candidate_only_failed, 1);
    }
}

#[test]
fn more_versions_than_are_told_apart_keep_those_met_most_whatever_the_order() {
    let names: Vec<String> = (0..12).map(|n| format!("v{n:02}")).collect();
    // v11 answers thrice, v10 twice, all others once: of these the first by name are kept.
    let mut pairs: Vec<(&str, &str, &str, &str)> =
        names.iter().map(|name| (name.as_str(), "a", "a", "BR")).collect();
    pairs.extend([("v11", "a", "a", "BR"), ("v10", "a", "a", "BR"), ("v11", "a", "!", "BR")]);
    let mut tally = tally(1);
    let one = count(&mut tally, &pairs);
    pairs.reverse();
    let other = count(&mut tally, &pairs);
    assert_eq!(one.tallies, other.tallies);
    let paired: Vec<_> =
        one.tallies.iter().map(|(name, by)| (name.as_str(), by[&Segment::all()].paired)).collect();
    let kept = ["v00", "v01", "v02", "v03", "v04", "v05"].map(|name| (name, 1));
    assert_eq!(paired, [&[("__other__", 4)][..], &kept, &[("v10", 2), ("v11", 3)]].concat());
    assert!(!one.partial, "what the tables show is whole");
}

#[test]
fn pairs_that_move_between_categories_are_counted_but_for_flips() {
    let mut tally = PaneTally::of(Vec::new(), tally(2).labels, vec![10.0, 20.0]);
    let counted = count(
        &mut tally,
        &[
            ("", "1", "12", ""),
            ("", "12", "19", ""),
            ("", "25", "?", ""),
            ("", "?", "ok", ""),
            ("", "?", "?", ""),
            ("", "ok", "bad", ""),
            ("", "!", "?", ""),
            ("", "!", "!", ""),
        ],
    );
    let all = &counted.tallies[""][&Segment::all()];
    let name = |((from, to), count): (&(String, String), &u64)| format!("{from} > {to}: {count}");
    let moves: Vec<String> = all.moves.iter().map(name).collect();
    assert_eq!(moves, ["__null__ > ok: 1", "bin 0 > bin 1: 1", "bin 2 > __null__: 1"]);
    assert_eq!(all.flips.iter().map(name).collect::<Vec<_>>(), ["ok > bad: 1"]);
    assert_eq!((all.both_failed, all.primary_only_failed), (1, 1));
    let mut twice = all.clone();
    twice.merge(all);
    assert_eq!((twice.both_failed, twice.moves.values().sum::<u64>()), (2, 6));
}

/// Ranked by the primary's counts alone, the names that are kept would be those that its chance favoured,
/// and the candidate would seem to answer `__other__` more often.
#[test]
fn keeping_names_makes_no_shift_between_equal_arms() {
    let mut state = 7_u64;
    let mut label = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("class {:02}", (state >> 33) % 100)
    };
    let mut tally =
        PaneTally::of(Vec::new(), BoundedSet { declared: Vec::new(), max: 20 }, Vec::new());
    let mut sum = Tally::default();
    for _ in 0..100 {
        let answers: Vec<(String, String)> = (0..200).map(|_| (label(), label())).collect();
        let pairs: Vec<_> =
            answers.iter().map(|(a, b)| ("v8", a.as_str(), b.as_str(), "")).collect();
        sum.merge(&count(&mut tally, &pairs).tallies["v8"][&Segment::all()]);
    }
    let share = |arm: &crate::model::tally::ArmTally| arm.labels["__other__"] as f64 / 20_000.0;
    let (ours, theirs) = (share(&sum.primary), share(&sum.candidate));
    assert!((ours - theirs).abs() < 0.015, "{ours} and {theirs} of equal arms stand under others");
}

#[test]
fn clusters_are_counted_by_arm_and_a_recount_counts_nothing_twice() {
    let key = ClusterKey::of;
    let (mut primary, mut candidate) = (RecordStore::new(ten()), RecordStore::new(ten()));
    for n in 0..24_i64 {
        let id = format!("r{n}");
        let version = Some(format!("v{}", n % 12).into());
        let ours = Observation { cluster: key(""), ..observation(&id, "ok", "BR") };
        let theirs = Observation {
            model_version: version,
            cluster: if n < 5 {
                key("b1")
            } else if n < 20 {
                None
            } else {
                key("b2")
            },
            ..observation(&id, "ok", "BR")
        };
        primary.insert(n, hash_of(&id), &ours);
        candidate.insert(n, hash_of(&id), &theirs);
    }
    let (mut ours, mut theirs): (Vec<Key>, Vec<Key>) = Default::default();
    let all = (EventTime::from_us(0), EventTime::from_us(10));
    let (mut p, mut c) = (Slice::default(), Slice::default());
    primary.slice(all, 0, &mut ours, &mut p);
    candidate.slice(all, 0, &mut theirs, &mut c);
    let mut tally = tally(10);
    for recount in [true, false] {
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let views = (p.view(ours.place), c.view(theirs.place));
            tally.add_pair(views.0.expect("it is held"), views.1.expect("it is held"), Some(true));
        }
        assert_eq!(tally.must_recount(), recount);
    }
    let sizes = tally.finish().clusters.map(|size| (size.largest, size.unknown));
    assert_eq!(sizes, [(0, 0), (5, 0)]);
    assert_eq!(tally.finish().clusters, [ClusterSize::default(); 2], "the next pane begins anew");
}
