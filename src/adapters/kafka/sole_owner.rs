//! Whether a process may own the one task of topics that aren't co-partitioned.
//!
//! In: what the group hands out to it, whether it holds the task. Out: take it, wait, or refuse. Holds: who
//! holds the task keeps it whatever the group says, until somebody claims it in the log; who doesn't takes it
//! only when the group hands out everything, so that there is nobody else; of several that start together the
//! one with the first partition waits for the others to refuse. Knows nothing of: Kafka, the log.

use std::time::{Duration, Instant};

use crate::runtime::driver::Change;

/// What the group handed out last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Handed {
    Nothing,
    Part { first: bool },
    All,
}

/// Somebody else is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refused;

/// One process that wants to be alone.
#[derive(Debug)]
pub(super) struct SoleOwner {
    /// How many partitions there are.
    total: usize,
    /// How long others may take to leave.
    patience: Duration,
    handed: Handed,
    /// Since when it waits for the others.
    waits: Option<Instant>,
    /// What the process was told last.
    told: Option<Change>,
}

impl SoleOwner {
    pub(super) const fn new(partitions: u32, patience: Duration) -> Self {
        let total = partitions as usize;
        Self { total, patience, handed: Handed::Nothing, waits: None, told: None }
    }

    /// The group handed out so many partitions, and the first among them or not; `None`: it took all away.
    pub(super) fn see(&mut self, handed: Option<(usize, bool)>) {
        self.handed = match handed {
            None => Handed::Nothing,
            Some((count, _)) if self.total <= count => Handed::All,
            Some((_, first)) => Handed::Part { first },
        };
        if !matches!(self.handed, Handed::Part { .. }) {
            self.waits = None;
        }
    }

    /// Returns what is new for a process that `holds` the task or doesn't.
    pub(super) fn ask(&mut self, holds: bool, now: Instant) -> Result<Option<Change>, Refused> {
        let change = match self.handed {
            _ if holds => Change::Assigned(vec![0]),
            Handed::All => Change::Assigned(vec![0]),
            Handed::Nothing => Change::Revoked,
            Handed::Part { first: false } => return Err(Refused),
            Handed::Part { first: true } => {
                let since = *self.waits.get_or_insert(now);
                if self.patience < now.duration_since(since) {
                    return Err(Refused);
                }
                Change::Revoked
            }
        };
        if self.told.as_ref() == Some(&change) {
            return Ok(None);
        }
        self.told = Some(change.clone());
        Ok(Some(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Result<Option<Change>, Refused> = Ok(None);

    fn mine() -> Result<Option<Change>, Refused> {
        Ok(Some(Change::Assigned(vec![0])))
    }

    fn alone() -> (SoleOwner, Instant) {
        (SoleOwner::new(8, Duration::from_secs(10)), crate::runtime::clock::monotonic())
    }

    #[test]
    fn who_is_handed_everything_owns_it_and_keeps_it() {
        let (mut alone, now) = alone();
        assert_eq!(alone.ask(false, now), Ok(Some(Change::Revoked)));
        alone.see(Some((8, true)));
        assert_eq!(alone.ask(false, now), mine());
        // A newcomer was handed a part of it: it is the newcomer who refuses.
        for handed in [None, Some((4, false)), None, Some((8, true))] {
            alone.see(handed);
            assert_eq!(alone.ask(true, now), ALL);
        }
    }

    #[test]
    fn a_newcomer_refuses_beside_an_owner() {
        let (mut alone, now) = alone();
        alone.see(Some((4, false)));
        assert_eq!(alone.ask(false, now), Err(Refused));
        alone.see(Some((0, false)));
        assert_eq!(alone.ask(false, now), Err(Refused));
    }

    #[test]
    fn the_one_with_the_first_partition_waits_for_the_others_to_leave() {
        let (mut alone, now) = alone();
        alone.see(Some((4, true)));
        assert_eq!(alone.ask(false, now), Ok(Some(Change::Revoked)));
        assert_eq!(alone.ask(false, now + Duration::from_secs(9)), Ok(None));
        let mut left = SoleOwner { told: None, ..SoleOwner::new(8, Duration::from_secs(10)) };
        left.see(Some((8, true)));
        assert_eq!(left.ask(false, now), mine());
        assert_eq!(alone.ask(false, now + Duration::from_secs(11)), Err(Refused));
    }

    #[test]
    fn a_superseded_owner_refuses_if_others_are_there() {
        let (mut alone, now) = alone();
        alone.see(Some((8, true)));
        assert_eq!(alone.ask(false, now), mine());
        alone.see(Some((4, false)));
        assert_eq!(alone.ask(true, now), ALL);
        assert_eq!(alone.ask(false, now), Err(Refused));
    }
}
