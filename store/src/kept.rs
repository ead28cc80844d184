//! Which refs only serve images, and which of those no image needs any more.
//!
//! An image is kept by its own ref (`ociimage/<name>`) or by who uses it (`berth/used/<id>/image`). Its manifest keeps
//! `ociimage/<hex>` of its config and layers, its config keeps `ocilayer/<hex>` and `ocirecipe/<hex>` of its diff ids, and
//! its name keeps `ocifs/<name>`. Every other ref is somebody's own business and keeps itself.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::id::{DiffId, Digest, ObjectId};
use crate::image::load_config;
use crate::name::{FLAT, IMAGES, LAYERS, RECIPES, RefName, USED};
use crate::oci::Document;
use crate::repo::Repo;
use crate::roots::Root;

/// What one image needs.
#[derive(Debug, Default)]
struct Needs {
    blobs: Vec<Digest>,
    layers: Vec<DiffId>,
    /// Its manifest or config cannot be read, so anything may be its.
    anything: bool,
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
    anything: bool,
}

impl Kept {
    /// The refs that no image needs any more.
    pub(crate) fn outdated(&mut self, repo: &Repo, roots: &[Root]) -> Result<Vec<RefName>> {
        let names: Vec<(RefName, ObjectId)> = roots
            .iter()
            .filter_map(|root| Some((root.local()?, root.commit)))
            .collect();
        let images: HashSet<ObjectId> = names
            .iter()
            .filter(|(name, _)| image_component(name).is_some() || is_used_image(name))
            .map(|(_, commit)| *commit)
            .collect();
        self.images.retain(|commit, _| images.contains(commit));
        let new: Vec<ObjectId> = images
            .into_iter()
            .filter(|commit| !self.images.contains_key(commit))
            .collect();
        let read: Vec<(ObjectId, Needs)> = new
            .into_par_iter()
            .map(|commit| Ok((commit, needs(repo, &commit)?)))
            .collect::<Result<_>>()?;
        self.images.extend(read);
        let images = names.iter().filter_map(|(name, _)| image_component(name));
        let mut cover = Cover {
            names: images.collect(),
            ..Cover::default()
        };
        for needs in self.images.values() {
            cover.blobs.extend(&needs.blobs);
            cover.layers.extend(&needs.layers);
            cover.anything |= needs.anything;
        }
        let outdated = names.iter().map(|(name, _)| name);
        Ok(outdated.filter(|name| !cover.has(name)).cloned().collect())
    }
}

/// Reads what an image needs. One that is damaged may need whatever there is.
fn needs(repo: &Repo, commit: &ObjectId) -> Result<Needs> {
    let unknown = Needs {
        anything: true,
        ..Needs::default()
    };
    let damaged = |error: &Error| {
        matches!(
            error,
            Error::NotFound { .. }
                | Error::Malformed { .. }
                | Error::Corrupt { .. }
                | Error::Unsupported { .. }
                | Error::TooLarge { .. }
        )
    };
    let image = match repo.read_commit(commit) {
        Err(error) if damaged(&error) => return Ok(unknown),
        other => other?,
    };
    // An image commit of older tools, which names its layers otherwise, keeps only itself.
    let Some(text) = image.get_str("docker.manifest") else {
        return Ok(Needs::default());
    };
    let manifest = match Document::parse(text.as_bytes().to_vec(), "") {
        Ok(Document::Manifest(manifest)) => manifest,
        Ok(Document::Index(_)) => return Ok(Needs::default()),
        Err(_) => return Ok(unknown),
    };
    let (layers, anything) = match load_config(repo, &manifest.config.digest) {
        Ok(config) => (config.diff_ids, false),
        Err(error) if damaged(&error) => (Vec::new(), true),
        Err(error) => return Err(error),
    };
    let blobs = manifest.layers.iter().map(|layer| layer.digest);
    Ok(Needs {
        blobs: blobs.chain([manifest.config.digest]).collect(),
        layers,
        anything,
    })
}

/// The `<name>` of `ociimage/<name>`, unless it is the hex of a blob.
fn image_component(name: &RefName) -> Option<&str> {
    below(name, IMAGES).filter(|component| Digest::from_hex(component).is_err())
}

fn is_used_image(name: &RefName) -> bool {
    below(name, USED).is_some_and(|rest| rest.ends_with("/image"))
}

fn below<'n>(name: &'n RefName, prefix: &str) -> Option<&'n str> {
    name.as_str().strip_prefix(prefix)?.strip_prefix('/')
}

impl Cover<'_> {
    fn has(&self, name: &RefName) -> bool {
        if let Some(digest) = below(name, IMAGES).and_then(|hex| Digest::from_hex(hex).ok()) {
            self.anything || self.blobs.contains(&digest)
        } else if let Some(layer) = [LAYERS, RECIPES]
            .iter()
            .find_map(|prefix| DiffId::from_hex(below(name, prefix)?).ok())
        {
            self.anything || self.layers.contains(&layer)
        } else if let Some(component) = below(name, FLAT) {
            self.names.contains(component)
        } else {
            true
        }
    }
}
