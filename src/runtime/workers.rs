//! A pipeline on Kafka, run by the workers of one process.
//!
//! In: a pipeline. Out: nothing but effects. Holds: a worker is one thread with one consumer, one member of the
//! group and tasks of its own, and knows no more of the others than of another process; what one can't go on
//! with ends all. Knows nothing of: records, entries.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow};

use crate::adapters::kafka::membership::Membership;
use crate::adapters::kafka::outlets::check_outlets;
use crate::adapters::kafka::routed::{Routed, by_feed};
use crate::adapters::kafka::sample;
use crate::adapters::kafka::source::KafkaSource;
use crate::config::Pipeline;
use crate::config::endpoint::{KafkaEndpoint, LogEndpoint, Threads};
use crate::model::feeds::Feeds;
use crate::runtime::clock::HostClock;
use crate::runtime::driver::{Driver, Observer};
use crate::runtime::end_barrier::Meeting;
use crate::runtime::live::{Live, Share, Until};
use crate::runtime::snapshot::Published;
use crate::runtime::source::{Source, SourceError};
use crate::runtime::stop::Stop;
use crate::wiring;

/// The workers of a process.
pub struct Workers<'a> {
    /// What they run.
    pub pipeline: &'a Pipeline,
    /// The cluster that it runs on.
    pub kafka: &'a KafkaEndpoint,
    /// The host's clock.
    pub clock: HostClock,
    /// Asked to leave?
    pub stop: Stop,
    /// What can be read over HTTP.
    pub published: Published,
    /// They end where the inputs end now.
    pub until_end: bool,
    /// Records that are gone stop nothing.
    pub accept_loss: bool,
    /// Who is told what happens, of each worker.
    pub observers: &'a (dyn Fn() -> Vec<Box<dyn Observer>> + Sync),
}

/// What a worker begins with.
struct Begins {
    driver: Driver,
    published: Published,
    until: Option<Until>,
}

impl Workers<'_> {
    /// Runs until asked to leave, or until the ends that were found at the start.
    ///
    /// # Errors
    /// What the world refused the first worker that couldn't go on; what was written down before it stays
    /// true.
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
        self.run_each(&pipeline, source, ends).map_err(|error| match error.downcast_ref() {
            Some(SourceError::NotAlone) => {
                let how = sample::how_keyed(self.kafka, topics, &counts, &pipeline.spec);
                if how.is_empty() { error } else { error.context(how) }
            }
            _ => error,
        })
    }

    fn run_each(
        &self,
        pipeline: &Pipeline,
        source: Box<dyn Source + Send>,
        ends: Option<Vec<Vec<i64>>>,
    ) -> Result<()> {
        let feeds = &pipeline.spec.feeds;
        let partitions = source.partitions();
        let count = count(self.pipeline.endpoints.threads, partitions);
        let mut begin = Vec::new();
        let drivers = wiring::drivers(pipeline, partitions, self.clock, count)?;
        let places = self.published.split(count).into_iter().zip(Meeting::of(count));
        for (driver, (published, meeting)) in drivers.into_iter().zip(places) {
            let until = ends.clone().map(|ends| Until { ends, meeting });
            begin.push(Begins { driver, published, until });
        }
        tracing::info!(
            pipeline = self.pipeline.spec.name,
            partitions,
            threads = count,
            dry_run = self.pipeline.spec.dry_run,
            "Running."
        );
        let failed = Mutex::new(None);
        let fail = |error: anyhow::Error| {
            self.stop.set();
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        };
        std::thread::scope(|scope| {
            let mut source = Some(source);
            for (worker, begins) in begin.into_iter().enumerate() {
                let (source, fail) = (source.take(), &fail);
                let work = move || {
                    let _leaves = LeavesOnPanic(&self.stop);
                    let span = tracing::info_span!("worker", number = worker);
                    let _entered = (1 < count).then(|| span.enter());
                    if let Err(error) = self.work((worker, count), feeds, source, begins) {
                        fail(error);
                    }
                };
                let name = format!("worker-{worker}");
                if let Err(error) = std::thread::Builder::new().name(name).spawn_scoped(scope, work)
                {
                    fail(anyhow!("start a thread: {error}"));
                }
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }

    fn connect(&self, feeds: &Feeds) -> Result<Box<dyn Source + Send>> {
        Ok(of_feeds(KafkaSource::connect(self.kafka, &self.pipeline.endpoints.topics)?, feeds))
    }

    /// One worker, from its first record to its last.
    fn work(
        &self,
        (worker, count): (usize, usize),
        feeds: &Feeds,
        source: Option<Box<dyn Source + Send>>,
        begins: Begins,
    ) -> Result<()> {
        let Begins { mut driver, published, until } = begins;
        let mut source = source.map_or_else(|| self.connect(feeds), Ok)?;
        if self.accept_loss {
            driver.accept_loss();
        }
        for observer in (self.observers)() {
            driver.observe(observer);
        }
        let mut live = Live {
            share: self.share((worker, count), feeds, driver.partitions)?,
            driver: &mut driver,
            source: source.as_mut(),
            clock: self.clock,
            stop: self.stop.clone(),
            published,
            until,
            reopen: &|| Ok(self.connect(feeds)?),
        };
        live.run()
    }

    /// A folder has one owner by its lock, and a bounded run reads everything itself: there the tasks are
    /// dealt out once.
    fn share(
        &self,
        (worker, count): (usize, usize),
        feeds: &Feeds,
        partitions: u32,
    ) -> Result<Share> {
        let shared = matches!(self.pipeline.endpoints.log, LogEndpoint::Topic { .. });
        if shared && !self.until_end {
            let member = Membership::join(self.kafka, &self.pipeline.endpoints.topics, worker)?;
            let total = feeds.partitions().iter().sum();
            let member = if feeds.is_routed() { member.for_one(total) } else { member };
            return Ok(Share::Group(Box::new(member)));
        }
        let is_ours = |partition: &u32| *partition as usize % count == worker;
        Ok(Share::Fixed((0..partitions).filter(is_ours).collect()))
    }
}

/// A worker that breaks takes the others with it, in order: its tasks would be nobody's.
struct LeavesOnPanic<'a>(&'a Stop);

impl Drop for LeavesOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set();
        }
    }
}

/// The source of a task with these feeds.
fn of_feeds(source: KafkaSource, feeds: &Feeds) -> Box<dyn Source + Send> {
    if feeds.is_routed() { Box::new(Routed::new(source, feeds.clone())) } else { Box::new(source) }
}

/// How many workers there are.
fn count(threads: Threads, partitions: u32) -> usize {
    let wanted = match threads {
        Threads::Auto => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Threads::Exactly(count) => count as usize,
    };
    wanted.clamp(1, (partitions as usize).max(1))
}
