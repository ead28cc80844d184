//! What a bundle says before its files come: whether its parts fit each other, and whether all that it does not bring is
//! here.

use std::collections::HashSet;

use crate::bundle_format::{Coming, Contents, malformed};
use crate::bundle_read::Arrived;
use crate::error::{Error, Result};
use crate::id::{DiffId, ObjectId};
use crate::image::all_images;
use crate::layer::known_layer;
use crate::name::ImageName;
use crate::object::ObjectKind;
use crate::oci::{Document, ImageConfig, Manifest};
use crate::reference::Reference;
use crate::repo::Repo;

/// An image that a bundle brings.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: ImageName,
    /// The familiar spelling of the name, where it differs.
    pub(crate) alias: Option<ImageName>,
    pub(crate) manifest: Manifest,
    pub(crate) config: ImageConfig,
}

/// Whether the parts fit: documents their digests, the list of layers what the configs say, and nothing comes twice.
pub(crate) fn check(contents: &Contents) -> Result<Vec<Wanted>> {
    let mut wanted = Vec::new();
    let (mut names, mut needed) = (HashSet::new(), HashSet::new());
    for image in &contents.images {
        if !names.insert(&image.name) {
            return Err(malformed(format!("image {} is there twice", image.name)));
        }
        let image = documents(&image.name, &image.manifest, &image.config)?;
        needed.extend(image.config.diff_ids.iter().copied());
        wanted.push(image);
    }
    if wanted.is_empty() {
        return Err(malformed("it has no image"));
    }
    let mut layers: HashSet<DiffId> = HashSet::new();
    let new = contents.layers.iter().map(|layer| layer.diff_id);
    for diff_id in contents.had.iter().copied().chain(new) {
        if !layers.insert(diff_id) {
            return Err(malformed(format!("layer {diff_id} is there twice")));
        }
        if !needed.contains(&diff_id) {
            return Err(malformed(format!(
                "layer {diff_id} is of none of its images"
            )));
        }
    }
    if let Some(missing) = needed.iter().find(|diff_id| !layers.contains(*diff_id)) {
        return Err(malformed(format!(
            "layer {missing} of its images is not in it"
        )));
    }
    let mut ids = HashSet::new();
    let recipes = contents.layers.iter().map(|layer| layer.recipe.id);
    for id in recipes.chain(contents.files.iter().map(|file| file.id)) {
        if !ids.insert(id) {
            return Err(malformed(format!("file {id} is there twice")));
        }
    }
    Ok(wanted)
}

/// The documents of an image, which must be each other's.
fn documents(name: &ImageName, manifest: &[u8], config: &[u8]) -> Result<Wanted> {
    let Document::Manifest(manifest) = Document::parse(manifest.to_vec(), "")? else {
        return Err(malformed(format!(
            "the manifest of image {name} is an index"
        )));
    };
    let config = ImageConfig::parse(config.to_vec())?;
    if manifest.config.digest != config.id() {
        return Err(Error::Mismatch {
            what: format!("config of image {name}"),
            expected: manifest.config.digest.to_string(),
            found: config.id().to_string(),
        });
    }
    if manifest.layers.len() != config.diff_ids.len() {
        return Err(Error::Mismatch {
            what: format!("image {name}"),
            expected: format!("{} layers as its config lists them", config.diff_ids.len()),
            found: format!("{} in its manifest", manifest.layers.len()),
        });
    }
    let reference = name.as_str().parse::<Reference>().ok();
    let alias = reference
        .filter(|reference| reference.canonical() == *name)
        .map(|reference| reference.familiar())
        .filter(|familiar| familiar != name);
    Ok(Wanted {
        name: name.clone(),
        alias,
        manifest,
        config,
    })
}

/// Whether the layers and bases that the bundle was made without are here.
pub(crate) fn check_here(repo: &Repo, contents: &Contents) -> Result<()> {
    for diff_id in &contents.had {
        if known_layer(repo, diff_id)?.is_none() {
            return Err(not_here(repo, contents, format!("layer {diff_id}")));
        }
    }
    let recipes = contents.layers.iter().map(|layer| &layer.recipe);
    let bases = recipes
        .chain(&contents.files)
        .filter_map(|file: &Coming| file.base);
    check_files(repo, contents, bases)
}

/// Whether every file of the layers comes or is here, and none comes that is of no layer.
pub(crate) fn check_tables(repo: &Repo, contents: &Contents, arrived: &[Arrived]) -> Result<()> {
    let tables = || arrived.iter().flat_map(|layer| layer.recipe().files());
    let needed: HashSet<&ObjectId> = tables().collect();
    let coming: HashSet<&ObjectId> = contents.files.iter().map(|file| &file.id).collect();
    if let Some(strange) = contents
        .files
        .iter()
        .find(|file| !needed.contains(&file.id))
    {
        return Err(malformed(format!(
            "file {} is of none of its layers",
            strange.id
        )));
    }
    let here = tables().filter(|id| !coming.contains(id)).copied();
    check_files(repo, contents, here)
}

fn check_files(
    repo: &Repo,
    contents: &Contents,
    files: impl Iterator<Item = ObjectId>,
) -> Result<()> {
    for id in files {
        if !repo.has(ObjectKind::File, &id)? {
            return Err(not_here(repo, contents, format!("file {id}")));
        }
    }
    Ok(())
}

/// Something is missing: most likely because an image is. Where all are here, what is missing itself is named.
fn not_here(repo: &Repo, contents: &Contents, thing: String) -> Error {
    let here = match all_images(repo) {
        Ok(here) => here,
        Err(error) => return error,
    };
    let is_here = |digest| {
        let mut here = here.iter().filter_map(|(_, image)| image.as_ref().ok());
        here.any(|image| image.digest == digest)
    };
    let missing = contents.since.iter().find(|since| !is_here(since.digest));
    let why = match (missing, contents.since.is_empty()) {
        (Some(since), _) => format!("image {} ({}) is not here", since.name, since.digest),
        (None, true) => format!("{thing} is neither in it nor here"),
        (None, false) => format!("{thing} is missing here, though its image is not"),
    };
    Error::Refused {
        verb: "load",
        thing: "the bundle".into(),
        why,
    }
}
