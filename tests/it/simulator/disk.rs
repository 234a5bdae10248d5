//! The output folder.
//!
//! In: rows. Out: files that are staged or in place. Holds: a rename replaces what was there; a full
//! disk takes no rows. Knows nothing of: entries.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use parallax::engine::evaluator::Rows;
use parallax::model::entry::TableFile;
use parallax::model::row::PairRow;
use parallax::model::time::{DAY, EventTime};
use parallax::runtime::driver::Owner;
use parallax::runtime::driver::Tables;
use parallax::runtime::log::Stream;

use super::faults::{Bug, Side, Step};
use super::ports::{Reach, Shared};
use super::rng::Rng;

/// A file's path: table, candidate, day, name.
pub(super) type Path = (String, u8, EventTime, String);

/// What a file holds.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Content {
    /// Pairs of a partition.
    Pairs(u32, Vec<PairRow>),
    /// Rows of the evaluator's tables, and the configuration they were weighed under.
    Table(u64, Rows),
}

/// The output folder.
#[derive(Default)]
pub(super) struct Disk {
    /// By stream and epoch.
    staged: BTreeMap<(Stream, u64, Path), Content>,
    pub(super) files: BTreeMap<Path, Content>,
    pub(super) full: bool,
    /// A file that changed while it was in place.
    pub(super) changed: Option<Path>,
}

fn path(file: &TableFile) -> Path {
    (file.table.clone(), file.comparison, file.first.floor(DAY), file.name.clone())
}

impl Disk {
    fn place(&mut self, path: &Path, content: Content) {
        if self.files.get(path).is_some_and(|there| *there != content) {
            self.changed = Some(path.clone());
        }
        self.files.insert(path.clone(), content);
    }

    /// The machine stops: pairs that were staged may be gone with the folder's last entries.
    pub(super) fn lose_stages(&mut self, rng: &mut Rng) {
        self.staged.retain(|_, content| matches!(content, Content::Table(..)) || rng.chance(50));
    }
}

/// One process' way to the output folder.
pub(super) struct VirtualTables(pub(super) Reach);

impl VirtualTables {
    fn write(&self, step: Step, owner: Owner, file: &TableFile, content: Content) -> Result<()> {
        let mut shared = self.0.shared();
        let process = self.0.process;
        shared.pass(process, step, Side::Before)?;
        if shared.disk.full {
            shared.fates.entry(process).or_default().died = true;
            bail!("the disk is full");
        }
        if shared.bug == Bug::RenamedBeforeEntry {
            shared.disk.files.entry(path(file)).or_insert_with(|| content.clone());
        }
        shared.disk.staged.insert((owner.stream, owner.epoch, path(file)), content);
        shared.pass(process, step, Side::After)
    }
}

impl Tables for VirtualTables {
    fn stage_pairs(
        &mut self,
        owner: Owner,
        partition: u32,
        file: &TableFile,
        rows: &[PairRow],
        _: u64,
    ) -> Result<()> {
        self.write(Step::StagePairs, owner, file, Content::Pairs(partition, rows.to_vec()))
    }

    fn stage(&mut self, owner: Owner, file: &TableFile, rows: &Rows, config: u64) -> Result<()> {
        self.write(Step::StageTable, owner, file, Content::Table(config, rows.clone()))
    }

    fn complete(&mut self, owner: Owner, file: &TableFile) -> Result<bool> {
        let mut shared = self.0.shared();
        let process = self.0.process;
        let is_pairs = file.table == "pairs";
        let step = if is_pairs { Step::CompletePairs } else { Step::CompleteTable };
        shared.pass(process, step, Side::Before)?;
        let path = path(file);
        if let Some(content) = shared.disk.staged.remove(&(owner.stream, owner.epoch, path.clone()))
        {
            shared.disk.place(&path, content);
        }
        shared.pass(process, step, Side::After)?;
        Ok(shared.disk.files.contains_key(&path))
    }

    fn remove(&mut self, file: &TableFile) -> Result<()> {
        let mut shared = self.0.shared();
        shared.pass(self.0.process, Step::RemovePairs, Side::Before)?;
        shared.disk.files.remove(&path(file));
        shared.pass(self.0.process, Step::RemovePairs, Side::After)
    }

    fn clear_older(&mut self, owner: Owner) -> Result<usize> {
        let mut shared = self.0.shared();
        let process = self.0.process;
        shared.pass(process, Step::ClearStages, Side::Before)?;
        let removed = clear(&mut shared, owner);
        shared.pass(process, Step::ClearStages, Side::After)?;
        Ok(removed)
    }
}

fn clear(shared: &mut Shared, owner: Owner) -> usize {
    let complete = shared.bug == Bug::StagesOfZombiesCompleted;
    let disk = &mut shared.disk;
    let older =
        |(stream, epoch, _): &&(Stream, u64, Path)| *stream == owner.stream && *epoch < owner.epoch;
    let older: Vec<_> = disk.staged.keys().filter(older).cloned().collect();
    for key in &older {
        if let Some(content) = disk.staged.remove(key).filter(|_| complete) {
            disk.files.entry(key.2.clone()).or_insert(content);
        }
    }
    older.len()
}
