//! Records from files: JSON lines, plain, gzip or zstd, one file per partition: a copy of a file that is given beside it is refused.
//!
//! In: paths by input. Out: records whose offset is their line number. Holds: one block of lines in
//! memory per file; no record has a time stamp of its own; an overlong line is a record that can't be
//! read, never a stop. Knows nothing of: what lines mean.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::model::record::Record;
use crate::runtime::clock::HostClock;
use crate::runtime::source::{Ends, Source, SourceError, Take};

/// The longest line, in bytes; what is beyond it is cut.
const LINE_MAX: usize = 1 << 20;

/// Records from files.
pub struct FileSource {
    /// By input its name, and by partition its file.
    inputs: Vec<(String, Vec<Lines>)>,
}

/// One file, read line by line.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    text: Vec<u8>,
    /// Ends of lines in `text`.
    spans: Vec<(usize, usize)>,
    offset: i64,
    skip_to: i64,
}

impl FileSource {
    /// Opens files, by input and partition.
    ///
    /// # Errors
    /// One is missing.
    pub fn open(inputs: &[(String, Vec<PathBuf>)]) -> Result<Self, SourceError> {
        let open = |(name, paths): &(String, Vec<PathBuf>)| {
            let files: Result<Vec<Lines>, _> = paths.iter().map(|path| Lines::open(path)).collect();
            Ok((name.clone(), files?))
        };
        Ok(Self { inputs: inputs.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// Returns how many partitions each input has.
    #[must_use]
    pub fn counts(&self) -> Vec<u32> {
        let count = |(_, files): &(String, Vec<Lines>)| files.len();
        self.inputs.iter().map(|of| u32::try_from(count(of)).unwrap_or(u32::MAX)).collect()
    }

    /// Returns whether partition *i* of all inputs can lie together.
    ///
    /// # Errors
    /// They have different numbers of partitions.
    pub fn check_equal(&self) -> Result<(), SourceError> {
        let partitions = self.partitions() as usize;
        match self.inputs.iter().find(|(_, files)| files.len() != partitions) {
            Some((name, files)) => Err(SourceError::Files(format!(
                "`{name}` has {} of the {partitions} files that another input has: each needs one for every \
                 partition, unless the pipeline file says `co_partitioned: false`",
                files.len()
            ))),
            None => Ok(()),
        }
    }

    fn file(&mut self, input: usize, partition: u32) -> Option<&mut Lines> {
        self.inputs.get_mut(input)?.1.get_mut(partition as usize)
    }
}

impl Source for FileSource {
    fn partitions(&self) -> u32 {
        self.counts().into_iter().max().unwrap_or(0)
    }

    fn begin(
        &mut self,
        partition: u32,
        offsets: &[i64],
        _: &[(usize, i64)],
    ) -> Result<(), SourceError> {
        for (input, offset) in offsets.iter().enumerate() {
            if let Some(file) = self.file(input, partition) {
                file.skip_to = *offset;
            }
        }
        Ok(())
    }

    fn end(&mut self, _: u32) {}

    fn drain(
        &mut self,
        input: usize,
        partition: u32,
        max: usize,
        take: &mut Take<'_>,
    ) -> Result<usize, SourceError> {
        match self.file(input, partition) {
            Some(file) => file.drain(max, take),
            None => Ok(0),
        }
    }

    fn position(&self, input: usize, partition: u32) -> i64 {
        let files = self.inputs.get(input).map(|(_, files)| files);
        files.and_then(|files| files.get(partition as usize)).map_or(0, |file| file.offset)
    }

    fn request_ends(&mut self, _: HostClock) -> Result<(), SourceError> {
        Ok(())
    }

    fn take_ends(&mut self) -> Result<Option<Ends>, SourceError> {
        Ok(None)
    }

    fn pump(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn commit(&mut self, _: &[(usize, u32, i64)]) {}
}

impl Lines {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(|error| file_error(path, &error.to_string()))?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let plain = BufReader::with_capacity(1 << 18, file);
        let reader: Box<dyn BufRead + Send> = match ending {
            "gz" => Box::new(BufReader::with_capacity(
                1 << 18,
                flate2::bufread::MultiGzDecoder::new(plain),
            )),
            "zst" => {
                let decoder = zstd::stream::read::Decoder::with_buffer(plain)
                    .map_err(|error| file_error(path, &error.to_string()))?;
                Box::new(BufReader::with_capacity(1 << 18, decoder))
            }
            _ => Box::new(plain),
        };
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            text: Vec::new(),
            spans: Vec::new(),
            offset: 0,
            skip_to: 0,
        })
    }

    fn drain(&mut self, max: usize, take: &mut Take<'_>) -> Result<usize, SourceError> {
        while self.offset < self.skip_to {
            if self.fill(1)? == 0 {
                return Ok(0);
            }
        }
        let first = self.offset;
        let count = self.fill(max)?;
        if count == 0 {
            return Ok(0);
        }
        let mut records = Vec::with_capacity(count);
        for (offset, &(start, end)) in (first..).zip(&self.spans) {
            let line = self.text.get(start..end).unwrap_or_default();
            let value = (!line.is_empty()).then_some(line);
            records.push(Record { offset, timestamp_ms: None, key: None, value });
        }
        take(&records);
        Ok(count)
    }

    /// Reads up to `max` lines into `text`.
    fn fill(&mut self, max: usize) -> Result<usize, SourceError> {
        self.text.clear();
        self.spans.clear();
        while self.spans.len() < max {
            let start = self.text.len();
            let mut limited = (&mut self.reader).take(LINE_MAX as u64);
            let read = limited.read_until(b'\n', &mut self.text).map_err(|error| {
                file_error(&self.path, &format!("line {}: {error}", self.offset + 1))
            })?;
            if read == 0 {
                break;
            }
            let mut end = self.text.len();
            if self.text.last() == Some(&b'\n') {
                end -= 1;
                if self.text.get(end.wrapping_sub(1)) == Some(&b'\r') && start < end {
                    end -= 1;
                }
            } else if read == LINE_MAX {
                self.reader
                    .skip_until(b'\n')
                    .map_err(|error| file_error(&self.path, &error.to_string()))?;
            }
            self.spans.push((start, end));
            self.offset += 1;
        }
        Ok(self.spans.len())
    }
}

fn file_error(path: &Path, reason: &str) -> SourceError {
    SourceError::File { path: path.display().to_string(), reason: reason.to_owned() }
}

/// Reads `--source NAME=PATH[,PATH…]`; a folder stands for its files that begin with `NAME-`.
///
/// # Errors
/// What is wrong with which argument.
pub fn sources(
    arguments: &[String],
    names: &[String],
) -> Result<Vec<(String, Vec<PathBuf>)>, SourceError> {
    let mut by_name: Vec<(String, Vec<PathBuf>)> =
        names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for argument in arguments {
        let Some((name, paths)) = argument.split_once('=') else {
            return Err(SourceError::Files(format!(
                "--source {argument}: write NAME=FILE or NAME=FOLDER"
            )));
        };
        let Some((_, files)) = by_name.iter_mut().find(|(known, _)| known == name) else {
            let known = names.join(", ");
            return Err(SourceError::Files(format!(
                "--source {argument}: no input `{name}`; there are {known}"
            )));
        };
        for path in paths.split(',').map(PathBuf::from) {
            if path.is_dir() {
                files.extend(in_folder(&path, name)?);
            } else {
                files.push(path);
            }
        }
    }
    for (name, files) in &by_name {
        refuse_copies(name, files)?;
    }
    match by_name.iter().find(|(_, files)| files.is_empty()) {
        Some((name, _)) => Err(SourceError::Files(format!(
            "`{name}` has no file: give --source {name}=FILE, or the folder of its {name}-*"
        ))),
        None => Ok(by_name),
    }
}

/// Endings that say how a file is packed, or that it is a copy.
const PACKED_OR_COPIED: [&str; 9] = ["gz", "zst", "bak", "old", "orig", "tmp", "save", "swp", "~"];

/// Each file stands for one partition: the same one twice, packed and unpacked, or with a copy of it,
/// would count every request twice.
fn refuse_copies(name: &str, files: &[PathBuf]) -> Result<(), SourceError> {
    let mut seen: std::collections::BTreeMap<PathBuf, &Path> = std::collections::BTreeMap::new();
    for path in files {
        if let Some(other) = seen.insert(original(path), path) {
            return Err(doubled(name, other, path));
        }
    }
    Ok(())
}

fn doubled(name: &str, one: &Path, other: &Path) -> SourceError {
    SourceError::Files(format!(
        "`{name}` has two files for one partition: {} and {}; keep one of them, or name the right ones with \
         --source {name}=FILE,…",
        one.display(),
        other.display()
    ))
}

/// The path without what says that a file is packed or a copy: `primary-0.jsonl` for
/// `primary-0.jsonl.gz`, `primary-0.jsonl~` and `primary-0 (copy).jsonl`.
fn original(path: &Path) -> PathBuf {
    let mut path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    while path
        .extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| PACKED_OR_COPIED.contains(&end.to_ascii_lowercase().as_str()))
    {
        path.set_extension("");
    }
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default().to_owned();
    let file = file.trim_end_matches('~');
    let (stem, ending) = file.split_once('.').unwrap_or((file, ""));
    let lower = stem.to_ascii_lowercase();
    let copied = [" (", " copy", " - copy", "-copy", "_copy", "-backup", "_backup", "-bak", "_bak"];
    let end = copied.iter().filter_map(|word| lower.find(word)).min().unwrap_or(stem.len());
    let stem = stem.get(..end).unwrap_or(stem);
    path.set_file_name(if ending.is_empty() {
        stem.to_owned()
    } else {
        format!("{stem}.{ending}")
    });
    path
}

/// Files of an input in a folder, in the order of their partition numbers.
fn in_folder(folder: &Path, name: &str) -> Result<Vec<PathBuf>, SourceError> {
    let listing =
        std::fs::read_dir(folder).map_err(|error| file_error(folder, &error.to_string()))?;
    let mut files: Vec<(Option<u64>, PathBuf)> = Vec::new();
    for entry in listing {
        let path = entry.map_err(|error| file_error(folder, &error.to_string()))?.path();
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        let Some(rest) = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')) else {
            continue;
        };
        let number = rest.split('.').next().and_then(|number| number.parse().ok());
        files.push((number, path));
    }
    files.sort();
    if let Some([(_, one), (_, other)]) =
        files.windows(2).find(|pair| pair[0].0.is_some() && pair[0].0 == pair[1].0)
    {
        return Err(doubled(name, one, other));
    }
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path, max: usize) -> Vec<(i64, Option<String>)> {
        let mut source = FileSource::open(&[("primary".into(), vec![path.to_path_buf()])]).unwrap();
        let mut seen = Vec::new();
        loop {
            let mut take = |records: &[Record<'_>]| {
                for record in records {
                    let text = record.value.map(|v| String::from_utf8_lossy(v).into_owned());
                    seen.push((record.offset, text.map(|t| t.chars().take(9).collect())));
                }
            };
            if source.drain(0, 0, max, &mut take).unwrap() == 0 {
                return seen;
            }
        }
    }

    #[test]
    fn reads_lines_plain_and_packed() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(LINE_MAX + 5);
        let text = format!("one\r\n\ntwo\n{long}\nlast");
        let plain = dir.path().join("primary-0.jsonl");
        std::fs::write(&plain, &text).unwrap();
        let gz = dir.path().join("a.gz");
        let mut packer =
            flate2::write::GzEncoder::new(File::create(&gz).unwrap(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap();
        let zst = dir.path().join("a.zst");
        std::fs::write(&zst, zstd::bulk::compress(text.as_bytes(), 1).unwrap()).unwrap();
        for path in [plain, gz, zst] {
            for max in [1, 2, 100] {
                let word = |text: &str| Some(text.to_owned());
                let expected = [
                    (0, word("one")),
                    (1, None),
                    (2, word("two")),
                    (3, word("xxxxxxxxx")),
                    (4, word("last")),
                ];
                assert_eq!(read(&path, max), expected, "{}", path.display());
            }
        }
    }

    #[test]
    fn a_file_and_its_copy_are_refused_with_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["primary".to_owned()];
        let folder = dir.path().display();
        let first = dir.path().join("primary-0.jsonl");
        std::fs::write(&first, "{}\n").unwrap();
        std::fs::write(dir.path().join("primary-1.jsonl.gz"), "").unwrap();
        assert_eq!(sources(&[format!("primary={folder}")], &names).unwrap()[0].1.len(), 2);
        for copy in [
            "primary-0.jsonl.gz",
            "primary-0.jsonl.zst",
            "primary-0.jsonl~",
            "primary-0.jsonl.bak",
            "primary-0.json",
            "primary-00.jsonl",
            "primary-0 (1).jsonl",
            "primary-0 copy.jsonl",
            "primary-0-copy.jsonl",
            "primary-1.jsonl",
        ] {
            let path = dir.path().join(copy);
            std::fs::write(&path, "{}\n").unwrap();
            let refused = sources(&[format!("primary={folder}")], &names).unwrap_err().to_string();
            assert!(refused.contains("two files for one partition"), "{copy}: {refused}");
            assert!(refused.contains(copy), "{refused}");
            std::fs::remove_file(path).unwrap();
        }
        for twice in [format!("{folder},{}", first.display()), format!("{0},{0}", first.display())]
        {
            let refused = sources(&[format!("primary={twice}")], &names).unwrap_err().to_string();
            assert!(refused.contains("two files for one partition"), "{refused}");
        }
    }

    #[test]
    fn finds_partitions_in_a_folder_by_number() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["primary-10.jsonl", "primary-2.jsonl", "v8-0.jsonl", "v8-1.jsonl"] {
            std::fs::write(dir.path().join(name), "{}\n").unwrap();
        }
        let folder = dir.path().display();
        let names = ["primary".to_owned(), "v8".to_owned()];
        let found =
            sources(&[format!("primary={folder}"), format!("v8={folder}")], &names).unwrap();
        let ends: Vec<_> =
            found[0].1.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(ends, ["primary-2.jsonl", "primary-10.jsonl"]);
        assert!(
            sources(&["v9=x".to_owned()], &names)
                .unwrap_err()
                .to_string()
                .contains("there are primary, v8")
        );
    }
}
