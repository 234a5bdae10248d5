//! How far a run has come with what an earlier owner had read.
//!
//! In: what is left, by task, each second. Out: a bar on a terminal, else log lines. Holds: each start
//! of recovery, and its end, is said once. Knows nothing of: why it is read again.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parallax::decide::format;
use parallax::engine::ReadAgain;
use parallax::model::row::{DecisionRow, WindowRow};
use parallax::runtime::driver::Observer;

/// Seconds from one log line to the next.
const LINE_EVERY: u64 = 5;

/// Tells people how far recovery has come.
pub(super) struct Recovery {
    /// Of each task that has something left, how much there is in all.
    tasks: BTreeMap<u32, u64>,
    seconds: u64,
    on_terminal: bool,
    bars: Bars,
    bar: Option<ProgressBar>,
}

/// The bars of all workers, one below the other.
pub(super) type Bars = MultiProgress;

impl Recovery {
    pub(super) fn new(bars: Bars) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        Self { tasks: BTreeMap::new(), seconds: 0, on_terminal, bars, bar: None }
    }

    fn say(&mut self, left: u64, by_task: &str) {
        let records = self.tasks.values().sum::<u64>();
        if self.on_terminal {
            let new = || self.bars.add(ProgressBar::new(0).with_style(style()));
            let bar = self.bar.get_or_insert_with(new);
            bar.set_length(records);
            bar.set_position(records - left.min(records));
            bar.set_message(by_task.to_owned());
        } else if self.seconds.is_multiple_of(LINE_EVERY) {
            tracing::info!(left, records, by_task, "Reading the horizon again.");
        }
        self.seconds += 1;
    }
}

impl Observer for Recovery {
    fn decided(&mut self, _row: &DecisionRow) {}

    fn reported(&mut self, _row: &WindowRow) {}

    fn recovering(&mut self, tasks: &[(u32, ReadAgain)]) {
        if !tasks.is_empty() {
            self.tasks.extend(tasks.iter().map(|(partition, again)| (*partition, again.records)));
            let left = tasks.iter().map(|(_, again)| again.left).sum();
            self.say(left, &by_task(tasks));
        } else if !self.tasks.is_empty() {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            let records: u64 = std::mem::take(&mut self.tasks).into_values().sum();
            self.seconds = 0;
            tracing::info!(records, "The horizon is read again.");
        }
    }
}

/// `task 0: 1,204 of 5,000 left`, of a few tasks.
fn by_task(tasks: &[(u32, ReadAgain)]) -> String {
    let one = |(partition, again): &(u32, ReadAgain)| {
        let (left, records) = (format::count(again.left), format::count(again.records));
        format!("task {partition}: {left} of {records} left")
    };
    let mut said: Vec<String> = tasks.iter().take(4).map(one).collect();
    if said.len() < tasks.len() {
        said.push(format!("and {} more tasks", tasks.len() - said.len()));
    }
    said.join(", ")
}

fn style() -> ProgressStyle {
    let drawn = "reading again {wide_bar} {human_pos}/{human_len}  {msg}";
    ProgressStyle::with_template(drawn).unwrap_or_else(|_| ProgressStyle::default_bar())
}
