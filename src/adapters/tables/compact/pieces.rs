//! Sorted rows into files of a stated size.
//!
//! In: batches. Out: durable files. Holds: every file but the last is full, so that none of them is
//! ever merged again; the same rows give the same bytes. Knows nothing of: folders of days.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;

use super::{CompactError, Group, Limits, failed};
use crate::adapters::tables::{io_error, properties};

/// Rows and bytes of a row group: what a reader skips or reads as one.
const GROUP_ROWS: usize = 100_000;
const GROUP_BYTES: usize = 16 << 20;

pub(super) struct Pieces<'g> {
    folder: PathBuf,
    stem: String,
    group: &'g Group,
    limits: Limits,
    open: Option<ArrowWriter<File>>,
    rows: usize,
    written: Vec<PathBuf>,
}

impl<'g> Pieces<'g> {
    pub(super) const fn new(
        folder: PathBuf,
        stem: String,
        group: &'g Group,
        limits: Limits,
    ) -> Self {
        Self { folder, stem, group, limits, open: None, rows: 0, written: Vec::new() }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactError> {
        let mut at = 0;
        while at < batch.num_rows() {
            let rows = (batch.num_rows() - at).min(self.limits.rows - self.rows);
            let writer = match self.open.take() {
                Some(writer) => writer,
                None => self.next()?,
            };
            let writer = self.open.insert(writer);
            let path = self.written.last().cloned().unwrap_or_default();
            writer.write(&batch.slice(at, rows)).map_err(failed("write", &path))?;
            at += rows;
            self.rows += rows;
            if self.limits.rows <= self.rows || self.limits.bytes <= writer.bytes_written() as u64 {
                self.close()?;
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<ArrowWriter<File>, CompactError> {
        let path = self.folder.join(format!("{}-{:04}.parquet", self.stem, self.written.len()));
        let file = File::create(&path).map_err(io_error("make", &path))?;
        self.written.push(path.clone());
        let properties = properties(self.group.metadata.clone())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .build();
        ArrowWriter::try_new(file, Arc::clone(&self.group.schema), Some(properties))
            .map_err(failed("write", &path))
    }

    fn close(&mut self) -> Result<(), CompactError> {
        self.rows = 0;
        if let (Some(writer), Some(path)) = (self.open.take(), self.written.last()) {
            let file = writer.into_inner().map_err(failed("write", path))?;
            file.sync_all().map_err(io_error("make durable", path))?;
        }
        Ok(())
    }

    /// Closes the last file. Without rows there is one empty file: the columns are still there.
    pub(super) fn end(mut self) -> Result<Vec<PathBuf>, CompactError> {
        if self.written.is_empty() {
            self.open = Some(self.next()?);
        }
        self.close()?;
        Ok(self.written)
    }
}
