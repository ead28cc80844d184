//! Makes a ref or an alias for what is there already.

use rustix::fs::FileType;

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::name::RefName;
use crate::refs::Durability;
use crate::refspec::RefSpec;
use crate::repo::Repo;

/// Makes a ref that names a commit; one that is there is only replaced with `force`. The caller holds the lock, at least
/// shared.
pub fn create_ref(repo: &Repo, spec: &RefSpec, commit: &ObjectId, force: bool) -> Result<()> {
    let path = spec.path();
    match kind(repo, &path)? {
        Some(FileType::Directory) => {
            return Err(refused(spec, "there are refs below it"));
        }
        Some(_) if !force => return Err(refused(spec, "it is there already")),
        _ => {}
    }
    repo.write_ref_at(&path, Some(commit), Durability::Lasting)
}

/// Makes an alias that leads to a local ref. An alias of that name is replaced, a ref is not. The caller holds the
/// lock, at least shared.
pub fn create_alias(repo: &Repo, alias: &RefName, target: &RefName) -> Result<()> {
    let spec = RefSpec {
        remote: None,
        name: alias.clone(),
    };
    match kind(repo, &spec.path())? {
        Some(FileType::Directory) => return Err(refused(&spec, "there are refs below it")),
        None | Some(FileType::Symlink) => {}
        Some(_) => return Err(refused(&spec, "it is there already")),
    }
    if alias == target || repo.resolve(target)?.is_none() {
        return Err(Error::NotFound {
            what: "ref",
            name: target.to_string(),
        });
    }
    repo.write_alias(alias, target)
}

fn kind(repo: &Repo, path: &str) -> Result<Option<FileType>> {
    let stat = repo.dir.stat(format!("refs/{path}"))?;
    Ok(stat.map(|stat| FileType::from_raw_mode(stat.st_mode)))
}

fn refused(spec: &RefSpec, why: &str) -> Error {
    Error::Refused {
        verb: "create",
        thing: format!("ref {spec}"),
        why: why.into(),
    }
}
