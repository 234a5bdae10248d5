//! Whether a rule sees anything at all.
//!
//! In: of each look how much there was to look at, and how much of that the rule could use. Out: whether it is
//! blind. Holds: judged over whole minutes of event time, and before the first is over as soon as enough was
//! there; two counts are kept, whatever the traffic. Knows nothing of: evidence, which metric it is.

use serde::{Deserialize, Serialize};

use crate::model::time::{EventTime, Span};

/// Judged anew after so much event time.
const MINUTE: Span = Span::from_secs(60);
/// Before the first minute is over, so much must have been there, for so long.
const ENOUGH: u64 = 100;
const SETTLED: Span = Span::from_secs(20);

/// What was there to look at, and what could be used of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sight {
    since: Option<EventTime>,
    watched: u64,
    used: u64,
    until: Option<EventTime>,
    /// Of the last whole minute.
    last: Option<(u64, u64)>,
}

impl Sight {
    pub(super) fn note(&mut self, from: EventTime, to: EventTime, watched: u64, used: u64) {
        let since = *self.since.get_or_insert(from);
        self.watched += watched;
        self.used += used;
        self.until = Some(to);
        if MINUTE <= to.since(since) {
            self.last = Some((self.watched, self.used));
            *self = Self { since: Some(to), watched: 0, used: 0, until: None, last: self.last };
        }
    }

    /// Returns whether a whole minute was looked at.
    pub(super) const fn is_settled(&self) -> bool {
        self.last.is_some()
    }

    fn is_long(&self) -> bool {
        self.since.zip(self.until).is_some_and(|(since, until)| SETTLED <= until.since(since))
    }

    /// Returns what there was to look at, where nothing of it could be used.
    pub(super) fn blind(&self) -> Option<u64> {
        let (watched, used) = match self.last {
            Some((watched, used)) => (watched + self.watched, used + self.used),
            None if self.watched < ENOUGH || !self.is_long() => return None,
            None => (self.watched, self.used),
        };
        (used == 0 && 0 < watched).then_some(watched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> EventTime {
        EventTime::from_us(second * 1_000_000)
    }

    #[test]
    fn a_rule_is_blind_after_a_minute_or_with_enough_to_look_at() {
        let mut sight = Sight::default();
        assert_eq!(sight.blind(), None, "nothing was looked at");
        for second in 0..59 {
            sight.note(at(second), at(second + 1), 1, 0);
        }
        assert_eq!(sight.blind(), None, "too little yet");
        sight.note(at(59), at(60), 1, 0);
        assert_eq!(sight.blind(), Some(60));
        sight.note(at(60), at(61), 1, 1);
        assert_eq!(sight.blind(), None, "it sees something");
        let mut busy = Sight::default();
        busy.note(at(0), at(1), ENOUGH, 0);
        assert_eq!(busy.blind(), None, "it may have begun in the middle of something");
        busy.note(at(1), at(20), 0, 0);
        assert_eq!(busy.blind(), Some(ENOUGH));
    }
}
