//! Which refs only serve images, and which of those no image needs any more.
//!
//! An image is kept by its own ref (`ociimage/<name>`) or by who uses it (`berth/used/<id>/image`). Its manifest keeps
//! `ociimage/<hex>` of its config and layers, its config keeps `ocilayer/<hex>` and `ocirecipe/<hex>` of its diff ids, and
//! its name keeps `ocifs/<name>`. Every other ref is somebody's own business and keeps itself.

use std::collections::HashSet;

use crate::commit::Commit;
use crate::error::{Error, Result};
use crate::id::{DiffId, Digest, ObjectId};
use crate::image::load_config;
use crate::name::{FLAT, IMAGES, LAYERS, RECIPES, RefName, USED};
use crate::oci::Document;
use crate::repo::Repo;
use crate::roots::Root;

/// What the images of a repository need.
#[derive(Debug, Default)]
struct Needs {
    images: HashSet<String>,
    blobs: HashSet<Digest>,
    layers: HashSet<DiffId>,
    /// The config of some image is missing, so every layer may be its.
    any_layer: bool,
}

/// The refs that no image needs any more.
pub(crate) fn outdated(repo: &Repo, roots: &[Root]) -> Result<Vec<RefName>> {
    let names: Vec<(RefName, ObjectId)> = roots
        .iter()
        .filter_map(|root| Some((root.local()?, root.commit)))
        .collect();
    let mut needs = Needs::default();
    let mut seen = HashSet::new();
    for (name, commit) in &names {
        if let Some(image) = image_component(name) {
            needs.images.insert(image.to_owned());
        } else if !is_used_image(name) {
            continue;
        }
        if seen.insert(*commit) {
            needs.add(repo, &repo.read_commit(commit)?)?;
        }
    }
    Ok(names
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !needs.cover(name))
        .collect())
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

impl Needs {
    fn add(&mut self, repo: &Repo, image: &Commit) -> Result<()> {
        // An image commit of older tools, which names its layers otherwise, keeps only itself.
        let Some(text) = image.get_str("docker.manifest") else {
            return Ok(());
        };
        let Document::Manifest(manifest) = Document::parse(text.as_bytes().to_vec(), "")? else {
            return Ok(());
        };
        self.blobs.insert(manifest.config.digest);
        self.blobs
            .extend(manifest.layers.iter().map(|layer| layer.digest));
        match load_config(repo, &manifest.config.digest) {
            Ok(config) => self.layers.extend(config.diff_ids),
            Err(Error::NotFound { .. }) => self.any_layer = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn cover(&self, name: &RefName) -> bool {
        if let Some(digest) = below(name, IMAGES).and_then(|hex| Digest::from_hex(hex).ok()) {
            self.blobs.contains(&digest)
        } else if let Some(layer) = [LAYERS, RECIPES]
            .iter()
            .find_map(|prefix| DiffId::from_hex(below(name, prefix)?).ok())
        {
            self.any_layer || self.layers.contains(&layer)
        } else if let Some(component) = below(name, FLAT) {
            self.images.contains(component)
        } else {
            true
        }
    }
}
