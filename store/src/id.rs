//! Identifiers: every id is 32 bytes of SHA-256 under a type of its own, so that the id of an object can never be
//! passed where the digest of a blob is wanted.
//!
//! `ObjectId` prints as bare hex (OSTree's spelling), `Digest` and `DiffId` as `sha256:<hex>` (the registry's).

use sha2::Digest as _;

use crate::error::{Error, Result};

/// Decodes exactly 64 lower-case hex digits; anything else is `None`.
fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut id = [0; 32];
    for (slot, pair) in id.iter_mut().zip(bytes.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *slot = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(id)
}

fn encode_hex(id: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = vec![0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    String::from_utf8(text).expect("hex digits are ASCII")
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 raw bytes.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Takes 32 raw bytes from a slice; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Parses 64 lower-case hex digits without a prefix.
            pub fn from_hex(text: &str) -> Result<Self> {
                decode_hex(text).map(Self).ok_or_else(|| Error::Malformed {
                    what: format!(concat!($what, " {:?}"), text.chars().take(80).collect::<String>()),
                    why: "expected 64 lower-case hex digits".into(),
                })
            }

            /// The id of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(sha2::Sha256::digest(bytes).into())
            }

            /// The id of what is left to read.
            pub fn of_reader(from: &mut dyn std::io::Read) -> std::io::Result<Self> {
                let mut hash = sha2::Sha256::new();
                std::io::copy(from, &mut hash)?;
                Ok(Self(hash.finalize().into()))
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// 64 lower-case hex digits, without a prefix.
            pub fn hex(&self) -> String {
                encode_hex(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($prefix)?;
                f.write_str(&self.hex())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

id_type!(
    /// The id of an object in a repository.
    ObjectId,
    "object id",
    ""
);
id_type!(
    /// The digest of a blob as it is transferred: a compressed layer, a manifest, a config.
    Digest,
    "digest",
    "sha256:"
);
id_type!(
    /// The digest of a layer's uncompressed tar.
    DiffId,
    "diff id",
    "sha256:"
);

macro_rules! prefixed {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = Error;

            /// Parses `sha256:<64 lower-case hex digits>`; other algorithms are refused by name.
            fn from_str(text: &str) -> Result<Self> {
                match text.split_once(':') {
                    Some(("sha256", hex)) => Self::from_hex(hex),
                    Some((algorithm, _)) => Err(Error::Unsupported {
                        what: "digest algorithm".into(),
                        found: algorithm.chars().take(40).collect(),
                    }),
                    None => Err(Error::Malformed {
                        what: format!("digest {:?}", text.chars().take(80).collect::<String>()),
                        why: "expected sha256:<hex>".into(),
                    }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(
                &self,
                to: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                from: D,
            ) -> std::result::Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

prefixed!(Digest);
prefixed!(DiffId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_exact() {
        let good = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(ObjectId::from_hex(good).expect("valid").hex(), good);
        for bad in [
            "",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &good.replace('6', "g"),
        ] {
            assert!(ObjectId::from_hex(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn digests_need_their_algorithm() {
        let hex = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(
            format!("sha256:{hex}")
                .parse::<Digest>()
                .expect("valid")
                .to_string(),
            format!("sha256:{hex}")
        );
        assert_eq!(
            "sha512:00"
                .parse::<Digest>()
                .expect_err("unsupported")
                .to_string(),
            "cannot use digest algorithm sha512: not supported"
        );
        assert!(hex.parse::<DiffId>().is_err());
    }
}
