//! What is counted for people, and how Prometheus reads it.
//!
//! In: entries, decisions, status. Out: OpenMetrics text. Holds: every name is here and nowhere
//! else; no request id is ever a label; label values are the pipeline's own. Knows nothing of: HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::Task;
use crate::model::bucket::{Buckets, Unreadable};
use crate::model::entry::Entry;
use crate::model::row::{DecisionRow, WindowRow};
use crate::model::rule::Action;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;

/// Counts since the process began.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Records read, by input.
    pub records: Vec<u64>,
    /// Rows of `pairs`.
    pub pair_rows: u64,
    /// Files completed.
    pub files: u64,
    /// Signals taken by the control topic.
    pub signals: u64,
    /// Signals it refused.
    pub signal_errors: u64,
    /// Why it refused the last one, until it takes one.
    pub signal_refused: Option<String>,
    /// Frames of the log that older epochs wrote: ignored by every reader.
    pub ignored_frames: u64,
    /// Idle facts that nobody obeys: a clock is wrong.
    pub refused_facts: u64,
    facts: u64,
    vitals: u64,
    panes: u64,
    unreadable: BTreeMap<Unreadable, u64>,
    /// By candidate, of closed panes: the primary's and its own.
    buckets: BTreeMap<u8, (Buckets, Buckets)>,
    decisions: BTreeMap<(u8, Action), u64>,
    last_window: BTreeMap<u8, WindowRow>,
}

impl Counters {
    /// Counts an entry on its way to the log.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Claim { .. } => {}
            Entry::Fact(_) => self.facts += 1,
            Entry::Vitals(_) => self.vitals += 1,
            Entry::Closed(closed) => {
                self.panes += closed.panes.len() as u64;
                let (primary, candidate) = self.buckets.entry(closed.comparison).or_default();
                for pane in &closed.panes {
                    primary.merge(&pane.primary);
                    candidate.merge(&pane.candidate);
                }
            }
        }
    }

    /// Counts a record that couldn't be read.
    pub fn dead_letter(&mut self, reason: Unreadable) {
        *self.unreadable.entry(reason).or_default() += 1;
    }

    /// Counts a decision.
    pub fn decided(&mut self, row: &DecisionRow) {
        *self.decisions.entry((row.comparison, row.action)).or_default() += 1;
    }

    /// Keeps the last window.
    pub fn reported(&mut self, row: &WindowRow) {
        self.last_window.insert(row.comparison, row.clone());
    }

    /// Counts records read of an input.
    pub fn read(&mut self, input: usize, count: usize) {
        if self.records.len() <= input {
            self.records.resize(input + 1, 0);
        }
        self.records[input] += count as u64;
    }

    /// Conservation of closed panes: (primary, candidate) of a comparison.
    #[must_use]
    pub fn buckets(&self, comparison: u8) -> (Buckets, Buckets) {
        self.buckets.get(&comparison).copied().unwrap_or_default()
    }
}

/// One exposition under way.
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

/// The exposition of a pipeline, in Prometheus' text format.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
pub fn exposition(
    spec: &PipelineSpec,
    counters: &Counters,
    tasks: &[&Task],
    evaluator_to: &[EventTime],
    now: EventTime,
) -> String {
    let mut out = Exposition(String::new());
    let pipeline = ("pipeline", spec.name.as_str());
    out.family("parallax_build_info", "gauge", "Version of the engine.");
    out.sample("parallax_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    out.family("parallax_records_read_total", "counter", "Records read since the process began.");
    for (input, count) in counters.records.iter().enumerate() {
        let arm = arm_name(spec, input);
        out.sample("parallax_records_read_total", &[pipeline, ("arm", arm)], *count as f64);
    }
    out.family(
        "parallax_undecodable_total",
        "counter",
        "Records that couldn't be read, by reason.",
    );
    for reason in Unreadable::ALL {
        let count = counters.unreadable.get(&reason).copied().unwrap_or(0) as f64;
        out.sample("parallax_undecodable_total", &[pipeline, ("reason", reason.code())], count);
    }
    out.family(
        "parallax_closed_records_total",
        "counter",
        "Records of closed panes, by the one bucket each went to.",
    );
    for (comparison, candidate) in (0_u8..).zip(&spec.candidates) {
        let (primary, own) = counters.buckets(comparison);
        for (arm, buckets) in [("primary", primary), ("candidate", own)] {
            for (bucket, count) in by_name(&buckets, arm == "primary") {
                let labels = [pipeline, ("candidate", candidate), ("arm", arm), ("bucket", bucket)];
                out.sample("parallax_closed_records_total", &labels, count as f64);
            }
        }
    }
    for (name, help, count) in plain(counters) {
        out.family(name, "counter", help);
        out.sample(name, &[pipeline], count as f64);
    }
    decisions(&mut out, spec, counters);
    windows(&mut out, spec, counters);
    tasks_of(&mut out, spec, tasks, evaluator_to, now);
    out.0
}

/// Counters without labels of their own.
const fn plain(counters: &Counters) -> [(&'static str, &'static str, u64); 9] {
    [
        ("parallax_facts_total", "Idle facts written down.", counters.facts),
        ("parallax_vitals_total", "Seconds of vitals written down.", counters.vitals),
        ("parallax_panes_closed_total", "Panes closed by tasks.", counters.panes),
        ("parallax_pair_rows_total", "Rows of the pairs table.", counters.pair_rows),
        ("parallax_parquet_files_total", "Parquet files completed.", counters.files),
        ("parallax_signals_total", "Signals taken by the control topic.", counters.signals),
        (
            "parallax_signal_errors_total",
            "Signals the control topic refused.",
            counters.signal_errors,
        ),
        (
            "parallax_refused_facts_total",
            "Idle facts that weren't obeyed, because a clock is wrong.",
            counters.refused_facts,
        ),
        (
            "parallax_ignored_frames_total",
            "Frames of the log that superseded owners wrote.",
            counters.ignored_frames,
        ),
    ]
}

fn decisions(out: &mut Exposition, spec: &PipelineSpec, counters: &Counters) {
    let pipeline = ("pipeline", spec.name.as_str());
    out.family("parallax_decisions_total", "counter", "Rules shown, by what they led to.");
    for (comparison, candidate) in (0_u8..).zip(&spec.candidates) {
        for action in [Action::Investigate, Action::Rollback] {
            let count = counters.decisions.get(&(comparison, action)).copied().unwrap_or(0);
            let labels = [pipeline, ("candidate", candidate.as_str()), ("action", action.word())];
            #[expect(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
            out.sample("parallax_decisions_total", &labels, count as f64);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
fn windows(out: &mut Exposition, spec: &PipelineSpec, counters: &Counters) {
    let pipeline = ("pipeline", spec.name.as_str());
    out.family(
        "parallax_window_pairs",
        "gauge",
        "Comparable and matching pairs of the last window.",
    );
    for (comparison, row) in &counters.last_window {
        let candidate = spec.candidates.get(usize::from(*comparison)).map_or("", String::as_str);
        let t = &row.tally;
        for (kind, count) in [
            ("paired", t.paired),
            ("comparable", t.comparable),
            ("matched", t.matched),
            ("unmatched", t.unmatched()),
        ] {
            let labels = [pipeline, ("candidate", candidate), ("kind", kind)];
            out.sample("parallax_window_pairs", &labels, count as f64);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
fn tasks_of(
    out: &mut Exposition,
    spec: &PipelineSpec,
    tasks: &[&Task],
    evaluator_to: &[EventTime],
    now: EventTime,
) {
    let pipeline = ("pipeline", spec.name.as_str());
    let status: Vec<_> = tasks.iter().map(|task| task.status()).collect();
    out.family("parallax_held_bytes", "gauge", "Bytes of observations held for the join.");
    for (input, arm) in (0..=spec.candidates.len()).map(|input| (input, arm_name(spec, input))) {
        let bytes: usize =
            status.iter().filter_map(|s| s.inputs.get(input)).map(|i| i.held_bytes).sum();
        out.sample("parallax_held_bytes", &[pipeline, ("arm", arm)], bytes as f64);
    }
    out.family("parallax_waiting_records", "gauge", "Records that wait as leaps in time.");
    for (input, arm) in (0..=spec.candidates.len()).map(|input| (input, arm_name(spec, input))) {
        let waiting: usize =
            status.iter().filter_map(|s| s.inputs.get(input)).map(|i| i.waiting).sum();
        out.sample("parallax_waiting_records", &[pipeline, ("arm", arm)], waiting as f64);
    }
    out.family(
        "parallax_weighed_lag_seconds",
        "gauge",
        "How far the decisions lie behind the host's clock.",
    );
    for (candidate, to) in spec.candidates.iter().zip(evaluator_to) {
        if EventTime::START < *to {
            let labels = [pipeline, ("candidate", candidate.as_str())];
            out.sample("parallax_weighed_lag_seconds", &labels, now.since(*to).as_secs());
        }
    }
}

/// The name of an input's arm.
#[must_use]
pub fn arm_name(spec: &PipelineSpec, input: usize) -> &str {
    match input.checked_sub(1) {
        None => "primary",
        Some(candidate) => spec.candidates.get(candidate).map_or("", String::as_str),
    }
}

/// Buckets by the names of the contract.
#[must_use]
pub const fn by_name(buckets: &Buckets, primary: bool) -> [(&'static str, u64); 7] {
    [
        ("undecodable", buckets.undecodable),
        ("quarantined", buckets.quarantined),
        ("late", buckets.late),
        ("override", buckets.overrides),
        ("duplicate", buckets.duplicate),
        ("paired", buckets.paired),
        (if primary { "unmatched" } else { "orphan" }, buckets.alone),
    ]
}
