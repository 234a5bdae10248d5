//! What reading alone costs: every record of some topics is taken and dropped.
//!
//! `scripts/bench-kafka` runs it beside `parallax run`; the ratio of their CPU per event is what the
//! engine adds. In: brokers and topics. Out: records and bytes read. Holds: the same source, settings
//! and allocator as the engine's. Knows nothing of: what records mean.
#![expect(clippy::print_stdout, reason = "a bench speaks")]

use std::collections::BTreeMap;
use std::time::Duration;

use parallax::adapters::kafka::source::KafkaSource;
use parallax::config::endpoint::KafkaEndpoint;
use parallax::model::record::Record;
use parallax::runtime::clock::{idle, monotonic};
use parallax::runtime::source::Source as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records that are taken at once, as a live run does.
const BATCH: usize = 1024;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(brokers) = arguments.next() else {
        println!("consumer: scripts/bench-kafka runs it; by hand: BROKERS TOPIC…");
        return;
    };
    let topics: Vec<String> = arguments.collect();
    let group = "parallax-bench".to_owned();
    let properties = BTreeMap::new();
    let endpoint = KafkaEndpoint { brokers, group, instance: None, session_ms: 10_000, properties };
    let mut source = KafkaSource::connect(&endpoint, &topics).expect("the cluster answers");
    let ends = source.ends_now().expect("the topics have ends");
    for partition in 0..source.partitions() {
        source.begin(partition, &vec![0; topics.len()], &[]).expect("reading begins");
    }
    let (mut records, mut bytes) = (0_usize, 0_usize);
    let begun = monotonic();
    while records < ends.iter().flatten().map(|&end| usize::try_from(end).unwrap_or(0)).sum() {
        source.pump().expect("the cluster answers");
        let mut read = 0;
        for partition in 0..source.partitions() {
            for input in 0..topics.len() {
                let mut take = |batch: &[Record<'_>]| {
                    bytes += batch.iter().filter_map(|r| r.value.map(<[u8]>::len)).sum::<usize>();
                };
                read += source.drain(input, partition, BATCH, &mut take).expect("it reads");
            }
        }
        records += read;
        if read == 0 {
            idle(Duration::from_millis(2));
        }
    }
    let seconds = monotonic().duration_since(begun).as_secs_f64();
    println!("{records} records, {bytes} bytes in {seconds:.2} s");
}
