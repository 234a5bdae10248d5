//! What can be told of a pipeline by somebody who owns nothing of it.
//!
//! In: a pipeline. Out: how it stands, and its verdicts, by its log. Holds: nothing is claimed, locked or written.
//! Knows nothing of: what entries mean.

use anyhow::Result;

use crate::adapters::kafka::bounds::bounds;
use crate::adapters::log::reader::Reader;
use crate::config::Pipeline;
use crate::runtime::clock::HostClock;
use crate::runtime::inspect::Inspection;
use crate::runtime::told::Told;

/// Looks at a pipeline's log and inputs.
///
/// # Errors
/// There is no log, or it can't be read.
pub fn inspection(pipeline: &Pipeline) -> Result<Inspection> {
    let mut log = Reader::open(&pipeline.endpoints)?;
    let asked = pipeline.endpoints.kafka.as_ref();
    let asked = asked.map(|kafka| bounds(kafka, &pipeline.endpoints.topics));
    Inspection::of(pipeline, &mut log, asked)
}

/// Tells verdicts by a pipeline's log, which is opened anew each time.
#[must_use]
pub fn told(pipeline: Pipeline, clock: HostClock) -> Told {
    let endpoints = pipeline.endpoints.clone();
    Told::by_log(pipeline, clock, Box::new(move || Ok(Box::new(Reader::open(&endpoints)?))))
}
