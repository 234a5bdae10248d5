//! Numbers in words, the same everywhere: tables, signals, the demo.
//!
//! In: findings. Out: short sentences. Holds: a rate never stands without how many it is out of.
//! Knows nothing of: where the words are shown.

use super::Course;
use crate::model::finding::{Bound, Dependence, Share, Shown, WorstSegment};
use crate::model::rule::{Metric, Rule};
use crate::model::spec::PipelineSpec;
use crate::model::time::{EventTime, Span};

/// Formats a count with thin groups: 18,204.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a share: 4.2 %.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if percent.abs() < 0.1 && percent != 0.0 { 3 } else { 1 };
    format!("{percent:.digits$} %")
}

/// Formats microseconds as milliseconds: 41.3 ms.
#[must_use]
pub fn millis(us: f64) -> String {
    format!("{:.1} ms", us / 1000.0)
}

/// Formats a length of time: 365d, 5m, 250ms.
#[must_use]
pub fn span(span: Span) -> String {
    span.to_string()
}

/// Formats how long ago something was: 41 s ago, 3 h 20 min ago.
#[must_use]
pub fn ago(span: Span) -> String {
    format!("{} ago", span.roughly())
}

/// Returns a text as one line: what would break it is written as an escape.
#[must_use]
pub fn one_line(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escaped).collect()
}

/// Formats a time as RFC 3339 with milliseconds, UTC.
#[must_use]
pub fn time(time: EventTime) -> String {
    jiff::Timestamp::from_microsecond(time.us())
        .map_or_else(|_| "unknown".to_owned(), |stamp| format!("{stamp:.3}"))
}

/// The time of day: 12:03:41.
#[must_use]
pub fn clock(time: EventTime) -> String {
    let text = self::time(time);
    text.get(11..19).unwrap_or(&text).to_owned()
}

/// Returns what was seen, with its sample sizes: `41.3 ms against 12.4 ms (3.3x), 64 of 18,204 answers slow`.
#[must_use]
pub fn numbers(spec: &PipelineSpec, rule: &Rule, shown: &Shown) -> String {
    let (ours, theirs) = (shown.primary_value, shown.candidate_value);
    let Share { events, total } = shown.candidate;
    let (events, total) = (count(events), count(total));
    let against = |format: fn(f64) -> String, none: &str| match (theirs, ours) {
        (Some(theirs), Some(ours)) => format!("{} against {}", format(theirs), format(ours)),
        (Some(theirs), None) => format(theirs),
        (None, _) => none.to_owned(),
    };
    match rule.metric {
        Metric::Latency { .. } => {
            let times = match (theirs, ours) {
                (Some(theirs), Some(ours)) if 0.0 < ours => format!(" ({:.1}x)", theirs / ours),
                _ => String::new(),
            };
            let values = against(millis, "no latencies");
            format!("{values}{times}, {events} of {total} answers slow")
        }
        Metric::ErrorRate => {
            format!("{}, {events} of {total} requests failed", against(percent, "no answers"))
        }
        Metric::NullRate => format!(
            "{}, {events} of {total} answers without a usable prediction",
            against(percent, "no answers")
        ),
        Metric::MissingRate => {
            let expected = if spec.mirrored < 1.0 {
                format!(", where {} are mirrored", percent(spec.mirrored))
            } else {
                String::new()
            };
            format!("{events} of {total} requests have no answer of the candidate{expected}")
        }
        Metric::UnreadableRate => format!(
            "{}, {events} of {total} records of the candidate can't be read",
            against(percent, "none")
        ),
        Metric::MatchRate => {
            format!("{}, {events} of {total} pairs differ", against(percent, "no pairs"))
        }
        Metric::PredictionShift => format!(
            "{} of the predictions moved, {total} pairs",
            theirs.map_or_else(|| "an unknown share".to_owned(), percent),
        ),
        Metric::Accuracy => "not built".to_owned(),
    }
}

/// Returns what would have happened by chance.
#[must_use]
pub fn by_chance(spec: &PipelineSpec, shown: &Shown) -> String {
    match shown.bound {
        Bound::Interval => {
            let interval = span(spec.certainty.interval);
            format!("by chance less than once in {interval}")
        }
        Bound::Rollout => {
            let chance = percent(spec.certainty.per_rollout);
            format!("by chance in less than {chance} of rollouts")
        }
        Bound::None => "a point estimate: how often chance does this isn't bounded".to_owned(),
    }
}

/// Returns how it was reckoned with that answers come together, where the pipeline says how.
#[must_use]
pub fn clusters(spec: &PipelineSpec, shown: &Shown) -> Option<String> {
    let size = shown.clusters;
    match (shown.dependence, spec.cluster.as_deref()) {
        (Dependence::Blocks, _) => {
            Some("each look counts as one observation, whatever comes together in it".to_owned())
        }
        (Dependence::Key, Some(key)) if size <= 1.0 => {
            Some(format!("no two answers come together by `{key}`"))
        }
        (Dependence::Key, Some(key)) => Some(format!(
            "up to {size:.0} answers come together by `{key}`: evidence is divided by {size:.0}"
        )),
        (Dependence::Key | Dependence::Estimated | Dependence::None, _) => None,
    }
}

/// Returns where the harm sits: `country=BR holds 94 % of the change against the primary`.
#[must_use]
pub fn place(worst: &WorstSegment) -> String {
    let percent = (worst.of_change * 100.0).min(100.0);
    let of = if worst.primary.total == 0 { "of it" } else { "of the change against the primary" };
    format!("{} holds {percent:.0} % {of}", worst.segment)
}

/// Since when: with the beginnings that the data don't rule out, where they lie apart; where no set of them is known,
/// about when. Of a rule that reads the point estimate, over which span, and when it was first beyond the limit.
#[must_use]
pub fn since(rule: &Rule, shown: &Shown) -> String {
    let onset = shown.onset;
    if rule.observed {
        let over = span(rule.observed_over());
        return format!("over the last {over}, first beyond it at {}", time(onset));
    }
    match shown.onset_between {
        None => {
            let text = time(onset);
            format!("since about {}Z", text.get(..19).unwrap_or(&text))
        }
        Some((first, last)) if first == last => format!("since {}", time(onset)),
        Some((first, last)) => {
            format!("since {} ({} to {})", time(onset), clock(first), clock(last))
        }
    }
}

/// Returns what a candidate has answered since its first answer, where whoever mirrors the requests may send it a part.
#[must_use]
pub fn sampled(name: &str, answered: Share) -> String {
    let share = answered.point().unwrap_or_default();
    let whole = (share * 100.0).floor();
    let percent = if whole < 1.0 { "N%".to_owned() } else { format!("{whole:.0}%") };
    format!(
        "since its first answer {name} has answered {} of the primary's requests; if the mirror samples, write \
         `mirrored: {percent}`; if it doesn't, {name} doesn't answer the others",
        self::percent(share)
    )
}

/// Returns that a candidate leaves a segment without answers, where whoever mirrors the requests may not send it those.
#[must_use]
pub fn left_out(name: &str, worst: &WorstSegment) -> String {
    format!(
        "{name} answers next to none of {}, {} of {}: whoever mirrors the requests may leave these out, or {name} \
         doesn't answer them",
        worst.segment,
        count(worst.share.total.saturating_sub(worst.share.events)),
        count(worst.share.total)
    )
}

/// One sentence for people.
#[must_use]
pub fn sentence(spec: &PipelineSpec, rule: &Rule, shown: &Shown, course: &Course) -> String {
    let mut text = format!(
        "{} {}: {}; {}",
        rule.text,
        since(rule, shown),
        numbers(spec, rule, shown),
        by_chance(spec, shown)
    );
    if let Some(worst) = shown.segments.first().filter(|worst| worst.named) {
        text.push_str("; ");
        text.push_str(&place(worst));
    }
    if let Some(clusters) = clusters(spec, shown) {
        text.push_str("; ");
        text.push_str(&clusters);
    }
    for more in course.weaker.iter().chain(&course.advice) {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rule::{Action, Op};

    #[test]
    fn a_beginning_is_said_as_exactly_as_it_is_known() {
        let mut rule = Rule {
            text: "error_rate > 5%".to_owned(),
            action: Action::Rollback,
            metric: Metric::ErrorRate,
            op: Op::Above,
            value: 0.05,
            relative: false,
            at_worst: None,
            held_for: None,
            segment: None,
            observed: false,
            assumed: false,
        };
        let at = |second: i64| EventTime::from_us(43_421_250_000 + second * 1_000_000);
        let mut shown = Shown {
            at: at(9),
            onset: at(0),
            onset_between: Some((at(0), at(0))),
            log_evidence: 0.0,
            log_threshold: 0.0,
            bound: Bound::Rollout,
            candidate: Share { events: 1, total: 2 },
            primary: Share::default(),
            candidate_value: None,
            primary_value: None,
            segments: Vec::new(),
            shared_cause: false,
            old: false,
            alone: Share::default(),
            clusters: 1.0,
            dependence: Dependence::None,
        };
        assert_eq!(since(&rule, &shown), "since 1970-01-01T12:03:41.250Z");
        shown.onset_between = Some((at(-2), at(3)));
        assert_eq!(since(&rule, &shown), "since 1970-01-01T12:03:41.250Z (12:03:39 to 12:03:44)");
        shown.onset_between = None;
        assert_eq!(since(&rule, &shown), "since about 1970-01-01T12:03:41Z");
        rule.observed = true;
        rule.held_for = Some(Span::from_secs(300));
        assert_eq!(
            since(&rule, &shown),
            "over the last 5m, first beyond it at 1970-01-01T12:03:41.250Z"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(18_204), "18,204");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(percent(0.0412), "4.1 %");
        assert_eq!(percent(0.0004), "0.040 %");
        assert_eq!(span(Span::from_secs(365 * 86_400)), "365d");
        assert_eq!(span(Span::from_us(250_000)), "250ms");
        assert_eq!(ago(Span::from_secs(41)), "41 s ago");
        assert_eq!(ago(Span::from_secs(60)), "1 min ago");
        assert_eq!(ago(Span::from_secs(3_750)), "1 h 2 min ago");
        assert_eq!(ago(Span::from_secs(90_000)), "1 d 1 h ago");
        assert_eq!(time(EventTime::from_us(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(clock(EventTime::from_us(43_421_000_000)), "12:03:41");
    }
}
