//! Gives a checkout of an image the times that its layers' tars had.
//!
//! An object keeps the time of its first import, and directories and symbolic links none. Their true times are in the
//! recipes. A file whose time differs from its object's becomes a file of its own: a reflink where the file system can,
//! else a copy. What is behind a symbolic link of a lower layer keeps what it has.

use std::collections::HashMap;
use std::path::Path;

use rustix::fs::{FileType, Stat, Timespec};

use crate::dir::Dir;
use crate::error::Result;
use crate::image::Image;
use crate::layer_times::layer_times;
use crate::object::TreeId;
use crate::real_xattrs::xattrs_of;
use crate::repo::Repo;
use crate::staging::random_suffix;
use crate::txn::Mtime;

/// What was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct TimesReport {
    /// Directories and symbolic links that got their time.
    pub set: u64,
    /// Files that were made files of their own, because their object has another time.
    pub copied: u64,
}

struct Run<'r> {
    repo: &'r Repo,
    times: HashMap<String, Mtime>,
    report: TimesReport,
}

/// Sets the times in `target`, a fresh checkout of the image that nobody else changes.
///
/// Fails for an image that was stored before recipes were kept. Hold the repository's lock.
pub fn restore_times(repo: &Repo, image: &Image, target: &Path) -> Result<TimesReport> {
    let mut times = HashMap::new();
    for diff_id in &image.config.diff_ids {
        layer_times(repo, diff_id, &mut |path, mtime| {
            times.insert(path.to_owned(), mtime);
        })?;
    }
    let mut run = Run {
        repo,
        times,
        report: TimesReport::default(),
    };
    run.dir(&Dir::open(target)?, image.root, "")?;
    Ok(run.report)
}

impl Run<'_> {
    fn dir(&mut self, dir: &Dir, id: TreeId, path: &str) -> Result<()> {
        let tree = self.repo.read_dirtree(&id.contents)?;
        for (name, _) in &tree.files {
            if let (Some(mtime), Some(stat)) = (self.time_of(path, name), dir.stat(name)?) {
                self.file(dir, name, &stat, mtime)?;
            }
        }
        for (name, id) in tree.dirs {
            // One that its owner may not enter keeps its time, and what is in it too.
            if let Ok(Some(below)) = dir.try_dir(&name) {
                self.dir(&below, id, &join(path, &name))?;
            }
        }
        // Last, since every new name changes it.
        if let Some(mtime) = self.times.get(path) {
            dir.set_time(timespec(*mtime))?;
            self.report.set += 1;
        }
        Ok(())
    }

    fn time_of(&self, path: &str, name: &str) -> Option<Mtime> {
        self.times.get(&join(path, name)).copied()
    }

    fn file(&mut self, dir: &Dir, name: &str, stat: &Stat, mtime: Mtime) -> Result<()> {
        let wanted = timespec(mtime);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            dir.set_link_time(name, wanted)?;
            self.report.set += 1;
            return Ok(());
        }
        if (stat.st_mtime, stat.st_mtime_nsec as i64) == (wanted.tv_sec, wanted.tv_nsec) {
            return Ok(());
        }
        let Some(from) = dir.try_file(name)? else {
            return Ok(());
        };
        let temp = format!(".berth-{}", random_suffix()?);
        let copy = dir.create(&temp, 0o600)?;
        let made = || -> Result<()> {
            if rustix::fs::ioctl_ficlone(&copy, &from).is_err() {
                dir.copy(&from, &copy, &temp)?;
            }
            if self.repo.mode().has_real_owners() {
                dir.set_owner(&temp, stat.st_uid, stat.st_gid)?;
                for (key, value) in xattrs_of(&dir.path().join(name))?.iter() {
                    dir.set_xattr(&temp, key, value)?;
                }
            }
            dir.finish_file(&temp, &copy, stat.st_mode & 0o7777, wanted)?;
            dir.rename(&temp, dir, name)
        };
        let made = made();
        if made.is_err() {
            // The error that matters is the first one.
            let _ = dir.remove_file(&temp);
        }
        self.report.copied += 1;
        made
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}/{name}"),
    }
}

fn timespec(mtime: Mtime) -> Timespec {
    Timespec {
        tv_sec: mtime.secs,
        tv_nsec: mtime.nanos.into(),
    }
}
