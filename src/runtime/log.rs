//! The log: one append-only stream per task and one for the evaluator, behind one seam.
//!
//! In: entries under an epoch. Out: the same frames read back, in the order in which they count. Holds:
//! what `poll` hands out is durable; frames of a stream come in the order of their positions, from the
//! chosen place on, the handle's own among them; nothing is filtered. Knows nothing of: what entries
//! mean, who owns a stream.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::Epoch;
use crate::model::entry::{Entry, EvaluatorEntry, Fact};
use crate::model::time::EventTime;

/// Why frames may be gone, and how to go on.
pub const GONE: &str = "its retention was too short, or it was deleted, recreated or truncated. What is in the tables \
                        stays right; restore it, or begin anew: another `log` and another `output.directory`";

/// The version of the format that is written and read: `schemas/log.v3.md`.
pub const VERSION: u8 = 3;

/// Returns why a log of another version isn't read, and how to go on; `setting` is what names another log.
pub(crate) fn other_version(place: &str, version: u8, setting: &str) -> LogError {
    LogError::Foreign(if version < VERSION {
        format!(
            "{place} holds a log of version {version}: the engine that wrote it counted otherwise what is \
             evidence, so what it holds can't be weighed on. Give this \
             pipeline another `{setting}` and another `output.directory`: reading then begins with the oldest \
             records that the topics still hold. The old log and tables stay as they are; the engine that wrote \
             them still reads them"
        )
    } else {
        format!(
            "{place} holds a log of version {version}, which a later engine wrote; this one reads version \
             {VERSION}: update it, or give this pipeline another `{setting}` and another `output.directory`"
        )
    })
}

/// One stream of a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stream {
    /// A task's, by partition.
    Task(u32),
    /// The evaluator's.
    Evaluator,
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task(partition) => write!(f, "task {partition}"),
            Self::Evaluator => f.write_str("the evaluator"),
        }
    }
}

/// What a frame carries.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// Of a task's stream.
    Task(Arc<Entry>),
    /// Of the evaluator's.
    Evaluator(Arc<EvaluatorEntry>),
}

impl LogFrame {
    /// Returns what a task wrote, if one did.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match &self.body {
            Body::Task(entry) => Some(entry),
            Body::Evaluator(_) => None,
        }
    }

    /// Returns whether it is a fact that nobody may obey.
    #[must_use]
    pub fn unsound_fact(&self) -> Option<Fact> {
        match self.entry()? {
            Entry::Fact(fact) if !fact.is_sound(self.appended) => Some(*fact),
            _ => None,
        }
    }
}

impl Body {
    /// The nonce of a claim; `None` for anything else.
    #[must_use]
    pub fn claim(&self) -> Option<u64> {
        match self {
            Self::Task(entry) => match **entry {
                Entry::Claim { nonce, .. } => Some(nonce),
                Entry::Fact(_)
                | Entry::Vitals(_)
                | Entry::Checkpoint(_)
                | Entry::Lost(_)
                | Entry::GapMarks(_)
                | Entry::Repeated(_)
                | Entry::Feeds(_)
                | Entry::Times(_) => None,
            },
            Self::Evaluator(weighing) => match **weighing {
                EvaluatorEntry::Claim { nonce, .. } => Some(nonce),
                EvaluatorEntry::Cut { .. }
                | EvaluatorEntry::Panes { .. }
                | EvaluatorEntry::Sent { .. }
                | EvaluatorEntry::State { .. }
                | EvaluatorEntry::Change(_)
                | EvaluatorEntry::Asks { .. }
                | EvaluatorEntry::TempoChange(_) => None,
            },
        }
    }
}

/// A frame that was read back.
#[derive(Clone, PartialEq, Debug)]
pub struct LogFrame {
    /// Which stream.
    pub stream: Stream,
    /// Its position there, from 1, ascending; there may be gaps.
    pub position: u64,
    /// Position of its writer's claim; a claim's own doesn't count.
    pub epoch: u64,
    /// When the broker appended it, where it says.
    pub appended: Option<EventTime>,
    /// What it says.
    pub body: Body,
}

/// The frames of one stream that count; the epoch of each is then the one it counts under. Where
/// reading begins in the middle of an epoch, the newest one before the first claim is in force: the first
/// frame may be a zombie's.
pub fn valid(frames: Vec<LogFrame>) -> impl Iterator<Item = LogFrame> {
    let before = frames.iter().take_while(|frame| frame.body.claim().is_none());
    let mut current = Epoch(before.map(|frame| frame.epoch).max().unwrap_or_default());
    frames.into_iter().filter_map(move |frame| {
        let counts = current.admits(frame.position, frame.epoch, frame.body.claim().is_some());
        let counts = counts && frame.unsound_fact().is_none();
        counts.then_some(LogFrame { epoch: current.0, ..frame })
    })
}

/// Where reading a stream begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// So many frames before the end.
    Tail(u64),
    /// Behind this position.
    Behind(u64),
}

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused.
    #[error("{doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process owns it.
    #[error(
        "lock {0}: another process runs this pipeline; stop it, or give this one another `log.directory`"
    )]
    Locked(PathBuf),
    /// It isn't what was written.
    #[error("read {path} at byte {at}: {what}; restore the file, or move it away to begin anew")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// It is another pipeline's, or isn't as it must be.
    #[error("{0}")]
    Foreign(String),
    /// An earlier write failed: whether it arrived isn't known, so this owner's epochs have ended.
    #[error("append to the log: an earlier write failed: {0}")]
    Poisoned(String),
    /// Frames that are needed are gone.
    #[error("read the log of {stream}: {what}; {cure}")]
    Lost {
        /// Which stream.
        stream: Stream,
        /// What is gone.
        what: String,
        /// How to go on.
        cure: &'static str,
    },
    /// The cluster refused.
    #[error("{doing} the log topic {topic}: {reason}")]
    Kafka {
        /// What was tried.
        doing: &'static str,
        /// Which topic.
        topic: String,
        /// Why, and what to look at.
        reason: String,
    },
}

/// A log of one pipeline, as one of its users sees it.
pub trait Log: Send {
    /// Reads a stream from there on; its frames come through `poll`. Whether that is its very
    /// beginning.
    ///
    /// # Errors
    /// Frames from there on are gone, or it can't be read.
    fn read(&mut self, stream: Stream, from: Begin) -> Result<bool, LogError>;

    /// Returns where a stream lies, for people.
    fn place(&self, stream: Stream) -> String {
        stream.to_string()
    }

    /// Returns what is gone from before the first frame that a stream holds, if anything is.
    fn cut(&self, _stream: Stream) -> Option<String> {
        None
    }

    /// Reads a stream no more.
    fn forget(&mut self, stream: Stream);

    /// Appends; durable when `poll` hands it out.
    ///
    /// # Errors
    /// It can't be; the log isn't to be used any more.
    fn append(&mut self, stream: Stream, epoch: u64, body: Body) -> Result<(), LogError>;

    /// The next frame of any stream that is read, if one is there.
    ///
    /// # Errors
    /// Something was lost; the log isn't to be used any more.
    fn poll(&mut self) -> Result<Option<LogFrame>, LogError>;

    /// Everything that is needed is being read: what came before won't be asked for.
    fn settled(&mut self);

    /// Bytes appended through this handle.
    fn written(&self) -> u64;
}
