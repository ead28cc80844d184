//! Which refs only serve images, and which of those no image needs any more.
//!
//! An image is kept by its own ref (`ociimage/<name>`) or by who uses it (`berth/used/<id>/image`). Its manifest keeps
//! `ociimage/<hex>` of its config and layers and `ociblob/<hex>` of these, its config keeps `ocilayer/<hex>` and `ocirecipe/<hex>` of its diff ids, and
//! its name keeps `ocifs/<name>`. Every other ref is somebody's own business and keeps itself.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::id::{DiffId, Digest, ObjectId};
use crate::image::load_config;
use crate::name::{BLOBS, FLAT, IMAGES, LAYERS, RECIPES, RefName, USED};
use crate::oci::Document;
use crate::reach::whole_commit;
use crate::repo::Repo;
use crate::roots::Root;

/// What one image needs.
#[derive(Debug, Default)]
struct Needs {
    blobs: Vec<Digest>,
    layers: Vec<DiffId>,
    /// It is too damaged to say which config is its, so any may be.
    any_config: bool,
    /// The same of its layers: neither manifest and config nor the history of its tree can be read.
    any_layer: bool,
}

/// What images need, remembered from one look at the refs to the next.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    images: HashMap<ObjectId, Needs>,
}

/// What all images together need.
#[derive(Debug, Default)]
struct Cover<'k> {
    names: HashSet<&'k str>,
    blobs: HashSet<&'k Digest>,
    layers: HashSet<&'k DiffId>,
    any_config: bool,
    any_layer: bool,
}

impl Kept {
    /// The refs that no image needs any more.
    pub(crate) fn outdated(&mut self, repo: &Repo, roots: &[Root]) -> Result<Vec<RefName>> {
        let names: HashMap<RefName, ObjectId> = roots
            .iter()
            .filter_map(|root| Some((root.local()?, root.commit)))
            .collect();
        // Each image's commit, with that of its flattened tree.
        let images: HashMap<ObjectId, Option<ObjectId>> = names
            .iter()
            .filter_map(|(name, commit)| Some((*commit, names.get(&flat_of(name)?).copied())))
            .collect();
        self.images.retain(|commit, _| images.contains_key(commit));
        let new: Vec<(ObjectId, Option<ObjectId>)> = images
            .into_iter()
            .filter(|(commit, _)| !self.images.contains_key(commit))
            .collect();
        let read: Vec<(ObjectId, Needs)> = new
            .into_par_iter()
            .map(|(commit, flat)| Ok((commit, needs(repo, &commit, flat)?)))
            .collect::<Result<_>>()?;
        self.images.extend(read);
        let mut cover = Cover {
            names: names.keys().filter_map(image_component).collect(),
            ..Cover::default()
        };
        for needs in self.images.values() {
            cover.blobs.extend(&needs.blobs);
            cover.layers.extend(&needs.layers);
            cover.any_config |= needs.any_config;
            cover.any_layer |= needs.any_layer;
        }
        let mut outdated: Vec<RefName> = names
            .iter()
            .filter(|(name, commit)| !cover.has(repo, name, commit))
            .map(|(name, _)| name.clone())
            .collect();
        outdated.sort();
        Ok(outdated)
    }
}

/// The ref of the flattened tree beside an image's ref; `None` for other refs.
fn flat_of(name: &RefName) -> Option<RefName> {
    let flat = match image_component(name) {
        Some(component) => format!("{FLAT}/{component}"),
        None => {
            let user = below(name, USED)?.strip_suffix("/image")?;
            format!("{USED}/{user}/fs")
        }
    };
    RefName::new(flat).ok()
}

fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. }
            | Error::Malformed { .. }
            | Error::Corrupt { .. }
            | Error::Unsupported { .. }
            | Error::TooLarge { .. }
    )
}

/// Reads what an image needs. Where its documents are damaged, the history of its flattened tree says which layers are
/// its.
fn needs(repo: &Repo, commit: &ObjectId, flat: Option<ObjectId>) -> Result<Needs> {
    let image = match whole_commit(repo, commit) {
        Err(error) if is_damage(&error) => return from_history(repo, flat, true),
        other => other?,
    };
    // An image commit of older tools, which names its layers otherwise, keeps only itself.
    let Some(text) = image.get_str("docker.manifest") else {
        return Ok(Needs::default());
    };
    let manifest = match Document::parse(text.as_bytes().to_vec(), "") {
        Ok(Document::Manifest(manifest)) => manifest,
        Ok(Document::Index(_)) => return Ok(Needs::default()),
        Err(_) => return from_history(repo, flat, true),
    };
    let mut needs = match load_config(repo, &manifest.config.digest) {
        Ok(config) => Needs {
            layers: config.diff_ids,
            ..Needs::default()
        },
        Err(error) if is_damage(&error) => from_history(repo, flat, false)?,
        Err(error) => return Err(error),
    };
    let layers = manifest.layers.iter().map(|layer| layer.digest);
    needs.blobs.extend(layers.chain([manifest.config.digest]));
    Ok(needs)
}

/// What the commits of a flattened tree say that they were made of.
fn from_history(repo: &Repo, flat: Option<ObjectId>, any_config: bool) -> Result<Needs> {
    let mut needs = Needs {
        any_config,
        any_layer: flat.is_none(),
        ..Needs::default()
    };
    let mut next = flat;
    while let Some(id) = next {
        let commit = match whole_commit(repo, &id) {
            Err(error) if is_damage(&error) => {
                needs.any_layer = true;
                break;
            }
            other => other?,
        };
        let layer = commit.get_str("berth.layer").map(str::parse::<DiffId>);
        let blob = commit.get_str("berth.blob").map(str::parse::<Digest>);
        needs.layers.extend(layer.and_then(Result::ok));
        needs.blobs.extend(blob.and_then(Result::ok));
        next = commit.parent;
    }
    Ok(needs)
}

/// The `<name>` of `ociimage/<name>`, unless it is the hex of a blob.
fn image_component(name: &RefName) -> Option<&str> {
    below(name, IMAGES).filter(|component| Digest::from_hex(component).is_err())
}

fn below<'n>(name: &'n RefName, prefix: &str) -> Option<&'n str> {
    name.as_str().strip_prefix(prefix)?.strip_prefix('/')
}

impl Cover<'_> {
    fn has(&self, repo: &Repo, name: &RefName, commit: &ObjectId) -> bool {
        if let Some(digest) = below(name, IMAGES).and_then(|hex| Digest::from_hex(hex).ok()) {
            // A layer's commit says what it unpacks to, a config's has nothing of the kind.
            let is_config = || {
                let commit = repo.read_commit(commit);
                !commit.is_ok_and(|commit| commit.get_str("docker.uncompressed_digest").is_some())
            };
            self.blobs.contains(&digest) || self.any_layer || (self.any_config && is_config())
        } else if let Some(layer) = [LAYERS, RECIPES]
            .iter()
            .find_map(|prefix| DiffId::from_hex(below(name, prefix)?).ok())
        {
            self.any_layer || self.layers.contains(&layer)
        } else if let Some(blob) = below(name, BLOBS).and_then(|hex| Digest::from_hex(hex).ok()) {
            self.any_layer || self.blobs.contains(&blob)
        } else if let Some(component) = below(name, FLAT) {
            self.names.contains(component)
        } else {
            true
        }
    }
}
