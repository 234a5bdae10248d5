//! A cut: the vitals of all tasks that are weighed together.
//!
//! In: tasks' vitals. Out: counts by arm and segment. Holds: merged in task order, so that the ids
//! kept as examples don't depend on who was read first. Knows nothing of: rules.

use std::collections::BTreeMap;

use crate::model::entry::{EXAMPLES_MAX, Examples, VitalCounts, Vitals, offer_slowest};
use crate::model::feeds::Feeds;
use crate::model::tally::Segment;
use crate::model::time::EventTime;

/// Vitals of all tasks that are weighed together.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) from: EventTime,
    pub(super) to: EventTime,
    /// By arm.
    pub(super) arms: Vec<ArmCut>,
    pub(super) newest: Option<EventTime>,
    pub(super) catching_up: bool,
    /// (task, input, first, last).
    pub(super) offsets: Vec<(u32, u8, i64, i64)>,
}

/// One arm's part of a cut.
#[derive(Clone, Debug, Default)]
pub(super) struct ArmCut {
    pub(super) counts: BTreeMap<Segment, VitalCounts>,
    pub(super) examples: Examples,
    pub(super) version: Option<String>,
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            from: EventTime::START,
            to: EventTime::START,
            arms: Vec::new(),
            newest: None,
            catching_up: false,
            offsets: Vec::new(),
        }
    }
}

impl Cut {
    /// Adds a task's vitals; its inputs are these feeds.
    pub(super) fn merge(&mut self, task: u32, vitals: &Vitals, feeds: &Feeds) {
        self.catching_up |= vitals.catching_up;
        let arms = vitals.arms.len().checked_sub(1).map_or(0, |last| feeds.arm(last) + 1);
        if self.arms.len() < arms {
            self.arms.resize_with(arms, ArmCut::default);
        }
        for (input, more) in (0_u8..).zip(&vitals.arms) {
            let Some(arm) = self.arms.get_mut(feeds.arm(usize::from(input))) else { continue };
            for (segment, counts) in &more.counts {
                arm.counts.entry(segment.clone()).or_default().merge(counts);
            }
            // Rank stands in for the hash: the first of the first task come first.
            let ranked = |ids: &[String]| -> Vec<(u64, String)> {
                ids.iter().map(|id| (u64::from(task), id.clone())).collect()
            };
            arm.examples.failed.extend(ranked(&more.failed));
            arm.examples.null.extend(ranked(&more.null));
            for (latency, id) in &more.slowest {
                offer_slowest(&mut arm.examples.slowest, EXAMPLES_MAX, *latency, id);
            }
            if more.version.is_some() {
                arm.version.clone_from(&more.version);
            }
            self.newest = self.newest.max(more.newest);
            if more.from < more.to {
                self.offsets.push((task, input, more.from, more.to - 1));
            }
        }
    }
}
