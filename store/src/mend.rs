//! Writing a broken object again.
//!
//! A file object may have hard links in many checkouts, all of them broken with it, so the good bytes go into the same
//! file. That is the one place where an object is changed; a crash in the middle leaves it as broken as it was. Where
//! the file cannot be written (it is running) or is no file at all, its name is taken away, and the good copy gets it:
//! then old links keep the old bytes. Metadata objects have no links, and are always replaced.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{FileType, Timespec};

use crate::compare::stored_meta;
use crate::content::OSTREEMETA;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::mode::Storage;
use crate::object::ObjectKind;
use crate::real_xattrs::xattrs_of;
use crate::repo::Repo;

/// Objects that are not what their names say.
pub type Broken = HashSet<(ObjectKind, ObjectId)>;

/// How much is copied at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// Makes the object at `target` what the staged file `name` is, which stays, or takes its name away. Gives whether there
/// was one.
pub(crate) fn mend_object(
    repo: &Repo,
    staging: &Dir,
    name: &str,
    kind: ObjectKind,
    target: &Path,
) -> Result<bool> {
    let Some(stat) = repo.objects.stat(target)? else {
        return Ok(false);
    };
    let is_file =
        |stat: &rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let staged = staging.stat(name)?.is_some_and(|stat| is_file(&stat));
    if kind == ObjectKind::File && staged && is_file(&stat) {
        match overwrite(repo, staging, name, target) {
            Ok(()) => return Ok(true),
            Err(Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            Err(error) => return Err(error),
        }
    }
    repo.objects.remove_tree(target)?;
    Ok(true)
}

/// Bytes, metadata, permissions and time of the staged file, into the object's own file.
fn overwrite(repo: &Repo, staging: &Dir, name: &str, target: &Path) -> Result<()> {
    let objects = &repo.objects;
    let missing = || Error::NotFound {
        what: "file",
        name: name.to_owned(),
    };
    let mut good = staging.try_file(name)?.ok_or_else(missing)?;
    let stat = staging.stat(name)?.ok_or_else(missing)?;
    // Its owner may lack the permission to write to it.
    objects.set_mode_of(target, 0o600)?;
    let file = objects.open_to_change(target)?;
    objects.truncate(&file, target, 0)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = good
            .read(&mut buffer)
            .map_err(Error::io("read", staging.path().join(name)))?;
        if read == 0 {
            break;
        }
        objects.write(&file, target, &buffer[..read])?;
    }
    if repo.mode().storage() == Storage::Bare {
        objects.set_owner(target, stat.st_uid, stat.st_gid)?;
        let path = objects.path().join(target);
        let wanted = xattrs_of(&staging.path().join(name))?;
        for (key, _) in xattrs_of(&path)?.iter() {
            if !wanted.iter().any(|(have, _)| have == key) {
                objects.remove_xattr(target, key)?;
            }
        }
        for (key, value) in wanted.iter() {
            objects.set_xattr(target, key, value)?;
        }
    } else {
        let meta = stored_meta(&good).ok_or_else(missing)?;
        objects.set_file_xattr(&file, target, OSTREEMETA, &meta)?;
    }
    objects.set_file_mode(&file, target, stat.st_mode & 0o7777)?;
    let mtime = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: stat.st_mtime_nsec as _,
    };
    objects.set_file_time(&file, target, mtime)?;
    match repo.fsync() {
        true => objects.sync_file(&file, target),
        false => Ok(()),
    }
}
