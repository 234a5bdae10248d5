//! `log`: what a pipeline wrote down, for people and programs.
//!
//! In: a pipeline file. Out: a line per entry of its log, folder or topic. Holds: nothing is claimed or
//! written, so it can run beside the owners; entries that don't count are left out unless asked for.
//! Knows nothing of: what entries lead to.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use parallax::adapters::log::file::FileLog;
use parallax::adapters::log::kafka::{self, LogTopics};
use parallax::config::endpoint::LogEndpoint;
use parallax::decide::format;
use parallax::engine::Epoch;
use parallax::model::entry::{Checkpoint, Entry, EvaluatorEntry, TimesSaid, Vitals};
use parallax::model::spec::RulesSpec;
use parallax::model::time::EventTime;
use parallax::model::times::{Tempo, Times};
use parallax::runtime::log::{Body, LogFrame, Stream};
use serde_json::{Value, json};

use super::Output;

/// Print what a pipeline wrote down.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax log fraud.yaml --stream evaluator\n  parallax log fraud.yaml -o json | jq 'select(.kind == \"fact\")'"
)]
pub(super) struct Log {
    /// The pipeline file.
    pipeline: PathBuf,
    /// Only this stream: a task's partition, or `evaluator`.
    #[arg(long)]
    stream: Option<Chosen>,
    /// Also what a superseded owner wrote: it doesn't count.
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug)]
struct Chosen(Stream);

impl FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "evaluator" {
            return Ok(Self(Stream::Evaluator));
        }
        let partition = text.parse().map_err(|_| "write a partition, or evaluator".to_owned())?;
        Ok(Self(Stream::Task(partition)))
    }
}

impl Log {
    pub(super) fn run(self, output: Output) -> Result<()> {
        let endpoints = super::load(&self.pipeline)?.endpoints;
        let mut printer = Printer::new(self.all, output);
        match &endpoints.log {
            LogEndpoint::Folder(folder) => {
                for (stream, frames) in FileLog::read_only(folder)?.frames {
                    if self.stream.is_none_or(|chosen| chosen.0 == stream) {
                        printer.begin();
                        frames.into_iter().try_for_each(|frame| printer.take(&frame))?;
                    }
                }
            }
            LogEndpoint::Topic { name, .. } => {
                let endpoint = endpoints.kafka.context("a log on Kafka needs `kafka`")?;
                let topics = LogTopics::new(name);
                let streams = match self.stream {
                    Some(chosen) => vec![chosen.0],
                    None => (0..kafka::tasks(&endpoint, &topics)?)
                        .map(Stream::Task)
                        .chain([Stream::Evaluator])
                        .collect(),
                };
                for stream in streams {
                    printer.begin();
                    kafka::look(&endpoint, &topics, stream, |frame| printer.take(&frame))?;
                }
            }
        }
        printer.out.flush()?;
        Ok(())
    }
}

/// Prints the frames of one stream after the other.
struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    output: Output,
    all: bool,
    /// The epoch in force; none before the stream's first frame.
    current: Option<Epoch>,
}

impl Printer {
    fn new(all: bool, output: Output) -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), output, all, current: None }
    }

    fn begin(&mut self) {
        self.current = None;
    }

    fn take(&mut self, frame: &LogFrame) -> Result<()> {
        let current = self.current.get_or_insert(Epoch(frame.epoch));
        let is_claim = frame.body.claim().is_some();
        let counts =
            current.admits(frame.position, frame.epoch, is_claim) && frame.unsound_fact().is_none();
        if !counts && !self.all {
            return Ok(());
        }
        let epoch = if is_claim { frame.position } else { frame.epoch };
        let (kind, said) = match &frame.body {
            Body::Task(entry) => of_task(entry),
            Body::Evaluator(weighing) => of_evaluator(weighing),
        };
        if self.output == Output::Json {
            let mut line = json!({
                "stream": match frame.stream {
                    Stream::Task(partition) => json!(partition),
                    Stream::Evaluator => json!("evaluator"),
                },
                "position": frame.position,
                "epoch": epoch,
                "counts": counts,
                "appended_ms": frame.appended.map(|time| time.us() / 1000),
                "kind": kind,
            });
            if let (Value::Object(line), Value::Object(said)) = (&mut line, said) {
                line.extend(said);
            }
            return Ok(writeln!(self.out, "{line}")?);
        }
        let ignored = match (counts, frame.unsound_fact()) {
            (true, _) => "",
            (false, None) => "  (ignored: its epoch is over)",
            (false, Some(_)) => "  (ignored: a clock is wrong)",
        };
        Ok(writeln!(
            self.out,
            "{:<13} {:>8}  epoch {epoch:<6}  {kind:<7} {}{ignored}",
            frame.stream.to_string(),
            frame.position,
            in_words(&said)
        )?)
    }
}

/// `name value` pairs; what ends in `_us` as a time, what is empty not at all.
fn in_words(said: &Value) -> String {
    let pair = |(name, value): (&String, &Value)| match (name.strip_suffix("_us"), value) {
        (_, Value::Null) => None,
        (_, Value::Array(list)) if list.is_empty() => None,
        (Some(name), Value::Number(us)) => {
            let time = EventTime::from_us(us.as_i64()?);
            let said =
                if time <= EventTime::START { "start".to_owned() } else { format::time(time) };
            Some(format!("{name} {said}"))
        }
        (_, Value::String(text)) => Some(format!("{name} {text}")),
        (_, value) => Some(format!("{name} {value}")),
    };
    said.as_object().into_iter().flatten().filter_map(pair).collect::<Vec<_>>().join(", ")
}

fn claim(nonce: u64, config: u64) -> (&'static str, Value) {
    ("claim", json!({ "nonce": format!("{nonce:016x}"), "config": format!("{config:016x}") }))
}

fn of_task(entry: &Entry) -> (&'static str, Value) {
    match entry {
        Entry::Claim { nonce, config } => claim(*nonce, *config),
        Entry::Fact(fact) => (
            "fact",
            json!({
                "input": fact.input,
                "offset": fact.offset,
                "time_us": fact.time.us(),
                "end": fact.end,
                "confirmed_us": fact.confirmed.us(),
            }),
        ),
        Entry::Vitals(vitals) => ("vitals", seconds(vitals)),
        Entry::Checkpoint(closed) => ("closed", panes(closed)),
        Entry::Repeated(closed) => ("repeated", panes(closed)),
        Entry::Lost(loss) => (
            "lost",
            json!({
                "input": loss.input,
                "from": loss.from,
                "to": loss.to,
                "next": loss.next,
                "whole": loss.whole,
                "time_us": loss.max.us(),
            }),
        ),
        Entry::GapMarks(lack) => (
            "lacks",
            json!({ "comparison": lack.comparison, "input": lack.input, "to_us": lack.to.us() }),
        ),
        Entry::Feeds(points) => (
            "feeds",
            json!({
                "comparison": points.comparison,
                "partitions": points.partitions,
                "resume": points.resume.iter().map(|from| [from.offset, from.read_to]).collect::<Vec<_>>(),
            }),
        ),
        Entry::Times(said) => ("times", times_said(said)),
    }
}

/// Offsets by input, from (inclusive) and to (exclusive), and whether what lay there was old when it was read.
fn seconds(vitals: &Vitals) -> Value {
    json!({
        "at_us": vitals.at.us(),
        "offsets": vitals.arms.iter().map(|arm| [arm.from, arm.to]).collect::<Vec<_>>(),
        "catching_up": vitals.arms.iter().map(|arm| arm.catching_up).collect::<Vec<_>>(),
    })
}

fn panes(closed: &Checkpoint) -> Value {
    json!({
        "comparison": closed.comparison,
        "to_us": closed.to.us(),
        "panes": closed.panes.len(),
        "primary": closed.panes.iter().map(|pane| pane.primary.total()).sum::<u64>(),
        "candidate": closed.panes.iter().map(|pane| pane.candidate.total()).sum::<u64>(),
        "resume": closed.resume.iter().map(|from| [from.offset, from.read_to]).collect::<Vec<_>>(),
        "facts": closed.facts.len(),
        "files": closed.files.iter().map(|file| &file.name).collect::<Vec<_>>(),
    })
}

fn of_evaluator(weighing: &EvaluatorEntry) -> (&'static str, Value) {
    match weighing {
        EvaluatorEntry::Claim { nonce, config } => claim(*nonce, *config),
        EvaluatorEntry::Cut { ends, at } => ("cut", json!({ "at_us": at.us(), "ends": ends })),
        EvaluatorEntry::Panes { comparison, to, missing } => {
            let missing: Vec<_> = missing.iter().map(|(task, had)| (task, had.us())).collect();
            ("panes", json!({ "comparison": comparison, "to_us": to.us(), "missing": missing }))
        }
        EvaluatorEntry::Sent { sequence } => ("sent", json!({ "sequence": sequence })),
        EvaluatorEntry::Change(rules) => ("change", rules_of(rules)),
        EvaluatorEntry::Asks { revision, tempo } => {
            ("asks", json!({ "revision": revision, "tempo": tempo_of(tempo) }))
        }
        EvaluatorEntry::TempoChange(times) => ("retimes", times_of(times)),
        EvaluatorEntry::State { bytes, files } => (
            "state",
            json!({
                "bytes": bytes.len(),
                "files": files.iter().map(|file| &file.name).collect::<Vec<_>>(),
            }),
        ),
    }
}

/// Pane, wait and skew in seconds.
fn tempo_of(tempo: &Tempo) -> Value {
    json!([tempo.pane.as_secs(), tempo.wait.as_secs(), tempo.skew.as_secs()])
}

fn times_of(times: &Times) -> Value {
    json!({
        "revision": times.revision,
        "from_us": times.from.us(),
        "tempo": tempo_of(&times.tempo),
        "before": tempo_of(&times.before),
    })
}

fn times_said(said: &TimesSaid) -> Value {
    let mut value = times_of(&said.times);
    if let Some(hold) = said.hold {
        value["held_for"] = json!(hold.revision);
        value["held_to_us"] = json!(hold.to.us());
    }
    value["heard"] = json!(said.heard.position);
    value["config"] = json!(format!("{:016x}", said.config));
    value
}

fn rules_of(rules: &RulesSpec) -> Value {
    json!({
        "revision": rules.revision,
        "config": format!("{:016x}", rules.config_hash),
        "rules": rules.rules.iter().map(|rule| &rule.text).collect::<Vec<_>>(),
        "per_rollout": rules.certainty.per_rollout,
        "interval_s": rules.certainty.interval.as_secs(),
        "dependence": if rules.certainty.in_blocks { "blocks" } else { "estimated" },
        "mirrored": rules.mirrored,
        "shared_cause_investigates": rules.shared_cause_investigates,
        "dry_run": rules.dry_run,
    })
}
