//! What can go wrong in the store.
//!
//! Wording: lower case, no full stop, `cannot <verb> <thing>` or a plain statement, always with the path, id or name it
//! is about; what was expected comes before what was found. The cause is in `source()` and never in the text, so that a
//! printer that walks the chain says everything once. The store returns errors and logs nothing.

use std::path::{Path, PathBuf};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// The verb, e.g. `open`.
        op: &'static str,
        /// The file it was about.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The stream that was being stored broke. `source` may carry the error of whoever produced the stream.
    #[error("cannot read {what}")]
    Read {
        /// Which stream, e.g. `layer sha256:…`.
        what: String,
        /// What its reader said.
        source: std::io::Error,
    },
    /// The stream that was being made broke.
    #[error("cannot write {what}")]
    Write {
        /// Which stream, e.g. `layer sha256:…`.
        what: String,
        /// What its writer said.
        source: std::io::Error,
    },
    /// Something was asked for that is not there.
    #[error("{what} {name} not found")]
    NotFound {
        /// The kind of thing, e.g. `image`.
        what: &'static str,
        /// Its name as it was given.
        name: String,
    },
    /// Input that breaks the rules of its format.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The document, entry or name.
        what: String,
        /// The rule it breaks.
        why: String,
    },
    /// Bytes in the store that are not what their name says.
    #[error("{what} is corrupt: expected {expected}, found {found}")]
    Corrupt {
        /// The object or layer.
        what: String,
        /// What its name promised.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Input that is not what it was announced as.
    #[error("{what} does not match: expected {expected}, found {found}")]
    Mismatch {
        /// Which blob, and which of its properties.
        what: String,
        /// What was announced.
        expected: String,
        /// What came.
        found: String,
    },
    /// Input beyond a named limit.
    #[error("{what} is too large: the limit is {limit}")]
    TooLarge {
        /// What was counted or measured.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// Another process holds the lock.
    #[error("cannot lock {}: {holder} holds it", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as it can be told.
        holder: String,
    },
    /// Something that exists but that this version does not do.
    #[error("cannot use {what} {found}: not supported")]
    Unsupported {
        /// The property.
        what: String,
        /// Its value.
        found: String,
    },
    /// Somebody uses the image that was to be removed.
    #[error("cannot remove image {image}: it is in use by {}", users.join(", "))]
    InUse {
        /// The image as it was named.
        image: String,
        /// Who holds it: what pins were made for.
        users: Vec<String>,
    },
    /// The request contradicts the state of the store.
    #[error("cannot {verb} {thing}: {why}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// Of which thing.
        thing: String,
        /// Why not.
        why: String,
    },
}

impl Error {
    /// An I/O error with its verb and path, for `map_err`.
    pub fn io<E: Into<std::io::Error>>(
        op: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            op,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }

    /// A format error.
    pub fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            why: why.into(),
        }
    }
}
