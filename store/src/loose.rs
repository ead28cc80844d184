//! What lies in `objects/`, by name alone.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::error::Result;
use crate::id::ObjectId;
use crate::object::ObjectKind;
use crate::repo::Repo;

/// The kinds in the order in which they are deleted: whoever leads to others goes first, so that a crash never leaves
/// something that leads to nothing.
pub(crate) const TOP_DOWN: [ObjectKind; 4] = [
    ObjectKind::Commit,
    ObjectKind::DirTree,
    ObjectKind::DirMeta,
    ObjectKind::File,
];

/// The objects of one directory, and files there that only look like objects.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The objects.
    pub(crate) objects: Vec<(ObjectKind, ObjectId)>,
    /// Files with an object's suffix whose name is no id.
    pub(crate) misnamed: Vec<PathBuf>,
}

/// The directories of `objects/` that hold objects: `00` to `ff`, sorted.
pub(crate) fn shelves(repo: &Repo) -> Result<Vec<String>> {
    let mut names: Vec<String> = repo
        .objects
        .list()?
        .into_iter()
        .filter(|(_, kind)| *kind == FileType::Directory)
        .filter_map(|(name, _)| {
            name.to_str()
                .filter(|name| is_shelf(name))
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

fn is_shelf(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lists one of [`shelves`]. Files with other suffixes belong to somebody else.
pub(crate) fn shelf(repo: &Repo, name: &str) -> Result<Shelf> {
    let mut shelf = Shelf::default();
    let Some(dir) = repo.objects.try_dir(name)? else {
        return Ok(shelf);
    };
    for (file, _) in dir.list()? {
        let Some(text) = file.to_str() else { continue };
        let Some((stem, suffix)) = text.split_once('.') else {
            continue;
        };
        let Some(kind) = TOP_DOWN
            .into_iter()
            .find(|kind| repo.suffix(*kind) == suffix)
        else {
            continue;
        };
        match ObjectId::from_hex(&format!("{name}{stem}")) {
            Ok(id) => shelf.objects.push((kind, id)),
            Err(_) => shelf.misnamed.push(Path::new(name).join(file)),
        }
    }
    Ok(shelf)
}

/// All objects, in no order.
pub(crate) fn all_objects(repo: &Repo) -> Result<Vec<(ObjectKind, ObjectId)>> {
    let mut objects = Vec::new();
    for name in shelves(repo)? {
        objects.append(&mut shelf(repo, &name)?.objects);
    }
    Ok(objects)
}

/// The bytes of an object's file; 0 when it is gone.
pub(crate) fn size(repo: &Repo, kind: ObjectKind, id: &ObjectId) -> Result<u64> {
    let stat = repo.objects.stat(repo.loose(kind, id))?;
    Ok(stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0)))
}
