//! How Prometheus reads what is counted.
//!
//! In: what the runtime counted. Out: Prometheus' text format. Holds: every name is here and nowhere
//! else (counters without the `_total` that the format adds); the order is always the same; no request
//! id is ever a label; label values are the pipeline's own. Knows nothing of: HTTP.

use std::collections::BTreeMap;

use prometheus_client::collector::Collector;
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::engine::{InputStatus, TaskStatus};
use crate::model::bucket::Unreadable;
use crate::model::rule::Action;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::runtime::counters::Counters;
use crate::runtime::snapshot::Snapshot;

/// One scrape: families in the order in which they are written. What is counted lives in plain
/// numbers, so a registry stands only while they are written.
#[derive(Debug, Default)]
struct Exposition(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Vec<(&'static str, String)>, Value)>,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Count(u64),
    Level(f64),
}

impl Exposition {
    fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, MetricType::Counter)
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, MetricType::Gauge)
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: MetricType) -> &mut Family {
        self.0.push(Family { name, help, kind, samples: Vec::new() });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn text(self) -> String {
        let (mut text, mut registry) = (String::new(), Registry::default());
        registry.register_collector(Box::new(self));
        // A string takes all that is written to it.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }
}

impl Family {
    fn count(&mut self, labels: &[(&'static str, &str)], count: u64) {
        self.sample(labels, Value::Count(count));
    }

    fn level(&mut self, labels: &[(&'static str, &str)], level: f64) {
        self.sample(labels, Value::Level(level));
    }

    fn sample(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|&(key, value)| (key, value.to_owned())).collect();
        self.samples.push((labels, value));
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        for Family { name, help, kind, samples } in &self.0 {
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, value) in samples {
                let sample = family.encode_family(labels)?;
                match value {
                    Value::Count(count) => ConstCounter::new(*count).encode(sample)?,
                    Value::Level(level) => ConstGauge::new(*level).encode(sample)?,
                }
            }
        }
        Ok(())
    }
}

/// Returns what a process says of itself, in Prometheus' text format; nothing before anything was published.
#[must_use]
pub fn of(snapshot: &Snapshot) -> String {
    let Snapshot { counters, tasks, weighed_to, now, .. } = snapshot;
    let text = |spec| exposition(spec, counters, tasks, weighed_to, *now);
    snapshot.spec.as_deref().map_or_else(String::new, text)
}

/// The exposition of a pipeline, in Prometheus' text format.
#[must_use]
pub fn exposition(
    spec: &PipelineSpec,
    counters: &Counters,
    tasks: &[TaskStatus],
    evaluator_to: &[EventTime],
    now: EventTime,
) -> String {
    let mut out = Exposition::default();
    out.gauge("parallax_build_info", "Version of the engine.")
        .level(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    records(&mut out, spec, counters);
    let pipeline = ("pipeline", spec.name.as_str());
    let plain = [
        ("parallax_facts", "Idle facts written down.", counters.facts),
        ("parallax_losses", "Losses of records that were accepted.", counters.losses),
        ("parallax_lost_records", "Offsets of accepted losses.", counters.lost_records),
        ("parallax_vitals", "Seconds of vitals written down.", counters.vitals),
        ("parallax_panes_closed", "Panes closed by tasks.", counters.panes),
        ("parallax_pair_rows", "Rows of the pairs table.", counters.pair_rows),
        ("parallax_parquet_files", "Parquet files completed.", counters.files),
        ("parallax_signals", "Signals taken by the control topic.", counters.signals),
        ("parallax_signal_errors", "Signals the control topic refused.", counters.signal_errors),
        (
            "parallax_signals_repeated",
            "Signals sent again because a lower one followed.",
            counters.signals_repeated,
        ),
        (
            "parallax_refused_facts",
            "Idle facts that weren't obeyed, because a clock is wrong.",
            counters.refused_facts,
        ),
        (
            "parallax_ignored_frames",
            "Frames of the log that superseded owners wrote.",
            counters.ignored_frames,
        ),
    ];
    for (name, help, count) in plain {
        out.counter(name, help).count(&[pipeline], count);
    }
    decisions(&mut out, spec, counters);
    windows(&mut out, spec, counters);
    tasks_of(&mut out, spec, tasks);
    lag(&mut out, spec, evaluator_to, now);
    out.text()
}

fn records(out: &mut Exposition, spec: &PipelineSpec, counters: &Counters) {
    let pipeline = ("pipeline", spec.name.as_str());
    let read = out.counter("parallax_records_read", "Records read since the process began.");
    let mut by_arm: BTreeMap<usize, u64> = BTreeMap::new();
    for (input, count) in counters.records.iter().enumerate() {
        *by_arm.entry(spec.feeds.arm(input)).or_default() += *count;
    }
    for (arm, count) in by_arm {
        read.count(&[pipeline, ("arm", spec.arm_name(arm))], count);
    }
    let undecodable =
        out.counter("parallax_undecodable", "Records that couldn't be read, by reason.");
    for reason in Unreadable::ALL {
        let count = counters.unreadable.get(&reason).copied().unwrap_or(0);
        undecodable.count(&[pipeline, ("reason", reason.code())], count);
    }
    let closed = out.counter(
        "parallax_closed_records",
        "Records of closed panes, by the one bucket each went to.",
    );
    for (comparison, candidate) in (0_u8..).zip(&spec.candidates) {
        let (primary, own) = counters.buckets(comparison);
        for (arm, buckets) in [("primary", primary), ("candidate", own)] {
            for (bucket, count) in buckets.by_name(arm == "primary") {
                let labels = [pipeline, ("candidate", candidate), ("arm", arm), ("bucket", bucket)];
                closed.count(&labels, count);
            }
        }
    }
}

fn decisions(out: &mut Exposition, spec: &PipelineSpec, counters: &Counters) {
    let pipeline = ("pipeline", spec.name.as_str());
    let shown = out.counter("parallax_decisions", "Rules shown, by what they led to.");
    for (comparison, candidate) in (0_u8..).zip(&spec.candidates) {
        for action in [Action::Investigate, Action::Rollback] {
            let count = counters.decisions.get(&(comparison, action)).copied().unwrap_or(0);
            let labels = [pipeline, ("candidate", candidate.as_str()), ("action", action.word())];
            shown.count(&labels, count);
        }
    }
    let help = "Troubles and blind rules that were told, by kind.";
    let told = out.counter("parallax_notices", help);
    for (comparison, candidate) in (0_u8..).zip(&spec.candidates) {
        for ((_, kind), count) in counters.notices.iter().filter(|((of, _), _)| *of == comparison) {
            told.count(&[pipeline, ("candidate", candidate.as_str()), ("kind", kind)], *count);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
fn windows(out: &mut Exposition, spec: &PipelineSpec, counters: &Counters) {
    let pipeline = ("pipeline", spec.name.as_str());
    let pairs =
        out.gauge("parallax_window_pairs", "Comparable and matching pairs of the last window.");
    for (comparison, row) in &counters.last_window {
        let candidate = spec.candidates.get(usize::from(*comparison)).map_or("", String::as_str);
        let t = &row.tally;
        for (kind, count) in [
            ("paired", t.paired),
            ("comparable", t.comparable),
            ("matched", t.matched),
            ("unmatched", t.unmatched()),
        ] {
            pairs.level(&[pipeline, ("candidate", candidate), ("kind", kind)], count as f64);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
fn tasks_of(out: &mut Exposition, spec: &PipelineSpec, tasks: &[TaskStatus]) {
    let pipeline = ("pipeline", spec.name.as_str());
    let mut by_arm = |name, help, of: fn(&InputStatus) -> usize| {
        let levels = out.gauge(name, help);
        for arm in 0..=spec.candidates.len() {
            let feeds = |s: &TaskStatus| -> usize {
                spec.feeds.of_arm(arm).filter_map(|feed| s.inputs.get(feed)).map(of).sum()
            };
            let sum: usize = tasks.iter().map(feeds).sum();
            levels.level(&[pipeline, ("arm", spec.arm_name(arm))], sum as f64);
        }
    };
    by_arm("parallax_held_bytes", "Bytes of observations held for the join.", |i| i.held_bytes);
    by_arm("parallax_waiting_records", "Records that wait as leaps in time.", |i| i.waiting);
    by_arm(
        "parallax_vitals_displaced_ids",
        "Ids that vitals had to forget too early to tell copies of theirs, since the task was taken over.",
        |i| usize::try_from(i.displaced_ids).unwrap_or(usize::MAX),
    );
    by_arm(
        "parallax_recovery_records_left",
        "Records that an earlier owner had read and that aren't read again yet.",
        |i| usize::try_from(i.read_again.left).unwrap_or(usize::MAX),
    );
}

fn lag(out: &mut Exposition, spec: &PipelineSpec, evaluator_to: &[EventTime], now: EventTime) {
    let pipeline = ("pipeline", spec.name.as_str());
    let lag = out.gauge(
        "parallax_weighed_lag_seconds",
        "How far the decisions lie behind the host's clock.",
    );
    for (candidate, to) in spec.candidates.iter().zip(evaluator_to) {
        if EventTime::START < *to {
            let labels = [pipeline, ("candidate", candidate.as_str())];
            lag.level(&labels, now.since(*to).as_secs());
        }
    }
}
