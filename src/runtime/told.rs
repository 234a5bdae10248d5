//! Verdicts as the log tells them, where another process weighs.
//!
//! In: a pipeline, the host's time. Out: the verdict of each candidate, or why it can't be told. Holds: it comes to what
//! whoever weighs has come to, by the same code, and changes nothing; the log is read only when somebody asks,
//! a tenth of the time at most. Knows nothing of: HTTP.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::config::Pipeline;
use crate::engine::evaluator::Input;
use crate::runtime::clock::{HostClock, monotonic};
use crate::runtime::inspect::weighed;
use crate::runtime::log_reader::{LogReader, OpenLog};

/// For so long what was told is told again, at least.
const FRESH: Duration = Duration::from_secs(1);
/// For so many times what it took to read.
const REST: u32 = 10;

/// Verdicts by candidate.
pub type Verdicts = BTreeMap<String, Value>;

/// What the log tells.
pub struct Told {
    pipeline: Pipeline,
    open: Box<OpenLog>,
    clock: HostClock,
    last: Mutex<Option<Last>>,
}

/// What was told last: when it was known, until when it is fresh.
#[derive(Debug)]
struct Last {
    until: Instant,
    answer: Result<Verdicts, String>,
}

impl Told {
    /// Of the log that a pipeline names, which `open` opens.
    #[must_use]
    pub fn by_log(pipeline: Pipeline, clock: HostClock, open: Box<OpenLog>) -> Self {
        Self { pipeline, open, clock, last: Mutex::new(None) }
    }

    /// The pipeline's name.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.pipeline.spec.name
    }

    /// Verdicts by candidate. Who asks meanwhile waits for the same answer.
    ///
    /// # Errors
    /// Text that says why they can't be told.
    pub fn verdicts(&self) -> Result<Verdicts, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = monotonic();
        match last.as_ref() {
            Some(known) if begun < known.until => known.answer.clone(),
            _ => {
                let answer = self.read().map_err(|error| format!("{error:#}"));
                let took = monotonic().duration_since(begun);
                let until = monotonic() + FRESH.max(took.saturating_mul(REST));
                *last = Some(Last { until, answer: answer.clone() });
                answer
            }
        }
    }

    fn read(&self) -> Result<Verdicts> {
        let weighed = |mut look: Box<dyn LogReader>| weighed(&self.pipeline, look.as_mut());
        let evaluator = (self.open)().and_then(weighed).context("read the verdict from the log")?;
        let mut evaluator = evaluator.context("nobody has weighed anything yet")?;
        // How old the verdict is depends on now; nothing is said or decided here.
        evaluator.handle(Input::Cut { at: self.clock.now(), patient: true });
        let names = &self.pipeline.spec.candidates;
        let verdict = |(at, name): (usize, &String)| Some((name.clone(), evaluator.verdict(at)?));
        Ok(names.iter().enumerate().filter_map(verdict).collect())
    }
}
