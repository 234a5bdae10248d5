//! `status`: how a pipeline stands, whether it runs or not.
//!
//! In: a pipeline file. Out: a row per task, the evaluator, what the process here says, what needs a
//! look. Holds: nothing is claimed or written, and no process has to help. Knows nothing of: how it is
//! found out.

mod document;
mod table;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use parallax::adapters::http::ask;
use parallax::config::Pipeline;
use parallax::model::time::EventTime;
use parallax::runtime::clock::HostClock;
use parallax::runtime::inspect::Inspection;
use parallax::wiring::reading;
use serde_json::Value;

use super::Output;

/// Say how a pipeline stands.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax status fraud.yaml\n  parallax status fraud.yaml -o json | jq '.tasks[] | {task, horizon}'"
)]
pub(super) struct Status {
    /// The pipeline file.
    pipeline: PathBuf,
}

/// All that is said.
struct Said<'a> {
    pipeline: &'a Pipeline,
    inspection: Inspection,
    /// The process that listens where the pipeline file says, if it lets one.
    process: Option<(SocketAddr, Result<Value, String>)>,
    now: EventTime,
}

impl Status {
    pub(super) fn run(self, output: Output) -> Result<()> {
        let pipeline = super::load(&self.pipeline)?;
        let inspection = reading::inspection(&pipeline)?;
        let process = pipeline.endpoints.http.map(|address| {
            let answer = ask::why(address).and_then(|why| ours(&pipeline.spec.name, why));
            (address, answer)
        });
        let now = HostClock::Real.now();
        let said = Said { pipeline: &pipeline, inspection, process, now };
        let text = match output {
            Output::Table => table::of(&said),
            Output::Json => format!("{:#}\n", document::of(&said)),
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// Pipelines share the default address: another may be the one that answers.
fn ours(pipeline: &str, why: Value) -> Result<Value, String> {
    match why["pipeline"].as_str() {
        Some(name) if name == pipeline => Ok(why),
        Some(name) => Err(format!("another pipeline answers there: {name}")),
        None => Err("it says nothing yet".to_owned()),
    }
}
