//! What a driver does to the world, as seams: real disks and topics, or a simulator's.
//!
//! In: rows, signals, unreadable records. Out: files that are whole or not there, messages that are taken
//! or not. Holds: nothing here decides anything. Knows nothing of: entries, epochs' order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::engine::evaluator::Rows;
use crate::engine::{DeadLetter, ReadAgain};
use crate::model::entry::TableFile;
use crate::model::notice::Notice;
use crate::model::row::{DecisionRow, PairRow, WindowRow};
use crate::model::signal::Signal;
use crate::runtime::log::{Body, Log, Stream};
use crate::runtime::source::SourceError;

/// Who stages files: an epoch of a stream. A zombie's stages and its successor's never meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Which stream's.
    pub stream: Stream,
    /// Its epoch.
    pub epoch: u64,
}

impl Owner {
    /// Returns what the names begin with of all that a stream ever staged.
    #[must_use]
    pub fn of(stream: Stream) -> String {
        match stream {
            Stream::Task(partition) => format!("t{partition}-"),
            Stream::Evaluator => "e-".to_owned(),
        }
    }

    /// Returns what the names begin with of all that it stages.
    #[must_use]
    pub fn tag(self) -> String {
        format!("{}{}", Self::of(self.stream), self.epoch)
    }
}

/// Where rows go.
pub trait Tables: Send {
    /// Stages rows of `pairs`, made by tasks that do this, durably.
    ///
    /// # Errors
    /// The disk refused.
    fn stage_pairs(
        &mut self,
        owner: Owner,
        partition: u32,
        file: &TableFile,
        rows: &[PairRow],
        config: u64,
    ) -> Result<()>;

    /// Stages rows of the evaluator's tables, weighed under this configuration, durably.
    ///
    /// # Errors
    /// The disk refused.
    fn stage(&mut self, owner: Owner, file: &TableFile, rows: &Rows, config: u64) -> Result<()>;

    /// Renames a file that `owner` staged into place; whether it is there now.
    ///
    /// # Errors
    /// The disk refused.
    fn complete(&mut self, owner: Owner, file: &TableFile) -> Result<bool>;

    /// Takes a file out of place whose rows are about to be written anew.
    ///
    /// # Errors
    /// The disk refused.
    fn remove(&mut self, file: &TableFile) -> Result<()>;

    /// Returns whether files of the evaluator lie in place that its log must know of.
    ///
    /// # Errors
    /// The disk refused.
    fn holds_reports(&self) -> Result<bool> {
        Ok(false)
    }

    /// Removes what older epochs of a stream staged: it belongs to nobody. Returns how many files.
    ///
    /// # Errors
    /// The disk refused.
    fn clear_older(&mut self, owner: Owner) -> Result<usize>;
}

/// Where signals go, one at a time.
pub trait SignalSink: Send {
    /// Sends one; what becomes of it is told by `poll`.
    fn start(&mut self, signal: &Signal);

    /// Keys under which somebody sent a lower sequence after these, all of them delivered: a consumer
    /// that only looks at the last message must see the newest again.
    fn overtaken(&mut self, newest: &BTreeMap<&str, u64>) -> Vec<String>;

    /// Returns what became of the one that was sent, once it is known; sending it again is harmless.
    fn poll(&mut self) -> Option<Result<()>>;
}

/// What the group of a pipeline's processes did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// These partitions are ours now, and no others.
    Assigned(Vec<u32>),
    /// None is ours until the next assignment.
    Revoked,
}

/// The group that hands partitions out to the processes of a pipeline.
pub trait Group: Send {
    /// Returns the next change, if there was one, for a process that `holds` tasks or none. To be called often:
    /// a member that doesn't call is thought dead.
    ///
    /// # Errors
    /// The client failed for good, or partitions that belong together were handed out apart.
    fn poll(&mut self, holds: bool) -> Result<Option<Change>, SourceError>;

    /// Tells lag monitors how far everything was read, as (input, partition, offset); best effort.
    fn commit(&mut self, positions: &[(usize, u32, i64)]);
}

/// Where unreadable records go.
pub trait LetterSink: Send {
    /// Takes a record that couldn't be read.
    ///
    /// # Errors
    /// It can't be written.
    fn put(&mut self, partition: u32, letter: &DeadLetter) -> Result<()>;

    /// Returns whether all that were taken are there for good; doesn't wait for a topic.
    ///
    /// # Errors
    /// They can't be.
    fn flush(&mut self) -> Result<bool>;
}

/// What a driver needs of the world.
pub struct Ports {
    /// A handle of the log for the tasks.
    pub tasks_log: Box<dyn Log>,
    /// Another for the evaluator.
    pub evaluator_log: Box<dyn Log>,
    /// Where rows go.
    pub tables: Box<dyn Tables>,
    /// Where signals go.
    pub signals: Box<dyn SignalSink>,
    /// Where unreadable records go.
    pub letters: Box<dyn LetterSink>,
    /// Tells this process' claims from all others.
    pub nonce: u64,
    /// How long leaving in order may take.
    pub limits: ShutdownLimits,
}

/// How long leaving in order may take: so often it is looked whether all is written down.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownLimits {
    /// Looks.
    pub looks: u32,
    /// Time between two.
    pub pause: Duration,
}

impl Default for ShutdownLimits {
    /// Twenty seconds.
    fn default() -> Self {
        Self { looks: 20_000, pause: Duration::from_millis(1) }
    }
}

/// A pipeline file that doesn't fit the log: it says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OtherConfiguration(pub String);

/// What people are told as it happens.
pub trait Observer: Send {
    /// A rule was shown.
    fn decided(&mut self, row: &DecisionRow);
    /// A window was reported.
    fn reported(&mut self, row: &WindowRow);
    /// Something keeps a candidate from being judged.
    fn noticed(&mut self, _notice: &Notice) {}
    /// How far tasks have come with what earlier owners had read; those that have read it all again
    /// aren't among them. Told when a task begins, and each second.
    fn recovering(&mut self, _tasks: &[(u32, ReadAgain)]) {}
}

/// Frames appended by a stream's owner and not read back yet.
pub(in crate::runtime) type InFlight = BTreeMap<Stream, usize>;

/// Appends under an epoch, counting what is on its way.
pub(in crate::runtime) fn append(
    log: &mut dyn Log,
    in_flight: &mut InFlight,
    (stream, epoch): (Stream, u64),
    body: Body,
) -> Result<()> {
    log.append(stream, epoch, body)?;
    *in_flight.entry(stream).or_default() += 1;
    Ok(())
}
