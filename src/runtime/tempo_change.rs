//! What people are told of a change of `time` that is on its way.
//!
//! In: a task, or what its log says; what the evaluator says. Out: words. Holds: who holds, up to when, and
//! for whom is waited. Knows nothing of: how it comes about.

use serde_json::{Value, json};

use crate::decide::format;
use crate::engine::Task;
use crate::model::time::EventTime;
use crate::model::times::{Hold, Times};

/// By which times a task goes, and what it waits for, if it does.
pub(super) fn of_task(task: &Task) -> Value {
    let Times { revision, from, .. } = task.times();
    let since = (EventTime::START < from).then(|| format::time(from));
    let waits = task.hold().map(|hold| because(&hold));
    json!({ "revision": revision, "from": since, "waits_for": waits })
}

fn because(hold: &Hold) -> String {
    if hold.revision == 0 {
        return "the evaluator to say which times are in force".to_owned();
    }
    format!(
        "the evaluator to say from when on `time` of revision {} counts, which it does when all tasks hold; it is \
         not before {}, and nothing is closed that reaches it",
        hold.revision,
        at(hold.to)
    )
}

fn at(time: EventTime) -> String {
    if time <= EventTime::START { "the first pane".to_owned() } else { format::time(time) }
}

/// Returns what somebody has to know of a change that is on its way, if one is; `holds` are those of the tasks.
pub(super) fn pending(told: Option<&Value>, holds: &[Option<Hold>]) -> Option<String> {
    let revision = told?["asked"]["revision"].as_u64()?;
    let of = |hold: &Hold| u64::from(hold.revision) == revision;
    let tasks = || holds.iter().enumerate();
    let held: Vec<String> = tasks()
        .filter_map(|(task, hold)| Some((task, hold.filter(of)?)))
        .map(|(task, hold)| format!("task {task} at {}", at(hold.to)))
        .collect();
    let missing = tasks().filter(|(_, hold)| !hold.as_ref().is_some_and(of));
    let missing: Vec<String> = missing.map(|(task, _)| task.to_string()).collect();
    let list = |of: &[String]| if of.is_empty() { "none".to_owned() } else { of.join(", ") };
    Some(format!(
        "`time` changes to that of revision {revision} once all tasks hold: {} so far; without an answer: {}",
        list(&held),
        list(&missing)
    ))
}
