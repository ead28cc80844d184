//! Refs: files below `refs/heads` that hold a commit id, and aliases: symbolic links beside them.
//!
//! Reading takes no lock. A ref is replaced by rename, so a reader sees the old commit or the new one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::name::RefName;
use crate::repo::Repo;

/// The deepest nesting of ref directories.
const REF_DEPTH_MAX: usize = 32;
/// The most aliases on the way to a ref.
const ALIASES_MAX: usize = 8;

/// Whether a change of a ref must survive a power cut from the moment it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk before the call returns.
    Lasting,
    /// Every process sees it at once; a power cut may undo it.
    ThisBoot,
}

impl Repo {
    fn heads(&self) -> Result<Dir> {
        self.dir.dir("refs/heads")
    }

    /// The commit that a ref names, aliases followed; `None` when there is no such ref.
    pub fn resolve(&self, name: &RefName) -> Result<Option<ObjectId>> {
        let heads = self.heads()?;
        let mut path = PathBuf::from(name.as_str());
        // An alias leads to a local ref or to another alias, and to nothing else.
        let mut alias = Some(name.clone());
        for _ in 0..ALIASES_MAX {
            alias = match alias {
                Some(name) => self.alias_target(&name)?,
                None => break,
            };
            if let Some(target) = &alias {
                path = PathBuf::from(target.as_str());
            }
        }
        match heads.stat(&path)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
            _ => return Ok(None),
        }
        let Some(bytes) = heads.read(&path, 256)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        ObjectId::from_hex(text.trim_end())
            .map(Some)
            .map_err(|_| Error::malformed(format!("ref {name}"), "it does not hold a commit id"))
    }

    /// The ref that an alias leads to; `None` when `name` is no alias.
    pub fn alias_target(&self, name: &RefName) -> Result<Option<RefName>> {
        let heads = self.heads()?;
        match heads.stat(name.as_str())? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
            _ => return Ok(None),
        }
        let target = heads.read_link(name.as_str())?;
        let mut parts: Vec<&str> = name.as_str().split('/').collect();
        parts.pop();
        let target = String::from_utf8_lossy(&target).into_owned();
        for part in target.split('/') {
            match part {
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Ok(RefName::new(parts.join("/")).ok())
    }

    /// All refs at or below `prefix` (empty: all), sorted, without aliases.
    pub fn refs(&self, prefix: &str) -> Result<Vec<(RefName, ObjectId)>> {
        self.named(prefix, FileType::RegularFile)?
            .into_iter()
            .filter_map(|name| match self.resolve(&name) {
                Ok(id) => id.map(|id| Ok((name, id))),
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    /// All aliases at or below `prefix`, sorted, with the refs they lead to.
    pub fn aliases(&self, prefix: &str) -> Result<Vec<(RefName, RefName)>> {
        let mut aliases = Vec::new();
        for name in self.named(prefix, FileType::Symlink)? {
            if let Some(target) = self.alias_target(&name)? {
                aliases.push((name, target));
            }
        }
        Ok(aliases)
    }

    fn named(&self, prefix: &str, wanted: FileType) -> Result<Vec<RefName>> {
        let heads = self.heads()?;
        let mut names = Vec::new();
        let prefix = prefix.trim_matches('/');
        if prefix.is_empty() {
            walk(&heads, "", wanted, &mut names, 0)?;
        } else {
            let name = RefName::new(prefix)?;
            match heads
                .stat(name.as_str())?
                .map(|stat| FileType::from_raw_mode(stat.st_mode))
            {
                Some(FileType::Directory) => {
                    walk(&heads.dir(prefix)?, prefix, wanted, &mut names, 0)?
                }
                Some(kind) if kind == wanted => names.push(name),
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }

    /// Replaces or removes a ref. Objects it leads to must be durable before.
    pub(crate) fn write_ref(
        &self,
        name: &RefName,
        id: Option<&ObjectId>,
        durability: Durability,
    ) -> Result<()> {
        self.write_ref_at(&format!("heads/{name}"), id, durability)
    }

    /// The same for a ref by its path below `refs`, such as `remotes/REMOTE/NAME`.
    pub(crate) fn write_ref_at(
        &self,
        path: &str,
        id: Option<&ObjectId>,
        durability: Durability,
    ) -> Result<()> {
        self.check_writable()?;
        let sync = self.fsync() && durability == Durability::Lasting;
        let Some(id) = id else {
            return self.remove_ref(path, sync);
        };
        let (dir, leaf) = self.ref_dir(path, sync)?;
        let tmp = self.dir.ensure_dir("tmp", 0o777)?;
        let temp = temp_name();
        tmp.remove_file(&temp)?;
        let file = tmp.create(&temp, 0o644)?;
        let write = || {
            tmp.write(&file, &temp, format!("{id}\n").as_bytes())?;
            if sync {
                tmp.sync_file(&file, &temp)?;
            }
            tmp.rename(&temp, &dir, leaf)
        };
        discard_unless(write(), &tmp, &temp)?;
        if sync { dir.sync() } else { Ok(()) }
    }

    /// Makes `alias` lead to `target`. A ref that has the name keeps it.
    pub(crate) fn write_alias(&self, alias: &RefName, target: &RefName) -> Result<()> {
        self.check_writable()?;
        let path = format!("heads/{alias}");
        let (dir, leaf) = self.ref_dir(&path, self.fsync())?;
        if dir
            .stat(leaf)?
            .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Symlink)
        {
            return Ok(());
        }
        let parent = |name: &str| name.rsplit_once('/').map(|(parent, _)| parent.to_owned());
        let target = if parent(alias.as_str()) == parent(target.as_str()) {
            target
                .as_str()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned()
        } else {
            "../".repeat(alias.as_str().matches('/').count()) + target.as_str()
        };
        let tmp = self.dir.ensure_dir("tmp", 0o777)?;
        let temp = temp_name();
        tmp.remove_file(&temp)?;
        tmp.symlink(target, &temp)?;
        discard_unless(tmp.rename(&temp, &dir, leaf), &tmp, &temp)?;
        if self.fsync() { dir.sync() } else { Ok(()) }
    }

    fn remove_ref(&self, path: &str, sync: bool) -> Result<()> {
        let (parent, leaf) = path.rsplit_once('/').unwrap_or_default();
        let Some(dir) = self.dir.try_dir(Path::new("refs").join(parent))? else {
            return Ok(());
        };
        dir.remove_file(leaf)?;
        if sync { dir.sync() } else { Ok(()) }
    }

    /// Removes many refs; their end is on disk when this returns.
    pub(crate) fn remove_refs(&self, names: &[RefName]) -> Result<()> {
        self.check_writable()?;
        let mut dirs: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
        for name in names {
            let (parent, leaf) = place(name);
            dirs.entry(parent).or_default().push(leaf);
        }
        for (parent, leaves) in dirs {
            let Some(dir) = self.dir.try_dir(&parent)? else {
                continue;
            };
            for leaf in leaves {
                dir.remove_file(leaf)?;
            }
            if self.fsync() {
                dir.sync()?;
            }
        }
        Ok(())
    }

    /// The directory of a ref, made when it is missing, and the last component.
    fn ref_dir<'n>(&self, path: &'n str, sync: bool) -> Result<(Dir, &'n str)> {
        let mut dir = self.dir.dir("refs")?;
        let mut parts = path.split('/').peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            if parts.peek().is_none() {
                return Ok((dir, part));
            }
            if let Some(next) = dir.try_dir(part)? {
                dir = next;
                continue;
            }
            dir.make_dir(part, 0o777)?;
            if sync {
                dir.sync()?;
            }
            dir = dir.dir(part)?;
        }
    }
}

/// The directory of a ref below the repository, and its name there.
fn place(name: &RefName) -> (PathBuf, &str) {
    match name.as_str().rsplit_once('/') {
        Some((parent, leaf)) => (Path::new("refs/heads").join(parent), leaf),
        None => (PathBuf::from("refs/heads"), name.as_str()),
    }
}

/// How the names of refs begin that are still being written, in `tmp`; gc removes what a crash left of them.
pub(crate) const UNFINISHED: &str = "ref-";

/// A name in `tmp`, one per process and thread.
fn temp_name() -> String {
    format!(
        "{UNFINISHED}{}-{}",
        std::process::id(),
        rustix::thread::gettid().as_raw_nonzero()
    )
}

/// Removes a temporary file that did not become a ref.
fn discard_unless(done: Result<()>, tmp: &Dir, temp: &str) -> Result<()> {
    if done.is_err() {
        // The error that matters is the first one.
        let _ = tmp.remove_file(temp);
    }
    done
}

fn walk(
    dir: &Dir,
    prefix: &str,
    wanted: FileType,
    names: &mut Vec<RefName>,
    depth: usize,
) -> Result<()> {
    if depth > REF_DEPTH_MAX {
        return Err(Error::TooLarge {
            what: format!("refs below {prefix}"),
            limit: format!("{REF_DEPTH_MAX} levels"),
        });
    }
    for (leaf, kind) in dir.list()? {
        let Some(leaf) = leaf.to_str() else { continue };
        let full = if prefix.is_empty() {
            leaf.to_owned()
        } else {
            format!("{prefix}/{leaf}")
        };
        // Names that are no refs (temporary files, for one) are nobody's business, as in stock ostree.
        let Ok(name) = RefName::new(full.clone()) else {
            continue;
        };
        if kind == FileType::Directory {
            walk(&dir.dir(leaf)?, &full, wanted, names, depth + 1)?;
        } else if kind == wanted {
            names.push(name);
        }
    }
    Ok(())
}
