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
    let inputs = driver.spec.candidates.len() + 1;
    let mut cut = EventTime::START;
    let mut total = 0;
    let mut ended = vec![vec![false; inputs]; driver.tasks.len()];
    driver.settle()?;
    while !stop.is_set() {
        // One batch of the input that is furthest behind of all tasks.
        let next = (0..driver.tasks.len())
            .flat_map(|task| (0..inputs).map(move |input| (task, input)))
            .filter(|&(task, input)| !ended[task][input])
            .min_by_key(|&(task, input)| {
                let task_at = &driver.tasks[task];
                (task_at.max(input), task_at.position(input), task, input)
            });
        let Some((number, input)) = next else { break };
        let task = &mut driver.tasks[number];
        let mut take = |records: &[Record<'_>]| {
            task.handle(engine::Input::Records { input, records, read_at: None });
        };
        let read = source.drain(input, u32::try_from(number)?, BATCH, &mut take)?;
        ended[number][input] = read == 0;
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

/// The time that all inputs with more to read have reached.
fn lowest(driver: &Driver, ended: &[Vec<bool>]) -> EventTime {
    let open = driver.tasks.iter().zip(ended).flat_map(|(task, ended)| {
        ended.iter().enumerate().filter(|(_, ended)| !**ended).map(|(input, _)| task.max(input))
    });
    open.min().unwrap_or(EventTime::START)
}
