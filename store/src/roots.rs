//! Where reachability begins: every ref of the repository, ours and everybody else's.
//!
//! Stock ostree keeps refs below `refs/heads`, `refs/remotes` and `refs/mirrors`, and whatever a ref of any of them
//! leads to must stay.

use rustix::fs::FileType;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::name::RefName;
use crate::repo::Repo;

/// A ref, by its path below `refs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Root {
    /// E.g. `heads/ocifs/redis_3Alatest`.
    pub(crate) path: String,
    /// The commit it names.
    pub(crate) commit: ObjectId,
}

impl Root {
    /// The ref's name, when it is a local one.
    pub(crate) fn local(&self) -> Option<RefName> {
        RefName::new(self.path.strip_prefix("heads/")?).ok()
    }
}

/// All refs, sorted; aliases name nothing of their own and are left out.
pub(crate) fn roots(repo: &Repo) -> Result<Vec<Root>> {
    let mut roots: Vec<Root> = repo
        .refs("")?
        .into_iter()
        .map(|(name, commit)| Root {
            path: format!("heads/{name}"),
            commit,
        })
        .collect();
    let refs = repo.dir.dir("refs")?;
    for place in ["remotes", "mirrors"] {
        if let Some(dir) = refs.try_dir(place)? {
            walk(&dir, place, &mut roots)?;
        }
    }
    roots.sort();
    Ok(roots)
}

/// The refs of other repositories: the depth of their directories is what their names have.
fn walk(dir: &Dir, prefix: &str, roots: &mut Vec<Root>) -> Result<()> {
    for (leaf, kind) in dir.list()? {
        let Some(leaf) = leaf.to_str() else { continue };
        let path = format!("{prefix}/{leaf}");
        // As in stock ostree, a file whose name is no ref's is nobody's business.
        let Ok(name) = RefName::new(path) else {
            continue;
        };
        match kind {
            FileType::Directory => walk(&dir.dir(leaf)?, name.as_str(), roots)?,
            FileType::RegularFile => {
                let Some(bytes) = dir.read(leaf, 256)? else {
                    continue;
                };
                let commit = ObjectId::from_hex(String::from_utf8_lossy(&bytes).trim_end())
                    .map_err(|_| {
                        Error::malformed(format!("ref {name}"), "it does not hold a commit id")
                    })?;
                roots.push(Root {
                    path: name.as_str().to_owned(),
                    commit,
                });
            }
            _ => {}
        }
    }
    Ok(())
}
