//! How a pipeline stands, for people.
//!
//! In: what is said. Out: a row per task, a row per candidate, what the process here waits for, what
//! needs a look. Holds: a time stands with how long ago it was. Knows nothing of: how it is found out.

use std::path::Path;

use parallax::config::endpoint::LogEndpoint;
use parallax::decide::format;
use parallax::model::time::EventTime;
use parallax::runtime::inspect::{InputInspection, StreamInspection, TaskInspection};
use serde_json::Value;

use super::Said;
use super::document::action;
use crate::cli::columns::columns;

/// The text.
pub(super) fn of(said: &Said<'_>) -> String {
    let Said { pipeline, inspection, .. } = said;
    let log = match &pipeline.endpoints.log {
        LogEndpoint::Folder(folder) => format!("in {}", Path::new(folder).display()),
        LogEndpoint::Topic { name, .. } => format!("topic {name}"),
    };
    let mut text = format!(
        "{}: log {log}, configuration {:016x}, {}\n\n",
        pipeline.spec.name,
        pipeline.spec.config_hash,
        format::time(said.now)
    );
    text.push_str(&tasks(said));
    text.push('\n');
    text.push_str(&evaluator(said));
    text.push_str(&process(said));
    if !inspection.problems.is_empty() {
        text.push_str("\nLook at:\n");
    }
    for problem in &inspection.problems {
        text.push_str(&format!("- {problem}\n"));
    }
    text
}

fn age(now: EventTime, time: Option<EventTime>) -> String {
    let time = time.filter(|time| EventTime::START < *time);
    time.map_or_else(|| "-".to_owned(), |time| format::ago(now.since(time)))
}

/// The time of day, with the date where it isn't today, and how long ago it was.
fn time_and_age(now: EventTime, time: EventTime) -> String {
    if time <= EventTime::START {
        return "nothing yet".to_owned();
    }
    let (text, today) = (format::time(time), format::time(now));
    let (day, clock) = (text.get(..10).unwrap_or(&text), format::clock(time));
    let at = if today.starts_with(day) { clock } else { format!("{day} {clock}") };
    format!("{at} ({})", format::ago(now.since(time)))
}

fn entry(now: EventTime, last: Option<(u64, Option<EventTime>)>) -> String {
    match last {
        None => "-".to_owned(),
        Some((position, None)) => position.to_string(),
        Some((position, at)) => format!("{position}, {}", age(now, at)),
    }
}

fn epoch(of: &StreamInspection) -> String {
    of.epoch.map_or_else(|| "never claimed".to_owned(), |epoch| epoch.to_string())
}

/// Returns what is said of each candidate, with its name where there are several.
fn by_candidate(names: &[String], said: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = names
        .iter()
        .zip(said)
        .map(|(name, said)| if names.len() == 1 { said } else { format!("{name} {said}") })
        .collect();
    all.join(", ")
}

fn tasks(said: &Said<'_>) -> String {
    let head = [
        "TASK",
        "EPOCH",
        "CLAIMED",
        "LAST ENTRY",
        "CLOSED TO",
        "RESUMES AT",
        "READS AGAIN",
        "FACTS",
        "PARKED",
    ];
    let tasks = said.inspection.tasks.iter().enumerate();
    columns(&head, &tasks.map(|(at, task)| row(said, at, task)).collect::<Vec<_>>())
}

fn row(said: &Said<'_>, partition: usize, task: &TaskInspection) -> Vec<String> {
    let (spec, now) = (&said.inspection.spec, said.now);
    let closed = task.comparisons.iter().map(|c| time_and_age(now, c.closed_to));
    let resumes = task.inputs.iter().enumerate();
    let resumes = resumes.map(|(at, input)| format!("{} {}", spec.feed_name(at), input.resumes_at));
    let horizon = format::count(task.inputs.iter().map(InputInspection::horizon_at_least).sum());
    let is_known = task.inputs.iter().all(|input| input.bounds.is_some());
    let parked = spec.candidates.iter().zip(&task.comparisons).filter(|(_, c)| c.parked);
    let parked: Vec<&str> = parked.map(|(name, _)| name.as_str()).collect();
    vec![
        partition.to_string(),
        epoch(&task.stream),
        age(now, task.stream.claimed),
        entry(now, task.stream.last),
        by_candidate(&spec.candidates, closed),
        resumes.collect::<Vec<_>>().join(", "),
        format!("{}{horizon} records", if is_known { "" } else { "at least " }),
        task.facts.len().to_string(),
        if parked.is_empty() { "-".to_owned() } else { parked.join(", ") },
    ]
}

fn evaluator(said: &Said<'_>) -> String {
    let (spec, now, of) = (&said.pipeline.spec, said.now, &said.inspection.evaluator);
    let head = ["EVALUATOR'S EPOCH", "CLAIMED", "LAST ENTRY", "LAST STATE"];
    let own = vec![
        epoch(&of.stream),
        age(now, of.stream.claimed),
        entry(now, of.stream.last),
        entry(now, of.state),
    ];
    let rows: Vec<Vec<String>> = spec
        .candidates
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let key = format!("{}/{name}", spec.name);
            let newest = of.newest.iter().find(|signal| signal.key == key);
            let unsent = of.unsent.iter().filter(|signal| signal.key == key).count();
            vec![
                name.clone(),
                of.weighed_to
                    .get(at)
                    .map_or_else(|| "unknown".to_owned(), |to| time_and_age(now, *to)),
                newest.map_or_else(
                    || "none".to_owned(),
                    |signal| {
                        let action = action(signal).unwrap_or_default();
                        format!("{action}, sequence {}, {}", signal.sequence, signal.time)
                    },
                ),
                unsent.to_string(),
            ]
        })
        .collect();
    let head_of_candidates = ["CANDIDATE", "WEIGHED TO", "NEWEST SIGNAL", "NOT SENT"];
    format!("{}\n{}", columns(&head, &[own]), columns(&head_of_candidates, &rows))
}

/// Returns what the process that listens here says.
fn process(said: &Said<'_>) -> String {
    let (address, why) = match &said.process {
        None => return String::new(),
        Some((address, Err(reason))) => {
            return format!("\nhttp://{address}: {reason}\n");
        }
        Some((address, Ok(why))) => (address, why),
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut rows = Vec::new();
    for task in why["tasks"].as_array().into_iter().flatten() {
        let again = &task["read_again"];
        let again = match (again["left"].as_u64(), again["records"].as_u64()) {
            (Some(left), Some(records)) => {
                format!("{} of {} left", format::count(left), format::count(records))
            }
            _ => "-".to_owned(),
        };
        let number = task["task"].to_string();
        if let Some(waits) = task["waits_for"].as_str() {
            rows.push(vec![
                number.clone(),
                "-".to_owned(),
                "-".to_owned(),
                again.clone(),
                waits.to_owned(),
            ]);
        }
        for comparison in task["comparisons"].as_array().into_iter().flatten() {
            rows.push(vec![
                number.clone(),
                text(&comparison["candidate"]),
                text(&comparison["held_by"]),
                again.clone(),
                text(&comparison["because"]),
            ]);
        }
    }
    let leads = match (why["evaluator"]["leads"].as_bool(), why["evaluator"]["here"].as_bool()) {
        (Some(true), _) => "the evaluator leads here",
        (_, Some(true)) => "the evaluator is here and weighs again what was weighed",
        _ => "the evaluator isn't here",
    };
    let head = ["TASK", "CANDIDATE", "HELD BY", "READ AGAIN", "BECAUSE"];
    format!("\nhttp://{address} answers: {leads}\n{}", columns(&head, &rows))
}
