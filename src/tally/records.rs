//! Accepted observations, kept compactly until no pane needs them.
//!
//! In: observations. Out: keys for the join, views for the tally. Holds: one arena per pane, so
//! keeping a record allocates nothing of its own and a pane is dropped whole; text is interned per
//! pane, so memory is bounded by the records kept. Knows nothing of: arms, comparisons.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::cluster::ClusterKey;
use crate::model::key::{Key, Place, Worth, hash_of, short};
use crate::model::observation::{Answer, DIMENSIONS_MAX, Observation};
use crate::model::time::EventTime;
use crate::model::times::Times;

/// Observations of one input.
#[derive(Debug)]
pub struct RecordStore {
    times: Times,
    panes: BTreeMap<EventTime, HeldPane>,
}

/// Observations of one pane.
#[derive(Debug, Default)]
struct HeldPane {
    records: Vec<Record>,
    text: String,
    words: Interner,
    /// By number of the record; empty where none has a key, and short where the last ones have none.
    clusters: Vec<Option<ClusterKey>>,
}

/// One observation, text by reference.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: u128,
    time: EventTime,
    offset: i64,
    number: f64,
    text_at: u32,
    latency_us: u32,
    label: u32,
    version: u32,
    segments: [u32; DIMENSIONS_MAX],
    text_len: u16,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Failed,
    Null,
    Label,
    Number,
    Unreadable,
    Override,
}

impl Kind {
    const fn worth(self) -> Worth {
        match self {
            Self::Failed | Self::Null | Self::Label | Self::Number => Worth::Answer,
            Self::Unreadable => Worth::Unreadable,
            Self::Override => Worth::Override,
        }
    }
}

const NO_LATENCY: u32 = u32::MAX;

impl RecordStore {
    /// Nothing, in the panes of these times.
    #[must_use]
    pub const fn new(times: Times) -> Self {
        Self { times, panes: BTreeMap::new() }
    }

    /// Keeps an observation; `id` is the hash of its request id.
    pub fn insert(&mut self, offset: i64, id: u128, observation: &Observation<'_>) {
        let pane = self.panes.entry(self.times.pane_of(observation.time)).or_default();
        let mut segments = [0; DIMENSIONS_MAX];
        for (slot, value) in segments.iter_mut().zip(&observation.segments) {
            *slot = pane.words.intern(value);
        }
        let (kind, label, number) = match &observation.answer {
            Answer::Failed => (Kind::Failed, 0, 0.0),
            Answer::Null => (Kind::Null, 0, 0.0),
            Answer::Label(label) => (Kind::Label, pane.words.intern(label), 0.0),
            Answer::Number(number) => (Kind::Number, 0, *number),
        };
        let version = pane.words.intern(observation.model_version.as_deref().unwrap_or_default());
        let latency = observation.latency_us.and_then(|us| u32::try_from(us).ok());
        let (text_at, text_len) = pane.keep(&observation.request_id);
        if observation.cluster.is_some() {
            pane.clusters.resize(pane.records.len(), None);
            pane.clusters.push(observation.cluster);
        }
        pane.records.push(Record {
            id,
            time: observation.time,
            offset,
            number,
            text_at,
            latency_us: latency.unwrap_or(NO_LATENCY),
            label,
            version,
            segments,
            text_len,
            kind,
        });
    }

    /// Notes that the record of this id couldn't be read.
    pub fn insert_unreadable(&mut self, offset: i64, request_id: &str, time: EventTime) {
        self.note(Kind::Unreadable, offset, request_id, time);
    }

    /// Notes that the assignment of this id was forced.
    pub fn insert_override(&mut self, offset: i64, request_id: &str, time: EventTime) {
        self.note(Kind::Override, offset, request_id, time);
    }

    /// Keeps a record that answers nothing.
    fn note(&mut self, kind: Kind, offset: i64, request_id: &str, time: EventTime) {
        let pane = self.panes.entry(self.times.pane_of(time)).or_default();
        pane.records.push(Record {
            id: hash_of(request_id),
            time,
            offset,
            number: 0.0,
            text_at: 0,
            latency_us: NO_LATENCY,
            label: 0,
            version: 0,
            segments: [0; DIMENSIONS_MAX],
            text_len: 0,
            kind,
        });
    }

    /// Forgets panes that end at or before `time`.
    pub fn forget_before(&mut self, time: EventTime) {
        while let Some(first) = self.panes.first_entry() {
            if time < self.times.end_of(*first.key()) {
                break;
            }
            first.remove();
        }
    }

    /// Starts of the panes that hold something, from `from` to before `to`.
    pub fn pane_starts(&self, from: EventTime, to: EventTime) -> impl Iterator<Item = EventTime> {
        self.panes.range(from..to).map(|(start, _)| *start)
    }

    /// First and last offset of a pane's answers, if it holds any.
    #[must_use]
    pub fn offsets(&self, pane: EventTime) -> Option<(i64, i64)> {
        let answers = self.panes.get(&pane)?.records.iter();
        let answers = answers.filter(|record| record.kind.worth() == Worth::Answer);
        let offsets = || answers.clone().map(|record| record.offset);
        Some((offsets().min()?, offsets().max()?))
    }

    /// Looks at the records from `from` to before `to`; their keys go to `keys`. They came from `feed`.
    pub fn slice<'h>(
        &'h self,
        (from, to): (EventTime, EventTime),
        feed: u8,
        keys: &mut Vec<Key>,
        slice: &mut Slice<'h>,
    ) {
        for (_, pane) in self.panes.range(self.times.pane_of(from)..to) {
            let at = u32::try_from(slice.panes.len()).unwrap_or(u32::MAX);
            for (index, record) in (0..).zip(&pane.records) {
                if from <= record.time && record.time < to {
                    keys.push(Key {
                        time: record.time,
                        feed,
                        offset: record.offset,
                        id: record.id,
                        worth: record.kind.worth(),
                        place: Place { pane: at, index },
                    });
                }
            }
            slice.panes.push((pane, feed));
        }
    }

    /// Bytes held, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.panes.values().map(HeldPane::bytes).sum()
    }

    /// Records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.panes.values().map(|pane| pane.records.len()).sum()
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl HeldPane {
    fn keep(&mut self, text: &str) -> (u32, u16) {
        let at = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        (at, u16::try_from(text.len()).unwrap_or(u16::MAX))
    }

    const fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.text.capacity()
            + self.words.text.capacity()
            + self.words.spans.capacity() * 8
            + self.clusters.capacity() * size_of::<ClusterKey>()
    }
}

/// Panes looked at together, each with the input that it came from.
#[derive(Debug, Default)]
pub struct Slice<'h> {
    panes: Vec<(&'h HeldPane, u8)>,
}

impl<'h> Slice<'h> {
    /// The record at `place`, which must come from this slice's keys.
    #[must_use]
    pub fn view(&self, place: Place) -> Option<View<'h>> {
        let (pane, feed) = *self.panes.get(place.pane as usize)?;
        let record = pane.records.get(place.index as usize)?;
        let cluster = pane.clusters.get(place.index as usize).copied().flatten();
        Some(View { pane, record, feed, at: place.pane, cluster })
    }
}

/// A kept observation, read-only.
#[derive(Clone, Copy, Debug)]
pub struct View<'h> {
    pane: &'h HeldPane,
    record: &'h Record,
    feed: u8,
    at: u32,
    cluster: Option<ClusterKey>,
}

/// A word and the number that stands for it within its pane.
#[derive(Clone, Copy, Debug)]
pub struct Word<'h> {
    /// Which pane of the slice numbers it.
    pub pane: u32,
    /// Its number there.
    pub number: u32,
    /// The word.
    pub text: &'h str,
}

impl<'h> View<'h> {
    /// The join key's text.
    #[must_use]
    pub fn request_id(&self) -> &'h str {
        let at = self.record.text_at as usize;
        self.pane.text.get(at..at + usize::from(self.record.text_len)).unwrap_or_default()
    }

    /// A stable hash of the request id.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        short(self.record.id)
    }

    /// Event time.
    #[must_use]
    pub const fn time(&self) -> EventTime {
        self.record.time
    }

    /// The input that it came from.
    #[must_use]
    pub const fn feed(&self) -> u8 {
        self.feed
    }

    /// Returns which records it comes together with, if that is known.
    #[must_use]
    pub const fn cluster(&self) -> Option<ClusterKey> {
        self.cluster
    }

    /// Offset in its partition.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.record.offset
    }

    /// Returns whether it failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.record.kind == Kind::Failed
    }

    /// Returns whether it answered without a usable prediction.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.record.kind == Kind::Null
    }

    /// Its class, if it answered with one.
    #[must_use]
    pub fn label(&self) -> Option<Word<'h>> {
        (self.record.kind == Kind::Label).then(|| self.word(self.record.label))
    }

    /// Its number, if it answered with one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        (self.record.kind == Kind::Number).then_some(self.record.number)
    }

    /// Latency in microseconds, if known.
    #[must_use]
    pub fn latency_us(&self) -> Option<u64> {
        (self.record.latency_us != NO_LATENCY).then_some(u64::from(self.record.latency_us))
    }

    /// The value of a dimension; empty if it has none.
    #[must_use]
    pub fn segment(&self, dimension: usize) -> Word<'h> {
        self.word(self.record.segments.get(dimension).copied().unwrap_or_default())
    }

    /// The model's version; empty if unknown.
    #[must_use]
    pub fn version(&self) -> &'h str {
        self.version_word().text
    }

    /// The same as a word of its pane; number 0 if unknown.
    #[must_use]
    pub fn version_word(&self) -> Word<'h> {
        self.word(self.record.version)
    }

    fn word(&self, number: u32) -> Word<'h> {
        Word { pane: self.at, number, text: self.pane.words.text(number) }
    }
}

/// Words of one pane by number; 0 is the empty word.
#[derive(Debug, Default)]
struct Interner {
    text: String,
    spans: Vec<(u32, u32)>,
    table: HashTable<u32>,
}

impl Interner {
    fn intern(&mut self, word: &str) -> u32 {
        if word.is_empty() {
            return 0;
        }
        let Self { text, spans, table } = self;
        let read = |number: u32| {
            let (at, end) = spans.get((number - 1) as usize).copied().unwrap_or_default();
            text.get(at as usize..end as usize).unwrap_or_default()
        };
        let hash = xxh3_64(word.as_bytes());
        if let Some(number) = table.find(hash, |&number| read(number) == word) {
            return *number;
        }
        let number = u32::try_from(spans.len() + 1).unwrap_or(u32::MAX);
        table.insert_unique(hash, number, |&number| xxh3_64(read(number).as_bytes()));
        let at = u32::try_from(text.len()).unwrap_or(u32::MAX);
        text.push_str(word);
        spans.push((at, u32::try_from(text.len()).unwrap_or(u32::MAX)));
        number
    }

    fn text(&self, number: u32) -> &str {
        let Some(at) = number.checked_sub(1) else { return "" };
        let (at, end) = self.spans.get(at as usize).copied().unwrap_or_default();
        self.text.get(at as usize..end as usize).unwrap_or_default()
    }
}
