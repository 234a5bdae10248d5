//! Batch reads of one partition's queue: what rust-rdkafka doesn't offer.
//!
//! In: a consumer that outlives the queue. Out: records by reference, valid within one call. Holds:
//! every message is destroyed once, also when `take` panics; no allocation per message; what lies behind the
//! offset that is asked for is kept for the next call, since a client can't put it back. Knows nothing of:
//! topics' meaning.
#![expect(unsafe_code, reason = "rust-rdkafka has no batch call; each block says why it is sound")]

use std::ffi::CString;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka_sys as sys;

use crate::model::record::Record;
use crate::runtime::source::Take;

/// One partition's queue, apart from the consumer's own.
pub(super) struct Queue {
    queue: *mut sys::rd_kafka_queue_t,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// Taken from the queue and not asked for yet.
    kept: Vec<*mut sys::rd_kafka_message_t>,
    records: Vec<Record<'static>>,
    // Dropped after `Drop::drop` has destroyed the queue: the client outlives its queues.
    _consumer: Arc<BaseConsumer>,
}

// SAFETY: a librdkafka queue may be used from any thread; `drain` takes `&mut self`, so never from
// two at once.
unsafe impl Send for Queue {}

/// What a drain found.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// Records handed out.
    pub(super) count: usize,
    /// Offset up to which everything was handed out.
    pub(super) next: Option<i64>,
    /// First error message, if any.
    pub(super) error: Option<(sys::rd_kafka_resp_err_t, String)>,
}

impl Queue {
    /// Splits the queue of a partition off; call before the partition is assigned.
    pub(super) fn split(consumer: &Arc<BaseConsumer>, topic: &str, partition: u32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let partition = i32::try_from(partition).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client is alive (we hold an Arc of its consumer), the topic is a C string that
        // librdkafka copies; a null result is checked.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        if queue.is_null() {
            return None;
        }
        // SAFETY: `queue` is alive; null means "forward to nobody", so that messages stay in it.
        unsafe { sys::rd_kafka_queue_forward(queue, std::ptr::null_mut()) };
        let _consumer = Arc::clone(consumer);
        let (messages, kept, records) = (Vec::new(), Vec::new(), Vec::new());
        Some(Self { queue, messages, kept, records, _consumer })
    }

    /// Hands out what lies ready before an offset, at most `max`.
    pub(super) fn drain(&mut self, max: usize, before: i64, take: &mut Take<'_>) -> Drained {
        if self.kept.is_empty() {
            self.messages.resize(max, std::ptr::null_mut());
            // SAFETY: the queue is alive; the vector has room for `max` pointers. Timeout 0 never waits.
            let count = unsafe {
                sys::rd_kafka_consume_batch_queue(self.queue, 0, self.messages.as_mut_ptr(), max)
            };
            self.messages.truncate(usize::try_from(count).unwrap_or(0));
        } else {
            std::mem::swap(&mut self.messages, &mut self.kept);
        }
        // SAFETY: librdkafka filled this pointer, and it isn't destroyed before `Messages` drops or the queue.
        let offset = |message: &*mut sys::rd_kafka_message_t| unsafe {
            let is_record = (**message).err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
            is_record.then_some((**message).offset)
        };
        let lies_behind = |message| offset(message).is_some_and(|offset| before <= offset);
        if let Some(at) = self.messages.iter().take(max).position(lies_behind) {
            self.kept.extend(self.messages.drain(at..));
        } else if max < self.messages.len() {
            self.kept.extend(self.messages.drain(max..));
        }
        let next = self.kept.first().and_then(offset);
        let mut guard = Messages { messages: &mut self.messages, records: &mut self.records };
        let drained = guard.hand_out(take);
        Drained { next: next.or(drained.next), ..drained }
    }

    /// Returns whether messages are kept: the client's own position lies behind them.
    pub(super) const fn keeps(&self) -> bool {
        !self.kept.is_empty()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        for message in self.kept.drain(..) {
            // SAFETY: it was taken from the queue and is destroyed once, before its client.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
        // SAFETY: the queue came from `rd_kafka_queue_get_partition` and is destroyed once, before
        // its client.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

/// Messages in hand; dropping it destroys them.
struct Messages<'q> {
    messages: &'q mut Vec<*mut sys::rd_kafka_message_t>,
    records: &'q mut Vec<Record<'static>>,
}

impl Messages<'_> {
    fn hand_out(&mut self, take: &mut Take<'_>) -> Drained {
        let mut drained = Drained::default();
        self.records.clear();
        for &message in self.messages.iter() {
            // SAFETY: librdkafka filled this pointer, and it isn't destroyed before `self` drops.
            let (raw, stamp) = unsafe {
                let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
                (&*message, sys::rd_kafka_message_timestamp(message, &raw mut kind))
            };
            if raw.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                if drained.error.is_none() {
                    // SAFETY: an error message's payload is its text, `len` bytes long.
                    let text = unsafe { bytes(raw.payload, raw.len) }.unwrap_or_default();
                    drained.error = Some((raw.err, String::from_utf8_lossy(text).into_owned()));
                }
                continue;
            }
            // SAFETY: key and payload are `key_len` and `len` bytes that live as long as the message;
            // the records are cleared before the messages are destroyed and never leave this call.
            let (key, value) =
                unsafe { (bytes(raw.key, raw.key_len), bytes(raw.payload, raw.len)) };
            let timestamp_ms = (0 <= stamp).then_some(stamp);
            self.records.push(Record { offset: raw.offset, timestamp_ms, key, value });
        }
        drained.count = self.records.len();
        drained.next = self.records.last().map(|record| record.offset + 1);
        if !self.records.is_empty() {
            take(self.records);
        }
        drained
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        self.records.clear();
        for message in self.messages.drain(..) {
            // SAFETY: each pointer is drained once, and no record refers to it any more.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

/// `len` bytes at `start`, or `None` for null.
///
/// # Safety
/// They must be readable for as long as the caller uses them.
unsafe fn bytes(start: *const std::ffi::c_void, len: usize) -> Option<&'static [u8]> {
    // SAFETY: as this function's own contract.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}
