//! `sigstoreSigned` with a public key: at least one signature must be of that key, for this digest and this name.
//!
//! What is signed is a simple-signing payload, as containers/image and cosign write it. Of keyless signing (Fulcio,
//! Rekor, a PKI) nothing is checked here, so a policy that asks for it refuses.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{Digest, Reference};

use super::identity::Identity;
use super::key::{PublicKey, verifies};
use crate::error::{Error, Result};
use crate::file;
use crate::limits::{POLICY_BYTES_MAX, POLICY_KEYS_MAX};
use crate::transport::{Signature, Transport, read_limited};

/// The type of every payload that sigstore's tools sign.
const PAYLOAD_TYPE: &str = "cosign container image signature";

/// What is asked for.
#[derive(Debug)]
pub(super) struct SigstoreSigned {
    keys: Vec<PublicKey>,
    identity: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Fields {
    key_path: Option<PathBuf>,
    key_paths: Vec<PathBuf>,
    key_data: Option<String>,
    key_datas: Vec<String>,
    signed_identity: Option<Value>,
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: SignedImage,
    identity: SignedName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedImage {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedName {
    #[serde(rename = "docker-reference")]
    reference: String,
}

impl SigstoreSigned {
    /// Reads what a policy asks for, and the keys; the error says what of it cannot be checked.
    pub(super) fn read(rest: &Map<String, Value>) -> Result<Self, String> {
        for keyless in [
            "fulcio",
            "rekorPublicKeyPath",
            "rekorPublicKeyPaths",
            "rekorPublicKeyData",
            "rekorPublicKeyDatas",
            "pki",
        ] {
            if rest.contains_key(keyless) {
                return Err(format!("it asks for {keyless}, which berth cannot check"));
            }
        }
        let fields: Fields = serde_json::from_value(Value::Object(rest.clone()))
            .map_err(|error| format!("its sigstoreSigned is not understood: {error}"))?;
        let mut keys = Vec::new();
        for path in fields.key_path.iter().chain(&fields.key_paths) {
            let shown = path.display();
            let pem =
                read_key(path).map_err(|why| format!("cannot read its key {shown}: {why}"))?;
            keys.push(PublicKey::read(&pem).map_err(|why| format!("key {shown}: {why}"))?);
        }
        for data in fields.key_data.iter().chain(&fields.key_datas) {
            let pem = STANDARD
                .decode(data)
                .map_err(|_| "its keyData is not base64")?;
            keys.push(PublicKey::read(&pem).map_err(|why| format!("keyData: {why}"))?);
        }
        if keys.is_empty() || keys.len() > POLICY_KEYS_MAX {
            return Err(format!(
                "its sigstoreSigned has not 1 to {POLICY_KEYS_MAX} keys"
            ));
        }
        let identity = match &fields.signed_identity {
            Some(value) => Identity::read(value)?,
            None => Identity::RepoDigestOrExact,
        };
        Ok(Self { keys, identity })
    }

    /// Looks for a signature; the inner error says why there is none that will do.
    pub(super) fn check(
        &self,
        reference: Option<&Reference>,
        transport: Option<&dyn Transport>,
        digests: &[Digest],
    ) -> Result<Result<(), String>> {
        let mut reasons = Vec::new();
        for digest in digests {
            let signatures = transport.map_or(Ok(Vec::new()), |it| it.signatures(digest))?;
            for signature in signatures {
                match self.judge(reference, digest, &signature) {
                    Ok(()) => return Ok(Ok(())),
                    Err(why) => reasons.push(why),
                }
            }
        }
        reasons.dedup();
        Ok(Err(match reasons.is_empty() {
            true => "it asks for a signature, and the image has none".into(),
            false => format!("no signature of the image will do: {}", reasons.join(", ")),
        }))
    }

    fn judge(
        &self,
        reference: Option<&Reference>,
        digest: &Digest,
        signature: &Signature,
    ) -> Result<(), &'static str> {
        let Signature { payload, signature } = signature;
        // Nothing of a payload is looked at before its signature.
        if !self
            .keys
            .iter()
            .any(|key| verifies(key, payload, signature))
        {
            return Err("it is of another key");
        }
        let payload: Payload =
            serde_json::from_slice(payload).map_err(|_| "what it signs is not understood")?;
        let critical = payload.critical;
        if critical.kind != PAYLOAD_TYPE {
            return Err("what it signs is not understood");
        }
        if critical.image.digest != digest.to_string() {
            return Err("it is for another image");
        }
        match self.identity.fits(reference, &critical.identity.reference) {
            true => Ok(()),
            false => Err("it is for another name"),
        }
    }
}

fn read_key(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let file = file::open(path).map_err(|error| match error {
        Error::Io { source, .. } => source.to_string(),
        Error::NotAFile { found, .. } => format!("it is {found}, not a file"),
        other => other.to_string(),
    })?;
    read_limited(file, POLICY_BYTES_MAX, || "key".into())
        .map_err(|_| "it cannot be read, or is too large".to_owned())
}
