//! Takes an image from a repository that is only read into our own, so that a container can hold it there.
//!
//! What is taken is the image as that repository has it, flattened: owners that were lost there stay lost. Files that
//! are here already are not read, and those that are not what their ids say are refused. Nothing names the image here, so
//! it is gone with the last container that holds it.

use std::collections::HashMap;
use std::io::Read as _;

use crate::commit::Commit;
use crate::content::{Content, ContentKind};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::image::{Image, commit_config, commit_manifest};
use crate::layer_parse::SMALL_FILE_BYTES_MAX;
use crate::mode::Mode;
use crate::name::RefName;
use crate::object::{DirTree, ObjectKind, TreeId};
use crate::repo::Repo;
use crate::txn::{Mtime, Txn};

/// Bytes of a large file that are copied at once.
const PIECE_BYTES: usize = 256 << 10;
/// The deepest nesting of directories.
const DEPTH_MAX: usize = 2048;

/// Whether a repository holds the image's flattened tree, rather than layers from which it was worked out.
pub fn holds_flat(repo: &Repo, image: &Image) -> Result<bool> {
    repo.has(ObjectKind::Commit, &image.flat)
}

/// Stores the image of `from` in `repo`, without a name. Hold both repositories' locks.
pub fn adopt(repo: &Repo, from: &Repo, image: &Image) -> Result<Image> {
    let txn = repo.txn()?;
    let mut taking = Taking {
        txn: &txn,
        from,
        same_ids: repo.mode().hash() == from.mode().hash(),
        keeps_ids: from.mode() != Mode::BareUserOnly,
        trees: HashMap::new(),
        files: HashMap::new(),
    };
    let root = taking.dir(image.root, 0)?;
    let flat = txn.put_commit(&Commit {
        parent: None,
        root,
        ..from.read_commit(&image.flat)?
    })?;
    let config = commit_config(&txn, &image.config)?;
    let commit = commit_manifest(&txn, &image.name, &image.manifest, &image.config)?;
    txn.set_ref(&RefName::blob(&image.config.id()), Some(config));
    txn.commit()?;
    Ok(Image {
        commit,
        flat,
        root,
        ..image.clone()
    })
}

struct Taking<'t, 'r> {
    txn: &'t Txn<'r>,
    from: &'t Repo,
    /// Whether a file has the same id in both.
    same_ids: bool,
    /// Whether ids are of what can be read: in `bare-user-only`, owners may be lost that they were made with.
    keeps_ids: bool,
    trees: HashMap<TreeId, TreeId>,
    files: HashMap<ObjectId, ObjectId>,
}

impl Taking<'_, '_> {
    fn dir(&mut self, id: TreeId, depth: usize) -> Result<TreeId> {
        if let Some(taken) = self.trees.get(&id) {
            return Ok(*taken);
        }
        if depth > DEPTH_MAX {
            return Err(Error::TooLarge {
                what: format!("tree {}", id.contents),
                limit: format!("{DEPTH_MAX} directories within each other"),
            });
        }
        let tree = self.from.read_dirtree(&id.contents)?;
        let mut taken = DirTree::default();
        for (name, file) in tree.files {
            taken.files.push((name, self.file(file)?));
        }
        for (name, dir) in tree.dirs {
            taken.dirs.push((name, self.dir(dir, depth + 1)?));
        }
        let taken = TreeId {
            contents: self.txn.put_dirtree(&taken)?,
            meta: self.txn.put_dirmeta(&self.from.read_dirmeta(&id.meta)?)?,
        };
        self.check(ObjectKind::DirTree, id.contents, taken.contents)?;
        self.check(ObjectKind::DirMeta, id.meta, taken.meta)?;
        self.trees.insert(id, taken);
        Ok(taken)
    }

    fn file(&mut self, id: ObjectId) -> Result<ObjectId> {
        if let Some(taken) = self.files.get(&id) {
            return Ok(*taken);
        }
        let is_here = self.same_ids && self.txn.repo().has(ObjectKind::File, &id)?;
        let taken = match is_here {
            true => id,
            false => self.copy(id)?,
        };
        self.check(ObjectKind::File, id, taken)?;
        self.files.insert(id, taken);
        Ok(taken)
    }

    /// Refuses what is not what its id says, where that can be told.
    fn check(&self, kind: ObjectKind, id: ObjectId, taken: ObjectId) -> Result<()> {
        if taken == id || !self.same_ids || !self.keeps_ids {
            return Ok(());
        }
        Err(Error::Corrupt {
            what: format!("{} {id}", kind.as_str()),
            expected: id.to_string(),
            found: taken.to_string(),
        })
    }

    fn copy(&self, id: ObjectId) -> Result<ObjectId> {
        let Content { meta, kind } = self.from.open_file(&id)?;
        let (mut payload, size) = match kind {
            ContentKind::Symlink { target } => {
                return self.txn.put_symlink(&meta, Mtime::default(), &target);
            }
            ContentKind::Regular { file, size } => (file, size),
        };
        let unreadable = |source| Error::Read {
            what: format!("file {id}"),
            source,
        };
        let mtime = payload.as_file().map_or(Ok(Mtime::default()), mtime_of);
        let mtime = mtime.map_err(unreadable)?;
        if size <= SMALL_FILE_BYTES_MAX {
            let mut bytes = Vec::with_capacity(size as usize);
            payload
                .take(size)
                .read_to_end(&mut bytes)
                .map_err(unreadable)?;
            return self.txn.put_regular(&meta, mtime, &bytes);
        }
        let mut file = self.txn.begin_regular(meta, mtime)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match payload.read(&mut piece).map_err(unreadable)? {
                0 => return file.finish(),
                n => file.write(&piece[..n])?,
            }
        }
    }
}

fn mtime_of(file: &std::fs::File) -> std::io::Result<Mtime> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = file.metadata()?;
    Ok(Mtime {
        secs: meta.mtime(),
        nanos: u32::try_from(meta.mtime_nsec()).unwrap_or(0),
    })
}
