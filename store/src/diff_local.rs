//! A directory of the file system as a side of a comparison: the ids that its files would have in the store.

use std::io::Read as _;

use crate::commit_dir::owned;
use crate::diff::{Item, ItemKind, Local, Node};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{Meta, file_header};
use crate::real_xattrs::xattrs_to_commit;
use rustix::fs::FileType;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// The entries, files before directories, each by name. What is not UTF-8 in a name is shown as `�`, and equals nothing
/// that is stored.
pub(crate) fn items(local: &Local) -> Result<Vec<Item>> {
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for (name, kind) in local.dir.list()? {
        let is_dir = match kind {
            FileType::Unknown => local
                .dir
                .stat(&name)?
                .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        let shown = name.to_string_lossy().into_owned();
        if is_dir {
            let below = Local {
                dir: local.dir.dir(&name)?,
                owner: local.owner,
                xattrs: local.xattrs,
                hash: local.hash,
            };
            let kind = ItemKind::Dir(Node::Local(below));
            dirs.push(Item { name: shown, kind });
        } else {
            let kind = ItemKind::LocalFile;
            files.push(Item { name: shown, kind });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    dirs.sort_by(|a, b| a.name.cmp(&b.name));
    files.append(&mut dirs);
    Ok(files)
}

/// The id of the directory's own metadata.
pub(crate) fn meta_id(local: &Local) -> Result<ObjectId> {
    let stat = rustix::fs::fstat(&local.dir).map_err(Error::io("stat", local.dir.path()))?;
    let mut meta = owned(&stat, &local.owner);
    if local.xattrs {
        meta.xattrs = xattrs_to_commit(local.dir.path())?;
    }
    Ok(local.hash.id_of(&meta.encode()))
}

/// The id of a file or symbolic link; `None` for what the store cannot hold.
pub(crate) fn file_id(local: &Local, name: &str) -> Result<Option<ObjectId>> {
    let path = local.dir.path().join(name);
    let Some(stat) = local.dir.stat(name)? else {
        return Ok(None);
    };
    let mut meta: Meta = owned(&stat, &local.owner);
    if local.xattrs {
        meta.xattrs = xattrs_to_commit(&path)?;
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = String::from_utf8(local.dir.read_link(name)?);
            Ok(target
                .ok()
                .map(|target| local.hash.id_of(&file_header(&meta, &target))))
        }
        FileType::RegularFile => {
            let Some(mut file) = local.dir.try_file(name)? else {
                return Ok(None);
            };
            let mut hash = local.hash.hasher();
            hash.update(&file_header(&meta, ""));
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                match file.read(&mut buffer).map_err(Error::io("read", &path))? {
                    0 => return Ok(Some(hash.finish())),
                    read => hash.update(&buffer[..read]),
                }
            }
        }
        _ => Ok(None),
    }
}
