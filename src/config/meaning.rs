//! What a pipeline file means, as numbers: two files with the same meaning have the same.
//!
//! In: a spec. Out: a hash of what tasks do, which no running pipeline changes, and one of everything.
//! Holds: neither depends on where the pipeline runs, on how much it holds, or on its revision; the text that
//! is hashed is written down here, so that a field that comes later doesn't give files of today another
//! meaning. Knows nothing of: who compares them.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::spec::PipelineSpec;

/// Hash of what tasks do: panes, pair rows, vitals and facts depend on it.
pub(super) fn of_tasks(spec: &PipelineSpec) -> u64 {
    xxh3_64(format!("{:?}", OfTasks(spec)).as_bytes())
}

/// Hash of what tasks and the evaluator do.
pub(super) fn of_all(spec: &PipelineSpec) -> u64 {
    xxh3_64(format!("{:?}", OfAll(spec)).as_bytes())
}

struct OfTasks<'a>(&'a PipelineSpec);

struct OfAll<'a>(&'a PipelineSpec);

/// What stands first in both.
fn begin<'a, 'f>(
    f: &'a mut fmt::Formatter<'f>,
    name: &str,
    spec: &PipelineSpec,
) -> fmt::DebugStruct<'a, 'f> {
    let mut text = f.debug_struct(name);
    text.field("name", &spec.name)
        .field("model", &spec.model)
        .field("candidates", &spec.candidates)
        .field("time", &spec.time)
        .field("comparator", &spec.comparator)
        .field("dimensions", &spec.dimensions)
        .field("labels", &spec.labels)
        .field("score_edges", &spec.score_edges)
        .field("windows", &spec.windows);
    if !spec.co_partitioned {
        text.field("co_partitioned", &false);
    }
    text
}

impl fmt::Debug for OfTasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spec) = self;
        begin(f, "Tasks", spec)
            .field("matches_sampled_ppm", &spec.matches_sampled_ppm)
            .field("roll", &spec.roll)
            .field("roll_rows", &spec.roll_rows)
            .finish()
    }
}

/// Logs from before rules could change carry this one.
impl fmt::Debug for OfAll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spec) = self;
        begin(f, "PipelineSpec", spec)
            .field("rules", &spec.rules)
            .field("every_request", &spec.every_request)
            .field("certainty", &spec.certainty)
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
