//! Tables that people query: Parquet in Hive folders.
//!
//! In: rows. Out: files that are whole or not there. Holds: a file is staged, made durable, and only
//! renamed after the entry that names it; the same rows give the same bytes; nothing of a file says
//! when or where it was written. Knows nothing of: how rows come about.

mod columns;
pub mod compact;
mod decisions;
mod pairs;
mod panes;
mod windows;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use crate::model::row::{DecisionRow, PairRow, PaneRow, WindowRow};
use crate::model::spec::PipelineSpec;

/// Version of all four tables.
pub const SCHEMA_VERSION: u32 = 1;
/// The folder of staged files: its name and their ending keep readers away.
const STAGING: &str = ".staging";
const STAGED: &str = "inprogress";
/// Between the folders of a staged file's final path.
const SEPARATOR: &str = "!";

/// What can go wrong with tables.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
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
    /// Rows couldn't be encoded.
    #[error("encode {0}")]
    Encode(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file that an entry names is neither staged nor complete.
    #[error(
        "complete {0}: it is neither staged nor there; restore it, or begin anew with an empty log folder"
    )]
    Missing(PathBuf),
}

/// A staged file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StagedFile {
    /// Final path below the root.
    pub relative: String,
}

/// Writes tables below one root.
#[derive(Debug)]
pub struct Stage {
    root: PathBuf,
    spec: PipelineSpec,
}

/// A table's columns by name and type, as text: what `schemas/*.parquet.txt` holds.
#[must_use]
pub fn schema_text(table: &str, spec: &PipelineSpec) -> Option<String> {
    let batch = match table {
        "windows" => windows::batch(spec, &[]),
        "pairs" => pairs::batch(spec, 0, &[]),
        "panes" => panes::batch(spec, &[]),
        "decisions" => decisions::batch(spec, &[]),
        _ => return None,
    };
    let batch = batch.ok()?;
    let lines = batch
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let null = if field.is_nullable() { "nullable" } else { "required" };
            format!("{} {} {null}\n", field.name(), field.data_type())
        })
        .collect();
    Some(lines)
}

impl Stage {
    /// Tables of a pipeline below `root`.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn new(root: &Path, spec: &PipelineSpec) -> Result<Self, TableError> {
        let staging = root.join(STAGING);
        fs::create_dir_all(&staging).map_err(io_error("make", &staging))?;
        Ok(Self { root: root.to_path_buf(), spec: spec.clone() })
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Stages rows of `pairs`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn stage_pairs(
        &self,
        task: u32,
        comparison: u8,
        rows: &[PairRow],
        name: &str,
    ) -> Result<StagedFile, TableError> {
        let first = rows.first().map_or(0, |row| row.pane.us());
        let batch = pairs::batch(&self.spec, task, rows);
        self.write("pairs", comparison, first, name, encoded("pairs", batch)?)
    }

    /// Stages rows of `windows`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn stage_windows(
        &self,
        comparison: u8,
        rows: &[WindowRow],
        name: &str,
    ) -> Result<StagedFile, TableError> {
        let first = rows.first().map_or(0, |row| row.start.us());
        let batch = windows::batch(&self.spec, rows);
        self.write("windows", comparison, first, name, encoded("windows", batch)?)
    }

    /// Stages rows of `panes`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn stage_panes(
        &self,
        comparison: u8,
        rows: &[PaneRow],
        name: &str,
    ) -> Result<StagedFile, TableError> {
        let first = rows
            .iter()
            .map(|row| row.pane.start.us())
            .filter(|us| *us != i64::MIN)
            .min()
            .unwrap_or(0);
        let batch = panes::batch(&self.spec, rows);
        self.write("panes", comparison, first, name, encoded("panes", batch)?)
    }

    /// Stages rows of `decisions`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn stage_decisions(
        &self,
        comparison: u8,
        rows: &[DecisionRow],
        name: &str,
    ) -> Result<StagedFile, TableError> {
        let first = rows.first().map_or(0, |row| row.time.us());
        let batch = decisions::batch(&self.spec, rows);
        self.write("decisions", comparison, first, name, encoded("decisions", batch)?)
    }

    fn write(
        &self,
        table: &str,
        comparison: u8,
        first_us: i64,
        name: &str,
        batch: RecordBatch,
    ) -> Result<StagedFile, TableError> {
        let candidate =
            self.spec.candidates.get(usize::from(comparison)).map_or("", String::as_str);
        let day = jiff::Timestamp::from_microsecond(first_us)
            .map_or_else(|_| "1970-01-01".to_owned(), |t| t.to_string().chars().take(10).collect());
        let pipeline = &self.spec.name;
        let relative = format!("{table}/pipeline={pipeline}/candidate={candidate}/dt={day}/{name}");
        let path = self.staged_path(&relative);
        let file = File::create(&path).map_err(io_error("make", &path))?;
        let encode = |error: parquet::errors::ParquetError| {
            TableError::Encode(table.to_owned(), error.into())
        };
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(self.properties(table)))
            .map_err(encode)?;
        writer.write(&batch).map_err(encode)?;
        let file = writer.into_inner().map_err(encode)?;
        file.sync_all().map_err(io_error("make durable", &path))?;
        Ok(StagedFile { relative })
    }

    fn properties(&self, table: &str) -> WriterProperties {
        let pair = |key: &str, value: String| KeyValue::new(format!("parallax.{key}"), value);
        properties(vec![
            pair("schema_version", SCHEMA_VERSION.to_string()),
            pair("table", table.to_owned()),
            pair("pipeline", self.spec.name.clone()),
            pair("config_hash", format!("{:016x}", self.spec.config_hash)),
        ])
        .build()
    }

    fn staged_path(&self, relative: &str) -> PathBuf {
        self.root.join(STAGING).join(format!("{}.{STAGED}", relative.replace('/', SEPARATOR)))
    }

    /// Renames a staged file into place; done already is done.
    ///
    /// # Errors
    /// The disk refused, or the file is nowhere.
    pub fn complete(&self, relative: &str) -> Result<(), TableError> {
        let (from, to) = (self.staged_path(relative), self.root.join(relative));
        if !from.exists() {
            let is_there = to.exists() || compact::holds(&to)?;
            return if is_there { Ok(()) } else { Err(TableError::Missing(to)) };
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io_error("make", folder))?;
            fs::rename(&from, &to).map_err(io_error("rename", &from))?;
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io_error("make durable", folder))?;
        }
        Ok(())
    }

    /// What a new owner finds: staged files that `named` entries name are completed, the others
    /// belong to nobody and are removed. Returns (completed, removed).
    ///
    /// # Errors
    /// The disk refused.
    pub fn recover(&self, named: &[String]) -> Result<(usize, usize), TableError> {
        let folder = self.root.join(STAGING);
        let (mut completed, mut removed) = (0, 0);
        for entry in fs::read_dir(&folder).map_err(io_error("list", &folder))? {
            let path = entry.map_err(io_error("list", &folder))?.path();
            if path.is_dir() {
                // A compaction's, which recognises its own: see `compact`.
                continue;
            }
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let relative = file.trim_end_matches(&format!(".{STAGED}")).replace(SEPARATOR, "/");
            let name = relative.rsplit('/').next().unwrap_or_default().to_owned();
            if named.contains(&name) {
                self.complete(&relative)?;
                completed += 1;
            } else {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
                removed += 1;
            }
        }
        Ok((completed, removed))
    }
}

/// How every file of a table is written.
fn properties(metadata: Vec<KeyValue>) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_created_by(format!("parallax {}", env!("CARGO_PKG_VERSION")))
        .set_column_dictionary_enabled("request_id".into(), false)
        .set_key_value_metadata(Some(metadata))
}

fn encoded(
    table: &str,
    batch: Result<RecordBatch, arrow::error::ArrowError>,
) -> Result<RecordBatch, TableError> {
    batch.map_err(|error| TableError::Encode(table.to_owned(), error.into()))
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> TableError {
    let path = path.to_path_buf();
    move |source| TableError::Io { doing, path: path.clone(), source }
}
