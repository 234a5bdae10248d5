//! Few large files where a closed day has many small ones.
//!
//! In: the folders of a pipeline's days. Out: the same rows in fewer files, sorted. Holds: a reader
//! finds all rows once or a file that is gone, never a wrong sum; what a crash left is finished or
//! removed by the next run; nothing is exchanged before its rows were read again and are the same;
//! a day's rows are never all in memory. Knows nothing of: what rows mean.

mod days;
mod pieces;
mod sorted;
mod swap;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

pub use self::days::{Choice, Day, ToMerge, days};
use self::pieces::Pieces;
use self::sorted::Sorter;
use self::swap::Swap;
use super::{STAGING, TableError, io_error};
use crate::runtime::clock::{idle, monotonic};

/// What can go wrong with a compaction.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The disk refused.
    #[error(transparent)]
    Table(#[from] TableError),
    /// There is nothing.
    #[error("find tables in {0}: the folder isn't there; is `output.directory` right?")]
    NoTables(PathBuf),
    /// Two at once.
    #[error("lock {0}: another compaction is at work there; wait for its end")]
    Busy(PathBuf),
    /// The one step that readers may see isn't possible.
    #[error(
        "exchange folders in {path}: this file system can't do it in one step, so everything was left as it was; \
         it takes ext4, xfs, btrfs, f2fs or tmpfs, and tables on one file system"
    )]
    NoExchange {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file can't be read or written.
    #[error("{doing} {path}")]
    Parquet {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else was there.
    #[error(
        "merge {0}: it was replaced or removed meanwhile; its day was left as it was, merge it again"
    )]
    Changed(PathBuf),
    /// Somebody replaced a file at the moment of the exchange.
    #[error(
        "merge {0}: another file of this name came while its rows were exchanged; the tables hold the \
         earlier one's rows: remove it to keep those"
    )]
    Replaced(PathBuf),
    /// What was written isn't what was read.
    #[error("merge {0}: what was written isn't what was read, so its day was left as it was")]
    Unequal(PathBuf),
}

/// Bounds of files, memory and patience.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A file is full with so many rows.
    pub rows: usize,
    /// A file is full with so many bytes; it is cut at the next few thousand rows.
    pub bytes: u64,
    /// Bytes of rows that are sorted in memory at once.
    pub memory: usize,
    /// How long a reader may take to list a folder: what was merged is kept as long.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 1_000_000, bytes: 128 << 20, memory: 32 << 20, grace: Duration::from_secs(2) }
    }
}

/// What was done with one folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// Which.
    pub day: Day,
    /// Parquet files before.
    pub files_before: usize,
    /// And after.
    pub files_after: usize,
    /// Rows, before and after.
    pub rows: u64,
    /// Size of the files before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Files that may lie in one: the same columns and the same metadata.
struct Group {
    schema: SchemaRef,
    metadata: Vec<KeyValue>,
    small: Vec<String>,
}

/// One compaction at work below a root; others are locked out until it is dropped.
#[derive(Debug)]
pub struct Compaction {
    root: PathBuf,
    limits: Limits,
    exchanged: Vec<(Instant, Swap, PathBuf)>,
    can_exchange: bool,
    _lock: File,
}

impl Compaction {
    /// Begins, with what an earlier one left: that is finished or removed.
    ///
    /// # Errors
    /// There are no tables, another one is at work, or the disk refuses.
    pub fn begin(root: &Path, limits: Limits) -> Result<Self, CompactError> {
        if !root.is_dir() {
            return Err(CompactError::NoTables(root.to_path_buf()));
        }
        let staging = root.join(STAGING);
        fs::create_dir_all(&staging).map_err(io_error("make", &staging))?;
        let lock = File::open(&staging).map_err(io_error("open", &staging))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CompactError::Busy(staging)),
            Err(TryLockError::Error(source)) => {
                return Err(io_error("lock", &staging)(source).into());
            }
        }
        let left = Swap::recover(root)?;
        if !left.is_empty() {
            idle(limits.grace);
        }
        for (swap, old) in left {
            swap.retire(&old)?;
        }
        swap::sweep(root)?;
        let root = root.to_path_buf();
        Ok(Self { root, limits, exchanged: Vec::new(), can_exchange: false, _lock: lock })
    }

    /// Merges the small files of one day, if there are any to merge.
    ///
    /// # Errors
    /// The day is as it was.
    pub fn merge(&mut self, day: &Day) -> Result<Option<Merged>, CompactError> {
        self.retire(false)?;
        let folder = self.root.join(day.relative());
        let (before, groups) = survey(&folder, &day.table, &self.limits)?;
        if groups.is_empty() {
            return Ok(None);
        }
        if !self.can_exchange {
            swap::try_exchange(&self.root)?;
            self.can_exchange = true;
        }
        let swap = Swap::of(&self.root, day);
        let old = match exchange(&swap, day, &groups, &self.limits) {
            Ok(old) => old,
            Err(error) => {
                swap.discard()?;
                return Err(error);
            }
        };
        self.exchanged.push((monotonic(), swap, old));
        let (after, _) = survey(&folder, &day.table, &self.limits)?;
        Ok(Some(Merged {
            day: day.clone(),
            files_before: before.files,
            files_after: after.files,
            rows: after.rows,
            bytes_before: before.bytes,
            bytes_after: after.bytes,
        }))
    }

    /// Ends: what was merged is removed once nobody can be listing it any more.
    ///
    /// # Errors
    /// The disk refused; the next one goes on.
    pub fn end(mut self) -> Result<(), CompactError> {
        self.retire(true)
    }

    fn retire(&mut self, all: bool) -> Result<(), CompactError> {
        while let Some((since, swap, old)) = self.exchanged.first() {
            let left = self.limits.grace.saturating_sub(since.elapsed());
            if !left.is_zero() {
                if !all {
                    break;
                }
                idle(left);
            }
            swap.retire(old)?;
            self.exchanged.remove(0);
        }
        Ok(())
    }
}

/// All steps up to the exchange. Returns where the old folder is now.
fn exchange(
    swap: &Swap,
    day: &Day,
    groups: &[Group],
    limits: &Limits,
) -> Result<PathBuf, CompactError> {
    let frozen = swap.freeze()?;
    let merged = build(swap, day, groups, limits)?;
    swap.carry(&frozen, &merged)?;
    swap.catch_up(&frozen)?;
    let sealed = swap.seal()?;
    // Whatever came while the new folder was made durable.
    swap.catch_up_into(&frozen, &sealed)?;
    swap.exchange(&sealed)?;
    Ok(sealed)
}

/// Writes the merged files of all groups, reads them again, and names the files that they hold.
fn build(
    swap: &Swap,
    day: &Day,
    groups: &[Group],
    limits: &Limits,
) -> Result<Vec<String>, CompactError> {
    let mut merged = Vec::new();
    for group in groups {
        let sources: Vec<PathBuf> =
            group.small.iter().map(|name| swap.frozen().join(name)).collect();
        let mut sorter = Sorter::new(&group.schema, &day.table, &swap.frozen(), limits.memory)?;
        for path in &sources {
            sorter.read(path)?;
        }
        let read = sorter.digest();
        let stem = format!("{}-{}-merged-{:016x}", day.table, day.candidate, group.named(read.sum));
        let mut pieces = Pieces::new(swap.fresh(), stem, group, *limits);
        sorter.emit(|batch| pieces.write(batch))?;
        let mut again = Sorter::new(&group.schema, &day.table, &swap.frozen(), limits.memory)?;
        for path in pieces.end()? {
            again.only_count(&path)?;
        }
        if again.digest() != read {
            return Err(CompactError::Unequal(swap.day().to_path_buf()));
        }
        merged.extend(group.small.iter().cloned());
    }
    swap.list(&merged)?;
    merged.push(swap::LIST.to_owned());
    Ok(merged)
}

/// Returns whether the rows of a file that isn't in its folder lie in a merged one.
///
/// # Errors
/// The disk refused.
pub fn holds(path: &Path) -> Result<bool, TableError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(false);
    };
    Ok(swap::listed(folder)?.lines().any(|line| line == name))
}

impl Group {
    /// Rows name a file, so that a name never stands for other rows than before.
    fn named(&self, rows: u64) -> u64 {
        let text = format!("{:?}{:?}{rows}", self.metadata, self.schema.fields());
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }
}

#[derive(Clone, Copy, Default)]
struct Total {
    files: usize,
    rows: u64,
    bytes: u64,
}

/// Returns what a folder holds, and the groups in it that have something to merge.
fn survey(
    folder: &Path,
    table: &str,
    limits: &Limits,
) -> Result<(Total, Vec<Group>), CompactError> {
    let mut total = Total::default();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for name in swap::names(folder)?.into_keys().filter(|name| is_table_file(name)) {
        let path = folder.join(&name);
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let bytes = file.metadata().map_err(io_error("open", &path))?.len();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable(&path))?;
        let footer = reader.metadata().file_metadata();
        let rows = u64::try_from(footer.num_rows()).unwrap_or_default();
        total.files += 1;
        total.rows += rows;
        total.bytes += bytes;
        let is_full = limits.rows as u64 <= rows || limits.bytes <= bytes;
        let mut metadata = footer.key_value_metadata().cloned().unwrap_or_default();
        metadata.retain(|pair| pair.key.starts_with("parallax."));
        metadata.sort_by(|a, b| a.key.cmp(&b.key));
        let is_ours =
            |pair: &KeyValue| pair.key == "parallax.table" && pair.value.as_deref() == Some(table);
        if is_full || !metadata.iter().any(is_ours) {
            continue;
        }
        let schema = Schema::new(reader.schema().fields().clone());
        let key = format!("{metadata:?}{schema:?}");
        let group = Group { schema: schema.into(), metadata, small: Vec::new() };
        groups.entry(key).or_insert(group).small.push(name);
    }
    groups.retain(|_, group| 1 < group.small.len());
    Ok((total, groups.into_values().collect()))
}

fn is_table_file(name: &str) -> bool {
    name.ends_with(".parquet") && !name.starts_with(['.', '_'])
}

fn unreadable<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    path: &Path,
) -> impl Fn(E) -> CompactError {
    failed("read", path)
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
    path: &Path,
) -> impl Fn(E) -> CompactError {
    let path = path.to_path_buf();
    move |error| CompactError::Parquet { doing, path: path.clone(), source: error.into() }
}

#[cfg(test)]
mod tests;
