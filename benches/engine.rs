//! The engine alone: events per second on one core, and allocations per event in the steady state.
//!
//! `cargo bench --bench engine -- [REQUESTS]`: traffic of the demo's kind, made beforehand, is fed to
//! one task in batches; entries go to the evaluator, rows are dropped. What the log costs is measured
//! beside it: each entry is encoded once and read back by the task and by the evaluator.
#![expect(clippy::print_stdout, unsafe_code, reason = "a bench counts allocations and speaks")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parallax::adapters::log::codec;
use parallax::engine::evaluator::{self, Evaluator};
use parallax::engine::{Effect, Input, Task};
use parallax::generate::{Scenario, Traffic};
use parallax::model::entry::Entry;
use parallax::model::record::Record;
use parallax::model::time::{EventTime, Span};
use parallax::runtime::clock::monotonic;
use parallax::runtime::log::{Body, Stream};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

struct Bench {
    task: Task,
    evaluator: Evaluator,
    position: u64,
    log: LogCost,
}

#[derive(Default)]
struct LogCost {
    seconds: f64,
    bytes: usize,
    entries: usize,
    bytes_out: Vec<u8>,
}

impl LogCost {
    fn add(&mut self, stream: Stream, body: &Body) {
        let begun = monotonic();
        self.bytes_out.clear();
        codec::encode(1, body, &mut self.bytes_out).expect("it can be written");
        let readers = if stream == Stream::Evaluator { 1 } else { 2 };
        for _ in 0..readers {
            std::hint::black_box(codec::decode(stream, &self.bytes_out).expect("it can be read"));
        }
        self.seconds += monotonic().duration_since(begun).as_secs_f64();
        self.bytes += self.bytes_out.len();
        self.entries += 1;
    }
}

impl Bench {
    fn settle(&mut self) {
        loop {
            let mut entries = Vec::new();
            while let Some(effect) = self.task.poll() {
                if let Effect::Append(entry) = effect {
                    self.position += 1;
                    entries.push((self.position, entry));
                }
            }
            let mut weighings = Vec::new();
            while let Some(effect) = self.evaluator.poll() {
                if let evaluator::Effect::Append(entry) = effect {
                    weighings.push(entry);
                }
            }
            if entries.is_empty() && weighings.is_empty() {
                return;
            }
            for (_, entry) in &entries {
                self.log.add(Stream::Task(0), &Body::Task(Arc::new(entry.clone())));
            }
            for entry in &weighings {
                self.log.add(Stream::Evaluator, &Body::Evaluator(Arc::new(entry.clone())));
            }
            for (position, entry) in &entries {
                if let Entry::Fact(fact) = entry {
                    self.task.handle(Input::Logged(*fact));
                }
                self.evaluator.handle(evaluator::Input::Entry {
                    task: 0,
                    position: *position,
                    entry,
                });
            }
            for entry in &weighings {
                self.evaluator.handle(evaluator::Input::Logged(entry));
            }
        }
    }
}

fn main() {
    let requests: u64 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(400_000);
    let text = include_str!("../pipelines/fraud.yaml");
    let spec = parallax::config::load(text, "p", &std::collections::HashMap::new())
        .expect("it loads")
        .spec;
    let spec = Arc::new(spec);
    let mut scenario = Scenario { requests, rate: 2000.0, partitions: 1, ..Scenario::fraud(1) };
    scenario.faults.disorder_s = 1.0;
    let arrivals: Vec<_> = Traffic::new(scenario).collect();
    let bytes: usize = arrivals.iter().map(|arrival| arrival.payload.len()).sum();
    let mut evaluator = Evaluator::recover(Arc::clone(&spec), 1, None, None).expect("an empty log");
    evaluator.lead();
    let task = Task::recover(spec, 0, [], &std::collections::BTreeSet::new());
    let mut bench = Bench { task, evaluator, position: 0, log: LogCost::default() };
    let (mut offsets, mut read_allocations, mut read) = ([0_i64; 2], 0, 0_u64);
    let begun = monotonic();
    for chunk in arrivals.chunks(2048) {
        for (input, next) in offsets.iter_mut().enumerate() {
            let of_input = chunk.iter().filter(|arrival| arrival.input == input);
            let records: Vec<Record<'_>> = of_input
                .zip(*next..)
                .map(|(arrival, offset)| Record {
                    offset,
                    timestamp_ms: Some(arrival.at_us / 1000),
                    key: None,
                    value: Some(arrival.payload.as_bytes()),
                })
                .collect();
            *next += records.len() as i64;
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            bench.task.handle(Input::Records { input, records: &records, read_at: None });
            // The first third, in which time begins and arenas grow, isn't the steady state.
            if arrivals.len() as u64 / 3 < read {
                read_allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
            }
            read += records.len() as u64;
        }
        let now = EventTime::from_us(chunk.last().map_or(0, |a| a.at_us)).floor(Span::from_secs(1));
        bench.task.handle(Input::Tick { now, up_to: EventTime::END });
        bench.settle();
        bench.evaluator.handle(evaluator::Input::Cut { at: now, patient: false });
        bench.settle();
    }
    let log = bench.log;
    let seconds = monotonic().duration_since(begun).as_secs_f64() - log.seconds;
    let steady = read as f64 * 2.0 / 3.0;
    println!(
        "{read} events, {} B each: {:.0} events/s, {:.2} µs per event (one core, decode to decisions)",
        bytes / arrivals.len(),
        read as f64 / seconds,
        seconds * 1e6 / read as f64
    );
    println!(
        "{:.4} allocations per event in the steady state, closing of panes included",
        read_allocations as f64 / steady
    );
    println!(
        "log: {} entries, {:.2} % of the input's bytes; encoding and reading back cost {:.2} % of that time",
        log.entries,
        log.bytes as f64 * 100.0 / bytes as f64,
        log.seconds * 100.0 / seconds
    );
    assert!(read_allocations as f64 / steady <= 0.1, "more than 0.1 allocations per event");
}
