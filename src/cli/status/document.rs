//! How a pipeline stands, for programs.
//!
//! In: what is said. Out: one JSON document, valid under `schemas/status.v1.json`. Holds: every key is
//! always there, `null` when unknown. Knows nothing of: how it is found out.

use parallax::config::endpoint::LogEndpoint;
use parallax::decide::format;
use parallax::model::entry::Fact;
use parallax::model::signal::Signal;
use parallax::model::time::EventTime;
use parallax::runtime::inspect::{
    EvaluatorInspection, InputInspection, StreamInspection, TaskInspection,
};
use serde_json::{Map, Value, json};

use super::Said;

/// The document.
pub(super) fn of(said: &Said<'_>) -> Value {
    let Said { pipeline, inspection, process, now } = said;
    let tasks = inspection.tasks.iter().enumerate().map(|(at, of)| task(said, at, of));
    json!({
        "schema_version": 1,
        "pipeline": pipeline.spec.name,
        "now": format::time(*now),
        "configuration": format!("{:016x}", pipeline.spec.config_hash),
        "log": match &pipeline.endpoints.log {
            LogEndpoint::Folder(folder) => json!({ "folder": folder }),
            LogEndpoint::Topic { name, .. } => json!({ "topic": name }),
        },
        "tasks": tasks.collect::<Vec<_>>(),
        "evaluator": evaluator(said, &inspection.evaluator),
        "process": process.as_ref().map(|(address, answer)| json!({
            "address": address.to_string(),
            "answers": answer.is_ok(),
            "reason": answer.as_ref().err(),
            "why": answer.as_ref().ok(),
        })),
        "problems": inspection.problems,
    })
}

fn time(time: EventTime) -> Option<String> {
    (EventTime::START < time && time < EventTime::END).then(|| format::time(time))
}

fn stream(of: &StreamInspection) -> Map<String, Value> {
    let fields = json!({
        "epoch": of.epoch,
        "configuration": of.config.map(|config| format!("{config:016x}")),
        "claimed": of.claimed.and_then(time),
        "last_entry": entry(of.last),
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

fn entry(of: Option<(u64, Option<EventTime>)>) -> Value {
    of.map_or(
        Value::Null,
        |(position, at)| json!({ "position": position, "at": at.and_then(time) }),
    )
}

fn task(said: &Said<'_>, partition: usize, of: &TaskInspection) -> Value {
    let spec = &said.inspection.spec;
    let inputs = of.inputs.iter().enumerate().map(|(at, input)| {
        json!({
            "arm": spec.feed_name(at),
            "topic": said.pipeline.endpoints.topics.get(spec.feeds.arm(at)),
            "resumes_at": input.resumes_at,
            "read_to": input.read_to,
            "held_from": input.bounds.map(|bounds| bounds.first),
            "end": input.bounds.map(|bounds| bounds.end),
            "horizon": input.horizon(),
        })
    });
    let comparisons = of.comparisons.iter().zip(&spec.candidates).map(|(comparison, name)| {
        json!({
            "candidate": name,
            "closed_to": time(comparison.closed_to),
            "parked": comparison.parked,
            "resumes_at": comparison.resume.as_ref().map(|points| {
                points.iter().map(|point| point.offset).collect::<Vec<_>>()
            }),
        })
    });
    let fact = |fact: &Fact| {
        json!({
            "arm": spec.feed_name(usize::from(fact.input)),
            "offset": fact.offset,
            "time": time(fact.time),
            "end": fact.end,
        })
    };
    let mut fields = stream(&of.stream);
    fields.insert("task".to_owned(), json!(partition));
    fields.insert("inputs".to_owned(), inputs.collect());
    let horizon: Option<u64> = of.inputs.iter().map(InputInspection::horizon).sum();
    fields.insert("horizon".to_owned(), json!(horizon));
    fields.insert("comparisons".to_owned(), comparisons.collect());
    fields.insert("facts".to_owned(), of.facts.iter().map(fact).collect());
    Value::Object(fields)
}

fn evaluator(said: &Said<'_>, of: &EvaluatorInspection) -> Value {
    let spec = &said.pipeline.spec;
    let key = |name: &str| format!("{}/{name}", spec.name);
    let candidates = spec.candidates.iter().enumerate().map(|(at, name)| {
        let newest = of.newest.iter().find(|signal| signal.key == key(name));
        json!({
            "candidate": name,
            "weighed_to": of.weighed_to.get(at).copied().and_then(time),
            "newest_signal": newest.map(signal),
        })
    });
    let mut fields = stream(&of.stream);
    fields.insert("state".to_owned(), entry(of.state));
    fields.insert("candidates".to_owned(), candidates.collect());
    fields.insert("unsent".to_owned(), of.unsent.iter().map(signal).collect());
    Value::Object(fields)
}

fn signal(of: &Signal) -> Value {
    json!({
        "sequence": of.sequence,
        "action": action(of),
        "key": of.key,
        "id": of.id,
        "time": of.time,
    })
}

/// The action that a signal carries.
pub(super) fn action(signal: &Signal) -> Option<String> {
    let data: Value = serde_json::from_str(&signal.data).ok()?;
    data["action"].as_str().map(str::to_owned)
}
