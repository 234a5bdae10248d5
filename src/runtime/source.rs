//! Where records come from.
//!
//! In: positions. Out: records of one input and partition at a time, in offset order. Holds: nothing
//! blocks; what isn't drained waits in the source and stops nothing but its own partition. Knows
//! nothing of: what records mean.

use crate::model::record::Record;
use crate::model::time::EventTime;
use crate::runtime::clock::HostClock;

/// Takes a batch of records.
pub type Take<'t> = dyn FnMut(&[Record<'_>]) + 't;

/// End offsets and when they were confirmed.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Host time just before they were asked for.
    pub confirmed: EventTime,
    /// (input, partition, end offset): after everything that is written, also what can't be read yet.
    pub ends: Vec<(usize, u32, i64)>,
    /// Where an open transaction hides what is before the end.
    pub open: Vec<Open>,
}

/// A transaction that is neither committed nor aborted: nothing behind its first record can be read yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    /// The input that it writes to.
    pub input: usize,
    /// The input's partition.
    pub partition: u32,
    /// The first offset that can't be read.
    pub stable: i64,
    /// Since when it has been seen.
    pub since: EventTime,
    /// It is open for longer than the brokers allow any transaction to be.
    pub hangs: bool,
}

/// An input that no longer holds what is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Which.
    pub input: usize,
    /// First offset that it holds.
    pub first: i64,
    /// Its end.
    pub end: i64,
}

/// The first offset that a partition keeps, and its ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// First offset that is kept.
    pub first: i64,
    /// The last stable offset: what can be read ends here.
    pub end: i64,
    /// Next offset to be written. It lies behind `end` while a transaction is open.
    pub written: i64,
}

/// What all input topics hold: by partition and arm, `None` where a partition has no leader now.
pub type Kept = Vec<Vec<Option<Bounds>>>;

/// What can go wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The cluster can't be talked to.
    #[error("talk to Kafka at {brokers}: {reason}; {cure}")]
    Connect {
        /// Where.
        brokers: String,
        /// Why.
        reason: String,
        /// How to mend it.
        cure: String,
    },
    /// Topics don't fit.
    #[error("read the input topics: {0}")]
    Topics(String),
    /// A topic to write to isn't there, or refuses.
    #[error("write {what} to {topic}: {reason}")]
    Outlet {
        /// Topic.
        topic: String,
        /// What is written there.
        what: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Another process of the pipeline reads topics that only one may read.
    #[error(
        "another process runs this pipeline: inputs that aren't co-partitioned are one task in one process, and \
         only its owner reads them; let this one wait until that one has left, or make the topics co-partitioned"
    )]
    NotAlone,
    /// Files don't fit.
    #[error("{0}")]
    Files(String),
    /// Records that should be read are gone.
    #[error("read {topic}/{partition} at offset {offset}: {reason}")]
    Lost {
        /// Topic.
        topic: String,
        /// Partition.
        partition: u32,
        /// First offset that was asked for.
        offset: i64,
        /// Why, and what to do.
        reason: String,
    },
    /// A file can't be read.
    #[error("read {path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
}

/// A source of records.
pub trait Source {
    /// Number of partitions, the same for every input; as many tasks.
    fn partitions(&self) -> u32;

    /// Begins to read a partition at these offsets, by input; 0 is the first record there is, an input
    /// with one below 0 isn't read. Each input
    /// must reach its horizon: an earlier owner read that far.
    ///
    /// # Errors
    /// Records from there on are gone.
    fn begin(
        &mut self,
        partition: u32,
        offsets: &[i64],
        horizons: &[(usize, i64)],
    ) -> Result<(), SourceError>;

    /// Inputs of a partition that couldn't begin to be read like this, because records are gone.
    ///
    /// # Errors
    /// It can't be told.
    fn gaps(
        &mut self,
        _partition: u32,
        _offsets: &[i64],
        _horizons: &[(usize, i64)],
    ) -> Result<Vec<Gap>, SourceError> {
        Ok(Vec::new())
    }

    /// Returns whether any input of a partition ever held a record.
    ///
    /// # Errors
    /// It can't be asked.
    fn ever_held(&mut self, _partition: u32) -> Result<bool, SourceError> {
        Ok(true)
    }

    /// Reads a partition no more.
    fn end(&mut self, partition: u32);

    /// Hands what lies ready of one input and partition to `take`, at most `max` records; how many.
    ///
    /// # Errors
    /// Reading can't go on.
    fn drain(
        &mut self,
        input: usize,
        partition: u32,
        max: usize,
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError>;

    /// The same, of records before an offset only: `max` alone won't do where offsets have holes.
    ///
    /// # Errors
    /// Reading can't go on.
    fn drain_before(
        &mut self,
        input: usize,
        partition: u32,
        (max, _before): (usize, i64),
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError> {
        self.drain(input, partition, max, take)
    }

    /// The offset up to which everything was handed out.
    fn position(&self, input: usize, partition: u32) -> i64;

    /// Asks for the end offsets of everything; the answer comes through `take_ends`.
    ///
    /// # Errors
    /// It can't be asked any more.
    fn request_ends(&mut self, clock: HostClock) -> Result<(), SourceError>;

    /// The answer, once it is there.
    ///
    /// # Errors
    /// It can't be had any more.
    fn take_ends(&mut self) -> Result<Option<Ends>, SourceError>;

    /// Serves the client's events.
    ///
    /// # Errors
    /// The client has failed for good.
    fn pump(&mut self) -> Result<(), SourceError>;

    /// Tells lag monitors how far everything was read; best effort.
    fn commit(&mut self, positions: &[(usize, u32, i64)]);
}
