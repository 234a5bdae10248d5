//! Frames as bytes.
//!
//! In: an epoch and a body. Out: bytes, and back. Holds: long ones are compressed; bytes that aren't a
//! frame of a known version are an error with a word, never a guess. Knows nothing of: files, topics.
//! Format: `schemas/log.v3.md`.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runtime::log::{Body, Stream};

/// Longer payloads are compressed.
const COMPRESS_FROM: usize = 512;
/// Not even a compressed one may grow beyond this, in bytes.
const PAYLOAD_MAX: usize = 256 << 20;
/// Epoch and kind.
const HEAD: usize = 9;

/// Appends the epoch, the kind and the payload of a frame to `out`.
///
/// # Errors
/// Text that says what can't be written.
pub fn encode(epoch: u64, body: &Body, out: &mut Vec<u8>) -> Result<(), String> {
    let plain = match body {
        Body::Task(entry) => plain(entry.as_ref())?,
        Body::Evaluator(weighing) => plain(weighing.as_ref())?,
    };
    out.extend_from_slice(&epoch.to_le_bytes());
    if COMPRESS_FROM < plain.len()
        && let Ok(packed) = zstd::bulk::compress(&plain, 1)
        && packed.len() < plain.len()
    {
        out.push(1);
        out.extend_from_slice(&packed);
    } else {
        out.push(0);
        out.extend_from_slice(&plain);
    }
    Ok(())
}

/// Epoch and body of a frame.
///
/// # Errors
/// Text that says why the bytes aren't a frame.
pub fn decode(stream: Stream, bytes: &[u8]) -> Result<(u64, Body), String> {
    let head = bytes.first_chunk::<HEAD>().ok_or("the frame is cut short")?;
    let [epoch @ .., kind] = *head;
    let payload = bytes.get(HEAD..).unwrap_or_default();
    let unpacked;
    let payload = match kind {
        0 => payload,
        1 => {
            unpacked = unpack(payload)?;
            &unpacked
        }
        kind => return Err(format!("frame kind {kind} is of a later version")),
    };
    let body = match stream {
        Stream::Task(_) => Body::Task(Arc::new(entry(payload)?)),
        Stream::Evaluator => Body::Evaluator(Arc::new(entry(payload)?)),
    };
    Ok((u64::from_le_bytes(epoch), body))
}

fn unpack(payload: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let decoder = zstd::stream::Decoder::new(payload).map_err(|error| error.to_string())?;
    let mut unpacked = Vec::new();
    decoder
        .take(PAYLOAD_MAX as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| error.to_string())?;
    if PAYLOAD_MAX < unpacked.len() {
        return Err(format!("an entry of more than {PAYLOAD_MAX} bytes can't be"));
    }
    Ok(unpacked)
}

fn plain<E: Serialize>(entry: &E) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(entry).map_err(|error| format!("encode an entry: {error}"))
}

fn entry<E: DeserializeOwned>(payload: &[u8]) -> Result<E, String> {
    postcard::from_bytes(payload).map_err(|error| format!("an entry can't be read: {error}"))
}
