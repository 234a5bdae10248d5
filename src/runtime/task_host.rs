//! The tasks that this process holds, from claim to release.
//!
//! In: effects of tasks, frames of their streams. Out: entries, files, dead letters. Holds: a task
//! begins with what valid entries up to its own claim say; a frame counts under the epoch in force;
//! a claim by somebody else ends the task here. Knows nothing of: the evaluator, group membership.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::tempo_ack::{Follows, TempoAck, TempoListener};
use crate::config::fingerprint;
use crate::engine::{self, Differs, Effect, Task};
use crate::model::entry::{Checkpoint, Entry, PairFile, TableFile, TimesSaid, Vitals};
use crate::model::spec::PipelineSpec;
use crate::model::time::EventTime;
use crate::runtime::counters::Counters;
use crate::runtime::log::{Begin, Body, GONE, Log, LogError, LogFrame, Stream, valid};
use crate::runtime::ports::{InFlight, LetterSink, OtherConfiguration, Owner, Tables, append};
use crate::runtime::source::Gap;

/// Frames of a log that a new owner looks at first, from the end.
const TAIL: u64 = 4096;
/// A task waits while so many of its entries are on their way.
const IN_FLIGHT_MAX: usize = 64;
const ASIDE: &str = "put unreadable records aside";

/// The tasks of a process.
pub(super) struct Tasks {
    spec: Arc<PipelineSpec>,
    log: Box<dyn Log>,
    nonce: u64,
    pub(super) holdings: BTreeMap<u32, Holding>,
    pub(super) begun: Vec<Begun>,
    pub(super) superseded: Vec<u32>,
    in_flight: InFlight,
    listener: TempoListener,
    /// Records that are gone are gone round.
    pub(super) accepts_loss: bool,
    /// Up to where each stream that is owned here was read back.
    pub(super) read_to: BTreeMap<u32, u64>,
    /// Vitals that a recorded run says come next, by task.
    pub(super) expected: BTreeMap<u32, Vitals>,
}

/// A partition that is held here.
pub enum Holding {
    /// Its log is read up to the claim that was appended.
    Claimed {
        /// The claim's.
        nonce: u64,
        /// What was read so far.
        frames: Vec<LogFrame>,
        /// How many frames from the end reading began.
        tail: u64,
        /// Reading began at the very beginning.
        whole: bool,
    },
    /// Its task runs under an epoch.
    Owned {
        /// Position of the claim.
        epoch: u64,
        /// The task.
        task: Box<Task>,
        /// Entries on their way through the log.
        in_flight: usize,
        /// Catches up with a parked comparison, if one is.
        behind: Option<CatchUpCursor>,
        /// What it says of its times.
        tells: TempoAck,
    },
}

/// A second cursor of a task: it reads a parked comparison's inputs again.
pub struct CatchUpCursor {
    /// Which comparison.
    pub comparison: u8,
    /// The task that does.
    pub task: Box<Task>,
}

/// A task that has just begun.
#[derive(Debug)]
pub struct Begun {
    /// Its partition.
    pub partition: u32,
    /// First offset to read, by input.
    pub offsets: Vec<i64>,
    /// Offsets up to which an earlier owner read, by input; the inputs must reach them.
    pub horizons: Vec<(usize, i64)>,
    /// Why its log no longer says how far it was read, if it doesn't: fine as long as nothing was.
    pub cut: Option<LogError>,
}

impl Begun {
    /// What a source has to know of a task that begins: where to read, and up to where an earlier owner had read, so that
    /// what is gone is noticed before anything is counted.
    fn of(partition: u32, task: &Task) -> Self {
        let offsets = (0..task.inputs()).map(|input| task.position(input)).collect();
        Self { partition, offsets, horizons: task.horizons().collect(), cut: None }
    }
}

impl Holding {
    /// Returns the task once its log was read up to its claim. Before that it would begin at the wrong place.
    pub(super) fn task(&self) -> Option<&Task> {
        match self {
            Self::Owned { task, .. } => Some(task),
            Self::Claimed { .. } => None,
        }
    }

    /// Returns the task, mutably, once it is owned.
    pub(super) fn task_mut(&mut self) -> Option<&mut Task> {
        match self {
            Self::Owned { task, .. } => Some(task),
            Self::Claimed { .. } => None,
        }
    }

    /// Its epoch, once it is owned.
    #[must_use]
    pub const fn epoch(&self) -> Option<u64> {
        match self {
            Self::Owned { epoch, .. } => Some(*epoch),
            Self::Claimed { .. } => None,
        }
    }

    /// Catches up with a parked comparison, if one can be; where it has to read.
    pub(super) fn catch_up(&mut self, at_all: bool) -> Option<(u8, Vec<i64>)> {
        let Self::Owned { task, behind: behind @ None, .. } = self else { return None };
        if task.awaits_loss() {
            return None;
        }
        let comparison = task.parked().find(|c| at_all || task.can_catch_up(*c))?;
        let again = task.catch_up(comparison)?;
        let offsets = (0..task.inputs())
            .map(|at| if task.reads(comparison, at) { again.position(at) } else { -1 })
            .collect();
        *behind = Some(CatchUpCursor { comparison, task: Box::new(again) });
        Some((comparison, offsets))
    }

    /// The second cursor can't read from there: it is given up. Whether a loss is written down.
    pub(super) fn lose_parked(&mut self, gaps: &[Gap]) -> bool {
        let Self::Owned { task, behind, .. } = self else { return false };
        let Some(CatchUpCursor { comparison, .. }) = behind.take() else { return false };
        let lost = gaps.iter().filter(|gap| task.lose_parked(comparison, gap.input, gap.first));
        lost.count() != 0
    }

    /// The second cursor, and the first one's positions, beyond which it doesn't read.
    pub(super) fn behind_mut(&mut self) -> Option<(&mut CatchUpCursor, &Task)> {
        match self {
            Self::Owned { behind: Some(behind), task, .. } => Some((behind, task)),
            Self::Owned { .. } | Self::Claimed { .. } => None,
        }
    }

    /// Records that the second cursor lies behind the first, if there is one.
    #[must_use]
    pub fn lies_behind(&self) -> Option<i64> {
        match self {
            Self::Owned { behind: Some(behind), task, .. } => {
                Some(behind.task.lies_behind(task, behind.comparison))
            }
            Self::Owned { .. } | Self::Claimed { .. } => None,
        }
    }

    /// Takes the comparison back if both cursors have read the same; whether it did.
    pub(super) fn take_back(&mut self) -> bool {
        let Self::Owned { task, behind, .. } = self else { return false };
        let Some(CatchUpCursor { comparison, task: again }) = behind.take() else { return false };
        let mut inputs = (0..task.inputs()).filter(|input| task.reads(comparison, *input));
        let awaits = inputs.any(|input| task.awaits(input));
        if awaits || again.lies_behind(task, comparison) != 0 {
            *behind = Some(CatchUpCursor { comparison, task: again });
            return false;
        }
        task.take_back(*again, comparison);
        true
    }

    /// Too much is on its way: entries, or unreadable records that its vitals wait for.
    pub(super) fn is_choked(&self) -> bool {
        match self {
            Self::Owned { in_flight, task, .. } => {
                IN_FLIGHT_MAX <= *in_flight || task.is_next_vitals() || task.is_full()
            }
            Self::Claimed { .. } => true,
        }
    }
}

impl Tasks {
    /// Owns nothing yet. `nonce` tells this process' claims from those of all others, also of an earlier life of its own.
    pub(super) fn new(spec: Arc<PipelineSpec>, log: Box<dyn Log>, nonce: u64) -> Self {
        Self {
            spec,
            log,
            nonce,
            holdings: BTreeMap::new(),
            begun: Vec::new(),
            superseded: Vec::new(),
            in_flight: InFlight::new(),
            listener: TempoListener::default(),
            accepts_loss: false,
            read_to: BTreeMap::new(),
            expected: BTreeMap::new(),
        }
    }

    /// Appends a claim and reads the stream up to it. The claim's position becomes the epoch: what an older owner writes
    /// behind it counts for nobody, so that nothing has to be fenced. Each claim has a nonce of its own, since a process
    /// may claim the same partition twice and must know which of its claims came back.
    pub(super) fn claim(&mut self, partition: u32) -> Result<()> {
        self.nonce = self.nonce.wrapping_add(1);
        let (nonce, config) = (self.nonce, self.spec.tasks_hash);
        let stream = Stream::Task(partition);
        let whole = self.log.read(stream, Begin::Tail(TAIL))?;
        let claim = Body::Task(Arc::new(Entry::Claim { nonce, config }));
        self.log.append(stream, 0, claim)?;
        let claimed = Holding::Claimed { nonce, frames: Vec::new(), tail: TAIL, whole };
        self.holdings.insert(partition, claimed);
        Ok(())
    }

    /// Lets a task go. Nothing is written: the next owner's claim ends this epoch, and what is on its way may arrive or
    /// not.
    pub(super) fn release(&mut self, partition: u32) {
        self.holdings.remove(&partition);
        self.in_flight.remove(&Stream::Task(partition));
        self.read_to.remove(&partition);
        self.log.forget(Stream::Task(partition));
    }

    /// Returns true when every claim was read back and every task knows by which times it goes.
    pub(super) fn all_begun(&self) -> bool {
        self.holdings.values().all(|holding| match holding {
            Holding::Owned { tells, .. } => !tells.is_new,
            Holding::Claimed { .. } => false,
        })
    }

    /// Lets the log drop what it kept for readers that begin: all of this process have begun.
    pub(super) fn forget_history(&mut self) {
        self.log.settled();
    }

    /// Says again what was last said before this time. While a second cursor reads for a task, its own
    /// words are older.
    pub(super) fn repeat(&mut self, before: EventTime) {
        for holding in self.holdings.values_mut() {
            if let Holding::Owned { task, behind: None, .. } = holding {
                task.handle(engine::Input::Repeat { before });
            }
        }
    }

    /// Returns the bytes appended since the process began.
    pub(super) fn written(&self) -> u64 {
        self.log.written()
    }

    /// Returns what is on its way through the log, or waits for unreadable records that are on theirs.
    pub(super) fn in_flight(&self) -> usize {
        let waits = |holding: &&Holding| holding.task().is_some_and(Task::is_next_vitals);
        self.in_flight.values().sum::<usize>() + self.holdings.values().filter(waits).count()
    }

    /// Returns all owned tasks, in order of partitions, so that what they do comes in the same order everywhere.
    pub(super) fn running(&mut self) -> impl Iterator<Item = &mut Task> {
        self.holdings.values_mut().filter_map(Holding::task_mut)
    }

    /// Does what the tasks ask for; whether anything was.
    pub(super) fn carry_out(
        &mut self,
        tables: &mut dyn Tables,
        letters: &mut dyn LetterSink,
        counters: &mut Counters,
    ) -> Result<bool> {
        let mut moved = false;
        let Self { holdings, log, in_flight: on_their_way, expected, spec, accepts_loss, .. } =
            self;
        for (&partition, holding) in holdings {
            let Holding::Owned { epoch, task, in_flight, behind, tells } = holding else {
                continue;
            };
            let stream = Stream::Task(partition);
            loop {
                // Vitals say that records were counted: those that couldn't be read may not be lost after it.
                if task.is_next_vitals() && !letters.flush().context(ASIDE)? {
                    break;
                }
                let again = || behind.as_mut().and_then(|behind| behind.task.poll());
                let own = task.poll();
                let is_own = own.is_some();
                let Some(effect) = own.or_else(again) else { break };
                moved = true;
                match effect {
                    Effect::Append(entry) => {
                        if let Entry::Vitals(vitals) = &entry {
                            check(partition, vitals, expected.remove(&partition).as_ref())?;
                        }
                        counters.entry(&entry);
                        let is_repeated = matches!(entry, Entry::Repeated(_));
                        let body = Body::Task(Arc::new(entry));
                        append(log.as_mut(), on_their_way, (stream, *epoch), body)?;
                        *in_flight += 1;
                        tells.count(is_repeated);
                    }
                    Effect::Stage { name, comparison, rows } => {
                        counters.pair_rows += rows.len() as u64;
                        counters.files += 1;
                        let first = rows.first().map(|row| row.pane).unwrap_or_default();
                        let file = pairs_file(comparison, first, name);
                        let owner = Owner { stream, epoch: *epoch };
                        let config = fingerprint::of_tasks_at(spec, *task.times().at(first));
                        tables.stage_pairs(owner, partition, &file, &rows, config)?;
                    }
                    Effect::DeadLetter(letter) => {
                        counters.dead_letter(letter.reason);
                        letters.put(partition, &letter).context(ASIDE)?;
                    }
                    Effect::Differs(differs) if is_own && *accepts_loss => {
                        tracing::warn!(partition, "{}", explain(spec, partition, differs));
                        *behind = None;
                        task.lose_different(differs);
                    }
                    Effect::Differs(differs) => bail!(explain(spec, partition, differs)),
                }
            }
        }
        Ok(self.attend()? | moved)
    }

    /// Says what has to be said of times; whether anything was.
    fn attend(&mut self) -> Result<bool> {
        let mut moved = false;
        let Self { holdings, log, in_flight: on_their_way, listener, spec, .. } = self;
        for (&partition, holding) in holdings {
            let Holding::Owned { epoch, task, in_flight, behind, tells } = holding else {
                continue;
            };
            let behind = behind.as_mut().map(|behind| behind.task.as_mut());
            let Some(said) = listener.says(tells, task, behind, spec.lasting_hash) else {
                continue;
            };
            moved = true;
            let body = Body::Task(Arc::new(Entry::Times(said)));
            append(log.as_mut(), on_their_way, (Stream::Task(partition), *epoch), body)?;
            *in_flight += 1;
            tells.since = 0;
        }
        Ok(moved)
    }

    /// Returns whether a task is about to go by other times, or to hear by which.
    pub(super) fn is_retiming(&self) -> bool {
        self.holdings.values().any(|holding| match holding {
            Holding::Owned { task, tells, .. } => {
                tells.is_waiting() || task.hold().is_some() || self.listener.is_asked(task)
            }
            Holding::Claimed { .. } => true,
        })
    }

    /// A task begins again, as after a crash, with what its log says by now.
    fn begin_anew(&mut self, partition: u32) -> Result<()> {
        self.in_flight.remove(&Stream::Task(partition));
        self.claim(partition)
    }

    /// Takes what the log gives back; whether anything was.
    pub(super) fn read_back(
        &mut self,
        tables: &mut dyn Tables,
        counters: &mut Counters,
    ) -> Result<bool> {
        let mut moved = false;
        while let Some(frame) = self.log.poll()? {
            moved = true;
            let Stream::Task(partition) = frame.stream else {
                self.listener.take(&frame);
                continue;
            };
            let Some(holding) = self.holdings.get_mut(&partition) else { continue };
            match holding {
                Holding::Claimed { nonce, frames, .. } => {
                    let is_ours = frame.body.claim() == Some(*nonce);
                    frames.push(frame);
                    if is_ours {
                        self.begin(partition, tables)?;
                    }
                }
                Holding::Owned { epoch, task, in_flight, behind, tells } => {
                    self.read_to.insert(partition, frame.position);
                    if frame.body.claim().is_some() {
                        tracing::warn!(
                            partition,
                            "Another process claimed this task; it ends here."
                        );
                        self.release(partition);
                        self.superseded.push(partition);
                        continue;
                    }
                    if frame.epoch != *epoch {
                        counters.ignored_frames += 1;
                        continue;
                    }
                    *in_flight = in_flight.saturating_sub(1);
                    if let Some(count) = self.in_flight.get_mut(&frame.stream) {
                        *count = count.saturating_sub(1);
                    }
                    let owner = Owner { stream: frame.stream, epoch: *epoch };
                    if let Some(fact) = frame.unsound_fact() {
                        counters.refused_facts += 1;
                        tracing::warn!(
                            partition,
                            "The broker's clock and this host's differ by more than 2 s: an idle input isn't \
                             passed by. Mend the clocks."
                        );
                        task.handle(engine::Input::Refused(fact));
                    } else if let Body::Task(entry) = &frame.body {
                        if let Entry::Times(said) = entry.as_ref() {
                            match tells.read_back(said, task) {
                                Follows::Nothing => {}
                                Follows::Confirmed => task.confirm(),
                                Follows::Anew => self.begin_anew(partition)?,
                            }
                            continue;
                        }
                        take((task, behind.as_mut()), entry, owner, tables)?;
                        if matches!(entry.as_ref(), Entry::Lost(_)) && !task.awaits_loss() {
                            *behind = None;
                            self.begun.push(Begun::of(partition, task));
                        }
                    }
                }
            }
        }
        Ok(moved)
    }

    /// The claim was read back: what valid entries before it say is what the task begins with.
    fn begin(&mut self, partition: u32, tables: &mut dyn Tables) -> Result<()> {
        let stream = Stream::Task(partition);
        let Some(Holding::Claimed { frames, tail, whole, nonce }) =
            self.holdings.remove(&partition)
        else {
            return Ok(());
        };
        let epoch = frames.last().map_or(0, |frame| frame.position);
        let entry = |frame: LogFrame| match frame.body {
            Body::Task(entry) => Some((frame.epoch, entry)),
            Body::Evaluator(_) => None,
        };
        let entries: Vec<_> = valid(frames).filter_map(entry).collect();
        let tells = tells_all(&entries, &self.spec);
        let said = said(&entries);
        if !(whole || tells && said.is_some()) {
            // Not far enough back: once more, from further.
            let tail = tail.saturating_mul(8);
            let whole = self.log.read(stream, Begin::Tail(tail))?;
            let again = Holding::Claimed { nonce, frames: Vec::new(), tail, whole };
            self.holdings.insert(partition, again);
            return Ok(());
        }
        let is_begun = entries.iter().any(|(_, e)| !matches!(e.as_ref(), Entry::Claim { .. }));
        check_config(&self.spec, &entries)?;
        let owner = Owner { stream, epoch };
        let in_place = complete_named(&entries, owner, tables)?;
        let removed = tables.clear_older(owner)?;
        let known = entries.iter().map(|(_, entry)| entry.as_ref());
        let mut task = Task::recover(Arc::clone(&self.spec), partition, known, &in_place);
        // Who closes panes has heard its times; one that hadn't says so.
        let is_new =
            said.map_or(!is_begun, |said| said.hold.is_some_and(|hold| hold.revision == 0));
        let says = TempoAck::begin(is_new);
        if says.is_new {
            task.hold_all();
        }
        self.listener.listen(self.log.as_mut(), said.map(|said| said.heard).unwrap_or_default())?;
        tracing::debug!(partition, epoch, entries = entries.len(), removed, "A task begins.");
        let cut = if tells { None } else { self.log.cut(stream) };
        let cut = cut.map(|what| LogError::Lost { stream, what, cure: GONE });
        self.begun.push(Begun { cut, ..Begun::of(partition, &task) });
        let task = Box::new(task);
        let owned = Holding::Owned { epoch, task, in_flight: 0, behind: None, tells: says };
        self.holdings.insert(partition, owned);
        Ok(())
    }
}

/// Does what an entry that was read back names.
fn take(
    (task, behind): (&mut Task, Option<&mut CatchUpCursor>),
    entry: &Entry,
    owner: Owner,
    tables: &mut dyn Tables,
) -> Result<()> {
    match entry {
        Entry::Fact(fact) => {
            task.handle(engine::Input::Logged(*fact));
            let input = usize::from(fact.input);
            let reads = |b: &&mut CatchUpCursor| b.task.reads(b.comparison, input);
            if let Some(behind) = behind.filter(reads) {
                behind.task.learn(*fact);
            }
        }
        Entry::Checkpoint(Checkpoint { comparison, files, .. })
        | Entry::Repeated(Checkpoint { comparison, files, .. }) => {
            let task = match behind.filter(|behind| behind.comparison == *comparison) {
                Some(behind) => behind.task.as_mut(),
                None => task,
            };
            for PairFile { from, name, .. } in files {
                let file = pairs_file(*comparison, *from, name.clone());
                if tables.complete(owner, &file).context("complete a staged file")? {
                    task.handle(engine::Input::Completed { comparison: *comparison, name });
                }
            }
        }
        Entry::Lost(loss) => task.handle(engine::Input::Lost(*loss)),
        Entry::Claim { .. }
        | Entry::Vitals(_)
        | Entry::GapMarks(_)
        | Entry::Feeds(_)
        | Entry::Times(_) => {}
    }
    Ok(())
}

/// Names a file of pair rows as entries name it. The folder follows from its first row's day.
fn pairs_file(comparison: u8, first: EventTime, name: String) -> TableFile {
    TableFile { table: "pairs".to_owned(), comparison, first, name }
}

/// Returns whether the entries hold the last word of every comparison, and with it what its writer hadn't read back
/// by then: a fact that lies before that word may not be in it. Where it needs the points of feeds, they stand
/// before it.
fn tells_all(entries: &[(u64, Arc<Entry>)], spec: &PipelineSpec) -> bool {
    let (mut known, mut told, mut points) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    let has_points = |points: &BTreeSet<u8>, closed: &Checkpoint| {
        !spec.feeds.is_routed() || points.contains(&closed.comparison)
    };
    for (at, (epoch, entry)) in entries.iter().enumerate() {
        match entry.as_ref() {
            Entry::Claim { .. } => {
                known.insert(*epoch);
            }
            Entry::Checkpoint(closed) => {
                let reaches = known.contains(epoch) || 2 * IN_FLIGHT_MAX <= at;
                told.insert(closed.comparison, reaches && has_points(&points, closed));
            }
            Entry::Repeated(closed) => {
                known.insert(*epoch);
                told.insert(closed.comparison, has_points(&points, closed));
            }
            Entry::Feeds(feeds) => {
                points.insert(feeds.comparison);
            }
            Entry::Fact(_)
            | Entry::Vitals(_)
            | Entry::Lost(_)
            | Entry::GapMarks(_)
            | Entry::Times(_) => {}
        }
    }
    told.len() == spec.candidates.len() && told.values().all(|reaches| *reaches)
}

/// Puts in place what the last entries name, under the epochs that staged it; names of what is there.
/// Files behind one that is nowhere are taken out: their rows are written again.
fn complete_named(
    entries: &[(u64, Arc<Entry>)],
    owner: Owner,
    tables: &mut dyn Tables,
) -> Result<BTreeSet<String>> {
    let mut last: BTreeMap<u8, (u64, &Checkpoint)> = BTreeMap::new();
    for (epoch, entry) in entries {
        if let Some(closed) = entry.word() {
            last.insert(closed.comparison, (*epoch, closed));
        }
    }
    let mut in_place = BTreeSet::new();
    for (comparison, (epoch, closed)) in last {
        let mut complete = true;
        for PairFile { from, name, .. } in &closed.files {
            let file = pairs_file(comparison, *from, name.clone());
            complete &= tables.complete(Owner { epoch, ..owner }, &file)?;
            if complete {
                in_place.insert(name.clone());
            } else {
                tables.remove(&file)?;
            }
        }
    }
    Ok(in_place)
}

/// Returns what the last owner said of its times.
fn said(entries: &[(u64, Arc<Entry>)]) -> Option<TimesSaid> {
    entries.iter().rev().find_map(|(_, entry)| entry.times())
}

/// Fails where tasks do something else than before, but for their times: two meanings must not mix in one
/// window.
fn check_config(spec: &PipelineSpec, entries: &[(u64, Arc<Entry>)]) -> Result<()> {
    if let Some(said) = said(entries) {
        return check_does(said.config == spec.lasting_hash, spec);
    }
    check_writer(spec, entries, |entry| match entry {
        Entry::Claim { config, .. } => Some(*config),
        _ => None,
    })
}

/// In a log from before times were said, it is the last claim under which anything was written that says what
/// its writer did: who was refused has claimed, too. `config` is what a claim carries.
pub(super) fn check_writer<E>(
    spec: &PipelineSpec,
    entries: &[(u64, Arc<E>)],
    config: impl Fn(&E) -> Option<u64>,
) -> Result<()> {
    let last = entries.iter().rfind(|(_, entry)| config(entry).is_none()).map(|(epoch, _)| *epoch);
    let claims = entries.iter().filter_map(|(epoch, entry)| Some((*epoch, config(entry)?)));
    let mut writer = claims.filter(|(epoch, _)| Some(*epoch) == last);
    check_does(writer.next().is_none_or(|(_, config)| spec.does_what(config)), spec)
}

/// Fails with exit code 78 where the log was written by tasks that do something else: two meanings must not mix in one
/// stream.
fn check_does(is_it: bool, spec: &PipelineSpec) -> Result<()> {
    if is_it { Ok(()) } else { Err(OtherConfiguration(other_tasks(spec)).into()) }
}

/// Names every key of a pipeline file that tasks depend on, since a hash doesn't tell which one differs.
fn other_tasks(spec: &PipelineSpec) -> String {
    let counts = if spec.feeds.is_routed() {
        let arms = ["primary"].into_iter().chain(spec.candidates.iter().map(String::as_str));
        let counts = arms.zip(spec.feeds.partitions()).map(|(arm, count)| format!("{arm} {count}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        format!("the topics have other partition counts than they had (now {counts}), or ")
    } else {
        String::new()
    };
    format!(
        "the log was written by tasks that do something else than this pipeline file says (now configuration \
         {:016x}): {counts}`model`, `candidates`, `co_partitioned`, `compare`, `segments`, `labels`, `scores`, `windows`, `output.roll`, \
         `output.roll_rows` or `output.matches` differ, or `time` in a log from before it could change. Restore \
         them, or start a new pipeline, with a `log` and a `kafka.group` of its own. Only rules and `time` may \
         change on a running pipeline, by raising `revision`; in a log from before that, run it once with the \
         rules and times as they were",
        spec.tasks_hash
    )
}

/// Fails where other vitals come out than a recorded run counted.
fn check(partition: u32, vitals: &Vitals, expected: Option<&Vitals>) -> Result<()> {
    let Some(expected) = expected.filter(|expected| *expected != vitals) else { return Ok(()) };
    let ranges =
        |vitals: &Vitals| -> Vec<_> { vitals.arms.iter().map(|arm| (arm.from, arm.to)).collect() };
    bail!(
        "partition {partition} holds other records than the recorded run read: its vitals differ \
         (offsets by input {:?}, recorded {:?})",
        ranges(vitals),
        ranges(expected)
    );
}

/// Says in words that an input holds other records than were read: sums over ids and offsets differ.
fn explain(spec: &PipelineSpec, partition: u32, differs: Differs) -> String {
    let Differs { input, from, to } = differs;
    let arm = spec.arm_name(spec.feeds.arm(input));
    let partition = spec.feeds.partition(input).unwrap_or(partition);
    format!(
        "the topic of {arm}, partition {partition}, holds other records from offset {from} to {to} than were \
         read before the restart: it was recreated, or is another topic; nothing was decided from them. \
         Restore it, or begin anew: another `log` and another `output.directory`; `run --accept-loss` goes on \
         with what is there"
    )
}
