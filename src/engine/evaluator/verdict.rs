//! The verdict as people and gates read it.
//!
//! In: a rollout. Out: one JSON document. Holds: every key is always there, `null` when unknown; a rate stands with
//! its counts; reason, rule and since belong to the verdict that is shown, of the version on trial; nothing shown yet
//! is *hold* with what is still needed, never a pass; where something can't be seen, or what was seen is old, it is
//! *blind*, and not ok.
//! Knows nothing of: HTTP.

use serde_json::{Value, json};

use super::rollout::{Rollout, blind_rules};
use crate::decide::format;
use crate::model::finding::Finding;
use crate::model::row::DecisionRow;
use crate::model::rule::Action;
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};
use crate::rules::watch::Watch;

/// A verdict on data that is older than what time and join take, and this, is stale.
const STALE: Span = Span::from_secs(60);

/// Why nothing can be said, if it can't.
struct Blindness {
    reason: String,
    cure: String,
}

/// The verdict document of a candidate at host time `now`: under the rules in force, beside those of the pipeline
/// file here.
pub(super) fn document(
    (spec, file): (&PipelineSpec, &PipelineSpec),
    comparison: usize,
    rollout: &Rollout,
    now: EventTime,
) -> Value {
    let current = rollout.judged();
    let severity = rollout.latch.severity(current);
    let led = rollout.latch.led(current);
    let known = |time: EventTime| (EventTime::START < time).then(|| format::time(time));
    let age = age(rollout, now);
    let usual = spec.time.pane.plus(spec.time.wait).plus(spec.time.skew).plus(STALE);
    let is_stale = age.is_none_or(|age| usual < age);
    let blind = blindness(spec, rollout).or_else(|| is_stale.then(|| staleness(rollout, age)));
    let word = match (severity, &blind) {
        (Action::Rollback, _) => "rollback",
        (Action::Investigate, _) => "investigate",
        (Action::Hold | Action::Promote, Some(_)) => "blind",
        (Action::Hold, None) => "hold",
        (Action::Promote, None) => "pass",
    };
    let reason = match (led, &blind) {
        (Some(led), _) => led.reason.clone(),
        (None, Some(blind)) => blind.reason.clone(),
        (None, None) => {
            "nothing is shown against the candidate; promotion rules aren't built yet".to_owned()
        }
    };
    let findings: Vec<Value> = rollout.watches.iter().map(|watch| finding(spec, watch)).collect();
    json!({
        "schema_version": 1,
        "pipeline": spec.name,
        "candidate": spec.candidates.get(comparison),
        "model_version": Some(&current.version).filter(|version| !version.is_empty()),
        "rollout": current.number,
        "verdict": word,
        "ok": severity < Action::Investigate && blind.is_none(),
        "dry_run": spec.dry_run,
        "reason": reason,
        "cure": blind.as_ref().filter(|_| led.is_none()).map(|blind| &blind.cure),
        "rule": led.map(|led| &led.rule),
        "since": led.map(|led| format::time(led.since)),
        "shown_at": led.map(|led| format::time(led.at)),
        "enough": blind.is_none() && is_enough(spec, rollout),
        "age_s": age.map(Span::as_secs),
        "stale": is_stale,
        "paired": rollout.paired,
        "weighed_to": known(rollout.weighed_to),
        "config_hash": format!("{:016x}", spec.config_hash),
        "revision": spec.revision,
        "file_revision": file.revision,
        "troubles": rollout.troubles.iter().map(|trouble| json!({
            "kind": trouble.kind.word(),
            "text": trouble.text,
            "cure": trouble.cure,
        })).collect::<Vec<_>>(),
        "rules": findings,
        "decisions": decisions(rollout),
        "last_window": last_window(rollout),
    })
}

fn decisions(rollout: &Rollout) -> Vec<Value> {
    let decision = |decision: &DecisionRow| {
        json!({
            "action": decision.action.word(),
            "rule": decision.rule,
            "basis": decision.basis,
            "at": format::time(decision.time),
            "since": format::time(decision.onset),
            "reason": decision.reason,
            "signal_id": decision.signal_id,
        })
    };
    rollout.decisions.iter().map(decision).collect()
}

fn last_window(rollout: &Rollout) -> Option<Value> {
    let window = rollout.last_window.as_ref()?;
    Some(json!({
        "start": format::time(window.start),
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
    }))
}

/// Returns how old the newest weighed record is; unknown before any was, and before the host's time is known.
fn age(rollout: &Rollout, now: EventTime) -> Option<Span> {
    let newest = newest(rollout);
    let is_known = |time: EventTime| time != EventTime::START;
    (is_known(newest) && is_known(now)).then(|| now.since(newest).max(Span::from_secs(0)))
}

/// Time of the newest weighed record; the beginning of time before any was.
fn newest(rollout: &Rollout) -> EventTime {
    rollout.newest_time.unwrap_or(rollout.weighed_to)
}

fn blindness(spec: &PipelineSpec, rollout: &Rollout) -> Option<Blindness> {
    let blinding = |kind: crate::diagnose::Kind| kind.is_blinding();
    if let Some(trouble) = rollout.troubles.iter().rev().find(|trouble| blinding(trouble.kind)) {
        return Some(Blindness { reason: trouble.text.clone(), cure: trouble.cure.clone() });
    }
    if let Some((rule, Finding::Blind(blind))) = blind_rules(spec, &rollout.watches).next() {
        // Why answers can't be brought together is said better by what was seen than by a rule that misses them.
        let mut hiding = rollout.troubles.iter().rev();
        if let Some(trouble) =
            hiding.find(|of| of.kind.is_unjoined() && rule.metric.is_about_pairs())
        {
            return Some(Blindness { reason: trouble.text.clone(), cure: trouble.cure.clone() });
        }
        let reason = format!("{} sees nothing: {}", rule.text, blind.reason);
        return Some(Blindness { reason, cure: blind.cure });
    }
    let has_seen = |watch: &Watch| match watch.finding(spec) {
        Finding::Undecided { candidate, .. } => candidate.total != 0,
        Finding::Shown(_) | Finding::Blind(_) => true,
    };
    (!rollout.watches.iter().any(has_seen)).then(nothing_yet)
}

fn nothing_yet() -> Blindness {
    Blindness {
        reason: "nothing was compared yet".to_owned(),
        cure: "see whether both arms send; /api/v1/why says what each partition waits for"
            .to_owned(),
    }
}

/// Says that what was seen is too old to say anything of now.
fn staleness(rollout: &Rollout, age: Option<Span>) -> Blindness {
    let (reason, cure) = match age {
        None if newest(rollout) == EventTime::START => return nothing_yet(),
        Some(age) => (
            format!(
                "nothing is known of the candidate now: the newest record that was weighed happened {}",
                format::ago(age)
            ),
            "see whether both arms send, or wait where a backlog is read; /api/v1/why says what each partition waits for",
        ),
        None => (
            "this process has just begun to evaluate: how old what was weighed is isn't known yet"
                .to_owned(),
            "ask again in some seconds",
        ),
    };
    Blindness { reason, cure: cure.to_owned() }
}

/// Returns whether each rule has seen as much as a rate of twice its limit would need to be shown.
fn is_enough(spec: &PipelineSpec, rollout: &Rollout) -> bool {
    spec.rules.iter().enumerate().all(|(at, _)| {
        rollout.watches.iter().filter(|watch| watch.rule == at).any(|watch| {
            match watch.finding(spec) {
                Finding::Shown(_) => true,
                Finding::Undecided { candidate, needed, .. } => {
                    needed.is_some_and(|needed| needed <= candidate.total)
                }
                Finding::Blind(_) => false,
            }
        })
    })
}

fn finding(spec: &PipelineSpec, watch: &Watch) -> Value {
    let rule = spec.rules.get(watch.rule);
    let mut value = json!({
        "rule": rule.map(|rule| rule.text.clone()),
        "asks_for": rule.map(|rule| rule.action.word()),
        "basis": watch.basis.word(),
        "status": "undecided",
        "events": 0,
        "total": 0,
        "log_evidence": null,
        "log_threshold": null,
        "needed_for_twice_the_limit": null,
        "since": null,
        "reason": null,
        "cure": null,
    });
    match watch.finding(spec) {
        Finding::Shown(shown) => {
            value["status"] = json!("shown");
            value["events"] = json!(shown.candidate.events);
            value["total"] = json!(shown.candidate.total);
            value["log_evidence"] = json!(shown.log_evidence);
            value["log_threshold"] = json!(shown.log_threshold);
            value["since"] = json!(format::time(shown.onset));
        }
        Finding::Undecided { candidate, log_evidence, log_threshold, needed } => {
            value["events"] = json!(candidate.events);
            value["total"] = json!(candidate.total);
            value["log_evidence"] = json!(log_evidence);
            value["log_threshold"] = json!(log_threshold);
            value["needed_for_twice_the_limit"] = json!(needed);
        }
        Finding::Blind(blind) => {
            value["status"] = json!("blind");
            value["total"] = json!(blind.watched);
            value["reason"] = json!(blind.reason);
            value["cure"] = json!(blind.cure);
        }
    }
    value
}
