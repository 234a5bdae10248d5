//! What the findings add up to.
//!
//! In: a rule that was shown. Out: the decision it leads to, in words and as a signal. Holds: a
//! shared cause and a backlog investigate instead of rolling back; severity only rises within a
//! rollout; the same decision has the same id and the same bytes. Knows nothing of: how evidence is
//! gathered.
//!
//! # Place in a pane's life
//!
//! The last step: [`crate::rules`] has shown something, and here it becomes a decision, a sentence and a signal, which
//! [`crate::engine::evaluator`] has sent after the entry that led to it was read back.
//!
//! # Why a rule that asks for a rollback may investigate
//!
//! Evidence can be right and the action wrong: where the primary fares as badly the cause is shared, and taking the
//! candidate away mends nothing; where the records are minutes old the candidate may be another by now; where answers
//! came that nobody asked for, the failures may be theirs. The rule was shown all the same, so somebody is told, with
//! the reason why nothing was done.

pub mod format;
pub mod signal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::finding::Shown;
use crate::model::rule::{Action, Rule};
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;

/// Rollouts whose severity is remembered.
const ROLLOUTS_MAX: usize = 64;

/// Read from a backlog.
const OLD: &str = "most of it is older than a minute, read from a backlog";
/// Both arms break the rule.
const SHARED: &str = "the primary breaks the same rule: the cause is shared";
/// There is nothing to compare with.
const NO_PRIMARY: &str = "the primary is silent: whether it fares as badly can't be told";
/// The naive reading.
const OBSERVED: &str = "an observed rule may alert, never act";

/// What speaks against taking what was shown for the candidate's own fault, in words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Doubts {
    /// Whoever mirrors the requests may send the candidate a part of them.
    pub sampled: Option<String>,
    /// Answers to what the primary wasn't asked may be all that is wrong.
    pub strangers: Option<String>,
    /// What was read may mean something else: other fields, other units, other times.
    pub misread: Option<String>,
    /// The primary is silent.
    pub no_primary: bool,
}

/// What a shown rule leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Course {
    /// The action.
    pub action: Action,
    /// Why it is weaker than the rule asks, if it is.
    pub weaker: Option<String>,
    /// What else to know, where it isn't.
    pub advice: Option<String>,
}

/// Returns what a shown rule leads to.
#[must_use]
pub fn course(spec: &PipelineSpec, rule: &Rule, shown: &Shown, doubts: Doubts) -> Course {
    let Doubts { sampled, strangers, misread, no_primary } = doubts;
    let doubt = misread.or(sampled).or(strangers);
    let said = |text: &str| Some(text.to_owned());
    let weaker = if rule.action != Action::Rollback {
        return Course { action: rule.action, weaker: None, advice: doubt };
    } else if rule.observed {
        said(OBSERVED)
    } else if shown.old {
        said(OLD)
    } else if shown.shared_cause && spec.shared_cause_investigates {
        said(SHARED)
    } else if no_primary && spec.shared_cause_investigates {
        said(NO_PRIMARY)
    } else {
        doubt
    };
    let action = if weaker.is_some() { Action::Investigate } else { rule.action };
    Course { action, weaker, advice: None }
}

/// How far each rollout of a candidate has come, and by which decision.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Latch {
    by_rollout: BTreeMap<Rollout, Led>,
}

/// One model version on trial: the number that its beginning has among the candidate's, and its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Rollout {
    /// Counts from 0.
    pub number: u32,
    /// Empty if unknown.
    pub version: String,
}

/// The decision that raised a rollout's severity last.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Led {
    /// The severity.
    pub action: Action,
    /// The rule that was shown.
    pub rule: String,
    /// In a sentence.
    pub reason: String,
    /// When the harm began.
    pub since: EventTime,
    /// When it was shown.
    pub at: EventTime,
}

impl Latch {
    /// The severity of a rollout.
    #[must_use]
    pub fn severity(&self, rollout: &Rollout) -> Action {
        self.led(rollout).map_or(Action::Hold, |led| led.action)
    }

    /// Returns what led to it; nothing while nothing is shown.
    #[must_use]
    pub fn led(&self, rollout: &Rollout) -> Option<&Led> {
        self.by_rollout.get(rollout)
    }

    /// Raises the severity; whether it rose.
    pub fn raise(&mut self, rollout: &Rollout, led: Led) -> bool {
        if led.action <= self.severity(rollout) {
            return false;
        }
        self.by_rollout.insert(rollout.clone(), led);
        // The oldest go: those on trial are the newest.
        while ROLLOUTS_MAX < self.by_rollout.len() {
            self.by_rollout.pop_first();
        }
        true
    }
}
