//! What a repository holds, and what storing every file once saved.

use crate::error::Result;
use crate::loose::{self, TOP_DOWN};
use crate::name::{BLOBS, IMAGES, LAYERS, RECIPES, USED};
use crate::repo::Repo;
use crate::roots::roots;
use crate::usage::TreeSizes;

/// The objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KindStat {
    /// The kind, in stock ostree's word.
    pub kind: &'static str,
    /// How many there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a repository holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StatReport {
    /// By kind of object.
    pub kinds: Vec<KindStat>,
    /// All objects.
    pub objects: u64,
    /// Their bytes: what is stored.
    pub stored_bytes: u64,
    /// The trees that are counted in `logical_bytes`: flattened images, and branches that are no image's.
    pub trees: u64,
    /// The bytes that these trees would take one by one.
    pub logical_bytes: u64,
}

/// Counts objects and trees.
pub fn stat(repo: &Repo) -> Result<StatReport> {
    let mut kinds: Vec<KindStat> = TOP_DOWN
        .iter()
        .map(|kind| KindStat {
            kind: kind.as_str(),
            objects: 0,
            bytes: 0,
        })
        .collect();
    for (kind, id) in loose::all_objects(repo)? {
        let Some(stat) = kinds.iter_mut().find(|stat| stat.kind == kind.as_str()) else {
            continue;
        };
        stat.objects += 1;
        stat.bytes += loose::size(repo, kind, &id)?;
    }
    let mut sizes = TreeSizes::default();
    let (mut trees, mut logical_bytes) = (0, 0_u64);
    for root in roots(repo)? {
        // Manifests, configs, layers, recipes and blobs are what images are made of, and users hold an image that is there already.
        let part = [IMAGES, LAYERS, RECIPES, BLOBS, USED]
            .iter()
            .any(|prefix| root.path.starts_with(&format!("heads/{prefix}/")));
        if !part {
            trees += 1;
            logical_bytes = logical_bytes
                .saturating_add(sizes.tree(repo, repo.read_commit(&root.commit)?.root)?);
        }
    }
    let objects = kinds.iter().map(|stat| stat.objects).sum();
    let stored_bytes = kinds.iter().map(|stat| stat.bytes).sum();
    Ok(StatReport {
        kinds,
        objects,
        stored_bytes,
        trees,
        logical_bytes,
    })
}
