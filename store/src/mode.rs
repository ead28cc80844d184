//! How a repository keeps its file objects, and what their ids are: one word in its config.
//!
//! | mode | payload | owner, mode, xattrs | written by berth |
//! |---|---|---|---|
//! | `bare-user` | a file of the user's | `user.ostreemeta` | yes |
//! | `bare` | the file itself | its own: root's store | yes |
//! | `bare-user-only` | a file of the user's | only the mode, its own | no |
//! | `archive` | raw deflate | a header before it | no |
//!
//! `berth-bare-user-blake3` and `berth-bare-blake3` are the first two with BLAKE3 ids; stock ostree refuses both names.

use crate::hash::HashKind;

/// The mode of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Every file belongs to the user; the truth is in `user.ostreemeta`.
    BareUser,
    /// [`Mode::BareUser`] with BLAKE3 ids.
    BareUserBlake3,
    /// Real owners, modes and xattrs, set-user-id bits included.
    Bare,
    /// [`Mode::Bare`] with BLAKE3 ids.
    BareBlake3,
    /// Modes only; every owner is root. Stock ostree's, only read here.
    BareUserOnly,
    /// Compressed, to be served over HTTP. Stock ostree's, only read here.
    Archive,
}

/// Where a mode keeps the metadata of a file, whatever its ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    BareUser,
    Bare,
    BareUserOnly,
    Archive,
}

impl Mode {
    const ALL: [Self; 6] = [
        Self::BareUser,
        Self::BareUserBlake3,
        Self::Bare,
        Self::BareBlake3,
        Self::BareUserOnly,
        Self::Archive,
    ];

    /// The word in the config file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BareUser => "bare-user",
            Self::BareUserBlake3 => "berth-bare-user-blake3",
            Self::Bare => "bare",
            Self::BareBlake3 => "berth-bare-blake3",
            Self::BareUserOnly => "bare-user-only",
            Self::Archive => "archive-z2",
        }
    }

    /// The mode of that word; `archive` is a newer spelling of `archive-z2`.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "archive" => Some(Self::Archive),
            _ => Self::ALL.into_iter().find(|mode| mode.as_str() == word),
        }
    }

    /// What object ids are.
    pub const fn hash(self) -> HashKind {
        match self {
            Self::BareUserBlake3 | Self::BareBlake3 => HashKind::Blake3,
            _ => HashKind::Sha256,
        }
    }

    /// Whether owners, modes and xattrs of files are real ones.
    pub const fn has_real_owners(self) -> bool {
        matches!(self, Self::Bare | Self::BareBlake3)
    }

    pub(crate) const fn storage(self) -> Storage {
        match self {
            Self::BareUser | Self::BareUserBlake3 => Storage::BareUser,
            Self::Bare | Self::BareBlake3 => Storage::Bare,
            Self::BareUserOnly => Storage::BareUserOnly,
            Self::Archive => Storage::Archive,
        }
    }

    /// Whether berth writes such a repository.
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::BareUserOnly | Self::Archive)
    }
}
