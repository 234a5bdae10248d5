//! Counts each second as records are decoded, before any join or waiting.
//!
//! In: observations of one input in offset order. Out: `ArmVitals` of the records since the last
//! flush. Holds: a record is counted once however often it is read, because only offsets at or after
//! the logged end are counted; only declared segment values are told apart. Knows nothing of:
//! lateness, duplicates, the other arm.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::arm::Assignment;
use crate::model::entry::{ArmVitals, VitalCounts, offer_slowest};
use crate::model::observation::{Answer, Observation};
use crate::model::spec::Dimension;
use crate::model::tally::{OTHER, Segment};
use crate::model::time::EventTime;
use crate::stats::histogram::DenseHistogram;

/// The most ids of a kind that a second keeps.
const IDS_MAX: usize = 5;

/// Vitals of one input since the last flush.
#[derive(Debug)]
pub struct VitalsCounter {
    dimensions: Vec<DeclaredDimension>,
    counts: Vec<Counts>,
    from: i64,
    to: i64,
    undecodable: u64,
    overrides: u64,
    newest: Option<EventTime>,
    failed: Vec<String>,
    null: Vec<String>,
    slowest: Vec<(u64, String)>,
    version: String,
}

/// A dimension with declared values.
#[derive(Debug)]
struct DeclaredDimension {
    at: usize,
    slots: HashMap<String, usize>,
    other: usize,
}

#[derive(Debug, Default)]
struct Counts {
    segment: Segment,
    requests: u64,
    failed: u64,
    null: u64,
    latency: DenseHistogram<5>,
}

impl VitalsCounter {
    /// Counts from offset `from` on.
    #[must_use]
    pub fn new(dimensions: &[Dimension], from: i64) -> Self {
        let mut counts = vec![Counts::default()];
        let mut declared = Vec::new();
        for (at, dimension) in dimensions.iter().enumerate() {
            if dimension.values.declared.is_empty() {
                continue;
            }
            let mut slots = HashMap::new();
            let mut slot = |value: &str| {
                let segment =
                    Segment { dimension: dimension.name.clone(), value: value.to_owned() };
                counts.push(Counts { segment, ..Counts::default() });
                counts.len() - 1
            };
            for value in &dimension.values.declared {
                slots.insert(value.clone(), slot(value));
            }
            let other = slot(OTHER);
            declared.push(DeclaredDimension { at, slots, other });
        }
        Self {
            dimensions: declared,
            counts,
            from,
            to: from,
            undecodable: 0,
            overrides: 0,
            newest: None,
            failed: Vec::new(),
            null: Vec::new(),
            slowest: Vec::new(),
            version: String::new(),
        }
    }

    /// Whether the record at `offset` is yet to be counted.
    #[must_use]
    pub const fn wants(&self, offset: i64) -> bool {
        self.to <= offset
    }

    /// The first offset that no flush has covered.
    #[must_use]
    pub const fn flushed(&self) -> i64 {
        self.from
    }

    /// Counts a record that couldn't be read.
    pub const fn add_undecodable(&mut self, offset: i64) {
        self.to = offset + 1;
        self.undecodable += 1;
    }

    /// Counts an observation; one that isn't `timely` (its clock may be wrong) says nothing of the time.
    pub fn add(&mut self, offset: i64, observation: &Observation<'_>, timely: bool) {
        self.to = offset + 1;
        if timely {
            self.newest = self.newest.max(Some(observation.time));
        }
        if observation.assignment == Assignment::Override {
            self.overrides += 1;
            return;
        }
        if let Some(version) = observation.model_version.as_deref()
            && version != self.version
        {
            version.clone_into(&mut self.version);
        }
        self.illustrate(observation);
        self.counts[0].add(observation);
        for dimension in &self.dimensions {
            let value: &str = &observation.segments[dimension.at];
            let slot = dimension.slots.get(value).copied().unwrap_or(dimension.other);
            self.counts[slot].add(observation);
        }
    }

    /// Takes what was counted since the last flush; `None` if nothing was read.
    pub fn flush(&mut self) -> Option<ArmVitals> {
        if self.from == self.to {
            return None;
        }
        let mut counts = BTreeMap::new();
        for slot in self.counts.iter_mut().filter(|slot| slot.requests != 0) {
            counts.insert(slot.segment.clone(), slot.take());
        }
        Some(ArmVitals {
            from: std::mem::replace(&mut self.from, self.to),
            to: self.to,
            undecodable: std::mem::take(&mut self.undecodable),
            overrides: std::mem::take(&mut self.overrides),
            newest: self.newest.take(),
            counts,
            failed: std::mem::take(&mut self.failed),
            null: std::mem::take(&mut self.null),
            slowest: std::mem::take(&mut self.slowest),
            version: Some(self.version.clone()).filter(|version| !version.is_empty()),
        })
    }

    fn illustrate(&mut self, observation: &Observation<'_>) {
        let ids = match observation.answer {
            Answer::Failed => &mut self.failed,
            Answer::Null => &mut self.null,
            Answer::Label(_) | Answer::Number(_) => {
                if let Some(latency) = observation.latency_us
                    && (self.slowest.len() < IDS_MAX
                        || self.slowest.last().is_some_and(|(least, _)| *least < latency))
                {
                    offer_slowest(&mut self.slowest, IDS_MAX, latency, &observation.request_id);
                }
                return;
            }
        };
        if ids.len() < IDS_MAX {
            ids.push(observation.request_id.clone().into_owned());
        }
    }
}

impl Counts {
    fn add(&mut self, observation: &Observation<'_>) {
        self.requests += 1;
        if observation.answer == Answer::Failed {
            self.failed += 1;
            return;
        }
        self.null += u64::from(observation.answer == Answer::Null);
        if let Some(latency) = observation.latency_us {
            self.latency.record(latency);
        }
    }

    fn take(&mut self) -> VitalCounts {
        let latency = self.latency.to_sparse();
        self.latency.clear();
        VitalCounts {
            requests: std::mem::take(&mut self.requests),
            failed: std::mem::take(&mut self.failed),
            null: std::mem::take(&mut self.null),
            latency,
        }
    }
}
