//! Has the distribution of predictions moved by more than a share of its mass?
//!
//! In: both arms' predictions, pane by pane. Out: a lower bound of the total variation that holds at
//! all times at once. Holds: the categories are bounded in advance, null is one of them; evidence
//! starts anew each epoch, so old panes can't hide a new shift, and each epoch has its share of the
//! stated false-alarm interval. Knows nothing of: failed answers, which have their own rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::spec::PipelineSpec;
use crate::model::tally::{ArmTally, OTHER, Tally};
use crate::model::time::{EventTime, Span};
use crate::stats::shift::{total_variation, tv_lower};

/// Evidence starts anew after so much event time: short epochs see a large shift soon, long ones a
/// small one at all.
pub(super) const EPOCHS: [Span; 3] =
    [Span::from_secs(60), Span::from_secs(600), Span::from_secs(3600)];
/// The bound is tightest near this many predictions.
const N_OPT: f64 = 10_000.0;
/// The category of answers without a usable prediction.
const NULL: &str = "__null__";

/// Predictions of both arms since the epoch began.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Shift {
    epoch: Span,
    since: Option<EventTime>,
    counts: BTreeMap<String, (u64, u64)>,
    categories: usize,
    alpha: f64,
}

/// What the predictions of an epoch say.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Moved {
    pub(super) since: EventTime,
    pub(super) lower: f64,
    pub(super) estimate: f64,
    pub(super) primary: u64,
    pub(super) candidate: u64,
    /// Natural logarithm of how sure the bound is.
    pub(super) log_threshold: f64,
}

impl Shift {
    /// One for each length of epoch; they have this share of the stated interval between them.
    pub(super) fn all(spec: &PipelineSpec, share: f64) -> [Self; 3] {
        EPOCHS.map(|epoch| Self::new(spec, share / 3.0, epoch))
    }

    fn new(spec: &PipelineSpec, share: f64, epoch: Span) -> Self {
        let labels = match spec.labels.declared.len() {
            0 => spec.labels.max,
            declared => declared,
        };
        let categories = labels.max(spec.score_edges.len() + 1) + 2;
        let epochs = (spec.certainty.interval.as_secs() / epoch.as_secs()).max(1.0);
        let alpha = share / epochs;
        Self { epoch, since: None, counts: BTreeMap::new(), categories, alpha }
    }

    /// Natural logarithm of how sure the bound is.
    pub(super) fn log_threshold(&self) -> f64 {
        -self.alpha.ln()
    }

    /// Starts anew.
    pub(super) fn restart(&mut self) {
        self.since = None;
        self.counts.clear();
    }

    /// Adds a pane.
    pub(super) fn add(&mut self, from: EventTime, tally: &Tally) -> Option<Moved> {
        if self.since.is_some_and(|since| self.epoch <= from.since(since)) {
            self.restart();
        }
        let since = *self.since.get_or_insert(from);
        self.add_arm(&tally.primary, |both| &mut both.0);
        self.add_arm(&tally.candidate, |both| &mut both.1);
        let (ours, theirs): (Vec<u64>, Vec<u64>) = self.counts.values().copied().unzip();
        Some(Moved {
            since,
            lower: tv_lower_of(self, &ours, &theirs)?,
            estimate: total_variation(&ours, &theirs)?,
            primary: ours.iter().sum(),
            candidate: theirs.iter().sum(),
            log_threshold: self.log_threshold(),
        })
    }

    fn add_arm(&mut self, arm: &ArmTally, side: impl Fn(&mut (u64, u64)) -> &mut u64) {
        let null = (NULL.to_owned(), arm.null);
        let labels = arm.labels.iter().map(|(label, count)| (label.clone(), *count));
        let scores =
            arm.scores.iter().enumerate().map(|(bin, count)| (format!("bin {bin}"), *count));
        for (name, count) in labels.chain(scores).chain([null]).filter(|(_, n)| *n != 0) {
            let known = self.counts.contains_key(&name) || self.counts.len() + 1 < self.categories;
            let name = if known { name } else { OTHER.to_owned() };
            *side(self.counts.entry(name).or_default()) += count;
        }
    }
}

/// The bound takes the number of categories fixed in advance, those not met yet included.
fn tv_lower_of(shift: &Shift, ours: &[u64], theirs: &[u64]) -> Option<f64> {
    let mut padded = [ours.to_vec(), theirs.to_vec()];
    for counts in &mut padded {
        counts.resize(shift.categories.max(counts.len()), 0);
    }
    tv_lower(&padded[0], &padded[1], N_OPT, N_OPT, shift.alpha)
}
