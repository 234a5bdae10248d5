//! What speaks against taking what was shown for the candidate's own fault.
//!
//! In: a shown rule; what is known of the arm. Out: doubts in words, or that it isn't known yet. Holds: who copies the
//! requests may copy a part, unless the file or this arm's past says otherwise; a candidate that was seen to answer is
//! never excused for falling silent, whatever its version; answers that the primary wasn't asked for speak against a
//! rule only if without them it may not be broken. Knows nothing of: what a doubt leads to.

use super::rollout::{Rollout, names};
use crate::decide::{Doubts, format};
use crate::diagnose::{Kind, Looked, Names};
use crate::model::finding::{Basis, Share, Shown, WorstSegment};
use crate::model::rule::{Action, Metric, Rule};
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};

/// So long after a harm began it is waited for more of the candidate's ids, where none of too few is a stranger.
const PATIENCE: Span = Span::from_secs(60);

/// No model answers in so few microseconds: a candidate that takes so many times as long is rather in the right unit.
const TOO_FAST_US: f64 = 100.0;
const UNITS: f64 = 100.0;
/// A segment of whose requests so many have no answer is left out as a whole.
const NEARLY_ALL: f64 = 0.9;

/// Whether answers that the primary wasn't asked for may be all that is wrong.
#[derive(PartialEq, Eq, Debug)]
enum Strangers {
    No,
    /// In words.
    May(String),
    /// Too few ids were seen.
    Unknown,
}

impl Rollout {
    /// Returns what speaks against a rule that was shown by the watch at `at`; nothing while that can't be known yet.
    pub(super) fn doubts(
        &self,
        spec: &PipelineSpec,
        comparison: u8,
        (at, shown): (usize, &Shown),
    ) -> Option<Doubts> {
        let watch = &self.watches[at];
        let rule = &spec.rules[watch.rule];
        let names = names(spec, comparison);
        let name = names.candidate;
        let sampled = self.is_sampled(rule, shown).then(|| self.left_out(shown, name));
        let strangers = match (is_about_answers(rule), watch.basis) {
            (false, _) => Strangers::No,
            (true, Basis::Panes) => in_panes(shown, watch.limit()),
            (true, Basis::Vitals) => {
                let since = |time| self.diagnosis.strangers_since(time, spec.time.skew);
                // Those of before tell what little came since can't.
                let all = [since(EventTime::START).ids, self.diagnosis.strangers_of_panes()];
                // Samples tell neither segments nor versions.
                let whole = rule.segment.is_none() && self.versions[0].is_alone();
                let seen = Ids { lately: since(shown.onset), all, whole };
                in_samples(shown, watch.limit(), &seen, name)
            }
        };
        let no_primary = is_about_answers(rule) && self.is_without_primary(watch.basis, shown);
        let misread = self.misread(&names, rule, shown);
        let waits = rule.action == Action::Rollback && !no_primary && misread.is_none();
        let strangers = match strangers {
            Strangers::Unknown if waits => return None,
            Strangers::No | Strangers::Unknown => None,
            Strangers::May(text) => Some(text),
        };
        Some(Doubts { sampled, strangers, misread, no_primary })
    }

    /// Returns what was read as a harm and may be a mistake of fields, units or times.
    fn misread(&self, names: &Names<'_>, rule: &Rule, shown: &Shown) -> Option<String> {
        match rule.metric {
            Metric::MissingRate => {
                let since = shown.onset.minus(names.skew);
                let Share { events, total } = self.diagnosis.apart_since(since, names.skew);
                (1 < events && total < 2 * events).then(|| {
                    format!(
                        "of {total} sampled requests since then that both arms saw {events} lie further apart than `skew` ({}), or in different partitions: these are answered",
                        names.skew
                    )
                })
            }
            Metric::NullRate => self.diagnosis.incomparable(names).map(|trouble| trouble.text),
            Metric::Latency { .. } if rule.relative => {
                let (ours, theirs) = (shown.candidate_value?, shown.primary_value?);
                (theirs <= TOO_FAST_US && UNITS * theirs <= ours).then(|| {
                    "the primary's latencies are below 0.1 ms: they may be of another unit, or none"
                        .to_owned()
                })
            }
            _ => None,
        }
    }

    /// The primary is silent, and was when this was shown: the candidate isn't, whose answers it is about.
    fn is_without_primary(&self, basis: Basis, shown: &Shown) -> bool {
        let is_silent = self.troubles.iter().any(|trouble| trouble.kind == Kind::Silent);
        is_silent && (basis == Basis::Vitals || shown.primary.total == 0)
    }

    /// Returns which requests may not reach the candidate: a mirror that samples leaves out some of each kind.
    fn left_out(&self, shown: &Shown, name: &str) -> String {
        // What is known to be wrong, the gravest first.
        let explains = |kind| matches!(kind, Kind::SilentPartition | Kind::Late | Kind::Ahead);
        if let Some(trouble) = self.troubles.iter().rev().find(|trouble| explains(trouble.kind)) {
            return trouble.text.clone();
        }
        let all_of = |worst: &&WorstSegment| {
            worst.named && NEARLY_ALL <= worst.share.point().unwrap_or_default()
        };
        match shown.segments.iter().find(all_of) {
            Some(worst) => format::left_out(name, worst),
            None => format::sampled(name, self.answering.since_first()),
        }
    }

    /// Whoever mirrors the requests may send a part of them.
    fn is_sampled(&self, rule: &Rule, shown: &Shown) -> bool {
        let is_assumed = rule.metric == Metric::MissingRate && rule.assumed;
        is_assumed
            && match rule.action {
                Action::Rollback => !self.answering.is_most(),
                Action::Hold | Action::Promote | Action::Investigate => {
                    self.answering.is_steady(shown.candidate)
                }
            }
    }
}

/// Returns whether any answer of the candidate counts for it, whoever asked.
const fn is_about_answers(rule: &Rule) -> bool {
    matches!(rule.metric, Metric::ErrorRate | Metric::NullRate | Metric::Latency { .. })
        && !rule.observed
}

/// Returns whether a share is within its limit without these.
#[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
fn is_within(share: Share, limit: f64, events: f64, total: f64) -> bool {
    share.events as f64 - events <= limit * (share.total as f64 - total)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
fn in_panes(shown: &Shown, limit: f64) -> Strangers {
    let Share { events, total } = shown.alone;
    if events == 0 || !is_within(shown.candidate, limit, events as f64, total as f64) {
        return Strangers::No;
    }
    Strangers::May(format!(
        "{events} of these may be answers to ids that the primary doesn't know, and the pairs alone don't show it"
    ))
}

/// What the samples say of the candidate's ids.
struct Ids {
    /// Since the onset.
    lately: Looked,
    /// All that are known, and those of closed panes.
    all: [Share; 2],
    /// The rule is about all of the arm's answers.
    whole: bool,
}

/// Of the candidate's ids since the onset, and of all that are known, so many are strangers: their share may be as high
/// as the highest of these. A sample may excuse, and it convicts only where that is beyond doubt: it is asked
/// again whenever the rule is shown again, and closed panes, which count answers without a request one by one, decide
/// what it leaves open.
fn in_samples(shown: &Shown, limit: f64, seen: &Ids, name: &str) -> Strangers {
    let Looked { ids, pending } = seen.lately;
    let with = seen.all.into_iter().chain([ids]).filter(|ids| ids.events != 0);
    let highest = with.max_by(|a, b| at_most(*a).total_cmp(&at_most(*b))).unwrap_or(ids);
    #[expect(clippy::cast_precision_loss, reason = "counts of requests lie far below 2^53")]
    let within = |share: f64| {
        let part = share.min(1.0) * shown.candidate.total as f64;
        is_within(shown.candidate, limit, part, part)
    };
    let is_early = shown.at.since(shown.onset) < PATIENCE;
    let open = if is_early { Strangers::Unknown } else { Strangers::No };
    let Share { events: strangers, total: judged } = highest;
    if strangers == 0 {
        // What may be known yet may be a stranger, too; without a primary there is nobody who could know it.
        let unsure = Share { events: pending, total: ids.total + pending };
        let is_sure = match unsure.total {
            // Where nothing was ever sampled, nothing will be.
            0 => shown.primary.total == 0 || seen.all[0].total == 0,
            _ => !within(at_most(ids).max(all_and_more(unsure))),
        };
        return if is_sure { Strangers::No } else { open };
    }
    if within(at_most(highest)) {
        return Strangers::May(format!(
            "of {judged} requests of {name} that were looked up {strangers} have an id that the primary doesn't know, or \
             that it says was forced: these may be all that is wrong, and the pairs of closed panes decide"
        ));
    }
    if seen.whole && !within(surely_at_most(highest)) { Strangers::No } else { Strangers::Unknown }
}

/// Returns how high the share of strangers may be: two standard errors and one more than seen; where none is, what would have
/// been seen 99 times out of 100.
#[expect(clippy::cast_precision_loss, reason = "counts of ids lie far below 2^53")]
fn at_most(ids: Share) -> f64 {
    let seen = ids.events as f64;
    let most = if ids.events == 0 { 5.0 } else { seen + 2.0 * seen.sqrt() + 1.0 };
    (most / ids.total.max(1) as f64).min(1.0)
}

/// Returns the share of strangers if all of these are, or as many as are easily overlooked.
#[expect(clippy::cast_precision_loss, reason = "counts of ids lie far below 2^53")]
fn all_and_more(ids: Share) -> f64 {
    ((ids.events as f64 + 2.0).max(5.0) / ids.total.max(1) as f64).min(1.0)
}

/// Returns what the share of strangers is beyond once in a million times, whatever it is.
#[expect(clippy::cast_precision_loss, reason = "counts of ids lie far below 2^53")]
fn surely_at_most(ids: Share) -> f64 {
    let seen = ids.events as f64;
    ((seen + 5.0 * seen.sqrt() + 13.0) / ids.total.max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Bound, Dependence};

    /// So many of a thousand, so many seconds after the onset.
    fn shown(events: u64, after: i64, alone: Share) -> Shown {
        let onset = EventTime::from_us(0);
        Shown {
            at: onset.plus(Span::from_secs(after)),
            onset,
            onset_between: Some((onset, onset)),
            log_evidence: 20.0,
            log_threshold: 10.0,
            bound: Bound::Rollout,
            candidate: Share { events, total: 1000 },
            primary: Share::default(),
            candidate_value: None,
            primary_value: None,
            segments: Vec::new(),
            shared_cause: false,
            old: false,
            alone,
            clusters: 1.0,
            dependence: Dependence::None,
        }
    }

    const fn share(events: u64, total: u64) -> Share {
        Share { events, total }
    }

    #[test]
    fn as_many_strangers_as_are_seen_may_be_what_is_wrong_and_a_few_more() {
        let none = share(0, 0);
        let told = |events, after, lately, all, whole| {
            let seen = Ids { lately, all: [all, none], whole };
            in_samples(&shown(events, after, none), 0.05, &seen, "v8")
        };
        let looked = |ids, pending| Looked { ids, pending };
        let of = |events, after, ids| told(events, after, looked(ids, 0), none, true);
        assert!(matches!(of(110, 9, share(5, 50)), Strangers::May(_)));
        assert_eq!(of(500, 9, share(5, 100)), Strangers::No, "far more is broken");
        assert_eq!(of(300, 9, share(5, 100)), Strangers::Unknown, "panes decide");
        let of_a_part = told(500, 9, looked(share(5, 100), 0), none, false);
        assert_eq!(of_a_part, Strangers::Unknown, "they may all be in this segment");
        assert_eq!(of(110, 9, share(0, 20)), Strangers::Unknown, "too few");
        assert_eq!(of(110, 9, share(0, 200)), Strangers::No, "all are known");
        assert_eq!(of(60, 61, share(0, 80)), Strangers::No, "it was waited for");
        let new = |pending| told(990, 9, looked(share(0, 200), pending), none, true);
        assert_eq!(new(0), Strangers::No);
        assert_eq!(new(10), Strangers::No, "however many of ten are strangers");
        assert_eq!(told(110, 9, looked(share(0, 200), 20), none, true), Strangers::Unknown);
        assert_eq!(of(110, 9, share(0, 0)), Strangers::No, "there is no primary");
        let mut beside = shown(110, 9, none);
        beside.primary = share(1, 1000);
        let lags = |before| {
            let seen = Ids { lately: Looked::default(), all: [before, none], whole: true };
            in_samples(&beside, 0.05, &seen, "v8")
        };
        assert_eq!(lags(share(0, 90)), Strangers::Unknown, "none could be looked up yet");
        assert_eq!(lags(none), Strangers::No, "none is ever sampled");
        let before = told(110, 9, looked(share(0, 200), 0), share(40, 400), true);
        assert!(matches!(before, Strangers::May(_)), "they were there before");
        assert!(matches!(of(990, 9, share(40, 40)), Strangers::May(_)), "nothing is known");
    }

    #[test]
    fn in_panes_answers_without_a_request_are_counted() {
        let of = |events, alone| in_panes(&shown(events, 9, alone), 0.05);
        assert!(matches!(of(110, share(100, 100)), Strangers::May(_)));
        assert_eq!(of(200, share(100, 100)), Strangers::No);
        assert_eq!(of(110, share(0, 100)), Strangers::No, "they don't fail");
    }
}
