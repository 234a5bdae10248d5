//! The pipeline file, field by field.
//!
//! In: YAML. Out: what the user typed, with places. Holds: unknown fields are refused; nothing is
//! checked beyond its shape. Knows nothing of: what the fields mean together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// Text and where it stands.
pub(super) type Text = Spanned<String>;

/// A Parallax pipeline: what is compared, how, and what follows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Parallax pipeline")]
pub(super) struct RawPipeline {
    /// Name in tables, keys and paths: a lower-case letter, then such letters, digits, `-` and `_`, at most 64.
    #[schemars(with = "String")]
    pub(super) pipeline: Text,
    /// Which version of the rules this file holds: raise it with each change of `rollback_when`,
    /// `investigate_when`, `promote_when`, `certainty`, `mirrored`, `shared_cause` or `control.dry_run`
    /// while the pipeline's log is kept. Default: 1.
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub(super) revision: Option<Spanned<u32>>,
    /// The model on trial, for people. Default: the pipeline's name.
    #[schemars(with = "Option<String>")]
    pub(super) model: Option<Text>,
    /// How candidates get their requests: `shadow` (every request is copied).
    #[schemars(with = "Option<String>")]
    pub(super) strategy: Option<Text>,
    /// The Kafka cluster; not needed for `replay`.
    pub(super) kafka: Option<RawKafka>,
    /// Workers of one process, each a thread with a consumer and tasks of its own: a number, or `auto` for
    /// as many as there are cores. Never more than the topics have partitions. Default: 1.
    #[schemars(with = "Option<Threads>")]
    pub(super) threads: Option<Text>,
    /// The arm that serves users.
    pub(super) primary: RawArm,
    /// Candidates on trial by name.
    #[schemars(with = "BTreeMap<String, RawArm>")]
    pub(super) candidates: Spanned<BTreeMap<String, RawArm>>,
    /// Whether a request lies in the same partition of every topic: the same count of partitions, the same
    /// key, the same partitioner. `false`: one task in one process reads them all and finds the answers to a
    /// request wherever they lie. Default: true.
    pub(super) co_partitioned: Option<bool>,
    /// Time and join.
    #[serde(default)]
    pub(super) time: RawTime,
    /// How two predictions are compared: `label` (default), `argmax`, or `number` with a tolerance.
    pub(super) compare: Option<RawCompare>,
    /// Fields of the records that the pipeline's own producers name.
    #[serde(default)]
    pub(super) fields: RawFields,
    /// Dimensions that split reports, by their key in the records' `segments`; at most 4.
    #[schemars(with = "Option<BTreeMap<String, RawSet>>")]
    pub(super) segments: Option<Spanned<BTreeMap<String, Spanned<RawSet>>>>,
    /// Classes that are told apart. Default: 50.
    #[schemars(with = "Option<RawSet>")]
    pub(super) labels: Option<Spanned<RawSet>>,
    /// Frozen bins of numbers.
    pub(super) scores: Option<RawScores>,
    /// Lengths of tumbling windows. Default: 1m and 5m.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) windows: Option<Vec<Text>>,
    /// Share of requests that candidates are expected to see: what is beyond it isn't missed. Default: 100%.
    #[schemars(with = "Option<String>")]
    pub(super) mirrored: Option<Text>,
    /// Rules that take the candidate away once shown. Unless a rule of the file speaks of it,
    /// `missing_rate > 50%` is one.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) rollback_when: Vec<Text>,
    /// Rules that call a person once shown. Unless rules of the file speak of them, `missing_rate > 5%` and
    /// `unreadable_rate > 1%` are among them.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) investigate_when: Vec<Text>,
    /// Rules that let the candidate take over once shown. Not built yet.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) promote_when: Vec<Text>,
    /// How sure a decision must be.
    #[serde(default)]
    pub(super) certainty: RawCertainty,
    /// What follows when the primary breaks the same rule: `investigate` (default) or `rollback`.
    #[schemars(with = "Option<String>")]
    pub(super) shared_cause: Option<Text>,
    /// Tables.
    #[serde(default)]
    pub(super) output: RawOutput,
    /// Signals.
    #[serde(default)]
    pub(super) control: RawControl,
    /// Records that can't be read.
    pub(super) dead_letters: Option<RawTopic>,
    /// The log that survives a crash.
    #[serde(default)]
    pub(super) log: RawLog,
    /// Health, metrics and verdicts.
    #[serde(default)]
    pub(super) http: RawHttp,
}

/// What `threads` looks like.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the shape of a field in the schema")]
enum Threads {
    Number(#[schemars(range(min = 1, max = 256))] u32),
    Word(#[schemars(regex(pattern = "^auto$"))] String),
}

/// The Kafka cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKafka {
    /// `host:port`, several separated by commas.
    #[schemars(with = "String")]
    pub(super) brokers: Text,
    /// Group under which offsets are committed, and partitions handed out. Default: `parallax-NAME`.
    #[schemars(with = "Option<String>")]
    pub(super) group: Option<Text>,
    /// Names this instance, such as `${HOSTNAME}`, so that a restart within `session` keeps its
    /// partitions. Default: none.
    #[schemars(with = "Option<String>")]
    pub(super) instance: Option<Text>,
    /// How long a silent instance keeps its partitions. Default: 10s.
    #[schemars(with = "Option<String>")]
    pub(super) session: Option<Text>,
    /// librdkafka properties, such as `security.protocol` and `sasl.password`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(super) properties: BTreeMap<String, Text>,
}

/// An arm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArm {
    /// Topic that carries its events.
    #[schemars(with = "String")]
    pub(super) topic: Text,
}

/// Time and join.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTime {
    /// The smallest span of event time. Default: 10s.
    #[schemars(with = "Option<String>")]
    pub(super) pane: Option<Text>,
    /// How long after a request its events may still come. Default: 30s.
    #[schemars(with = "Option<String>")]
    pub(super) wait: Option<Text>,
    /// How far apart the arms may stamp the same request. Default: 5s.
    #[schemars(with = "Option<String>")]
    pub(super) skew: Option<Text>,
    /// How long an input must stand at its end before time passes it by. Default: 10s.
    #[schemars(with = "Option<String>")]
    pub(super) idle_after: Option<Text>,
    /// How far one arm may be read ahead of the other before the comparison is parked. Default: 2m.
    #[schemars(with = "Option<String>")]
    pub(super) lead: Option<Text>,
    /// Megabytes of records that a partition may hold for its joins before it parks. Default: 512.
    #[schemars(with = "Option<u32>")]
    pub(super) held_mb: Option<Spanned<u32>>,
}

/// Fields of the records that the pipeline's own producers name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFields {
    /// Field of a record, beside `request_id`, whose value says which others it comes together with: a batch, the
    /// retries of one call. What shares it within a pane is one cluster, and evidence is divided by the size of
    /// the largest. Default: none, and clusters are estimated.
    #[schemars(with = "Option<String>")]
    pub(super) cluster: Option<Text>,
}

/// How two predictions are compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawCompare {
    /// Same label.
    Label,
    /// Same arg-max of class probabilities.
    ArgMax,
    /// Close enough: |a − b| ≤ max(relative × max(|a|, |b|), absolute).
    Number(RawTolerance),
}

/// How far apart two numbers may be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTolerance {
    /// In the number's unit. Default: 0.
    #[serde(default)]
    #[schemars(with = "f64")]
    pub(super) absolute: Option<Spanned<f64>>,
    /// A share of the larger number. Default: 0.
    #[serde(default)]
    #[schemars(with = "f64")]
    pub(super) relative: Option<Spanned<f64>>,
}

/// A bounded set of names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSet {
    /// Exact names; all others stand under `__other__`.
    #[serde(default)]
    pub(super) declared: Vec<String>,
    /// How many undeclared names are told apart. Default: 50.
    pub(super) max: Option<u32>,
}

/// Frozen bins of numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScores {
    /// Ascending edges.
    #[schemars(with = "Vec<f64>")]
    pub(super) edges: Spanned<Vec<f64>>,
}

/// How sure a decision must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertainty {
    /// Chance that a healthy candidate is ever rolled back, over a rollout. Default: 1%.
    #[schemars(with = "Option<String>")]
    pub(super) per_rollout: Option<Text>,
    /// Mean time between false alarms under endless looking. Default: 365d.
    #[schemars(with = "Option<String>")]
    pub(super) false_alarm_every: Option<Text>,
    /// How failures that come together (retries, batches, one bad node) are reckoned with: `estimated` from earlier
    /// looks (default), or `blocks`: whatever depends on what within a second or a pane, each counts as one
    /// observation. That is strict, and slower.
    #[schemars(with = "Option<String>")]
    pub(super) dependence: Option<Text>,
}

/// Tables.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    /// Root folder. Default: out.
    #[schemars(with = "Option<String>")]
    pub(super) directory: Option<Text>,
    /// Event time that one file covers. Default: 5m.
    #[schemars(with = "Option<String>")]
    pub(super) roll: Option<Text>,
    /// Rows at which a file is completed earlier. Default: 200000.
    #[schemars(with = "Option<u32>")]
    pub(super) roll_rows: Option<Spanned<u32>>,
    /// Share of matching pairs that are kept as rows. Default: 1%.
    #[schemars(with = "Option<String>")]
    pub(super) matches: Option<Text>,
}

/// Signals.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawControl {
    /// Topic of the signals; without one they go to a file.
    #[schemars(with = "Option<String>")]
    pub(super) topic: Option<Text>,
    /// Signals say that nobody should act on them. Default: true.
    pub(super) dry_run: Option<bool>,
}

/// A topic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTopic {
    /// Its name.
    #[schemars(with = "String")]
    pub(super) topic: Text,
}

/// The log: a folder for one process, or a topic for any number of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    /// Its folder. Default: state, unless there is a topic.
    #[schemars(with = "Option<String>")]
    pub(super) directory: Option<Text>,
    /// Its topic; `NAME.evaluator` lies beside it. Both are made where they are missing.
    #[schemars(with = "Option<String>")]
    pub(super) topic: Option<Text>,
    /// How long entries are kept in topics that the engine makes. Default: 7d.
    #[schemars(with = "Option<String>")]
    pub(super) retention: Option<Text>,
}

/// HTTP.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    /// Address, or `none`. Default: 127.0.0.1:9464.
    #[schemars(with = "Option<String>")]
    pub(super) listen: Option<Text>,
}
