//! Merging, crashes between any two steps, and files that come in between.

use std::collections::HashMap;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;

use super::*;
use crate::adapters::tables::{Owner, Stage};
use crate::model::entry::TableFile;
use crate::model::row::{PairRow, PairSide, PairStatus};
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::runtime::driver::Tables as _;
use crate::runtime::log::Stream;

const START_US: i64 = 1_772_323_200_000_000;
const FEW: Limits =
    Limits { rows: 1_000_000, bytes: 1 << 30, memory: 32 << 20, grace: Duration::ZERO };

const OWNER: Owner = Owner { stream: Stream::Task(0), epoch: 1 };

fn pairs_file(first: EventTime, name: &str) -> TableFile {
    TableFile { table: "pairs".into(), comparison: 0, first, name: name.into() }
}

struct Tables {
    folder: tempfile::TempDir,
    stage: Stage,
    spec: PipelineSpec,
}

impl Tables {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = include_str!("../../../../pipelines/fraud.yaml");
        let pipeline = crate::config::load(text, "fraud.yaml", &HashMap::new()).unwrap();
        let stage = Stage::new(folder.path(), &pipeline.spec).unwrap();
        Self { folder, stage, spec: pipeline.spec }
    }

    /// One small file per ten rows.
    fn filled(rows: i64) -> Self {
        let tables = Self::new();
        for from in (0..rows).step_by(10) {
            tables.file(&tables.stage, &format!("pairs-{from}.parquet"), from..rows.min(from + 10));
        }
        tables
    }

    fn file(&self, stage: &Stage, name: &str, numbers: impl Iterator<Item = i64>) {
        // Not in order: partitions interleave.
        let rows: Vec<PairRow> = numbers.map(row).rev_collected();
        let config = stage.spec.tasks_hash;
        let (mut stage, file) = (stage.clone(), pairs_file(rows[0].pane, name));
        stage.stage_pairs(OWNER, 0, &file, &rows, config).unwrap();
        assert!(stage.complete(OWNER, &file).unwrap());
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn day(&self) -> Day {
        let days = days(self.root(), &self.spec.name).unwrap();
        assert_eq!(days.len(), 1);
        days[0].clone()
    }

    fn path(&self) -> PathBuf {
        self.root().join(self.day().relative())
    }

    fn compact(&self, limits: Limits) -> Result<Option<Merged>, CompactError> {
        let mut compaction = Compaction::begin(self.root(), limits)?;
        let merged = compaction.merge(&self.day());
        compaction.end()?;
        merged
    }

    fn survey(&self) -> (Total, Vec<Group>) {
        survey(&self.path(), "pairs", &FEW).unwrap()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let path = self.path();
        let names = swap::names(&path).unwrap().into_keys().filter(|name| is_table_file(name));
        names.map(|name| (name.clone(), fs::read(path.join(name)).unwrap())).collect()
    }

    /// Returns what a reader sees: every file's ids, in the order of files and rows.
    fn ids(&self) -> Vec<String> {
        use arrow::array::AsArray as _;
        let mut ids = Vec::new();
        for (name, _) in self.files().iter().filter(|(name, _)| is_table_file(name)) {
            let file = File::open(self.path().join(name)).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            let only = ProjectionMask::columns(reader.parquet_schema(), ["request_id"]);
            for batch in reader.with_projection(only).build().unwrap() {
                let batch = batch.unwrap();
                ids.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
        ids
    }

    fn digest(&self) -> sorted::Digest {
        let mut all = sorted::Digest::default();
        for (name, _) in self.files() {
            let path = self.path().join(name);
            let file = File::open(&path).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            let schema: SchemaRef = Schema::new(reader.schema().fields().clone()).into();
            let mut sorter = Sorter::new(&schema, "pairs", self.root(), 1).unwrap();
            sorter.only_count(&path).unwrap();
            all.rows += sorter.digest().rows;
            all.sum = all.sum.wrapping_add(sorter.digest().sum);
        }
        all
    }

    fn staged(&self) -> Vec<String> {
        swap::names(&self.root().join(STAGING)).unwrap().into_keys().collect()
    }

    /// All rows once, nothing left over, and nothing more to do.
    fn check(&self, rows: i64, digest: sorted::Digest) {
        let mut ids = self.ids();
        ids.sort();
        assert_eq!(ids, expected(rows));
        assert_eq!(self.digest(), digest);
        assert_eq!(self.staged(), Vec::<String>::new());
        let files = self.files();
        assert_eq!(self.compact(FEW).unwrap(), None);
        assert!(files == self.files());
    }
}

trait Reversed: Iterator + Sized {
    fn rev_collected(self) -> Vec<Self::Item> {
        let mut all: Vec<_> = self.collect();
        all.reverse();
        all
    }
}
impl<I: Iterator> Reversed for I {}

fn row(number: i64) -> PairRow {
    let time = EventTime::from_us(START_US + number * 1_000_000);
    let side = |failed| PairSide {
        time,
        feed: 0,
        offset: number,
        failed,
        label: (number % 3 != 0).then(|| Arc::from("fraud")),
        number: (number % 5 != 0).then_some(0.25),
        latency_us: u64::try_from(number).ok(),
    };
    PairRow {
        comparison: 0,
        pane: EventTime::from_us(time.us() / 10_000_000 * 10_000_000),
        request_id: format!("r{number:06}"),
        status: if number % 7 == 0 { PairStatus::Unmatched } else { PairStatus::Mismatch },
        reason: (number % 7 == 0).then_some("missing"),
        primary: Some(side(false)),
        candidate: (number % 7 != 0).then(|| side(true)),
        segments: Arc::from("BR\u{1f}"),
        sampled: 1.0,
    }
}

fn expected(rows: i64) -> Vec<String> {
    (0..rows).map(|number| format!("r{number:06}")).collect()
}

#[test]
fn many_small_files_become_one_with_the_same_rows_columns_and_metadata() {
    let tables = Tables::filled(1000);
    let footer = |tables: &Tables| {
        let path = tables.path().join(&tables.files()[0].0);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let footer = reader.metadata().file_metadata();
        let mut metadata = footer.key_value_metadata().unwrap().clone();
        metadata.sort_by(|a, b| a.key.cmp(&b.key));
        (footer.schema().clone(), metadata, footer.created_by().map(str::to_owned))
    };
    let (digest, before) = (tables.digest(), footer(&tables));
    let merged = tables.compact(FEW).unwrap().unwrap();
    assert_eq!((merged.files_before, merged.files_after, merged.rows), (100, 1, 1000));
    assert!(merged.bytes_after * 5 < merged.bytes_before, "{merged:?}");
    assert_eq!(footer(&tables), before);
    assert_eq!(tables.ids(), expected(1000), "sorted by time");
    tables.check(1000, digest);
}

#[test]
fn the_bytes_follow_from_the_rows_alone_however_they_were_cut_and_sorted() {
    let (one, other) = (Tables::filled(700), Tables::new());
    for first in 0..7 {
        let name = format!("other-{first}.parquet");
        other.file(&other.stage, &name, (first..700).step_by(7));
    }
    let spilled = Limits { memory: 20_000, ..FEW };
    one.compact(FEW).unwrap();
    other.compact(spilled).unwrap();
    assert!(one.files() == other.files());
}

#[test]
fn more_runs_than_are_merged_at_once_still_give_one_order() {
    let tables = Tables::filled(900);
    let digest = tables.digest();
    // A run per file: 90 of them.
    tables.compact(Limits { memory: 1, ..FEW }).unwrap();
    assert_eq!(tables.ids(), expected(900));
    tables.check(900, digest);
}

#[test]
fn full_files_are_cut_at_the_maximum_and_left_alone_afterwards() {
    let tables = Tables::filled(1050);
    let limits = Limits { rows: 500, ..FEW };
    let merged = tables.compact(limits).unwrap().unwrap();
    assert_eq!((merged.files_before, merged.files_after, merged.rows), (105, 3, 1050));
    assert_eq!(tables.ids(), expected(1050));
    assert_eq!(tables.compact(limits).unwrap(), None);
    let full = tables.files().into_iter().take(2).collect::<Vec<_>>();
    tables.file(&tables.stage, "late.parquet", 1050..1060);
    let merged = tables.compact(limits).unwrap().unwrap();
    assert_eq!((merged.files_before, merged.files_after, merged.rows), (4, 3, 1060));
    assert!(full.iter().all(|file| tables.files().contains(file)));
    assert_eq!(tables.compact(limits).unwrap(), None);

    let tables = Tables::filled(3000);
    let limits = Limits { bytes: 1, ..FEW };
    assert_eq!(tables.compact(limits).unwrap(), None, "every file is full");
}

#[test]
fn files_of_another_configuration_stay_apart_and_strangers_stay_as_they_are() {
    let tables = Tables::filled(40);
    let mut spec = tables.spec.clone();
    spec.tasks_hash ^= 1;
    let changed = Stage::new(tables.root(), &spec).unwrap();
    for from in [40, 50] {
        tables.file(&changed, &format!("changed-{from}.parquet"), from..from + 10);
    }
    fs::write(tables.path().join("_NOTES"), "kept").unwrap();
    let merged = tables.compact(FEW).unwrap().unwrap();
    assert_eq!((merged.files_before, merged.files_after, merged.rows), (6, 2, 60));
    assert_eq!(fs::read_to_string(tables.path().join("_NOTES")).unwrap(), "kept");
    let mut ids = tables.ids();
    ids.sort();
    assert_eq!(ids, expected(60));
}

/// Up to `steps` steps of a compaction, then nothing: a crash.
fn crash_after(tables: &Tables, steps: usize) {
    let (_, groups) = tables.survey();
    let day = tables.day();
    let swap = Swap::of(tables.root(), &day);
    let mut frozen = swap::Names::new();
    let mut merged = Vec::new();
    let mut sealed = PathBuf::new();
    for step in 0..steps {
        match step {
            0 => frozen = swap.freeze().unwrap(),
            1 => merged = build(&swap, &day, &groups, &FEW).unwrap(),
            2 => swap.carry(&frozen, &merged).unwrap(),
            3 => swap.catch_up(&frozen).unwrap(),
            4 => sealed = swap.seal().unwrap(),
            5 => swap.catch_up_into(&frozen, &sealed).unwrap(),
            6 => swap.exchange(&sealed).unwrap(),
            7 => {
                // Half of what was merged is removed.
                for name in swap::names(&sealed).unwrap().keys().take(5) {
                    fs::remove_file(sealed.join(name)).unwrap();
                }
            }
            8 => swap.retire(&sealed).unwrap(),
            _ => unreachable!(),
        }
    }
}

#[test]
fn a_crash_after_any_step_leaves_the_right_rows_and_nothing_else() {
    for steps in 0..=9 {
        let tables = Tables::filled(100);
        let digest = tables.digest();
        crash_after(&tables, steps);
        assert_eq!(tables.digest(), digest, "readers see every row once after {steps} steps");
        // The engine that starts in between takes nothing of it for its own.
        tables.stage.clone().clear_older(Owner { epoch: u64::MAX, ..OWNER }).unwrap();
        tables.compact(FEW).unwrap();
        assert_eq!(tables.files().len(), 1, "after {steps} steps");
        tables.check(100, digest);
    }
}

#[test]
fn half_a_file_and_a_trial_of_an_earlier_run_are_removed() {
    let tables = Tables::filled(100);
    let digest = tables.digest();
    crash_after(&tables, 1);
    let staging = tables.root().join(STAGING);
    let new = tables.staged().into_iter().find(|name| name.starts_with("compact-new")).unwrap();
    fs::write(staging.join(new).join("half.parquet"), "PAR1").unwrap();
    fs::create_dir(staging.join("compact-try!one")).unwrap();
    tables.compact(FEW).unwrap();
    tables.check(100, digest);
}

#[test]
fn files_that_come_in_between_are_neither_lost_nor_doubled() {
    for after in 1..=7 {
        let tables = Tables::filled(100);
        let (_, groups) = tables.survey();
        let (day, path) = (tables.day(), tables.path());
        let swap = Swap::of(tables.root(), &day);
        let come = |step: usize| {
            if step == after {
                tables.file(&tables.stage, "came.parquet", 100..110);
            }
        };
        let frozen = swap.freeze().unwrap();
        come(1);
        let merged = build(&swap, &day, &groups, &FEW).unwrap();
        come(2);
        swap.carry(&frozen, &merged).unwrap();
        come(3);
        swap.catch_up(&frozen).unwrap();
        come(4);
        let sealed = swap.seal().unwrap();
        swap.catch_up_into(&frozen, &sealed).unwrap();
        come(5);
        let seen_before = path.join("came.parquet").exists();
        swap.exchange(&sealed).unwrap();
        assert!(after == 5 || path.join("came.parquet").exists() == seen_before);
        come(6);
        if after == 7 {
            // Its rename had looked the folder up just before the exchange.
            tables.file(&tables.stage, "came.parquet", 100..110);
            fs::rename(path.join("came.parquet"), sealed.join("came.parquet")).unwrap();
        }
        swap.retire(&sealed).unwrap();
        let mut ids = tables.ids();
        ids.sort();
        assert_eq!(ids, expected(110), "came after step {after}");
        assert_eq!(tables.staged(), Vec::<String>::new());
        tables.compact(FEW).unwrap();
        let digest = tables.digest();
        tables.check(110, digest);
    }
}

#[test]
fn a_day_whose_files_are_replaced_or_removed_meanwhile_is_left_as_it_is() {
    for removed in [false, true] {
        let tables = Tables::filled(100);
        let (_, groups) = tables.survey();
        let swap = Swap::of(tables.root(), &tables.day());
        let frozen = swap.freeze().unwrap();
        let merged = build(&swap, &tables.day(), &groups, &FEW).unwrap();
        swap.carry(&frozen, &merged).unwrap();
        if removed {
            fs::remove_file(tables.path().join("pairs-90.parquet")).unwrap();
        } else {
            tables.file(&tables.stage, "pairs-90.parquet", 90..100);
        }
        let before = tables.files();
        assert!(matches!(swap.catch_up(&frozen), Err(CompactError::Changed(_))));
        swap.discard().unwrap();
        assert!(before == tables.files());
        assert_eq!(tables.staged(), Vec::<String>::new());
    }
}

#[test]
fn what_replaces_a_file_at_the_moment_of_the_exchange_is_never_thrown_away_unseen() {
    for same in [true, false] {
        let tables = Tables::filled(100);
        crash_after(&tables, 7);
        let old = tables.staged().into_iter().find(|name| !name.starts_with("compact-from"));
        let old = tables.root().join(STAGING).join(old.unwrap()).join("pairs-90.parquet");
        let bytes = if same { fs::read(&old).unwrap() } else { b"other".to_vec() };
        fs::remove_file(&old).unwrap();
        fs::write(&old, bytes).unwrap();
        let done = tables.compact(FEW);
        if same {
            assert_eq!(done.unwrap(), None);
        } else {
            assert!(matches!(done, Err(CompactError::Replaced(_))));
            fs::remove_file(&old).unwrap();
            assert_eq!(tables.compact(FEW).unwrap(), None);
        }
        let digest = tables.digest();
        tables.check(100, digest);
    }
}

#[test]
fn an_engine_finds_a_merged_file_that_its_log_names() {
    let tables = Tables::filled(100);
    let file = |name: &str| pairs_file(EventTime::from_us(START_US), name);
    let missing = |name: &str| !tables.stage.clone().complete(OWNER, &file(name)).unwrap();
    tables.compact(FEW).unwrap();
    assert!(!missing("pairs-90.parquet") && missing("pairs-100.parquet"));
    tables.file(&tables.stage, "pairs-100.parquet", 100..110);
    tables.compact(FEW).unwrap();
    assert!(!missing("pairs-90.parquet") && !missing("pairs-100.parquet"));
    let error = tables.stage.clone().remove(&file("pairs-90.parquet")).unwrap_err();
    assert!(error.to_string().contains("was merged"), "its rows aren't to be written again");
    let digest = tables.digest();
    tables.check(110, digest);
}

#[test]
fn a_failure_after_the_exchange_keeps_what_the_next_run_needs() {
    let tables = Tables::filled(100);
    let digest = tables.digest();
    crash_after(&tables, 7);
    let staged = tables.staged();
    Swap::of(tables.root(), &tables.day()).discard().unwrap();
    assert_eq!(tables.staged(), staged);
    tables.compact(FEW).unwrap();
    tables.check(100, digest);
}

#[test]
fn two_at_once_are_refused_and_a_missing_folder_is_named() {
    let tables = Tables::filled(20);
    let first = Compaction::begin(tables.root(), FEW).unwrap();
    let second = Compaction::begin(tables.root(), FEW);
    assert!(matches!(second, Err(CompactError::Busy(_))));
    drop(first);
    assert!(tables.compact(FEW).unwrap().is_some());
    let nowhere = tables.root().join("nowhere");
    assert!(matches!(Compaction::begin(&nowhere, FEW), Err(CompactError::NoTables(_))));
    assert!(!nowhere.exists());
}

#[test]
fn the_newest_days_stay_and_a_day_ahead_of_the_clock_closes_none() {
    let day = |text: &str| Day {
        table: "pairs".into(),
        pipeline: "p".into(),
        candidate: "v8".into(),
        date: text.parse().unwrap(),
    };
    let all: Vec<Day> = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"].map(day).into();
    let pick = |keep, today: &str, days: &[Day], only: Option<&str>| {
        let only = only.map(|text| text.parse().unwrap());
        let picked = Choice { only, keep, today: today.parse().unwrap() }.pick(days.to_vec());
        picked.days.iter().map(|day| day.date.day()).collect::<Vec<_>>()
    };
    assert_eq!(pick(2, "2026-03-04", &all, None), [1, 2]);
    assert_eq!(pick(2, "2026-09-01", &all, None), [1, 2], "the newest that is there counts");
    assert_eq!(pick(2, "2026-03-03", &all, None), [1], "the fourth is ahead of the clock");
    assert_eq!(pick(2, "2026-03-04", &all, Some("2026-03-02")), [2]);
    assert!(pick(2, "2026-03-04", &all, Some("2026-03-03")).is_empty());
    assert_eq!(pick(0, "2026-03-03", &all, None), [1, 2, 3, 4]);
    assert!(pick(2, "2026-03-03", &[], None).is_empty());
}
