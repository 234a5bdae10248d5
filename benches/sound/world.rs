//! The evaluator over simulated seconds: what a pipeline would have decided.
//!
//! In: seconds of traffic. Out: decisions and notices. Holds: vitals come each second, a pane when wait and skew have
//! passed, as from a task. Knows nothing of: how traffic is made.

use std::collections::VecDeque;
use std::sync::Arc;

use parallax::config;
use parallax::engine::evaluator::{Effect, Evaluator, Input};
use parallax::model::cluster::ClusterSize;
use parallax::model::entry::{ArmVitals, Checkpoint, Entry, Pane, VitalCounts, Vitals};
use parallax::model::resume::ResumePoint;
use parallax::model::row::DecisionRow;
use parallax::model::spec::PipelineSpec;
use parallax::model::tally::{ArmTally, Segment, Tally};
use parallax::model::time::{EventTime, Span};
use parallax::stats::histogram::Latency;

use crate::traffic::{Arm, Second};

/// 2026-01-01T00:00:00Z.
pub(crate) const BEGIN: i64 = 1_767_225_600;
const PANE: i64 = 10;
/// Wait and skew of the pipeline.
const CLOSES_AFTER: i64 = 35;

/// A pipeline with these rules.
pub(crate) fn spec(rules: &str) -> Arc<PipelineSpec> {
    let text = format!(
        "pipeline: p\nprimary: {{topic: a}}\ncandidates: {{v8: {{topic: b}}}}\noutput: {{roll: 1d, roll_rows: 10000000}}\n{rules}"
    );
    let loaded = config::load(&text, "p", &std::collections::HashMap::new());
    Arc::new(loaded.expect("the pipeline loads").spec)
}

/// An evaluator and what it said.
pub(crate) struct World {
    evaluator: Evaluator,
    position: u64,
    second: i64,
    open: Tally,
    unreadable: u64,
    /// How large the clusters of both arms are in the open pane.
    clusters: [ClusterSize; 2],
    closing: VecDeque<Pane>,
    pub(crate) decisions: Vec<DecisionRow>,
    pub(crate) notices: Vec<String>,
}

impl World {
    pub(crate) fn new(rules: &str) -> Self {
        let mut evaluator = Evaluator::recover(spec(rules), 1, None, None).expect("it begins");
        evaluator.lead();
        let mut world = Self {
            evaluator,
            position: 0,
            second: 0,
            open: Tally::default(),
            unreadable: 0,
            clusters: Default::default(),
            closing: VecDeque::new(),
            decisions: Vec::new(),
            notices: Vec::new(),
        };
        world.settle();
        world
    }

    /// Seconds since the beginning.
    pub(crate) fn seconds_at(time: EventTime) -> f64 {
        time.us() as f64 / 1e6 - BEGIN as f64
    }

    pub(crate) fn take(&mut self, second: &Second) {
        self.second += 1;
        let now = EventTime::from_us((BEGIN + self.second) * 1_000_000);
        let at = if second.old { now.plus(Span::from_secs(86_400 * 300)) } else { now };
        let mut arms = vec![
            vitals(&second.primary, self.second, now, 0),
            vitals(&second.candidate, self.second, now, second.unreadable),
        ];
        for arm in &mut arms {
            arm.catching_up = second.old;
        }
        self.entry(&Entry::Vitals(Vitals { arms, at }));
        self.evaluator.handle(Input::Cut { at, patient: false });
        self.settle();
        self.open.merge(&tally(second));
        self.unreadable += second.unreadable;
        for (largest, arm) in self.clusters.iter_mut().zip([&second.primary, &second.candidate]) {
            largest.raise(clusters(arm));
        }
        if self.second % PANE == 0 {
            self.close_pane(now.minus(Span::from_secs(PANE)));
        }
        while self
            .closing
            .front()
            .is_some_and(|pane| pane.start.plus(Span::from_secs(PANE + CLOSES_AFTER)) <= now)
        {
            let Some(pane) = self.closing.pop_front() else { break };
            let to = pane.start.plus(Span::from_secs(PANE));
            self.entry(&Entry::Checkpoint(closed(to, pane)));
            self.settle();
        }
    }

    fn close_pane(&mut self, start: EventTime) {
        let mut pane = Pane::empty(start);
        let tally = std::mem::take(&mut self.open);
        pane.candidate.undecodable = std::mem::take(&mut self.unreadable);
        pane.clusters = std::mem::take(&mut self.clusters);
        pane.candidate.paired = tally.paired;
        pane.candidate.alone = tally.orphans;
        pane.primary.paired = tally.paired;
        pane.primary.alone = tally.unmatched();
        pane.tallies.insert(String::new(), [(Segment::all(), tally)].into());
        self.closing.push_back(pane);
    }

    fn entry(&mut self, entry: &Entry) {
        self.position += 1;
        self.evaluator.handle(Input::Entry { task: 0, position: self.position, entry });
    }

    fn settle(&mut self) {
        while let Some(effect) = self.evaluator.poll() {
            match effect {
                Effect::Append(entry) => self.evaluator.handle(Input::Logged(&entry)),
                Effect::Decided(row) => self.decisions.push(*row),
                Effect::Noticed(notice) => self.notices.push(notice.kind),
                Effect::Send(signal) => self.evaluator.handle(Input::Delivered(signal.sequence)),
                Effect::Stage { .. } | Effect::Reported(_) => {}
            }
        }
    }
}

fn clusters(arm: &Arm) -> ClusterSize {
    ClusterSize { largest: arm.largest, unknown: 0 }
}

fn vitals(arm: &Arm, second: i64, now: EventTime, unreadable: u64) -> ArmVitals {
    let counts = VitalCounts {
        requests: arm.requests,
        failed: arm.failed,
        null: arm.null,
        latency: arm.latency.clone(),
    };
    let mut vitals = ArmVitals {
        from: second * 1_000_000,
        to: second * 1_000_000 + i64::try_from(arm.requests + unreadable).unwrap_or(0),
        newest: (arm.requests != 0).then_some(now),
        counts: [(String::new(), [(Segment::all(), counts)].into())].into(),
        clusters: clusters(arm),
        ..ArmVitals::default()
    };
    if unreadable != 0 {
        vitals.unreadable.insert(parallax::model::bucket::Unreadable::BadField, unreadable);
    }
    vitals
}

fn tally(second: &Second) -> Tally {
    let (primary, candidate) = (&second.primary, &second.candidate);
    let paired = candidate.requests - second.orphans;
    // As many fail in both as chance has it.
    let both = (primary.failed * candidate.failed) / primary.requests.max(1);
    let null = primary.null.max(candidate.null);
    let comparable = paired.saturating_sub(primary.failed + candidate.failed - both + null);
    Tally {
        primary: arm(primary),
        candidate: arm(candidate),
        paired,
        comparable,
        matched: comparable - comparable / 100,
        unmatched_missing: second.missing + second.orphans + second.unreadable,
        orphans: second.orphans,
        candidate_only_failed: candidate.failed - both,
        primary_only_failed: primary.failed - both,
        both_failed: both,
        ..Tally::default()
    }
}

fn arm(arm: &Arm) -> ArmTally {
    let mut latency = Latency::default();
    for (low, _, count) in arm.latency.buckets() {
        latency.record_n(low, count);
    }
    ArmTally {
        requests: arm.requests,
        failed: arm.failed,
        null: arm.null,
        latency,
        ..ArmTally::default()
    }
}

fn closed(to: EventTime, pane: Pane) -> Checkpoint {
    Checkpoint {
        comparison: 0,
        to,
        panes: vec![pane],
        resume: [ResumePoint::beginning(0), ResumePoint::beginning(1)],
        facts: Vec::new(),
        files: Vec::new(),
        rows_from: to,
        vitals: Vec::new(),
    }
}
