//! A pipeline file's text to what it means.
//!
//! In: text and the environment's variables. Out: a `Pipeline`, or every problem at once with line,
//! column, excerpt and cure. Holds: touches no file; a value that came from the environment is never
//! shown. Knows nothing of: who runs the pipeline.

pub mod endpoint;
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
                let blanked = blank(&readable, problem.line);
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

/// Blanks the field that begins on `line` with all that is nested in it; other lines keep their number.
fn blank(text: &str, line: u64) -> String {
    let at = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let indent = |text: &str| text.len() - text.trim_start().len();
    let lines: Vec<&str> = text.split('\n').collect();
    let depth = lines.get(at).map_or(0, |line| indent(line));
    let mut inside = false;
    let kept: Vec<&str> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| {
            inside = number == at
                || (inside && at < number && (depth < indent(line) || line.trim().is_empty()));
            if inside { "" } else { *line }
        })
        .collect();
    kept.join("\n")
}
