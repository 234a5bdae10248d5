//! Puts an engine together: with the log of its pipeline, or with one in memory.
//!
//! In: a pipeline, a number of partitions. Out: a driver that owns nothing yet. Holds: sinks are those
//! of the pipeline file, or files in a replay. Knows nothing of: where records come from.

pub mod cluster;
pub mod reading;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::adapters::kafka::admin::prepare_log;
use crate::adapters::kafka::producer::{ControlProducer, DeadLetterProducer};
use crate::adapters::log::file::FileLog;
use crate::adapters::log::kafka::{KafkaLog, LogTopics};
use crate::adapters::sinks::{Letters, Lines, Signals, SignalsTo};
use crate::adapters::tables::Stage;
use crate::config::Pipeline;
use crate::config::endpoint::{Endpoints, LogEndpoint};
use crate::model::time::{DAY, Span};
use crate::runtime::clock::HostClock;
use crate::runtime::driver::{Driver, Owner, Ports, ShutdownLimits, Tables as _};
use crate::runtime::log::{Log, LogFrame, Stream};

/// An engine with the log that the pipeline names.
///
/// # Errors
/// The log, the tables or the topics refuse.
pub fn durable(pipeline: &Pipeline, partitions: u32, clock: HostClock) -> Result<Driver> {
    let mut drivers = drivers(pipeline, partitions, clock, 1)?;
    drivers.pop().context("one driver was made")
}

/// Several that share it, each with handles of its own: one for each worker of a process.
///
/// # Errors
/// The log, the tables or the topics refuse.
pub fn drivers(
    pipeline: &Pipeline,
    partitions: u32,
    clock: HostClock,
    workers: usize,
) -> Result<Vec<Driver>> {
    let Pipeline { spec, endpoints, .. } = pipeline;
    let spec = Arc::new(spec.clone());
    let first = nonce(clock);
    let driver = |(worker, [tasks_log, evaluator_log]): (u64, [Box<dyn Log>; 2])| {
        let tables = Stage::new(&endpoints.output, &spec)?.logged();
        crate::adapters::output::release(&endpoints.output)?;
        let (signals, letters) = sinks(endpoints, false)?;
        let ports = Ports {
            tasks_log,
            evaluator_log,
            tables: Box::new(tables),
            signals: Box::new(signals),
            letters: Box::new(letters),
            nonce: first.wrapping_add(worker << 48),
            limits: ShutdownLimits::default(),
        };
        let mut driver = Driver::new(Arc::clone(&spec), partitions, ports);
        if let LogEndpoint::Topic { retention_ms, .. } = endpoints.log {
            driver.set_heartbeat(heartbeat(retention_ms));
        }
        Ok(driver)
    };
    let logs = logs(endpoints, partitions, workers)?;
    (0..).zip(logs).map(driver).collect()
}

/// Often enough that a broker keeps the last one, however late it looks.
fn heartbeat(retention_ms: i64) -> Span {
    Span::from_us(retention_ms.saturating_mul(1000) / 8).min(DAY)
}

/// Two handles of the log for each worker: its tasks' and its evaluator's.
fn logs(endpoints: &Endpoints, partitions: u32, workers: usize) -> Result<Vec<[Box<dyn Log>; 2]>> {
    match &endpoints.log {
        LogEndpoint::Folder(folder) => {
            let (log, torn) = FileLog::open(folder, partitions)?;
            if let Some(torn) = torn {
                tracing::warn!(
                    torn,
                    "A crash tore the log's tail; nothing that was promised is lost."
                );
            }
            // All handles are there before the first of them lets its history go.
            let handles = (1..2 * workers).map(|_| log.handle()).collect::<Vec<_>>();
            let mut handles =
                handles.into_iter().chain([log]).map(|log| Box::new(log) as Box<dyn Log>);
            let pair = |_| Some([handles.next()?, handles.next()?]);
            Ok((0..workers).filter_map(pair).collect())
        }
        LogEndpoint::Topic { name, retention_ms } => {
            let kafka = endpoints.kafka.as_ref().context("a log on Kafka needs `kafka`")?;
            let topics = LogTopics::new(name);
            prepare_log(kafka, &topics.wanted(partitions), *retention_ms)?;
            let log =
                || -> Result<Box<dyn Log>> { Ok(Box::new(KafkaLog::new(kafka, topics.clone())?)) };
            (0..workers).map(|_| Ok([log()?, log()?])).collect()
        }
    }
}

/// An engine that owns all tasks, starts from nothing but `known` frames, and keeps no log; signals and
/// letters go to files in the output folder.
///
/// # Errors
/// The folder refuses.
pub fn in_memory(
    pipeline: &Pipeline,
    partitions: u32,
    known: BTreeMap<Stream, Vec<LogFrame>>,
) -> Result<Driver> {
    let Pipeline { spec, endpoints, .. } = pipeline;
    let mut tables = Stage::new(&endpoints.output, spec)?;
    let tasks = (0..partitions).map(Stream::Task);
    for stream in tasks.chain([Stream::Evaluator]) {
        tables.clear_older(Owner { stream, epoch: u64::MAX })?;
    }
    let log = FileLog::in_memory(known);
    let files = Endpoints { control_topic: None, dead_letter_topic: None, ..endpoints.clone() };
    let (signals, letters) = sinks(&files, true)?;
    let ports = Ports {
        tasks_log: Box::new(log.handle()),
        evaluator_log: Box::new(log),
        tables: Box::new(tables),
        signals: Box::new(signals),
        letters: Box::new(letters),
        nonce: 0,
        limits: ShutdownLimits::default(),
    };
    let mut driver = Driver::new(Arc::new(spec.clone()), partitions, ports);
    driver.own(0..partitions)?;
    driver.set_bounded();
    driver.never_park();
    Ok(driver)
}

#[expect(clippy::cast_sign_loss, reason = "a nonce")]
fn nonce(clock: HostClock) -> u64 {
    let host = u64::from(std::process::id()) << 40;
    (clock.now().us() as u64 ^ host).rotate_left(20)
}

fn sinks(endpoints: &Endpoints, fresh: bool) -> Result<(Signals, Letters)> {
    let file = |name: &str| Lines::new(&Path::new(&endpoints.output).join(name), fresh);
    let signals = match (&endpoints.control_topic, &endpoints.kafka) {
        (Some(topic), Some(kafka)) => {
            SignalsTo::Topic(ControlProducer::new(kafka, topic)?, topic.clone())
        }
        _ => SignalsTo::File(file("signals.jsonl")),
    };
    let topics = endpoints.topics.clone();
    let letters = match (&endpoints.dead_letter_topic, &endpoints.kafka) {
        (Some(topic), Some(kafka)) => {
            Letters::Topic(DeadLetterProducer::new(kafka, topic)?, topics)
        }
        _ => Letters::File(file("dead_letters.jsonl"), topics),
    };
    Ok((Signals::new(signals), letters))
}
