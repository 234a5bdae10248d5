//! `run`: a pipeline on Kafka.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use parallax::adapters::http;
use parallax::config::endpoint::LogEndpoint;
use parallax::runtime::clock::HostClock;
use parallax::runtime::snapshot::Snapshots;
use parallax::runtime::stop::Stop;
use parallax::wiring::cluster::ClusterRun;
use parallax::wiring::reading;

use super::Output;
use super::recovery::{Bars, Recovery};
use super::report::{self, compared, print_end};

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
    pub(super) fn run(self, output: Output) -> Result<()> {
        let pipeline = super::load(&self.pipeline)?;
        let Some(kafka) = &pipeline.endpoints.kafka else {
            anyhow::bail!(
                "{} has no `kafka` section; add `kafka: {{brokers: host:port}}`, or use `replay`",
                self.pipeline.display()
            );
        };
        // First, so that who is asked to leave while it still looks for its brokers leaves in order.
        let (published, stop) = (Snapshots::default(), Stop::default());
        // A log in a folder has one process, which weighs itself.
        let is_shared = matches!(pipeline.endpoints.log, LogEndpoint::Topic { .. });
        let told = is_shared.then(|| reading::told(pipeline.clone(), HostClock::Real));
        let (_, bound) =
            http::start(pipeline.endpoints.http, published.clone(), told, stop.clone())?;
        if let Some(address) = bound {
            tracing::info!(
                http = address.to_string(),
                "Verdicts, health and metrics can be read here."
            );
        }
        let bars = Bars::default();
        let run = ClusterRun {
            pipeline: &pipeline,
            kafka,
            clock: HostClock::Real,
            stop,
            published: published.clone(),
            until_end: self.until_end,
            accept_loss: self.accept_loss,
            observers: &|| vec![Box::new(report::Told), Box::new(Recovery::new(bars.clone()))],
        };
        run.run()?;
        tracing::info!("Left in order: everything read is written down.");
        if self.until_end {
            let verdicts: Vec<_> = published.read().verdicts.into_values().collect();
            print_end(&pipeline.spec, None, &verdicts, output);
            compared(&verdicts)?;
        }
        Ok(())
    }
}
