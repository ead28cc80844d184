//! From a layer's tree of names, and the ids of its files, to dirtree and dirmeta objects.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::layer::LayerNotes;
use crate::layer_tree::{LayerDir, Node};
use crate::object::{DirTree, Meta, TreeId};
use crate::txn::Txn;

struct Storing<'s, 'r> {
    txn: &'s Txn<'r>,
    ids: &'s [Option<ObjectId>],
    metas: HashMap<Meta, ObjectId>,
    implicit: Vec<String>,
}

/// Stores the tree bottom-up; directories that no entry named become `0755 root:root` and are noted.
pub(crate) fn store_tree(
    txn: &Txn<'_>,
    tree: &LayerDir,
    ids: &[Option<ObjectId>],
    links: Vec<(String, String)>,
    whiteouts: u64,
) -> Result<(TreeId, LayerNotes)> {
    let mut storing = Storing {
        txn,
        ids,
        metas: HashMap::new(),
        implicit: Vec::new(),
    };
    let root = storing.dir(tree, "")?;
    Ok((
        root,
        LayerNotes {
            implicit: storing.implicit,
            links,
            whiteouts: Some(whiteouts),
        },
    ))
}

impl Storing<'_, '_> {
    fn dir(&mut self, dir: &LayerDir, path: &str) -> Result<TreeId> {
        if dir.meta.is_none() {
            self.implicit.push(path.to_owned());
        }
        let mut tree = DirTree::default();
        for (name, node) in &dir.children {
            match node {
                Node::Leaf(leaf) => {
                    let id = self.ids.get(leaf.slot()).copied().flatten();
                    let id = id.ok_or_else(|| {
                        Error::malformed("layer", format!("{path}/{name} was not stored"))
                    })?;
                    tree.files.push((name.clone(), id));
                }
                Node::Dir(child) => {
                    let below = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}/{name}")
                    };
                    tree.dirs.push((name.clone(), self.dir(child, &below)?));
                }
            }
        }
        let meta = self.meta(dir.meta.clone().unwrap_or_else(Meta::default_dir))?;
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
