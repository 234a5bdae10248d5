//! What the user typed to what it means.
//!
//! In: a raw file with places. Out: a `Pipeline`, or every problem. Holds: a `Pipeline` can't hold
//! nonsense; its hash depends on its meaning alone, not on where it runs. Knows nothing of: YAML.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_saphyr::Spanned;

use super::defaults::with_defaults;
use super::endpoint::{Endpoints, KafkaEndpoint, LogEndpoint, Property, Threads, is_secret_name};
use super::fingerprint;
use super::names::{self, STAGED_MAX, Wrong};
use super::problem::Problem;
use super::raw::{RawCompare, RawKafka, RawLog, RawPipeline, RawSet, Text};
use super::reserved::OWNED;
use super::unit;
use crate::model::arm::Side;
use crate::model::feeds::Feeds;
use crate::model::observation::DIMENSIONS_MAX;
use crate::model::rule::{Action, Metric, Rule};
use crate::model::spec::{BoundedSet, Certainty, Comparator, Dimension, PipelineSpec, TimeSpec};
use crate::model::time::Span;
use crate::rules::{grammar, watch};

/// The most workers of a process.
const THREADS_MAX: u32 = 256;
/// The most candidates of a pipeline.
const CANDIDATES_MAX: usize = 8;
/// The most names that a set tells apart.
const NAMES_MAX: u32 = 1000;
/// Names that a set tells apart when nothing is said.
const NAMES_DEFAULT: u32 = 50;

/// A checked pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// What it means.
    pub spec: PipelineSpec,
    /// Where it runs.
    pub endpoints: Endpoints,
    /// What is allowed but worth a word.
    pub warnings: Vec<String>,
}

/// Collects problems on the way.
#[derive(Debug, Default)]
struct Checker {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// Checks a file; a pipeline is given only without problems.
pub(super) fn resolve(raw: RawPipeline) -> (Option<Pipeline>, Vec<Problem>) {
    let mut checker = Checker::default();
    let pipeline = checker.pipeline(raw);
    (checker.problems.is_empty().then_some(pipeline), checker.problems)
}

fn place<T>(at: &Spanned<T>) -> (u64, u64) {
    (at.referenced.line(), at.referenced.column())
}

impl Checker {
    fn problem<T>(&mut self, at: &Spanned<T>, width: usize, message: String, cure: &str) {
        let (line, column) = place(at);
        self.problems.push(Problem::at(line, column, message).width(width).cure(cure));
    }

    fn wrong(&mut self, at: &Text, what: &str, cure: &str) {
        // The value itself isn't shown: it may come from the environment.
        self.problem(at, 1, what.to_owned(), cure);
    }

    fn pipeline(&mut self, raw: RawPipeline) -> Pipeline {
        let name = self.name(&raw.pipeline, "pipeline");
        self.strategy(&raw);
        let candidates = self.candidates(&raw);
        let topics = self.topics(&raw);
        let time = self.time(&raw);
        let dimensions = self.dimensions(&raw);
        let windows = self.windows(&raw, time.pane);
        let edges = self.edges(&raw);
        let comparator = self.comparator(raw.compare.as_ref());
        let rules = self.rules(&raw, &dimensions, time.pane);
        self.bins_of_shifts(&raw, &rules, &edges, comparator);
        if rules.is_empty() {
            self.warnings
                .push("rollback_when and investigate_when are empty: only the rules that are always there, on missing and unreadable answers, can be shown".into());
        }
        let mirrored = self.share(raw.mirrored.as_ref(), 1.0);
        if let (Some(text), true) = (&raw.mirrored, mirrored <= 0.0) {
            self.wrong(
                text,
                "a candidate that sees no request can't be watched",
                "write its share, such as `20%`",
            );
        }
        let mut spec = PipelineSpec {
            model: raw.model.as_ref().map_or_else(|| name.clone(), |model| model.value.clone()),
            name,
            candidates,
            co_partitioned: raw.co_partitioned.unwrap_or(true),
            feeds: Feeds::default(),
            time,
            changed: None,
            comparator,
            cluster: self.cluster(raw.fields.cluster.as_ref()),
            dimensions,
            labels: self.set(raw.labels.as_ref()),
            score_edges: edges,
            windows,
            rules: with_defaults(rules, raw.mirrored.is_some()),
            mirrored,
            certainty: Certainty {
                per_rollout: self.positive_share(raw.certainty.per_rollout.as_ref(), 0.01),
                interval: self.span(
                    raw.certainty.false_alarm_every.as_ref(),
                    365 * 86_400,
                    (3600, 36_500 * 86_400),
                ),
                in_blocks: self.in_blocks(raw.certainty.dependence.as_ref()),
            },
            shared_cause_investigates: self.shared_cause(raw.shared_cause.as_ref()),
            matches_sampled_ppm: ppm(self.share(raw.output.matches.as_ref(), 0.01)),
            roll: self.span(raw.output.roll.as_ref(), 300, (1, 86_400)),
            roll_rows: self.roll_rows(raw.output.roll_rows.as_ref()),
            held_max: self.held(raw.time.held_mb.as_ref()),
            dry_run: raw.control.dry_run.unwrap_or(true),
            config_hash: 0,
            tasks_hash: 0,
            lasting_hash: 0,
            revision: self.revision(raw.revision.as_ref()),
        };
        self.whole_panes(&raw, &spec);
        (spec.config_hash, spec.tasks_hash) =
            (fingerprint::of_all(&spec), fingerprint::of_tasks(&spec));
        spec.lasting_hash = fingerprint::of_lasting(&spec);
        let endpoints = self.endpoints(raw, topics, &spec.name);
        Pipeline { spec, endpoints, warnings: std::mem::take(&mut self.warnings) }
    }

    /// A shift of numbers is told by bins.
    fn bins_of_shifts(
        &mut self,
        raw: &RawPipeline,
        rules: &[Rule],
        edges: &[f64],
        comparator: Comparator,
    ) {
        let shift = rules.iter().any(|rule| rule.metric == Metric::PredictionShift);
        if shift && edges.is_empty() && matches!(comparator, Comparator::Number { .. }) {
            let what = "prediction_shift of numbers needs frozen bins";
            self.problem(&raw.candidates, 1, what.into(), "add `scores: {edges: [...]}`");
        }
    }

    fn cluster(&mut self, field: Option<&Text>) -> Option<String> {
        let field = field?;
        self.refuse(field, names::of_field(&field.value));
        Some(field.value.clone())
    }

    fn revision(&mut self, raw: Option<&Spanned<u32>>) -> u32 {
        let Some(revision) = raw else { return 1 };
        if revision.value == 0 {
            let cure = "raise it by one with each change of rules or times";
            self.problem(revision, 1, "revisions count from 1".into(), cure);
        }
        revision.value
    }

    /// Windows that were chosen are checked where they are read.
    fn whole_panes(&mut self, raw: &RawPipeline, spec: &PipelineSpec) {
        let whole = |span: &Span| span.us() % spec.time.pane.us() == 0;
        if let (Some(roll), false) = (&raw.output.roll, whole(&spec.roll)) {
            self.wrong(
                roll,
                "a file must hold whole panes",
                "make `output.roll` a multiple of `time.pane`",
            );
        }
        if let Some(pane) = raw.time.pane.as_ref()
            && let defaults = (raw.windows.is_none(), raw.output.roll.is_none())
            && (defaults.0 && !spec.windows.iter().all(whole) || defaults.1 && !whole(&spec.roll))
        {
            self.wrong(
                pane,
                "the default windows (1m and 5m) and files (5m) don't hold whole panes of this length",
                "choose one that divides a minute, or set `windows` and `output.roll`, too",
            );
        }
    }

    fn endpoints(&mut self, raw: RawPipeline, topics: Vec<String>, pipeline: &str) -> Endpoints {
        let has_kafka = raw.kafka.is_some();
        let letters = raw.dead_letters.as_ref().map(|letters| &letters.topic);
        for topic in [raw.control.topic.as_ref(), letters, raw.log.topic.as_ref()] {
            topic.into_iter().for_each(|topic| self.topic(topic));
        }
        Endpoints {
            kafka: raw.kafka.as_ref().map(|kafka| self.kafka(kafka, pipeline)),
            topics,
            control_topic: raw.control.topic.map(|topic| topic.value),
            dead_letter_topic: raw.dead_letters.map(|letters| letters.topic.value),
            output: self.folder(raw.output.directory, "out"),
            log: self.log(raw.log, has_kafka),
            http: self.http(raw.http.listen.as_ref()),
            threads: self.threads(raw.threads.as_ref()),
        }
    }

    fn threads(&mut self, text: Option<&Text>) -> Threads {
        let Some(text) = text else { return Threads::Exactly(1) };
        if text.value == "auto" {
            return Threads::Auto;
        }
        let count = text.value.parse().ok().filter(|count| (1..=THREADS_MAX).contains(count));
        if count.is_none() {
            self.wrong(text, "this isn't a number of threads", "write `auto`, or 1 to 256");
        }
        Threads::Exactly(count.unwrap_or(1))
    }

    fn log(&mut self, raw: RawLog, has_kafka: bool) -> LogEndpoint {
        let retention = self.span(raw.retention.as_ref(), 7 * 86_400, (3600, 3650 * 86_400));
        match (raw.directory, raw.topic) {
            (Some(_), Some(topic)) => {
                self.wrong(&topic, "a log has a folder or a topic, not both", "leave one out");
                LogEndpoint::Folder(PathBuf::new())
            }
            (folder, None) => {
                if let Some(retention) = &raw.retention {
                    let cure = "leave it out, or give the log a topic";
                    self.wrong(retention, "only a topic has a retention", cure);
                }
                LogEndpoint::Folder(self.folder(folder, "state"))
            }
            (None, Some(topic)) => {
                if !has_kafka {
                    let cure = "add `kafka: {brokers: host:port}`, or write `directory: state`";
                    self.wrong(&topic, "a topic needs a cluster", cure);
                }
                LogEndpoint::Topic { name: topic.value, retention_ms: retention.us() / 1000 }
            }
        }
    }

    fn strategy(&mut self, raw: &RawPipeline) {
        if let Some(strategy) = raw.strategy.as_ref().filter(|s| s.value != "shadow") {
            let known = ["canary", "ab", "blue_green"].contains(&strategy.value.as_str());
            let what = if known { "this strategy isn't built yet" } else { "unknown strategy" };
            self.wrong(strategy, what, "write `shadow`, or leave it out");
        }
    }

    fn name(&mut self, text: &Text, what: &str) -> String {
        if let Some((said, cure)) = names::of_folder(&text.value, what) {
            self.problem(text, text.value.chars().count(), said, cure);
        }
        text.value.clone()
    }

    fn refuse<T>(&mut self, at: &Spanned<T>, wrong: Option<Wrong>) {
        if let Some((said, cure)) = wrong {
            self.problem(at, 1, said, cure);
        }
    }

    fn candidates(&mut self, raw: &RawPipeline) -> Vec<String> {
        let names = &raw.candidates;
        if names.value.is_empty() {
            self.problem(names, 1, "no candidate".into(), "add one, such as `v8: {topic: …}`");
        }
        if CANDIDATES_MAX < names.value.len() {
            self.problem(
                names,
                1,
                format!("{} candidates; at most {CANDIDATES_MAX}", names.value.len()),
                "split the pipeline",
            );
        }
        for (name, arm) in &names.value {
            if Side::parse(name) == Some(Side::Primary) {
                self.wrong(
                    &arm.topic,
                    &format!("`{name}` means the primary"),
                    "give the candidate another name",
                );
            }
            let wrong = names::of_folder(name, "candidate")
                .map(|(said, cure)| (format!("`{name}`: {said}"), cure));
            self.refuse(&arm.topic, wrong);
            if STAGED_MAX < raw.pipeline.value.len() + 2 * name.len() {
                let said = format!(
                    "`{name}` makes names of files too long: the pipeline's name and twice the candidate's \
                     may have {STAGED_MAX} bytes together"
                );
                self.refuse(&arm.topic, Some((said, "shorten one of them")));
            }
        }
        names.value.keys().cloned().collect()
    }

    fn topics(&mut self, raw: &RawPipeline) -> Vec<String> {
        let mut topics: Vec<String> = Vec::new();
        let arms = std::iter::once(&raw.primary).chain(raw.candidates.value.values());
        for topic in arms.map(|arm| &arm.topic) {
            self.topic(topic);
            if topics.contains(&topic.value) {
                self.wrong(
                    topic,
                    "two arms can't share a topic yet",
                    "give each arm a topic of its own",
                );
            }
            topics.push(topic.value.clone());
        }
        topics
    }

    /// Kafka's own rule.
    fn topic(&mut self, topic: &Text) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = topic.value.as_str();
        if name.is_empty() {
            self.wrong(topic, "a topic needs a name", "write it");
        } else if 249 < name.len() || !name.chars().all(fits) || [".", ".."].contains(&name) {
            let what = "a topic's name has 1 to 249 of A-Z, a-z, 0-9, `.`, - and _";
            self.wrong(topic, what, "write the name that Kafka knows");
        }
    }

    /// A folder; nothing of it is touched here.
    fn folder(&mut self, text: Option<Text>, default: &str) -> PathBuf {
        let Some(text) = text else { return default.into() };
        if text.value.is_empty() {
            self.wrong(&text, "a folder needs a name", "write it, or leave the field out");
        }
        text.value.into()
    }

    fn time(&mut self, raw: &RawPipeline) -> TimeSpec {
        let time = &raw.time;
        TimeSpec {
            pane: self.span(time.pane.as_ref(), 10, (1, 600)),
            wait: self.span(time.wait.as_ref(), 30, (1, 3600)),
            skew: self.span(time.skew.as_ref(), 5, (0, 600)),
            idle_after: self.span(time.idle_after.as_ref(), 10, (1, 3600)),
            lead: self.span(time.lead.as_ref(), 120, (10, 3600)),
        }
    }

    /// A duration between `low` and `high` seconds.
    fn span(&mut self, text: Option<&Text>, default: i64, (low, high): (i64, i64)) -> Span {
        let Some(text) = text else { return Span::from_secs(default) };
        match unit::duration(&text.value) {
            Err(cure) => self.wrong(text, "this isn't a duration", &cure),
            Ok(span) if span < Span::from_secs(low) || Span::from_secs(high) < span => {
                self.wrong(
                    text,
                    &format!("out of range: {low} s to {high} s"),
                    "choose one within it",
                );
            }
            Ok(span) => return span,
        }
        Span::from_secs(default)
    }

    fn share(&mut self, text: Option<&Text>, default: f64) -> f64 {
        let Some(text) = text else { return default };
        unit::share(&text.value).unwrap_or_else(|cure| {
            self.wrong(text, "this isn't a share", &cure);
            default
        })
    }

    fn positive_share(&mut self, text: Option<&Text>, default: f64) -> f64 {
        let share = self.share(text, default);
        if let (Some(text), true) = (text, share <= 0.0 || 0.5 < share) {
            self.wrong(text, "out of range: above 0% to 50%", "1% is usual");
            return default;
        }
        share
    }

    fn windows(&mut self, raw: &RawPipeline, pane: Span) -> Vec<Span> {
        let Some(texts) = &raw.windows else {
            return vec![Span::from_secs(60), Span::from_secs(300)];
        };
        let mut windows = Vec::new();
        for text in texts {
            let window = self.span(Some(text), 60, (1, 86_400));
            if window.us() % pane.us().max(1) != 0 {
                self.wrong(
                    text,
                    "a window must hold whole panes",
                    "make it a multiple of `time.pane`",
                );
            }
            windows.push(window);
        }
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    fn dimensions(&mut self, raw: &RawPipeline) -> Vec<Dimension> {
        let Some(segments) = &raw.segments else { return Vec::new() };
        if DIMENSIONS_MAX < segments.value.len() {
            self.problem(
                segments,
                1,
                format!("{} dimensions; at most {DIMENSIONS_MAX}", segments.value.len()),
                "leave some out",
            );
        }
        let dimension = |checker: &mut Self, (name, set): (&String, &Spanned<RawSet>)| {
            checker.refuse(set, names::of_dimension(name));
            let values = checker.set(Some(set));
            if values.declared.is_empty() {
                checker.warnings.push(format!("segments.{name}: undeclared values are ranked pane by pane and partition by partition; merged ones may be partial"));
            }
            Dimension { name: name.clone(), values }
        };
        if let Some((one, other)) = names::alike(segments.value.keys().map(String::as_str)) {
            let said = format!(
                "`{one}` and `{other}` differ by case only: many readers take them for one column"
            );
            self.refuse(segments, Some((said, "rename one of them")));
        }
        segments.value.iter().map(|entry| dimension(self, entry)).collect()
    }

    fn set(&mut self, raw: Option<&Spanned<RawSet>>) -> BoundedSet {
        let Some(raw) = raw else {
            return BoundedSet { declared: Vec::new(), max: NAMES_DEFAULT as usize };
        };
        let max = raw.value.max.unwrap_or(NAMES_DEFAULT);
        if max == 0 || NAMES_MAX < max || (NAMES_MAX as usize) < raw.value.declared.len() {
            self.problem(raw, 1, format!("out of range: 1 to {NAMES_MAX} names"), "choose fewer");
        }
        self.refuse(raw, names::own(&raw.value.declared));
        let mut declared = raw.value.declared.clone();
        declared.sort();
        declared.dedup();
        BoundedSet { declared, max: max as usize }
    }

    fn edges(&mut self, raw: &RawPipeline) -> Vec<f64> {
        let Some(scores) = &raw.scores else { return Vec::new() };
        let edges = &scores.edges;
        let ascend = edges.value.windows(2).all(|pair| pair[0] < pair[1]);
        if edges.value.is_empty()
            || 100 < edges.value.len()
            || !ascend
            || !edges.value.iter().all(|e| e.is_finite())
        {
            self.problem(
                edges,
                1,
                "edges are 1 to 100 ascending numbers".into(),
                "such as `[0.1, 0.2, 0.5]`",
            );
        }
        edges.value.clone()
    }

    fn comparator(&mut self, raw: Option<&RawCompare>) -> Comparator {
        match raw {
            None | Some(RawCompare::Label) => Comparator::Label,
            Some(RawCompare::ArgMax) => Comparator::ArgMax,
            Some(RawCompare::Number(tolerance)) => {
                let mut part = |value: &Option<Spanned<f64>>| {
                    let Some(value) = value else { return 0.0 };
                    if !value.value.is_finite() || value.value < 0.0 {
                        self.problem(
                            value,
                            1,
                            "a tolerance is zero or more".into(),
                            "such as `0.01`",
                        );
                    }
                    value.value
                };
                let absolute = part(&tolerance.absolute);
                Comparator::Number { absolute, relative: part(&tolerance.relative) }
            }
        }
    }

    fn rules(&mut self, raw: &RawPipeline, dimensions: &[Dimension], pane: Span) -> Vec<Rule> {
        let lists = [
            (&raw.rollback_when, Action::Rollback),
            (&raw.investigate_when, Action::Investigate),
            (&raw.promote_when, Action::Promote),
        ];
        let mut rules = Vec::new();
        for (texts, action) in lists {
            for text in texts {
                match grammar::parse(&text.value, action) {
                    Err(error) => {
                        let (line, column) = place(text);
                        let quote = u64::from(is_quoted(text));
                        let shift = text.value.get(..error.start).map_or(0, |t| t.chars().count());
                        let problem =
                            Problem::at(line, column + quote + shift as u64, error.message);
                        self.problems.push(problem.width(error.end - error.start).cure(error.hint));
                    }
                    Ok(rule) => {
                        self.held_for(text, &rule, pane);
                        rules.extend(self.rule(text, rule, dimensions));
                    }
                }
            }
        }
        rules
    }

    /// What is kept of the past has to reach back further than a rule asks.
    fn held_for(&mut self, text: &Text, rule: &Rule, pane: Span) {
        let longest = watch::held_for_max(rule, pane);
        if rule.held_for.is_none_or(|span| span <= longest) {
            return;
        }
        let (before, after) = text.value.split_once(" for ").unwrap_or_default();
        let shift = before.chars().count() + " for ".len() + usize::from(is_quoted(text));
        let width = after.split(' ').next().map_or(1, |word| word.chars().count());
        let (line, column) = place(text);
        let problem = Problem::at(
            line,
            column + shift as u64,
            "this rule could never be shown: so many panes aren't kept",
        );
        let cure = format!(
            "`for {longest}` is the longest with a pane of {pane}; make it shorter, or `time.pane` longer"
        );
        self.problems.push(problem.width(width).cure(cure));
    }

    fn rule(&mut self, text: &Text, rule: Rule, dimensions: &[Dimension]) -> Option<Rule> {
        let width = text.value.chars().count();
        if let Some(why) = grammar::unsupported(&rule) {
            self.problem(text, width, "this rule can't be watched yet".into(), why);
            return None;
        }
        if let Some(segment) = &rule.segment {
            let dimension = dimensions.iter().find(|d| d.name == segment.dimension);
            let declared = dimension.is_some_and(|d| d.values.declared.contains(&segment.value));
            if !declared {
                let cure = format!(
                    "declare it: `segments: {{{}: {{declared: [{}, …]}}}}`",
                    segment.dimension, segment.value
                );
                self.problem(text, width, format!("`in {segment}` needs a declared value"), &cure);
                return None;
            }
        }
        Some(rule)
    }

    fn shared_cause(&mut self, text: Option<&Text>) -> bool {
        match text {
            Some(text) if text.value == "rollback" => false,
            Some(text) if text.value != "investigate" => {
                self.wrong(text, "unknown word", "write `investigate` or `rollback`");
                true
            }
            _ => true,
        }
    }

    fn in_blocks(&mut self, dependence: Option<&Text>) -> bool {
        let Some(text) = dependence else { return false };
        match text.value.as_str() {
            "estimated" => false,
            "blocks" => true,
            _ => {
                self.wrong(text, "unknown word", "write `estimated` or `blocks`");
                false
            }
        }
    }

    fn roll_rows(&mut self, rows: Option<&Spanned<u32>>) -> u32 {
        match rows {
            None => 200_000,
            Some(rows) => {
                if !(100..=10_000_000).contains(&rows.value) {
                    self.problem(
                        rows,
                        1,
                        "out of range: 100 to 10000000 rows".into(),
                        "200000 is usual",
                    );
                }
                rows.value
            }
        }
    }

    fn held(&mut self, megabytes: Option<&Spanned<u32>>) -> usize {
        let Some(megabytes) = megabytes else { return 512 << 20 };
        if !(1..=1_000_000).contains(&megabytes.value) {
            self.problem(megabytes, 1, "out of range: 1 to 1000000".into(), "512 is usual");
        }
        (megabytes.value as usize) << 20
    }

    fn kafka(&mut self, raw: &RawKafka, pipeline: &str) -> KafkaEndpoint {
        if raw.brokers.value.is_empty() {
            self.wrong(&raw.brokers, "no broker", "write `host:port`");
        }
        let mut properties = BTreeMap::new();
        for (name, value) in &raw.properties {
            if let Some((_, why)) = OWNED.iter().find(|(owned, _)| owned == name) {
                self.wrong(value, &format!("the engine owns `{name}`"), why);
            }
            let property = Property { value: value.value.clone(), is_secret: is_secret_name(name) };
            properties.insert(name.clone(), property);
        }
        let group =
            raw.group.as_ref().map_or_else(|| format!("parallax-{pipeline}"), |g| g.value.clone());
        KafkaEndpoint {
            brokers: raw.brokers.value.clone(),
            group,
            instance: raw.instance.as_ref().map(|instance| instance.value.clone()),
            session_ms: self.span(raw.session.as_ref(), 10, (2, 1800)).us() / 1000,
            properties,
        }
    }

    fn http(&mut self, text: Option<&Text>) -> Option<SocketAddr> {
        let Some(text) = text else { return Some(SocketAddr::from(([127, 0, 0, 1], 9464))) };
        if text.value == "none" {
            return None;
        }
        let address = text.value.parse::<SocketAddr>().ok();
        if address.is_none() {
            self.wrong(text, "this isn't an address", "write `127.0.0.1:9464`, or `none`");
        }
        address
    }
}

/// Returns whether the scalar stands in quotes, so that its text begins one column later. Spans of quoted
/// scalars are two wider than their text.
fn is_quoted(text: &Text) -> bool {
    text.value.chars().count() as u64 + 2 == text.referenced.span().len()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
fn ppm(share: f64) -> u32 {
    (share * 1e6).round() as u32
}
