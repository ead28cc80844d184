//! Signatures as sigstore's tools attach them in a registry: under the tag `sha256-HEX.sig` is a manifest each of whose
//! layers is what was signed, with the signature in an annotation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::Digest;
use store::oci::{Descriptor, Document};

use super::Registry;
use crate::error::{Error, Result};
use crate::limits::{SIGNATURES_MAX, SIGNED_BYTES_MAX};
use crate::transport::{Signature, Transport as _, read_limited};

/// The media type of what is signed.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation that holds a signature, in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

impl Registry<'_> {
    /// The signatures that are attached to the manifest of `digest`; none if there is no such tag.
    pub(super) fn attached(&self, digest: &Digest) -> Result<Vec<Signature>> {
        let tag = format!("sha256-{}.sig", digest.hex());
        let found =
            self.mirrors
                .ask_aside(|client| match self.read_manifest(client, &tag, None) {
                    Err(Error::NotFound { .. }) => Ok(None),
                    other => other.map(Some),
                })?;
        let Some(root) = found else {
            return Ok(Vec::new());
        };
        let Document::Manifest(manifest) = Document::parse(root.raw, &root.media_type)? else {
            return Err(store::Error::malformed(tag, "it is an index").into());
        };
        if manifest.layers.len() > SIGNATURES_MAX {
            return Err(Error::too_large(
                tag,
                format!("{SIGNATURES_MAX} signatures"),
            ));
        }
        let signed = manifest
            .layers
            .iter()
            .filter(|layer| layer.media_type == PAYLOAD);
        signed
            .filter_map(|layer| Some((layer, layer.annotations.get(SIGNATURE)?)))
            .filter_map(|(layer, text)| Some((layer, STANDARD.decode(text).ok()?)))
            .map(|(layer, signature)| {
                let payload = self.payload(layer)?;
                Ok(Signature { payload, signature })
            })
            .collect()
    }

    fn payload(&self, layer: &Descriptor) -> Result<Vec<u8>> {
        let what = || format!("signature {}", layer.digest);
        let bytes = self.blob(layer, 0, &|_| ())?;
        let payload = read_limited(bytes, layer.size.min(SIGNED_BYTES_MAX), what)
            .map_err(|limited| limited.or(|source| Error::from_read(&what(), source)))?;
        let found = Digest::of(&payload);
        match found == layer.digest {
            true => Ok(payload),
            false => Err(Error::mismatch(
                format!("digest of {}", what()),
                layer.digest,
                found,
            )),
        }
    }
}
