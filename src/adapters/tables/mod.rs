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
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use crate::engine::evaluator::Rows;
use crate::model::entry::TableFile;
use crate::model::row::PairRow;
use crate::model::spec::PipelineSpec;
use crate::runtime::driver::{Owner, Tables};

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
}

/// Writes tables below one root.
#[derive(Clone, Debug)]
pub struct Stage {
    root: PathBuf,
    spec: PipelineSpec,
    /// A log says what lies here.
    logged: bool,
}

/// A table's columns by name and type, as text: what `schemas/*.parquet.txt` holds.
#[must_use]
pub fn schema_text(table: &str, spec: &PipelineSpec) -> Option<String> {
    let batch = match table {
        "windows" => windows::batch(spec, &[]),
        "pairs" => pairs::batch(spec, 0, &[]),
        "panes" => panes::batch(&[]),
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
        Ok(Self { root: root.to_path_buf(), spec: spec.clone(), logged: false })
    }

    /// The same where a durable log says what lies there.
    #[must_use]
    pub fn logged(self) -> Self {
        Self { logged: true, ..self }
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn write(
        &self,
        owner: Owner,
        file: &TableFile,
        batch: Result<RecordBatch, ArrowError>,
        config: u64,
    ) -> Result<(), TableError> {
        let table = &file.table;
        let batch = batch.map_err(|error| TableError::Encode(table.clone(), error.into()))?;
        let path = self.staged_path(owner, &self.relative(file));
        let output = File::create(&path).map_err(io_error("make", &path))?;
        // Parquet's own error for a full disk hides the operating system's: look for it.
        let refused = |error: ParquetError| match error {
            ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                Ok(source) => io_error("write", &path)(*source),
                Err(cause) => TableError::Encode(table.clone(), cause),
            },
            error => TableError::Encode(table.clone(), error.into()),
        };
        let mut writer =
            ArrowWriter::try_new(output, batch.schema(), Some(self.properties(table, config)))
                .map_err(refused)?;
        writer.write(&batch).map_err(refused)?;
        let output = writer.into_inner().map_err(refused)?;
        output.sync_all().map_err(io_error("make durable", &path))?;
        let folder = self.root.join(STAGING);
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("make durable", &folder))
    }

    /// A file's path below the root.
    fn relative(&self, file: &TableFile) -> String {
        let TableFile { table, comparison, first, name } = file;
        let candidate =
            self.spec.candidates.get(usize::from(*comparison)).map_or("", String::as_str);
        let day = jiff::Timestamp::from_microsecond(first.us())
            .map_or_else(|_| "1970-01-01".to_owned(), |t| t.to_string().chars().take(10).collect());
        let pipeline = &self.spec.name;
        format!("{table}/pipeline={pipeline}/candidate={candidate}/dt={day}/{name}")
    }

    /// `config`: what its rows depend on; of pair rows that is what tasks do, whatever the rules are.
    fn properties(&self, table: &str, config: u64) -> WriterProperties {
        let pair = |key: &str, value: String| KeyValue::new(format!("parallax.{key}"), value);
        properties(vec![
            pair("schema_version", SCHEMA_VERSION.to_string()),
            pair("table", table.to_owned()),
            pair("pipeline", self.spec.name.clone()),
            pair("config_hash", format!("{config:016x}")),
        ])
        .build()
    }

    fn staged_path(&self, owner: Owner, relative: &str) -> PathBuf {
        let name = format!("{}.{}.{STAGED}", relative.replace('/', SEPARATOR), owner.tag());
        self.root.join(STAGING).join(name)
    }
}

/// On a real disk.
impl Tables for Stage {
    fn stage_pairs(
        &mut self,
        owner: Owner,
        partition: u32,
        file: &TableFile,
        rows: &[PairRow],
        config: u64,
    ) -> anyhow::Result<()> {
        Ok(self.write(owner, file, pairs::batch(&self.spec, partition, rows), config)?)
    }

    fn stage(
        &mut self,
        owner: Owner,
        file: &TableFile,
        rows: &Rows,
        config: u64,
    ) -> anyhow::Result<()> {
        let batch = match rows {
            Rows::Windows(rows) => windows::batch(&self.spec, rows),
            Rows::Panes(rows) => panes::batch(rows),
            Rows::Decisions(rows) => decisions::batch(&self.spec, rows),
        };
        Ok(self.write(owner, file, batch, config)?)
    }

    fn complete(&mut self, owner: Owner, file: &TableFile) -> anyhow::Result<bool> {
        let relative = self.relative(file);
        let (from, to) = (self.staged_path(owner, &relative), self.root.join(relative));
        let Some(folder) = to.parent() else { return Ok(false) };
        fs::create_dir_all(folder).map_err(io_error("make", folder))?;
        match fs::rename(&from, &to) {
            Ok(()) => {}
            // Somebody else did it: who took over, or who was taken over.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(to.exists() || compact::holds(&to)?);
            }
            Err(error) => return Err(io_error("rename", &from)(error).into()),
        }
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("make durable", folder))?;
        Ok(true)
    }

    fn remove(&mut self, file: &TableFile) -> anyhow::Result<()> {
        let path = self.root.join(self.relative(file));
        anyhow::ensure!(
            !compact::holds(&path)?,
            "{} was merged by `compact`, but a file before it is nowhere: its rows would be doubled; restore the \
             output folder, or begin anew with a log of its own",
            path.display()
        );
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &path)(error).into())
            }
            _ => Ok(()),
        }
    }

    fn holds_reports(&self) -> anyhow::Result<bool> {
        if !self.logged {
            return Ok(false);
        }
        // A folder is made after the entry that names its first file was read back.
        let mine = format!("pipeline={}", self.spec.name);
        let holds = |table: &&str| self.root.join(table).join(&mine).exists();
        Ok(["windows", "panes", "decisions"].iter().any(holds))
    }

    fn clear_older(&mut self, owner: Owner) -> anyhow::Result<usize> {
        let folder = self.root.join(STAGING);
        let of = Owner::of(owner.stream);
        let mut removed = 0;
        for entry in fs::read_dir(&folder).map_err(io_error("list", &folder))? {
            let path = entry.map_err(io_error("list", &folder))?.path();
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let tag = file.strip_suffix(STAGED).and_then(|file| file.strip_suffix('.'));
            let tag = tag.and_then(|file| file.rsplit('.').next()).unwrap_or_default();
            let epoch = tag.strip_prefix(&of).and_then(|epoch| epoch.parse::<u64>().ok());
            if epoch.is_some_and(|epoch| epoch < owner.epoch) {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("remove", &path)(error).into());
                    }
                    _ => removed += 1,
                }
            }
        }
        Ok(removed)
    }
}

/// Returns how every file of a table is written.
fn properties(metadata: Vec<KeyValue>) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_created_by(format!("parallax {}", env!("CARGO_PKG_VERSION")))
        .set_column_dictionary_enabled("request_id".into(), false)
        .set_key_value_metadata(Some(metadata))
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> TableError {
    let path = path.to_path_buf();
    move |source| TableError::Io { doing, path: path.clone(), source }
}
