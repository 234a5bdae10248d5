//! Rows of many files in one order, in bounded memory.
//!
//! In: files of one schema. Out: their rows as batches, sorted. Holds: the order takes in every
//! column, so it is a function of the rows alone; what doesn't fit into memory goes through sorted
//! runs on disk, of which so many are open at once. Knows nothing of: who reads the batches.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{CompactError, failed, unreadable};
use crate::adapters::tables::{STAGED, io_error, properties};

/// Rows that are read or handed on at once.
const BATCH: usize = 2048;
/// Runs that are merged at once.
const RUNS: usize = 64;
/// What a table is read by; all other columns follow in their order.
const LEADING: [(&str, &[&str]); 4] = [
    ("windows", &["window_start", "window_size_s", "segment_key", "segment_value", "revision"]),
    ("pairs", &["pane_start", "partition", "primary_offset", "candidate_offset"]),
    ("panes", &["pane_start", "segment_key", "segment_value"]),
    ("decisions", &["decided_at", "rule"]),
];

/// How many rows, and the sum of their hashes: the same for the same rows in any order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Digest {
    pub(super) rows: u64,
    pub(super) sum: u64,
}

type Sink<'s> = &'s mut dyn FnMut(&RecordBatch) -> Result<(), CompactError>;

/// Takes files in, gives batches in order.
pub(super) struct Sorter {
    schema: SchemaRef,
    order: Order,
    scratch: PathBuf,
    memory: usize,
    digest: Digest,
    chunk: Vec<(RecordBatch, Rows)>,
    chunk_bytes: usize,
    runs: Vec<PathBuf>,
    runs_made: usize,
}

/// Rows as bytes that compare as the rows do.
struct Order {
    converter: RowConverter,
    columns: Vec<usize>,
}

impl Order {
    fn rows(&self, batch: &RecordBatch) -> Result<Rows, arrow::error::ArrowError> {
        let columns: Vec<_> = self.columns.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        self.converter.convert_columns(&columns)
    }
}

impl Sorter {
    /// `scratch` is where runs go, should they not fit into `memory`.
    pub(super) fn new(
        schema: &SchemaRef,
        table: &str,
        scratch: &Path,
        memory: usize,
    ) -> Result<Self, CompactError> {
        let leading = LEADING.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, by)| by);
        let mut columns: Vec<usize> =
            leading.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        let rest = (0..schema.fields().len()).filter(|at| !columns.contains(at));
        let rest: Vec<usize> = rest.collect();
        columns.extend(rest);
        let fields = columns.iter().map(|at| SortField::new(schema.field(*at).data_type().clone()));
        let converter =
            RowConverter::new(fields.collect()).map_err(failed("sort the rows of", scratch))?;
        Ok(Self {
            schema: Arc::clone(schema),
            order: Order { converter, columns },
            scratch: scratch.to_path_buf(),
            memory,
            digest: Digest::default(),
            chunk: Vec::new(),
            chunk_bytes: 0,
            runs: Vec::new(),
            runs_made: 0,
        })
    }

    /// Of all rows so far.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Takes a file's rows in.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), CompactError> {
        for batch in open(path)? {
            let (batch, rows) = self.count(path, batch.map_err(unreadable(path))?)?;
            self.chunk_bytes += batch.get_array_memory_size() + rows.size();
            self.chunk.push((batch, rows));
            if self.memory <= self.chunk_bytes {
                self.spill()?;
            }
        }
        Ok(())
    }

    /// Takes a file's rows into the digest only.
    pub(super) fn only_count(&mut self, path: &Path) -> Result<(), CompactError> {
        for batch in open(path)? {
            self.count(path, batch.map_err(unreadable(path))?)?;
        }
        Ok(())
    }

    fn count(
        &mut self,
        path: &Path,
        batch: RecordBatch,
    ) -> Result<(RecordBatch, Rows), CompactError> {
        // A file's metadata isn't part of its columns.
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())
            .map_err(unreadable(path))?;
        let rows = self.order.rows(&batch).map_err(unreadable(path))?;
        for row in &rows {
            self.digest.rows += 1;
            let hash = xxhash_rust::xxh3::xxh3_64(row.as_ref());
            self.digest.sum = self.digest.sum.wrapping_add(hash);
        }
        Ok((batch, rows))
    }

    /// Hands all rows on, in order.
    pub(super) fn emit(
        mut self,
        mut sink: impl FnMut(&RecordBatch) -> Result<(), CompactError>,
    ) -> Result<(), CompactError> {
        if self.runs.is_empty() {
            return self.emit_chunk(&mut sink);
        }
        self.spill()?;
        self.emit_runs(&mut sink)
    }

    /// Sorts what is in memory and writes it as a run; many runs become one.
    fn spill(&mut self) -> Result<(), CompactError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let path = self.write_run(|sorter, sink| sorter.emit_chunk(sink))?;
        self.chunk.clear();
        self.chunk_bytes = 0;
        self.runs.push(path);
        if self.runs.len() == RUNS {
            let path = self.write_run(|sorter, sink| sorter.emit_runs(sink))?;
            for run in std::mem::replace(&mut self.runs, vec![path]) {
                fs::remove_file(&run).map_err(io_error("remove", &run))?;
            }
        }
        Ok(())
    }

    fn write_run(
        &mut self,
        emit: impl FnOnce(&Self, Sink<'_>) -> Result<(), CompactError>,
    ) -> Result<PathBuf, CompactError> {
        let path = self.scratch.join(format!("run-{}.{STAGED}", self.runs_made));
        self.runs_made += 1;
        let file = File::create(&path).map_err(io_error("make", &path))?;
        // Small pages: a page of every column of every run is in memory at once.
        let properties = properties(Vec::new())
            .set_dictionary_enabled(false)
            .set_write_batch_size(BATCH)
            .set_data_page_row_count_limit(BATCH)
            .build();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties))
            .map_err(failed("write", &path))?;
        emit(self, &mut |batch| writer.write(batch).map_err(failed("write", &path)))?;
        writer.close().map_err(failed("write", &path))?;
        Ok(path)
    }

    fn emit_chunk(&self, sink: Sink<'_>) -> Result<(), CompactError> {
        let batches: Vec<&RecordBatch> = self.chunk.iter().map(|(batch, _)| batch).collect();
        let of = |(batch, row): (usize, usize)| self.chunk[batch].1.row(row);
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            places.extend((0..batch.num_rows()).map(|row| (number, row)));
        }
        places.sort_unstable_by(|a, b| of(*a).cmp(&of(*b)));
        for places in places.chunks(BATCH) {
            sink(&self.together(&batches, places)?)?;
        }
        Ok(())
    }

    /// Merges the runs: the least of their next rows, again and again.
    fn emit_runs(&self, sink: Sink<'_>) -> Result<(), CompactError> {
        let mut runs = Vec::new();
        for path in &self.runs {
            let mut run = Run { path, rest: open(path)?, head: None };
            run.advance(&self.order)?;
            runs.push(run);
        }
        // Batches that the next piece takes rows from; a run's current one is `held[head.held]`.
        let mut held: Vec<RecordBatch> = Vec::new();
        let mut places: Vec<(usize, usize)> = Vec::new();
        for run in &mut runs {
            run.hold(&mut held);
        }
        loop {
            let heads = runs.iter().enumerate();
            let heads = heads.filter_map(|(number, run)| Some((run.head.as_ref()?, number)));
            let least = heads.min_by(|(a, _), (b, _)| a.rows.row(a.at).cmp(&b.rows.row(b.at)));
            let Some((head, number)) = least else { break };
            places.push((head.held, head.at));
            runs[number].step(&self.order, &mut held)?;
            if places.len() == BATCH {
                sink(&self.together(&held.iter().collect::<Vec<_>>(), &places)?)?;
                places.clear();
                held.clear();
                for run in &mut runs {
                    run.hold(&mut held);
                }
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        sink(&self.together(&held.iter().collect::<Vec<_>>(), &places)?)
    }

    fn together(
        &self,
        batches: &[&RecordBatch],
        places: &[(usize, usize)],
    ) -> Result<RecordBatch, CompactError> {
        interleave_record_batch(batches, places).map_err(failed("sort the rows of", &self.scratch))
    }
}

/// A sorted run on disk and its next row.
struct Run<'p> {
    path: &'p Path,
    rest: ParquetRecordBatchReader,
    head: Option<Head>,
}

struct Head {
    batch: RecordBatch,
    rows: Rows,
    at: usize,
    held: usize,
}

impl Run<'_> {
    fn advance(&mut self, order: &Order) -> Result<(), CompactError> {
        self.head = match self.rest.next() {
            Some(batch) => {
                let batch = batch.map_err(unreadable(self.path))?;
                let rows = order.rows(&batch).map_err(unreadable(self.path))?;
                Some(Head { batch, rows, at: 0, held: 0 })
            }
            None => None,
        };
        Ok(())
    }

    fn hold(&mut self, held: &mut Vec<RecordBatch>) {
        if let Some(head) = &mut self.head {
            head.held = held.len();
            held.push(head.batch.clone());
        }
    }

    fn step(&mut self, order: &Order, held: &mut Vec<RecordBatch>) -> Result<(), CompactError> {
        if let Some(head) = &mut self.head {
            head.at += 1;
            if head.at < head.rows.num_rows() {
                return Ok(());
            }
        }
        self.advance(order)?;
        self.hold(held);
        Ok(())
    }
}

fn open(path: &Path) -> Result<ParquetRecordBatchReader, CompactError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|reader| reader.with_batch_size(BATCH).build())
        .map_err(unreadable(path))
}
