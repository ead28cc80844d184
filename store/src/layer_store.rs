//! From a layer's tree of names, and the ids of its files, to dirtree and dirmeta objects.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::layer::LayerNotes;
use crate::layer_tree::{LayerDir, Node};
use crate::object::{DirTree, Meta, TreeId};
use crate::owners::Owners;
use crate::txn::Txn;

struct Storing<'s, 'r> {
    txn: &'s Txn<'r>,
    ids: &'s [Option<ObjectId>],
    owners: Owners,
    metas: HashMap<Meta, ObjectId>,
    implicit: Vec<String>,
    hides: Vec<String>,
    files: HashSet<ObjectId>,
}

/// A layer's tree in the repository.
#[derive(Debug)]
pub(crate) struct StoredTree {
    pub(crate) root: TreeId,
    pub(crate) notes: LayerNotes,
    /// The files it leads to.
    pub(crate) files: HashSet<ObjectId>,
}

/// Stores the tree bottom-up; directories that no entry named become `0755 root:root` and are noted, and so is every
/// path whose entry OSTree cannot hold.
pub(crate) fn store_tree(
    txn: &Txn<'_>,
    tree: &LayerDir,
    ids: &[Option<ObjectId>],
    owners: Owners,
    links: Vec<(String, String)>,
    whiteouts: u64,
) -> Result<StoredTree> {
    let mut storing = Storing {
        txn,
        ids,
        owners,
        metas: HashMap::new(),
        implicit: Vec::new(),
        hides: Vec::new(),
        files: HashSet::new(),
    };
    let root = storing.dir(tree, "")?;
    Ok(StoredTree {
        root,
        notes: LayerNotes {
            implicit: storing.implicit,
            links,
            hides: storing.hides,
            whiteouts: Some(whiteouts),
        },
        files: storing.files,
    })
}

impl Storing<'_, '_> {
    fn dir(&mut self, dir: &LayerDir, path: &str) -> Result<TreeId> {
        if dir.meta.is_none() {
            self.implicit.push(path.to_owned());
        }
        let mut tree = DirTree::default();
        for (name, node) in &dir.children {
            let below = || match path {
                "" => name.clone(),
                _ => format!("{path}/{name}"),
            };
            match node {
                Node::Leaf(leaf) => match leaf.slot() {
                    Some(slot) => {
                        let id = self.ids.get(slot).copied().flatten();
                        let id = id.ok_or_else(|| {
                            Error::malformed("layer", format!("{path}/{name} was not stored"))
                        })?;
                        self.files.insert(id);
                        tree.files.push((name.clone(), id));
                    }
                    None => self.hides.push(below()),
                },
                Node::Dir(child) => {
                    let child = self.dir(child, &below())?;
                    tree.dirs.push((name.clone(), child));
                }
            }
        }
        let meta = match &dir.meta {
            Some(meta) => meta.clone(),
            None => self.owners.apply(Meta::default_dir()),
        };
        let meta = self.meta(meta)?;
        Ok(TreeId {
            contents: self.txn.put_dirtree(&tree)?,
            meta,
        })
    }

    /// A tree has few different dirmetas.
    fn meta(&mut self, meta: Meta) -> Result<ObjectId> {
        if let Some(id) = self.metas.get(&meta) {
            return Ok(*id);
        }
        let id = self.txn.put_dirmeta(&meta)?;
        self.metas.insert(meta, id);
        Ok(id)
    }
}
