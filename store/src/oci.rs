//! The documents of an image: index, manifest, config. Pure: bytes in, checked values out; the bytes are kept as they
//! came, since their digest is their identity.
//!
//! Both families are read, [OCI image-spec 1.1](https://github.com/opencontainers/image-spec) and
//! [docker schema 2](https://distribution.github.io/distribution/spec/manifest-v2-2/). A body that could be read as two
//! kinds at once is refused (CVE-2021-41190), and so is schema 1.

mod config;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::Digest;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig};

/// The largest manifest or index that is read, in bytes (containers/image uses the same limit, CVE-2020-1702).
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// The largest image config that is read, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 4 << 20;
/// The most layers of one image.
pub const LAYERS_MAX: usize = 1024;
/// The most entries of one index.
pub const INDEX_ENTRIES_MAX: usize = 4096;
/// The most history entries of one config.
pub const HISTORY_MAX: usize = 4096;

/// Media types, as they stand in documents.
pub mod media {
    /// An OCI manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// An artifact's manifest, which OCI took back; refused.
    pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
    /// A docker schema 2 manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// A docker layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// A docker schema 1 manifest, refused.
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    /// A signed docker schema 1 manifest, refused.
    pub const DOCKER_SCHEMA1_SIGNED: &str =
        "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

/// A platform as an index or a config names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system, e.g. `linux`.
    #[serde(default)]
    pub os: String,
    /// The architecture in Go's spelling, e.g. `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The variant, e.g. `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = Error;

    /// Parses `os/arch[/variant]`.
    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => {
                return Err(Error::malformed(
                    format!("platform {text:?}"),
                    "expected os/arch[/variant]",
                ));
            }
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(Error::malformed(
                format!("platform {text:?}"),
                "expected os/arch[/variant]",
            ));
        }
        Ok(Self {
            os: (*os).to_owned(),
            architecture: (*architecture).to_owned(),
            variant,
        })
    }
}

/// A reference to a blob by digest, size and media type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type; empty when the document left it out.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the blob's bytes.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The platform, in entries of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The blob itself, base64, when the document embeds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What kind of artifact a manifest of an index is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// A manifest, with the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// The media type it was read as.
    pub media_type: String,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// What kind of artifact this is, when it is not an image.
    pub artifact_type: Option<String>,
}

impl Manifest {
    /// The digest of the manifest's bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.raw)
    }
}

/// An index or manifest list.
#[derive(Debug, Clone)]
pub struct Index {
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// The media type it was read as.
    pub media_type: String,
    /// The entries in their order.
    pub manifests: Vec<Descriptor>,
}

/// What a manifest URL or file can hold.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time exists, for the moment of a look"
)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// A choice of images.
    Index(Index),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<IgnoredAny>,
    history: Option<IgnoredAny>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    artifact_type: Option<String>,
}

impl Document {
    /// Reads a manifest or index. `announced` is the Content-Type it came with, empty when there was none. The body's
    /// `mediaType` names the kind, else what was announced, else the shape; neither may contradict the shape.
    ///
    /// Fails on anything over [`MANIFEST_BYTES_MAX`], schema 1, artifact manifests, and ambiguous bodies: those with
    /// fields of two kinds, or with one field in two spellings, since some readers take `Layers` for `layers`.
    pub fn parse(raw: Vec<u8>, announced: &str) -> Result<Self> {
        let too_large = |limit| Error::TooLarge {
            what: "manifest".into(),
            limit,
        };
        if raw.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(too_large(format!("{MANIFEST_BYTES_MAX} bytes")));
        }
        let malformed =
            |why: String| Error::malformed(format!("manifest {}", Digest::of(&raw)), why);
        let body: RawDocument =
            serde_json::from_slice(&raw).map_err(|error| malformed(error.to_string()))?;
        check_spelling(&raw).map_err(malformed)?;
        let announced = announced.split(';').next().unwrap_or_default().trim();
        let named = body.media_type.as_deref().unwrap_or_default();
        if [announced, named].contains(&media::OCI_ARTIFACT) {
            return Err(Error::Unsupported {
                what: "manifest of".into(),
                found: "an artifact".into(),
            });
        }
        if body.is_schema_1(announced) {
            return Err(Error::Unsupported {
                what: "manifest of".into(),
                found: "docker schema 1".into(),
            });
        }
        let media_type = body.media_type(announced).map_err(malformed)?;
        match (body.manifests, body.config, body.layers) {
            (Some(manifests), _, _) if manifests.len() > INDEX_ENTRIES_MAX => {
                Err(too_large(format!("{INDEX_ENTRIES_MAX} entries")))
            }
            (Some(manifests), _, _) => Ok(Self::Index(Index {
                raw,
                media_type,
                manifests,
            })),
            (None, _, Some(layers)) if layers.len() > LAYERS_MAX => {
                Err(too_large(format!("{LAYERS_MAX} layers")))
            }
            (None, Some(config), Some(layers)) => Ok(Self::Manifest(Manifest {
                raw,
                media_type,
                config,
                layers,
                annotations: body.annotations.unwrap_or_default(),
                artifact_type: body.artifact_type,
            })),
            _ => Err(malformed(
                "it has neither config and layers nor manifests".into(),
            )),
        }
    }
}

/// The fields that tell the kinds apart.
const KINDS: [&str; 7] = [
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "fsLayers",
    "history",
];

/// Refuses fields that another reader could take for those of [`KINDS`].
fn check_spelling(raw: &[u8]) -> Result<(), String> {
    let fields: BTreeMap<String, IgnoredAny> =
        serde_json::from_slice(raw).map_err(|error| error.to_string())?;
    let alike = |field: &&String| {
        // Go folds the long s too.
        let folded = field.replace('\u{17f}', "s");
        KINDS
            .iter()
            .any(|kind| kind != field && kind.eq_ignore_ascii_case(&folded))
    };
    match fields.keys().find(alike) {
        Some(field) => Err(format!("its field {field} is misspelt")),
        None => Ok(()),
    }
}

impl RawDocument {
    fn is_schema_1(&self, announced: &str) -> bool {
        let named = self.media_type.as_deref().unwrap_or_default();
        self.schema_version == Some(1)
            || (self.fs_layers.is_some() && self.layers.is_none() && self.manifests.is_none())
            || [announced, named]
                .iter()
                .any(|t| *t == media::DOCKER_SCHEMA1 || *t == media::DOCKER_SCHEMA1_SIGNED)
    }

    /// The media type to read the body as, or why it cannot be told.
    fn media_type(&self, announced: &str) -> Result<String, String> {
        if self.schema_version != Some(2) {
            return Err("schemaVersion is not 2".into());
        }
        let is_index = self.manifests.is_some();
        if is_index && (self.layers.is_some() || self.config.is_some()) {
            return Err("it reads both as a manifest and as an index".into());
        }
        if self.fs_layers.is_some() || self.history.is_some() {
            return Err("it has fields of docker schema 1 too".into());
        }
        let mut chosen = if is_index {
            media::OCI_INDEX
        } else {
            media::OCI_MANIFEST
        };
        for kind in [announced, self.media_type.as_deref().unwrap_or_default()] {
            let says_index = match kind {
                media::OCI_INDEX | media::DOCKER_LIST => true,
                media::OCI_MANIFEST | media::DOCKER_MANIFEST => false,
                _ => continue,
            };
            if says_index != is_index {
                return Err(format!("its media type {kind} contradicts its content"));
            }
            chosen = kind;
        }
        Ok(chosen.to_owned())
    }
}

#[cfg(test)]
mod tests;
