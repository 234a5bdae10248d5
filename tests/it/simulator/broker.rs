//! The input topics: two partitions of a primary and two candidates.
//!
//! In: chance, the time. Out: records as they arrive, end offsets. Holds: offsets ascend with gaps;
//! what has arrived stays, unless a test damages it. Knows nothing of: who reads.

use parallax::model::record::Record;
use parallax::model::time::{EventTime, Span};

use super::rng::Rng;
use crate::world::{at, event};

pub(super) const PARTITIONS: usize = 2;
pub(super) const INPUTS: usize = 3;

/// A record of a topic.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) offset: i64,
    arrives: EventTime,
    stamp_ms: Option<i64>,
    value: String,
}

impl Stored {
    pub(super) fn record(&self) -> Record<'_> {
        Record {
            offset: self.offset,
            timestamp_ms: self.stamp_ms,
            key: None,
            value: Some(self.value.as_bytes()),
        }
    }
}

/// One partition of one topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    pub(super) records: Vec<Stored>,
    /// The first offset that is still there.
    pub(super) low: i64,
    /// It was made anew: no transactions' markers stand behind its last record.
    is_new: bool,
}

impl Partition {
    fn arrived(&self, now: EventTime) -> usize {
        self.records.partition_point(|record| record.arrives <= now)
    }

    /// Records from an offset on that are there now.
    pub(super) fn from(&self, offset: i64, now: EventTime) -> &[Stored] {
        let begin = self.records.partition_point(|record| record.offset < offset.max(self.low));
        self.records.get(begin..self.arrived(now)).unwrap_or_default()
    }

    /// The offset after everything that is there now, with the markers that no reader sees.
    pub(super) fn end(&self, now: EventTime) -> i64 {
        let arrived = self.arrived(now);
        match (self.records.get(arrived), self.records.last()) {
            (Some(next), _) => next.offset,
            (None, Some(last)) => last.offset + if self.is_new { 1 } else { 3 },
            (None, None) => 0,
        }
    }
}

/// All topics.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    /// By partition and input.
    pub(super) partitions: Vec<Vec<Partition>>,
    /// When the last record arrives.
    pub(super) last_arrival: EventTime,
    /// A time behind all that records tell.
    pub(super) after_all: EventTime,
}

struct Arrival {
    arrives: i64,
    tie: u64,
    place: (usize, usize),
    stamp: i64,
    value: String,
}

/// Inputs with skewed stamps, stragglers, copies, reused ids, wild clocks, bursts, quiet gaps, broken
/// records, overrides, new versions, failing and slow candidates, and gaps between offsets.
pub(super) fn broker(rng: &mut Rng) -> Broker {
    let stamped = rng.chance(50);
    let mut arrivals = arrivals(rng);
    arrivals.sort_by_key(|a| (a.arrives, a.tie));
    let last = arrivals.iter().map(|a| a.arrives).max().unwrap_or(0);
    let latest = arrivals.iter().map(|a| a.stamp).max().unwrap_or(0).max(last);
    let mut partitions = vec![vec![Partition::default(); INPUTS]; PARTITIONS];
    for Arrival { arrives, place: (partition, input), stamp, value, .. } in arrivals {
        let records = &mut partitions[partition][input].records;
        let gap = if rng.chance(10) { rng.below(5) as i64 } else { 0 };
        let offset = records.last().map_or(gap, |last: &Stored| last.offset + 1 + gap);
        let time = at(stamp as f64);
        let stamp_ms = stamped.then(|| time.us() / 1000 + 1000);
        records.push(Stored { offset, arrives: at(arrives as f64), stamp_ms, value });
    }
    Broker {
        partitions,
        last_arrival: at(last as f64),
        after_all: at(latest as f64).plus(Span::from_secs(200)),
    }
}

fn arrivals(rng: &mut Rng) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let mut time = 1000;
    let requests = 12 + rng.below(38);
    let bad_from = rng.below(requests);
    let bad = [rng.below(70), rng.below(70)];
    for n in 0..requests {
        time += if rng.chance(96) { rng.below(4) as i64 } else { 50 + rng.below(500) as i64 };
        let burst = if rng.chance(2) { 20 } else { 1 };
        for more in 0..burst {
            let id = format!("r{}", if rng.chance(2) { n / 2 } else { n * 32 + more });
            let partition = rng.index(PARTITIONS);
            for input in 0..INPUTS {
                if rng.chance(8) {
                    continue;
                }
                let skew = if input == 0 { 0 } else { rng.below(4) as i64 - 1 };
                let mut stamp = time + more as i64 + skew;
                let late =
                    [0, 0, 0, rng.below(9) as i64, rng.below(40) as i64][rng.below(5) as usize];
                if rng.chance(1) {
                    stamp += rng.below(4000) as i64 - 1500;
                }
                let spoilt =
                    0 < input && bad_from <= n && rng.chance(*bad.get(input - 1).unwrap_or(&0));
                let value = value(rng, &id, stamp, (input, spoilt));
                let mut arrive = |delay: i64, rng: &mut Rng| {
                    let place = (partition, input);
                    let (tie, value) = (rng.next(), value.clone());
                    arrivals.push(Arrival { arrives: time + delay, tie, place, stamp, value });
                };
                arrive(late, rng);
                if rng.chance(6) {
                    let delay = late + rng.below(30) as i64;
                    arrive(delay, rng);
                }
                if rng.chance(3) {
                    // Tried again.
                    stamp += rng.below(6) as i64;
                    let value = self::value(rng, &id, stamp, (input, spoilt));
                    let delay = late + rng.below(20) as i64;
                    let (tie, place) = (rng.next(), (partition, input));
                    arrivals.push(Arrival { arrives: time + delay, tie, place, stamp, value });
                }
            }
        }
    }
    arrivals
}

fn value(rng: &mut Rng, id: &str, stamp: i64, (input, spoilt): (usize, bool)) -> String {
    let good = ["ok", "ok", "ok", "ok", "ok", "fraud", "fraud", "ok", "?", "!"];
    let bad = ["!", "!", "?", "fraud"];
    let label = if spoilt { bad[rng.index(bad.len())] } else { good[rng.index(good.len())] };
    let latency = rng.below(40) as f64 * if spoilt { 20.0 } else { 1.0 };
    let country = ["BR", "DE", "XX"][rng.index(3)];
    let mut value = event(id, stamp as f64, label, latency, country);
    // Two neighbours are a batch.
    let batch = id.trim_start_matches('r').parse::<i64>().unwrap_or_default() / 2;
    let named = format!("\"batch\":{batch},\"event_time\"");
    value = value.replacen("\"event_time\"", &named, 1);
    match rng.below(50) {
        0 => value.truncate(20),
        1 => value = value.replace("\"latency_ms\":", "\"latency_ms\":-1e"),
        2 => value = value.replacen('{', "{\"assignment\":\"override\",", 1),
        3 if input != 0 => value = value.replacen('{', "{\"model_version\":\"v9\",", 1),
        4..6 => value = value.replacen('{', "{\"model_version\":\"v8\",", 1),
        _ => {}
    }
    value
}

/// How a topic is damaged behind a pipeline's back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// Records before an offset are gone.
    Truncated(i64),
    /// The records from an offset on are others.
    Replaced(i64),
    /// The topic begins anew with fewer records.
    Recreated,
}

impl Broker {
    /// When the next record arrives.
    pub(super) fn next_arrival(&self, now: EventTime) -> Option<EventTime> {
        let next = |topic: &Partition| topic.records.get(topic.arrived(now)).map(|r| r.arrives);
        self.partitions.iter().flatten().filter_map(next).min()
    }

    pub(super) fn damage(&mut self, partition: usize, input: usize, damage: Damage) {
        let damaged = &mut self.partitions[partition][input];
        match damage {
            Damage::Truncated(offset) => {
                damaged.records.retain(|record| offset <= record.offset);
                damaged.low = offset;
            }
            Damage::Replaced(offset) => {
                for record in damaged.records.iter_mut().filter(|r| offset <= r.offset) {
                    record.value = record.value.replace("\"request_id\":\"r", "\"request_id\":\"x");
                }
            }
            Damage::Recreated => {
                damaged.records.truncate(damaged.records.len() / 3);
                damaged.is_new = true;
                for (offset, record) in (0..).zip(&mut damaged.records) {
                    record.offset = offset;
                }
            }
        }
    }
}
