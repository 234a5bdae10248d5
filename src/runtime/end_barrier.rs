//! Where the workers of a bounded run wait for each other.
//!
//! In: who has read everything, who has written everything down. Out: the last event time of all, and up to
//! where each stream was read back. Holds: nobody finishes before all have read, and nothing is weighed for
//! the last time before all have written. Knows nothing of: tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::time::EventTime;

/// One worker's place in it.
#[derive(Clone, Debug)]
pub struct EndBarrier {
    met: Arc<Mutex<Vec<Met>>>,
    worker: usize,
}

/// How far a worker is.
#[derive(Clone, Debug, Default)]
struct Met {
    /// Its last event time, once it has read everything.
    last: Option<EventTime>,
    /// Up to where its streams were read back, once it has written everything down.
    written: Option<BTreeMap<u32, u64>>,
}

impl EndBarrier {
    /// A place for each of so many workers.
    #[must_use]
    pub fn of(workers: usize) -> Vec<Self> {
        let met = Arc::new(Mutex::new(vec![Met::default(); workers]));
        (0..workers).map(|worker| Self { met: Arc::clone(&met), worker }).collect()
    }

    /// This worker has read everything; the last event time of all workers once all have.
    pub fn has_read(&self, last: EventTime) -> Option<EventTime> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met[self.worker].last = Some(last);
        let lasts: Option<Vec<EventTime>> = met.iter().map(|met| met.last).collect();
        lasts?.into_iter().max()
    }

    /// This worker has written everything down, and read its streams back up to these positions.
    pub fn has_written(&self, streams: BTreeMap<u32, u64>) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met[self.worker].written = Some(streams);
    }

    /// Returns what the others wrote down, once all of them have.
    #[must_use]
    pub fn written_by_others(&self) -> Option<BTreeMap<u32, u64>> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let others = met.iter().enumerate().filter(|(worker, _)| *worker != self.worker);
        let streams: Option<Vec<_>> = others.map(|(_, met)| met.written.clone()).collect();
        Some(streams?.into_iter().flatten().collect())
    }
}
