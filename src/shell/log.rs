//! The log on a local disk.
//!
//! In: entries of all tasks and the evaluator. Out: the same, after `sync` for good. Holds: one owner
//! at a time by an exclusive lock; a torn tail is cut off, damage before it stops the job; after a
//! failed write every later one fails, because the epoch has ended. Knows nothing of: what entries
//! mean. Format: `schemas/log.v1.md`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::Frame;
use crate::model::entry::{Entry, Weighing};

/// What a log file begins with; the last byte is the format's version.
const MAGIC: [u8; 8] = *b"PLXLOG\0\x01";
/// The longest frame, in bytes.
const FRAME_MAX: u32 = 64 << 20;
/// Longer payloads are compressed.
const COMPRESS_FROM: usize = 1024;
/// The evaluator's stream.
const EVALUATOR: u32 = u32::MAX;
const LENGTH_AND_SUM: usize = 8;

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
    /// It is another pipeline's.
    #[error("{0}")]
    Foreign(String),
    /// An earlier write failed.
    #[error("append to the log: an earlier write failed ({0}); restart the job")]
    Poisoned(String),
}

/// All that a log holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Frames by task with their positions, from 1.
    pub tasks: Vec<Vec<(u64, Frame<Entry>)>>,
    /// The evaluator's frames.
    pub evaluator: Vec<(u64, Frame<Weighing>)>,
    /// What was cut off at the end, if anything.
    pub torn: Option<String>,
}

/// The log of one pipeline on a local disk.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// Last position and epoch, by task and for the evaluator last.
    streams: Vec<Stream>,
    failed: Option<String>,
    written: u64,
    _lock: File,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    position: u64,
    epoch: u64,
}

impl Log {
    /// Opens or makes the log in `dir` for so many tasks.
    ///
    /// # Errors
    /// It is locked, damaged, another pipeline's, or the disk refuses.
    pub fn open(dir: &Path, tasks: u32) -> Result<(Self, Contents), LogError> {
        std::fs::create_dir_all(dir).map_err(io_error("make", dir))?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Locked(dir.to_path_buf())),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &lock_path)(source)),
        }
        let path = dir.join("parallax.log");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let (contents, end) = read(&path, &mut file, Some(tasks))?;
        file.set_len(end).map_err(io_error("cut", &path))?;
        file.seek(SeekFrom::Start(end)).map_err(io_error("read", &path))?;
        let mut streams = vec![Stream::default(); tasks as usize + 1];
        for (stream, frames) in streams.iter_mut().zip(&contents.tasks) {
            stream.position = frames.last().map_or(0, |(position, _)| *position);
        }
        if let (Some(stream), Some((position, _))) = (streams.last_mut(), contents.evaluator.last())
        {
            stream.position = *position;
        }
        let mut log =
            Self { path, file, buffer: Vec::new(), streams, failed: None, written: 0, _lock: lock };
        if end == 0 {
            log.buffer.extend_from_slice(&MAGIC);
            log.sync()?;
            sync_dir(dir)?;
        }
        Ok((log, contents))
    }

    /// Reads the log in `dir` without owning it.
    ///
    /// # Errors
    /// As `open`, but for the lock.
    pub fn read_only(dir: &Path) -> Result<Contents, LogError> {
        let path = dir.join("parallax.log");
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        Ok(read(&path, &mut file, None)?.0)
    }

    /// Begins a new epoch of a task; later entries are written under it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn claim_task(&mut self, task: u32, config: u64, nonce: u64) -> Result<(), LogError> {
        let stream = &mut self.streams[task as usize];
        stream.epoch = stream.position + 1;
        self.append_task(task, &Entry::Claim { nonce, config }).map(|_| ())
    }

    /// Begins a new epoch of the evaluator.
    ///
    /// # Errors
    /// The disk refused.
    pub fn claim_evaluator(&mut self, config: u64, nonce: u64) -> Result<(), LogError> {
        if let Some(stream) = self.streams.last_mut() {
            stream.epoch = stream.position + 1;
        }
        self.append_evaluator(&Weighing::Claim { nonce, config }).map(|_| ())
    }

    /// Appends to a task's stream; its position there. Not for good before `sync`.
    ///
    /// # Errors
    /// An earlier write failed, or the entry is too long.
    pub fn append_task(&mut self, task: u32, entry: &Entry) -> Result<u64, LogError> {
        self.append(task as usize, task, entry)
    }

    /// Appends to the evaluator's stream; its position there.
    ///
    /// # Errors
    /// An earlier write failed, or the entry is too long.
    pub fn append_evaluator(&mut self, entry: &Weighing) -> Result<u64, LogError> {
        self.append(self.streams.len() - 1, EVALUATOR, entry)
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// The disk refused; the log can't be used any more.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let done = self.file.write_all(&self.buffer).and_then(|()| self.file.sync_data());
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        done.map_err(|source| {
            self.failed = Some(source.to_string());
            io_error("append to", &self.path)(source)
        })
    }

    /// Bytes appended since it was opened.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    fn check(&self) -> Result<(), LogError> {
        self.failed.as_ref().map_or(Ok(()), |why| Err(LogError::Poisoned(why.clone())))
    }

    fn append<E: Serialize>(&mut self, at: usize, stream: u32, entry: &E) -> Result<u64, LogError> {
        self.check()?;
        let mut plain = postcard::to_allocvec(entry)
            .map_err(|error| LogError::Foreign(format!("encode an entry: {error}")))?;
        let mut kind = 0_u8;
        if COMPRESS_FROM < plain.len()
            && let Ok(packed) = zstd::bulk::compress(&plain, 1)
            && packed.len() < plain.len()
        {
            plain = packed;
            kind = 1;
        }
        let state = &mut self.streams[at];
        let length = 4 + 8 + 1 + plain.len();
        let Some(length) = u32::try_from(length).ok().filter(|length| *length <= FRAME_MAX) else {
            return Err(LogError::Foreign(format!(
                "append an entry of {length} bytes: the longest is {FRAME_MAX}"
            )));
        };
        state.position += 1;
        let begin = self.buffer.len();
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&stream.to_le_bytes());
        self.buffer.extend_from_slice(&state.epoch.to_le_bytes());
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&plain);
        let (head, payload) = self.buffer[begin..].split_at_mut(LENGTH_AND_SUM);
        head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        Ok(state.position)
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> LogError {
    let path = path.to_path_buf();
    move |source| LogError::Io { doing, path: path.clone(), source }
}

fn sync_dir(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("make durable", dir))
}

/// Reads all frames; the contents and where the next frame goes.
fn read(path: &Path, file: &mut File, tasks: Option<u32>) -> Result<(Contents, u64), LogError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error("read", path))?;
    let mut contents = Contents::default();
    contents.tasks.resize_with(tasks.unwrap_or(0) as usize, Vec::new);
    if bytes.len() < MAGIC.len() {
        // Not even the head was written: nothing was ever promised.
        return Ok((contents, 0));
    }
    let damaged = |at: usize, what: String| LogError::Damaged {
        path: path.to_path_buf(),
        at: at as u64,
        what,
    };
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(damaged(0, "this isn't a log of this version".to_owned()));
    }
    let mut at = MAGIC.len();
    while at < bytes.len() {
        match frame(&bytes[at..]) {
            Ok((stream, epoch, payload, length)) => {
                contents.add(stream, epoch, payload, tasks).map_err(|what| damaged(at, what))?;
                at += length;
            }
            Err(what) => {
                if has_frame_after(&bytes[at..]) {
                    return Err(damaged(at, what));
                }
                contents.torn = Some(format!(
                    "{} bytes at the end of {} were torn off by a crash",
                    bytes.len() - at,
                    path.display()
                ));
                break;
            }
        }
    }
    Ok((contents, at as u64))
}

/// Stream, epoch, payload and length of the frame at the front.
fn frame(bytes: &[u8]) -> Result<(u32, u64, Vec<u8>, usize), String> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let short = || "the frame is cut short".to_owned();
    let length = word(0).ok_or_else(short)?;
    if !(13..=FRAME_MAX).contains(&length) {
        return Err(format!("a frame of {length} bytes can't be"));
    }
    let end = LENGTH_AND_SUM + length as usize;
    let payload = bytes.get(LENGTH_AND_SUM..end).ok_or_else(short)?;
    if word(4) != Some(crc32fast::hash(payload)) {
        return Err("the checksum doesn't fit".to_owned());
    }
    let stream = word(8).ok_or_else(short)?;
    let epoch = payload
        .get(4..12)
        .and_then(|b| b.try_into().ok())
        .map(u64::from_le_bytes)
        .ok_or_else(short)?;
    let body = payload.get(13..).ok_or_else(short)?;
    let body = match payload.get(12) {
        Some(0) => body.to_vec(),
        Some(1) => zstd::stream::decode_all(body).map_err(|error| error.to_string())?,
        kind => return Err(format!("frame kind {kind:?} is unknown")),
    };
    Ok((stream, epoch, body, end))
}

/// Whether a whole frame begins anywhere behind damage: then it isn't a torn tail.
fn has_frame_after(bytes: &[u8]) -> bool {
    (1..bytes.len().saturating_sub(LENGTH_AND_SUM)).any(|at| frame(&bytes[at..]).is_ok())
}

impl Contents {
    fn add(
        &mut self,
        stream: u32,
        epoch: u64,
        payload: Vec<u8>,
        tasks: Option<u32>,
    ) -> Result<(), String> {
        if stream == EVALUATOR {
            let position = self.evaluator.len() as u64 + 1;
            self.evaluator.push((position, Frame { epoch, entry: decode(&payload)? }));
            return Ok(());
        }
        let at = stream as usize;
        if self.tasks.len() <= at {
            if let Some(tasks) = tasks {
                return Err(format!(
                    "it holds partition {stream}, but the topics have only {tasks}"
                ));
            }
            self.tasks.resize_with(at + 1, Vec::new);
        }
        let position = self.tasks[at].len() as u64 + 1;
        self.tasks[at].push((position, Frame { epoch, entry: decode(&payload)? }));
        Ok(())
    }
}

fn decode<E: DeserializeOwned>(payload: &[u8]) -> Result<E, String> {
    postcard::from_bytes(payload).map_err(|error| format!("an entry can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::entry::Fact;
    use crate::model::time::EventTime;

    fn fact(offset: i64) -> Entry {
        Entry::Fact(Fact { input: 0, offset, time: EventTime::from_us(offset), end: false })
    }

    fn filled(dir: &Path) -> Vec<Entry> {
        let (mut log, contents) = Log::open(dir, 2).unwrap();
        assert!(contents.torn.is_none());
        log.claim_task(0, 7, 8).unwrap();
        let entries: Vec<Entry> = (0..20).map(fact).collect();
        for entry in &entries {
            log.append_task(0, entry).unwrap();
        }
        log.append_evaluator(&Weighing::State {
            bytes: (0..10_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            files: vec!["a".into()],
        })
        .unwrap();
        log.sync().unwrap();
        entries
    }

    #[test]
    fn gives_back_what_was_made_durable() {
        let dir = tempfile::tempdir().unwrap();
        let entries = filled(dir.path());
        let (mut log, contents) = Log::open(dir.path(), 2).unwrap();
        let read: Vec<&Entry> = contents.tasks[0].iter().skip(1).map(|(_, f)| &f.entry).collect();
        assert_eq!(read, entries.iter().collect::<Vec<_>>());
        assert!(contents.tasks[0].iter().all(|(_, frame)| frame.epoch == 1));
        assert!(
            matches!(&contents.evaluator[0].1.entry, Weighing::State { bytes, .. } if bytes.len() == 10_000)
        );
        log.claim_task(0, 7, 9).unwrap();
        assert_eq!(log.append_task(0, &fact(99)).unwrap(), 23);
        assert!(matches!(Log::open(dir.path(), 2), Err(LogError::Locked(_))));
    }

    #[test]
    fn cuts_a_torn_tail_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let path = dir.path().join("parallax.log");
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..60 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (_, contents) = Log::open(dir.path(), 2).unwrap();
            assert!(contents.torn.is_some(), "{cut} bytes short");
            assert_eq!(contents.tasks[0].len(), 21);
            assert!(contents.evaluator.is_empty());
        }
    }

    #[test]
    fn damage_before_the_end_stops_the_job() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let path = dir.path().join("parallax.log");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Log::open(dir.path(), 2).unwrap_err().to_string();
        assert!(error.contains("at byte") && error.contains("checksum"), "{error}");
    }

    #[test]
    fn fewer_partitions_than_before_are_told() {
        let dir = tempfile::tempdir().unwrap();
        {
            let (mut log, _) = Log::open(dir.path(), 3).unwrap();
            log.append_task(2, &fact(1)).unwrap();
            log.sync().unwrap();
        }
        let error = Log::open(dir.path(), 2).unwrap_err().to_string();
        assert!(error.contains("partition 2") && error.contains("only 2"), "{error}");
    }
}
