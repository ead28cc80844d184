//! Images as skopeo's `ostree:` transport stored them: read as they are, never changed.
//!
//! | ref | tree | metadata, all strings |
//! |---|---|---|
//! | `ociimage/<name>` | `manifest.json` | `docker.manifest`, `signatures`, `docker.digest` |
//! | `ociimage/<config>` | `content` | `docker.size` |
//! | `ociimage/<blob>` | a layer, whiteouts verbatim | `docker.size`, `docker.uncompressed_size`, `docker.uncompressed_digest`, `tarsplit.output` |
//!
//! There is no flattened tree, so it is worked out in memory ([`crate::derived`]) from the trees of the layers; to
//! everything that reads images it looks like any other. An ordinary user's layers have lost owners and modes, but not
//! their tars: [`layer_tar`] makes those again. Before that transport, Atomic wrote layers with the key `docker.layer` and
//! no config; such an image has a name, a tree and nothing else.

use std::io::Read;

use serde::Deserialize;

use crate::commit::Commit;
use crate::derived::Sink;
use crate::error::{Error, Result};
use crate::history::commit_history;
use crate::id::{DiffId, Digest, ObjectId};
use crate::image::{Image, image_documents, read_documents};
use crate::layer::{Layer, LayerNotes, known_layer, stored_layer};
use crate::name::{ImageName, RefName};
use crate::oci::{Descriptor, ImageConfig, LAYERS_MAX, Manifest};
use crate::replay::{Payloads, Replay};
use crate::repo::Repo;
use crate::tar_split_read::SplitTar;

/// Commit metadata: bytes of the blob.
pub(crate) const SIZE: &str = "docker.size";
/// Commit metadata of a layer: bytes of its tar.
pub(crate) const UNCOMPRESSED_SIZE: &str = "docker.uncompressed_size";
/// Commit metadata of a layer: the digest of its tar.
pub(crate) const UNCOMPRESSED_DIGEST: &str = "docker.uncompressed_digest";
/// Commit metadata of a layer: how its tar is made again.
pub(crate) const TAR_SPLIT: &str = "tarsplit.output";
/// Commit metadata of a layer that Atomic wrote itself.
const ATOMIC_LAYER: &str = "docker.layer";

/// A layer by its blob.
#[derive(Debug, Clone)]
pub struct TransportLayer {
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The size of the tar in bytes.
    pub uncompressed_size: u64,
}

fn missing(blob: &Digest) -> Error {
    Error::NotFound {
        what: "layer",
        name: blob.to_string(),
    }
}

fn commit_of(repo: &Repo, blob: &Digest) -> Result<Option<(ObjectId, Commit)>> {
    match repo.resolve(&RefName::blob(blob))? {
        Some(id) => Ok(Some((id, repo.read_commit(&id)?))),
        None => Ok(None),
    }
}

/// The layer of that blob, if the repository has it with the three keys that skopeo's transport looked for.
pub fn transport_layer(repo: &Repo, blob: &Digest) -> Result<Option<TransportLayer>> {
    let Some((_, commit)) = commit_of(repo, blob)? else {
        return Ok(None);
    };
    Ok(facts(&commit))
}

fn facts(commit: &Commit) -> Option<TransportLayer> {
    Some(TransportLayer {
        diff_id: commit.get_str(UNCOMPRESSED_DIGEST)?.parse().ok()?,
        size: commit.get_str(SIZE)?.parse().ok()?,
        uncompressed_size: commit.get_str(UNCOMPRESSED_SIZE)?.parse().ok()?,
    })
}

/// Whether an image stands in the repository in this layout only: what berth stored itself and is damaged does not.
pub(crate) fn is_transports(repo: &Repo, name: &ImageName) -> Result<bool> {
    if repo.resolve(&RefName::flat(name))?.is_some() {
        return Ok(false);
    }
    let Ok((manifest, config)) = image_documents(repo, name) else {
        return Ok(false);
    };
    for (blob, diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
        if repo.resolve(&RefName::layer(diff_id))?.is_some()
            || commit_of(repo, &blob.digest)?.is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The tar of the layer of that blob, made again from the repository; what comes is not checked against its digest.
pub fn layer_tar<'r>(repo: &'r Repo, blob: &Digest) -> Result<Box<dyn Read + Send + 'r>> {
    let (_, commit) = commit_of(repo, blob)?.ok_or_else(|| missing(blob))?;
    if let Some(text) = commit.get_str(TAR_SPLIT) {
        let what = format!("layer {blob}");
        return Ok(Box::new(SplitTar::open(repo, commit.root, what, text)?));
    }
    if let Some(layer) = facts(&commit)
        && known_layer(repo, &layer.diff_id)?.is_some()
    {
        return Ok(Box::new(Replay::open(
            repo,
            &layer.diff_id,
            Payloads::Read,
        )?));
    }
    Err(Error::Refused {
        verb: "make the tar of",
        thing: format!("layer {blob}"),
        why: "the repository has its files but no tarsplit.output, which says how they stood in it"
            .into(),
    })
}

/// The image whose commit is `commit` and that has no flattened tree in the repository.
pub(crate) fn flatten(repo: &Repo, name: &ImageName, commit: ObjectId) -> Result<Image> {
    let documents = match read_documents(repo, name, &commit) {
        Ok((manifest, config)) => Documents {
            id: config.id(),
            digest: manifest.digest(),
            manifest,
            config,
        },
        Err(error) => atomic_documents(repo, &commit)?.ok_or(error)?,
    };
    let Documents {
        id,
        digest,
        manifest,
        config,
    } = documents;
    if manifest.layers.len() != config.diff_ids.len() {
        return Err(Error::Mismatch {
            what: format!("image {name}"),
            expected: format!("{} layers as its config lists them", config.diff_ids.len()),
            found: format!("{} in its manifest", manifest.layers.len()),
        });
    }
    let pairs = manifest.layers.iter().zip(&config.diff_ids);
    let layers: Vec<Layer> = pairs
        .map(|(blob, diff_id)| layer(repo, &blob.digest, diff_id))
        .collect::<Result<_>>()?;
    let (flat, root) = commit_history(Sink::Memory(repo), &manifest, &config, &layers)?;
    Ok(Image {
        name: name.clone(),
        id,
        digest,
        commit,
        flat,
        root,
        manifest,
        config,
    })
}

/// A layer for merging. Where berth stored it too, it knows more of it.
fn layer(repo: &Repo, blob: &Digest, diff_id: &DiffId) -> Result<Layer> {
    let stored = stored_layer(repo, diff_id)?;
    let Some((id, commit)) = commit_of(repo, blob)? else {
        return stored.ok_or_else(|| missing(blob));
    };
    match stored {
        Some(layer) if layer.root == commit.root => Ok(layer),
        _ => Ok(Layer {
            diff_id: *diff_id,
            commit: id,
            recipe: None,
            root: commit.root,
            size: facts(&commit).map_or(0, |layer| layer.uncompressed_size),
            left_out: Vec::new(),
            notes: LayerNotes::default(),
        }),
    }
}

/// What is known of an image besides its tree.
struct Documents {
    id: Digest,
    digest: Digest,
    manifest: Manifest,
    config: ImageConfig,
}

/// The manifests that Atomic kept: schema 1, schema 2, or what `skopeo inspect` printed.
#[derive(Deserialize)]
struct AtomicManifest {
    #[serde(rename = "fsLayers")]
    fs_layers: Option<Vec<FsLayer>>,
    #[serde(rename = "Layers")]
    inspected: Option<Vec<Digest>>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct FsLayer {
    #[serde(rename = "blobSum")]
    blob: Digest,
}

impl AtomicManifest {
    /// The layers, base first.
    fn layers(self) -> Vec<Digest> {
        if let Some(layers) = self.fs_layers {
            return layers.into_iter().rev().map(|layer| layer.blob).collect();
        }
        match self.inspected {
            Some(layers) => layers,
            None => self
                .layers
                .into_iter()
                .flatten()
                .map(|layer| layer.digest)
                .collect(),
        }
    }
}

/// What can be said of an image whose layers Atomic wrote; `None` when they are not such.
fn atomic_documents(repo: &Repo, commit: &ObjectId) -> Result<Option<Documents>> {
    let image = repo.read_commit(commit)?;
    let Some(text) = image.get_str("docker.manifest") else {
        return Ok(None);
    };
    let Ok(manifest) = serde_json::from_str::<AtomicManifest>(text) else {
        return Ok(None);
    };
    let layers = manifest.layers();
    if layers.is_empty() || layers.len() > LAYERS_MAX {
        return Ok(None);
    }
    for blob in &layers {
        match commit_of(repo, blob)? {
            Some((_, commit)) if commit.get_str(ATOMIC_LAYER).is_some() => {}
            _ => return Ok(None),
        }
    }
    let recorded = image.get_str("docker.digest");
    let digest = recorded
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| Digest::of(text.as_bytes()));
    // Nobody knows what the layers unpack to; their blobs tell them apart as well.
    let diff_ids: Vec<DiffId> = layers
        .iter()
        .map(|blob| DiffId::new(*blob.as_bytes()))
        .collect();
    let config = serde_json::json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = ImageConfig::parse(config.to_string().into_bytes())?;
    let descriptor = |digest| Descriptor {
        media_type: String::new(),
        digest,
        size: 0,
        platform: None,
        annotations: Default::default(),
        data: None,
        artifact_type: None,
    };
    let manifest = Manifest {
        raw: text.as_bytes().to_vec(),
        media_type: String::new(),
        config: descriptor(config.id()),
        layers: layers.into_iter().map(descriptor).collect(),
        annotations: Default::default(),
        artifact_type: None,
    };
    Ok(Some(Documents {
        id: digest,
        digest,
        manifest,
        config,
    }))
}
