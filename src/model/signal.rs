//! The message on the control topic that carries a decision.
//!
//! In: a decision with its evidence. Out: what the sink encodes as a CloudEvent. Holds: the same
//! decision always has the same id and the same bytes. Knows nothing of: Kafka headers.

use serde::{Deserialize, Serialize};

/// A decision on its way out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signal {
    /// Number of what was weighed in the evaluator's log × 32, plus its rank among that weighing's
    /// signals: consumers ignore a lower one of the same key.
    pub sequence: u64,
    /// Deterministic: a function of the rollout, the rule and the time of what was weighed.
    pub id: String,
    /// `pipeline/candidate`.
    pub key: String,
    /// CloudEvents type, such as `dev.parallax.rollback.v1`.
    pub kind: String,
    /// CloudEvents source, such as `/pipelines/fraud`.
    pub source: String,
    /// RFC 3339 time of what was weighed.
    pub time: String,
    /// JSON, valid under `schemas/signal.v1.json`.
    pub data: String,
}
