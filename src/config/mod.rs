//! A pipeline file's text to what it means.
//!
//! In: text and the environment's variables. Out: a `Pipeline`, or every problem at once with line,
//! column, excerpt and cure. Holds: touches no file; a value that came from the environment is never
//! shown. Knows nothing of: who runs the pipeline.
//!
//! # From text to spec
//!
//! Variables of the environment are put in, YAML is read with its places, and each section is checked; all
//! problems are told at once. What comes out has two parts for two owners: a [`crate::model::spec::PipelineSpec`] for
//! [`crate::engine`], which says what is computed and carries a fingerprint, and [`endpoint::Endpoints`] for the adapters, which
//! say where.

mod defaults;
pub mod endpoint;
pub mod fingerprint;
mod names;
pub mod problem;
mod raw;
pub mod reserved;
mod resolve;
mod secrets;
mod unit;
mod variables;
mod yaml_errors;

use std::collections::HashMap;

pub use resolve::Pipeline;

use problem::{Extent, Problem, Problems};
use raw::RawPipeline;

/// Fields that can't be read and are reported at once.
const PROBLEMS_MAX: usize = 20;

/// Reads a pipeline file.
///
/// # Errors
/// All problems at once.
pub fn load(
    text: &str,
    file: &str,
    environment: &HashMap<String, String>,
) -> Result<Pipeline, Problems> {
    let unset = variables::unset(text, environment);
    let (parsed, unknown) = read(text, environment);
    let (pipeline, mut problems) = parsed.map_or_else(|| (None, Vec::new()), resolve::resolve);
    problems.extend(unknown);
    // What an unset variable would have said isn't wrong as well.
    problems.retain(|problem| unset.iter().all(|unset| unset.line != problem.line));
    problems.extend(unset);
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

/// The file as it can be read, with what can't: each such field is noted and blanked, so that the
/// next one is found too.
fn read(text: &str, environment: &HashMap<String, String>) -> (Option<RawPipeline>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut readable = text.to_owned();
    loop {
        let problem = match parse(&readable, environment) {
            Ok(raw) => return (Some(raw), problems),
            Err(problem) => problem,
        };
        let blanked = match problem.extent {
            _ if PROBLEMS_MAX <= problems.len() => None,
            Extent::Field => Some(blank(&readable, problem.line, problem.column)),
            Extent::Section => section(&readable, problem.line).map(|at| blank(&readable, at, 1)),
            Extent::File => None,
        };
        // Of a file that lacks what was blanked nothing more is known.
        if problem.lacks_section && !is_empty(text) {
            problems.extend(missing_sections(text, &problem));
        }
        if !problem.lacks_section || problems.is_empty() {
            problems.push(problem);
        }
        match blanked {
            Some(blanked) if blanked != readable => readable = blanked,
            _ => return (None, problems),
        }
    }
}

/// Every section that a file must have and this one has nowhere.
fn missing_sections(text: &str, first: &Problem) -> Vec<Problem> {
    let has = |name: &&str| text.contains(&format!("{name}:"));
    let missing = |name: &str| {
        let mut problem = first.clone();
        (problem.message, problem.cure) = yaml_errors::missing(name);
        problem
    };
    yaml_errors::SECTIONS.iter().filter(|name| !has(name)).map(|name| missing(name)).collect()
}

/// The line on which the section begins that holds this one.
fn section(text: &str, line: u64) -> Option<u64> {
    let lines = (1..).zip(text.lines()).take_while(|(number, _)| *number <= line);
    let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    lines.filter(|(_, text)| begins(text)).last().map(|(number, _)| number)
}

fn parse(text: &str, environment: &HashMap<String, String>) -> Result<RawPipeline, Problem> {
    let mut options = serde_saphyr::Options::default().with_properties(environment.clone());
    // Only so are variables in quotes read, too, and within `{…}` they have to stand in quotes.
    options.property_syntax = serde_saphyr::PropertySyntax::DockerCompose;
    let text = &variables::literal_dollars(text);
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| yaml_errors::problem(error.without_snippet(), is_empty(text)))
}

/// Returns whether there is nothing but comments.
fn is_empty(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
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
        let end = end_of_field(&rest);
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

/// Returns where a field within `{…}` ends: at a comma or bracket that belongs to nothing nested in it.
fn end_of_field(text: &str) -> usize {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) => quote = (open != c).then_some(open),
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, ',' | '}' | ']') if depth == 0 => return at,
            (None, '}' | ']') => depth -= 1,
            (None, _) => {}
        }
    }
    text.len()
}
