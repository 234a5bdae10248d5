//! One process: a real `Driver`, led as a live run leads it.
//!
//! In: what the group hands out, records, ends. Out: errors, when it dies. Holds: the order of a live
//! run: what begins is read, what others claimed is claimed again after a while if it is still ours.
//! Knows nothing of: other processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use parallax::engine::Input;
use parallax::model::record::Record;
use parallax::model::spec::PipelineSpec;
use parallax::model::time::{EventTime, Span};
use parallax::runtime::driver::Driver;

use super::broker::{Broker, INPUTS, PARTITIONS};
use super::faults::Bug;
use super::ports::Reach;

/// As in a live run.
const BACK_OFF: Span = Span::from_secs(2);

/// Ends that were asked for.
struct Ends {
    confirmed: EventTime,
    ends: Vec<Vec<i64>>,
}

/// One process.
pub(super) struct Process {
    pub(super) id: u32,
    pub(super) driver: Driver,
    reach: Reach,
    /// What the group handed out last; `None` while it is deciding.
    pub(super) assigned: Option<Vec<u32>>,
    /// Which of the group's decisions it knows.
    pub(super) generation: u64,
    pub(super) again: BTreeMap<u32, EventTime>,
    /// Where the source stands, by partition.
    source: BTreeMap<u32, Vec<i64>>,
    /// By partition likewise, up to where an earlier owner had read or counted.
    again_to: BTreeMap<u32, Vec<(usize, i64)>>,
    asked: Option<Ends>,
}

impl Process {
    pub(super) fn new(id: u32, spec: &Arc<PipelineSpec>, reach: Reach) -> Self {
        let mut driver = Driver::new(Arc::clone(spec), PARTITIONS as u32, reach.ports());
        // Some are on a log that forgets, and say again what is old.
        if id.is_multiple_of(2) {
            driver.set_heartbeat(Span::from_secs(5));
        }
        Self {
            id,
            driver,
            reach,
            assigned: None,
            generation: 0,
            again: BTreeMap::new(),
            source: BTreeMap::new(),
            again_to: BTreeMap::new(),
            asked: None,
        }
    }

    /// Everything is its own, as without a group.
    pub(super) fn own_all(&mut self) -> Result<()> {
        for partition in 0..PARTITIONS as u32 {
            self.driver.claim(partition)?;
        }
        self.assigned = Some((0..PARTITIONS as u32).collect());
        Ok(())
    }

    /// The group hands these out.
    pub(super) fn take_assigned(&mut self, list: Vec<u32>) -> Result<()> {
        let held: Vec<u32> = self.driver.holdings().map(|(p, _)| p).collect();
        for partition in held.iter().filter(|held| !list.contains(held)) {
            self.source.remove(partition);
            self.driver.release(*partition);
        }
        for partition in list.iter().filter(|partition| !held.contains(partition)) {
            self.driver.claim(*partition)?;
        }
        self.again.clear();
        self.assigned = Some(list);
        Ok(())
    }

    /// Claims again what others claimed although it is ours.
    pub(super) fn claim_again(&mut self, now: EventTime) -> Result<()> {
        let assigned = self.assigned.clone().unwrap_or_default();
        self.again.retain(|partition, _| assigned.contains(partition));
        let due = |(partition, at): (&u32, &EventTime)| (*at <= now).then_some(*partition);
        let due: Vec<u32> = self.again.iter().filter_map(due).collect();
        for partition in due {
            self.again.remove(&partition);
            self.driver.claim(partition)?;
        }
        Ok(())
    }

    /// Effects are carried out, what begins is read, what others claimed is noticed.
    pub(super) fn settle(&mut self, broker: &Broker, now: EventTime) -> Result<()> {
        self.driver.settle()?;
        for begun in self.driver.take_begun() {
            let topics = &broker.partitions[begun.partition as usize];
            for (input, (topic, offset)) in topics.iter().zip(&begun.offsets).enumerate() {
                let horizon = begun.horizons.iter().find(|(of, _)| *of == input);
                let horizon = horizon.map_or(0, |(_, to)| *to);
                let held = *offset == 0 && horizon == 0
                    || topic.low <= *offset && horizon.max(*offset) <= topic.end(now);
                ensure!(held, "records of input {input} from {offset} to {horizon} are gone");
            }
            self.source.insert(begun.partition, begun.offsets);
            self.again_to.insert(begun.partition, begun.horizons);
        }
        for partition in self.driver.take_superseded() {
            self.source.remove(&partition);
            if self.reach.shared().bug != Bug::NeverClaimsAgain {
                self.again.insert(partition, now.plus(BACK_OFF));
            }
        }
        Ok(())
    }

    /// Reads at most so many records of an input.
    pub(super) fn read(
        &mut self,
        broker: &Broker,
        (partition, input): (u32, usize),
        most: usize,
        now: EventTime,
    ) {
        let assigned = self.assigned.as_ref().is_some_and(|list| list.contains(&partition));
        let (Some(task), Some(positions)) =
            (self.driver.task(partition), self.source.get_mut(&partition))
        else {
            return;
        };
        if !assigned || self.driver.is_choked(partition) || task.awaits(input) {
            return;
        }
        let topic = &broker.partitions[partition as usize][input];
        let stored = topic.from(positions[input], now);
        let records: Vec<Record<'_>> = stored.iter().take(most).map(|s| s.record()).collect();
        // Behind the last record stand markers that nobody sees.
        positions[input] = match records.last() {
            Some(last) if records.len() < stored.len() => last.offset + 1,
            _ => topic.end(now).max(positions[input]),
        };
        if let Some(task) = self.driver.task_mut(partition) {
            task.handle(Input::Records { input, records: &records, read_at: Some(now) });
            let again = self.again_to.get(&partition).into_iter().flatten();
            let mut again = again.filter(|(of, to)| *of == input && task.position(input) <= *to);
            if self.reach.shared().bug == Bug::IdsForgotten && again.next().is_some() {
                task.forget_ids(input);
            }
        }
    }

    /// Reads all that is there.
    pub(super) fn read_all(&mut self, broker: &Broker, now: EventTime) {
        for partition in 0..PARTITIONS as u32 {
            for input in 0..INPUTS {
                self.read(broker, (partition, input), usize::MAX, now);
            }
        }
    }

    /// Asks where the inputs end.
    pub(super) fn ask_ends(&mut self, broker: &Broker, now: EventTime) {
        let ends = |inputs: &Vec<super::broker::Partition>| {
            inputs.iter().map(|topic| topic.end(now)).collect()
        };
        self.asked =
            Some(Ends { confirmed: now, ends: broker.partitions.iter().map(ends).collect() });
    }

    /// The answer came: tasks are told which of their inputs stand at their end.
    pub(super) fn take_ends(&mut self, broker: &Broker, now: EventTime) -> Result<()> {
        let Some(Ends { confirmed, ends }) = self.asked.take() else { return Ok(()) };
        let owned = self.driver.partitions_owned();
        let all_here = owned.len() == PARTITIONS;
        let needed: Vec<EventTime> = (0..INPUTS - 1)
            .map(|c| self.driver.owned().map(|(_, task)| task.closed_to(c)).max())
            .map(|to| if all_here { to.unwrap_or_default() } else { EventTime::END })
            .collect();
        for partition in owned {
            let Some(positions) = self.source.get(&partition) else { continue };
            let ends = &ends[partition as usize];
            let Some(task) = self.driver.task_mut(partition) else { continue };
            let standing: Vec<(usize, i64)> = (0..INPUTS)
                .filter(|&input| ends[input] <= positions[input])
                .map(|input| (input, task.position(input)))
                .collect();
            task.handle(Input::Standing { ends: &standing, confirmed, needed: &needed });
        }
        self.settle(broker, now)
    }

    /// A second is over.
    pub(super) fn tick(&mut self, now: EventTime) -> Result<()> {
        self.driver.tick(now)
    }
}
