//! A decision as the control topic carries it.
//!
//! In: a shown rule, its action, the requests and offsets it rests on. Out: a `Signal`. Holds: every
//! key is always there, `null` when unknown; nothing of it depends on when or by whom it is sent.
//! Knows nothing of: Kafka.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::format;
use crate::model::entry::{EXAMPLES_MAX, Examples};
use crate::model::finding::{Basis, Bound, Share, Shown, WorstSegment};
use crate::model::rule::{Action, Metric, Rule};
use crate::model::signal::Signal;
use crate::model::spec::PipelineSpec;

/// What a decision rests on.
#[derive(Clone, Debug)]
pub struct Grounds<'a> {
    /// The pipeline.
    pub spec: &'a PipelineSpec,
    /// Which candidate.
    pub comparison: u8,
    /// The candidate's model version, empty if unknown.
    pub version: &'a str,
    /// The rule that was shown.
    pub rule: &'a Rule,
    /// On what.
    pub basis: Basis,
    /// Its evidence.
    pub shown: &'a Shown,
    /// Why the action is weaker than the rule asks.
    pub weaker: Option<&'a str>,
    /// In a sentence.
    pub reason: &'a str,
    /// Requests to look at.
    pub examples: &'a Examples,
    /// Offsets weighed last: (task, input, first, last).
    pub offsets: &'a [(u32, u8, i64, i64)],
}

/// The signal's data, valid under `schemas/signal.v1.json`.
#[must_use]
pub fn document(action: Action, sequence: u64, grounds: &Grounds<'_>) -> Value {
    let Grounds { spec, rule, shown, .. } = grounds;
    json!({
        "schema_version": 1,
        "action": action.word(),
        "dry_run": spec.dry_run,
        "sequence": sequence,
        "pipeline": spec.name,
        "model": spec.model,
        "candidate": spec.candidates.get(usize::from(grounds.comparison)),
        "model_version": Some(grounds.version).filter(|version| !version.is_empty()),
        "config_hash": format!("{:016x}", spec.config_hash),
        "rule": {
            "text": rule.text,
            "asks_for": rule.action.word(),
            "metric": rule.metric.name(),
            "basis": grounds.basis.word(),
        },
        "reason": grounds.reason,
        "weakened_because": grounds.weaker,
        "shown_at": format::time(shown.at),
        "since": format::time(shown.onset),
        "since_between": shown.onset_between.map(|(first, last)| [format::time(first), format::time(last)]),
        "evidence": {
            "text": format::numbers(spec, rule, shown),
            "candidate": share(rule.metric, shown.candidate, shown.candidate_value),
            "primary": share(rule.metric, shown.primary, shown.primary_value),
            "log_evidence": shown.log_evidence,
            "log_threshold": shown.log_threshold,
            "shared_cause": shown.shared_cause,
            "backlog": shown.old,
            "divided_for_clusters": shown.clusters,
            "clusters_by": shown.dependence.word(),
        },
        "by_chance": {
            "text": format::by_chance(spec, shown),
            "per_rollout": (shown.bound == Bound::Rollout).then_some(spec.certainty.per_rollout),
            "interval_s": (shown.bound == Bound::Interval).then_some(spec.certainty.interval.as_secs()),
        },
        "worst_segments": shown.segments.iter().map(segment).collect::<Vec<_>>(),
        "examples": examples(rule.metric, grounds.examples),
        "input_offsets": grounds.offsets.iter().map(|(task, input, first, last)| json!({
            "partition": spec.feeds.partition(usize::from(*input)).unwrap_or(*task),
            "arm": match spec.feeds.arm(usize::from(*input)).checked_sub(1) {
                None => Some("primary"),
                Some(at) => spec.candidates.get(at).map(String::as_str),
            },
            "first": first,
            "last": last,
        })).collect::<Vec<_>>(),
    })
}

/// The signal that carries a decision.
#[must_use]
pub fn signal(action: Action, sequence: u64, grounds: &Grounds<'_>) -> Signal {
    let Grounds { spec, rule, shown, .. } = grounds;
    let candidate = spec.candidates.get(usize::from(grounds.comparison)).map_or("", String::as_str);
    let name = format!(
        "{}\n{candidate}\n{}\n{}\n{}\n{}\n{}",
        spec.name,
        grounds.version,
        rule.text,
        grounds.basis.word(),
        action.word(),
        shown.at.us(),
    );
    Signal {
        sequence,
        id: format!("{:032x}", xxh3_128(name.as_bytes())),
        key: format!("{}/{candidate}", spec.name),
        kind: format!("dev.parallax.{}.v1", action.word()),
        source: format!("/pipelines/{}", spec.name),
        time: format::time(shown.at),
        data: document(action, sequence, grounds).to_string(),
    }
}

fn share(metric: Metric, share: Share, value: Option<f64>) -> Value {
    let unit = match metric {
        Metric::Latency { .. } => "us",
        Metric::ErrorRate
        | Metric::NullRate
        | Metric::MissingRate
        | Metric::UnreadableRate
        | Metric::MatchRate
        | Metric::PredictionShift
        | Metric::Accuracy => "share",
    };
    json!({ "value": value, "unit": unit, "events": share.events, "total": share.total })
}

fn segment(worst: &WorstSegment) -> Value {
    json!({
        "dimension": worst.segment.dimension,
        "value": worst.segment.value,
        "events": worst.share.events,
        "total": worst.share.total,
        "primary_events": worst.primary.events,
        "primary_total": worst.primary.total,
        "share_of_change": worst.of_change,
        "stands_out": worst.named,
    })
}

/// Ids that fit the metric: the failed for an error rate, the slowest for a latency …
fn examples(metric: Metric, examples: &Examples) -> Vec<String> {
    let kinds: [&[(u64, String)]; 2] = match metric {
        Metric::ErrorRate => [&examples.failed, &[]],
        Metric::MissingRate => [&examples.unmatched, &[]],
        Metric::UnreadableRate => [&[], &[]],
        Metric::NullRate => [&examples.null, &[]],
        Metric::Latency { .. } => [&examples.slowest, &[]],
        Metric::MatchRate | Metric::PredictionShift | Metric::Accuracy => {
            [&examples.mismatched, &[]]
        }
    };
    kinds.into_iter().flatten().take(EXAMPLES_MAX).map(|(_, id)| id.clone()).collect()
}
