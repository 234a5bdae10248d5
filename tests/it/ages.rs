//! Age belongs to what was read: an arm's evidence is as old as that arm's own records were.
//!
//! In: two arms, one of which is read minutes late. Out: what is decided. Holds: what a backlog of the candidate shows
//! investigates; one of the primary only puts off to its panes what the candidate's fresh records show. Knows nothing of:
//! where records come from.

use parallax::model::row::DecisionRow;
use parallax::model::rule::{Action, Metric, Op};
use parallax::model::time::Span;

use crate::world::{World, at, event, rule, spec};

const A_SECOND: i64 = 20;

/// Seven minutes. From 02:10 to 04:20 the candidate fails four of ten requests and answers two otherwise. Of the input
/// `lags` nothing can be read from 02:00 to 05:00, and then four seconds in each.
fn decided(lags: usize) -> Vec<DecisionRow> {
    let mut spec = spec();
    spec.time.lead = Span::from_secs(3600);
    spec.rules = vec![
        rule("error_rate > 5%", Action::Rollback, Metric::ErrorRate, Op::Above, 0.05),
        rule("match_rate < 95%", Action::Rollback, Metric::MatchRate, Op::Below, 0.95),
    ];
    let mut world = World::new(spec, 1);
    let mut next = [0, 0];
    for second in 0..420 {
        let late = 120 + 4 * (second - 300).max(0);
        for (input, next) in next.iter_mut().enumerate() {
            let to = if input == lags && 120 <= second { late.min(second) } else { second };
            let ready = (to + 1) * A_SECOND;
            let ready = if input == lags && (120..300).contains(&second) { *next } else { ready };
            for number in *next..ready {
                let time = number as f64 / A_SECOND as f64;
                let is_bad = input == 1 && (130.0..260.0).contains(&time);
                let label = match number % 10 {
                    0..4 if is_bad => "!",
                    4..6 if is_bad => "fraud",
                    _ => "ok",
                };
                let value = event(&format!("r{number}"), time, label, 10.0, "BR");
                let times = (at(time), at(second as f64 + 1.0));
                world.record_read((0, input), value.as_bytes(), times);
            }
            *next = ready.max(*next);
        }
        world.tick(at(second as f64 + 1.0));
    }
    world.finish();
    world.decisions
}

fn rules_of(decisions: &[DecisionRow], action: Action) -> Vec<&str> {
    let of = decisions.iter().filter(|row| row.action == action);
    let mut rules: Vec<&str> = of.map(|row| row.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn what_both_arms_are_read_of_at_once_rolls_back() {
    let decisions = decided(usize::MAX);
    let rolled_back = rules_of(&decisions, Action::Rollback);
    assert_eq!(rolled_back, ["error_rate > 5%", "match_rate < 95%"]);
}

#[test]
fn a_backlog_of_the_candidate_alone_is_old_beside_a_live_primary() {
    let decisions = decided(1);
    assert_eq!(rules_of(&decisions, Action::Rollback), [""; 0], "{decisions:?}");
    assert!(!decisions.is_empty());
    for row in &decisions {
        assert!(row.reason.contains("read from a backlog"), "{}", row.reason);
    }
}

#[test]
fn a_backlog_of_the_primary_is_told_at_once_and_decided_when_it_is_read() {
    let decisions = decided(0);
    let of_errors: Vec<_> = decisions.iter().filter(|r| r.rule == "error_rate > 5%").collect();
    let [told, decided] = of_errors[..] else { panic!("{of_errors:?}") };
    assert_eq!((told.action, decided.action), (Action::Investigate, Action::Rollback));
    assert!(told.reason.ends_with("whether it fares as badly can't be told"), "{}", told.reason);
    assert!(told.time < at(190.0), "{}", told.reason);
    assert!(decided.reason.contains("40.0 % against 0.0 %"), "{}", decided.reason);
}
