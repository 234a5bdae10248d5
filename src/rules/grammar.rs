//! The small language of rules: `metric op value [x primary] [at worst value] [for duration] [in segment]`.
//!
//! In: a rule's text. Out: a `Rule`, or what is wrong at which column and how to mend it. Holds:
//! parsing a rule's canonical text gives the same rule; no text panics. Knows nothing of: files.

use crate::model::observation::LATENCY_US_MAX;
use crate::model::rule::{Action, Metric, Op, Rule};
use crate::model::tally::Segment;
use crate::model::time::Span;

/// Metrics by name, for messages; latencies go by `latency_p` and a rank.
const METRICS: [&str; 11] = [
    "error_rate",
    "missing_rate",
    "unreadable_rate",
    "null_rate",
    "match_rate",
    "prediction_shift",
    "accuracy",
    "latency_p50",
    "latency_p90",
    "latency_p95",
    "latency_p99",
];

/// What is wrong with a rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct RuleError {
    /// First byte of the offending part.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
    /// What was found.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

/// One word of a rule and where it stands.
#[derive(Clone, Copy, Debug)]
struct Word<'t> {
    text: &'t str,
    start: usize,
}

impl Word<'_> {
    fn error(self, message: impl Into<String>, hint: impl Into<String>) -> RuleError {
        let end = self.start + self.text.len();
        RuleError { start: self.start, end, message: message.into(), hint: hint.into() }
    }
}

struct Tokens<'t> {
    text: &'t str,
    words: std::vec::IntoIter<Word<'t>>,
}

impl<'t> Tokens<'t> {
    fn new(text: &'t str) -> Self {
        let words: Vec<Word<'t>> = text
            .split_whitespace()
            .map(|word| Word { text: word, start: word.as_ptr() as usize - text.as_ptr() as usize })
            .collect();
        Self { text, words: words.into_iter() }
    }

    fn next(&mut self, wanted: &str) -> Result<Word<'t>, RuleError> {
        self.words.next().ok_or_else(|| RuleError {
            start: self.text.len(),
            end: self.text.len(),
            message: "the rule ends too early".to_owned(),
            hint: format!("add {wanted}"),
        })
    }

    fn peek(&self) -> Option<Word<'t>> {
        self.words.as_slice().first().copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let fits = self.peek().is_some_and(|word| word.text == text);
        if fits {
            self.words.next();
        }
        fits
    }
}

/// Reads a rule that asks for `action`.
///
/// # Errors
/// What is wrong, where, and how to mend it.
pub fn parse(text: &str, action: Action) -> Result<Rule, RuleError> {
    let mut words = Tokens::new(text);
    let observed = words.take("observed:");
    let name = words.next("a metric, such as `error_rate`")?;
    let metric = metric(name)?;
    let sign = words.next("`>` or `<`")?;
    let op = op(sign)?;
    direction(metric, op, action, sign)?;
    let (value, relative) = value(metric, &mut words)?;
    let mut rule = Rule {
        text: String::new(),
        action,
        metric,
        op,
        value,
        relative,
        at_worst: None,
        held_for: None,
        segment: None,
        observed,
        assumed: false,
    };
    while let Some(word) = words.words.next() {
        match word.text {
            "at" if rule.at_worst.is_none() && words.take("worst") => {
                rule.at_worst = Some(self::value(metric, &mut words)?.0);
            }
            "for" if rule.held_for.is_none() => rule.held_for = Some(held_for(&mut words)?),
            "in" if rule.segment.is_none() => rule.segment = Some(segment(&mut words)?),
            other => {
                let hint = "after the value come `at worst 1.5x`, `for 5m`, `in country=BR`";
                return Err(word.error(format!("`{other}` isn't expected here"), hint));
            }
        }
    }
    rule.text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(rule)
}

/// Names what a rule asks for that isn't built yet.
#[must_use]
pub fn unsupported(rule: &Rule) -> Option<&'static str> {
    if rule.metric == Metric::Accuracy {
        Some("accuracy needs outcomes, which aren't joined yet")
    } else if rule.action == Action::Promote {
        Some("promotion rules aren't built yet: leave `promote_when` out")
    } else if rule.at_worst.is_some() {
        Some("`at worst` belongs to promotion rules, which aren't built yet")
    } else if rule.metric == Metric::UnreadableRate && rule.segment.is_some() {
        Some("a record that can't be read has no segment: leave `in …` out")
    } else if rule.relative && !matches!(rule.metric, Metric::Latency { .. }) {
        Some("only latencies can be compared with the primary's yet: give a plain share")
    } else {
        None
    }
}

fn metric(word: Word<'_>) -> Result<Metric, RuleError> {
    match word.text {
        "error_rate" => return Ok(Metric::ErrorRate),
        "missing_rate" => return Ok(Metric::MissingRate),
        "unreadable_rate" => return Ok(Metric::UnreadableRate),
        "null_rate" => return Ok(Metric::NullRate),
        "match_rate" => return Ok(Metric::MatchRate),
        "prediction_shift" => return Ok(Metric::PredictionShift),
        "accuracy" => return Ok(Metric::Accuracy),
        _ => {}
    }
    if let Some(rank) = word.text.strip_prefix("latency_p") {
        let parsed = rank.parse::<f64>().ok().filter(|rank| (1.0..100.0).contains(rank));
        if parsed.is_some()
            && 3 < rank
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.trim_end_matches('0').len())
        {
            return Err(word.error(
                "a quantile has at most three decimals",
                "`latency_p99.999` is the highest one that can be watched",
            ));
        }
        let rank = parsed;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 100")]
        return rank
            .map(|rank| Metric::Latency { rank: (rank * 1000.0).round() as u32 })
            .ok_or_else(|| {
                word.error(
                    "a quantile lies between 1 and 100",
                    "write `latency_p99` or `latency_p99.9`",
                )
            });
    }
    let near = METRICS.iter().max_by(|a, b| {
        strsim::jaro_winkler(a, word.text).total_cmp(&strsim::jaro_winkler(b, word.text))
    });
    let hint = match near.filter(|near| 0.75 < strsim::jaro_winkler(near, word.text)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", METRICS.join(", ")),
    };
    Err(word.error(format!("unknown metric `{}`", word.text), hint))
}

fn op(word: Word<'_>) -> Result<Op, RuleError> {
    match word.text {
        ">" => Ok(Op::Above),
        ">=" => Ok(Op::AtLeast),
        "<" => Ok(Op::Below),
        "<=" => Ok(Op::AtMost),
        other => Err(word.error(
            format!("`{other}` isn't a comparison"),
            "write >, >=, < or <=, with a space on each side",
        )),
    }
}

/// A rule that warns looks the harmful way, a rule that promotes the other.
fn direction(metric: Metric, op: Op, action: Action, word: Word<'_>) -> Result<(), RuleError> {
    let low_is_bad = matches!(metric, Metric::MatchRate | Metric::Accuracy);
    let looks_low = matches!(op, Op::Below | Op::AtMost);
    let harmful = low_is_bad == looks_low;
    if harmful == (action != Action::Promote) {
        return Ok(());
    }
    let turned = if looks_low { ">" } else { "<" };
    let message = format!(
        "{} {} … is the wrong way round in `{}_when`",
        metric.name(),
        op.sign(),
        action.word()
    );
    Err(word.error(message, format!("write `{} {turned} …`", metric.name())))
}

fn value(metric: Metric, words: &mut Tokens<'_>) -> Result<(f64, bool), RuleError> {
    let word = words.next("a value, such as `5%`")?;
    if let Some(factor) = word.text.strip_suffix('x').and_then(number) {
        let stands_alone = words.peek().is_none_or(|next| next.text != "primary");
        if stands_alone {
            return Err(word.error("a factor of what?", format!("write `{} primary`", word.text)));
        }
        words.take("primary");
        return if 0.0 < factor && factor < 1000.0 {
            Ok((factor, true))
        } else {
            Err(word.error("a factor lies between 0 and 1000", "write `2x primary`"))
        };
    }
    if let Metric::Latency { .. } = metric {
        return match duration(word.text) {
            Some(span) if i64::try_from(LATENCY_US_MAX).is_ok_and(|max| max <= span.us()) => {
                Err(word.error(
                    "latencies are told apart below 1h, so that none is longer",
                    "write a shorter one, such as `80ms`",
                ))
            }
            Some(span) if 0 < span.us() =>
            {
                #[expect(clippy::cast_precision_loss, reason = "a latency is below 2^53 µs")]
                Ok((span.us() as f64, false))
            }
            _ => Err(word.error(
                format!("`{}` isn't a latency", word.text),
                "write `80ms`, or `2x primary`",
            )),
        };
    }
    match word.text.strip_suffix('%').and_then(number).map(|percent| percent / 100.0) {
        Some(share) if 0.0 < share && share < 1.0 => Ok((share, false)),
        Some(_) => {
            Err(word.error("a share lies between 0 % and 100 %, both excluded", "write `5%`"))
        }
        None => Err(word
            .error(format!("`{}` isn't a share", word.text), "write a percentage, such as `5%`")),
    }
}

fn held_for(words: &mut Tokens<'_>) -> Result<Span, RuleError> {
    let word = words.next("a duration, such as `5m`")?;
    duration(word.text).filter(|span| 0 < span.us()).ok_or_else(|| {
        word.error(format!("`{}` isn't a duration", word.text), "write `90s`, `5m` or `1h`")
    })
}

fn segment(words: &mut Tokens<'_>) -> Result<Segment, RuleError> {
    let word = words.next("a segment, such as `country=BR`")?;
    match word.text.split_once('=') {
        Some((dimension, value)) if !dimension.is_empty() && !value.is_empty() => {
            Ok(Segment { dimension: dimension.to_owned(), value: value.to_owned() })
        }
        _ => Err(word.error(format!("`{}` isn't a segment", word.text), "write `country=BR`")),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Reads `250ms`, `90s`, `5m`, `1h`, `7d`, or several of them run together: `1h30m`.
#[must_use]
pub fn duration(text: &str) -> Option<Span> {
    let mut rest = text.trim();
    let mut us = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at_checked(end)?;
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let factor = match unit {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "m" | "min" => 60e6,
            "h" => 3600e6,
            "d" => 86_400e6,
            _ => return None,
        };
        us += number(digits)? * factor;
        rest = tail.trim_start();
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be below 2^53")]
    (us < 9e15).then(|| Span::from_us(us.round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn say(text: &str, action: Action) -> String {
        match parse(text, action) {
            Ok(rule) => format!(
                "{:?} {} {} {:?} {:?}",
                rule.metric,
                rule.value,
                rule.relative,
                rule.held_for.map(Span::us),
                rule.segment.map(|s| s.to_string())
            ),
            Err(error) => format!("{}..{} {error}", error.start, error.end),
        }
    }

    #[test]
    fn reads_the_words_of_the_runbook() {
        let roll = Action::Rollback;
        assert_eq!(say("error_rate > 5%", roll), "ErrorRate 0.05 false None None");
        assert_eq!(
            say("latency_p99 > 2x primary", roll),
            "Latency { rank: 99000 } 2 true None None"
        );
        assert_eq!(
            say("latency_p99.9 > 80ms in country=BR", roll),
            "Latency { rank: 99900 } 80000 false None Some(\"country=BR\")"
        );
        assert_eq!(
            say("error_rate > 2% for 5m", roll),
            "ErrorRate 0.02 false Some(300000000) None"
        );
        assert_eq!(say("match_rate < 95%", roll), "MatchRate 0.95 false None None");
        let promote =
            parse("error_rate <= 1.1x primary at worst 1.5x primary", Action::Promote).unwrap();
        assert_eq!((promote.value, promote.at_worst), (1.1, Some(1.5)));
        assert!(unsupported(&promote).is_some());
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let roll = Action::Rollback;
        assert_eq!(
            say("eror_rate > 5%", roll),
            "0..9 unknown metric `eror_rate`; did you mean `error_rate`?"
        );
        assert_eq!(
            say("error_rate > 5", roll),
            "13..14 `5` isn't a share; write a percentage, such as `5%`"
        );
        assert_eq!(
            say("error_rate < 5%", roll),
            "11..12 error_rate < … is the wrong way round in `rollback_when`; write `error_rate > …`"
        );
        assert_eq!(say("latency_p99 > 2x", roll), "14..16 a factor of what?; write `2x primary`");
        assert_eq!(
            say("error_rate >", roll),
            "12..12 the rule ends too early; add a value, such as `5%`"
        );
        assert_eq!(
            say("error_rate > 5% on fridays", roll),
            "16..18 `on` isn't expected here; after the value come `at worst 1.5x`, `for 5m`, `in country=BR`"
        );
        assert_eq!(
            say("latency_p99.9996 > 80ms", roll),
            "0..16 a quantile has at most three decimals; `latency_p99.999` is the highest one that can be watched"
        );
        assert_eq!(
            say("latency_p99.999 > 59m", roll),
            "Latency { rank: 99999 } 3540000000 false None None"
        );
        assert_eq!(
            say("latency_p99 > 1h", roll),
            "14..16 latencies are told apart below 1h, so that none is longer; write a shorter one, such as `80ms`"
        );
        for out in ["0%", "100%", "-1%", "101%"] {
            let said = say(&format!("error_rate > {out}"), roll);
            assert!(said.contains("a share lies between 0 % and 100 %, both excluded"), "{said}");
        }
        assert_eq!(
            say("error_rate > NaN%", roll),
            "13..17 `NaN%` isn't a share; write a percentage, such as `5%`"
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_canonical_text_reads_the_same(text in "(observed: )?[a-z_]{0,12}[ p0-9.]{0,4} ?[<>]=? ?[0-9.]{0,4}[%xms]{0,2}( primary| for [0-9]m| in a=b)?") {
            if let Ok(rule) = parse(&text, Action::Rollback) {
                prop_assert_eq!(parse(&rule.text, Action::Rollback).unwrap(), rule);
            }
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,60}") {
            let _ = parse(&text, Action::Investigate);
            let _ = duration(&text);
        }
    }
}
