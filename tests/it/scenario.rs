//! Text in, snapshot out: what the engine says of small streams.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parallax::engine::evaluator::Effect;
use parallax::model::entry::EvaluatorEntry;
use parallax::model::rule::{Action, Metric, Op};
use parallax::model::tally::Segment;
use parallax::model::time::{EventTime, Span};

use crate::world::{World, at, event, rule, spec};

/// `seconds arm id label latency country [forced | version]`; `seconds tick`; lines of `#` are comments.
fn run(text: &str) -> World {
    let mut world = World::new(spec(), 1);
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds: f64 = words[0].parse().unwrap();
        match words[1..] {
            ["tick"] => world.tick(at(seconds)),
            ["broken", arm] => world.record(0, usize::from(arm != "primary"), b"{"),
            [arm, id, label, latency, country, ref more @ ..] => {
                let value = event(id, seconds, label, latency.parse().unwrap(), country);
                let value = match more {
                    [] => value,
                    ["forced"] => value.replacen('{', "{\"assignment\":\"override\",", 1),
                    [version] => {
                        value.replacen('{', &format!("{{\"model_version\":\"{version}\","), 1)
                    }
                    _ => panic!("unreadable line {line}"),
                };
                world.record(0, usize::from(arm != "primary"), value.as_bytes());
            }
            _ => panic!("unreadable line {line}"),
        }
    }
    world.finish();
    world
}

fn report(world: &World) -> String {
    let mut out = String::new();
    for row in &world.windows {
        let t = &row.tally;
        let _ = write!(
            out,
            "{:>4} {:<12} paired {} unmatched {}+{} orphans {} comparable {} matched {}",
            (row.start.us() - at(0.0).us()) / 1_000_000,
            row.segment.to_string(),
            t.paired,
            t.unmatched_missing,
            t.unmatched_unreadable,
            t.orphans,
            t.comparable,
            t.matched,
        );
        for ((from, to), n) in &t.flips {
            let _ = write!(out, " {from}→{to} {n}");
        }
        out.push('\n');
        if let Some((p, c)) = row.buckets {
            let _ = writeln!(out, "     primary {p:?}\n     candidate {c:?}");
        }
    }
    for row in &world.pairs {
        let _ = writeln!(out, "pair {} {} {:?}", row.request_id, row.status.word(), row.reason);
    }
    out
}

#[test]
fn a_late_answer_leaves_its_primary_unmatched() {
    let world = run("
        # time begins: sixteen records spread over more than half of wait, on both arms
        0 primary a1 ok 10 BR
        0 candidate a1 ok 10 BR
        # a silence in which the first records wait as leaps, believed at the end
        3 primary r2 ok 10 BR
        3.5 candidate r2 fraud 10 DE
        4 primary r3 ok 10 DE
        4 broken candidate
        4 primary r3 ok 10 DE
        5 primary r4 ! 10 DE
        5 candidate r4 ok 10 DE
        6 candidate r5 ok 10 DE
    ");
    insta::assert_snapshot!(report(&world), @r#"
     -20 all          paired 3 unmatched 1+0 orphans 1 comparable 2 matched 1 ok→fraud 1
         primary Buckets { undecodable: 0, quarantined: 0, late: 0, overrides: 0, duplicate: 1, paired: 3, alone: 1 }
         candidate Buckets { undecodable: 1, quarantined: 0, late: 0, overrides: 0, duplicate: 0, paired: 3, alone: 1 }
     -20 country=BR   paired 2 unmatched 0+0 orphans 0 comparable 2 matched 1 ok→fraud 1
     -20 country=DE   paired 1 unmatched 1+0 orphans 1 comparable 0 matched 0
    pair r2 mismatch None
    pair r3 unmatched Some("missing")
    pair r4 primary_failed None
    pair r5 orphan None
    "#);
}

#[test]
fn what_one_arm_says_was_forced_is_set_aside_in_both() {
    let world = run("
        0 primary a1 ok 10 BR
        0 candidate a1 ok 10 BR
        # only the candidate's record says so
        1 primary r1 ok 10 BR
        1.2 candidate r1 fraud 10 BR forced
        # only the primary's, and the candidate's answer fails; it is sent twice
        2 primary r2 ok 10 DE forced
        2.2 candidate r2 ! 10 DE
        2.2 candidate r2 ! 10 DE
        # the candidate's says both, whatever the order
        3.1 candidate r3 fraud 10 DE forced
        3 primary r3 ok 10 DE
        3.2 candidate r3 fraud 10 DE
        # both say it
        4 primary r4 ok 10 BR forced
        4 candidate r4 ok 10 BR forced
        # this id was forced more than skew before
        5 candidate r5 ok 10 BR forced
        6.5 primary r5 ok 10 BR
        6.6 candidate r5 fraud 10 BR
    ");
    insta::assert_snapshot!(report(&world), @r#"
     -20 all          paired 2 unmatched 0+0 orphans 0 comparable 2 matched 1 ok→fraud 1
         primary Buckets { undecodable: 0, quarantined: 0, late: 0, overrides: 4, duplicate: 0, paired: 2, alone: 0 }
         candidate Buckets { undecodable: 0, quarantined: 0, late: 0, overrides: 7, duplicate: 0, paired: 2, alone: 0 }
     -20 country=BR   paired 2 unmatched 0+0 orphans 0 comparable 2 matched 1 ok→fraud 1
    pair r5 mismatch None
    "#);
    for row in world.windows.iter().filter_map(|row| row.buckets) {
        assert_eq!((row.0.total(), row.1.total()), (6, 9), "each record is in one bucket");
    }
}

#[test]
fn a_tester_who_forces_a_fifth_of_the_requests_in_one_arm_changes_no_verdict() {
    for says in 0..2 {
        let error_rate =
            rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
        let match_rate =
            rule("match_rate < 95%", Action::Investigate, Metric::MatchRate, Op::Below, 0.95);
        let mut world = two_tasks(vec![error_rate, match_rate]);
        for number in 0..4000_i64 {
            let seconds = number as f64 / 40.0;
            for input in 0..2 {
                let is_forced = number % 5 == 0;
                let label = if is_forced && input == 1 { "fraud" } else { "ok" };
                let mut value = event(&format!("r{number}"), seconds, label, 10.0, "BR");
                if is_forced && input == says {
                    value = value.replacen('{', "{\"assignment\":\"override\",", 1);
                }
                world.record((number % 2) as usize, input, value.as_bytes());
            }
            if number % 40 == 39 {
                world.tick(at(seconds));
            }
        }
        world.finish();
        assert!(world.decisions.is_empty(), "{}", world.decisions[0].reason);
        let all = world.windows.iter().filter(|row| row.segment.is_all());
        let (paired, alone) = all.fold((0, 0), |(paired, alone), row| {
            (paired + row.tally.paired, alone + row.tally.unmatched() + row.tally.orphans)
        });
        assert_eq!((paired, alone), (3200, 0));
    }
}

#[test]
fn versions_mixed_in_a_pane_are_told_apart_and_windows_hold_their_sum() {
    let world = run("
        0 primary a1 ok 10 BR
        0 candidate a1 ok 10 BR v8
        1 primary r1 ok 10 BR
        1 candidate r1 fraud 10 BR v9
        2 primary r2 ! 10 DE
        2 candidate r2 ! 10 DE v8
        3 primary r3 ok 10 DE
        4 primary r4 ok 10 DE
        4 candidate r4 ? 10 DE
        5 candidate r5 ok 10 BR v9
        # another pane
        12 primary r6 ok 10 BR
        12 candidate r6 ok 10 BR v9
    ");
    let mut out = report(&world);
    for (_, entry) in &world.logs[0] {
        let parallax::model::entry::Entry::Checkpoint(closed) = entry else { continue };
        for (pane, version, segment, t) in closed.panes.iter().flat_map(|pane| {
            pane.tallies.iter().flat_map(move |(version, by_segment)| {
                by_segment.iter().map(move |(segment, t)| (pane, version, segment, t))
            })
        }) {
            let _ = writeln!(
                out,
                "{} {version:?} {segment}: primary {} candidate {} paired {} both failed {} unmatched {} orphans {} moves {:?}",
                (pane.start.us() - at(0.0).us()) / 1_000_000,
                t.primary.requests,
                t.candidate.requests,
                t.paired,
                t.both_failed,
                t.unmatched(),
                t.orphans,
                t.moves,
            );
        }
    }
    insta::assert_snapshot!(out, @r#"
     -20 all          paired 5 unmatched 1+0 orphans 1 comparable 3 matched 2 ok→fraud 1
         primary Buckets { undecodable: 0, quarantined: 0, late: 0, overrides: 0, duplicate: 0, paired: 5, alone: 1 }
         candidate Buckets { undecodable: 0, quarantined: 0, late: 0, overrides: 0, duplicate: 0, paired: 5, alone: 1 }
     -20 country=BR   paired 3 unmatched 0+0 orphans 1 comparable 3 matched 2 ok→fraud 1
     -20 country=DE   paired 2 unmatched 1+0 orphans 0 comparable 0 matched 0
    pair r1 mismatch None
    pair r2 candidate_failed None
    pair r3 unmatched Some("missing")
    pair r4 incomparable None
    pair r5 orphan None
    0 "" all: primary 2 candidate 1 paired 1 both failed 0 unmatched 1 orphans 0 moves {("ok", "__null__"): 1}
    0 "" country=DE: primary 2 candidate 1 paired 1 both failed 0 unmatched 1 orphans 0 moves {("ok", "__null__"): 1}
    0 "v8" all: primary 2 candidate 2 paired 2 both failed 1 unmatched 0 orphans 0 moves {}
    0 "v8" country=BR: primary 1 candidate 1 paired 1 both failed 0 unmatched 0 orphans 0 moves {}
    0 "v8" country=DE: primary 1 candidate 1 paired 1 both failed 1 unmatched 0 orphans 0 moves {}
    0 "v9" all: primary 1 candidate 2 paired 1 both failed 0 unmatched 0 orphans 1 moves {}
    0 "v9" country=BR: primary 1 candidate 2 paired 1 both failed 0 unmatched 0 orphans 1 moves {}
    10 "v9" all: primary 1 candidate 1 paired 1 both failed 0 unmatched 0 orphans 0 moves {}
    10 "v9" country=BR: primary 1 candidate 1 paired 1 both failed 0 unmatched 0 orphans 0 moves {}
    "#);
}

#[test]
fn a_pane_of_more_versions_than_are_told_apart_counts_nothing_twice() {
    let mut world = World::new(spec(), 1);
    for n in 0..30 {
        let (id, version) = (format!("r{n}"), format!("{{\"model_version\":\"v{}\",", n % 12));
        world.record(0, 0, event(&id, 1.0, "ok", 10.0, "BR").as_bytes());
        let value = event(&id, 1.0, if n < 6 { "fraud" } else { "ok" }, 10.0, "BR");
        world.record(0, 1, value.replacen('{', &version, 1).as_bytes());
        world.record(0, 1, event(&format!("o{n}"), 1.0, "?", 10.0, "DE").as_bytes());
    }
    world.finish();
    assert_eq!(world.pairs.len(), 6 + 30, "mismatches and orphans have one row each");
    let all = world.windows.iter().find(|row| row.segment.is_all()).unwrap();
    let (p, c) = all.buckets.unwrap();
    assert_eq!((p.paired, p.total(), c.paired, c.alone, c.total()), (30, 30, 30, 30, 60));
    let t = &all.tally;
    assert_eq!((t.paired, t.orphans, t.matched, t.comparable), (30, 30, 24, 30));
    assert_eq!((t.primary.requests, t.candidate.requests, t.candidate.null), (30, 60, 30));
    assert!(!all.partial);
}

/// Feeds `rate` requests a second for the given seconds, on two partitions.
pub(crate) fn stream(
    world: &mut World,
    from: i64,
    to: i64,
    rate: i64,
    spoil: impl Fn(i64, &mut Answer),
) {
    for second in from..to {
        for n in 0..rate {
            let number = second * rate + n;
            let mut answer = Answer {
                label: if number % 7 == 0 { "fraud" } else { "ok" },
                latency: 10.0 + (number * 37 % 100) as f64 / 10.0,
                missing: false,
            };
            let country = if number % 2 == 0 { "BR" } else { "DE" };
            let time = second as f64 + n as f64 / rate as f64;
            let id = format!("r{number}");
            let task = (number % 2) as usize;
            let text = event(&id, time, answer.label, answer.latency, country);
            world.record(task, 0, text.as_bytes());
            spoil(number, &mut answer);
            if !answer.missing {
                let text = event(&id, time + 0.01, answer.label, answer.latency, country);
                world.record(task, 1, text.as_bytes());
            }
        }
        world.tick(at(second as f64 + 1.0));
    }
}

pub(crate) struct Answer {
    pub(crate) label: &'static str,
    pub(crate) latency: f64,
    pub(crate) missing: bool,
}

fn two_tasks(rules: Vec<parallax::model::rule::Rule>) -> World {
    World::new(parallax::model::spec::PipelineSpec { rules, ..spec() }, 2)
}

/// The signal of a candidate whose errors rose in one country.
pub(crate) fn a_rollback() -> parallax::model::signal::Signal {
    let error_rate = rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
    let mut world = two_tasks(vec![error_rate]);
    stream(&mut world, 0, 60, 40, |_, _| {});
    stream(&mut world, 60, 72, 40, |number, answer| {
        if number % 4 == 0 {
            answer.label = "!";
        }
    });
    world.signals.remove(0)
}

#[test]
fn errors_of_the_candidate_roll_back_within_seconds_and_say_where() {
    let error_rate = rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
    let mut world = two_tasks(vec![error_rate]);
    stream(&mut world, 0, 60, 40, |_, _| {});
    assert!(world.signals.is_empty(), "a healthy candidate isn't rolled back");
    stream(&mut world, 60, 72, 40, |number, answer| {
        if number % 4 == 0 {
            answer.label = "!";
        }
    });
    let first = &world.decisions[0];
    assert_eq!((first.action, first.basis.as_str()), (Action::Rollback, "vitals"));
    assert!(first.reason.contains("country=BR holds 100 % of the change"), "{}", first.reason);
    // There never was a failure before, so nothing is known of whether they come in clusters.
    assert!(first.time <= at(67.0), "{}", first.reason);
    assert!(at(59.0) < first.onset && first.onset < at(61.0), "{}", first.reason);
    assert_eq!(world.signals.len(), 1, "a rollout is rolled back once");
    world.finish();
    assert_eq!(world.signals.len(), 1);
    assert_eq!(world.decisions.len(), 1, "a rule is told once, whatever shows it again");
}

/// In blocks a second is one observation: half of the candidate's requests that fail together each tenth second
/// (2.5 % in all) show nothing, and a candidate that goes on failing takes longer.
#[test]
fn in_blocks_what_comes_together_shows_nothing_and_the_signal_says_so() {
    let error_rate = rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
    let mut in_blocks = spec();
    in_blocks.rules = vec![error_rate];
    in_blocks.certainty.in_blocks = true;
    let mut world = World::new(in_blocks, 2);
    stream(&mut world, 0, 300, 40, |number, answer| {
        if number / 40 % 20 == 0 && number % 2 == 0 {
            answer.label = "!";
        }
    });
    assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    stream(&mut world, 300, 500, 40, |number, answer| {
        if number % 4 == 0 {
            answer.label = "!";
        }
    });
    let first = &world.decisions[0];
    assert!(at(330.0) < first.time && first.time < at(450.0), "{}", first.reason);
    assert!(first.reason.contains("each look counts as one observation"), "{}", first.reason);
    let evidence: serde_json::Value = serde_json::from_str(&first.evidence).unwrap();
    assert_eq!(evidence["evidence"]["clusters_by"], "blocks");
    assert_eq!(evidence["evidence"]["divided_for_clusters"], 1.0);
}

#[test]
fn a_producer_whose_clock_is_ahead_doesnt_say_since_when() {
    let error_rate = rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
    let mut world = two_tasks(vec![error_rate]);
    // Read two days later, so that the host's time hides nothing.
    world.read_after = Span::from_secs(2 * 86_400);
    for second in 0..72 {
        stream(&mut world, second, second + 1, 40, |number, answer| {
            if 60 <= second && number % 4 == 0 {
                answer.label = "!";
            }
        });
        let text = event(&format!("ahead{second}"), 86_400.0 + second as f64, "ok", 10.0, "BR");
        world.record(0, 0, text.as_bytes());
    }
    let onset = world.decisions[0].onset;
    assert!(at(59.0) < onset && onset < at(61.0), "{}", world.decisions[0].reason);
}

#[test]
fn a_silent_candidate_is_harm_and_a_shared_cause_isnt() {
    let error_rate =
        || rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
    let missing = rule("missing_rate > 50%", Action::Rollback, Metric::MissingRate, Op::Above, 0.5);
    let mut world = two_tasks(vec![error_rate(), missing]);
    stream(&mut world, 0, 60, 20, |_, _| {});
    stream(&mut world, 60, 240, 20, |number, answer| answer.missing = 1 < number % 10);
    world.finish();
    assert_eq!(world.signals.len(), 1);
    let shown = &world.decisions[0];
    assert_eq!((shown.action, shown.basis.as_str()), (Action::Rollback, "panes"));
    assert_eq!(shown.rule, "missing_rate > 50%", "a missing answer is missing, not failed");
    assert_eq!(world.decisions.len(), 1, "one harm is told once");

    let mut world = two_tasks(vec![error_rate()]);
    for number in 0..4000_i64 {
        let label = if 2000 < number && number % 3 == 0 { "!" } else { "ok" };
        let time = number as f64 / 40.0;
        let text = event(&format!("r{number}"), time, label, 10.0, "BR");
        for input in 0..2 {
            world.record((number % 2) as usize, input, text.as_bytes());
        }
        if number % 40 == 39 {
            world.tick(at(time));
        }
    }
    world.finish();
    assert!(!world.decisions.is_empty());
    assert!(
        world.decisions.iter().all(|row| row.action == Action::Investigate),
        "the primary fails too"
    );
}

/// Both arms fail every third request for a while and are well again; later the candidate alone fails.
#[test]
fn what_a_backlog_or_a_shared_cause_showed_is_spent() {
    let error_rate = rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
    let mut world = two_tasks(vec![error_rate]);
    let fails = |number: i64, input: i64, second: i64| match second {
        60..110 => number % 3 == 0,
        400.. => input == 1 && number % 3 == 0,
        _ => number % 100 == 0,
    };
    for number in 0..430 * 40_i64 {
        for input in 0..2 {
            let label = if fails(number + input, input, number / 40) { "!" } else { "ok" };
            let text = event(&format!("r{number}"), number as f64 / 40.0, label, 10.0, "BR");
            world.record((number % 2) as usize, input as usize, text.as_bytes());
        }
        if number % 40 == 39 {
            world.tick(at(number as f64 / 40.0));
        }
    }
    let said: Vec<_> = world.decisions.iter().map(|row| (row.action, row.time)).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].0 == Action::Investigate && said[0].1 < at(70.0), "{said:?}");
    assert!(said[1].0 == Action::Rollback && at(400.0) < said[1].1, "{said:?}");
    assert!(said[1].1 < at(410.0), "the outage is no inertia: {said:?}");
}

#[test]
fn an_observed_rule_says_over_which_span_and_when_it_was_first_beyond_it() {
    let text = "observed: error_rate > 5%";
    let error_rate = rule(text, Action::Investigate, Metric::ErrorRate, Op::Above, 0.05);
    let mut world = two_tasks(vec![parallax::model::rule::Rule { observed: true, ..error_rate }]);
    stream(&mut world, 0, 95, 40, |_, _| {});
    stream(&mut world, 95, 130, 40, |number, answer| {
        if number % 4 == 0 {
            answer.label = "!";
        }
    });
    let shown = &world.decisions[0];
    let begins = "observed: error_rate > 5% over the last 1m, first beyond it at 2023-11-14T22:14:50.000Z: 6.2 % against 0.0 %, \
                  150 of 2,400 requests failed; a point estimate";
    assert!(shown.reason.starts_with(begins), "{}", shown.reason);
    assert_eq!((shown.onset, shown.time), (at(90.0), at(110.0)));
}

/// A hundredth fails, one by one or by tens, and from 05:00 on a third.
#[test]
fn a_beginning_among_clusters_is_ruled_out_later() {
    let between = |fails: fn(i64) -> bool| {
        let error_rate =
            rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05);
        let mut world = two_tasks(vec![error_rate]);
        stream(&mut world, 0, 330, 40, |number, answer| {
            if (300 * 40 <= number && number % 3 == 0) || fails(number) {
                answer.label = "!";
            }
        });
        let shown = &world.decisions[0];
        assert!(at(300.0) < shown.time, "{}", shown.reason);
        let evidence: serde_json::Value = serde_json::from_str(&shown.evidence).unwrap();
        let [first, last] =
            [0, 1].map(|of| evidence["since_between"][of].as_str().unwrap().to_owned());
        (evidence["evidence"]["divided_for_clusters"].as_f64().unwrap(), first, last)
    };
    let alone = between(|number| number % 100 == 0);
    let by_tens = between(|number| number % 1000 < 10);
    assert!(alone.0 < by_tens.0, "{alone:?} {by_tens:?}");
    assert!(by_tens.1 < alone.1 && alone.2 <= by_tens.2, "{alone:?} {by_tens:?}");
}

#[test]
fn a_candidate_that_answers_otherwise_is_rolled_back_if_its_rule_says_so() {
    let mut world = two_tasks(vec![rule(
        "match_rate < 95%",
        Action::Rollback,
        Metric::MatchRate,
        Op::Below,
        0.95,
    )]);
    stream(&mut world, 0, 60, 60, |_, _| {});
    stream(&mut world, 60, 120, 60, |number, answer| {
        if number % 2 == 0 {
            answer.label = "review";
        }
    });
    world.finish();
    assert_eq!(world.decisions[0].action, Action::Rollback, "{}", world.decisions[0].reason);
}

#[test]
fn slow_mismatching_and_shifted_candidates_are_shown_on_panes() {
    let mut world = two_tasks(vec![
        rule(
            "latency_p99 > 2x primary",
            Action::Rollback,
            Metric::Latency { rank: 99_000 },
            Op::Above,
            2.0,
        ),
        rule("match_rate < 95%", Action::Investigate, Metric::MatchRate, Op::Below, 0.95),
        rule(
            "prediction_shift > 20%",
            Action::Investigate,
            Metric::PredictionShift,
            Op::Above,
            0.2,
        ),
    ]);
    stream(&mut world, 0, 120, 60, |_, _| {});
    assert!(world.decisions.is_empty());
    stream(&mut world, 120, 240, 60, |number, answer| {
        if number % 20 == 0 {
            answer.latency *= 4.0;
        }
        if number % 2 == 0 {
            answer.label = "review";
        }
    });
    world.finish();
    let shown: Vec<(&str, &str)> =
        world.decisions.iter().map(|row| (row.rule.as_str(), row.basis.as_str())).collect();
    for expected in [
        ("latency_p99 > 2x primary", "vitals"),
        ("match_rate < 95%", "panes"),
        ("prediction_shift > 20%", "panes"),
    ] {
        assert!(shown.contains(&expected), "{expected:?} in {shown:?}");
    }
    for row in &world.decisions {
        assert!(row.reason.contains("BR holds") || row.rule.contains("shift"), "{}", row.reason);
        assert!(
            at(90.0) <= row.onset && row.onset <= at(150.0) || row.rule.contains("shift"),
            "{}",
            row.reason
        );
    }
}

#[test]
fn a_new_owner_of_the_evaluator_decides_the_same() {
    let rules = vec![
        rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05),
        rule("match_rate < 95%", Action::Investigate, Metric::MatchRate, Op::Below, 0.95),
    ];
    let mut world = two_tasks(rules);
    stream(&mut world, 0, 100, 20, |_, _| {});
    stream(&mut world, 100, 200, 20, |number, answer| {
        if number % 3 == 0 {
            answer.label = "!";
        }
    });
    world.finish();
    let mut repeats = 0;
    for cut in 0..=world.weighings.len() {
        let log = &world.weighings[..cut];
        let mut heir = world.heir(&world.spec, log);
        let follows: Vec<Effect> = std::iter::from_fn(|| heir.poll()).collect();
        let acts = |effect: &Effect| matches!(effect, Effect::Send(_) | Effect::Append(_));
        assert!(!follows.iter().any(acts), "who follows does nothing");
        heir.lead();
        while let Some(effect) = heir.poll() {
            if let Effect::Send(signal) = effect {
                assert!(world.signals.contains(&signal), "a repeat is byte-identical");
                repeats += 1;
            }
        }
    }
    assert!(0 < repeats, "some cut fell between a decision and its signal");
    assert!(world.windows.iter().any(|row| row.segment == Segment::all()));
}

/// One pair in a task.
fn send(world: &mut World, task: usize, second: i64) {
    for arm in 0..2 {
        let id = format!("t{task}-{second}");
        let text = event(&id, second as f64, "ok", 10.0, "BR");
        world.record(task, arm, text.as_bytes());
    }
}

fn is_missing_some(weighing: &&EvaluatorEntry) -> bool {
    matches!(weighing, EvaluatorEntry::Panes { missing, .. } if !missing.is_empty())
}

#[test]
fn at_the_end_of_bounded_inputs_no_task_is_missing_however_far_it_lies_behind() {
    let mut world = two_tasks(Vec::new());
    world.bounded = true;
    for second in 0..400 {
        send(&mut world, 0, second);
        world.tick(at(second as f64 + 1.0));
    }
    for second in 0..400 {
        send(&mut world, 1, second);
    }
    world.tick(at(401.0));
    world.finish();
    assert_eq!(world.weighings.iter().filter(is_missing_some).count(), 0);
    let all = world.windows.iter().filter(|row| row.segment.is_all());
    let rows: Vec<_> = all.map(|row| (row.revision, row.partial, row.tally.paired)).collect();
    assert!(rows.iter().all(|(revision, partial, _)| *revision == 0 && !partial), "{rows:?}");
    assert_eq!(rows.iter().map(|(.., paired)| paired).sum::<u64>(), 800);
}

#[test]
fn a_clock_that_is_stepped_makes_no_task_missing() {
    let mut world = World::new(spec(), 2);
    for second in 0..100 {
        send(&mut world, 0, second);
        if second < 70 {
            send(&mut world, 1, second);
        }
        // An hour ahead for a while, and then an hour behind.
        let wrong_by = [0.0, 3600.0, 0.0, -3600.0, 0.0][second as usize / 20];
        world.tick(at(second as f64 + 1.0 + wrong_by));
    }
    assert_eq!(world.weighings.iter().filter(is_missing_some).count(), 0);
}

#[test]
fn a_missing_task_is_waited_for_two_minutes_and_revises_windows_later() {
    let mut world = two_tasks(Vec::new());
    for second in 0..400 {
        send(&mut world, 0, second);
        if second < 70 {
            send(&mut world, 1, second);
        }
        world.tick(at(second as f64 + 1.0));
        let reported = world.evaluator.weighed_to(0);
        if second == 150 {
            assert_eq!(
                reported,
                at(60.0).floor(Span::from_secs(10)),
                "the other task is waited for"
            );
        }
    }
    assert!(1 < world.weighings.iter().filter(is_missing_some).count());
    for second in 70..400 {
        send(&mut world, 1, second);
    }
    world.tick(at(401.0));
    world.finish();
    let mut last: BTreeMap<EventTime, (u32, u64, u64)> = BTreeMap::new();
    for row in world.windows.iter().filter(|row| row.segment.is_all()) {
        let (revision, paired, _) = last.get(&row.start).copied().unwrap_or((0, 0, 0));
        assert!(revision < row.revision || paired == 0, "each revision is said once");
        assert!(paired <= row.tally.paired);
        last.insert(row.start, (row.revision, row.tally.paired, u64::from(row.partial)));
    }
    let total: u64 = last.values().map(|(_, paired, _)| paired).sum();
    assert_eq!(total, 800, "nothing is lost and nothing doubled: {last:?}");
    assert!(last.values().any(|(revision, ..)| 0 < *revision));
}
