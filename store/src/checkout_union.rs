//! Checking out over what is there: by stock ostree's rules for `--union`, `--union-add`, `--union-identical` and
//! `--whiteouts`.
//!
//! Directories merge, and one that was there keeps its mode and time. A file is replaced by rename, so whoever looks
//! sees the old one or the new one. A directory never takes the place of a file, nor a file that of a directory, unless
//! a whiteout makes room or, with whiteouts, a file replaces a directory. Links in the target are entries, not ways: a
//! symbolic link where the tree has a directory is a clash, which stock ostree would follow.

use rustix::fs::{FileType, Stat};

use crate::checkout::{CheckoutMode, Run};
use crate::checkout_report::Counts;
use crate::compare::{same_bytes, stored_meta};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::object::ObjectKind;
use crate::plan::{Placement, PlannedFile};
use crate::staging::random_suffix;

/// How the name of a whiteout begins.
const WHITEOUT: &str = ".wh.";
/// The whiteout of all that its directory had.
const OPAQUE: &str = ".wh..wh..opq";

/// What becomes of what is in the target already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// There must be nothing.
    #[default]
    Nothing,
    /// Files of the tree replace those of the target (`--union`).
    Union,
    /// Files of the target stay (`--union-add`).
    Add,
    /// A file of the target must be what the tree has, or it is an error (`--union-identical`).
    Identical,
}

impl Run<'_> {
    /// Makes a file of the tree, or does what was asked with what has its name.
    pub(crate) fn put(&self, dir: &Dir, file: &PlannedFile) -> Result<()> {
        match self.make(dir, file, &file.name) {
            Err(error) if self.is_over_something() && is_taken(&error) => {
                self.clash(dir, file, error)
            }
            other => other,
        }
    }

    fn clash(&self, dir: &Dir, file: &PlannedFile, error: Error) -> Result<()> {
        let Some(there) = dir.stat(&*file.name)? else {
            return self.make(dir, file, &file.name);
        };
        let same = match self.options.overwrite {
            Overwrite::Nothing => return Err(error),
            Overwrite::Add => true,
            Overwrite::Union => self.is_same_inode(file, &there)?,
            Overwrite::Identical if self.is_identical(dir, file, &there)? => true,
            Overwrite::Identical => {
                let why = "what is there is not identical";
                return Err(in_the_way("check out", dir, &file.name, why));
            }
        };
        if same {
            Counts::add(&self.counts.kept);
            return Ok(());
        }
        self.replace(dir, file, &there)?;
        Counts::add(&self.counts.replaced);
        Ok(())
    }

    fn replace(&self, dir: &Dir, file: &PlannedFile, there: &Stat) -> Result<()> {
        let name = &*file.name;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            if !self.options.whiteouts {
                return Err(in_the_way("replace", dir, name, "it is a directory"));
            }
            dir.remove_tree(name)?;
            return self.make(dir, file, name);
        }
        let temp = format!(".berth-{}", random_suffix()?);
        let result = self
            .make(dir, file, &temp)
            .and_then(|()| dir.rename(&temp, dir, name));
        // Renaming one link of an inode over another leaves both.
        let removed = dir.remove_file(&temp);
        result.and(removed.map(drop))
    }

    /// Makes a directory of the tree, or takes the one that is there.
    pub(crate) fn put_dir(&self, dir: &Dir, index: usize) -> Result<()> {
        let name = &*self.plan.dirs[index].name;
        if !self.is_over_something() {
            return dir.new_dir(name);
        }
        if self.options.whiteouts && self.is_opaque(index) {
            self.remove(dir, name)?;
        }
        match dir.new_dir(name) {
            Err(error) if is_taken(&error) && self.options.overwrite != Overwrite::Nothing => {
                let there = dir.stat(name)?.map(|stat| stat.st_mode);
                if there.map(FileType::from_raw_mode) != Some(FileType::Directory) {
                    let why = "what is there is not a directory";
                    return Err(in_the_way("check out", dir, name, why));
                }
                self.set_existed(index);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether a file is not made, since it only says what is deleted.
    pub(crate) fn is_whiteout(&self, file: &PlannedFile) -> bool {
        self.options.whiteouts
            && file.name.starts_with(WHITEOUT)
            && !matches!(file.placement, Placement::Symlink { .. })
    }

    /// Whether nothing stays that a directory had.
    pub(crate) fn is_opaque(&self, index: usize) -> bool {
        self.plan.files[self.plan.dirs[index].files.clone()]
            .iter()
            .any(|file| &*file.name == OPAQUE)
    }

    /// Removes what the whiteouts of a directory name.
    pub(crate) fn white_out(&self, dir: &Dir, files: &[PlannedFile]) -> Result<()> {
        for file in files.iter().filter(|file| self.is_whiteout(file)) {
            let name = &file.name[WHITEOUT.len()..];
            if matches!(name, "" | "." | "..") {
                let what = format!("whiteout {}", dir.path().join(&*file.name).display());
                return Err(Error::malformed(what, "it names no file"));
            }
            self.remove(dir, name)?;
        }
        Ok(())
    }

    /// Removes all that a directory has.
    pub(crate) fn empty(&self, dir: &Dir) -> Result<()> {
        for (name, _) in dir.list()? {
            dir.remove_tree(name)?;
            Counts::add(&self.counts.whited_out);
        }
        Ok(())
    }

    fn remove(&self, dir: &Dir, name: &str) -> Result<()> {
        if dir.stat(name)?.is_some() {
            dir.remove_tree(name)?;
            Counts::add(&self.counts.whited_out);
        }
        Ok(())
    }

    /// Whether a file of the target is the very object.
    fn is_same_inode(&self, file: &PlannedFile, there: &Stat) -> Result<bool> {
        if file.placement != Placement::Link
            || !matches!(
                self.options.mode,
                CheckoutMode::Link | CheckoutMode::LinkOnly
            )
        {
            return Ok(false);
        }
        let object = self.repo.loose(ObjectKind::File, &file.id);
        Ok(self
            .repo
            .objects
            .stat(object)?
            .is_some_and(|object| is_one(&object, there)))
    }

    /// Whether a file of the target is what a checkout would make: type, permissions, bytes, and where it carries
    /// them, the owner, mode and xattrs of the object.
    fn is_identical(&self, dir: &Dir, file: &PlannedFile, there: &Stat) -> Result<bool> {
        let kind = FileType::from_raw_mode(there.st_mode);
        let mode = match &file.placement {
            Placement::Symlink { target } => {
                return Ok(
                    kind == FileType::Symlink && dir.read_link(&*file.name)? == target.as_bytes()
                );
            }
            Placement::Link => None,
            Placement::Empty { mode } | Placement::Unreadable { mode } => Some(*mode),
        };
        let path = self.repo.loose(ObjectKind::File, &file.id);
        let Some(object) = self.repo.objects.stat(&path)? else {
            return Ok(false);
        };
        if is_one(&object, there) {
            return Ok(true);
        }
        if kind != FileType::RegularFile
            || there.st_size != object.st_size
            || there.st_mode & 0o7777 != mode.unwrap_or(object.st_mode & 0o7777)
        {
            return Ok(false);
        }
        let (Some(object), Some(file)) = (
            self.repo.objects.try_file(&path)?,
            dir.try_file(&*file.name)?,
        ) else {
            return Ok(false);
        };
        let shown = dir.path();
        let meta = stored_meta(&file);
        Ok((meta.is_none() || meta == stored_meta(&object))
            && same_bytes(&object, &file).map_err(Error::io("read a file of", shown))?)
    }
}

fn is_one(object: &Stat, there: &Stat) -> bool {
    (object.st_dev, object.st_ino) == (there.st_dev, there.st_ino)
}

fn is_taken(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
}

fn in_the_way(verb: &'static str, dir: &Dir, name: &str, why: &str) -> Error {
    Error::Refused {
        verb,
        thing: dir.path().join(name).display().to_string(),
        why: why.into(),
    }
}
