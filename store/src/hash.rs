//! What names an object: SHA-256, as in every OSTree repository, or BLAKE3 in repositories of our own.
//!
//! A repository has one kind for all its objects, said by the mode in its config; stock ostree refuses the BLAKE3 modes
//! when it opens one. Digests and diff ids come from outside and are SHA-256 everywhere.

use sha2::Digest as _;

use crate::id::ObjectId;

/// The hash function of a repository's object ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// SHA-256: stock ostree's.
    Sha256,
    /// BLAKE3 with its usual 32 bytes.
    Blake3,
}

impl HashKind {
    /// Its name, as standards write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Blake3 => "BLAKE3",
        }
    }

    /// The id of `bytes`.
    pub fn id_of(self, bytes: &[u8]) -> ObjectId {
        match self {
            Self::Sha256 => ObjectId::of(bytes),
            Self::Blake3 => ObjectId::new(*blake3::hash(bytes).as_bytes()),
        }
    }

    /// Begins an id whose bytes come in pieces.
    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Self::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            Self::Blake3 => Hasher::Blake3(Box::default()),
        }
    }
}

/// An id in the making.
#[derive(Debug)]
pub(crate) enum Hasher {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Blake3(hash) => drop(hash.update(bytes)),
        }
    }

    pub(crate) fn finish(self) -> ObjectId {
        match self {
            Self::Sha256(hash) => ObjectId::new(hash.finalize().into()),
            Self::Blake3(hash) => ObjectId::new(*hash.finalize().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The ids of nothing, as the two functions' own documents print them.
    #[test]
    fn ids_in_pieces_are_ids_of_the_whole() {
        for (kind, empty) in [
            (
                HashKind::Sha256,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                HashKind::Blake3,
                "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            ),
        ] {
            assert_eq!(kind.id_of(b"").hex(), empty);
            let mut hash = kind.hasher();
            hash.update(b"ab");
            hash.update(b"c");
            assert_eq!(hash.finish(), kind.id_of(b"abc"));
        }
    }
}
