//! A record as its source hands it over.
//!
//! In: bytes in a client's buffer or a file. Out: the same, by reference. Holds: nothing is copied.
//! Knows nothing of: what the bytes mean.

/// One record of one input, valid until the call that hands it over returns.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its place in its partition; offsets ascend but may have gaps.
    pub offset: i64,
    /// The time stamp that the producer or broker gave it, in milliseconds, if any.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}
