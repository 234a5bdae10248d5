//! What a pipeline does, checked: the result of `config`, the argument of `engine` and `runtime`.
//!
//! In: a resolved pipeline file. Out: plain data that can't hold nonsense. Holds: pane divides every
//! window; at least one candidate; at most `DIMENSIONS_MAX` dimensions; what may change while the pipeline
//! runs is `RulesSpec` and `TimeSpec`, all else lasts. Knows nothing of: YAML.

use serde::{Deserialize, Serialize};

use super::feeds::{Feeds, TooManyFeeds};
use super::rule::Rule;
use super::time::Span;
use super::times::{Tempo, Times};

/// A pipeline's meaning: what decides results. Where it runs is in `config::endpoint`.
#[derive(Clone, PartialEq, Debug)]
pub struct PipelineSpec {
    /// Its name in tables, keys and paths.
    pub name: String,
    /// The model on trial, for people.
    pub model: String,
    /// Candidates' names in input order.
    pub candidates: Vec<String>,
    /// A request lies in the same partition of every topic.
    pub co_partitioned: bool,
    /// Which inputs a task has; told by the topics where they aren't co-partitioned.
    pub feeds: Feeds,
    /// Time and join; of a pipeline that runs, as the newest tempo of its log says.
    pub time: TimeSpec,
    /// The tempos of its log, where they say more than `time`.
    pub changed: Option<Times>,
    /// How two answers are compared.
    pub comparator: Comparator,
    /// The field of a record that says which others it comes together with, if one does.
    pub cluster: Option<String>,
    /// Dimensions that split reports.
    pub dimensions: Vec<Dimension>,
    /// The most classes that are told apart.
    pub labels: BoundedSet,
    /// Frozen edges of number bins, ascending; empty without numbers.
    pub score_edges: Vec<f64>,
    /// Lengths of tumbling windows, ascending.
    pub windows: Vec<Span>,
    /// Claims that act.
    pub rules: Vec<Rule>,
    /// Share of requests that is expected to reach the candidates, above 0, at most 1.
    pub mirrored: f64,
    /// How sure a decision must be.
    pub certainty: Certainty,
    /// A rule that the primary breaks too investigates instead of rolling back.
    pub shared_cause_investigates: bool,
    /// Share of matching pairs that are written as rows, in parts per million.
    pub matches_sampled_ppm: u32,
    /// Event time that one file of rows covers.
    pub roll: Span,
    /// Rows at which a file is rolled earlier.
    pub roll_rows: u32,
    /// Bytes of observations that one task may hold before it parks comparisons; no part of the hash.
    pub held_max: usize,
    /// Signals carry `dry_run`.
    pub dry_run: bool,
    /// Hash of all of the above.
    pub config_hash: u64,
    /// Hash of what tasks do: of all of the above but what `RulesSpec` holds.
    pub tasks_hash: u64,
    /// Hash of what tasks do but for `time`: of what no running pipeline changes.
    pub lasting_hash: u64,
    /// Which version of rules and tempo; no part of a hash.
    pub revision: u32,
}

/// What the evaluator does: the part of a pipeline that may change while it runs, as the log holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RulesSpec {
    /// The highest in the log is in force.
    pub revision: u32,
    /// Hash of the whole configuration.
    pub config_hash: u64,
    /// See `PipelineSpec`.
    pub rules: Vec<Rule>,
    /// See `PipelineSpec`.
    pub mirrored: f64,
    /// See `PipelineSpec`.
    pub certainty: Certainty,
    /// See `PipelineSpec`.
    pub shared_cause_investigates: bool,
    /// See `PipelineSpec`.
    pub dry_run: bool,
}

impl RulesSpec {
    /// Returns whether both say the same, whatever their revisions.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        let like = Self { revision: self.revision, config_hash: self.config_hash, ..other.clone() };
        *self == like
    }
}

impl PipelineSpec {
    /// Returns whether the claim of an owner of this pipeline carries this hash; in older logs it is everything's.
    #[must_use]
    pub const fn does_what(&self, claimed: u64) -> bool {
        claimed == self.tasks_hash || claimed == self.config_hash
    }

    /// The name of an arm; 0 is the primary.
    #[must_use]
    pub fn arm_name(&self, arm: usize) -> &str {
        match arm.checked_sub(1) {
            None => "primary",
            Some(candidate) => self.candidates.get(candidate).map_or("", String::as_str),
        }
    }

    /// The name of an input of a task: its arm, and its partition where the task reads them all.
    #[must_use]
    pub fn feed_name(&self, input: usize) -> String {
        let arm = self.arm_name(self.feeds.arm(input));
        self.feeds
            .partition(input)
            .map_or_else(|| arm.to_owned(), |partition| format!("{arm}/{partition}"))
    }

    /// Returns how many inputs a task has.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.feeds.count(self.candidates.len() + 1)
    }

    /// The same pipeline over topics that aren't co-partitioned and have so many partitions, by arm. What its
    /// task does depends on them: each is a feed.
    ///
    /// # Errors
    /// They are too many.
    pub fn routed(&self, partitions: &[u32]) -> Result<Self, TooManyFeeds> {
        let feeds = Feeds::routed(partitions)?;
        let [tasks_hash, lasting_hash] =
            [self.tasks_hash, self.lasting_hash].map(|hash| feeds.mixed_into(hash));
        Ok(Self { feeds, tasks_hash, lasting_hash, ..self.clone() })
    }

    /// The tempos that it goes by.
    #[must_use]
    pub fn times(&self) -> Times {
        self.changed.unwrap_or_else(|| Times::always(self.time.tempo()))
    }

    /// The same pipeline at these tempos.
    #[must_use]
    pub fn with_times(&self, times: &Times) -> Self {
        let Tempo { pane, wait, skew } = times.tempo;
        let time = TimeSpec { pane, wait, skew, ..self.time };
        Self { time, changed: Some(*times), ..self.clone() }
    }

    /// Returns what the evaluator does.
    #[must_use]
    pub fn rules_spec(&self) -> RulesSpec {
        RulesSpec {
            revision: self.revision,
            config_hash: self.config_hash,
            rules: self.rules.clone(),
            mirrored: self.mirrored,
            certainty: self.certainty,
            shared_cause_investigates: self.shared_cause_investigates,
            dry_run: self.dry_run,
        }
    }

    /// The same pipeline with these rules.
    #[must_use]
    pub fn with_rules(&self, rules: &RulesSpec) -> Self {
        let RulesSpec {
            revision,
            config_hash,
            rules,
            mirrored,
            certainty,
            shared_cause_investigates,
            dry_run,
        } = rules.clone();
        Self {
            revision,
            config_hash,
            rules,
            mirrored,
            certainty,
            shared_cause_investigates,
            dry_run,
            ..self.clone()
        }
    }
}

/// Time, in the words of the pipeline file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeSpec {
    /// The smallest span of event time.
    pub pane: Span,
    /// How long after a request its events may still come.
    pub wait: Span,
    /// How far apart the arms may stamp the same request.
    pub skew: Span,
    /// How long an input must stand at its end before time passes it by.
    pub idle_after: Span,
    /// How far one arm may lead the other before it is held back.
    pub lead: Span,
}

impl TimeSpec {
    /// Returns what may change while a pipeline runs, and changes results.
    #[must_use]
    pub const fn tempo(&self) -> Tempo {
        Tempo { pane: self.pane, wait: self.wait, skew: self.skew }
    }
}

/// How two predictions are compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Comparator {
    /// Same label.
    Label,
    /// |a − b| ≤ max(relative × max(|a|, |b|), absolute).
    Number {
        /// In the unit of the number.
        absolute: f64,
        /// A share of the larger one.
        relative: f64,
    },
    /// Same arg-max of class probabilities.
    ArgMax,
}

/// A dimension that splits reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dimension {
    /// Its key in the records' segments.
    pub name: String,
    /// Its values.
    pub values: BoundedSet,
}

/// A set of names that can't grow without bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundedSet {
    /// Exact when not empty: all others stand under `__other__`.
    pub declared: Vec<String>,
    /// How many undeclared names are told apart in a pane.
    pub max: usize,
}

/// Stated error rates.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Certainty {
    /// Chance that a healthy candidate is ever rolled back, over a rollout.
    pub per_rollout: f64,
    /// Mean time between false alarms under endless looking.
    pub interval: Span,
    /// Each look counts as one observation, whatever depends on what within it; else how much events come together
    /// is estimated, or told by the cluster key.
    pub in_blocks: bool,
}
