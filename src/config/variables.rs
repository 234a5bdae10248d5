//! The environment's variables in a pipeline file: `${NAME}`, or `${NAME:-default}`.
//!
//! In: text. Out: variables that nobody set, with places. Holds: no value is shown. Knows nothing of:
//! fields.

use std::collections::HashMap;

use super::problem::Problem;
use super::secrets::{is_name, without_comment};

/// Every `${NAME}` without a default that the environment doesn't have.
pub(super) fn unset(text: &str, environment: &HashMap<String, String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let read = without_comment(line);
        for (at, _) in read.match_indices("${") {
            let rest = read.get(at + 2..).unwrap_or_default();
            let Some((name, _)) = rest.split_once('}') else { continue };
            let escaped = read.get(..at).is_some_and(|before| before.ends_with('$'));
            if escaped || !is_name(name) || environment.contains_key(name) {
                continue;
            }
            let column = 1 + read.get(..at).unwrap_or_default().chars().count() as u64;
            let message = format!("the environment has no `{name}`");
            let cure = format!("set it, or write `${{{name}:-default}}`");
            problems.push(Problem::at(number, column, message).width(name.len() + 3).cure(cure));
        }
    }
    problems
}

/// The text in which a `$` without a brace stands for itself.
pub(super) fn literal_dollars(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(c);
        if c == '$' {
            let brace = rest.clone().next().filter(|next| matches!(next, '{' | '$'));
            out.push(brace.unwrap_or('$'));
            if brace.is_some() {
                rest.next();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(u64, u64, String)> {
        let environment = HashMap::from([("SET".to_owned(), String::new())]);
        let problems = unset(text, &environment);
        problems.into_iter().map(|p| (p.line, p.column, p.message)).collect()
    }

    #[test]
    fn only_what_is_read_and_has_no_default_must_be_set() {
        assert!(found("a: ${SET}\nb: ${X:-y} # ${NO}\n# ${NO}\nc: $${NO} $NO\n").is_empty());
        let message = "the environment has no `NO`".to_owned();
        assert_eq!(
            found("a: {b: \"# ${NO}\"}\nit's: ${NO} # ${NO}"),
            [(1, 11, message.clone()), (2, 7, message)]
        );
    }

    #[test]
    fn a_dollar_without_a_brace_stands_for_itself() {
        assert_eq!(literal_dollars("a$b ${c} $$ $"), "a$$b ${c} $$ $$");
        assert_eq!(literal_dollars("plain"), "plain");
    }
}
