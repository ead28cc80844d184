//! What a credential helper may do wrong.

use std::io;
use std::time::Duration;

/// Why a credential helper did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperFault {
    /// There is no such program.
    #[error("it is not installed")]
    Missing,
    /// Its name could lead elsewhere.
    #[error("its name is malformed")]
    BadName,
    /// It cannot be started or talked to.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    Slow(Duration),
    /// It said too much.
    #[error("it answered more than {0} bytes")]
    TooLarge(u64),
    /// It failed, with these words.
    #[error("it said {0:?}")]
    Said(String),
    /// It failed without a word.
    #[error("it failed")]
    Failed,
    /// Its answer is not what the protocol says.
    #[error("its answer is malformed")]
    Malformed,
}
