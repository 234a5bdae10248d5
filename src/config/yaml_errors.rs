//! What the YAML reader found wrong, in the words of a pipeline file.
//!
//! In: its error. Out: a problem with place and cure. Holds: says what belongs there, and nothing
//! about the reader. Knows nothing of: what fields mean.

use serde_saphyr::Error;

use super::problem::{Extent, Problem};

/// What every file must have.
pub(super) const SECTIONS: [&str; 3] = ["pipeline", "primary", "candidates"];

/// The error as a problem, in a file with or without content.
pub(super) fn problem(error: &Error, is_empty: bool) -> Problem {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let at = |message: &str, cure: &str| Problem::at(line, column, message).cure(cure);
    let unreadable = |mut problem: Problem, extent| {
        problem.extent = extent;
        problem
    };
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let problem = at(&format!("unknown field `{field}`"), &known(field, expected));
            unreadable(problem.width(field.chars().count()), Extent::Field)
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let problem = at(&format!("unknown word `{variant}`"), &known(variant, expected));
            unreadable(problem.width(variant.chars().count()), Extent::Section)
        }
        Error::SerdeMissingField { field, .. } => {
            let (message, cure) = missing(field);
            let mut problem = unreadable(at(&message, &cure), Extent::Section);
            if SECTIONS.contains(&&**field) {
                problem.extent = Extent::File;
                problem.lacks_section = true;
            }
            problem
        }
        Error::Unexpected { expected, .. } => {
            unreadable(shape(expected, &at).unwrap_or_else(|| at(&message, "")), Extent::Section)
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("this field");
            let problem = at(&format!("`{key}` stands here twice"), "leave one of them out");
            unreadable(problem.width(key.chars().count()), Extent::Field)
        }
        Error::NullIntoString { .. } => {
            let problem = at("a value is missing", "write one, or leave the field out");
            unreadable(problem, Extent::Section)
        }
        Error::InvalidScalar { .. } | Error::SerdeInvalidType { .. } => {
            unreadable(at("this isn't what belongs here", kind(&message)), Extent::Section)
        }
        Error::PropertyRequiredButUnset { name, message, .. }
        | Error::PropertyRequiredButEmpty { name, message, .. } => {
            unreadable(at(&format!("the environment has no `{name}`"), message), Extent::Section)
        }
        Error::Eof { .. } if is_empty => {
            let mut problem = at("the file is empty", "pipelines/minimal.yaml is a beginning");
            problem.lacks_section = true;
            problem
        }
        Error::Eof { .. } => at("the file ends too early", "close every `{`, `[` and quote"),
        Error::MultipleDocuments { .. } => {
            at("a second document begins here", "leave it out: a file holds one pipeline")
        }
        Error::UnknownAnchor { .. } => {
            at("this alias has no anchor before it", "quote the text if it begins with `*`")
        }
        _ => at(&message, ""),
    }
}

/// A field that must be there.
pub(super) fn missing(field: &str) -> (String, String) {
    let example = match field {
        "pipeline" => "pipeline: NAME",
        "primary" => "primary: {topic: …}",
        "candidates" => "candidates: {NAME: {topic: …}}",
        "brokers" => "brokers: \"host:port\"",
        _ => return (format!("`{field}` is missing"), format!("add `{field}: …`")),
    };
    (format!("`{field}` is missing"), format!("add `{example}`"))
}

fn shape(expected: &str, at: &dyn Fn(&str, &str) -> Problem) -> Option<Problem> {
    if expected.contains("mapping") {
        Some(at("fields belong here", "such as `{name: value}`"))
    } else if expected.contains("sequence") {
        Some(at("a list belongs here", "such as `[one, two]`, or `- one` a line"))
    } else if expected.contains("scalar") {
        Some(at("a single value belongs here", "no list, and no fields"))
    } else {
        None
    }
}

/// Returns what a value should have been, without showing it.
fn kind(message: &str) -> &'static str {
    if message.contains("bool") {
        "write `true` or `false`"
    } else if message.contains("float") || message.contains("f64") {
        "write a number"
    } else if message.contains("int") || message.contains("u32") {
        "write a whole number, zero or more"
    } else {
        "see `parallax schema pipeline`"
    }
}

fn known(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    match near.filter(|near| 0.75 < strsim::jaro_winkler(near, name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here are {}", known.join(", ")),
    }
}
