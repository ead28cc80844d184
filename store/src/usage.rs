//! How much room images take: each by itself, and what only it has.

use std::collections::HashMap;

use crate::error::Result;
use crate::id::{Digest, ObjectId};
use crate::image::Image;
use crate::loose;
use crate::name::RefName;
use crate::object::{ObjectKind, TreeId};
use crate::reach::{Depth, Reach};
use crate::repo::Repo;

/// How much room an image takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImageUsage {
    /// Bytes of the files of its flattened tree; one with several names counts once.
    pub size: u64,
    /// Bytes of the objects that no other image has: what removing the image frees.
    pub unique: u64,
}

/// Who has an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    One(Digest),
    Several,
}

/// Measures images against each other, in their order. Several names of one image do not share with each other.
pub fn image_usage(repo: &Repo, images: &[Image]) -> Result<Vec<ImageUsage>> {
    let mut holders: HashMap<(ObjectKind, ObjectId), Holder> = HashMap::new();
    let mut sizes = TreeSizes::default();
    let mut usage: HashMap<Digest, ImageUsage> = HashMap::new();
    for image in images {
        if usage.contains_key(&image.id) {
            continue;
        }
        for object in reach(repo, image)?.iter() {
            holders
                .entry(object)
                .and_modify(|holder| *holder = Holder::Several)
                .or_insert(Holder::One(image.id));
        }
        usage.insert(
            image.id,
            ImageUsage {
                size: sizes.tree(repo, image.root)?,
                unique: 0,
            },
        );
    }
    for ((kind, id), holder) in &holders {
        if let Holder::One(image) = holder
            && let Some(usage) = usage.get_mut(image)
        {
            usage.unique += loose::size(repo, *kind, id)?;
        }
    }
    Ok(images
        .iter()
        .map(|image| usage.get(&image.id).copied().unwrap_or_default())
        .collect())
}

/// Everything that is there for an image.
fn reach(repo: &Repo, image: &Image) -> Result<Reach> {
    let mut reach = Reach::default();
    let mut commits = vec![image.commit, image.flat];
    let blobs = image.manifest.layers.iter().flat_map(|layer| {
        [
            RefName::blob(&layer.digest),
            RefName::kept_blob(&layer.digest),
        ]
    });
    let diff_ids = || image.config.diff_ids.iter();
    let layers = diff_ids()
        .map(RefName::layer)
        .chain(diff_ids().map(RefName::recipe));
    for name in blobs
        .chain(layers)
        .chain([RefName::blob(&image.manifest.config.digest)])
    {
        commits.extend(repo.resolve(&name)?);
    }
    reach.add_commits(repo, commits, Depth::All)?;
    Ok(reach)
}

/// The sizes of trees; a file that stands in many of them is looked at once.
#[derive(Debug, Default)]
pub(crate) struct TreeSizes {
    known: HashMap<ObjectId, u64>,
}

impl TreeSizes {
    /// The bytes of the files below a directory. A file under several names counts once: a tree has its hard links as
    /// such, and so does the disk.
    pub(crate) fn tree(&mut self, repo: &Repo, root: TreeId) -> Result<u64> {
        let mut reach = Reach::default();
        reach.add_tree(repo, root)?;
        let mut total = 0_u64;
        for id in reach.files() {
            let size = match self.known.get(id) {
                Some(size) => *size,
                None => {
                    let size = loose::size(repo, ObjectKind::File, id)?;
                    self.known.insert(*id, size);
                    size
                }
            };
            total = total.saturating_add(size);
        }
        Ok(total)
    }
}
