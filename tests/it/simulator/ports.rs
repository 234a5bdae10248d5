//! What all processes of a schedule share: the log's topics, the disk, the control topic.
//!
//! In: what drivers ask for. Out: the same as a driver's hands. Holds: one chance decides what is slow,
//! refused or lost; a process that died reaches nothing. Knows nothing of: what is right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::bail;
use parallax::runtime::driver::{Ports, ShutdownLimits};

use super::disk::{Disk, VirtualTables};
use super::faults::{Bug, Fate, Hits, Side, Step};
use super::log::{Frames, VirtualLog};
use super::rng::Rng;
use super::topics::{Control, Letters, VirtualLetters, VirtualSignals};

/// What all processes share.
pub(super) struct Shared {
    pub(super) rng: Rng,
    pub(super) bug: Bug,
    /// Nothing is slow, refused or lost any more.
    pub(super) calm: bool,
    pub(super) log: Frames,
    pub(super) disk: Disk,
    pub(super) control: Control,
    pub(super) letters: Letters,
    /// What was staged is lost: who starts next may have to write it again.
    pub(super) repairs: bool,
    /// By process.
    pub(super) fates: BTreeMap<u32, Fate>,
    pub(super) hits: Hits,
}

/// A process' way to what all share.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) process: u32,
    shared: Arc<Mutex<Shared>>,
}

impl Reach {
    pub(super) fn new(process: u32, shared: &Arc<Mutex<Shared>>) -> Self {
        Self { process, shared: Arc::clone(shared) }
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Hands that do everything in this world.
    pub(super) fn ports(&self) -> Ports {
        Ports {
            tasks_log: Box::new(VirtualLog::new(self.clone(), 0)),
            evaluator_log: Box::new(VirtualLog::new(self.clone(), 1)),
            tables: Box::new(VirtualTables(self.clone())),
            signals: Box::new(VirtualSignals::new(self.clone())),
            letters: Box::new(VirtualLetters(self.clone())),
            nonce: u64::from(self.process) << 32,
            limits: ShutdownLimits { looks: 200, pause: Duration::ZERO },
        }
    }
}

impl Shared {
    /// An error if the process dies at this step.
    pub(super) fn pass(&mut self, process: u32, step: Step, side: Side) -> anyhow::Result<()> {
        if self.dies(process, step, side, true) {
            bail!("process {process} died {side:?} {step:?}");
        }
        Ok(())
    }

    /// Whether the process dies at this step, or at the next where this one can't fail.
    pub(super) fn dies(&mut self, process: u32, step: Step, side: Side, can_fail: bool) -> bool {
        let Self { fates, hits, .. } = self;
        fates.get_mut(&process).is_some_and(|fate| fate.dies(step, side, can_fail, hits))
    }

    /// The process is no more: what it had on its way may still arrive.
    pub(super) fn bury(&mut self, process: u32) {
        let Self { log, letters, control, rng, .. } = self;
        log.bury(process, rng);
        letters.bury(process, rng);
        control.bury(process, rng);
    }
}
