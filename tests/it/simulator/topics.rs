//! The control topic and the dead-letter topic.
//!
//! In: signals, unreadable records. Out: what became of them. Holds: what arrived stays in the order of
//! arrival; an acknowledgement may be late or lost, then the message may be there or not. Knows
//! nothing of: what signals say.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use parallax::engine::DeadLetter;
use parallax::model::signal::Signal;
use parallax::runtime::driver::{LetterSink, SignalSink};

use super::faults::{Bug, Side, Step};
use super::ports::Reach;
use super::rng::Rng;

/// The control topic.
#[derive(Default)]
pub(super) struct Control {
    pub(super) arrived: Vec<Signal>,
    /// On their way, by process.
    outgoing: BTreeMap<u32, Signal>,
    /// Of processes that are no more.
    adrift: Vec<Signal>,
}

impl Control {
    pub(super) fn bury(&mut self, process: u32, rng: &mut Rng) {
        let left = self.outgoing.remove(&process).filter(|_| rng.chance(50));
        self.adrift.extend(left);
    }

    /// What was on its way arrives.
    pub(super) fn land(&mut self) {
        self.arrived.append(&mut self.adrift);
    }
}

/// One process' way to the control topic.
pub(super) struct VirtualSignals {
    reach: Reach,
    sent: Option<Sent>,
}

struct Sent {
    signal: Signal,
    /// So often nothing is known yet.
    unknown: u64,
    arrives: bool,
    acknowledged: bool,
}

impl VirtualSignals {
    pub(super) fn new(reach: Reach) -> Self {
        Self { reach, sent: None }
    }
}

impl SignalSink for VirtualSignals {
    fn overtaken(&mut self, _: &BTreeMap<&str, u64>) -> Vec<String> {
        Vec::new()
    }

    fn start(&mut self, signal: &Signal) {
        let mut shared = self.reach.shared();
        let process = self.reach.process;
        if shared.dies(process, Step::SignalStart, Side::Before, false) {
            return;
        }
        let (unknown, arrives, acknowledged) = match shared.rng.below(12) {
            _ if shared.calm => (0, true, true),
            0..4 => (0, true, true),
            4..7 => (shared.rng.below(9), true, true),
            7..9 => (shared.rng.below(9), false, false),
            _ => (shared.rng.below(9), true, false),
        };
        let at_once = arrives && shared.rng.chance(50);
        if at_once {
            shared.control.arrived.push(signal.clone());
        } else if arrives {
            shared.control.outgoing.insert(process, signal.clone());
        }
        let signal = signal.clone();
        self.sent = Some(Sent { signal, unknown, arrives: arrives && !at_once, acknowledged });
        shared.dies(process, Step::SignalStart, Side::After, false);
    }

    fn poll(&mut self) -> Option<Result<()>> {
        let mut shared = self.reach.shared();
        let process = self.reach.process;
        let sent = self.sent.as_mut()?;
        if 0 < sent.unknown && !shared.calm {
            sent.unknown -= 1;
            return None;
        }
        if shared.dies(process, Step::SignalAck, Side::Before, false) {
            return None;
        }
        let sent = self.sent.take()?;
        if sent.arrives {
            shared.control.outgoing.remove(&process);
            shared.control.arrived.push(sent.signal);
        }
        shared.dies(process, Step::SignalAck, Side::After, false);
        if sent.acknowledged || shared.bug == Bug::SignalsNotRepeated {
            Some(Ok(()))
        } else {
            Some(Err(anyhow!("no acknowledgement came")))
        }
    }
}

/// The place of a record: task, input, offset.
type Place = (u32, usize, i64);

/// The dead-letter topic.
#[derive(Default)]
pub(super) struct Letters {
    pub(super) arrived: BTreeSet<Place>,
    outgoing: BTreeMap<u32, Vec<Place>>,
}

impl Letters {
    pub(super) fn bury(&mut self, process: u32, rng: &mut Rng) {
        let left = self.outgoing.remove(&process).unwrap_or_default();
        let kept = rng.index(left.len() + 1);
        self.arrived.extend(left.into_iter().take(kept));
    }
}

/// One process' way to the dead-letter topic.
pub(super) struct VirtualLetters(pub(super) Reach);

impl LetterSink for VirtualLetters {
    fn put(&mut self, partition: u32, letter: &DeadLetter) -> Result<()> {
        let mut shared = self.0.shared();
        let process = self.0.process;
        shared.pass(process, Step::LetterPut, Side::Before)?;
        let place = (partition, letter.input, letter.offset);
        shared.letters.outgoing.entry(process).or_default().push(place);
        shared.pass(process, Step::LetterPut, Side::After)
    }

    fn flush(&mut self) -> Result<bool> {
        let mut shared = self.0.shared();
        let process = self.0.process;
        shared.pass(process, Step::LetterFlush, Side::Before)?;
        if !shared.calm && shared.rng.chance(20) {
            return Ok(false);
        }
        let left = shared.letters.outgoing.remove(&process).unwrap_or_default();
        shared.letters.arrived.extend(left);
        shared.pass(process, Step::LetterFlush, Side::After)?;
        Ok(true)
    }
}
