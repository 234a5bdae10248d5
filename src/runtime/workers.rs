//! A pipeline run by the workers of one process.
//!
//! In: a driver for each worker, where records come from. Out: nothing but effects. Holds: a worker is one thread with
//! one source, one member of the group and tasks of its own, and knows no more of the others than of another
//! process; what one can't go on with ends all. Knows nothing of: records, entries, Kafka.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow};

use crate::runtime::clock::HostClock;
use crate::runtime::driver::{Driver, Observer};
use crate::runtime::end_barrier::EndBarrier;
use crate::runtime::live::{Live, TaskShare, Until};
use crate::runtime::snapshot::Snapshots;
use crate::runtime::source::Source;
use crate::runtime::stop::Stop;

/// Where the workers of a process get their records and their tasks from.
pub trait Inputs: Sync {
    /// Opens all inputs.
    ///
    /// # Errors
    /// They can't be read.
    fn open(&self) -> Result<Box<dyn Source + Send>>;

    /// Says which of so many `partitions` are a worker's, the `worker`th of `count`.
    ///
    /// # Errors
    /// The group can't be joined.
    fn share(&self, worker: usize, count: usize, partitions: u32) -> Result<TaskShare>;
}

/// The workers of a process.
pub struct Workers<'a> {
    /// Where records and tasks come from.
    pub inputs: &'a dyn Inputs,
    /// The host's clock.
    pub clock: HostClock,
    /// Asked to leave?
    pub stop: Stop,
    /// What can be read over HTTP.
    pub published: Snapshots,
    /// Ends found at the start, by task and input, where they end there.
    pub ends: Option<Vec<Vec<i64>>>,
    /// Records that are gone stop nothing.
    pub accept_loss: bool,
    /// Who is told what happens, of each worker.
    pub observers: &'a (dyn Fn() -> Vec<Box<dyn Observer>> + Sync),
}

/// What a worker begins with.
struct Begins {
    driver: Driver,
    published: Snapshots,
    until: Option<Until>,
}

impl Workers<'_> {
    /// Runs one worker for each driver until asked to leave, or until the ends. `source` is the first one's, already
    /// open.
    ///
    /// # Errors
    /// What the world refused the first worker that couldn't go on; what was written down before it stays
    /// true.
    pub fn run(&self, drivers: Vec<Driver>, source: Box<dyn Source + Send>) -> Result<()> {
        let count = drivers.len();
        let places = self.published.split(count).into_iter().zip(EndBarrier::of(count));
        let begin = drivers.into_iter().zip(places).map(|(driver, (published, barrier))| {
            let until = self.ends.clone().map(|ends| Until { ends, barrier });
            Begins { driver, published, until }
        });
        let failed = Mutex::new(None);
        let fail = |error: anyhow::Error| {
            self.stop.set();
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        };
        std::thread::scope(|scope| {
            let mut source = Some(source);
            for (worker, begins) in begin.enumerate() {
                let (source, fail) = (source.take(), &fail);
                let work = move || {
                    let _leaves = LeavesOnPanic(&self.stop);
                    let span = tracing::info_span!("worker", number = worker);
                    let _entered = (1 < count).then(|| span.enter());
                    if let Err(error) = self.work((worker, count), source, begins) {
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

    /// One worker, from its first record to its last.
    fn work(
        &self,
        (worker, count): (usize, usize),
        source: Option<Box<dyn Source + Send>>,
        begins: Begins,
    ) -> Result<()> {
        let Begins { mut driver, published, until } = begins;
        let mut source = source.map_or_else(|| self.inputs.open(), Ok)?;
        if self.accept_loss {
            driver.accept_loss();
        }
        for observer in (self.observers)() {
            driver.observe(observer);
        }
        let mut live = Live {
            share: self.inputs.share(worker, count, driver.partitions)?,
            driver: &mut driver,
            source: source.as_mut(),
            clock: self.clock,
            stop: self.stop.clone(),
            published,
            until,
            reopen: &|| Ok(self.inputs.open()?),
        };
        live.run()
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
