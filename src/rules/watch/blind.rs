//! What a watch can't see, and why.
//!
//! In: looks, as the watch takes them. Out: that nothing arrives that its rule could use, with the reason and the
//! cure. Holds: a blind rule shows nothing and lets nothing pass; it is told within a minute of event time. Knows
//! nothing of: what the records held instead.

use super::{Claim, Edge, Watch};
use crate::model::finding::Blind;
use crate::model::rule::{Metric, Rule};
use crate::model::spec::PipelineSpec;
use crate::model::tally::Segment;
use crate::rules::look::{Look, Of};
use crate::rules::shift;

impl Watch {
    /// Notes how much there was to look at, and how much of it the rule could use.
    pub(super) fn note_sight(&mut self, rule: &Rule, look: &Look<'_>) {
        let all = Segment::all();
        let requests = |of, segment: &Segment| look.share(Metric::ErrorRate, of, segment, 0).total;
        let answered = |of, segment: &Segment| look.share(Metric::NullRate, of, segment, 0).total;
        let seen = match rule.metric {
            Metric::ErrorRate => requests(Of::Candidate, &self.segment),
            Metric::NullRate => answered(Of::Candidate, &self.segment),
            Metric::MissingRate => look.share(rule.metric, Of::Candidate, &self.segment, 0).total,
            Metric::UnreadableRate => look.share(rule.metric, Of::Candidate, &all, 0).total,
            Metric::Latency { .. } => {
                let timed = |of| look.latency(of, &self.segment).total();
                if rule.relative {
                    timed(Of::Candidate).min(timed(Of::Primary))
                } else {
                    timed(Of::Candidate)
                }
            }
            Metric::MatchRate => look.share(rule.metric, Of::Candidate, &self.segment, 0).total,
            Metric::PredictionShift => {
                let used = |tally: &crate::model::tally::Tally| tally.comparable;
                look.tallies(&self.segment).map(used).sum::<u64>().max(match &self.claim {
                    Claim::Shift(_) => shift::pairs(look, &self.segment).1.values().sum(),
                    Claim::Share(_) | Claim::Observed(_) => 0,
                })
            }
            Metric::Accuracy => 0,
        };
        let [ours, theirs] = [Of::Candidate, Of::Primary].map(|of| requests(of, &all));
        self.no_primary = theirs == 0 && ours != 0;
        let requests = ours.max(theirs);
        let there = match rule.metric {
            Metric::Latency { .. } | Metric::NullRate => answered(Of::Candidate, &all),
            Metric::MatchRate | Metric::PredictionShift => {
                let paired: u64 = look.tallies(&Segment::all()).map(|tally| tally.paired).sum();
                let answered: u64 = look.tallies(&Segment::all()).map(shift::answered).sum();
                if paired == 0 { requests } else { answered }
            }
            _ => requests,
        };
        self.unjoined = look.unjoined && rule.metric.is_about_pairs();
        self.sight.note(look.from, look.to, there, seen);
    }

    /// Returns why the rule sees nothing, if it doesn't.
    pub(super) fn blind(&self, spec: &PipelineSpec) -> Option<Blind> {
        let rule = spec.rules.get(self.rule)?;
        if self.unjoined {
            return Some(Blind {
                watched: 0,
                reason: "too many answers can't be read, or can't be brought together, now"
                    .to_owned(),
                cure: "see the troubles beside the rules".to_owned(),
            });
        }
        if let Some(watched) = self.sight.blind() {
            let (reason, cure) = self.reason(rule, watched);
            return Some(Blind { watched, reason, cure });
        }
        let Edge::Of { reference, .. } = &self.edge else { return None };
        let (has, needs) = reference.has_of_needed();
        (has < needs && self.sight.is_settled()).then(|| Blind {
            watched: has,
            reason: format!(
                "{} needs {needs} answers of the primary to compare with, and the last hour holds {has}",
                rule.metric.name()
            ),
            cure: "take a lower quantile for so little traffic".to_owned(),
        })
    }

    fn reason(&self, rule: &Rule, watched: u64) -> (String, String) {
        let place =
            if self.segment.is_all() { String::new() } else { format!(" in {}", self.segment) };
        let is_compared = rule.relative || rule.metric.is_about_pairs();
        if self.no_primary && is_compared {
            let cure =
                "see whether the primary runs, and whether its topic is the one that it writes to";
            return (format!("of {watched} answers{place} none is the primary's"), cure.to_owned());
        }
        let (what, cure) = match rule.metric {
            Metric::Latency { .. } => (
                "none carries a latency that can be compared",
                "send `latency_ms` with both arms' answers, or leave the rule out",
            ),
            Metric::MatchRate | Metric::PredictionShift => (
                "none is a pair with two usable predictions",
                "see which field the records carry and what `compare` looks at",
            ),
            Metric::NullRate => {
                ("none is an answer of the candidate", "see whether the candidate answers at all")
            }
            Metric::UnreadableRate => (
                "none is a record of the candidate that tells its time",
                "see whether the candidate's topic is the right one and written, and what the dead letters say",
            ),
            Metric::ErrorRate => (
                "none is a record of the candidate",
                "see whether the candidate's topic is the right one and written",
            ),
            Metric::MissingRate => (
                "none is a request of the primary",
                "see whether the primary's topic is the right one and written",
            ),
            Metric::Accuracy => ("none has an outcome", "outcomes aren't joined yet"),
        };
        let cure = if self.segment.is_all() {
            cure.to_owned()
        } else {
            format!("{cure}; see whether records carry `{}` at all", self.segment)
        };
        (format!("of {watched} requests{place} {what}"), cure)
    }
}
