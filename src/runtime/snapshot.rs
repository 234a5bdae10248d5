//! What the workers of a process say of themselves, and what that adds up to.
//!
//! In: a snapshot of each worker, each second. Out: one of the process. Holds: a process is ready when all of
//! its workers are; what one worker says isn't changed by how many there are. Knows nothing of: HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::engine::TaskStatus;
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::runtime::counters::Counters;

/// What can be read of a process; each handle publishes for one worker.
#[derive(Clone, Debug)]
pub struct Snapshots {
    slots: Arc<Mutex<Vec<Snapshot>>>,
    worker: usize,
}

/// How a worker stands, or all of them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Whether it is ready, and the checks that say so.
    pub ready: bool,
    /// Checks by name.
    pub checks: BTreeMap<&'static str, bool>,
    /// The pipeline; none before anything was published.
    pub spec: Option<Arc<PipelineSpec>>,
    /// Verdicts by candidate.
    pub verdicts: BTreeMap<String, Value>,
    /// Why it waits.
    pub why: Value,
    /// What was counted.
    pub counters: Counters,
    /// Its tasks.
    pub tasks: Vec<TaskStatus>,
    /// By candidate how far was weighed here.
    pub weighed_to: Vec<EventTime>,
    /// When that was.
    pub now: EventTime,
}

impl Default for Snapshots {
    /// Of a process with one worker.
    fn default() -> Self {
        Self { slots: Arc::new(Mutex::new(vec![Snapshot::default()])), worker: 0 }
    }
}

impl Snapshots {
    /// One handle for each of so many workers.
    #[must_use]
    pub fn split(&self, workers: usize) -> Vec<Self> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.resize_with(workers, Snapshot::default);
        (0..workers).map(|worker| Self { slots: Arc::clone(&self.slots), worker }).collect()
    }

    /// Puts a new snapshot in place of this worker's old one.
    pub fn publish(&self, snapshot: Snapshot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(self.worker) {
            *slot = snapshot;
        }
    }

    /// Returns how the process stands.
    #[must_use]
    pub fn read(&self) -> Snapshot {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut slots = slots.into_iter();
        let first = slots.next().unwrap_or_default();
        slots.fold(first, Snapshot::beside)
    }
}

impl Snapshot {
    /// Both workers together.
    fn beside(mut self, other: Self) -> Self {
        self.ready &= other.ready;
        for (name, holds) in other.checks {
            *self.checks.entry(name).or_insert(true) &= holds;
        }
        self.spec = self.spec.or(other.spec);
        self.verdicts.extend(other.verdicts);
        self.why = both(self.why, other.why);
        self.counters.merge(&other.counters);
        self.tasks.extend(other.tasks);
        self.tasks.sort_by_key(|task| task.partition);
        self.weighed_to.resize(self.weighed_to.len().max(other.weighed_to.len()), EventTime::START);
        for (mine, theirs) in self.weighed_to.iter_mut().zip(other.weighed_to) {
            *mine = theirs.max(*mine);
        }
        self.now = self.now.max(other.now);
        self
    }
}

/// Returns why both wait: the tasks of both, and of the evaluator what its owner says.
fn both(mut ours: Value, mut theirs: Value) -> Value {
    if ours.is_null() || theirs.is_null() {
        return if ours.is_null() { theirs } else { ours };
    }
    if theirs["evaluator"]["here"] == true {
        for field in ["evaluator", "weighed_to", "troubles"] {
            ours[field] = theirs[field].take();
        }
    }
    let bytes = |said: &Value| said["log_bytes"].as_u64().unwrap_or(0);
    ours["log_bytes"] = json!(bytes(&ours) + bytes(&theirs));
    if let (Some(tasks), Value::Array(more)) =
        (ours["tasks"].as_array_mut(), theirs["tasks"].take())
    {
        tasks.extend(more);
        tasks.sort_by_key(|task| task["task"].as_u64());
    }
    ours
}
