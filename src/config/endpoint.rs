//! Where a pipeline runs: plain data for the adapters.
//!
//! In: a resolved file. Out: addresses, topics, folders. Holds: a secret never shows in `Debug`.
//! Knows nothing of: sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a pipeline runs.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The Kafka cluster, if any.
    pub kafka: Option<KafkaEndpoint>,
    /// Input topics: the primary's, then the candidates'.
    pub topics: Vec<String>,
    /// Where signals go; to a file if none.
    pub control_topic: Option<String>,
    /// Where unreadable records go; to a file if none.
    pub dead_letter_topic: Option<String>,
    /// Root of the tables.
    pub output: PathBuf,
    /// Where the log is.
    pub log: LogEndpoint,
    /// Where HTTP listens, if at all.
    pub http: Option<SocketAddr>,
    /// How many workers a process has.
    pub threads: Threads,
}

/// How many workers a process has: each is a thread with a consumer, a member of the group and tasks of
/// its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// As many as the host has cores for.
    Auto,
    /// So many; never more than there are tasks.
    Exactly(u32),
}

/// Where the log is.
#[derive(Clone, Debug)]
pub enum LogEndpoint {
    /// A folder on a local disk: one process runs the pipeline.
    Folder(PathBuf),
    /// A topic, and `NAME.evaluator` beside it: any number of processes do.
    Topic {
        /// Its name.
        name: String,
        /// How long entries are kept when the engine makes the topics, in milliseconds.
        retention_ms: i64,
    },
}

/// A Kafka cluster and how to talk to it.
#[derive(Clone, Debug)]
pub struct KafkaEndpoint {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// Group under which offsets are committed, and partitions handed out.
    pub group: String,
    /// Names this instance, so that a restart within the session keeps its partitions.
    pub instance: Option<String>,
    /// How long a silent instance keeps its partitions, in milliseconds.
    pub session_ms: i64,
    /// Passed through to librdkafka.
    pub properties: BTreeMap<String, Property>,
}

/// A property's value.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// The value.
    pub value: String,
    /// It must not be shown.
    pub is_secret: bool,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_secret { f.write_str("[secret]") } else { write!(f, "{:?}", self.value) }
    }
}

/// Returns whether a property's name says that its value is a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "jaas", "token", ".pem", "ssl.key", "passphrase", "oauthbearer.config"]
        .iter()
        .any(|word| name.contains(word))
}
