//! `demo`: a candidate goes wrong and a rollback is explained; nothing to install.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::Args;
use parallax::adapters::generate::{Pace, to_kafka};
use parallax::adapters::http;
use parallax::adapters::kafka::mock::EmbeddedBroker;
use parallax::adapters::kafka::source::KafkaSource;
use parallax::config::endpoint::LogEndpoint;
use parallax::config::{self, Pipeline};
use parallax::generate::demo::{SECONDS, scenario};
use parallax::model::rule::Action;
use parallax::model::time::{EventTime, Span};
use parallax::runtime::clock::{HostClock, idle};
use parallax::runtime::live::{Live, TaskShare};
use parallax::runtime::snapshot::Snapshots;
use parallax::runtime::source::Source as _;
use parallax::runtime::stop::Stop;
use parallax::wiring;

use super::Output;
use super::report::{Collected, Collector, decision_json, explain};

/// See a candidate go wrong and a rollback explained.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Finish in less than 20 s.
    #[arg(long)]
    fast: bool,
    /// Numbers follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A candidate with nothing wrong.
    #[arg(long)]
    healthy: bool,
    /// Where tables go; an earlier demo there is replaced.
    #[arg(long, default_value = "out")]
    out: PathBuf,
}

/// Up to when the traffic has reached the broker: the demo's clock doesn't run ahead of it.
static REACHED: AtomicI64 = AtomicI64::new(0);

/// Marks a folder as a demo's, so that the next one may replace it.
const MARK: &str = ".parallax-demo";
const TOPICS: [&str; 4] =
    ["fraud.primary", "fraud.v8", "parallax.control", "parallax.dead-letters"];

impl Demo {
    pub(super) fn run(self, output: Output) -> Result<()> {
        let scenario = scenario(self.seed, self.healthy);
        let speed = if self.fast { 30.0 } else { 8.0 };
        let planted: Vec<EventTime> =
            scenario.faults.candidate.iter().map(|fault| scenario.begins(fault)).collect();
        prepare(&self.out)?;
        let broker = EmbeddedBroker::start(&TOPICS, i32::try_from(scenario.partitions)?)?;
        let pipeline = self.pipeline(&broker)?;
        let kafka = pipeline.endpoints.kafka.clone().context("the demo runs on Kafka")?;
        eprintln!(
            "An embedded Kafka at {}, traffic of seed {} {}: about {:.0} s.",
            kafka.brokers,
            self.seed,
            if self.healthy {
                "with a healthy candidate"
            } else {
                "with a candidate that goes wrong"
            },
            SECONDS / speed
        );
        let mut source = KafkaSource::connect(&kafka, &pipeline.endpoints.topics)?;
        let pace = HostClock::scaled(EventTime::from_us(scenario.start_us), speed);
        REACHED.store(scenario.start_us, Ordering::Relaxed);
        let clock = pace.behind(&REACHED);
        let mut driver = wiring::durable(&pipeline, source.partitions(), clock)?;
        let collected = Arc::new(Mutex::new(Collected { live: true, ..Collected::default() }));
        driver.observe(Box::new(Collector(Arc::clone(&collected))));
        let (published, stop) = (Snapshots::default(), Stop::default());
        let (_, bound) =
            http::start(pipeline.endpoints.http, published.clone(), None, stop.clone())?;
        if let Some(address) = bound {
            eprintln!(
                "Verdict at http://{address}/api/v1/pipelines/fraud/verdict, why it waits at http://{address}/api/v1/why"
            );
        }
        let topics = pipeline.endpoints.topics.clone();
        let end = EventTime::from_us(scenario.start_us).plus(Span::from_us(360_000_000));
        let traffic = {
            let stop = stop.clone();
            std::thread::Builder::new().name("traffic".to_owned()).spawn(move || {
                to_kafka(scenario, &kafka, &topics, Pace::By(pace, &REACHED), &stop)
            })?
        };
        let watch = watch(Arc::clone(&collected), stop.clone(), clock, end)?;
        let share = TaskShare::Fixed((0..driver.partitions).collect());
        let mut live = Live {
            driver: &mut driver,
            source: &mut source,
            share,
            clock,
            stop: stop.clone(),
            published,
            until: None,
            reopen: &|| anyhow::bail!("the demo's arms don't drift apart"),
        };
        let lived = live.run();
        stop.set();
        let manifest =
            traffic.join().map_err(|_| anyhow::anyhow!("the traffic's thread panicked"))?;
        drop(watch.join());
        lived?;
        std::fs::write(self.out.join("manifest.json"), serde_json::to_vec_pretty(&manifest?)?)?;
        let collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
        self.print(&pipeline, &collected, &planted, output)
    }

    fn pipeline(&self, broker: &EmbeddedBroker) -> Result<Pipeline> {
        let text = include_str!("../../pipelines/fraud.yaml");
        let mut pipeline =
            config::load(text, "pipelines/fraud.yaml", &std::collections::HashMap::new())
                .map_err(|problems| super::BadPipeline(problems.render(false)))?;
        let endpoints = &mut pipeline.endpoints;
        endpoints.kafka = Some(broker.endpoint("parallax-demo"));
        endpoints.output.clone_from(&self.out);
        endpoints.log = LogEndpoint::Folder(self.out.join(".state"));
        endpoints.http = Some(([127, 0, 0, 1], 0).into());
        Ok(pipeline)
    }

    fn print(
        &self,
        pipeline: &Pipeline,
        collected: &Collected,
        planted: &[EventTime],
        output: Output,
    ) -> Result<()> {
        let text = match output {
            Output::Table => {
                explain(&pipeline.spec, collected, planted, &self.out.display().to_string())
            }
            Output::Json => {
                let rows: Vec<_> = collected.decisions.iter().map(decision_json).collect();
                format!(
                    "{}\n",
                    serde_json::json!({ "seed": self.seed, "healthy": self.healthy, "decisions": rows })
                )
            }
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// Ends the demo some seconds after its rollback, or when its traffic has been weighed.
fn watch(
    collected: Arc<Mutex<Collected>>,
    stop: Stop,
    clock: HostClock,
    end: EventTime,
) -> Result<std::thread::JoinHandle<()>> {
    let watch = move || {
        let mut rolled_back: Option<EventTime> = None;
        while !stop.is_set() {
            let now = clock.now();
            let decided = {
                let collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                collected.decisions.iter().any(|row| row.action == Action::Rollback)
            };
            if decided && rolled_back.is_none() {
                rolled_back = Some(now);
            }
            let after = rolled_back.is_some_and(|at| at.plus(Span::from_secs(5)) < now);
            if after || end.plus(Span::from_secs(70)) < now {
                stop.set();
            }
            idle(std::time::Duration::from_millis(50));
        }
    };
    Ok(std::thread::Builder::new().name("watch".to_owned()).spawn(watch)?)
}

/// An empty folder: an earlier demo's is replaced, anything else is left alone.
fn prepare(out: &Path) -> Result<()> {
    let mark = out.join(MARK);
    if mark.exists() {
        std::fs::remove_dir_all(out).with_context(|| format!("replace {}", out.display()))?;
    } else if out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        anyhow::bail!(
            "{} isn't empty and isn't an earlier demo's; choose another with --out",
            out.display()
        );
    }
    std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    std::fs::write(&mark, "This folder belongs to `parallax demo`, which replaces it.\n")?;
    Ok(())
}
