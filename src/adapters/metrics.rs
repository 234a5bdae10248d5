//! What is counted for people, and how Prometheus reads it.
//!
//! In: entries, decisions, status. Out: Prometheus' text format. Holds: every name is here and nowhere
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
use crate::model::bucket::{Buckets, Unreadable};
use crate::model::entry::Entry;
use crate::model::notice::Notice;
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
    /// Signals sent again because a lower one followed.
    pub signals_repeated: u64,
    /// Why it refused the last one, until it takes one.
    pub signal_refused: Option<String>,
    /// Frames of the log that older epochs wrote: ignored by every reader.
    pub ignored_frames: u64,
    /// Idle facts that nobody obeys: a clock is wrong.
    pub refused_facts: u64,
    facts: u64,
    losses: u64,
    lost_records: u64,
    vitals: u64,
    panes: u64,
    unreadable: BTreeMap<Unreadable, u64>,
    /// By candidate, of closed panes: the primary's and its own.
    buckets: BTreeMap<u8, (Buckets, Buckets)>,
    decisions: BTreeMap<(u8, Action), u64>,
    notices: BTreeMap<(u8, String), u64>,
    last_window: BTreeMap<u8, WindowRow>,
}

impl Counters {
    /// Counts an entry on its way to the log.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Claim { .. }
            | Entry::Lacks(_)
            | Entry::Repeated(_)
            | Entry::Feeds(_)
            | Entry::Times(_) => {}
            Entry::Fact(_) => self.facts += 1,
            Entry::Vitals(_) => self.vitals += 1,
            Entry::Lost(loss) => {
                self.losses += 1;
                self.lost_records += u64::try_from(loss.to - loss.from).unwrap_or(0);
            }
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

    /// Records that couldn't be read, of all that were.
    #[must_use]
    pub fn unreadable_of_read(&self) -> (u64, u64) {
        (self.unreadable.values().sum(), self.records.iter().sum())
    }

    /// Counts what people were told that keeps a candidate from being judged.
    pub fn noticed(&mut self, notice: &Notice) {
        *self.notices.entry((notice.comparison, notice.kind.clone())).or_default() += 1;
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

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            records,
            pair_rows,
            files,
            signals,
            signal_errors,
            signals_repeated,
            signal_refused,
            ignored_frames,
            refused_facts,
            facts,
            losses,
            lost_records,
            vitals,
            panes,
            unreadable,
            buckets,
            decisions,
            notices,
            last_window,
        } = other;
        for (input, count) in records.iter().enumerate() {
            self.read(input, usize::try_from(*count).unwrap_or(usize::MAX));
        }
        for (mine, theirs) in [
            (&mut self.pair_rows, pair_rows),
            (&mut self.files, files),
            (&mut self.signals, signals),
            (&mut self.signal_errors, signal_errors),
            (&mut self.signals_repeated, signals_repeated),
            (&mut self.ignored_frames, ignored_frames),
            (&mut self.refused_facts, refused_facts),
            (&mut self.facts, facts),
            (&mut self.losses, losses),
            (&mut self.lost_records, lost_records),
            (&mut self.vitals, vitals),
            (&mut self.panes, panes),
        ] {
            *mine += theirs;
        }
        if self.signal_refused.is_none() {
            self.signal_refused.clone_from(signal_refused);
        }
        for (reason, count) in unreadable {
            *self.unreadable.entry(*reason).or_default() += count;
        }
        for (comparison, (primary, candidate)) in buckets {
            let mine = self.buckets.entry(*comparison).or_default();
            mine.0.merge(primary);
            mine.1.merge(candidate);
        }
        for (decision, count) in decisions {
            *self.decisions.entry(*decision).or_default() += count;
        }
        for (notice, count) in notices {
            *self.notices.entry(notice.clone()).or_default() += count;
        }
        for row in last_window.values() {
            let last = self.last_window.get(&row.comparison);
            if last.is_none_or(|last| last.start < row.start) {
                self.reported(row);
            }
        }
    }

    /// Conservation of closed panes: (primary, candidate) of a comparison.
    #[must_use]
    pub fn buckets(&self, comparison: u8) -> (Buckets, Buckets) {
        self.buckets.get(&comparison).copied().unwrap_or_default()
    }
}

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
        read.count(&[pipeline, ("arm", arm_name(spec, arm))], count);
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
            for (bucket, count) in by_name(&buckets, arm == "primary") {
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
            levels.level(&[pipeline, ("arm", arm_name(spec, arm))], sum as f64);
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

/// The name of an input of a task: its arm, and its partition where the task reads them all.
#[must_use]
pub fn feed_name(spec: &PipelineSpec, input: usize) -> String {
    let arm = arm_name(spec, spec.feeds.arm(input));
    spec.feeds
        .partition(input)
        .map_or_else(|| arm.to_owned(), |partition| format!("{arm}/{partition}"))
}

/// The name of an arm; 0 is the primary.
#[must_use]
pub fn arm_name(spec: &PipelineSpec, arm: usize) -> &str {
    match arm.checked_sub(1) {
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
