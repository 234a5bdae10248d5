//! What keeps a log that forgets from forgetting what counts.
//!
//! In: a time. Out: the last word again of each comparison that has said nothing since. Holds: it says what a
//! new owner needs, and nothing that was said before it is needed then; it closes nothing. Knows nothing of:
//! how long a log remembers.

use super::Task;
use super::effect::Effect;
use crate::model::entry::Entry;
use crate::model::time::EventTime;

impl Task {
    /// Says again what was last said before this time.
    ///
    /// Not while something is on its way that the word would have to hold, nor before all is read again that
    /// it vouches for, nor where a loss is still to be told with the next pane.
    pub(super) fn repeat(&mut self, before: EventTime) {
        let waits = self.inlets.iter().any(|inlet| inlet.fact_in_flight);
        if waits || self.losses_in_flight != 0 {
            return;
        }
        for at in 0..self.comparisons.len() {
            let comparison = &self.comparisons[at];
            let is_new = comparison.closed_to == EventTime::START;
            if is_new || before <= comparison.said || comparison.lost || self.reads_again(at) {
                continue;
            }
            self.flush_vitals();
            let parked = self.comparisons[at].parked.clone();
            let parked = parked.unwrap_or_else(|| self.resumes_at(at));
            let closed = self.word(at, parked);
            self.effects.push_back(Effect::Append(Entry::Repeated(closed)));
        }
    }
}
