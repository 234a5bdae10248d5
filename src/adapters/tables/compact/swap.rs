//! The steps from an old folder to a new one.
//!
//! In: a day's folder. Out: the same path with another folder behind it. Holds: readers see one
//! exchange and nothing else; a file that comes in between is not lost; whatever step a crash falls
//! on, the names and inodes below the staging folder tell what is to be done. Knows nothing of: rows.
//!
//! Three folders are staged for a day, all named after its path:
//! - `compact-from!…` holds a hard link to every file as it was when the merge began;
//! - `compact-new!…` is the new folder while it is written;
//! - `compact-INODE!…` is the new folder once it is whole, named by its own inode. After the exchange
//!   this name stands for the old folder, whose inode is another one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{CompactError, Day};
use crate::adapters::tables::{SEPARATOR, STAGING, TableError, io_error};

const OURS: &str = "compact-";
const FROM: &str = "from";
const NEW: &str = "new";
const TRY: &str = "try";

/// Names of all files that were ever merged into a folder, one a line. Its own name keeps readers away;
/// an engine that looks for a file its log names finds it here.
pub(super) const LIST: &str = ".merged";

/// Files by name, with their inodes.
pub(super) type Names = BTreeMap<String, u64>;

/// One day's exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Swap {
    staging: PathBuf,
    day: PathBuf,
    key: String,
}

impl Swap {
    pub(super) fn of(root: &Path, day: &Day) -> Self {
        Self::at(root, &day.relative())
    }

    fn at(root: &Path, relative: &str) -> Self {
        let key = relative.replace('/', SEPARATOR);
        Self { staging: root.join(STAGING), day: root.join(relative), key }
    }

    fn staged(&self, what: &str) -> PathBuf {
        self.staging.join(format!("{OURS}{what}{SEPARATOR}{}", self.key))
    }

    /// The folder that readers know.
    pub(super) fn day(&self) -> &Path {
        &self.day
    }

    /// Links to all files as they were.
    pub(super) fn frozen(&self) -> PathBuf {
        self.staged(FROM)
    }

    /// The new folder while it is written.
    pub(super) fn fresh(&self) -> PathBuf {
        self.staged(NEW)
    }

    /// Links all files, so that whatever happens to the folder they can be read and recognised.
    pub(super) fn freeze(&self) -> Result<Names, CompactError> {
        let (frozen, fresh) = (self.frozen(), self.fresh());
        fs::create_dir(&frozen).map_err(io_error("make", &frozen))?;
        fs::create_dir(&fresh).map_err(io_error("make", &fresh))?;
        let rights = fs::metadata(&self.day).map_err(io_error("open", &self.day))?.permissions();
        fs::set_permissions(&fresh, rights).map_err(io_error("make", &fresh))?;
        let names = names(&self.day)?;
        for name in names.keys() {
            self.link(&self.day.join(name), &frozen.join(name))?;
        }
        sync(&frozen)?;
        Ok(names)
    }

    /// Adds names to the list of what was merged.
    pub(super) fn list(&self, merged: &[String]) -> Result<(), CompactError> {
        let mut text = listed(&self.frozen())?;
        for name in merged {
            text.push_str(name);
            text.push('\n');
        }
        let path = self.fresh().join(LIST);
        File::create(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(io_error("write", &path))?;
        Ok(())
    }

    /// Takes everything that wasn't merged over to the new folder.
    pub(super) fn carry(&self, frozen: &Names, merged: &[String]) -> Result<(), CompactError> {
        let (from, fresh) = (self.frozen(), self.fresh());
        for name in frozen.keys().filter(|name| !merged.contains(name)) {
            self.link(&from.join(name), &fresh.join(name))?;
        }
        Ok(sync(&fresh)?)
    }

    /// Takes over what came since. What was replaced or removed since makes the merge worthless.
    pub(super) fn catch_up(&self, frozen: &Names) -> Result<(), CompactError> {
        self.catch_up_into(frozen, &self.fresh())
    }

    pub(super) fn catch_up_into(&self, frozen: &Names, new: &Path) -> Result<(), CompactError> {
        let now = names(&self.day)?;
        let changed = frozen.iter().find(|(name, inode)| now.get(*name) != Some(inode));
        if let Some((name, _)) = changed {
            return Err(CompactError::Changed(self.day.join(name)));
        }
        let came: Vec<&String> = now.keys().filter(|name| !frozen.contains_key(*name)).collect();
        for name in &came {
            let to = new.join(name);
            if !to.exists() {
                self.link(&self.day.join(name), &to)?;
            }
        }
        if came.is_empty() { Ok(()) } else { Ok(sync(new)?) }
    }

    /// The new folder is whole and durable: from now on its name tells whether it was exchanged.
    pub(super) fn seal(&self) -> Result<PathBuf, CompactError> {
        let fresh = self.fresh();
        let inode = inode(&fresh)?.unwrap_or_default();
        let sealed = self.staged(&inode.to_string());
        fs::rename(&fresh, &sealed).map_err(io_error("rename", &fresh))?;
        sync(&self.staging)?;
        Ok(sealed)
    }

    /// The one step that readers see.
    pub(super) fn exchange(&self, sealed: &Path) -> Result<(), CompactError> {
        exchange(sealed, &self.day)?;
        if let Some(parent) = self.day.parent() {
            sync(parent)?;
        }
        Ok(sync(&self.staging)?)
    }

    /// Empties and removes the old folder. What isn't known came at the last moment and is moved
    /// over; the folder can only be removed when nothing is left in it, so nothing gets lost.
    pub(super) fn retire(&self, old: &Path) -> Result<(), CompactError> {
        loop {
            let mut moved = false;
            for name in names(old)?.keys() {
                moved |= self.retire_file(old, name)?;
            }
            if moved {
                sync(&self.day)?;
            }
            match fs::remove_dir(old) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => return Err(io_error("remove", old)(error).into()),
            }
        }
        remove(&self.frozen())?;
        Ok(sync(&self.staging)?)
    }

    fn retire_file(&self, old: &Path, name: &str) -> Result<bool, CompactError> {
        let (path, frozen, there) = (old.join(name), self.frozen().join(name), self.day.join(name));
        let (here, known) = (inode(&path)?, inode(&frozen)?);
        if known.is_some() && known != here && !same_bytes(&path, &frozen)? {
            return Err(CompactError::Replaced(path));
        }
        if known.is_some() || there.exists() {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
            return Ok(false);
        }
        fs::create_dir_all(&self.day).map_err(io_error("make", &self.day))?;
        fs::rename(&path, &there).map_err(io_error("rename", &path))?;
        Ok(true)
    }

    /// Removes what was staged, unless it was exchanged: then the next compaction needs it.
    pub(super) fn discard(&self) -> Result<(), CompactError> {
        remove(&self.fresh())?;
        let mut is_exchanged = false;
        for (inode_named, path, key) in staged(&self.staging)? {
            if key != self.key || inode_named.is_none() {
                continue;
            }
            if inode(&path)? == inode_named {
                remove(&path)?;
            } else {
                is_exchanged = true;
            }
        }
        if is_exchanged { Ok(()) } else { remove(&self.frozen()) }
    }

    /// Exchanges that a crash cut off: each with the place of its old folder. What was sealed and
    /// never exchanged is removed.
    pub(super) fn recover(root: &Path) -> Result<Vec<(Self, PathBuf)>, CompactError> {
        let mut left = Vec::new();
        for (inode_named, path, key) in staged(&root.join(STAGING))? {
            if inode_named.is_none() {
                continue;
            }
            if inode(&path)? == inode_named {
                remove(&path)?;
            } else {
                left.push((Self::at(root, &key.replace(SEPARATOR, "/")), path));
            }
        }
        Ok(left)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), CompactError> {
        fs::hard_link(from, to).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CompactError::Changed(from.to_path_buf()),
            io::ErrorKind::CrossesDevices => {
                CompactError::NoExchange { path: self.staging.clone(), source: error }
            }
            _ => io_error("link", from)(error).into(),
        })
    }
}

/// Removes what no exchange needs any more: links, half a folder, a trial.
pub(super) fn sweep(root: &Path) -> Result<(), CompactError> {
    for (inode_named, path, _) in staged(&root.join(STAGING))? {
        if inode_named.is_none() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Tries on two empty folders whether the file system can do it at all.
pub(super) fn try_exchange(root: &Path) -> Result<(), CompactError> {
    let [one, other] = ["one", "other"]
        .map(|name| root.join(STAGING).join(format!("{OURS}{TRY}{SEPARATOR}{name}")));
    for folder in [&one, &other] {
        fs::create_dir(folder).map_err(io_error("make", folder))?;
    }
    let tried = exchange(&one, &other);
    remove(&one)?;
    remove(&other)?;
    tried
}

fn exchange(one: &Path, other: &Path) -> Result<(), CompactError> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV => {
            CompactError::NoExchange { path: other.to_path_buf(), source: errno.into() }
        }
        _ => io_error("exchange", other)(errno.into()).into(),
    })
}

/// Our folders below the staging folder: the inode in the name, if any, the path, and the day's key.
fn staged(staging: &Path) -> Result<Vec<(Option<u64>, PathBuf, String)>, CompactError> {
    let mut found = Vec::new();
    for name in names(staging)?.into_keys() {
        let path = staging.join(&name);
        let Some((what, key)) = name.strip_prefix(OURS).and_then(|rest| rest.split_once(SEPARATOR))
        else {
            continue;
        };
        if path.is_dir() {
            found.push((what.parse().ok(), path, key.to_owned()));
        }
    }
    Ok(found)
}

/// Returns what a folder holds, by name.
pub(super) fn names(folder: &Path) -> Result<Names, TableError> {
    let mut names = Names::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let entry = entry.map_err(io_error("list", folder))?;
        let name = entry.file_name().into_string().map_err(|name| {
            let error = io::Error::other(format!("{} isn't text", name.display()));
            io_error("list", folder)(error)
        })?;
        names.insert(name, entry.ino());
    }
    Ok(names)
}

/// The list of what was merged into a folder; empty where nothing was.
pub(super) fn listed(folder: &Path) -> Result<String, TableError> {
    let path = folder.join(LIST);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(io_error("read", &path)),
    }
}

fn inode(path: &Path) -> Result<Option<u64>, TableError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("open", path)(error)),
    }
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool, TableError> {
    let read = |path: &Path| fs::read(path).map_err(io_error("read", path));
    Ok(read(one)? == read(other)?)
}

fn sync(folder: &Path) -> Result<(), TableError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error("make durable", folder))
}

fn remove(folder: &Path) -> Result<(), CompactError> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", folder)(error).into()),
    }
}
