//! What speaks against taking what was shown for the candidate's own fault.
//!
//! In: a shown rule; what is known of the arm. Out: doubts in words. Holds: who copies the requests may copy a part,
//! unless the file or this arm's past says otherwise; a candidate that was seen to answer is never excused for
//! falling silent, whatever its version. Knows nothing of: what a doubt leads to.

use super::rollout::Rollout;
use crate::decide::{Doubts, words};
use crate::model::finding::Shown;
use crate::model::rule::{Action, Metric, Rule};
use crate::model::spec::PipelineSpec;

impl Rollout {
    /// What speaks against a rule that was shown.
    pub(super) fn doubts(
        &self,
        spec: &PipelineSpec,
        comparison: u8,
        rule: &Rule,
        shown: &Shown,
    ) -> Doubts {
        let name = spec.candidates.get(usize::from(comparison)).map_or("", String::as_str);
        let is_sampled = rule.metric == Metric::MissingRate
            && rule.assumed
            && match rule.action {
                Action::Rollback => !self.answering.is_most(),
                _ => self.answering.is_steady(shown.candidate),
            };
        let sampled = is_sampled.then(|| words::sampled(name, self.answering.since_first()));
        Doubts { sampled, strangers: None }
    }
}
