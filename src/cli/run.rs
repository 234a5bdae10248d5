//! `run`: a pipeline on Kafka.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use parallax::config::endpoint::LogEndpoint;
use parallax::shell::assemble;
use parallax::shell::clock::HostClock;
use parallax::shell::http::{self, Published};
use parallax::shell::kafka::membership::Membership;
use parallax::shell::kafka::source::KafkaSource;
use parallax::shell::live::Live;
use parallax::shell::source::Source;
use parallax::shell::stop::Stop;

use super::recovery::Recovery;
use super::report::Told;

/// Run a pipeline on Kafka.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax run pipelines/fraud.yaml\n  parallax run pipelines/fraud.yaml --until-end"
)]
pub(super) struct Run {
    /// The pipeline file.
    pipeline: PathBuf,
    /// Stop at the ends that the topics have now, and close everything.
    #[arg(long)]
    until_end: bool,
    /// Go on where an input no longer holds what is to be read again (its retention was too short, it was
    /// truncated or made anew): write the loss down, and mark every pane and window that may lack records.
    #[arg(long)]
    accept_loss: bool,
}

impl Run {
    pub(super) fn run(self) -> Result<()> {
        let pipeline = super::load(&self.pipeline)?;
        let Some(kafka) = &pipeline.endpoints.kafka else {
            anyhow::bail!(
                "{} has no `kafka` section; add `kafka: {{brokers: host:port}}`, or use `replay`",
                self.pipeline.display()
            );
        };
        let clock = HostClock::Real;
        // First, so that who is asked to leave while it still looks for its brokers leaves in order.
        let (published, stop) = (Published::default(), Stop::default());
        let (_, bound) = http::start(pipeline.endpoints.http, published.clone(), stop.clone())?;
        let mut source = KafkaSource::connect(kafka, &pipeline.endpoints.topics)?;
        let mut driver = assemble::durable(&pipeline, source.partitions(), clock)?;
        let until = if self.until_end { Some(source.ends_now()?) } else { None };
        // A folder has one owner by its lock; a bounded run reads everything itself.
        let shared = matches!(pipeline.endpoints.log, LogEndpoint::Topic { .. });
        let membership = if shared && until.is_none() {
            Some(Membership::join(kafka, &pipeline.endpoints.topics, 0)?)
        } else {
            None
        };
        if self.accept_loss {
            driver.accept_loss();
        }
        driver.observe(Box::new(Told));
        driver.observe(Box::new(Recovery::new()));
        tracing::info!(
            pipeline = pipeline.spec.name,
            partitions = source.partitions(),
            http = bound.map(|address| address.to_string()),
            dry_run = pipeline.spec.dry_run,
            "Running."
        );
        let reopen = || -> Result<Box<dyn Source>> {
            Ok(Box::new(KafkaSource::connect(kafka, &pipeline.endpoints.topics)?))
        };
        let mut live = Live {
            driver: &mut driver,
            source: &mut source,
            membership,
            clock,
            stop,
            published,
            until,
            reopen: &reopen,
        };
        live.run()?;
        tracing::info!("Left in order: everything read is written down.");
        Ok(())
    }
}
