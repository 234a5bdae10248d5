//! Comparisons whose arms are too far apart, read again by a second cursor.
//!
//! In: the loop, what it remembers. Out: records to the second cursor's task; a comparison that is caught up
//! with goes back to its own. Holds: a second cursor doesn't read beyond the first; at the end of bounded inputs
//! everything is caught up with. Knows nothing of: why a comparison was parked.

use anyhow::{Context, Result};

use super::{BATCH, Live, Round};
use crate::engine;
use crate::runtime::clock::monotonic;

/// A second cursor with so few records before it can draw level in a moment.
const CLOSE: i64 = 16_384;

impl Live<'_> {
    /// Reads on behind the first cursors, and takes back what is caught up with.
    pub(super) fn read_parked(&mut self, round: &mut Round) -> Result<usize> {
        let mut read = 0;
        let feeds = self.driver.spec.feeds.clone();
        for partition in round.assigned.clone().unwrap_or_default() {
            self.begin_catching_up(partition, false, round)?;
            let Some(second) = &mut round.second else { continue };
            let Some((behind, ahead)) = self.driver.behind_mut(partition) else { continue };
            for input in feeds.of(usize::from(behind.comparison)) {
                let end = ahead.position(input);
                let left = end - behind.task.position(input);
                let max = usize::try_from(left).unwrap_or(0).min(BATCH);
                if max == 0 {
                    continue;
                }
                let mut take = |records: &[crate::model::record::Record<'_>]| {
                    behind.task.handle(engine::Input::Records { input, records, read_at: None });
                };
                read += second.drain_before(input, partition, (max, end), &mut take)?;
            }
            let left = behind.task.lies_behind(ahead, behind.comparison);
            let is_close = left < CLOSE;
            if self.driver.take_back(partition) {
                tracing::info!(partition, "A parked comparison is caught up with.");
                second.end(partition);
                round.waits.remove(&partition);
            } else if is_close {
                round.waits.entry(partition).or_insert_with(monotonic);
            }
        }
        if let Some(second) = &mut round.second {
            second.pump()?;
        }
        Ok(read)
    }

    fn begin_catching_up(&mut self, partition: u32, at_all: bool, round: &mut Round) -> Result<()> {
        let Some((comparison, offsets)) = self.driver.catch_up(partition, at_all) else {
            return Ok(());
        };
        tracing::info!(partition, comparison, "Catching up with a parked comparison.");
        if round.second.is_none() {
            round.second = Some((self.reopen)().context("open the inputs a second time")?);
        }
        let Some(second) = &mut round.second else { return Ok(()) };
        if self.driver.accepts_loss() {
            let gaps = second.gaps(partition, &offsets, &[])?;
            if !gaps.is_empty() && self.driver.lose_parked(partition, &gaps) {
                let said =
                    "Records of a parked comparison are gone; it goes on without them, marked.";
                tracing::warn!(partition, comparison, "{said}");
                return Ok(());
            }
        }
        second.begin(partition, &offsets, &[])?;
        Ok(())
    }

    /// At the end of bounded inputs everything is caught up with, however far the arms are apart.
    pub(super) fn nothing_is_parked(&mut self, round: &mut Round) -> Result<bool> {
        self.driver.never_park();
        let mut none = true;
        for partition in self.driver.partitions_owned() {
            self.begin_catching_up(partition, true, round)?;
            let parked = self.driver.task(partition).is_some_and(|t| t.parked().next().is_some());
            none &= !parked;
        }
        Ok(none)
    }
}
