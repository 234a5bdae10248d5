//! Decisions and windows in words on a terminal.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use parallax::decide::format;
use parallax::model::notice::Notice;
use parallax::model::row::{DecisionRow, WindowRow};
use parallax::model::rule::Action;
use parallax::model::spec::PipelineSpec;
use parallax::model::time::EventTime;
use parallax::runtime::driver::Observer;
use serde_json::{Value, json};

use super::Output;
use super::closing::{Earlier, closing};

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

    fn noticed(&mut self, notice: &Notice) {
        let (kind, cure) = (notice.kind.as_str(), notice.cure.as_str());
        tracing::warn!(kind, found = notice.text, cure, "A candidate can't be judged.");
    }

    fn reported(&mut self, row: &WindowRow) {
        tracing::debug!(
            start = format::time(row.start),
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
    /// What kept candidates from being judged.
    pub notices: Vec<Notice>,
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
                format::clock(row.time),
                row.action.word().to_uppercase(),
                format::one_line(&row.reason)
            );
        }
        collected.decisions.push(row.clone());
    }

    fn noticed(&mut self, notice: &Notice) {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if collected.live {
            let text = format::one_line(&notice.text);
            eprintln!("{}  {text}; {}", format::clock(notice.at), notice.cure);
        }
        collected.notices.push(notice.clone());
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
        total => format::percent(hits as f64 / total as f64),
    };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let p99 = |q: Option<u64>| q.map_or_else(|| "-".to_owned(), |us| format::millis(us as f64));
    let t = &row.tally;
    format!(
        "{}  window {:<4} {} pairs, match {}, errors {} against {}, p99 {} against {}, {} unmatched",
        format::clock(row.start.plus(row.size)),
        format::span(row.size),
        format::count(t.paired),
        rate(t.matched, t.comparable),
        rate(t.candidate.failed, t.candidate.requests),
        rate(t.primary.failed, t.primary.requests),
        p99(t.candidate.latency.quantile(0.99)),
        p99(t.primary.latency.quantile(0.99)),
        format::count(t.unmatched()),
    )
}

/// Prints how candidates stand in the end, on stdout: their verdicts, with what was collected on the way; without
/// that, with the last decisions of each verdict.
pub(super) fn print_end(
    spec: &PipelineSpec,
    collected: Option<&Collected>,
    verdicts: &[Value],
    output: Output,
) {
    let mut out = std::io::stdout().lock();
    let told = |verdict: &Value| verdict["decisions"].as_array().cloned().unwrap_or_default();
    let result = match output {
        Output::Json => {
            let rows: Vec<Value> = match collected {
                Some(collected) => collected.decisions.iter().map(decision_json).collect(),
                None => verdicts.iter().flat_map(told).collect(),
            };
            writeln!(
                out,
                "{}",
                json!({ "pipeline": spec.name, "decisions": rows, "verdicts": verdicts })
            )
        }
        Output::Table => verdicts.iter().try_for_each(|verdict| {
            let its = |number: u8| {
                spec.candidates
                    .get(usize::from(number))
                    .is_some_and(|c| verdict["candidate"] == **c)
            };
            let decisions = collected.map_or_else(
                || told(verdict),
                |all| {
                    all.decisions.iter().filter(|d| its(d.comparison)).map(decision_json).collect()
                },
            );
            let notices = collected.map_or(&[][..], |all| &all.notices);
            let notices = notices.iter().filter(|notice| its(notice.comparison));
            let earlier: Vec<Earlier<'_>> = notices
                .map(|notice| Earlier {
                    kind: &notice.kind,
                    at: format::clock(notice.at),
                    text: &notice.text,
                    cure: &notice.cure,
                })
                .collect();
            write!(out, "{}", closing(verdict, &decisions, &earlier))
        }),
    };
    // A reader that went away has seen what it wanted.
    drop(result);
}

/// Something went wrong before anything could be compared, if nothing was.
pub(super) fn compared<'v>(
    verdicts: impl IntoIterator<Item = &'v Value>,
) -> Result<(), NothingCompared> {
    let mut verdicts = verdicts.into_iter().peekable();
    let is_known = verdicts.peek().is_some();
    if is_known && verdicts.all(|verdict| verdict["paired"] == 0) {
        return Err(NothingCompared);
    }
    Ok(())
}

/// The inputs ended, and no request had both answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct NothingCompared;

impl std::fmt::Display for NothingCompared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing was compared: no request has both answers; see what is said above")
    }
}

impl std::error::Error for NothingCompared {}

/// A decision for programs.
pub(super) fn decision_json(row: &DecisionRow) -> Value {
    json!({
        "at": format::time(row.time),
        "since": format::time(row.onset),
        "action": row.action.word(),
        "basis": row.basis,
        "rule": row.rule,
        "reason": row.reason,
        "signal_id": row.signal_id,
        "evidence": serde_json::from_str::<Value>(&row.evidence).unwrap_or(Value::Null),
    })
}

/// The explained end of a demo; `planted` are the event times at which its faults begin.
pub(super) fn explain(
    spec: &PipelineSpec,
    collected: &Collected,
    planted: &[EventTime],
    tables: &str,
) -> String {
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
            spec.name, spec.candidates[0], format::count(pairs)
        ));
        out.push_str(&try_line(tables));
        return out;
    };
    let evidence: Value = serde_json::from_str(&rollback.evidence).unwrap_or(Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let last = planted.iter().filter(|at| **at <= rollback.time).max();
    let after = last.map_or_else(String::new, |at| {
        format!(", {:.1} s after the fault was planted", rollback.time.since(*at).as_secs())
    });
    out.push_str(&format!(
        "ROLLBACK  {} / {}        {}{after}\n",
        spec.name,
        spec.candidates[usize::from(rollback.comparison)],
        format::clock(rollback.time),
    ));
    out.push_str(&format!(
        "  shown    {}    {}; {}\n",
        rollback.rule,
        text(&evidence["evidence"]["text"]),
        text(&evidence["by_chance"]["text"])
    ));
    if let Some(worst) = evidence["worst_segments"].get(0).filter(|w| w["stands_out"] == true) {
        let share = (worst["share_of_change"].as_f64().unwrap_or_default() * 100.0).min(100.0);
        out.push_str(&format!(
            "  where    {}={} holds {share:.0} % of the change against the primary\n",
            text(&worst["dimension"]),
            text(&worst["value"])
        ));
    }
    for earlier in collected.decisions.iter().filter(|row| row.time < rollback.time) {
        out.push_str(&format!(
            "  before   {}  {}  {}\n",
            format::clock(earlier.time),
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
