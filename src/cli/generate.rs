//! `generate`: traffic with faults to order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use parallax::adapters::generate::{Pace, create_topics, per_second, to_files, to_kafka};
use parallax::config::endpoint::KafkaEndpoint;
use parallax::generate::scenario::FaultKind;
use parallax::generate::{Fault, Manifest, Scenario, Where};
use parallax::rules::grammar::duration;
use parallax::runtime::clock::{HostClock, monotonic};
use parallax::runtime::stop::Stop;
use serde_json::json;

use super::Output;

/// Nobody waits for what a live run has sent.
static REACHED: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Make traffic with faults to order.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax generate --out data --rate 200 --errors 30%@5m\n  parallax generate --brokers 127.0.0.1:9092 --topics fraud.primary,fraud.v8 --live --rate 1000"
)]
pub(super) struct Generate {
    /// Write files into this folder.
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with = "brokers",
        required_unless_present = "brokers"
    )]
    out: Option<PathBuf>,
    /// Send to this cluster.
    #[arg(long, value_name = "HOST:PORT", requires = "topics")]
    brokers: Option<String>,
    /// Topics in input order: the primary's, then the candidates'.
    #[arg(long, value_delimiter = ',')]
    topics: Vec<String>,
    /// Send at the pace of event time, beginning now; else as fast as possible.
    #[arg(long)]
    live: bool,
    /// Numbers follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests in all.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// Requests per second of event time.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Partitions of every topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Candidates' names.
    #[arg(long, value_delimiter = ',', default_value = "v8")]
    candidates: Vec<String>,
    /// Event time of the first request (RFC 3339).
    #[arg(long)]
    start: Option<String>,
    /// Candidates' answers that are never sent.
    #[arg(long, default_value = "0%")]
    missing: Percent,
    /// Records that are sent again.
    #[arg(long, default_value = "0%")]
    duplicate: Percent,
    /// Arrival is delayed by up to this.
    #[arg(long, default_value = "0s")]
    disorder: Seconds,
    /// Records that arrive more than three times `--wait` late.
    #[arg(long, default_value = "0%")]
    beyond_wait: Percent,
    /// The pipeline's `time.wait`, for `--beyond-wait`.
    #[arg(long, default_value = "30s")]
    wait: Seconds,
    /// Partition 0 of the first candidate lags by this.
    #[arg(long, default_value = "0s")]
    lagging_partition: Seconds,
    /// One producer of eight stamps this far ahead, and sends in batches.
    #[arg(long, default_value = "0s")]
    clock_ahead: Seconds,
    /// A silence, such as 65s@5m.
    #[arg(long)]
    silence: Option<String>,
    /// Records that can't be read.
    #[arg(long, default_value = "0%")]
    broken: Percent,
    /// Requests whose assignment was forced.
    #[arg(long = "override", default_value = "0%")]
    overrides: Percent,
    /// The same, but only the primary's record says so, or only the candidates'.
    #[arg(long = "override-in-one-arm", default_value = "0%")]
    overrides_in_one_arm: Percent,
    /// The first candidate fails this share: 30%@5m, or 30%@5m:country=BR.
    #[arg(long)]
    errors: Vec<String>,
    /// It answers this share without a prediction.
    #[arg(long)]
    nulls: Vec<String>,
    /// It flips this share of its predictions.
    #[arg(long)]
    wrong: Vec<String>,
    /// It takes so many times as long: 4x@6m.
    #[arg(long)]
    slow: Vec<String>,
    /// It answers nothing from this time on: @3m.
    #[arg(long)]
    dead: Option<String>,
    /// It has a new model version from some time on: v9@2m.
    #[arg(long)]
    new_version: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text.strip_suffix('%').and_then(|t| t.parse::<f64>().ok()).map(|p| p / 100.0);
        share
            .filter(|s| (0.0..=1.0).contains(s))
            .map(Self)
            .ok_or_else(|| "write a percentage, such as 3%".to_owned())
    }
}

#[derive(Clone, Copy, Debug)]
struct Seconds(f64);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration(text)
            .map(|span| Self(span.as_secs()))
            .ok_or_else(|| "write a duration, such as 10s".to_owned())
    }
}

impl Generate {
    pub(super) fn run(self, output: Output) -> Result<()> {
        let mut scenario = self.scenario()?;
        warn_of_faults_after(&scenario);
        let begun = monotonic();
        let manifest = match (&self.out, &self.brokers) {
            (Some(folder), _) => to_files(scenario, folder)?,
            (None, Some(brokers)) => {
                let endpoint = KafkaEndpoint {
                    brokers: brokers.clone(),
                    group: "parallax-generate".to_owned(),
                    instance: None,
                    session_ms: 10_000,
                    properties: BTreeMap::new(),
                };
                anyhow::ensure!(
                    self.topics.len() == self.candidates.len() + 1,
                    "--topics needs one topic for the primary and one per candidate"
                );
                create_topics(&endpoint, &self.topics, i32::try_from(self.partitions)?)?;
                let pace = if self.live { Pace::By(HostClock::Real, &REACHED) } else { Pace::Full };
                if self.live {
                    scenario.start_us = HostClock::Real.now().us();
                }
                to_kafka(scenario, &endpoint, &self.topics, pace, &Stop::default())?
            }
            (None, None) => anyhow::bail!("say where: --out FOLDER or --brokers HOST:PORT"),
        };
        print(&manifest, output, begun);
        Ok(())
    }

    fn scenario(&self) -> Result<Scenario> {
        let rated = self.rate.is_finite() && 0.0 < self.rate;
        anyhow::ensure!(rated, "--rate: write more than 0");
        anyhow::ensure!(0 < self.partitions, "--partitions: write 1 or more");
        let mut scenario = Scenario {
            requests: self.requests,
            rate: self.rate,
            partitions: self.partitions,
            candidates: self.candidates.clone(),
            ..Scenario::fraud(self.seed)
        };
        if let Some(start) = &self.start {
            let start = start.parse::<jiff::Timestamp>().ok();
            scenario.start_us =
                start.context("--start: write 2026-01-01T10:00:00Z")?.as_microsecond();
        }
        let faults = &mut scenario.faults;
        faults.missing = self.missing.0;
        faults.duplicate = self.duplicate.0;
        faults.disorder_s = self.disorder.0;
        faults.beyond_wait = self.beyond_wait.0;
        faults.wait_s = self.wait.0;
        faults.lagging_partition_s = self.lagging_partition.0;
        faults.clock_ahead_s = self.clock_ahead.0;
        faults.broken = self.broken.0;
        faults.overrides = self.overrides.0;
        faults.overrides_in_one_arm = self.overrides_in_one_arm.0;
        if let Some(silence) = &self.silence {
            let (length, at) = silence.split_once('@').context("--silence: write 65s@5m")?;
            faults.silence_s = seconds("--silence", length)?;
            faults.silence_at_s = seconds("--silence", at)?;
        }
        let countries = &scenario.countries;
        faults.candidate = self.shares(countries)?;
        if let Some(at) = &self.dead {
            faults.candidate.push(fault("--dead", FaultKind::Dead, at.trim_start_matches('@'))?);
        }
        if let Some(text) = &self.new_version {
            let (version, at) = text.split_once('@').context("--new-version: write v9@2m")?;
            faults.candidate.push(fault(
                "--new-version",
                FaultKind::Version(version.to_owned()),
                at,
            )?);
        }
        Ok(scenario)
    }

    /// Faults with a size.
    fn shares(&self, countries: &[(String, f64)]) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for (name, texts, kind) in [
            ("--errors", &self.errors, FaultKind::Errors as fn(f64) -> FaultKind),
            ("--nulls", &self.nulls, FaultKind::Nulls),
            ("--wrong", &self.wrong, FaultKind::Wrong),
            ("--slow", &self.slow, FaultKind::Slow),
        ] {
            for text in texts {
                let example = if name == "--slow" { "4x@5m" } else { "30%@5m" };
                let wrong = || format!("{name}: write {example}, not `{text}`");
                let (size, rest) = text.split_once('@').with_context(wrong)?;
                let size = match size.strip_suffix('x') {
                    Some(factor) if name == "--slow" => factor.parse::<f64>().ok(),
                    None if name != "--slow" => size.parse::<Percent>().ok().map(|share| share.0),
                    _ => None,
                };
                let fault = fault(name, kind(size.with_context(wrong)?), rest)?;
                if let Some(country) = &fault.place.country {
                    let known: Vec<&str> =
                        countries.iter().map(|(known, _)| known.as_str()).collect();
                    anyhow::ensure!(
                        known.contains(&country.as_str()),
                        "{name}: no country `{country}`; there are {}",
                        known.join(", ")
                    );
                }
                faults.push(fault);
            }
        }
        Ok(faults)
    }
}

/// A fault that begins after the last request is none.
fn warn_of_faults_after(scenario: &Scenario) {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let end = scenario.requests as f64 / scenario.rate + scenario.faults.silence_s;
    for fault in scenario.faults.candidate.iter().filter(|fault| end <= fault.at_s) {
        eprintln!(
            "warning: a fault begins at {:.0} s, but the traffic ends at {end:.0} s: give more --requests, or a lower --rate",
            fault.at_s
        );
    }
}

fn seconds(name: &str, text: &str) -> Result<f64> {
    text.parse::<Seconds>().map(|s| s.0).map_err(|error| anyhow::anyhow!("{name}: {error}"))
}

/// `5m` or `5m:country=BR`.
fn fault(name: &str, kind: FaultKind, text: &str) -> Result<Fault> {
    let (at, place) = text.split_once(':').map_or((text, None), |(at, place)| (at, Some(place)));
    let country = match place {
        None => None,
        Some(place) => {
            let country = place.strip_prefix("country=");
            Some(
                country
                    .with_context(|| {
                        format!("{name}: only `country=…` can be chosen, such as 30%@5m:country=BR")
                    })?
                    .to_owned(),
            )
        }
    };
    Ok(Fault { kind, at_s: seconds(name, at)?, place: Where { country } })
}

fn print(manifest: &Manifest, output: Output, begun: std::time::Instant) {
    let records: u64 = manifest.records.iter().flatten().sum();
    match output {
        Output::Json => println!("{}", json!(manifest)),
        Output::Table => {
            println!("{} requests, {records} records", manifest.requests);
            for (what, count) in &manifest.injected {
                println!("  {what:<16} {count}");
            }
            eprintln!("{:.0} records a second", per_second(records, begun));
        }
    }
}
