//! What a pipeline file means, as numbers: two files with the same meaning have the same.
//!
//! In: a spec. Out: a hash of what tasks do, one of what no running pipeline changes of it, and one of
//! everything. Holds: none depends on where the pipeline runs, on how much it holds, or on its revision; the text that
//! is hashed is written down here, so that a field that comes later doesn't give files of today another
//! meaning. Knows nothing of: who compares them.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::rule::{Metric, Rule};
use crate::model::spec::{Certainty, PipelineSpec, TimeSpec};
use crate::model::times::{Tempo, Times};

/// Hash of what tasks do: panes, pair rows, vitals and facts depend on it.
pub(super) fn of_tasks(spec: &PipelineSpec) -> u64 {
    xxh3_64(format!("{:?}", OfTasks(spec)).as_bytes())
}

/// The same of a pipeline at another tempo.
#[must_use]
pub fn of_tasks_at(spec: &PipelineSpec, tempo: Tempo) -> u64 {
    if tempo == spec.time.tempo() {
        return spec.tasks_hash;
    }
    spec.feeds.mixed_into(of_tasks(&spec.with_times(&Times::always(tempo))))
}

/// Hash of what tasks do but for their times.
pub(super) fn of_lasting(spec: &PipelineSpec) -> u64 {
    xxh3_64(format!("{:?}", OfLasting(spec)).as_bytes())
}

/// Hash of what tasks and the evaluator do.
pub(super) fn of_all(spec: &PipelineSpec) -> u64 {
    xxh3_64(format!("{:?}", OfAll(spec)).as_bytes())
}

struct OfTasks<'a>(&'a PipelineSpec);

struct OfLasting<'a>(&'a PipelineSpec);

struct OfAll<'a>(&'a PipelineSpec);

struct OfRule<'a>(&'a Rule);

/// Returns what stands first in all.
fn begin<'a, 'f>(
    f: &'a mut fmt::Formatter<'f>,
    name: &str,
    spec: &PipelineSpec,
    time: Option<&TimeSpec>,
) -> fmt::DebugStruct<'a, 'f> {
    let mut text = f.debug_struct(name);
    text.field("name", &spec.name)
        .field("model", &spec.model)
        .field("candidates", &spec.candidates);
    if let Some(time) = time {
        text.field("time", time);
    }
    text.field("comparator", &spec.comparator)
        .field("dimensions", &spec.dimensions)
        .field("labels", &spec.labels)
        .field("score_edges", &spec.score_edges)
        .field("windows", &spec.windows);
    if !spec.co_partitioned {
        text.field("co_partitioned", &false);
    }
    if let Some(cluster) = &spec.cluster {
        text.field("cluster", cluster);
    }
    text
}

impl fmt::Debug for OfTasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spec) = self;
        of_files(&mut begin(f, "Tasks", spec, Some(&spec.time)), spec).finish()
    }
}

impl fmt::Debug for OfLasting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spec) = self;
        of_files(&mut begin(f, "Lasting", spec, None), spec).finish()
    }
}

fn of_files<'t, 'a, 'f>(
    text: &'t mut fmt::DebugStruct<'a, 'f>,
    spec: &PipelineSpec,
) -> &'t mut fmt::DebugStruct<'a, 'f> {
    text.field("matches_sampled_ppm", &spec.matches_sampled_ppm)
        .field("roll", &spec.roll)
        .field("roll_rows", &spec.roll_rows)
}

impl fmt::Debug for OfRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rule) = self;
        let mut text = f.debug_struct("Rule");
        text.field("text", &rule.text)
            .field("action", &rule.action)
            .field("metric", &rule.metric)
            .field("op", &rule.op)
            .field("value", &rule.value)
            .field("relative", &rule.relative)
            .field("at_worst", &rule.at_worst)
            .field("held_for", &rule.held_for)
            .field("segment", &rule.segment)
            .field("observed", &rule.observed);
        // What most files mean needs no word.
        if rule.metric == Metric::MissingRate && !rule.assumed {
            text.field("stated", &true);
        }
        text.finish()
    }
}

struct OfCertainty(Certainty);

impl fmt::Debug for OfCertainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(certainty) = self;
        let mut text = f.debug_struct("Certainty");
        text.field("per_rollout", &certainty.per_rollout).field("interval", &certainty.interval);
        if certainty.in_blocks {
            text.field("in_blocks", &true);
        }
        text.finish()
    }
}

impl fmt::Debug for OfAll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spec) = self;
        let rules: Vec<OfRule<'_>> = spec.rules.iter().map(OfRule).collect();
        begin(f, "PipelineSpec", spec, Some(&spec.time))
            .field("rules", &rules)
            .field("mirrored", &spec.mirrored)
            .field("certainty", &OfCertainty(spec.certainty))
            .field("shared_cause_investigates", &spec.shared_cause_investigates)
            .field("matches_sampled_ppm", &spec.matches_sampled_ppm)
            .field("roll", &spec.roll)
            .field("roll_rows", &spec.roll_rows)
            .field("held_max", &0_usize)
            .field("dry_run", &spec.dry_run)
            .field("config_hash", &0_u64)
            .finish()
    }
}
