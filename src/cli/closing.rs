//! How a run over inputs that end closes: what is said of each candidate.
//!
//! In: a verdict's document, what was told on the way. Out: lines. Holds: the verdict comes first, then what was
//! decided by each rule and how it stands, then troubles, those that blind first; nothing is said twice. Knows
//! nothing of: how verdicts come about.

use std::collections::BTreeSet;

use serde_json::Value;

use super::columns::columns;
use parallax::decide::format;

/// Something that kept a candidate from being judged for a while: its kind, when it was found, and what is said.
pub(super) struct Earlier<'a> {
    pub(super) kind: &'a str,
    pub(super) at: String,
    pub(super) text: &'a str,
    pub(super) cure: &'a str,
}

/// Returns what is said of a candidate in the end; of all its decisions, in order.
pub(super) fn closing(verdict: &Value, decisions: &[Value], earlier: &[Earlier<'_>]) -> String {
    let verdict = &in_lines(verdict);
    let decisions = &decisions.iter().map(in_lines).collect::<Vec<_>>();
    let mut out = headline(verdict);
    let rules = rules(verdict, decisions);
    let table = columns(&["  rule", "asks for", "decided", "stands"], &rules);
    out.push_str(&table);
    for decision in decisions.iter().filter(|decision| decision["reason"] != verdict["reason"]) {
        out.push_str(&format!(
            "  {}  {:<11}  by {}: {}\n",
            text(&decision["at"]),
            text(&decision["action"]).to_uppercase(),
            text(&decision["basis"]),
            text(&decision["reason"]),
        ));
    }
    out.push_str(&troubles(verdict, earlier));
    out
}

/// The same with each text on one line: ids and values may hold anything.
fn in_lines(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(format::one_line(text)),
        Value::Array(items) => items.iter().map(in_lines).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), in_lines(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn headline(verdict: &Value) -> String {
    let name = format!("{} / {}", text(&verdict["pipeline"]), text(&verdict["candidate"]));
    let word = text(&verdict["verdict"]);
    let reason = match word {
        "hold" => format!(
            "{}; that isn't a pass: promotion rules aren't built yet",
            match verdict["paired"].as_u64().unwrap_or_default() {
                0 => "nothing was compared, no request has both answers".to_owned(),
                paired => format!("nothing is shown against it in {} pairs", format::count(paired)),
            }
        ),
        _ => with_cure(text(&verdict["reason"]), text(&verdict["cure"])),
    };
    format!("{}  {name}: {reason}\n", word.to_uppercase())
}

fn with_cure(said: &str, cure: &str) -> String {
    if cure.is_empty() { said.to_owned() } else { format!("{said}; {cure}") }
}

/// A row for each rule, in the order of the file.
fn rules(verdict: &Value, decisions: &[Value]) -> Vec<Vec<String>> {
    let findings = array(&verdict["rules"]);
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for finding in findings {
        // A rule stands once in each list of the file at most.
        let key = (text(&finding["rule"]), text(&finding["asks_for"]));
        if !seen.insert(key) {
            continue;
        }
        let of = |other: &&Value| (text(&other["rule"]), text(&other["asks_for"])) == key;
        let rank = |finding: &&Value| match text(&finding["status"]) {
            "shown" => (2, finding["total"].as_u64()),
            "blind" => (0, None),
            _ => (1, finding["total"].as_u64()),
        };
        let stands = findings.iter().filter(of).max_by_key(rank).unwrap_or(finding);
        let decided: Vec<String> = decisions
            .iter()
            .filter(|decision| decision["rule"] == finding["rule"])
            .map(|decision| {
                let action = text(&decision["action"]).to_uppercase();
                format!("{action} at {} by {}", text(&decision["at"]), text(&decision["basis"]))
            })
            .collect();
        let decided = if decided.is_empty() { "nothing".to_owned() } else { decided.join(", ") };
        rows.push(vec![format!("  {}", key.0), key.1.to_owned(), decided, state(stands, verdict)]);
    }
    rows
}

/// Returns how a rule stands now. Where it is blind, the verdict or a trouble may have said why, and what to do.
fn state(finding: &Value, verdict: &Value) -> String {
    let number = |field: &str| finding[field].as_u64().unwrap_or_default();
    let [events, total] = [number("events"), number("total")].map(format::count);
    let reason = text(&finding["reason"]);
    match text(&finding["status"]) {
        "shown" => format!("shown: {events} of {total}"),
        "blind" if text(&verdict["reason"]).ends_with(reason) => "blind".to_owned(),
        "blind" if !array(&verdict["troubles"]).is_empty() => format!("blind: {reason}"),
        "blind" => format!("blind: {}", with_cure(reason, text(&finding["cure"]))),
        _ => match finding["needed_for_twice_the_limit"].as_u64() {
            Some(needed) if number("total") < needed => format!(
                "undecided: {events} of {total}; twice the limit would be shown in about {}",
                format::count(needed)
            ),
            Some(_) => format!("undecided: {events} of {total}, enough to show twice the limit"),
            None => format!("undecided: {events} of {total}"),
        },
    }
}

/// Returns what stands in the way now, the gravest first, and what did earlier.
fn troubles(verdict: &Value, earlier: &[Earlier<'_>]) -> String {
    let now = array(&verdict["troubles"]);
    let mut out = String::new();
    for trouble in now.iter().rev().filter(|trouble| trouble["text"] != verdict["reason"]) {
        let said = with_cure(text(&trouble["text"]), text(&trouble["cure"]));
        out.push_str(&format!("  trouble: {said}\n"));
    }
    // What a rule is blind for stands beside the rule.
    let is_over = |notice: &&Earlier<'_>| {
        notice.kind != "blind" && now.iter().all(|trouble| text(&trouble["kind"]) != notice.kind)
    };
    // The same trouble may come and go, each time with other numbers; both arms may have it.
    let key = |notice: &Earlier<'_>| (notice.kind.to_owned(), notice.text.contains("the primary"));
    let mut told = BTreeSet::new();
    for notice in earlier.iter().filter(is_over).filter(|notice| told.insert(key(notice))) {
        let said = with_cure(&format::one_line(notice.text), notice.cure);
        let times = match earlier.iter().filter(|other| key(other) == key(notice)).count() {
            1 => String::new(),
            more => format!(", {more} times"),
        };
        out.push_str(&format!("  trouble from {} on{times}, over since: {said}\n", notice.at));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_verdict_comes_first_then_decisions_and_states_then_troubles_by_gravity() {
        let rule = |rule: &str, basis: &str, status: &str, total: u64| {
            json!({
                "rule": rule, "asks_for": "rollback", "basis": basis, "status": status, "events": 3,
                "total": total, "needed_for_twice_the_limit": 450, "reason": "nobody carries it",
                "cure": "send it",
            })
        };
        let trouble =
            |kind: &str, text: &str| json!({ "kind": kind, "text": text, "cure": "mend it" });
        let decision = |rule: &str, action: &str, reason: &str| json!({ "rule": rule, "action": action, "at": "T", "basis": "panes", "reason": reason });
        let verdict = json!({
            "pipeline": "p", "candidate": "v8", "verdict": "rollback", "reason": "too many fail", "cure": null,
            "paired": 300,
            "rules": [
                rule("error_rate > 5%", "vitals", "undecided", 200), rule("error_rate > 5%", "panes", "shown", 100),
                rule("null_rate > 5%", "panes", "undecided", 300), rule("latency_p99 > 1s", "panes", "blind", 0),
            ],
            // As the document has them: the gravest last.
            "troubles": [trouble("unreadable", "some can't be read"), trouble("other_ids", "nothing joins")],
        });
        let decisions = [
            decision("null_rate > 5%", "investigate", "a few are null"),
            decision("error_rate > 5%", "rollback", "too many fail"),
        ];
        let earlier =
            |kind| Earlier { kind, at: "12:00:01".to_owned(), text: "it slept", cure: "wake it" };
        let said = closing(
            &verdict,
            &decisions,
            &[earlier("silent"), earlier("other_ids"), earlier("blind")],
        );
        insta::assert_snapshot!(said, @r"
        ROLLBACK  p / v8: too many fail
          rule              asks for  decided                    stands
          error_rate > 5%   rollback  ROLLBACK at T by panes     shown: 3 of 100
          null_rate > 5%    rollback  INVESTIGATE at T by panes  undecided: 3 of 300; twice the limit would be shown in about 450
          latency_p99 > 1s  rollback  nothing                    blind: nobody carries it
          T  INVESTIGATE  by panes: a few are null
          trouble: nothing joins; mend it
          trouble: some can't be read; mend it
          trouble from 12:00:01 on, over since: it slept; wake it
        ");
    }

    #[test]
    fn what_comes_and_goes_is_told_once_for_each_arm_and_on_one_line() {
        let earlier = |at: &str, text: &'static str| Earlier {
            kind: "silent",
            at: at.to_owned(),
            text,
            cure: "wake it",
        };
        let all = [
            earlier("12:00:01", "no record of v8\n has come for 35 s"),
            earlier("12:07:01", "no record of the primary has come for 1 min"),
            earlier("12:09:01", "no record of v8 has come for 40 s"),
        ];
        insta::assert_snapshot!(troubles(&json!({ "troubles": [] }), &all), @r"
          trouble from 12:00:01 on, 2 times, over since: no record of v8\n has come for 35 s; wake it
          trouble from 12:07:01 on, over since: no record of the primary has come for 1 min; wake it
        ");
    }
}
