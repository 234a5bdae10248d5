//! The same pipeline over files: what it would have decided, and when.
//!
//! In: a source whose end is the end, a driver. Out: nothing but effects. Holds: deterministic: the
//! input furthest behind in time is read first, a cut is each second of event time, and vitals of what was read more than
//! `wait` beyond it come with a later one. Knows nothing of:
//! the host's clock.

use anyhow::Result;

use crate::engine;
use crate::model::record::Record;
use crate::model::time::{EventTime, Span};
use crate::runtime::driver::Driver;
use crate::runtime::source::Source;
use crate::runtime::stop::Stop;

/// So many records are read between two looks at what they lead to.
const SETTLE_EVERY: u64 = 64;
/// A cut each second of event time.
const SECOND: Span = Span::from_secs(1);

/// Reads everything; `progress` is told how many records were read.
///
/// Records are taken one by one, always of the input that is furthest behind, so that a second of event time holds
/// the same records however sparse they are.
///
/// # Errors
/// What the world refused.
pub fn run(
    driver: &mut Driver,
    source: &mut dyn Source,
    stop: &Stop,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let inputs = driver.spec.inputs();
    let mut cut = EventTime::START;
    let mut total = 0;
    let mut ended = vec![vec![false; inputs]; driver.partitions as usize];
    begin(driver, source)?;
    while !stop.is_set() {
        let Some((number, input)) = furthest_behind(driver, &ended) else { break };
        let Some(task) = driver.task_mut(number) else { break };
        let mut take = |records: &[Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: None });
        };
        let read = source.drain(input, number, 1, &mut take)?;
        ended[number as usize][input] = read == 0;
        total += read as u64;
        driver.counters.read(input, read);
        let now = lowest(driver, &ended).floor(SECOND);
        if total.is_multiple_of(SETTLE_EVERY) || cut < now || read == 0 {
            driver.settle()?;
        }
        if cut < now {
            if cut != EventTime::START {
                // Behind a gap some inputs wait as leaps until more agree: what others have read meanwhile didn't
                // happen before the gap.
                driver.tick_up_to(now, now.plus(driver.spec.time.wait))?;
            }
            cut = now;
            progress(total);
        }
    }
    progress(total);
    driver.settle()?;
    driver.tick(cut.plus(SECOND))?;
    driver.finish()
}

/// Of all inputs of all tasks that have more to read the one that is furthest behind in time.
fn furthest_behind(driver: &Driver, ended: &[Vec<bool>]) -> Option<(u32, usize)> {
    let open = driver.owned().flat_map(|(number, task)| {
        let ended = &ended[number as usize];
        let open = ended.iter().enumerate().filter(|(_, ended)| !**ended);
        open.map(move |(input, _)| (task.max(input), task.position(input), number, input))
    });
    open.min().map(|(_, _, number, input)| (number, input))
}

/// Starts to read what has begun.
///
/// # Errors
/// The source refused.
pub fn begin(driver: &mut Driver, source: &mut dyn Source) -> Result<()> {
    for begun in driver.take_begun() {
        source.begin(begun.partition, &begun.offsets, &begun.horizons)?;
    }
    driver.settle()
}

/// The time that all inputs with more to read have reached.
fn lowest(driver: &Driver, ended: &[Vec<bool>]) -> EventTime {
    let open = driver.owned().flat_map(|(number, task)| {
        let ended = &ended[number as usize];
        ended.iter().enumerate().filter(|(_, ended)| !**ended).map(|(input, _)| task.max(input))
    });
    open.min().unwrap_or_default()
}
