//! A log as somebody reads it who owns nothing.
//!
//! In: a stream, a place in it. Out: frames as they are now. Holds: nothing is claimed, locked or written, so it
//! can be done beside running owners. Knows nothing of: what entries mean, where the log is kept.

use anyhow::Result;

use crate::runtime::log::{Begin, LogError, LogFrame, Stream};

/// A log that is only looked at.
pub trait LogReader {
    /// Returns how many tasks have a stream in it.
    fn tasks(&self) -> u32;

    /// Returns frames of a stream from there on, at most `most`, and whether they begin with its very first.
    ///
    /// # Errors
    /// Frames from there on are gone, or it can't be read.
    fn frames(
        &mut self,
        stream: Stream,
        from: Begin,
        most: u64,
    ) -> Result<(Vec<LogFrame>, bool), LogError>;
}

/// Opens a pipeline's log as it is now.
pub type OpenLog = dyn Fn() -> Result<Box<dyn LogReader>> + Send + Sync;
