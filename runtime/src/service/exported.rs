//! Reading below an image's root, be it a tree of the store or a directory. Links lead nowhere outside of either.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, OFlags};
use rustix::io::Errno;
use store::{ContentKind, Entry, ListDepth, Listed, ListedKind, Repo, TreeId};

use super::document::{DOCUMENT_BYTES_MAX, EXPORTS, HOST_DEPTH_MAX};
use super::error::Error;
use crate::error::{Error as AnyError, Result};
use crate::inroot::InRoot;

/// Called with a path, which begins with `/`, and what is there.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&str, Kind) -> Result<()>;

/// A root file system.
pub(crate) trait Tree {
    /// The bytes of a regular file of at most [`DOCUMENT_BYTES_MAX`]; `None` when nothing is there.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;
    /// The directory at `path`, if there is one and no link leads there.
    fn directory(&self, path: &str) -> Result<Option<Directory>>;
    /// Visits what is below the directory `path`, outer before inner, by name; nothing when it is not there. Links are
    /// entries, not ways.
    fn walk(&self, path: &str, visit: Visit<'_>) -> Result<()>;
}

/// A directory of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory(Directory),
    Link { target: String },
    File { mode: u32 },
}

fn too_large(path: &str) -> AnyError {
    Error::TooLarge {
        what: format!("{path} of the image"),
        limit: format!("{DOCUMENT_BYTES_MAX} bytes"),
    }
    .into()
}

fn no_file(path: &str) -> AnyError {
    unusable(path, "it is not a regular file")
}

fn unusable(path: &str, why: &str) -> AnyError {
    Error::Document {
        file: path.to_owned(),
        why: why.to_owned(),
    }
    .into()
}

fn too_deep(path: &str) -> AnyError {
    Error::TooLarge {
        what: format!("the depth of {path} of the image"),
        limit: format!("{HOST_DEPTH_MAX} directories"),
    }
    .into()
}

/// An image of the store.
pub(crate) struct OfImage<'a> {
    repo: &'a Repo,
    root: TreeId,
}

impl<'a> OfImage<'a> {
    pub(crate) fn new(repo: &'a Repo, root: TreeId) -> Self {
        Self { repo, root }
    }

    fn follow(&self, path: &str) -> Result<Option<Entry>> {
        match store::follow(self.repo, self.root, path) {
            Ok(entry) => Ok(Some(entry)),
            Err(store::Error::NotFound { what: "path", .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Tree for OfImage<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let id = match self.follow(path)? {
            None => return Ok(None),
            Some(Entry::Dir(_)) => return Err(no_file(path)),
            Some(Entry::File(id)) => id,
        };
        let ContentKind::Regular { file, size } = self.repo.open_file(&id)?.kind else {
            return Err(no_file(path));
        };
        if size > DOCUMENT_BYTES_MAX {
            return Err(too_large(path));
        }
        let mut bytes = Vec::new();
        file.take(DOCUMENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(AnyError::io("read", path))?;
        match bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            true => Err(too_large(path)),
            false => Ok(Some(bytes)),
        }
    }

    fn directory(&self, path: &str) -> Result<Option<Directory>> {
        let id = match self.repo.lookup(self.root, path) {
            Ok(Entry::Dir(id)) => id,
            Ok(Entry::File(_)) | Err(store::Error::NotFound { what: "path", .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let meta = self.repo.read_dirmeta(&id.meta)?;
        Ok(Some(Directory {
            mode: meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
        }))
    }

    fn walk(&self, path: &str, visit: Visit<'_>) -> Result<()> {
        let top = match self.repo.lookup(self.root, path) {
            Ok(Entry::Dir(top)) => top,
            Ok(Entry::File(_)) => return Err(unusable(path, "it is not a directory")),
            Err(store::Error::NotFound { what: "path", .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        store::list(
            self.repo,
            top,
            "/",
            ListDepth::All,
            &mut |it: Listed| -> Result<()> {
                if it.path == "/" {
                    return Ok(());
                }
                if it.path.split('/').count() > HOST_DEPTH_MAX + 1 {
                    return Err(too_deep(path));
                }
                let mode = it.meta.mode & 0o7777;
                let kind = match it.kind {
                    ListedKind::Dir { .. } => Kind::Directory(Directory {
                        mode,
                        uid: it.meta.uid,
                        gid: it.meta.gid,
                    }),
                    ListedKind::Symlink { target, .. } => Kind::Link { target },
                    ListedKind::Regular { .. } => Kind::File { mode },
                };
                visit(&it.path, kind)
            },
        )
    }
}

/// A directory of the host that is a root file system.
pub(crate) struct OfDirectory {
    root: InRoot,
}

impl OfDirectory {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            root: InRoot::open(path)?,
        })
    }

    fn walk_dir(&self, top: &str, below: &str, level: usize, visit: Visit<'_>) -> Result<()> {
        if level > HOST_DEPTH_MAX {
            return Err(too_deep(top));
        }
        let path = format!("{top}{below}");
        let fail = || AnyError::io("read", &path);
        // Links among the parents would lead back into the root, and twice to the same file.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = match self.root.resolve_without_links(Path::new(&path), flags) {
            Ok(dir) => dir,
            Err(Errno::NOENT) if level == 0 => return Ok(()),
            Err(error) => return Err(fail()(error)),
        };
        let mut names = BTreeSet::new();
        for entry in Dir::read_from(&dir).map_err(|error| fail()(error))? {
            let entry = entry.map_err(|error| fail()(error))?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => drop(names.insert(name.to_owned())),
                Err(_) => return Err(unusable(&path, "a name in it is not UTF-8")),
            }
        }
        for name in names {
            let below = format!("{below}/{name}");
            let kind = look(dir.as_fd(), &name, &path)?;
            let is_dir = matches!(kind, Kind::Directory(_));
            visit(&below, kind)?;
            if is_dir {
                self.walk_dir(top, &below, level + 1, visit)?;
            }
        }
        Ok(())
    }
}

/// What `name` is in a directory that messages call `path`.
fn look(dir: std::os::fd::BorrowedFd<'_>, name: &str, path: &str) -> Result<Kind> {
    let fail = || AnyError::io("look at", format!("{path}/{name}"));
    let stat =
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| fail()(error))?;
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(Kind::Directory(Directory {
            mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
        })),
        FileType::RegularFile => Ok(Kind::File { mode }),
        FileType::Symlink => {
            let target =
                rustix::fs::readlinkat(dir, name, Vec::new()).map_err(|error| fail()(error))?;
            match target.into_string() {
                Ok(target) => Ok(Kind::Link { target }),
                Err(_) => Err(unusable(
                    &format!("{path}/{name}"),
                    "it leads to no UTF-8 name",
                )),
            }
        }
        _ => Err(unusable(
            &format!("{path}/{name}"),
            "it is neither a file, a directory nor a link",
        )),
    }
}

impl Tree for OfDirectory {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.root.resolve(Path::new(path), flags) {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(AnyError::io("read", path)(error)),
        };
        if !file
            .metadata()
            .map_err(AnyError::io("read", path))?
            .is_file()
        {
            return Err(no_file(path));
        }
        let mut bytes = Vec::new();
        file.take(DOCUMENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(AnyError::io("read", path))?;
        match bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            true => Err(too_large(path)),
            false => Ok(Some(bytes)),
        }
    }

    fn directory(&self, path: &str) -> Result<Option<Directory>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let dir = match self.root.resolve_without_links(Path::new(path), flags) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(AnyError::io("open", path)(error)),
        };
        let stat = rustix::fs::fstat(dir).map_err(AnyError::io("look at", path))?;
        Ok(Some(Directory {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }))
    }

    fn walk(&self, path: &str, visit: Visit<'_>) -> Result<()> {
        self.walk_dir(path, "", 0, visit)
    }
}

/// A directory of the host that `/exports` is made from: all that it has is below it.
pub(crate) struct OfSources(OfDirectory);

impl OfSources {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        OfDirectory::open(path).map(Self)
    }

    fn place<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(EXPORTS)? {
            "" => Some("."),
            below => below.strip_prefix('/'),
        }
    }
}

impl Tree for OfSources {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.place(path).map_or(Ok(None), |path| self.0.read(path))
    }

    fn directory(&self, path: &str) -> Result<Option<Directory>> {
        let place = self.place(path);
        place.map_or(Ok(None), |path| self.0.directory(path))
    }

    fn walk(&self, path: &str, visit: Visit<'_>) -> Result<()> {
        let place = self.place(path);
        place.map_or(Ok(()), |path| self.0.walk(path, visit))
    }
}
