//! A pipeline on a Kafka cluster: its inputs, its group, its workers.
//!
//! In: a pipeline. Out: nothing but effects. Holds: what doesn't fit is found at the start, before anything is read.
//! Knows nothing of: records, entries, what workers do.

use anyhow::Result;

use crate::adapters::kafka::membership::Membership;
use crate::adapters::kafka::outlets::check_outlets;
use crate::adapters::kafka::routed::{Routed, by_feed};
use crate::adapters::kafka::sample;
use crate::adapters::kafka::source::KafkaSource;
use crate::config::Pipeline;
use crate::config::endpoint::{KafkaEndpoint, LogEndpoint, Threads};
use crate::model::feeds::Feeds;
use crate::runtime::clock::HostClock;
use crate::runtime::driver::Observer;
use crate::runtime::live::TaskShare;
use crate::runtime::snapshot::Snapshots;
use crate::runtime::source::{Source, SourceError};
use crate::runtime::stop::Stop;
use crate::runtime::workers::{Inputs, Workers};

/// A pipeline to be run on a cluster.
pub struct ClusterRun<'a> {
    /// What is run.
    pub pipeline: &'a Pipeline,
    /// The cluster that it runs on.
    pub kafka: &'a KafkaEndpoint,
    /// The host's clock.
    pub clock: HostClock,
    /// Asked to leave?
    pub stop: Stop,
    /// What can be read over HTTP.
    pub published: Snapshots,
    /// It ends where the inputs end now.
    pub until_end: bool,
    /// Records that are gone stop nothing.
    pub accept_loss: bool,
    /// Who is told what happens, of each worker.
    pub observers: &'a (dyn Fn() -> Vec<Box<dyn Observer>> + Sync),
}

/// The topics of a cluster as inputs.
struct Topics<'a> {
    kafka: &'a KafkaEndpoint,
    /// With the feeds that its topics make.
    pipeline: &'a Pipeline,
    until_end: bool,
}

impl ClusterRun<'_> {
    /// Runs until asked to leave, or until the ends that were found at the start.
    ///
    /// # Errors
    /// Topics don't fit or refuse; what the world refused the first worker that couldn't go on. What was
    /// written down before it stays true.
    pub fn run(&self) -> Result<()> {
        let topics = &self.pipeline.endpoints.topics;
        let source = KafkaSource::connect(self.kafka, topics)?;
        check_outlets(self.kafka, &self.pipeline.endpoints)?;
        let counts = source.counts().to_vec();
        let spec = sample::with_feeds(self.kafka, topics, &counts, &self.pipeline.spec)?;
        let feeds = &spec.feeds;
        let ends = if self.until_end { Some(source.ends_now()?) } else { None };
        let ends = ends.map(|ends| if feeds.is_routed() { by_feed(feeds, &ends) } else { ends });
        let source = of_feeds(source, feeds);
        let pipeline = Pipeline { spec, ..self.pipeline.clone() };
        self.run_workers(&pipeline, source, ends).map_err(|error| match error.downcast_ref() {
            Some(SourceError::NotAlone) => {
                let how = sample::how_keyed(self.kafka, topics, &counts, &pipeline.spec);
                if how.is_empty() { error } else { error.context(how) }
            }
            _ => error,
        })
    }

    fn run_workers(
        &self,
        pipeline: &Pipeline,
        source: Box<dyn Source + Send>,
        ends: Option<Vec<Vec<i64>>>,
    ) -> Result<()> {
        let partitions = source.partitions();
        let count = count(pipeline.endpoints.threads, partitions);
        let drivers = super::drivers(pipeline, partitions, self.clock, count)?;
        tracing::info!(
            pipeline = pipeline.spec.name,
            partitions,
            threads = count,
            dry_run = pipeline.spec.dry_run,
            "Running."
        );
        let inputs = Topics { kafka: self.kafka, pipeline, until_end: self.until_end };
        let workers = Workers {
            inputs: &inputs,
            clock: self.clock,
            stop: self.stop.clone(),
            published: self.published.clone(),
            ends,
            accept_loss: self.accept_loss,
            observers: self.observers,
        };
        workers.run(drivers, source)
    }
}

impl Inputs for Topics<'_> {
    fn open(&self) -> Result<Box<dyn Source + Send>> {
        let source = KafkaSource::connect(self.kafka, &self.pipeline.endpoints.topics)?;
        Ok(of_feeds(source, &self.pipeline.spec.feeds))
    }

    /// A folder has one owner by its lock, and a bounded run reads everything itself: there the tasks are
    /// dealt out once.
    fn share(&self, worker: usize, count: usize, partitions: u32) -> Result<TaskShare> {
        let Pipeline { spec, endpoints, .. } = self.pipeline;
        let shared = matches!(endpoints.log, LogEndpoint::Topic { .. });
        if shared && !self.until_end {
            let member = Membership::join(self.kafka, &endpoints.topics, &spec.feeds, worker)?;
            return Ok(TaskShare::Group(Box::new(member)));
        }
        let is_ours = |partition: &u32| *partition as usize % count == worker;
        Ok(TaskShare::Fixed((0..partitions).filter(is_ours).collect()))
    }
}

/// The source of a task with these feeds.
fn of_feeds(source: KafkaSource, feeds: &Feeds) -> Box<dyn Source + Send> {
    if feeds.is_routed() { Box::new(Routed::new(source, feeds.clone())) } else { Box::new(source) }
}

/// Returns how many workers there are.
fn count(threads: Threads, partitions: u32) -> usize {
    let wanted = match threads {
        Threads::Auto => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Threads::Exactly(count) => count as usize,
    };
    wanted.clamp(1, (partitions as usize).max(1))
}
