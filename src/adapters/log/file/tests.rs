//! A log on disk gives back what was durable, cuts what was torn, and stops at damage.

use super::*;
use crate::model::entry::{Entry, EvaluatorEntry, Fact};
use crate::model::time::EventTime;

const TASK: Stream = Stream::Task(0);

fn fact(offset: i64) -> Body {
    Body::Task(Arc::new(Entry::Fact(Fact {
        input: 0,
        offset,
        time: EventTime::from_us(offset),
        end: false,
        confirmed: EventTime::from_us(offset),
    })))
}

fn state() -> Body {
    let bytes = (0..10_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Body::Evaluator(Arc::new(EvaluatorEntry::State { bytes, files: Vec::new() }))
}

fn filled(dir: &Path) -> Vec<Body> {
    let (mut log, torn) = FileLog::open(dir, 2).unwrap();
    assert!(torn.is_none());
    log.read(TASK, Begin::Behind(0)).unwrap();
    let bodies: Vec<Body> = (0..20).map(fact).collect();
    for body in &bodies {
        log.append(TASK, 1, body.clone()).unwrap();
    }
    log.append(Stream::Evaluator, 1, state()).unwrap();
    assert_eq!(all(&mut log), bodies, "what was appended is read back");
    bodies
}

fn all(log: &mut FileLog) -> Vec<Body> {
    std::iter::from_fn(|| log.poll().unwrap()).map(|frame| frame.body).collect()
}

#[test]
fn partitions_that_were_added_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let claim = Body::Task(Arc::new(Entry::Claim { nonce: 1, config: 1 }));
    let append = |bodies: &[(Stream, &Body)]| {
        let (mut log, _) = FileLog::open(dir.path(), 2).unwrap();
        log.read(TASK, Begin::Behind(0)).unwrap();
        for (stream, body) in bodies {
            log.append(*stream, 1, (*body).clone()).unwrap();
        }
        all(&mut log);
    };
    append(&[(TASK, &claim)]);
    append(&[(Stream::Task(1), &claim), (TASK, &fact(1))]);
    append(&[]);
    let error = FileLog::open(dir.path(), 3).err().unwrap().to_string();
    assert!(error.contains("is of 2 partitions and the inputs have 3"), "{error}");
}

#[test]
fn gives_back_what_was_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = filled(dir.path());
    let (mut log, _) = FileLog::open(dir.path(), 2).unwrap();
    assert!(log.read(TASK, Begin::Tail(5)).unwrap(), "a file is always read whole");
    assert_eq!(all(&mut log), bodies);
    let mut other = log.handle();
    assert!(!other.read(TASK, Begin::Behind(15)).unwrap());
    assert!(other.read(Stream::Evaluator, Begin::Behind(0)).unwrap());
    let mut expected = bodies[15..].to_vec();
    expected.push(state());
    assert_eq!(all(&mut other), expected);
    log.append(TASK, 7, fact(99)).unwrap();
    let frame = other.poll().unwrap().unwrap();
    assert_eq!((frame.position, frame.epoch, &frame.body), (21, 7, &fact(99)), "handles share it");
    other.forget(TASK);
    log.append(TASK, 7, fact(100)).unwrap();
    assert!(other.poll().unwrap().is_none());
    assert_eq!(all(&mut log), [fact(99), fact(100)]);
    assert!(matches!(FileLog::open(dir.path(), 2), Err(LogError::Locked(_))));
}

#[test]
fn cuts_a_torn_tail_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let path = dir.path().join("parallax.log");
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..60 {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let (mut log, torn) = FileLog::open(dir.path(), 2).unwrap();
        assert!(torn.is_some(), "{cut} bytes short");
        log.read(TASK, Begin::Behind(0)).unwrap();
        log.read(Stream::Evaluator, Begin::Behind(0)).unwrap();
        assert_eq!(all(&mut log).len(), 20);
    }
}

#[test]
fn damage_before_the_end_stops_the_job() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let path = dir.path().join("parallax.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = FileLog::open(dir.path(), 2).err().unwrap().to_string();
    assert!(error.contains("at byte") && error.contains("checksum"), "{error}");
}

#[test]
fn fewer_partitions_than_before_are_told() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut log, _) = FileLog::open(dir.path(), 3).unwrap();
        log.read(Stream::Task(2), Begin::Behind(0)).unwrap();
        log.append(Stream::Task(2), 0, fact(1)).unwrap();
        assert_eq!(all(&mut log).len(), 1);
    }
    let error = FileLog::open(dir.path(), 2).err().unwrap().to_string();
    assert!(error.contains("partition 2") && error.contains("only 2"), "{error}");
}
