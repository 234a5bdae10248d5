//! Rules that are there although the file doesn't name them.
//!
//! In: the file's rules. Out: those and the ones that nobody may forget. Holds: a rule of the file on the same
//! metric that may act stands in place of all defaults on it; each is an ordinary rule, shown like any other.
//! Knows nothing of: places in the file.

use crate::model::rule::{Action, Metric, Rule};
use crate::rules::grammar;

/// What answers that don't come, and records that can't be read, lead to where the file says nothing of them.
const DEFAULTS: [(&str, Action); 3] = [
    ("missing_rate > 50%", Action::Rollback),
    ("missing_rate > 5%", Action::Investigate),
    ("unreadable_rate > 1%", Action::Investigate),
];

/// The file's rules and the defaults that they leave. What is missing means what the file says it means: where it
/// doesn't say what is mirrored, a default on it is assumed.
pub(super) fn with_defaults(mut rules: Vec<Rule>, says_mirrored: bool) -> Vec<Rule> {
    let own = rules.len();
    for (text, action) in DEFAULTS {
        let Ok(mut rule) = grammar::parse(text, action) else { continue };
        rule.assumed = rule.metric == Metric::MissingRate && !says_mirrored;
        let is_named = |known: &Rule| known.metric == rule.metric && !known.observed;
        if !rules.iter().take(own).any(is_named) {
            rules.push(rule);
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(own: &[(&str, Action)]) -> Vec<String> {
        let rules = own.iter().map(|(text, action)| grammar::parse(text, *action).expect("a rule"));
        with_defaults(rules.collect(), false).into_iter().map(|rule| rule.text).collect()
    }

    #[test]
    fn a_rule_of_the_file_stands_in_place_of_the_defaults_on_its_metric() {
        let all = ["missing_rate > 50%", "missing_rate > 5%", "unreadable_rate > 1%"];
        assert_eq!(texts(&[]), all);
        let own = ("missing_rate > 20%", Action::Rollback);
        assert_eq!(texts(&[own]), ["missing_rate > 20%", "unreadable_rate > 1%"]);
        let alerts = ("observed: missing_rate > 1%", Action::Investigate);
        assert_eq!(texts(&[alerts]).len(), 4, "what only observes can't act in their place");
    }
}
