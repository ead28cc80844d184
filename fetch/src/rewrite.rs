//! Manifests that have to be other ones at their destination: pure.

use std::collections::HashMap;

use serde_json::{Value, json};
use store::Digest;
use store::oci::{Descriptor, Manifest, media};

use crate::error::Result;

/// A descriptor that says nothing yet.
pub(crate) fn bare() -> Descriptor {
    Descriptor {
        media_type: String::new(),
        digest: Digest::new([0; 32]),
        size: 0,
        platform: None,
        annotations: Default::default(),
        data: None,
        artifact_type: None,
    }
}

/// The manifest with other blobs for some of its layers, or as one of OCI's. What was said of an old blob is dropped
/// with it.
pub(crate) fn rewritten(
    manifest: &Manifest,
    anew: &HashMap<Digest, Descriptor>,
    as_oci: bool,
) -> Result<Vec<u8>> {
    let malformed =
        || store::Error::malformed(format!("manifest {}", manifest.digest()), "it is not JSON");
    let mut document: Value = serde_json::from_slice(&manifest.raw).map_err(|_| malformed())?;
    if as_oci {
        set_type(&mut document, |_| media::OCI_MANIFEST.to_owned());
        let config = document.get_mut("config").ok_or_else(malformed)?;
        set_type(config, |_| media::OCI_CONFIG.to_owned());
    }
    let layers = document.get_mut("layers").and_then(Value::as_array_mut);
    let layers = layers.ok_or_else(malformed)?;
    for (entry, layer) in layers.iter_mut().zip(&manifest.layers) {
        if let Some(new) = anew.get(&layer.digest) {
            *entry = described(new);
        }
        if as_oci {
            set_type(entry, oci_layer);
        }
    }
    Ok(document.to_string().into_bytes())
}

fn set_type(descriptor: &mut Value, new: impl Fn(&str) -> String) {
    if let Some(kind) = descriptor.get_mut("mediaType") {
        *kind = new(kind.as_str().unwrap_or_default()).into();
    }
}

/// OCI's media type for a layer of docker's.
fn oci_layer(docker: &str) -> String {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    let (base, rest) = match docker.strip_prefix(foreign) {
        Some(rest) => (
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            rest,
        ),
        None => match docker.strip_prefix(media::DOCKER_LAYER) {
            Some(rest) => (media::OCI_LAYER, rest),
            None => return docker.to_owned(),
        },
    };
    match rest.strip_prefix('.') {
        Some(packer) => format!("{base}+{packer}"),
        None => base.to_owned(),
    }
}

fn described(blob: &Descriptor) -> Value {
    json!({
        "mediaType": blob.media_type, "size": blob.size, "digest": blob.digest.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_docker_have_names_of_oci() {
        let docker = "application/vnd.docker.image.rootfs";
        let oci = "application/vnd.oci.image.layer";
        for (old, new) in [
            (format!("{docker}.diff.tar"), format!("{oci}.v1.tar")),
            (
                format!("{docker}.diff.tar.gzip"),
                format!("{oci}.v1.tar+gzip"),
            ),
            (
                format!("{docker}.diff.tar.zstd"),
                format!("{oci}.v1.tar+zstd"),
            ),
            (
                format!("{docker}.foreign.diff.tar.gzip"),
                format!("{oci}.nondistributable.v1.tar+gzip"),
            ),
            (format!("{oci}.v1.tar+zstd"), format!("{oci}.v1.tar+zstd")),
        ] {
            assert_eq!(oci_layer(&old), new, "{old}");
        }
    }
}
