//! docker's schema 2 manifest for an image whose own is OCI's, as containers/image makes it: the same config and the
//! same layers under docker's media types.
//!
//! docker has no zstd, and containers/image refuses such layers; here they become the tar that they hold, so that digest
//! and size of the layer change with the type. A manifest that is docker's already stays byte for byte.

use serde::Serialize;
use store::oci::{Descriptor, Document, Manifest, media};
use store::{DiffId, Digest};

use crate::error::{Error, Result};

/// A layer that is a tar.
const TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// A layer that is a gzip of a tar.
const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// The same of a layer that is not to be passed on.
const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
const FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// A layer as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptLayer {
    pub(crate) media_type: &'static str,
    pub(crate) digest: Digest,
}

/// What becomes of a layer.
pub(crate) fn keep(layer: &Descriptor, diff_id: &DiffId) -> Result<KeptLayer> {
    let as_it_is = |media_type| KeptLayer {
        media_type,
        digest: layer.digest,
    };
    let kind = layer.media_type.as_str();
    let oci = kind.strip_prefix("application/vnd.oci.image.layer.");
    Ok(match oci {
        // docker's own, which stay in their own manifest.
        None => as_it_is(GZIP),
        Some("v1.tar") => as_it_is(TAR),
        Some("v1.tar+gzip") => as_it_is(GZIP),
        Some("nondistributable.v1.tar") => as_it_is(FOREIGN),
        Some("nondistributable.v1.tar+gzip") => as_it_is(FOREIGN_GZIP),
        Some("v1.tar+zstd" | "nondistributable.v1.tar+zstd") => KeptLayer {
            media_type: TAR,
            digest: Digest::new(*diff_id.as_bytes()),
        },
        Some(_) => return Err(Error::unsupported("layer of media type", kind)),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Schema2<'m> {
    schema_version: u32,
    media_type: &'m str,
    config: Blob<'m>,
    layers: Vec<Blob<'m>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'m> {
    media_type: &'m str,
    size: u64,
    digest: Digest,
}

/// The manifest with these layers, each with the size of its blob.
pub(crate) fn convert(manifest: &Manifest, layers: &[(KeptLayer, u64)]) -> Result<Manifest> {
    if manifest.media_type == media::DOCKER_MANIFEST {
        return Ok(manifest.clone());
    }
    let body = Schema2 {
        schema_version: 2,
        media_type: media::DOCKER_MANIFEST,
        config: Blob {
            media_type: media::DOCKER_CONFIG,
            size: manifest.config.size,
            digest: manifest.config.digest,
        },
        layers: layers
            .iter()
            .map(|(layer, size)| Blob {
                media_type: layer.media_type,
                size: *size,
                digest: layer.digest,
            })
            .collect(),
    };
    let what = || format!("manifest {}", manifest.digest());
    let raw = serde_json::to_vec(&body)
        .map_err(|error| store::Error::malformed(what(), error.to_string()))?;
    match Document::parse(raw, media::DOCKER_MANIFEST)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err(store::Error::malformed(what(), "it became an index").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What `skopeo copy --format v2s2 oci:… dir:…` makes of it.
    #[test]
    fn manifests_are_containers_images() {
        let digest = |byte: u8| Digest::new([byte; 32]);
        let layer = |kind: &str, byte| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.layer.{kind}","digest":"{}","size":7}}"#,
                digest(byte)
            )
        };
        let oci = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{}","digest":"{}","size":5}},"layers":[{},{},{}]}}"#,
            media::OCI_CONFIG,
            digest(1),
            layer("v1.tar+gzip", 2),
            layer("v1.tar", 3),
            layer("v1.tar+zstd", 4)
        );
        let Ok(Document::Manifest(oci)) = Document::parse(oci.into_bytes(), "") else {
            panic!("a manifest");
        };
        let diff_id = DiffId::new([9; 32]);
        let kept: Vec<_> = oci
            .layers
            .iter()
            .map(|layer| (keep(layer, &diff_id).expect("known"), layer.size))
            .collect();
        assert_eq!(
            String::from_utf8(convert(&oci, &kept).expect("converted").raw).expect("UTF-8"),
            format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":5,"digest":"{}"}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":7,"digest":"{}"}},{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":7,"digest":"{}"}},{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":7,"digest":"{}"}}]}}"#,
                digest(1),
                digest(2),
                digest(3),
                digest(9)
            )
        );
    }
}
