//! Where signals and unreadable records go: a topic, or a file.
//!
//! In: signals, dead letters. Out: CloudEvents; the records unchanged with the reason beside them.
//! Holds: `poll` says when the signal is taken for good; letters are when `flush` says so.
//! Knows nothing of: what they mean.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::adapters::kafka::producer::{ControlProducer, DeadLetterProducer};
use crate::engine::DeadLetter;
use crate::model::signal::Signal;
use crate::runtime::driver::{LetterSink, SignalSink};

/// Signals on their way, one at a time.
#[derive(Debug)]
pub struct Signals {
    to: SignalsTo,
    /// What became of the last one, where it is known at once.
    result: Option<Result<()>>,
}

/// Where signals go.
#[derive(Debug)]
pub enum SignalsTo {
    /// A control topic.
    Topic(ControlProducer, String),
    /// A file of structured CloudEvents, one a line.
    File(Lines),
}

/// Where unreadable records go.
#[derive(Debug)]
pub enum Letters {
    /// A dead-letter topic.
    Topic(DeadLetterProducer, Vec<String>),
    /// A file, one a line.
    File(Lines, Vec<String>),
}

/// A file of JSON lines that is made when the first is written.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    fresh: bool,
}

impl Lines {
    /// Lines at `path`; a `fresh` one forgets what was there.
    #[must_use]
    pub fn new(path: &Path, fresh: bool) -> Self {
        Self { path: path.to_path_buf(), file: None, fresh }
    }

    fn write(&mut self, line: &Value) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                if let Some(parent) = self.path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                if !self.fresh && self.path.exists() {
                    cut_torn_line(&self.path)?;
                }
                let mut options = OpenOptions::new();
                options.create(true);
                let options = if self.fresh {
                    options.write(true).truncate(true)
                } else {
                    options.append(true)
                };
                self.file.insert(BufWriter::new(options.open(&self.path)?))
            }
        };
        writeln!(file, "{line}")
    }

    fn sync(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some(file) => {
                file.flush()?;
                file.get_ref().sync_data()
            }
            None => Ok(()),
        }
    }
}

/// Cuts what a crash or a full disk left of a last line: what it said is written again.
fn cut_torn_line(path: &Path) -> io::Result<()> {
    const CHUNK: u64 = 4096;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut end = file.metadata()?.len();
    let whole = loop {
        let begin = end.saturating_sub(CHUNK);
        let mut chunk = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        (&mut file).take(end - begin).read_to_end(&mut chunk)?;
        match chunk.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => break begin + at as u64 + 1,
            None if begin == 0 => break 0,
            None => end = begin,
        }
    };
    file.set_len(whole)
}

impl Signals {
    /// Signals to there.
    #[must_use]
    pub const fn new(to: SignalsTo) -> Self {
        Self { to, result: None }
    }
}

impl SignalSink for Signals {
    fn start(&mut self, signal: &Signal) {
        self.result = match &mut self.to {
            SignalsTo::Topic(producer, topic) => match producer.start(signal, topic) {
                Ok(()) => None,
                Err(error) => Some(Err(error.into())),
            },
            SignalsTo::File(lines) => Some(
                cloud_event(signal)
                    .and_then(|event| Ok(lines.write(&event)?))
                    .and_then(|()| Ok(lines.sync()?))
                    .with_context(|| format!("write {}", lines.path.display())),
            ),
        };
    }

    fn overtaken(&mut self, newest: &BTreeMap<&str, u64>) -> Vec<String> {
        match &mut self.to {
            SignalsTo::Topic(producer, _) => producer.overtaken(newest),
            SignalsTo::File(_) => Vec::new(),
        }
    }

    fn poll(&mut self) -> Option<Result<()>> {
        if let Some(result) = self.result.take() {
            return Some(result);
        }
        match &mut self.to {
            SignalsTo::Topic(producer, topic) => {
                Some(producer.poll(topic)?.map_err(anyhow::Error::from))
            }
            SignalsTo::File(_) => None,
        }
    }
}

impl LetterSink for Letters {
    fn put(&mut self, task: u32, letter: &DeadLetter) -> Result<()> {
        match self {
            Self::Topic(producer, topics) => {
                let topic = topics.get(letter.input).map_or("", String::as_str);
                producer.put(letter, topic, task).map_err(anyhow::Error::from)
            }
            Self::File(lines, topics) => {
                let text = |bytes: &Option<Vec<u8>>| {
                    bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                };
                let line = json!({
                    "code": letter.reason.code(),
                    "reason": letter.detail,
                    "topic": topics.get(letter.input),
                    "partition": task,
                    "offset": letter.offset,
                    "key": text(&letter.key),
                    "value": text(&letter.value),
                });
                lines.write(&line).with_context(|| format!("write {}", lines.path.display()))
            }
        }
    }

    fn flush(&mut self) -> Result<bool> {
        match self {
            Self::Topic(producer, _) => producer.flush().map_err(anyhow::Error::from),
            Self::File(lines, _) => lines
                .sync()
                .map(|()| true)
                .with_context(|| format!("write {}", lines.path.display())),
        }
    }
}

/// The signal as a structured CloudEvent.
fn cloud_event(signal: &Signal) -> Result<Value> {
    let data: Value = serde_json::from_str(&signal.data).context("read a signal's data")?;
    Ok(json!({
        "specversion": "1.0",
        "id": signal.id,
        "source": signal.source,
        "type": signal.kind,
        "subject": signal.key,
        "time": signal.time,
        "datacontenttype": "application/json",
        "dataschema": "https://parallax.dev/schemas/signal.v1.json",
        "partitionkey": signal.key,
        "data": data,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_before_the_next_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines.jsonl");
        let torn = "x".repeat(10_000);
        for before in ["", "1\n", "1\n2\n"] {
            for tail in ["", "{\"half\":", torn.as_str()] {
                std::fs::write(&path, format!("{before}{tail}")).unwrap();
                let mut lines = Lines::new(&path, false);
                lines.write(&json!(3)).unwrap();
                lines.sync().unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{before}3\n"));
            }
        }
    }
}
