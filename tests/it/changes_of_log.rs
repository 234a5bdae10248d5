//! Real logs on disk: one goes on, another version's is refused with a word, and so is a pipeline file that
//! doesn't fit its log. `PARALLAX_UPDATE_SCHEMAS=1` records the one in `tests/data` anew.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Result;
use parallax::adapters::log::file::FileLog;
use parallax::config::endpoint::LogEndpoint;
use parallax::config::{self, Pipeline};
use parallax::engine::Input;
use parallax::model::entry::Entry;
use parallax::model::record::Record;
use parallax::model::time::Span;
use parallax::model::times::Times;
use parallax::runtime::clock::HostClock;
use parallax::runtime::driver::{Driver, OtherConfiguration};
use parallax::runtime::follow::Recorded;
use parallax::runtime::log::{Body, LogFrame, Stream};
use parallax::wiring::durable;
use serde_json::Value;

use crate::world::{at, event};

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// The log of 150 seconds in which the candidate began to fail, and its pipeline file.
struct Copy {
    folder: tempfile::TempDir,
    text: String,
}

impl Copy {
    fn empty() -> Self {
        let text = std::fs::read_to_string(data("log-v3-first/pipeline.yaml")).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), text }
    }

    fn new() -> Self {
        let copy = Self::empty();
        copy.run(&copy.text, 150);
        copy
    }

    /// Of one that was recorded.
    fn of(path: &str) -> Self {
        let copy = Self::empty();
        std::fs::create_dir(copy.log().parent().unwrap()).unwrap();
        std::fs::copy(data(path), copy.log()).unwrap();
        copy
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("state/parallax.log")
    }

    fn pipeline(&self, text: &str) -> Pipeline {
        let loaded = config::load(text, "pipeline.yaml", &HashMap::new());
        let mut pipeline = loaded.map_err(|problems| problems.render(false)).unwrap();
        pipeline.endpoints.output = self.folder.path().join("out");
        pipeline.endpoints.log = LogEndpoint::Folder(self.folder.path().join("state"));
        pipeline
    }

    /// A process starts with this pipeline file.
    fn start(&self, text: &str) -> Result<Driver> {
        let mut driver = durable(&self.pipeline(text), 2, HostClock::Real)?;
        driver.own(0..2)?;
        Ok(driver)
    }

    /// The same, and it reads to this second; what its verdict says then, and said at first.
    fn run(&self, text: &str, to: i64) -> (Value, Value) {
        let mut driver = self.start(text).unwrap();
        driver.flush().unwrap();
        let first = verdict(&driver);
        read(&mut driver, to, 6);
        driver.flush().unwrap();
        (verdict(&driver), first)
    }

    fn refusal(&self, text: &str) -> String {
        let error = self.start(text).err().unwrap();
        assert!(error.downcast_ref::<OtherConfiguration>().is_some(), "{error:#}");
        error.to_string()
    }

    fn frames(&self) -> BTreeMap<Stream, Vec<LogFrame>> {
        FileLog::read_only(&self.folder.path().join("state")).unwrap().frames
    }

    /// Revisions that the log holds.
    fn revisions(&self) -> Vec<u32> {
        let frames = self.frames().remove(&Stream::Evaluator).unwrap();
        let revision = |frame: LogFrame| match frame.body {
            Body::Evaluator(weighing) => weighing.rules().map(|rules| rules.revision),
            Body::Task(_) => None,
        };
        frames.into_iter().filter_map(revision).collect()
    }
}

/// Reads what the log's writer had read, and more of the same, to this second; a second is over after so many requests.
fn read(driver: &mut Driver, to: i64, second: i64) {
    let mut is_new = false;
    for number in 0..to * 6 {
        let country = if number % 2 == 0 { "BR" } else { "DE" };
        let (task, time) = ((number / 2 % 2) as u32, number as f64 / 6.0);
        let label = if 75 * 6 <= number && number % 3 == 0 { "!" } else { "ok" };
        let offset = number / 4 * 2 + number % 2;
        for (input, label) in [(0, "ok"), (1, label)] {
            let (after, latency) = (0.01 * input as f64, 10.0 + input as f64);
            let value = event(&format!("r{number}"), time + after, label, latency, country);
            let value = Some(value.as_bytes());
            let records = [Record { offset, timestamp_ms: None, key: None, value }];
            let task = driver.task_mut(task).unwrap();
            if task.position(input) <= offset {
                task.handle(Input::Records { input, records: &records, read_at: None });
                is_new = true;
            }
        }
        if number % second == second - 1 && std::mem::take(&mut is_new) {
            driver.tick(at((number / 6 + 1) as f64)).unwrap();
        }
    }
    driver.tick(at(to as f64)).unwrap();
}

fn verdict(driver: &Driver) -> Value {
    driver.evaluator().unwrap().verdict(0).unwrap()
}

#[test]
fn a_log_that_was_recorded_once_stays_readable() {
    if std::env::var_os("PARALLAX_UPDATE_SCHEMAS").is_some() {
        let copy = Copy::empty();
        // Whoever wrote it died before anything was put in place.
        read(&mut copy.start(&copy.text).unwrap(), 35, i64::MAX);
        std::fs::copy(copy.log(), data("log-v3-first/parallax.log")).unwrap();
    }
    let copy = Copy::of("log-v3-first/parallax.log");
    let (read_on, recorded) = copy.run(&copy.text, 150);
    assert_eq!(recorded["weighed_to"], "2023-11-14T22:13:40.000Z");
    assert_eq!(read_on["verdict"], "rollback");
    assert_eq!(copy.revisions(), [1]);
}

#[test]
fn a_log_of_version_1_is_refused_and_says_how_to_go_on() {
    let copy = Copy::of("log-v1-first/parallax.log");
    let before = std::fs::read(copy.log()).unwrap();
    let why = format!("{:#}", copy.start(&copy.text).err().unwrap());
    for part in [
        "version 1",
        "can't be weighed on",
        "`log.directory`",
        "`output.directory`",
        "the oldest records",
    ] {
        assert!(why.contains(part), "{why}");
    }
    assert!(FileLog::read_only(copy.log().parent().unwrap()).is_err());
    assert_eq!(std::fs::read(copy.log()).unwrap(), before, "nothing is written into it");
    let mut later = before;
    later[7] = 4;
    std::fs::write(copy.log(), later).unwrap();
    let why = format!("{:#}", copy.start(&copy.text).err().unwrap());
    assert!(why.contains("a later engine") && why.contains("update it"), "{why}");
}

#[test]
fn a_log_goes_on_and_its_rules_can_change() {
    let copy = Copy::empty();
    let (written, _) = copy.run(&copy.text, 150);
    assert_eq!(written["verdict"], "rollback");
    let (read_on, recorded) = copy.run(&copy.text, 160);
    for what in ["decisions", "config_hash", "rules"] {
        assert_eq!(recorded[what], written[what], "{what}");
    }
    assert_eq!(copy.revisions(), [1]);

    let newer = copy.text.replace("match_rate < 95%", "match_rate < 99%") + "revision: 2\n";
    let (_, said) = copy.run(&newer, 180);
    assert_eq!((&said["revision"], &said["verdict"]), (&2.into(), &"rollback".into()));
    assert_eq!(said["rules"][0], read_on["rules"][0], "it keeps its evidence");
    assert_eq!(said["rules"][2]["rule"], "match_rate < 99%");
    assert_eq!(said["rules"][2]["total"], 0);

    let (_, said) = copy.run(&copy.text, 190);
    assert_eq!((&said["revision"], &said["file_revision"]), (&2.into(), &1.into()));
    assert_eq!(said["rules"][2]["rule"], "match_rate < 99%", "the log governs, not the file");
    assert_ne!(said["rules"][2]["total"], 0);
    assert_eq!(copy.revisions(), [1, 2]);
}

#[test]
fn a_file_that_doesnt_fit_its_log_is_refused_and_says_what_to_do() {
    let copy = Copy::new();
    let altered = copy.text.replace("match_rate < 95%", "match_rate < 99%");
    let why = copy.refusal(&altered);
    assert!(why.contains("raise `revision` to 2"), "{why}");
    let why = copy.refusal(&copy.text.replace("wait: 5s", "wait: 6s"));
    assert!(why.contains("`time`") && why.contains("raise `revision` to 2"), "{why}");
    let why = copy.refusal(&(copy.text.replace("[60s]", "[120s]") + "revision: 2\n"));
    assert!(why.contains("`windows`") && why.contains("a `kafka.group` of its own"), "{why}");
    // Who was refused has claimed, and leaves nothing behind that keeps others from going on.
    assert_eq!(copy.run(&copy.text, 150).0["revision"], 1);
    copy.run(&(altered + "revision: 2\n"), 160);
    assert_eq!(copy.revisions(), [1, 2]);
}

#[test]
fn a_recorded_run_is_repeated_under_the_rules_it_began_with() {
    let copy = Copy::new();
    copy.run(&copy.text, 160);
    let newer = copy.text.replace("error_rate > 5%", "error_rate > 9%") + "revision: 2\n";
    copy.run(&newer, 150);
    let spec = copy.pipeline(&newer).spec;
    let recorded = Recorded::read(copy.frames(), &spec, 2).unwrap();
    let (began, text) = (recorded.pipeline(&spec), "error_rate > 5%");
    assert_eq!((began.revision, began.rules[0].text.as_str()), (1, text));
    let other = copy.pipeline(&copy.text.replace("[60s]", "[120s]")).spec;
    assert!(Recorded::read(copy.frames(), &other, 2).is_err());
}

/// The last times that each task says it goes by.
fn times(copy: &Copy) -> Vec<Times> {
    let mut frames = copy.frames();
    let mut last = |task: u32| {
        let frames = frames.remove(&Stream::Task(task)).unwrap();
        let said = |frame: &LogFrame| match &frame.body {
            Body::Task(entry) => match entry.as_ref() {
                Entry::Times(said) => Some(said.times),
                _ => None,
            },
            Body::Evaluator(_) => None,
        };
        frames.iter().rev().find_map(said).unwrap()
    };
    vec![last(0), last(1)]
}

#[test]
fn pane_wait_and_skew_change_on_a_running_pipeline_and_the_log_governs() {
    let copy = Copy::new();
    copy.run(&copy.text, 160);
    let time = "pane: 20s, wait: 8s, skew: 3s";
    let newer = copy.text.replace("pane: 10s, wait: 5s, skew: 1s", time) + "revision: 2\n";
    assert_ne!(newer, copy.text.clone() + "revision: 2\n");
    // The tasks begin anew when they hear it, and what they had read is read again.
    copy.run(&newer, 190);
    let [one, other] = times(&copy)[..] else { panic!("two tasks") };
    assert_eq!((one, one.revision, one.tempo.pane), (other, 2, Span::from_secs(20)));
    assert!(at(100.0) < one.from && one.from < at(300.0), "{one:?}");
    // A host that wasn't updated follows.
    let mut driver = copy.start(&copy.text).unwrap();
    driver.flush().unwrap();
    read(&mut driver, 400, 6);
    driver.flush().unwrap();
    assert!(one.from < driver.task(0).unwrap().closed_to(0));
    assert_eq!(driver.task(0).unwrap().times(), one);
    let told = driver.evaluator().unwrap().times_told().unwrap();
    assert_eq!((&told["revision"], &told["tempo"]["wait_s"]), (&2.into(), &8.0.into()));
    assert!(told["asked"].is_null(), "{told}");
    drop(driver);
    let why = copy.refusal(&newer.replace("wait: 8s", "wait: 9s"));
    assert!(why.contains("8 s") && why.contains("raise `revision` to 3"), "{why}");

    // What came of a second change can't be told from one set of times.
    let recorded_twice = || {
        let back = copy.text.clone() + "revision: 3\n";
        copy.run(&back, 800);
        let last = times(&copy)[0];
        assert_eq!((last.revision, last.before, last.tempo), (3, one.tempo, one.before));
        assert!(one.from < last.from);
        Recorded::read(copy.frames(), &copy.pipeline(&back).spec, 2)
    };

    // A replay follows the log across the change.
    let spec = copy.pipeline(&newer).spec;
    let recorded = Recorded::read(copy.frames(), &spec, 2).unwrap();
    assert_eq!(recorded.pipeline(&spec).time.pane, Span::from_secs(10));
    assert!(recorded.facts().values().all(|frames| {
        matches!(&frames[0].body, Body::Task(entry) if matches!(**entry, Entry::Times(said) if said.times == one))
    }));
    let why = recorded_twice().err().unwrap().to_string();
    assert!(why.contains("changed 2 times"), "{why}");
}
