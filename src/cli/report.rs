//! Decisions and windows in words on a terminal.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use parallax::decide::words;
use parallax::model::row::{DecisionRow, WindowRow};
use parallax::model::rule::Action;
use parallax::model::spec::PipelineSpec;
use parallax::shell::driver::Observer;
use serde_json::{Value, json};

use super::Output;

/// Tells the log of the process what happens.
pub(super) struct Told;

impl Observer for Told {
    fn decided(&mut self, row: &DecisionRow) {
        let (action, basis, rule) = (row.action.word(), row.basis.as_str(), row.rule.as_str());
        tracing::info!(
            action,
            basis,
            rule,
            reason = row.reason,
            signal = row.signal_id,
            "A rule was shown."
        );
    }

    fn reported(&mut self, row: &WindowRow) {
        tracing::debug!(
            start = words::time(row.start),
            paired = row.tally.paired,
            "A window was reported."
        );
    }
}

/// Keeps what happened.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Rules that were shown.
    pub decisions: Vec<DecisionRow>,
    /// Windows that were reported, everything only.
    pub windows: Vec<WindowRow>,
    /// Say it as it happens.
    pub live: bool,
}

/// Shares what happened between the engine's thread and the one that prints.
#[derive(Clone, Debug, Default)]
pub(super) struct Collector(pub Arc<Mutex<Collected>>);

impl Observer for Collector {
    fn decided(&mut self, row: &DecisionRow) {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if collected.live {
            eprintln!(
                "{}  {:<11} {}",
                words::clock(row.time),
                row.action.word().to_uppercase(),
                row.reason
            );
        }
        collected.decisions.push(row.clone());
    }

    fn reported(&mut self, row: &WindowRow) {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if collected.live {
            eprintln!("{}", window_line(row));
        }
        collected.windows.push(row.clone());
    }
}

/// One line of a window.
pub(super) fn window_line(row: &WindowRow) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = |hits: u64, total: u64| match total {
        0 => "-".to_owned(),
        total => words::percent(hits as f64 / total as f64),
    };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let p99 = |q: Option<u64>| q.map_or_else(|| "-".to_owned(), |us| words::millis(us as f64));
    let t = &row.tally;
    format!(
        "{}  window {:<4} {} pairs, match {}, errors {} against {}, p99 {} against {}, {} unmatched",
        words::clock(row.start.plus(row.size)),
        words::span(row.size),
        words::count(t.paired),
        rate(t.matched, t.comparable),
        rate(t.candidate.failed, t.candidate.requests),
        rate(t.primary.failed, t.primary.requests),
        p99(t.candidate.latency.quantile(0.99)),
        p99(t.primary.latency.quantile(0.99)),
        words::count(t.unmatched()),
    )
}

/// Prints what was decided, on stdout.
pub(super) fn print_decisions(spec: &PipelineSpec, collected: &Collected, output: Output) {
    let mut out = std::io::stdout().lock();
    let result = match output {
        Output::Json => {
            let rows: Vec<Value> = collected.decisions.iter().map(decision_json).collect();
            writeln!(out, "{}", json!({ "pipeline": spec.name, "decisions": rows }))
        }
        Output::Table if collected.decisions.is_empty() => {
            let seen = match collected.windows.len() {
                0 => "nothing was compared: no window was filled".to_owned(),
                1 => "no rule was shown in 1 window".to_owned(),
                windows => format!("no rule was shown in {windows} windows"),
            };
            writeln!(
                out,
                "HOLD  {}: {seen}; that isn't a pass: promotion rules aren't built yet",
                spec.name
            )
        }
        Output::Table => collected.decisions.iter().try_for_each(|row| {
            let candidate =
                spec.candidates.get(usize::from(row.comparison)).map_or("", String::as_str);
            writeln!(
                out,
                "{}  {:<11}  {} / {candidate}  by {}: {}",
                words::time(row.time),
                row.action.word().to_uppercase(),
                spec.name,
                row.basis,
                row.reason
            )
        }),
    };
    // A reader that went away has seen what it wanted.
    drop(result);
}

/// A decision for programs.
pub(super) fn decision_json(row: &DecisionRow) -> Value {
    json!({
        "at": words::time(row.time),
        "since": words::time(row.onset),
        "action": row.action.word(),
        "basis": row.basis,
        "rule": row.rule,
        "reason": row.reason,
        "signal_id": row.signal_id,
        "evidence": serde_json::from_str::<Value>(&row.evidence).unwrap_or(Value::Null),
    })
}

/// The explained end of a demo.
pub(super) fn explain(spec: &PipelineSpec, collected: &Collected, tables: &str) -> String {
    let mut out = String::new();
    let Some(rollback) = collected.decisions.iter().find(|row| row.action == Action::Rollback)
    else {
        let pairs: u64 = collected
            .windows
            .iter()
            .filter(|w| w.size == spec.windows[0])
            .map(|w| w.tally.paired)
            .sum();
        out.push_str(&format!(
            "HOLD      {} / {}        nothing is shown against it in {} pairs; that isn't a pass: promotion rules aren't built yet\n",
            spec.name, spec.candidates[0], words::count(pairs)
        ));
        out.push_str(&try_line(tables));
        return out;
    };
    let evidence: Value = serde_json::from_str(&rollback.evidence).unwrap_or(Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    out.push_str(&format!(
        "ROLLBACK  {} / {}        {}, {:.1} s after it began, by the evidence\n",
        spec.name,
        spec.candidates[usize::from(rollback.comparison)],
        words::clock(rollback.time),
        rollback.time.since(rollback.onset).as_secs()
    ));
    out.push_str(&format!(
        "  shown    {}    {}; {}\n",
        rollback.rule,
        text(&evidence["evidence"]["text"]),
        text(&evidence["by_chance"]["text"])
    ));
    if let Some(worst) = evidence["worst_segments"].get(0) {
        let share = worst["share_of_excess"].as_f64().unwrap_or_default() * 100.0;
        out.push_str(&format!(
            "  where    {}={} holds {share:.0} % of the excess\n",
            text(&worst["dimension"]),
            text(&worst["value"])
        ));
    }
    for earlier in collected.decisions.iter().filter(|row| row.time < rollback.time) {
        out.push_str(&format!(
            "  before   {}  {}  {}\n",
            words::clock(earlier.time),
            earlier.action.word().to_uppercase(),
            earlier.reason
        ));
    }
    let topic = if spec.dry_run { "parallax.control (dry run)" } else { "parallax.control" };
    out.push_str(&format!(
        "  signal   topic {topic}, id {}      evidence  {tables}/decisions\n",
        rollback.signal_id.as_deref().unwrap_or("-")
    ));
    out.push_str(&try_line(tables));
    out
}

fn try_line(tables: &str) -> String {
    format!(
        "  try      duckdb -c \"select window_start, segment_value, paired, round(match_rate, 4) match_rate, candidate_latency_p99_ms from read_parquet('{tables}/windows/**/*.parquet') where window_size_s = 60 and segment_key in ('', 'country') order by 1, 2\"\n"
    )
}
