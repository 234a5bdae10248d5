//! A log as somebody reads it who owns nothing, in a folder or on Kafka.
//!
//! In: where a log is. Out: frames of a stream as they are now. Holds: nothing is claimed, locked or
//! written, so it can be done beside running owners. Knows nothing of: what entries mean.

use anyhow::{Context as _, Result};

use super::file::{Contents, FileLog};
use super::kafka::{self, KafkaLog, LogTopics};
use crate::config::endpoint::{Endpoints, LogEndpoint};
use crate::runtime::log::{Begin, LogError, LogFrame, Stream};
use crate::runtime::log_reader::LogReader;

/// A log that is only looked at.
pub enum Reader {
    /// In a folder, read whole.
    Folder(Contents),
    /// On Kafka, with its number of tasks.
    Topic(Box<KafkaLog>, u32),
}

impl Reader {
    /// Opens the log that a pipeline names.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn open(endpoints: &Endpoints) -> Result<Self> {
        match &endpoints.log {
            LogEndpoint::Folder(folder) => Ok(Self::Folder(FileLog::read_only(folder)?)),
            LogEndpoint::Topic { name, .. } => {
                let endpoint = endpoints.kafka.as_ref().context("a log on Kafka needs `kafka`")?;
                let topics = LogTopics::new(name);
                let tasks = kafka::tasks(endpoint, &topics)?;
                Ok(Self::Topic(Box::new(KafkaLog::new(endpoint, topics)?), tasks))
            }
        }
    }
}

impl LogReader for Reader {
    fn tasks(&self) -> u32 {
        match self {
            Self::Folder(contents) => {
                let number = |stream: &Stream| match stream {
                    Stream::Task(partition) => partition + 1,
                    Stream::Evaluator => 0,
                };
                contents.frames.keys().map(number).max().unwrap_or(0)
            }
            Self::Topic(_, tasks) => *tasks,
        }
    }

    fn frames(
        &mut self,
        stream: Stream,
        from: Begin,
        most: u64,
    ) -> Result<(Vec<LogFrame>, bool), LogError> {
        match self {
            Self::Folder(contents) => {
                let behind = match from {
                    Begin::Tail(_) => 0,
                    Begin::Behind(position) => position,
                };
                let frames = contents.frames.get(&stream).map_or(&[][..], Vec::as_slice);
                let frames = frames.iter().filter(|frame| behind < frame.position);
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                Ok((frames.take(most).cloned().collect(), behind == 0))
            }
            Self::Topic(log, _) => {
                let mut frames = Vec::new();
                let whole = log.look(stream, from, most, |frame| {
                    frames.push(frame);
                    Ok::<_, LogError>(())
                })?;
                Ok((frames, whole))
            }
        }
    }
}
