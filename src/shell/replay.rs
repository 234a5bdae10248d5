//! The same pipeline over files: what it would have decided, and when.
//!
//! In: a source whose end is the end, a driver. Out: nothing but effects. Holds: deterministic: the
//! input furthest behind in time is read first, a cut is each second of event time. Knows nothing of:
//! the host's clock.

use anyhow::Result;

use super::driver::Driver;
use super::source::Source;
use super::stop::Stop;
use crate::engine;
use crate::model::record::Record;
use crate::model::time::{EventTime, Span};

/// Records of one input and partition that are taken at once.
const BATCH: usize = 256;
/// A cut each second of event time.
const SECOND: Span = Span::from_secs(1);

/// Reads everything; `progress` is told how many records were read.
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
        // One batch of the input that is furthest behind of all tasks.
        let next = driver
            .owned()
            .flat_map(|(number, task)| (0..inputs).map(move |input| (number, task, input)))
            .filter(|&(number, _, input)| !ended[number as usize][input])
            .min_by_key(|&(number, task, input)| {
                (task.max(input), task.position(input), number, input)
            })
            .map(|(number, _, input)| (number, input));
        let Some((number, input)) = next else { break };
        let Some(task) = driver.task_mut(number) else { break };
        let mut take = |records: &[Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: None });
        };
        let read = source.drain(input, number, BATCH, &mut take)?;
        ended[number as usize][input] = read == 0;
        total += read as u64;
        driver.counters.read(input, read);
        driver.settle()?;
        let now = lowest(driver, &ended).floor(SECOND);
        if cut < now {
            if cut != EventTime::START {
                driver.tick(now)?;
            }
            cut = now;
            progress(total);
        }
    }
    progress(total);
    driver.tick(cut.plus(SECOND))?;
    driver.finish()
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
    open.min().unwrap_or(EventTime::START)
}
