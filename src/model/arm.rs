//! Who answered, and how the request came to them.
//!
//! In: words on the wire. Out: arms and assignments. Holds: inputs are numbered by arm: 0 is the
//! primary, n is candidate n − 1. Knows nothing of: topics, files.

use serde::{Deserialize, Serialize};

/// Who answered a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Arm {
    /// Serves users.
    Primary,
    /// On trial; the number counts candidates in the order of the pipeline file.
    Candidate(u8),
}

impl Arm {
    /// The arm whose answers input `input` carries.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "checked to fit")]
    pub const fn of_input(input: usize) -> Self {
        if input == 0 {
            Self::Primary
        } else {
            Self::Candidate(if input < 256 { input as u8 - 1 } else { u8::MAX })
        }
    }

    /// The input that carries this arm's answers.
    #[must_use]
    pub const fn input(self) -> usize {
        match self {
            Self::Primary => 0,
            Self::Candidate(n) => n as usize + 1,
        }
    }
}

/// The side of a comparison that a word on the wire names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The primary or one of its aliases.
    Primary,
    /// A word that any candidate goes by.
    Candidate,
}

/// Other words for the primary that are read on input.
pub const PRIMARY_ALIASES: [&str; 6] =
    ["primary", "baseline", "control", "champion", "stable", "blue"];
/// Words for any candidate that are read on input.
pub const CANDIDATE_ALIASES: [&str; 6] =
    ["candidate", "shadow", "canary", "challenger", "treatment", "green"];

impl Side {
    /// Reads an alias, or `None` for a word that can only be a candidate's own name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if PRIMARY_ALIASES.contains(&word) {
            Some(Self::Primary)
        } else if CANDIDATE_ALIASES.contains(&word) {
            Some(Self::Candidate)
        } else {
            None
        }
    }
}

/// How a request came to its arm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Assignment {
    /// By chance, or to every arm alike: may be used as evidence.
    #[default]
    Random,
    /// Forced by a header, a tester, an allow-list: counted, never used as evidence.
    Override,
}
