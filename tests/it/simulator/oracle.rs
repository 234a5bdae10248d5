//! What must have come out, whatever happened.
//!
//! In: a schedule's log, files and topics. Out: the first difference from an undisturbed run over the
//! same inputs, given the facts and the order of weighing that the log holds. Holds: every pane, row,
//! count, decision and signal is there exactly once. Knows nothing of: what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallax::engine::evaluator::{self, Evaluator, First, Rows};
use parallax::engine::{Effect, Input, Task};
use parallax::model::entry::{Entry, EvaluatorEntry, Fact, Pane, TimesSaid, Vitals};
use parallax::model::record::Record;
use parallax::model::row::{DecisionRow, PairRow, PaneRow, WindowRow};
use parallax::model::signal::Signal;
use parallax::model::spec::PipelineSpec;
use parallax::model::time::{EventTime, Span};
use parallax::runtime::log::{Body, Stream};

use super::broker::{Broker, INPUTS, PARTITIONS, Stored};
use super::disk::Content;
use super::ports::Shared;
use crate::world::Counted;

/// What was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Compared {
    pub(super) panes: usize,
    pub(super) rows: usize,
    pub(super) windows: usize,
    pub(super) decisions: usize,
    pub(super) signals: usize,
    pub(super) repeats: usize,
    /// Of rules.
    pub(super) changes: usize,
    /// Of times.
    pub(super) retimed: usize,
    /// Copies that vitals told, and late records.
    pub(super) copies: u64,
    pub(super) late: u64,
}

impl Compared {
    pub(super) fn add(&mut self, other: &Self) {
        self.panes += other.panes;
        self.rows += other.rows;
        self.windows += other.windows;
        self.decisions += other.decisions;
        self.signals += other.signals;
        self.repeats += other.repeats;
        self.changes += other.changes;
        self.retimed += other.retimed;
        self.copies += other.copies;
        self.late += other.late;
    }
}

/// How a schedule ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Everything was closed and weighed, and open windows reported.
    Whole,
    /// It was stopped by a refusal: what is there must be right.
    Refused,
}

/// What a task says.
#[derive(PartialEq, Debug, Default)]
struct Said {
    panes: BTreeMap<(u8, EventTime), Pane>,
    rows: Vec<PairRow>,
    /// By input.
    counted: Vec<Counted>,
    letters: BTreeSet<(u32, usize, i64)>,
    twice: usize,
}

impl Said {
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Checkpoint(closed) => {
                for pane in &closed.panes {
                    let old = self.panes.insert((closed.comparison, pane.start), pane.clone());
                    self.twice += usize::from(old.is_some());
                }
            }
            Entry::Vitals(vitals) => self.count(vitals),
            Entry::Claim { .. }
            | Entry::Fact(_)
            | Entry::Lost(_)
            | Entry::GapMarks(_)
            | Entry::Repeated(_)
            | Entry::Feeds(_)
            | Entry::Times(_) => {}
        }
    }

    fn count(&mut self, vitals: &Vitals) {
        self.counted.resize(INPUTS, Counted::default());
        for (total, arm) in self.counted.iter_mut().zip(&vitals.arms) {
            total.add(arm);
        }
    }

    /// What vitals count of records that pass is by the times in force when they did.
    fn untimed(&mut self) {
        self.counted.iter_mut().for_each(|counted| *counted = counted.untimed());
    }

    fn sort(&mut self) {
        let offset =
            |side: &Option<parallax::model::row::PairSide>| side.as_ref().map(|side| side.offset);
        self.rows.sort_by_cached_key(|row| {
            (row.comparison, row.pane, offset(&row.primary), offset(&row.candidate))
        });
    }
}

/// The valid entries of a task's log with their positions.
fn entries(shared: &Shared, partition: usize) -> Vec<(u64, Arc<Entry>)> {
    let Some(topic) = shared.log.topics.get(&Stream::Task(partition as u32)) else {
        return Vec::new();
    };
    let entry = |frame: &parallax::runtime::log::LogFrame| match &frame.body {
        Body::Task(entry) => Some((frame.position, Arc::clone(entry))),
        Body::Evaluator(_) => None,
    };
    topic.valid().filter_map(entry).collect()
}

fn weighings(shared: &Shared) -> Vec<Arc<EvaluatorEntry>> {
    let Some(topic) = shared.log.topics.get(&Stream::Evaluator) else { return Vec::new() };
    let weighing = |frame: &parallax::runtime::log::LogFrame| match &frame.body {
        Body::Evaluator(weighing) => Some(Arc::clone(weighing)),
        Body::Task(_) => None,
    };
    topic.valid().filter_map(weighing).collect()
}

/// What one task says that reads its inputs one after the other.
fn undisturbed(
    spec: &Arc<PipelineSpec>,
    broker: &Broker,
    partition: usize,
    facts: &[Entry],
) -> Said {
    let mut task = Task::recover(Arc::clone(spec), partition as u32, facts, &BTreeSet::new());
    for (input, topic) in broker.partitions[partition].iter().enumerate() {
        let records: Vec<Record<'_>> = topic.records.iter().map(Stored::record).collect();
        task.handle(Input::Records { input, records: &records, read_at: None });
    }
    task.handle(Input::Flush);
    let mut said = Said::default();
    while let Some(effect) = task.poll() {
        match effect {
            Effect::Append(entry) => said.take(&entry),
            Effect::Stage { rows, .. } => said.rows.extend(rows),
            Effect::DeadLetter(letter) => {
                said.letters.insert((partition as u32, letter.input, letter.offset));
            }
            Effect::Differs(differs) => panic!("{differs:?}"),
        }
    }
    said.sort();
    said
}

/// Compares everything; the first difference.
pub(super) fn compare(
    spec: &Arc<PipelineSpec>,
    broker: &Broker,
    shared: &Shared,
    end: End,
) -> Result<Compared, String> {
    let mut compared = Compared::default();
    let times = weighings(shared).iter().rev().find_map(|weighing| weighing.times().copied());
    compared.retimed = times.iter().filter(|times| times.revision != 0).count();
    let file = spec;
    let spec = &times.map_or_else(|| Arc::clone(spec), |times| Arc::new(spec.with_times(&times)));
    let mut merged: BTreeMap<(u8, EventTime), Pane> = BTreeMap::new();
    let mut letters = BTreeSet::new();
    for partition in 0..PARTITIONS {
        let entries = entries(shared, partition);
        let facts: Vec<Entry> = entries
            .iter()
            .filter(|(_, entry)| matches!(entry.as_ref(), Entry::Fact(Fact { .. })))
            .map(|(_, entry)| Entry::clone(entry))
            .collect();
        let mut wanted = undisturbed(spec, broker, partition, &facts);
        let mut said = Said::default();
        entries.iter().for_each(|(_, entry)| said.take(entry));
        for content in shared.disk.files.values() {
            if let Content::Pairs(of, rows) = content
                && *of as usize == partition
            {
                said.rows.extend(rows.iter().cloned());
            }
        }
        said.sort();
        compared.copies += said.counted.iter().map(|counted| counted.copies).sum::<u64>();
        compared.late += said.counted.iter().map(|counted| counted.late).sum::<u64>();
        // Before a log says which times are in force, whoever begins it goes by those of its own file.
        let other = |said: TimesSaid| said.times.tempo != spec.time.tempo();
        let is_mixed = entries.iter().filter_map(|(_, entry)| entry.times()).any(other);
        if compared.retimed != 0 || is_mixed {
            said.untimed();
            wanted.untimed();
        }
        compare_task(partition, &said, &wanted, end)?;
        if end == End::Whole {
            conserved(broker, partition, &said)?;
        }
        compared.panes += said.panes.len();
        compared.rows += said.rows.len();
        letters.extend(wanted.letters);
        for ((comparison, start), pane) in wanted.panes {
            merged.entry((comparison, start)).or_insert_with(|| Pane::empty(start)).merge(&pane);
        }
    }
    if let Some(path) = &shared.disk.changed {
        return Err(format!("{path:?} changed while it was in place"));
    }
    if !shared.letters.arrived.is_subset(&letters) {
        return Err("a dead letter was readable".to_owned());
    }
    if end == End::Refused {
        return Ok(compared);
    }
    if shared.letters.arrived != letters {
        return Err("a dead letter is missing".to_owned());
    }
    compare_evaluator((file, spec), shared, &merged, &mut compared)?;
    Ok(compared)
}

fn compare_task(partition: usize, said: &Said, wanted: &Said, end: End) -> Result<(), String> {
    if said.twice != 0 {
        return Err(format!("partition {partition}: {} panes twice", said.twice));
    }
    if let Some((key, pane)) = said.panes.iter().find(|(k, pane)| wanted.panes.get(k) != Some(pane))
    {
        let other = wanted.panes.get(key);
        return Err(format!("partition {partition}: pane {key:?}\n {pane:?}\n wanted {other:?}"));
    }
    if let Some(row) = said.rows.iter().find(|row| !wanted.rows.contains(row)) {
        return Err(format!("partition {partition}: no such row {row:?}"));
    }
    if end == End::Refused {
        return Ok(());
    }
    if let Some(key) = wanted.panes.keys().find(|key| !said.panes.contains_key(key)) {
        return Err(format!("partition {partition}: pane {key:?} is missing"));
    }
    if said.rows != wanted.rows {
        let first = said.rows.iter().zip(&wanted.rows).find(|(a, b)| a != b);
        let (said, wanted) = (said.rows.len(), wanted.rows.len());
        return Err(format!("partition {partition}: {said} rows, wanted {wanted}: {first:?}"));
    }
    if said.counted != wanted.counted {
        let (said, wanted) = (&said.counted, &wanted.counted);
        return Err(format!("partition {partition}: vitals {said:?}, wanted {wanted:?}"));
    }
    Ok(())
}

/// Each record is in one bucket of each comparison.
fn conserved(broker: &Broker, partition: usize, said: &Said) -> Result<(), String> {
    let read = |input: usize| broker.partitions[partition][input].records.len() as u64;
    for comparison in 0..INPUTS - 1 {
        let panes = || said.panes.iter().filter(|((c, _), _)| usize::from(*c) == comparison);
        let primary: u64 = panes().map(|(_, pane)| pane.primary.total()).sum();
        let candidate: u64 = panes().map(|(_, pane)| pane.candidate.total()).sum();
        if (primary, candidate) != (read(0), read(comparison + 1)) {
            return Err(format!(
                "partition {partition}, comparison {comparison}: {primary} and {candidate} records in buckets, \
                 {} and {} were there",
                read(0),
                read(comparison + 1)
            ));
        }
    }
    Ok(())
}

/// What the evaluator's files say, or must say.
#[derive(PartialEq, Debug, Default)]
struct Tables {
    /// Each with the configuration that it was weighed under.
    windows: Vec<(u64, WindowRow)>,
    panes: Vec<(u64, PaneRow)>,
    decisions: Vec<(u64, DecisionRow)>,
}

impl Tables {
    fn add(&mut self, config: u64, rows: &Rows) {
        match rows {
            Rows::Windows(rows) => self.windows.extend(under(config, rows)),
            Rows::Panes(rows) => self.panes.extend(under(config, rows)),
            Rows::Decisions(rows) => self.decisions.extend(under(config, rows)),
        }
    }

    fn sort(&mut self) {
        self.windows.sort_by_cached_key(|(_, row)| {
            (row.comparison, row.size, row.start, row.segment.clone(), row.revision)
        });
        // A pane that was weighed without a task has several parts.
        self.panes.sort_by_cached_key(|(_, row)| {
            (row.comparison, row.pane.start, format!("{:?}", row.pane))
        });
        self.decisions.sort_by_cached_key(|(_, row)| {
            (row.comparison, row.time, row.basis.clone(), row.rule.clone(), row.evidence.clone())
        });
    }
}

fn under<T: Clone>(config: u64, rows: &[T]) -> impl Iterator<Item = (u64, T)> {
    rows.iter().map(move |row| (config, row.clone()))
}

/// Panes by their start, parts that were weighed apart added up; that they were is marked in the rows.
fn together(rows: &[(u64, PaneRow)]) -> Vec<PaneRow> {
    let mut merged: BTreeMap<(u8, EventTime), Pane> = BTreeMap::new();
    for (_, PaneRow { comparison, pane, .. }) in rows {
        let start = pane.start;
        let into = merged.entry((*comparison, start)).or_insert_with(|| Pane::empty(start));
        into.merge(pane);
    }
    of_tasks(&merged)
}

fn of_tasks(merged: &BTreeMap<(u8, EventTime), Pane>) -> Vec<PaneRow> {
    let row = |((comparison, _), pane): (&(u8, EventTime), &Pane)| PaneRow {
        comparison: *comparison,
        size: Span::ZERO,
        pane: Pane { partial: false, ..pane.clone() },
    };
    merged.iter().map(row).collect()
}

fn compare_evaluator(
    (file, spec): (&Arc<PipelineSpec>, &PipelineSpec),
    shared: &Shared,
    merged: &BTreeMap<(u8, EventTime), Pane>,
    compared: &mut Compared,
) -> Result<(), String> {
    let (wanted, signals) = followed(file, shared, compared)?;
    let mut said = Tables::default();
    for content in shared.disk.files.values() {
        if let Content::Table(config, rows) = content {
            said.add(*config, rows);
        }
    }
    said.sort();
    let other = said.panes.iter().find(|(_, row)| row.size != spec.times().at(row.pane.start).pane);
    if let Some((_, row)) = other {
        return Err(format!("the pane at {:?} isn't {:?} long", row.pane.start, row.size));
    }
    first_difference("windows", &said.windows, &wanted.windows)?;
    first_difference("panes", &said.panes, &wanted.panes)?;
    first_difference("decisions", &said.decisions, &wanted.decisions)?;
    first_difference("panes of tasks", &together(&said.panes), &of_tasks(merged))?;
    compared.windows += said.windows.len();
    compared.decisions += said.decisions.len();
    compared.signals += signals.len();
    compared.repeats += shared.control.arrived.len().saturating_sub(signals.len());
    compare_signals(&shared.control.arrived, &signals)
}

fn first_difference<T: PartialEq + std::fmt::Debug>(
    what: &str,
    said: &[T],
    wanted: &[T],
) -> Result<(), String> {
    if said == wanted {
        return Ok(());
    }
    let first = said.iter().zip(wanted).find(|(a, b)| a != b);
    Err(format!("{} {what}, wanted {}: {first:?}", said.len(), wanted.len()))
}

/// What a fresh evaluator says that weighs the same in the same order.
fn followed(
    spec: &Arc<PipelineSpec>,
    shared: &Shared,
    compared: &mut Compared,
) -> Result<(Tables, Vec<Signal>), String> {
    let all = weighings(shared);
    let first = First {
        rules: all.iter().find_map(|weighing| weighing.rules()),
        times: all.iter().find_map(|weighing| weighing.times()),
    };
    first.rules.ok_or("no rules were written down")?;
    let mut revision = 0;
    let mut evaluator = Evaluator::recover(Arc::clone(spec), PARTITIONS, None, first)?;
    evaluator.repeat();
    let mut vitals = vec![0; PARTITIONS];
    for (partition, vitals) in vitals.iter_mut().enumerate() {
        for (position, entry) in &entries(shared, partition) {
            *vitals += u64::from(matches!(entry.as_ref(), Entry::Vitals(_)));
            let (task, position) = (partition as u32, *position);
            evaluator.handle(evaluator::Input::Entry { task, position, entry });
        }
    }
    let mut weighed = vec![0; PARTITIONS];
    for weighing in weighings(shared) {
        match weighing.as_ref() {
            EvaluatorEntry::Cut { ends, .. } => weighed.clone_from(ends),
            EvaluatorEntry::Panes { .. }
            | EvaluatorEntry::Asks { .. }
            | EvaluatorEntry::TempoChange(_) => {}
            EvaluatorEntry::Change(rules) => {
                if rules.revision <= revision {
                    return Err(format!("revision {} behind {revision}", rules.revision));
                }
                compared.changes += usize::from(revision != 0);
                revision = rules.revision;
            }
            EvaluatorEntry::Claim { .. }
            | EvaluatorEntry::Sent { .. }
            | EvaluatorEntry::State { .. } => continue,
        }
        if !evaluator.can_weigh(&weighing) {
            return Err(format!("{weighing:?} speaks of what isn't there"));
        }
        evaluator.handle(evaluator::Input::Logged(&weighing));
    }
    if weighed != vitals {
        return Err(format!("{weighed:?} seconds of vitals were weighed of {vitals:?}"));
    }
    evaluator.handle(evaluator::Input::End);
    evaluator.handle(evaluator::Input::Flush);
    let (mut tables, mut signals) = (Tables::default(), Vec::new());
    while let Some(effect) = evaluator.poll() {
        match effect {
            evaluator::Effect::Stage { rows, config, .. } => tables.add(config, &rows),
            evaluator::Effect::Send(signal) => signals.push(signal),
            evaluator::Effect::Append(_)
            | evaluator::Effect::Noticed(_)
            | evaluator::Effect::Decided(_)
            | evaluator::Effect::Reported(_) => {}
        }
    }
    tables.sort();
    Ok((tables, signals))
}

/// The control topic holds each signal, repeats are the same bytes, and none comes first behind a
/// later one.
fn compare_signals(arrived: &[Signal], wanted: &[Signal]) -> Result<(), String> {
    let mut first: BTreeMap<(&str, u64), &Signal> = BTreeMap::new();
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for signal in arrived {
        let key = signal.key.as_str();
        match first.get(&(key, signal.sequence)) {
            Some(earlier) if *earlier != signal => {
                return Err(format!("a repeat differs:\n {earlier:?}\n {signal:?}"));
            }
            Some(_) => {}
            None => {
                if newest.get(key).is_some_and(|newest| signal.sequence < *newest) {
                    return Err(format!("a signal comes first behind a later one: {signal:?}"));
                }
                newest.insert(key, signal.sequence);
                first.insert((key, signal.sequence), signal);
            }
        }
    }
    let wanted: BTreeMap<_, _> =
        wanted.iter().map(|signal| ((signal.key.as_str(), signal.sequence), signal)).collect();
    if first != wanted {
        let (first, wanted) = (first.into_keys(), wanted.into_keys());
        let (first, wanted): (Vec<_>, Vec<_>) = (first.collect(), wanted.collect());
        return Err(format!("signals {first:?}, wanted {wanted:?}"));
    }
    Ok(())
}
