//! Tasks, evaluator and their logs in memory: the engine without a world around it.
//!
//! In: a spec and records. Out: everything the engine asked for. Holds: effects are carried out in
//! the order they were asked for; entries are read back before anything else happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallax::engine::evaluator::{self, Evaluator, Rows};
use parallax::engine::{Effect, Input, Task};
use parallax::model::bucket::Unreadable;
use parallax::model::cluster::ClusterSize;
use parallax::model::entry::{ArmVitals, Entry, EvaluatorEntry, VitalCounts};
use parallax::model::feeds::Feeds;
use parallax::model::notice::Notice;
use parallax::model::record::Record;
use parallax::model::row::{DecisionRow, PairRow, WindowRow};
use parallax::model::rule::{Action, Metric, Op, Rule};
use parallax::model::signal::Signal;
use parallax::model::spec::{BoundedSet, Certainty, Comparator, Dimension, PipelineSpec, TimeSpec};
use parallax::model::tally::{Segment, merge_counts};
use parallax::model::time::{EventTime, Span};

/// A shadow pipeline with small times.
pub(crate) fn spec() -> PipelineSpec {
    PipelineSpec {
        name: "fraud".into(),
        model: "fraud".into(),
        candidates: vec!["v8".into()],
        time: TimeSpec {
            pane: Span::from_secs(10),
            wait: Span::from_secs(5),
            skew: Span::from_secs(1),
            idle_after: Span::from_secs(2),
            lead: Span::from_secs(60),
        },
        changed: None,
        comparator: Comparator::Label,
        dimensions: vec![Dimension {
            name: "country".into(),
            values: BoundedSet { declared: vec!["BR".into(), "DE".into()], max: 0 },
        }],
        labels: BoundedSet { declared: Vec::new(), max: 10 },
        score_edges: Vec::new(),
        cluster: None,
        windows: vec![Span::from_secs(60)],
        rules: Vec::new(),
        mirrored: 1.0,
        certainty: Certainty {
            per_rollout: 0.01,
            interval: Span::from_secs(365 * 86_400),
            in_blocks: false,
        },
        shared_cause_investigates: true,
        matches_sampled_ppm: 0,
        roll: Span::from_secs(60),
        roll_rows: 100_000,
        held_max: 512 << 20,
        dry_run: true,
        config_hash: 1,
        tasks_hash: 7,
        co_partitioned: true,
        feeds: Feeds::default(),
        lasting_hash: 7,
        revision: 1,
    }
}

/// A rule on everything.
pub(crate) fn rule(text: &str, action: Action, metric: Metric, op: Op, value: f64) -> Rule {
    Rule {
        text: text.into(),
        action,
        metric,
        op,
        value,
        relative: matches!(metric, Metric::Latency { .. }),
        at_worst: None,
        held_for: None,
        segment: None,
        observed: false,
        assumed: false,
    }
}

/// The engine and all it has asked for.
pub(crate) struct World {
    pub spec: Arc<PipelineSpec>,
    pub tasks: Vec<Task>,
    pub evaluator: Evaluator,
    pub logs: Vec<Vec<(u64, Entry)>>,
    pub weighings: Vec<EvaluatorEntry>,
    pub windows: Vec<WindowRow>,
    pub pairs: Vec<PairRow>,
    pub decisions: Vec<DecisionRow>,
    pub notices: Vec<Notice>,
    pub signals: Vec<Signal>,
    offsets: Vec<Vec<i64>>,
    /// The inputs end.
    pub bounded: bool,
    /// How long after their time records are read.
    pub read_after: Span,
}

impl World {
    pub(crate) fn new(spec: PipelineSpec, tasks: u32) -> Self {
        let spec = Arc::new(spec);
        let logs = vec![Vec::new(); tasks as usize];
        let offsets = vec![vec![0; spec.inputs()]; tasks as usize];
        let mut evaluator =
            Evaluator::recover(Arc::clone(&spec), tasks as usize, None, None).unwrap();
        evaluator.lead();
        let fresh = |n| Task::recover(Arc::clone(&spec), n, [], &BTreeSet::new());
        Self {
            tasks: (0..tasks).map(fresh).collect(),
            evaluator,
            spec,
            logs,
            weighings: Vec::new(),
            windows: Vec::new(),
            pairs: Vec::new(),
            decisions: Vec::new(),
            notices: Vec::new(),
            signals: Vec::new(),
            offsets,
            bounded: false,
            read_after: Span::from_secs(0),
        }
    }

    /// One record; its offset is the next of its input.
    pub(crate) fn record(&mut self, task: usize, input: usize, value: &[u8]) {
        let offset = self.offsets[task][input];
        self.offsets[task][input] += 1;
        let record = Record { offset, timestamp_ms: None, key: None, value: Some(value) };
        self.tasks[task].handle(Input::Records { input, records: &[record], read_at: None });
        self.settle();
    }

    /// The same, stamped with this time and read at another.
    pub(crate) fn record_read(
        &mut self,
        (task, input): (usize, usize),
        value: &[u8],
        (stamped, read_at): (EventTime, EventTime),
    ) {
        let offset = self.offsets[task][input];
        self.offsets[task][input] += 1;
        let timestamp_ms = Some(stamped.us() / 1000);
        let record = Record { offset, timestamp_ms, key: None, value: Some(value) };
        let read_at = Some(read_at);
        self.tasks[task].handle(Input::Records { input, records: &[record], read_at });
        self.settle();
    }

    /// An input stands at its end, where its last record ended, seen at this time.
    pub(crate) fn stand(&mut self, task: usize, input: usize, confirmed: EventTime) {
        let ends = [(input, self.offsets[task][input])];
        let needed = vec![EventTime::START; self.spec.candidates.len()];
        self.tasks[task].handle(Input::Standing { ends: &ends, confirmed, needed: &needed });
        self.settle();
    }

    /// A second is over.
    pub(crate) fn tick(&mut self, now: EventTime) {
        let now = now.plus(self.read_after);
        for task in &mut self.tasks {
            task.handle(Input::Tick { now, up_to: EventTime::END });
        }
        self.settle();
        self.evaluator.handle(evaluator::Input::Cut { at: now, patient: self.bounded });
        self.settle();
    }

    /// A new owner of the evaluator that holds this pipeline file and has followed so much of its log.
    pub(crate) fn heir(&self, file: &Arc<PipelineSpec>, log: &[EvaluatorEntry]) -> Evaluator {
        let last = log.iter().rposition(|entry| matches!(entry, EvaluatorEntry::State { .. }));
        let state = last.and_then(|at| match &log[at] {
            EvaluatorEntry::State { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        });
        let pending = &log[last.map_or(0, |at| at + 1)..];
        let first = pending.iter().find_map(EvaluatorEntry::rules);
        let mut heir =
            Evaluator::recover(Arc::clone(file), self.tasks.len(), state, first).unwrap();
        for (task, entries) in (0..).zip(&self.logs) {
            for (position, entry) in entries {
                heir.handle(evaluator::Input::Entry { task, position: *position, entry });
            }
        }
        for entry in pending {
            assert!(heir.can_weigh(entry), "{entry:?}");
            heir.handle(evaluator::Input::Logged(entry));
        }
        heir
    }

    /// The evaluator's owner is replaced by one that holds this pipeline file.
    pub(crate) fn succeed(&mut self, file: PipelineSpec) {
        let mut heir = self.heir(&Arc::new(file), &self.weighings);
        assert_eq!(heir.objection(), None);
        heir.lead();
        self.evaluator = heir;
        self.settle();
    }

    /// The end of a bounded input.
    pub(crate) fn finish(&mut self) {
        let time = self.spec.time;
        let last = self.tasks.iter().map(Task::last_time).max().unwrap();
        let end = last.floor(time.pane).plus(time.pane).plus(time.wait).plus(time.skew);
        for task in &mut self.tasks {
            task.handle(Input::Finish { time: end });
        }
        self.settle();
        for task in &mut self.tasks {
            task.handle(Input::Flush);
        }
        self.settle();
        self.evaluator.handle(evaluator::Input::Cut { at: last, patient: true });
        self.settle();
        self.evaluator.handle(evaluator::Input::End);
        self.evaluator.handle(evaluator::Input::Flush);
        self.settle();
    }

    /// Carries out effects until the engine asks for nothing.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut entries = Vec::new();
            let mut weighings = Vec::new();
            for (number, task) in self.tasks.iter_mut().enumerate() {
                while let Some(effect) = task.poll() {
                    match effect {
                        Effect::Append(entry) => {
                            let position = self.logs[number].len() as u64 + 1;
                            self.logs[number].push((position, entry.clone()));
                            entries.push((number, position, entry));
                        }
                        Effect::Stage { rows, .. } => self.pairs.extend(rows),
                        Effect::DeadLetter(_) => {}
                        Effect::Differs(differs) => panic!("{differs:?}"),
                    }
                }
            }
            while let Some(effect) = self.evaluator.poll() {
                match effect {
                    evaluator::Effect::Append(entry) => {
                        self.weighings.push(entry.clone());
                        weighings.push(entry);
                    }
                    evaluator::Effect::Stage { rows: Rows::Windows(rows), .. } => {
                        self.windows.extend(rows);
                    }
                    evaluator::Effect::Stage { .. } | evaluator::Effect::Reported(_) => {}
                    evaluator::Effect::Send(signal) => {
                        let sequence = signal.sequence;
                        self.signals.push(signal);
                        self.evaluator.handle(evaluator::Input::Delivered(sequence));
                    }
                    evaluator::Effect::Noticed(notice) => self.notices.push(*notice),
                    evaluator::Effect::Decided(row) => self.decisions.push(*row),
                }
            }
            if entries.is_empty() && weighings.is_empty() {
                return;
            }
            for (task, position, entry) in &entries {
                if let Entry::Fact(fact) = entry {
                    self.tasks[*task].handle(Input::Logged(*fact));
                }
                let task = *task as u32;
                self.evaluator.handle(evaluator::Input::Entry { task, position: *position, entry });
            }
            for entry in &weighings {
                self.evaluator.handle(evaluator::Input::Logged(entry));
            }
        }
    }
}

/// What the vitals of one input add up to, however they were cut.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) counts: BTreeMap<String, BTreeMap<Segment, VitalCounts>>,
    pub(crate) unreadable: BTreeMap<Unreadable, u64>,
    pub(crate) overrides: u64,
    pub(crate) copies: u64,
    pub(crate) late: u64,
    /// The largest cluster, whatever second it was told in.
    clusters: ClusterSize,
    newest: Option<EventTime>,
    to: i64,
    /// How often offsets were left out or taken twice.
    breaks: u64,
}

impl Counted {
    pub(crate) fn add(&mut self, arm: &ArmVitals) {
        if arm.from == arm.to {
            return;
        }
        self.breaks += u64::from(arm.from != self.to);
        self.to = arm.to;
        for (version, by_segment) in &arm.counts {
            let mine = self.counts.entry(version.clone()).or_default();
            for (segment, counts) in by_segment {
                mine.entry(segment.clone()).or_default().merge(counts);
            }
        }
        merge_counts(&mut self.unreadable, &arm.unreadable);
        self.overrides += arm.overrides;
        self.copies += arm.copies;
        self.late += arm.late;
        self.clusters.raise(arm.clusters);
        self.newest = self.newest.max(arm.newest);
    }

    pub(crate) fn requests(&self) -> u64 {
        let of = |counts: &BTreeMap<Segment, VitalCounts>| counts[&Segment::all()].requests;
        self.counts.values().map(of).sum()
    }

    /// Only what is the same by whatever times records passed.
    pub(crate) fn untimed(&self) -> Self {
        let (unreadable, to, breaks) = (self.unreadable.clone(), self.to, self.breaks);
        Self { unreadable, to, breaks, ..Self::default() }
    }
}

/// A native event.
pub(crate) fn event(id: &str, seconds: f64, label: &str, latency_ms: f64, country: &str) -> String {
    let answer = match label {
        "!" => r#""status_code":500"#.to_owned(),
        "?" => r#""prediction":null"#.to_owned(),
        label => format!(r#""prediction":{{"label":"{label}"}}"#),
    };
    let us = 1_700_000_000_000_000 + (seconds * 1e6) as i64;
    format!(
        r#"{{"request_id":"{id}","event_time":{us},{answer},"latency_ms":{latency_ms},"segments":{{"country":"{country}"}}}}"#
    )
}

/// The time of `event`'s seconds.
pub(crate) fn at(seconds: f64) -> EventTime {
    EventTime::from_us(1_700_000_000_000_000 + (seconds * 1e6) as i64)
}
