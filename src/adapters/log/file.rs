//! The log on a local disk, or in memory alone.
//!
//! In: frames of all streams. Out: the same once they are durable. Holds: one owner at a time by an
//! exclusive lock; several handles share one file, and one `fdatasync` makes what all of them appended
//! durable; a torn tail is cut off, damage before it stops the job; after a failed write every later
//! one fails, because the epochs have ended. Knows nothing of: what entries mean. Format:
//! `schemas/log.v3.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::adapters::log::codec;
use crate::runtime::log::{Begin, Body, Log, LogError, LogFrame, Stream, VERSION, other_version};

/// What a log file begins with; the last byte is the format's version.
const MAGIC: [u8; 8] = *b"PLXLOG\0\x03";
const _: () = assert!(MAGIC[7] == VERSION);
/// The longest frame, in bytes.
const FRAME_MAX: u32 = 64 << 20;
/// The evaluator's stream.
const EVALUATOR: u32 = u32::MAX;
const LENGTH_AND_SUM: usize = 8;

/// A handle of a log on a local disk.
pub struct FileLog {
    shared: Arc<Mutex<Shared>>,
    number: usize,
    written: u64,
}

/// What all handles share.
struct Shared {
    disk: Option<Disk>,
    /// Appended and not durable yet.
    buffer: Vec<u8>,
    fresh: Vec<LogFrame>,
    /// Last position by stream.
    positions: BTreeMap<Stream, u64>,
    /// All that is durable, until every handle has what it needs of it.
    history: Option<BTreeMap<Stream, Vec<LogFrame>>>,
    handles: Vec<Reads>,
    failed: Option<String>,
}

struct Disk {
    path: PathBuf,
    file: File,
    _lock: File,
}

/// What one handle reads.
#[derive(Default)]
struct Reads {
    settled: bool,
    streams: BTreeSet<Stream>,
    queue: VecDeque<LogFrame>,
}

/// What was found when a log was opened.
#[derive(Debug, Default)]
pub struct Contents {
    /// Frames by stream.
    pub frames: BTreeMap<Stream, Vec<LogFrame>>,
    /// What was cut off at the end, if anything.
    pub torn: Option<String>,
}

impl FileLog {
    /// Opens or makes the log in `dir` for so many tasks; also what a crash tore off its end.
    ///
    /// # Errors
    /// It is locked, damaged, another pipeline's, or the disk refuses.
    pub fn open(dir: &Path, tasks: u32) -> Result<(Self, Option<String>), LogError> {
        std::fs::create_dir_all(dir).map_err(io_error("make", dir))?;
        let lock = lock(dir)?;
        let path = dir.join("parallax.log");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let (contents, end) = read(&path, &mut file, Some(tasks))?;
        contents.check_tasks(dir, tasks)?;
        file.set_len(end).map_err(io_error("cut", &path))?;
        file.seek(SeekFrom::Start(end)).map_err(io_error("read", &path))?;
        let mut shared = Shared::new(Some(Disk { path, file, _lock: lock }), contents.frames);
        if end == 0 {
            shared.buffer.extend_from_slice(&MAGIC);
            shared.sync()?;
            sync_dir(dir)?;
        }
        Ok((Self::of(shared), contents.torn))
    }

    /// A log that is gone with the process: a replay starts from its files, and from `known` frames.
    #[must_use]
    pub fn in_memory(known: BTreeMap<Stream, Vec<LogFrame>>) -> Self {
        Self::of(Shared::new(None, known))
    }

    /// Reads the log in `dir` without owning it.
    ///
    /// # Errors
    /// As `open`, but for the lock.
    pub fn read_only(dir: &Path) -> Result<Contents, LogError> {
        Self::read_file(&dir.join("parallax.log"))
    }

    fn read_file(path: &Path) -> Result<Contents, LogError> {
        let mut file = File::open(path).map_err(io_error("open", path))?;
        Ok(read(path, &mut file, None)?.0)
    }

    /// Another handle of the same log.
    #[must_use]
    pub fn handle(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        let number = {
            let mut shared = locked(&shared);
            shared.handles.push(Reads::default());
            shared.handles.len() - 1
        };
        Self { shared, number, written: 0 }
    }

    fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(Mutex::new(shared)), number: 0, written: 0 }
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for FileLog {
    fn read(&mut self, stream: Stream, from: Begin) -> Result<bool, LogError> {
        let mut shared = locked(&self.shared);
        let behind = match from {
            Begin::Tail(_) => 0,
            Begin::Behind(position) => position,
        };
        // What isn't durable yet comes by itself.
        shared.sync()?;
        let history = match &shared.history {
            Some(history) => history.get(&stream).cloned().unwrap_or_default(),
            // It is read again from the disk.
            None => shared.read_again(stream)?,
        };
        let reads = &mut shared.handles[self.number];
        reads.streams.insert(stream);
        reads.queue.extend(history.into_iter().filter(|frame| behind < frame.position));
        Ok(behind == 0)
    }

    fn place(&self, stream: Stream) -> String {
        let shared = locked(&self.shared);
        shared.disk.as_ref().map_or_else(|| stream.to_string(), |d| d.path.display().to_string())
    }

    fn forget(&mut self, stream: Stream) {
        let mut shared = locked(&self.shared);
        let reads = &mut shared.handles[self.number];
        reads.streams.remove(&stream);
        reads.queue.retain(|frame| frame.stream != stream);
    }

    fn append(&mut self, stream: Stream, epoch: u64, body: Body) -> Result<(), LogError> {
        let length = locked(&self.shared).append(stream, epoch, body)?;
        self.written += length;
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<LogFrame>, LogError> {
        let mut shared = locked(&self.shared);
        if shared.handles[self.number].queue.is_empty() && !shared.fresh.is_empty() {
            shared.sync()?;
        }
        Ok(shared.handles[self.number].queue.pop_front())
    }

    fn settled(&mut self) {
        let mut shared = locked(&self.shared);
        shared.handles[self.number].settled = true;
        if shared.handles.iter().all(|reads| reads.settled) {
            shared.history = None;
        }
    }

    fn written(&self) -> u64 {
        self.written
    }
}

impl Shared {
    /// One log behind all its handles. The history is kept until every handle has begun.
    fn new(disk: Option<Disk>, history: BTreeMap<Stream, Vec<LogFrame>>) -> Self {
        let last = |frames: &Vec<LogFrame>| frames.last().map_or(0, |frame| frame.position);
        Self {
            disk,
            buffer: Vec::new(),
            fresh: Vec::new(),
            positions: history.iter().map(|(stream, frames)| (*stream, last(frames))).collect(),
            history: Some(history),
            handles: vec![Reads::default()],
            failed: None,
        }
    }

    /// Makes everything appended so far durable, and hands it to whoever reads it.
    fn sync(&mut self) -> Result<(), LogError> {
        self.check()?;
        if let Some(disk) = self.disk.as_mut().filter(|_| !self.buffer.is_empty()) {
            let done = disk.file.write_all(&self.buffer).and_then(|()| disk.file.sync_data());
            if let Err(source) = done {
                self.failed = Some(format!("{source}; restart the job: nothing is lost"));
                return Err(io_error("append to", &disk.path)(source));
            }
        }
        self.buffer.clear();
        for frame in self.fresh.drain(..) {
            if let Some(history) = &mut self.history {
                history.entry(frame.stream).or_default().push(frame.clone());
            }
            for reads in self.handles.iter_mut().filter(|r| r.streams.contains(&frame.stream)) {
                reads.queue.push_back(frame.clone());
            }
        }
        Ok(())
    }

    /// All frames of a stream whose history was let go.
    fn read_again(&self, stream: Stream) -> Result<Vec<LogFrame>, LogError> {
        let Some(disk) = &self.disk else {
            let what = "its history was let go".to_owned();
            return Err(LogError::Lost { stream, what, cure: "restart the job" });
        };
        let mut contents = FileLog::read_file(&disk.path)?;
        Ok(contents.frames.remove(&stream).unwrap_or_default())
    }

    /// Fails for good after the first write that failed: what the disk holds isn't known any more, and a second `fsync` that
    /// succeeds proves nothing of what the first one lost.
    fn check(&self) -> Result<(), LogError> {
        self.failed.as_ref().map_or(Ok(()), |why| Err(LogError::Poisoned(why.clone())))
    }

    /// Returns the frame's length on disk.
    fn append(&mut self, stream: Stream, epoch: u64, body: Body) -> Result<u64, LogError> {
        self.check()?;
        let begin = self.buffer.len();
        if self.disk.is_some() {
            self.buffer.extend_from_slice(&[0; LENGTH_AND_SUM]);
            let number = match stream {
                Stream::Task(partition) => partition,
                Stream::Evaluator => EVALUATOR,
            };
            self.buffer.extend_from_slice(&number.to_le_bytes());
            codec::encode(epoch, &body, &mut self.buffer).map_err(LogError::Foreign)?;
            let length = self.buffer.len() - begin - LENGTH_AND_SUM;
            let Some(length) = u32::try_from(length).ok().filter(|n| *n <= FRAME_MAX) else {
                self.buffer.truncate(begin);
                return Err(LogError::Foreign(format!(
                    "append an entry of {length} bytes: the longest is {FRAME_MAX}"
                )));
            };
            let (head, payload) = self.buffer[begin..].split_at_mut(LENGTH_AND_SUM);
            head[..4].copy_from_slice(&length.to_le_bytes());
            head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        }
        let position = self.positions.entry(stream).or_insert(0);
        *position += 1;
        let position = *position;
        self.fresh.push(LogFrame { stream, position, epoch, appended: None, body });
        Ok((self.buffer.len() - begin) as u64)
    }
}

/// Takes the folder's lock, which the operating system lets go with the process, however that ends.
fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join("lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked(dir.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Says what was done to which file.
fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> LogError {
    let path = path.to_path_buf();
    move |source| LogError::Io { doing, path: path.clone(), source }
}

/// Makes names in a folder durable: a file that is synced and whose name isn't may be gone after a crash.
fn sync_dir(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("make durable", dir))
}

/// Reads all frames; the contents and where the next frame goes.
fn read(path: &Path, file: &mut File, tasks: Option<u32>) -> Result<(Contents, u64), LogError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error("read", path))?;
    let mut contents = Contents::default();
    if bytes.len() < MAGIC.len() {
        // Not even the head was written: nothing was ever promised.
        return Ok((contents, 0));
    }
    let damaged = |at: usize, what: String| LogError::Damaged {
        path: path.to_path_buf(),
        at: at as u64,
        what,
    };
    match bytes.split_at(MAGIC.len() - 1) {
        (name, [VERSION, ..]) if name == &MAGIC[..MAGIC.len() - 1] => {}
        (name, [version, ..]) if name == &MAGIC[..MAGIC.len() - 1] => {
            return Err(other_version(&path.display().to_string(), *version, "log.directory"));
        }
        _ => return Err(damaged(0, "this isn't a log".to_owned())),
    }
    let mut at = MAGIC.len();
    while at < bytes.len() {
        match frame(&bytes[at..]) {
            Ok((stream, payload, length)) => {
                contents.add(stream, payload, tasks).map_err(|what| damaged(at, what))?;
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

/// Stream, payload and length of the frame at the front.
fn frame(bytes: &[u8]) -> Result<(Stream, &[u8], usize), String> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let short = || "the frame is cut short".to_owned();
    let length = word(0).ok_or_else(short)?;
    if !(13..=FRAME_MAX).contains(&length) {
        return Err(format!("a frame of {length} bytes can't be"));
    }
    let end = LENGTH_AND_SUM + length as usize;
    let summed = bytes.get(LENGTH_AND_SUM..end).ok_or_else(short)?;
    if word(4) != Some(crc32fast::hash(summed)) {
        return Err("the checksum doesn't fit".to_owned());
    }
    let stream = match word(8).ok_or_else(short)? {
        EVALUATOR => Stream::Evaluator,
        partition => Stream::Task(partition),
    };
    Ok((stream, summed.get(4..).ok_or_else(short)?, end))
}

/// Returns whether a whole frame begins anywhere behind damage: then it isn't a torn tail.
fn has_frame_after(bytes: &[u8]) -> bool {
    (1..bytes.len().saturating_sub(LENGTH_AND_SUM)).any(|at| frame(&bytes[at..]).is_ok())
}

impl Contents {
    /// All tasks claim their streams before the first does anything: who is missing then wasn't there.
    fn check_tasks(&self, dir: &Path, tasks: u32) -> Result<(), LogError> {
        let is_claim = |frame: &LogFrame| frame.body.claim().is_some();
        let has_begun = !self.frames.values().flatten().all(is_claim);
        let tasks_of = self.frames.iter().filter(|(stream, _)| **stream != Stream::Evaluator);
        let known = tasks_of.filter(|(_, frames)| frames.iter().any(is_claim)).count();
        if !has_begun || known == 0 || tasks as usize <= known {
            return Ok(());
        }
        Err(LogError::Foreign(format!(
            "the log in {} is of {known} partitions and the inputs have {tasks}: were partitions added to them? Then \
             requests lie elsewhere since; begin anew: another `log` and another `output.directory`",
            dir.display()
        )))
    }

    /// Takes a frame into what the file holds. A partition beyond those of the topics means another pipeline's log.
    fn add(&mut self, stream: Stream, payload: &[u8], tasks: Option<u32>) -> Result<(), String> {
        if let (Stream::Task(partition), Some(tasks)) = (stream, tasks)
            && tasks <= partition
        {
            return Err(format!(
                "it holds partition {partition}, but the topics have only {tasks}"
            ));
        }
        let (epoch, body) = codec::decode(stream, payload)?;
        let frames = self.frames.entry(stream).or_default();
        let position = frames.len() as u64 + 1;
        frames.push(LogFrame { stream, position, epoch, appended: None, body });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
