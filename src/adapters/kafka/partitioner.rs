//! How a topic's records came to their partitions, guessed from a sample of them.
//!
//! In: keys, request ids and partitions. Out: the partitioner that explains every one of them, and in words
//! how topics differ. Holds: a guess is made only where chance would agree less than once in a million; pure.
//! Knows nothing of: clusters.

use std::collections::BTreeMap;

/// A sampled record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sampled {
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its request id, if it could be read.
    pub id: Option<String>,
    /// Where it lies.
    pub partition: u32,
}

/// A topic's sample.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Some of its records.
    pub records: Vec<Sampled>,
}

/// How records come to partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guess {
    /// Too few records, or partitions, to say.
    Unknown,
    /// They have no key, and no hash of the id explains where they lie.
    NoKey,
    /// A hash of this explains them all.
    By(&'static str, Of),
    /// They have a key, and nothing that is known here explains them.
    Otherwise,
}

/// What is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// The record's key.
    Key,
    /// The request id in it.
    Id,
}

type Hash = fn(&[u8]) -> u32;

/// What producers use: Java's default and librdkafka's `murmur2`, `murmur2_random`; librdkafka's
/// `consistent`, `consistent_random` (its default); librdkafka's `fnv1a`, Sarama's default.
const HASHES: [(&str, Hash); 3] = [("murmur2", murmur2), ("crc32", crc32), ("fnv1a", fnv1a)];

/// Chance must agree less often than this, as a logarithm.
const BY_CHANCE: f64 = 13.8;

/// Java's default, without its sign: `org.apache.kafka.common.utils.Utils.murmur2` and `toPositive`.
fn murmur2(bytes: &[u8]) -> u32 {
    crate::generate::murmur2(bytes) & 0x7fff_ffff
}

/// CRC-32 of IEEE 802.3: librdkafka's `rd_crc32`.
fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// FNV-1a of 32 bits, its absolute value as a signed number, as librdkafka's `rd_fnv1a` and Sarama take it.
fn fnv1a(bytes: &[u8]) -> u32 {
    let step = |h: u32, byte: &u8| (h ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step).cast_signed().unsigned_abs()
}

/// Returns how the records of a topic came to their partitions.
#[must_use]
pub fn guess(topic: &Topic) -> Guess {
    let keyed: Vec<&Sampled> = topic.records.iter().filter(|record| record.key.is_some()).collect();
    let has_keys = topic.records.len() <= 2 * keyed.len();
    for (of, what) in [(Of::Key, &keyed), (Of::Id, &topic.records.iter().collect())] {
        let bytes = |record: &Sampled| match of {
            Of::Key => record.key.clone(),
            Of::Id => record.id.clone().map(String::into_bytes),
        };
        let told: Vec<(Vec<u8>, u32)> =
            what.iter().filter_map(|record| Some((bytes(record)?, record.partition))).collect();
        // The same bytes again say nothing new.
        let told: BTreeMap<Vec<u8>, u32> = told.into_iter().collect();
        if !is_enough(told.len(), topic.partitions) || of == Of::Key && !has_keys {
            continue;
        }
        let fits = |hash: Hash| told.iter().all(|(of, at)| hash(of) % topic.partitions == *at);
        if let Some((name, _)) = HASHES.into_iter().find(|(_, hash)| fits(*hash)) {
            return Guess::By(name, of);
        }
    }
    if !is_enough(topic.records.len(), topic.partitions) {
        Guess::Unknown
    } else if has_keys {
        Guess::Otherwise
    } else {
        Guess::NoKey
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are small")]
fn is_enough(records: usize, partitions: u32) -> bool {
    BY_CHANCE <= records as f64 * f64::from(partitions.max(1)).ln()
}

/// Requests that both samples hold, and those of them that lie in different partitions.
fn shared(one: &Topic, other: &Topic) -> (usize, usize) {
    let place = |record: &'_ Sampled| Some((record.id.clone()?, record.partition));
    let places: BTreeMap<String, u32> = one.records.iter().filter_map(place).collect();
    let both = other.records.iter().filter_map(|record| {
        let at = places.get(record.id.as_ref()?)?;
        Some(*at != record.partition)
    });
    let both: Vec<bool> = both.collect();
    (both.len(), both.iter().filter(|apart| **apart).count())
}

/// Returns how topics are keyed, in words; empty where nothing can be said of any.
#[must_use]
pub fn diagnosis(topics: &[Topic]) -> String {
    let said = topics.iter().filter_map(|topic| {
        let how = match guess(topic) {
            Guess::Unknown => return None,
            Guess::NoKey => "has no key".to_owned(),
            Guess::By(hash, Of::Key) => format!("is keyed with {hash} of the key"),
            Guess::By(hash, Of::Id) => format!("is keyed with {hash} of the request id"),
            Guess::Otherwise => "has a key, and a partitioner that isn't known here".to_owned(),
        };
        Some(format!("{} {how}", topic.name))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// Returns what is wrong with topics of equal partition counts that should be co-partitioned, if the samples show it.
#[must_use]
pub fn objection(topics: &[Topic]) -> Option<String> {
    let (primary, others) = topics.split_first()?;
    for other in others {
        let (both, apart) = shared(primary, other);
        let differ = match (guess(primary), guess(other)) {
            (Guess::Unknown | Guess::Otherwise, _) | (_, Guess::Unknown | Guess::Otherwise) => {
                false
            }
            (one, two) => one != two || one == Guess::NoKey,
        };
        // A few may have been asked again, or written by hand; where all lie together, how doesn't matter.
        let lie_apart = both < 10 * apart;
        if lie_apart || differ && both == 0 {
            let how = diagnosis(topics);
            let how = if how.is_empty() { how } else { format!("{how}; ") };
            let seen = format!(
                "of {both} requests seen in both {} and {}, {apart} lie in different partitions",
                primary.name, other.name
            );
            return Some(format!("{how}{seen}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_producers() {
        // Kafka's UtilsTest.testMurmur2, without the sign.
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash.cast_unsigned() & 0x7fff_ffff, "{text}");
        }
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        // Landon Curt Noll's vectors of FNV-1a; librdkafka's own of `kafka` (rdfnv1a.c).
        assert_eq!(fnv1a(b""), 0x811c_9dc5_u32.cast_signed().unsigned_abs());
        assert_eq!(fnv1a(b"a"), 0xe40c_292c_u32.cast_signed().unsigned_abs());
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968_u32.cast_signed().unsigned_abs());
        assert_eq!(fnv1a(b"kafka"), 0x0d33_c4e1);
    }

    fn topic(
        name: &str,
        partitions: u32,
        count: u32,
        at: impl Fn(&str) -> (Option<&str>, u32),
    ) -> Topic {
        let record = |n: u32| {
            let id = format!("r{n}");
            let (key, partition) = at(&id);
            Sampled { key: key.map(|key| key.as_bytes().to_vec()), partition, id: Some(id) }
        };
        Topic { name: name.to_owned(), partitions, records: (0..count).map(record).collect() }
    }

    fn hashed(name: &str, partitions: u32, hash: Hash) -> Topic {
        topic(name, partitions, 40, |id| (Some("k"), hash(id.as_bytes()) % partitions)).keyed()
    }

    impl Topic {
        /// The key is the id.
        fn keyed(mut self) -> Self {
            for record in &mut self.records {
                record.key = record.id.clone().map(String::into_bytes);
            }
            self
        }
    }

    #[test]
    fn a_sample_tells_the_partitioner() {
        let primary = hashed("p", 3, murmur2);
        let v8 = hashed("v8", 5, crc32);
        let v9 = hashed("v9", 4, fnv1a);
        let said = diagnosis(&[primary, v8, v9]);
        assert_eq!(
            said,
            "p is keyed with murmur2 of the key, v8 is keyed with crc32 of the key, v9 is keyed with fnv1a of the key"
        );
    }

    #[test]
    fn without_a_key_the_id_may_tell() {
        let by_id = topic("t", 4, 40, |id| (None, murmur2(id.as_bytes()) % 4));
        assert_eq!(guess(&by_id), Guess::By("murmur2", Of::Id));
        let by_none = topic("t", 4, 40, |id| (None, u32::try_from(id.len()).unwrap() % 4));
        assert_eq!(guess(&by_none), Guess::NoKey);
        let by_other = topic("t", 4, 40, |id| (Some("x"), u32::try_from(id.len()).unwrap() % 4));
        assert_eq!(guess(&by_other.keyed()), Guess::Otherwise);
    }

    #[test]
    fn too_little_tells_nothing() {
        assert_eq!(guess(&topic("t", 1, 40, |_| (None, 0))), Guess::Unknown);
        assert_eq!(guess(&topic("t", 4, 5, |_| (None, 0))), Guess::Unknown);
        assert_eq!(diagnosis(&[topic("t", 4, 0, |_| (None, 0))]), "");
    }

    #[test]
    fn equal_counts_are_objected_to_where_requests_lie_apart() {
        let (murmur, crc) = (hashed("p", 4, murmur2), hashed("v8", 4, crc32));
        assert!(objection(&[murmur.clone(), crc]).unwrap().contains("lie in different partitions"));
        assert_eq!(
            objection(&[murmur.clone(), Topic { name: "v8".into(), ..murmur.clone() }]),
            None
        );
        // Nothing in common was seen, and the same partitioner: nothing to say.
        let mut later = murmur.clone();
        later.records.retain(|record| record.id.as_deref().is_some_and(|id| id.ends_with('1')));
        assert_eq!(objection(&[murmur, Topic { records: Vec::new(), ..later }]), None);
    }
}
