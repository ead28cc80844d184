//! Public keys in PEM, and whether one made a signature. As in sigstore, the digest is SHA-256 whatever the curve.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

/// The algorithm identifiers of RFC 5280 as they stand in a key, with what checks such a signature.
const ALGORITHMS: [(&[u8], &dyn VerificationAlgorithm); 4] = [
    // id-ecPublicKey, prime256v1 (RFC 5480)
    (
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        &ECDSA_P256_SHA256_ASN1,
    ),
    // id-ecPublicKey, secp384r1 (RFC 5480)
    (
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
        &ECDSA_P384_SHA256_ASN1,
    ),
    // id-Ed25519 (RFC 8410)
    (b"\x06\x03\x2b\x65\x70", &ED25519),
    // rsaEncryption, NULL (RFC 3279)
    (
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
        &RSA_PKCS1_2048_8192_SHA256,
    ),
];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A public key.
pub(crate) struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads a `PUBLIC KEY` in PEM.
    pub(crate) fn read(pem: &[u8]) -> Result<Self, &'static str> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|_| "it is not a public key in PEM")?;
        let malformed = "its key is malformed";
        let (spki, rest) = element(&spki, SEQUENCE).ok_or(malformed)?;
        let (algorithm, key) = element(spki, SEQUENCE).ok_or(malformed)?;
        let (key, after) = element(key, BIT_STRING).ok_or(malformed)?;
        let [0, key @ ..] = key else {
            return Err(malformed);
        };
        if !rest.is_empty() || !after.is_empty() {
            return Err(malformed);
        }
        let found = ALGORITHMS
            .iter()
            .find(|(identifier, _)| *identifier == algorithm);
        let (_, algorithm) =
            found.ok_or("its key is neither ECDSA P-256 or P-384, Ed25519 nor RSA")?;
        Ok(Self {
            algorithm: *algorithm,
            key: key.to_owned(),
        })
    }
}

/// Whether `key` signed `message`.
pub(crate) fn verifies(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(key.algorithm, &key.key)
        .verify(message, signature)
        .is_ok()
}

/// The content of a DER element of that tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let [high, low, rest @ ..] = rest else {
                return None;
            };
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    (*found == tag && rest.len() >= length).then(|| rest.split_at(length))
}
