//! Pane, wait and skew, and by which of them event time goes where they change.
//!
//! In: a tempo, perhaps the one before it, and from when on it counts. Out: to which pane a time belongs,
//! when a pane closes, how far one has to look back. Holds: all of it is a function of event time, so that
//! whoever hears of a change late or reads again comes to the same; `frontier` and `closes_at` say the same
//! and never go back; without a change they are the plain formula. Knows nothing of: who decides a change.

use serde::{Deserialize, Serialize};

use super::time::{EventTime, Span};

/// The three lengths by which a pipeline's time goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tempo {
    /// The smallest span of event time.
    pub pane: Span,
    /// How long after a request its events may still come.
    pub wait: Span,
    /// How far apart the arms may stamp the same request.
    pub skew: Span,
}

/// Tempos by event time: the newest, and the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Times {
    /// Which pipeline file asked for the newest tempo; 0 for the first.
    pub revision: u32,
    /// The tempo of times before `from`.
    pub before: Tempo,
    /// A multiple of both panes and of every window; `EventTime::START` if there was no change.
    pub from: EventTime,
    /// The tempo of times from `from` on.
    pub tempo: Tempo,
}

/// How far a task closes until it hears from when on another tempo counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Which pipeline file asked.
    pub revision: u32,
    /// For what.
    pub tempo: Tempo,
    /// The change isn't before this.
    pub to: EventTime,
}

/// So many skews back lies all that a pane depends on: a pair reaches one, and whether its far side was
/// a first two more.
const LOOK_BACK: i64 = 3;

impl Tempo {
    /// Returns how far before a pane lies what it depends on.
    #[must_use]
    pub fn look_back(&self) -> Span {
        self.skew.times(LOOK_BACK)
    }
}

impl Times {
    /// One tempo for all time.
    #[must_use]
    pub const fn always(tempo: Tempo) -> Self {
        Self { revision: 0, before: tempo, from: EventTime::START, tempo }
    }

    /// The tempo of a time.
    #[must_use]
    pub fn at(&self, time: EventTime) -> &Tempo {
        if time < self.from { &self.before } else { &self.tempo }
    }

    /// Start of the pane that holds this time.
    #[must_use]
    pub fn pane_of(&self, time: EventTime) -> EventTime {
        time.floor(self.at(time).pane)
    }

    /// End of the pane that starts here.
    #[must_use]
    pub fn end_of(&self, start: EventTime) -> EventTime {
        start.plus(self.at(start).pane)
    }

    /// Returns how far apart the two stamps of one request may lie.
    #[must_use]
    pub fn skew_of(&self, one: EventTime, other: EventTime) -> Span {
        self.at(one).skew.min(self.at(other).skew)
    }

    /// Returns how far a pair reaches at most.
    #[must_use]
    pub fn reach(&self) -> Span {
        self.before.skew.max(self.tempo.skew)
    }

    /// Returns how far before a pane lies what it depends on.
    #[must_use]
    pub fn look_back(&self) -> Span {
        self.before.look_back().max(self.tempo.look_back())
    }

    /// The running max at which a pane that ends here is closed: every record that could still belong to
    /// it, or pair with one that does, would be late.
    #[must_use]
    pub fn closes_at(&self, end: EventTime) -> EventTime {
        let Self { before, from, tempo, .. } = self;
        if end <= *from {
            return self.closes_before(end);
        }
        let plain = end.plus(tempo.skew).plus(tempo.wait);
        if *from == EventTime::START {
            return plain;
        }
        plain.max(from.plus(before.wait)).max(self.closes_before(*from))
    }

    /// The same of a pane that ends before the change, or with it.
    fn closes_before(&self, end: EventTime) -> EventTime {
        let reaches = end.plus(self.before.skew);
        let wait = if self.from < reaches { self.slower() } else { self.before.wait };
        reaches.plus(wait)
    }

    fn slower(&self) -> Span {
        self.before.wait.max(self.tempo.wait)
    }

    /// Everything before this is closed at a running max.
    #[must_use]
    pub fn frontier(&self, max: EventTime) -> EventTime {
        let Self { before, from, tempo, .. } = self;
        let plain = max.minus(tempo.wait).minus(tempo.skew).floor(tempo.pane);
        if *from == EventTime::START {
            return plain;
        }
        let at_change = self.closes_before(*from);
        if at_change <= max {
            let is_beyond = from.plus(before.wait) <= max;
            return if is_beyond { plain.max(*from) } else { *from };
        }
        let floor = |time: EventTime| time.minus(before.skew).floor(before.pane);
        let near = floor(max.minus(before.wait));
        // Panes that a pair across the change may reach are held open as the slower tempo wants it.
        let clear = floor(*from);
        if near <= clear { near } else { floor(max.minus(self.slower())).max(clear).min(*from) }
    }
}

impl Hold {
    /// Returns how far a task of this tempo closes: panes that are closed before the running max, by which leaps are
    /// told, reaches the change.
    #[must_use]
    pub fn limit(&self, tempo: &Tempo) -> EventTime {
        self.to.minus(tempo.wait).minus(tempo.skew).floor(tempo.pane)
    }
}

/// The first time of which all `spans` are divisors, far enough behind what is closed that nothing closed
/// depends on it, and nothing from it on on what may be forgotten; `EventTime::START` if nothing is closed.
#[must_use]
pub fn next_change(
    closed: EventTime,
    times: &Times,
    tempo: &Tempo,
    spans: &[Span],
) -> Option<EventTime> {
    if closed == EventTime::START {
        return Some(closed);
    }
    let look_back = times.look_back().max(tempo.look_back());
    let panes = [times.tempo.pane, tempo.pane];
    let common = common_multiple(spans.iter().copied().chain(panes))?;
    let clear = look_back.plus(times.tempo.wait).plus(Span::from_us(1));
    Some(closed.plus(clear).ceil(common))
}

/// The longest span by which a change may have to wait for panes and windows to end together.
const COMMON_MAX: Span = Span::from_secs(31 * 86_400);

/// The least span that holds whole ones of each; `None` if it is too long to be waited for.
#[must_use]
pub fn common_multiple(spans: impl IntoIterator<Item = Span>) -> Option<Span> {
    let mut common: i64 = 1;
    for span in spans {
        let (mut a, mut b) = (common, span.us().max(1));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        common = (common / a).checked_mul(span.us().max(1))?;
        if COMMON_MAX.us() < common {
            return None;
        }
    }
    Some(Span::from_us(common))
}

#[cfg(test)]
mod tests;
