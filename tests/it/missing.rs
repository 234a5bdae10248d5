//! Answers that don't come, or come to nobody's question: what is the candidate's fault, and what isn't known to be.

use parallax::model::rule::{Action, Metric, Op, Rule};
use parallax::model::spec::PipelineSpec;

use crate::scenario::stream;
use crate::world::{World, at, event, rule, spec};

/// What is there where the file says nothing of it.
fn defaults() -> Vec<Rule> {
    let missing = |text, action, value| Rule {
        assumed: true,
        ..rule(text, action, Metric::MissingRate, Op::Above, value)
    };
    vec![
        missing("missing_rate > 50%", Action::Rollback, 0.5),
        missing("missing_rate > 5%", Action::Investigate, 0.05),
    ]
}

fn world(rules: Vec<Rule>) -> World {
    World::new(PipelineSpec { rules, ..spec() }, 2)
}

/// Nine of ten answers never come.
fn a_tenth(world: &mut World, from: i64, to: i64) {
    stream(world, from, to, 20, |number, answer| answer.missing = number / 2 % 10 != 0);
}

#[test]
fn a_mirror_that_samples_without_the_file_saying_so_rolls_nobody_back() {
    let mut world = world(defaults());
    a_tenth(&mut world, 0, 1200);
    world.finish();
    assert_eq!(world.decisions.len(), 1, "told once, and nothing after");
    let told = &world.decisions[0];
    assert_eq!(told.action, Action::Investigate);
    assert!(
        told.reason.ends_with(
            "since its first answer v8 has answered 10.0 % of the primary's requests; if the mirror samples, \
             write `mirrored: 10%`; if it doesn't, v8 doesn't answer the others"
        ),
        "{}",
        told.reason
    );
    assert_eq!(world.signals.len(), 1);

    // Where only the graver of both is there, it is weakened, and says why.
    let mut world = self::world(defaults().into_iter().take(1).collect());
    a_tenth(&mut world, 0, 1200);
    world.finish();
    assert_eq!(world.decisions.len(), 1);
    let data: serde_json::Value = serde_json::from_str(&world.signals[0].data).unwrap();
    assert_eq!(
        (data["action"].as_str(), data["rule"]["asks_for"].as_str()),
        (Some("investigate"), Some("rollback"))
    );
    assert!(data["weakened_because"].as_str().unwrap().contains("`mirrored: 10%`"), "{data}");
}

#[test]
fn a_candidate_that_dies_after_healthy_minutes_is_rolled_back() {
    let mut world = world(defaults());
    stream(&mut world, 0, 180, 20, |_, _| {});
    a_tenth(&mut world, 180, 420);
    world.finish();
    let rollback = world.decisions.iter().find(|row| row.action == Action::Rollback).unwrap();
    assert_eq!(rollback.rule, "missing_rate > 50%");
    assert!(rollback.time <= at(300.0), "{}", rollback.reason);
    for row in &world.decisions {
        assert!(
            !row.reason.contains("mirrored:"),
            "it wasn't so from the beginning: {}",
            row.reason
        );
    }
}

#[test]
fn a_rule_that_the_file_states_on_missing_answers_acts() {
    let stated = defaults().into_iter().map(|rule| Rule { assumed: false, ..rule }).collect();
    let mut world = world(stated);
    a_tenth(&mut world, 0, 300);
    world.finish();
    let rollback = world.decisions.iter().find(|row| row.action == Action::Rollback).unwrap();
    assert_eq!(rollback.rule, "missing_rate > 50%");
}

#[test]
fn a_new_version_that_answers_a_tenth_where_an_older_one_answered_all_is_rolled_back() {
    let mut world = world(defaults());
    for number in 0..8000_i64 {
        let seconds = number as f64 / 20.0;
        let version = if number < 4000 { "v8.1" } else { "v8.2" };
        let answers = number < 4000 || number / 2 % 10 == 0;
        let text = event(&format!("r{number}"), seconds, "ok", 10.0, "BR");
        world.record((number % 2) as usize, 0, text.as_bytes());
        if answers {
            let text = text.replacen('{', &format!("{{\"model_version\":\"{version}\","), 1);
            world.record((number % 2) as usize, 1, text.as_bytes());
        }
        if number % 20 == 19 {
            world.tick(at(seconds));
        }
    }
    world.finish();
    let rollback = world.signals.iter().find(|signal| signal.kind.contains("rollback")).unwrap();
    let data: serde_json::Value = serde_json::from_str(&rollback.data).unwrap();
    assert_eq!(data["rule"]["text"], "missing_rate > 50%");
    assert_eq!(data["model_version"], "v8.2");
}

/// What both arms send in a stream.
struct Stream {
    rate: i64,
    seconds: i64,
}

impl Stream {
    /// Feeds requests; `spoil` sees each one's number and second, and says of both arms' records what to send.
    fn feed(&self, world: &mut World, spoil: impl Fn(i64, i64) -> [Option<String>; 2]) {
        for number in 0..self.rate * self.seconds {
            let sent = spoil(number, number / self.rate);
            for (input, text) in sent.into_iter().enumerate() {
                if let Some(text) = text {
                    world.record((number % 2) as usize, input, text.as_bytes());
                }
            }
            if number % self.rate == self.rate - 1 {
                world.tick(at((number / self.rate + 1) as f64));
            }
        }
        world.finish();
    }

    fn event(&self, id: &str, number: i64, label: &str) -> String {
        event(id, number as f64 / self.rate as f64, label, 10.0, "BR")
    }
}

fn errors() -> Rule {
    rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05)
}

fn nulls() -> Rule {
    rule("null_rate > 1%", Action::Rollback, Metric::NullRate, Op::Above, 0.01)
}

/// Every ninth answer of the candidate is a probe's, from the second minute on; the primary isn't asked.
fn probed(
    stream: &Stream,
    number: i64,
    second: i64,
    label: &str,
    own: &str,
) -> [Option<String>; 2] {
    let id = format!("r{}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
    if 120 <= second && number / 2 % 9 == 0 {
        return [None, Some(stream.event(&format!("probe-{id}"), number, label))];
    }
    [Some(stream.event(&id, number, "ok")), Some(stream.event(&id, number, own))]
}

#[test]
fn probes_that_fail_roll_no_healthy_candidate_back() {
    for (rate, label) in [(20, "!"), (200, "!"), (40, "?")] {
        let stream = Stream { rate, seconds: 400 };
        let mut world = world(vec![errors(), nulls()]);
        stream.feed(&mut world, |number, second| probed(&stream, number, second, label, "ok"));
        let told: Vec<_> =
            world.decisions.iter().map(|row| (row.action, row.reason.as_str())).collect();
        assert!(told.iter().all(|(action, _)| *action == Action::Investigate), "{told:?}");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].1.contains("have an id that the primary doesn't know"), "{told:?}");
        let notice = world.notices.iter().find(|notice| notice.kind == "unknown_ids").unwrap();
        assert!(notice.text.contains("doesn't know near their time, such as probe-"), "{notice:?}");
        assert!(notice.text.contains("all of these begin with `probe-"), "{notice:?}");
        assert!(notice.cure.starts_with("keep probes"), "{notice:?}");
    }
}

#[test]
fn a_candidate_that_fails_beside_probes_is_rolled_back() {
    for share in [3, 10] {
        let stream = Stream { rate: 40, seconds: 500 };
        let mut world = world(vec![errors()]);
        stream.feed(&mut world, |number, second| {
            let own = if 240 <= second && number % share == 0 { "!" } else { "ok" };
            probed(&stream, number, second, "!", own)
        });
        let rollback = world.decisions.iter().find(|row| row.action == Action::Rollback).unwrap();
        assert!(at(240.0) < rollback.time && rollback.time < at(420.0), "{}", rollback.reason);
    }
}

#[test]
fn requests_that_only_the_primary_says_were_forced_roll_nobody_back() {
    let stream = Stream { rate: 40, seconds: 300 };
    let mut world = world(vec![errors()]);
    stream.feed(&mut world, |number, second| {
        let id = format!("r{}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
        let is_forced = 60 <= second && number / 2 % 5 == 0;
        let ours = stream.event(&id, number, "ok");
        if !is_forced {
            return [Some(ours.clone()), Some(ours)];
        }
        let forced = ours.replacen('{', "{\"assignment\":\"override\",", 1);
        [Some(forced), Some(stream.event(&id, number, "!"))]
    });
    let told: Vec<_> =
        world.decisions.iter().map(|row| (row.action, row.reason.as_str())).collect();
    assert!(told.iter().all(|(action, _)| *action == Action::Investigate), "{told:?}");
}

#[test]
fn ids_that_differ_for_a_third_of_the_requests_are_told() {
    let stream = Stream { rate: 30, seconds: 240 };
    let mut world = world(defaults());
    stream.feed(&mut world, |number, _| {
        let id = format!("r{}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
        let theirs = if number / 2 % 3 == 0 { format!("sdk-{id}") } else { id.clone() };
        [Some(stream.event(&id, number, "ok")), Some(stream.event(&theirs, number, "ok"))]
    });
    assert!(world.decisions.is_empty(), "{}", world.decisions[0].reason);
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    let told = &world.notices[0];
    assert_eq!(told.kind, "unknown_ids");
    assert!(told.text.contains("(33 %) have an id that the primary doesn't know"), "{told:?}");
    assert!(told.text.contains("such as sdk-r"), "{told:?}");
    assert!(told.text.contains("all of these begin with `sdk-r`"), "{told:?}");
    assert!(told.text.ends_with("which may be the same ones"), "{told:?}");
    assert!(told.cure.starts_with("send the same `request_id`"), "{told:?}");
    let verdict = world.evaluator.verdict(0).unwrap();
    assert_eq!(verdict["troubles"][0]["kind"], "unknown_ids");
    assert_eq!(verdict["verdict"], "hold", "two thirds are compared");
}

#[test]
fn records_that_come_too_late_are_told_with_the_wait_that_would_do() {
    // Every sixth answer of the candidate is 12 s behind; `wait` is 5 s.
    let stream = Stream { rate: 20, seconds: 240 };
    let mut world = world(defaults());
    stream.feed(&mut world, |number, _| {
        let id = format!("r{number}");
        let behind = if number / 2 % 6 == 0 { 12 * stream.rate } else { 0 };
        let theirs = format!("r{}", number - behind);
        let text = stream.event(&theirs, number - behind, "ok");
        [Some(stream.event(&id, number, "ok")), Some(text)]
    });
    let told = world.notices.iter().find(|notice| notice.kind == "late").unwrap();
    assert!(told.text.contains("%) come out of order, up to 13 s behind"), "{told:?}");
    assert_eq!(told.cure, "write them in order of time, or write `time: {wait: 13s}`");
    assert!(world.notices.iter().all(|notice| notice.kind == "late"), "{:?}", world.notices);
    assert!(world.decisions.is_empty());
}

#[test]
fn a_file_that_is_not_in_order_of_time_is_told() {
    // Ten minutes, shuffled; the primary's are in order.
    let stream = Stream { rate: 10, seconds: 600 };
    let mut world = world(defaults());
    stream.feed(&mut world, |number, _| {
        let other = number * 1_663 % 6_000;
        let ours = stream.event(&format!("r{number}"), number, "ok");
        [Some(ours), Some(stream.event(&format!("r{other}"), other, "ok"))]
    });
    let told = world.notices.iter().find(|notice| notice.kind == "late").unwrap();
    assert!(told.cure.starts_with("most lie so: sort the topic or file by time"), "{told:?}");
    assert!(world.decisions.iter().all(|row| row.action != Action::Rollback));
}
