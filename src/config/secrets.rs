//! Secrets that stand in a pipeline file, blanked in what is shown of it.
//!
//! In: the file's text. Out: the same with stars, character for character, so that places stay what they
//! are. Holds: a value whose key sounds like a secret is never shown; a variable's name may be. Knows
//! nothing of: problems.

use super::end_of_field;
use super::endpoint::is_secret_name;

/// The text with the values of secret keys blanked.
pub(super) fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Deeper lines belong to a secret that began on a line of this depth.
    let mut within: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let depth = line.len() - line.trim_start_matches(' ').len();
        // A list may stand no deeper than its key.
        let is_item = |outer: usize| outer == depth && line.trim_start().starts_with("- ");
        let belongs = |outer| line.trim().is_empty() || outer < depth || is_item(outer);
        if within.is_some_and(belongs) {
            out.extend(line.chars().map(|c| if c.is_whitespace() { c } else { '*' }));
            continue;
        }
        within = blank_line(line, &mut out).then_some(depth);
    }
    out
}

/// Returns whether the value of the line's last secret may go on below.
fn blank_line(line: &str, out: &mut String) -> bool {
    let mut rest = line;
    let mut goes_on = false;
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon + 1);
        out.push_str(before);
        rest = after;
        let is_key = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        let key = before.trim_end_matches([':', ' ', '"', '\'']);
        let key = key.rsplit(|c| !is_key(c)).next().unwrap_or_default();
        if is_secret_name(key) {
            let space = rest.len() - rest.trim_start_matches(' ').len();
            let (gap, value) = rest.split_at(space);
            let flows = line.find('{').is_some_and(|brace| brace < line.len() - value.len());
            let length = length(value, flows);
            let (value, after) = value.split_at(length);
            out.push_str(gap);
            goes_on = after.trim().is_empty();
            let is_shown = is_variable(value.trim_matches(['"', '\'']));
            out.extend(value.chars().map(|c| if is_shown { c } else { '*' }));
            rest = after;
        }
    }
    out.push_str(rest);
    goes_on
}

/// Returns whether it is a variable's name and nothing else, no default either.
fn is_variable(value: &str) -> bool {
    let name = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(is_name)
}

/// Bytes of a value: within braces with all that is nested in it, otherwise up to a comment.
fn length(value: &str, flows: bool) -> usize {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) => {
            let end = value.get(1..).and_then(|rest| rest.find(quote));
            end.map_or_else(|| value.trim_end().len(), |end| end + 2)
        }
        None if flows => value.get(..end_of_field(value)).unwrap_or(value).trim_end().len(),
        None => without_comment(value).trim_end().len(),
    }
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The line up to a comment: a `#` that stands alone and in no quotes.
pub(super) fn without_comment(line: &str) -> &str {
    let (mut quote, mut last, mut before) = (None, ' ', ':');
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if c == '#' && last.is_whitespace() => return line.get(..at).unwrap_or(line),
            // An apostrophe within a word opens nothing.
            None if matches!(c, '"' | '\'') && ":,[{-".contains(before) => quote = Some(c),
            None => {}
        }
        last = c;
        if !c.is_whitespace() {
            before = c;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::blank;

    #[test]
    fn values_of_secret_keys_are_blanked_and_places_stay() {
        for (text, wanted) in [
            ("sasl.password: geheim # c\nx: y\n", "sasl.password: ****** # c\nx: y\n"),
            ("{a: b, password: 'ä, b', c: d}", "{a: b, password: ******, c: d}"),
            ("\"ssl.key.password\": x\n", "\"ssl.key.password\": *\n"),
            ("password: ${SECRET}\n", "password: ${SECRET}\n"),
            ("password: \"${SECRET:-no}\"\n", "password: ***************\n"),
            (
                "a:\n  password: |\n    one\n    two\n  b: c\n",
                "a:\n  password: *\n    ***\n    ***\n  b: c\n",
            ),
            ("password: a,b\ntopic: a\n", "password: ***\ntopic: a\n"),
            ("{password: [a, 'b]'], c: d}", "{password: *********, c: d}"),
            ("{password: {a: b, c: d}}", "{password: ************}"),
            ("password:\n- a\ntopic: a\n", "password:\n* *\ntopic: a\n"),
        ] {
            assert_eq!(blank(text), wanted);
        }
    }
}
