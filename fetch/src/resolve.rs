//! From what a source names to one image: its manifest and its config, checked.
//!
//! Nothing is believed: a document that another one names must have the size and digest it was named with, nesting has
//! a limit, and what comes out describes a container image whose manifest and config agree on the number of layers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::Digest;
use store::oci::{
    CONFIG_BYTES_MAX, Descriptor, Document, ImageConfig, MANIFEST_BYTES_MAX, Manifest, Platform,
    media,
};

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::limits::{INDEX_DEPTH_MAX, LAYER_BYTES_MAX};
use crate::platform;
use crate::transport::{Transport, read_limited};

/// One image of a source.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The digest of what the source names: the manifest's, or the index's that it was chosen from.
    pub digest: Digest,
    /// The bytes that this digest is of.
    pub root: Vec<u8>,
    /// The image's manifest.
    pub manifest: Manifest,
    /// The image's config.
    pub config: ImageConfig,
    /// The name that the source itself knows for the image.
    pub name: Option<String>,
    /// Whether the image is for another platform than the one asked for, with no other to choose.
    pub other_platform: bool,
}

/// The media types of a layer that can be stored; its first bytes tell the compression, these only that it is a layer.
const LAYERS: [&str; 11] = [
    media::OCI_LAYER,
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// The media type of the statements that builders put beside an image.
const ATTESTATION: &str = "application/vnd.in-toto+json";

/// The manifest that a source's name leads to; its config is still to be read.
#[derive(Debug)]
pub(crate) struct Chosen {
    digest: Digest,
    root: Vec<u8>,
    name: Option<String>,
    pub(crate) manifest: Manifest,
}

/// Finds the image for `wanted` that a source names.
pub fn resolve(
    transport: &dyn Transport,
    wanted: &Platform,
    progress: Progress<'_>,
) -> Result<Resolved> {
    choose(transport, wanted)?.resolve(transport, wanted, None, progress)
}

/// Finds the manifest for `wanted` that a source names.
pub(crate) fn choose(transport: &dyn Transport, wanted: &Platform) -> Result<Chosen> {
    let root = transport.root()?;
    let digest = Digest::of(&root.raw);
    let mut document = Document::parse(root.raw.clone(), &root.media_type)?;
    for _ in 0..=INDEX_DEPTH_MAX {
        let index = match document {
            Document::Index(index) => index,
            Document::Manifest(manifest) => {
                return Ok(Chosen {
                    digest,
                    root: root.raw,
                    name: root.name,
                    manifest,
                });
            }
        };
        let entry = platform::choose(&index.manifests, wanted)?;
        document = Document::parse(self::manifest(transport, entry)?, &entry.media_type)?;
    }
    Err(Error::too_large(
        format!("index {digest}"),
        format!("{INDEX_DEPTH_MAX} indexes within each other"),
    ))
}

impl Chosen {
    /// The digests that the image can be trusted by: its manifest's, and that of what its name leads to.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        let mut digests = vec![self.manifest.digest(), self.digest];
        digests.dedup();
        digests
    }

    /// Adds the config: `known`, if the manifest's is known already, else the source's.
    pub(crate) fn resolve(
        self,
        transport: &dyn Transport,
        wanted: &Platform,
        known: Option<ImageConfig>,
        progress: Progress<'_>,
    ) -> Result<Resolved> {
        check_kind(&self.manifest)?;
        let config = match known.filter(|config| config.id() == self.manifest.config.digest) {
            Some(config) => config,
            None => config(transport, &self.manifest, progress)?,
        };
        check_layers(&self.manifest, &config)?;
        let other_platform = !platform::runs(&config.platform, wanted);
        Ok(Resolved {
            digest: self.digest,
            root: self.root,
            manifest: self.manifest,
            config,
            name: self.name,
            other_platform,
        })
    }
}

/// Reads the manifest that a descriptor names, from the descriptor itself if it carries it, and checks it.
pub(crate) fn manifest(transport: &dyn Transport, entry: &Descriptor) -> Result<Vec<u8>> {
    let what = format!("manifest {}", entry.digest);
    limit(&what, entry.size, MANIFEST_BYTES_MAX)?;
    let raw = match embedded(entry, &what)? {
        Some(raw) => raw,
        None => transport.manifest(entry)?,
    };
    verify(&what, entry, &raw)?;
    Ok(raw)
}

/// Refuses what is no container image.
fn check_kind(manifest: &Manifest) -> Result<()> {
    let blob = &manifest.config;
    let not_an_image = |why: String| Error::NotAnImage {
        what: format!("manifest {}", manifest.digest()),
        why,
    };
    if let Some(kind) = manifest
        .artifact_type
        .as_deref()
        .filter(|kind| !kind.is_empty())
    {
        return Err(not_an_image(format!(
            "it is an artifact of type {}",
            shown(kind)
        )));
    }
    if !["", media::OCI_CONFIG, media::DOCKER_CONFIG].contains(&blob.media_type.as_str()) {
        return Err(not_an_image(format!(
            "its config is of type {}",
            shown(&blob.media_type)
        )));
    }
    if manifest
        .layers
        .iter()
        .any(|layer| layer.media_type == ATTESTATION)
    {
        return Err(not_an_image("it is an attestation about one".into()));
    }
    Ok(())
}

fn config(
    transport: &dyn Transport,
    manifest: &Manifest,
    progress: Progress<'_>,
) -> Result<ImageConfig> {
    let blob = &manifest.config;
    let what = format!("config {}", blob.digest);
    limit(&what, blob.size, CONFIG_BYTES_MAX)?;
    let raw = match embedded(blob, &what)? {
        Some(raw) => raw,
        None => read_limited(transport.blob(blob, 0, progress)?, blob.size, || {
            what.clone()
        })
        .map_err(|limited| limited.or(|source| Error::from_read(&what, source)))?,
    };
    verify(&what, blob, &raw)?;
    Ok(ImageConfig::parse(raw)?)
}

fn check_layers(manifest: &Manifest, config: &ImageConfig) -> Result<()> {
    if manifest.layers.len() != config.diff_ids.len() {
        let why = format!(
            "it lists {} layers, its config {}",
            manifest.layers.len(),
            config.diff_ids.len()
        );
        return Err(store::Error::malformed(format!("manifest {}", manifest.digest()), why).into());
    }
    for layer in &manifest.layers {
        if !LAYERS.contains(&layer.media_type.as_str()) {
            return Err(Error::unsupported(
                "layer of media type",
                shown(&layer.media_type),
            ));
        }
        limit(
            &format!("layer {}", layer.digest),
            layer.size,
            LAYER_BYTES_MAX,
        )?;
    }
    Ok(())
}

fn limit(what: &str, size: u64, max: u64) -> Result<()> {
    if size > max {
        return Err(Error::too_large(what, format!("{max} bytes")));
    }
    Ok(())
}

/// The bytes that a descriptor carries with it.
fn embedded(blob: &Descriptor, what: &str) -> Result<Option<Vec<u8>>> {
    let Some(data) = &blob.data else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(data);
    bytes
        .map(Some)
        .map_err(|_| store::Error::malformed(what, "its embedded data is not base64").into())
}

fn verify(what: &str, blob: &Descriptor, bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 != blob.size {
        return Err(Error::mismatch(
            format!("size of {what}"),
            blob.size,
            bytes.len(),
        ));
    }
    let found = Digest::of(bytes);
    if found != blob.digest {
        return Err(Error::mismatch(
            format!("digest of {what}"),
            blob.digest,
            found,
        ));
    }
    Ok(())
}

/// A media type from outside, fit for a terminal.
fn shown(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    if clean.is_empty() {
        "(none)".into()
    } else {
        clean
    }
}
