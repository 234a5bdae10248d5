//! The folder that a replay writes to: its own from beginning to end.
//!
//! In: a folder, and whether what an earlier replay left may go. Out: a folder without any output, marked
//! as a replay's; or a refusal that names what lies there. Holds: nothing is removed but what a replay
//! wrote, and only from a folder that it marked. Knows nothing of: rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Says that a replay made what lies beside it.
const MARK: &str = ".parallax-replay";
/// Tables by the names of their folders.
const TABLES: [&str; 4] = ["windows", "pairs", "panes", "decisions"];
/// What is written beside the tables.
const FILES: [&str; 2] = ["signals.jsonl", "dead_letters.jsonl"];

/// Why a replay can't write to a folder.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Another output would lie beside this one, and be read with it.
    #[error("{} already holds {found}: {cure}", .folder.display())]
    Occupied {
        /// Which folder.
        folder: PathBuf,
        /// The first thing that was found.
        found: &'static str,
        /// How to go on.
        cure: &'static str,
    },
    /// The disk refused.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes the folder a replay's; with `overwrite` what an earlier one wrote is removed.
///
/// # Errors
/// Something else lies there, or the disk refuses.
pub fn claim(folder: &Path, overwrite: bool) -> Result<(), OutputError> {
    let mark = folder.join(MARK);
    if let Some(found) = TABLES.into_iter().chain(FILES).find(|name| folder.join(name).exists()) {
        let is_replays = mark.exists();
        if !is_replays || !overwrite {
            let cure = if is_replays {
                "choose a new folder with --out, or give --overwrite to remove what that replay wrote"
            } else {
                "choose a new folder with --out; what no replay wrote isn't removed"
            };
            return Err(OutputError::Occupied { folder: folder.to_path_buf(), found, cure });
        }
        clear(folder)?;
    }
    fs::create_dir_all(folder).map_err(io_error("make", folder))?;
    let said = "What `parallax replay` wrote lies here; `--overwrite` removes it.\n";
    fs::write(&mark, said).map_err(io_error("write", &mark))
}

/// Makes what lies here a run's from now on: no replay may remove it.
///
/// # Errors
/// The disk refuses.
pub fn release(folder: &Path) -> Result<(), OutputError> {
    let mark = folder.join(MARK);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", &mark)(error))
        }
        _ => Ok(()),
    }
}

fn clear(folder: &Path) -> Result<(), OutputError> {
    for name in FILES {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
    }
    for table in TABLES.map(|table| folder.join(table)).iter().filter(|table| table.is_dir()) {
        for entry in fs::read_dir(table).map_err(io_error("list", table))? {
            let path = entry.map_err(io_error("list", table))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("pipeline=") {
                fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
            }
        }
        // What else lies there isn't a replay's: then it says so.
        fs::remove_dir(table).map_err(io_error("remove", table))?;
    }
    Ok(())
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_path_buf();
    move |source| OutputError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_replay_wrote_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("out");
        let day = folder.join("windows/pipeline=p/candidate=c/dt=2026-01-01");
        claim(&folder, false).unwrap();
        claim(&folder, false).unwrap();
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join("x.parquet"), "x").unwrap();
        fs::write(folder.join("signals.jsonl"), "x").unwrap();
        fs::write(folder.join("notes.txt"), "x").unwrap();
        let refused = claim(&folder, false).unwrap_err().to_string();
        assert!(refused.contains("already holds windows") && refused.contains("--overwrite"));
        claim(&folder, true).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [MARK, "notes.txt"]);
        fs::write(folder.join("dead_letters.jsonl"), "x").unwrap();
        release(&folder).unwrap();
        release(&folder).unwrap();
        let refused = claim(&folder, true).unwrap_err().to_string();
        assert!(refused.contains("dead_letters.jsonl") && refused.contains("no replay wrote"));
        assert!(folder.join("dead_letters.jsonl").exists());
    }
}
