//! The verdict as people and gates read it.
//!
//! In: a rollout. Out: one JSON document. Holds: every key is always there, `null` when unknown; a
//! rate stands with its counts; nothing shown yet is *hold* with what is still needed, never a pass.
//! Knows nothing of: HTTP.

use serde_json::{Value, json};

use super::rollout::Rollout;
use crate::decide::words;
use crate::model::finding::Finding;
use crate::model::rule::Action;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::rules::watch::Watch;

/// The verdict document of a candidate: under the rules in force, beside those of the pipeline file here.
pub(super) fn document(
    (spec, file): (&PipelineSpec, &PipelineSpec),
    comparison: usize,
    rollout: &Rollout,
) -> Value {
    let versions = &rollout.versions;
    let version = if versions[0].current.is_empty() { &versions[1] } else { &versions[0] };
    let severity = rollout.latch.severity(&version.current);
    let last = rollout.decisions.last();
    let time = |time: EventTime| (EventTime::START < time).then(|| words::time(time));
    json!({
        "schema_version": 1,
        "pipeline": spec.name,
        "candidate": spec.candidates.get(comparison),
        "model_version": Some(&version.current).filter(|version| !version.is_empty()),
        "verdict": match severity {
            Action::Hold => "hold",
            Action::Promote => "pass",
            Action::Investigate => "investigate",
            Action::Rollback => "rollback",
        },
        "ok": severity < Action::Investigate,
        "dry_run": spec.dry_run,
        "reason": last.map_or_else(
            || "nothing is shown against the candidate; promotion rules aren't built yet".to_owned(),
            |decision| decision.reason.clone(),
        ),
        "since": last.map(|decision| words::time(decision.onset)),
        "weighed_to": time(rollout.weighed_to),
        "config_hash": format!("{:016x}", spec.config_hash),
        "revision": spec.revision,
        "file_revision": file.revision,
        "rules": rollout.watches.iter().map(|watch| finding(spec, watch)).collect::<Vec<_>>(),
        "decisions": rollout.decisions.iter().map(|decision| json!({
            "action": decision.action.word(),
            "rule": decision.rule,
            "basis": decision.basis,
            "at": words::time(decision.time),
            "reason": decision.reason,
            "signal_id": decision.signal_id,
        })).collect::<Vec<_>>(),
        "last_window": rollout.last_window.as_ref().map(|window| json!({
            "start": words::time(window.start),
            "size_s": window.size.as_secs(),
            "primaries": window.tally.primary.requests,
            "paired": window.tally.paired,
            "unmatched": window.tally.unmatched(),
            "orphans": window.tally.orphans,
            "comparable": window.tally.comparable,
            "matched": window.tally.matched,
            "primary_failed": window.tally.primary.failed,
            "candidate_failed": window.tally.candidate.failed,
            "partial": window.partial,
            "fact_touched": window.fact_touched,
        })),
    })
}

fn finding(spec: &PipelineSpec, watch: &Watch) -> Value {
    let rule = spec.rules.get(watch.rule);
    let (status, share, evidence, threshold, needed, since) = match watch.finding() {
        Finding::Shown(shown) => {
            let since = Some(words::time(shown.onset));
            ("shown", shown.candidate, shown.log_evidence, shown.log_threshold, None, since)
        }
        Finding::Undecided { candidate, log_evidence, log_threshold, needed } => {
            ("undecided", candidate, log_evidence, log_threshold, needed, None)
        }
    };
    json!({
        "rule": rule.map(|rule| rule.text.clone()),
        "asks_for": rule.map(|rule| rule.action.word()),
        "basis": watch.basis.word(),
        "status": status,
        "events": share.events,
        "total": share.total,
        "log_evidence": evidence,
        "log_threshold": threshold,
        "needed_for_twice_the_limit": needed,
        "since": since,
    })
}
