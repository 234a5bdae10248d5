//! What the findings add up to.
//!
//! In: a rule that was shown. Out: the decision it leads to, in words and as a signal. Holds: a
//! shared cause and a backlog investigate instead of rolling back; severity only rises within a
//! rollout; the same decision has the same id and the same bytes. Knows nothing of: how evidence is
//! gathered.

pub mod signal;
pub mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::finding::Shown;
use crate::model::rule::{Action, Rule};
use crate::model::spec::PipelineSpec;

/// Model versions whose severity is remembered.
const VERSIONS_MAX: usize = 64;

/// The action that a shown rule leads to, and why it is weaker than the rule asks, if it is.
#[must_use]
pub fn action(
    spec: &PipelineSpec,
    rule: &Rule,
    shown: &Shown,
    catching_up: bool,
) -> (Action, Option<&'static str>) {
    if rule.action != Action::Rollback {
        (rule.action, None)
    } else if rule.observed {
        (Action::Investigate, Some("an observed rule may alert, never act"))
    } else if catching_up {
        (Action::Investigate, Some("read from a backlog older than a minute"))
    } else if shown.shared_cause && spec.shared_cause_investigates {
        (Action::Investigate, Some("the primary breaks the same rule: the cause is shared"))
    } else {
        (Action::Rollback, None)
    }
}

/// How far each rollout (model version) of a candidate has come.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Latch {
    by_version: BTreeMap<String, Action>,
}

impl Latch {
    /// The severity of a version's rollout.
    #[must_use]
    pub fn severity(&self, version: &str) -> Action {
        self.by_version.get(version).copied().unwrap_or(Action::Hold)
    }

    /// Raises the severity; whether it rose.
    pub fn raise(&mut self, version: &str, action: Action) -> bool {
        if action <= self.severity(version) {
            return false;
        }
        if self.by_version.len() == VERSIONS_MAX && !self.by_version.contains_key(version) {
            self.by_version.pop_first();
        }
        self.by_version.insert(version.to_owned(), action);
        true
    }
}
