//! Puts an engine together: from its log, or from nothing.
//!
//! In: a pipeline, a number of partitions. Out: a driver and where to begin reading. Holds: what
//! valid entries name is completed before anything else happens; a new owner claims every stream.
//! Knows nothing of: where records come from.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::clock::HostClock;
use super::driver::{Driver, Ledger};
use super::kafka::producer::{ControlProducer, DeadLetterProducer};
use super::log::{Contents, Log};
use super::sink::{Letters, Lines, Signals};
use super::tables::Stage;
use crate::config::Pipeline;
use crate::config::endpoint::Endpoints;
use crate::engine::evaluator::Evaluator;
use crate::engine::{Frame, Task, valid};
use crate::model::entry::{Entry, Weighing};

/// Offsets to begin at, by partition and input.
pub type Offsets = Vec<Vec<i64>>;

/// An engine that goes on from its log.
///
/// # Errors
/// The log, the tables or the topics refuse.
pub fn durable(
    pipeline: &Pipeline,
    partitions: u32,
    clock: HostClock,
) -> Result<(Driver, Offsets)> {
    let Pipeline { spec, endpoints, .. } = pipeline;
    let (mut log, contents) = Log::open(&endpoints.log, partitions)?;
    if let Some(torn) = &contents.torn {
        tracing::warn!(torn, "A crash tore the log's tail; nothing that was promised is lost.");
    }
    let (tasks, weighings) = valid_entries(contents);
    check_config(spec.config_hash, &tasks)?;
    let tables = Stage::new(&endpoints.output, spec)?;
    let (completed, removed) = tables.recover(&named(&tasks, &weighings))?;
    if completed + removed != 0 {
        tracing::info!(
            completed,
            removed,
            "Staged files of an earlier run were completed or removed."
        );
    }
    #[expect(clippy::cast_sign_loss, reason = "a nonce")]
    let nonce = clock.now().us() as u64 ^ u64::from(std::process::id());
    for task in 0..partitions {
        log.claim_task(task, spec.config_hash, nonce)?;
    }
    log.claim_evaluator(spec.config_hash, nonce)?;
    log.sync()?;
    let sinks = sinks(endpoints, false)?;
    put_together(pipeline, &tasks, &weighings, Ledger::Durable(Box::new(log)), tables, sinks)
}

/// An engine that starts from nothing but `known` facts by task and keeps no log; signals and letters
/// go to files in `out`.
///
/// # Errors
/// The folder refuses.
pub fn in_memory(
    pipeline: &Pipeline,
    partitions: u32,
    known: Option<Vec<Vec<(u64, Entry)>>>,
) -> Result<(Driver, Offsets)> {
    let Pipeline { spec, endpoints, .. } = pipeline;
    let tables = Stage::new(&endpoints.output, spec)?;
    tables.recover(&[])?;
    let tasks = known.unwrap_or_else(|| vec![Vec::new(); partitions as usize]);
    let ledger = Ledger::Memory { positions: vec![0; partitions as usize] };
    let files = Endpoints { control_topic: None, dead_letter_topic: None, ..endpoints.clone() };
    put_together(pipeline, &tasks, &[], ledger, tables, sinks(&files, true)?)
}

fn put_together(
    pipeline: &Pipeline,
    tasks: &[Vec<(u64, Entry)>],
    weighings: &[Weighing],
    ledger: Ledger,
    tables: Stage,
    sinks: (Signals, Letters),
) -> Result<(Driver, Offsets)> {
    let spec = Arc::new(pipeline.spec.clone());
    let evaluator = Evaluator::recover(Arc::clone(&spec), tasks, weighings)
        .map_err(anyhow::Error::msg)
        .context("go on from the log")?;
    let owners: Vec<Task> = (0_u32..)
        .zip(tasks)
        .map(|(number, entries)| {
            Task::recover(Arc::clone(&spec), number, entries.iter().map(|(_, entry)| entry))
        })
        .collect();
    let inputs = spec.candidates.len() + 1;
    let offsets =
        owners.iter().map(|task| (0..inputs).map(|input| task.position(input)).collect()).collect();
    Ok((Driver::new(spec, (owners, evaluator), ledger, tables, sinks), offsets))
}

/// By task the valid entries with their positions, and the evaluator's.
#[must_use]
pub fn valid_entries(contents: Contents) -> (Vec<Vec<(u64, Entry)>>, Vec<Weighing>) {
    let is_claim = |entry: &Entry| matches!(entry, Entry::Claim { .. });
    let tasks = contents
        .tasks
        .into_iter()
        .map(|frames: Vec<(u64, Frame<Entry>)>| valid(frames, is_claim).collect());
    let is_claim = |entry: &Weighing| matches!(entry, Weighing::Claim { .. });
    let weighings = valid(contents.evaluator, is_claim).map(|(_, entry)| entry).collect();
    (tasks.collect(), weighings)
}

/// Files that valid entries name.
fn named(tasks: &[Vec<(u64, Entry)>], weighings: &[Weighing]) -> Vec<String> {
    let of_tasks = tasks.iter().flatten().filter_map(|(_, entry)| match entry {
        Entry::Closed(closed) => Some(&closed.files),
        Entry::Claim { .. } | Entry::Fact(_) | Entry::Vitals(_) => None,
    });
    let of_evaluator = weighings.iter().filter_map(|entry| match entry {
        Weighing::State { files, .. } => Some(files),
        Weighing::Claim { .. }
        | Weighing::Cut { .. }
        | Weighing::Panes { .. }
        | Weighing::Sent { .. } => None,
    });
    of_tasks.chain(of_evaluator).flatten().cloned().collect()
}

/// A change of meaning on a running log isn't built yet: two meanings must not mix in one window.
fn check_config(hash: u64, tasks: &[Vec<(u64, Entry)>]) -> Result<()> {
    let other = tasks.iter().flatten().find_map(|(_, entry)| match entry {
        Entry::Claim { config, .. } if *config != hash => Some(*config),
        _ => None,
    });
    anyhow::ensure!(
        other.is_none(),
        "the log was written by another version of this pipeline file (configuration {:016x}, now {hash:016x}); \
         restore the file, or give the new one its own `log.directory`",
        other.unwrap_or_default()
    );
    Ok(())
}

fn sinks(endpoints: &Endpoints, fresh: bool) -> Result<(Signals, Letters)> {
    let file = |name: &str| Lines::new(&Path::new(&endpoints.output).join(name), fresh);
    let signals = match (&endpoints.control_topic, &endpoints.kafka) {
        (Some(topic), Some(kafka)) => Signals::Topic(ControlProducer::new(kafka)?, topic.clone()),
        _ => Signals::File(file("signals.jsonl")),
    };
    let topics = endpoints.topics.clone();
    let letters = match (&endpoints.dead_letter_topic, &endpoints.kafka) {
        (Some(topic), Some(kafka)) => {
            Letters::Topic(DeadLetterProducer::new(kafka, topic)?, topics)
        }
        _ => Letters::File(file("dead_letters.jsonl"), topics),
    };
    Ok((signals, letters))
}
