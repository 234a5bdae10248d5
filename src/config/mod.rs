//! A pipeline file's text to what it means.
//!
//! In: text and the environment's variables. Out: a `Pipeline`, or every problem at once with line,
//! column, excerpt and cure. Holds: touches no file; a value that came from the environment is never
//! shown. Knows nothing of: who runs the pipeline.

pub mod endpoint;
mod meaning;
pub mod owned;
pub mod problem;
mod raw;
mod resolve;
mod unit;

use std::collections::HashMap;

pub use resolve::Pipeline;

use problem::{Problem, Problems};
use raw::RawPipeline;

/// Unknown fields that are reported at once.
const UNKNOWN_MAX: usize = 20;

/// Reads a pipeline file.
///
/// # Errors
/// All problems at once.
pub fn load(
    text: &str,
    file: &str,
    environment: &HashMap<String, String>,
) -> Result<Pipeline, Problems> {
    let mut unknown = Vec::new();
    let mut readable = text.to_owned();
    let parsed = loop {
        match parse(&readable, environment) {
            Ok(raw) => break Ok(raw),
            Err(problem) => {
                // An unknown field is noted and blanked, so that the next one is found too.
                let again = problem.unknown_field && unknown.len() < UNKNOWN_MAX;
                let blanked = blank(&readable, problem.line, problem.column);
                unknown.push(problem);
                if !again || blanked == readable {
                    break Err(());
                }
                readable = blanked;
            }
        }
    };
    let Ok(raw) = parsed else { return Err(Problems::new(file, text, unknown)) };
    let (pipeline, mut problems) = resolve::resolve(raw);
    problems.extend(unknown);
    match pipeline {
        Some(pipeline) if problems.is_empty() => Ok(pipeline),
        _ => Err(Problems::new(file, text, problems)),
    }
}

/// The JSON Schema (draft-07) of a pipeline file.
#[must_use]
pub fn schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft07();
    settings.into_generator().into_root_schema_for::<RawPipeline>().to_value()
}

fn parse(text: &str, environment: &HashMap<String, String>) -> Result<RawPipeline, Problem> {
    let options = serde_saphyr::Options::default().with_properties(environment.clone());
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let mut problem = Problem::at(line, column, message);
        problem.explain_unknown_field();
        problem
    })
}

/// Blanks the field that begins at this place with all that is nested in it; other text stays where
/// it is.
fn blank(text: &str, line: u64, column: u64) -> String {
    let [at, column] =
        [line, column].map(|n| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX));
    let indent = |text: &str| text.len() - text.trim_start().len();
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let Some(first) = lines.get(at).cloned() else { return text.to_owned() };
    let depth = indent(&first);
    if depth < column {
        // Within `{…}`: only up to the next field.
        let before: String = first.chars().take(column).collect();
        let rest: String = first.chars().skip(column).collect();
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        let width = rest.get(..end).map_or(0, |field| field.chars().count());
        let after = rest.get(end..).unwrap_or_default();
        // A comma may not stand alone: of `{a, , b}` it goes too.
        let after =
            after.strip_prefix(',').map_or_else(|| after.to_owned(), |rest| format!(" {rest}"));
        lines[at] = format!("{before}{}{after}", " ".repeat(width));
        return lines.join("\n");
    }
    let mut inside = true;
    for (number, line) in lines.iter_mut().enumerate().skip(at) {
        inside &= number == at || depth < indent(line) || line.trim().is_empty();
        if !inside {
            break;
        }
        line.clear();
    }
    lines.join("\n")
}
