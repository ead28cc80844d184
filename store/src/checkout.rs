//! Checkout: a tree becomes a directory of hard links.
//!
//! By stock ostree's rules for `checkout -U`: a regular file is the object itself under another name; empty files and
//! files that their owner must not read are fresh copies; symbolic links are made anew; a directory gets its full mode
//! once it is filled, whatever the umask. Owners are the caller's: the tree's are in the objects. Directories and
//! symbolic links get time 0, files have their object's.
//!
//! Every entry is made relative to the open handle of its directory and must be new, so nothing that somebody puts into
//! the target meanwhile is followed or replaced. Directories are filled in parallel; a directory's handle is open only
//! while it is filled or waits for its children, so that the open files stay few.
//!
//! The caller holds the repository's lock, at least shared. A hard link is the object: writing through one damages the
//! store, which fsck finds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::Timespec;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{ObjectKind, TreeId};
use crate::place::Linked;
use crate::plan::{Placement, Plan, PlannedFile, plan};
use crate::repo::Repo;

/// The time of what OSTree keeps no time of.
const EPOCH: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// How regular files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutMode {
    /// Hard links; where the file system does not allow one, a reflink, else a copy.
    Link,
    /// Reflinks, which share space but not changes; where the file system has none, copies.
    Reflink,
    /// Copies.
    Copy,
}

/// How to check out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckoutOptions {
    /// How regular files are made.
    pub mode: CheckoutMode,
}

/// What a checkout made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckoutReport {
    /// Directories, the root included.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Hard links to objects.
    pub linked: u64,
    /// Reflinks, because they were asked for or no hard link could be made.
    pub reflinked: u64,
    /// Copies because they were asked for, or because a reflink was and there are none here.
    pub copied: u64,
    /// Empty files.
    pub copied_empty: u64,
    /// Copies of files that their owner must not read.
    pub copied_unreadable: u64,
    /// Copies because the target is on another file system.
    pub copied_cross_device: u64,
    /// Copies because the object has as many links as the file system allows.
    pub copied_link_limit: u64,
}

impl CheckoutReport {
    /// Whether there are files whose bytes are not an object's.
    pub(crate) fn has_copied_bytes(&self) -> bool {
        self.reflinked
            + self.copied
            + self.copied_unreadable
            + self.copied_cross_device
            + self.copied_link_limit
            > 0
    }
}

/// Why a file is not a hard link.
#[derive(Debug, Clone, Copy)]
enum Reason {
    Asked,
    Unreadable,
    CrossDevice,
    LinkLimit,
}

/// Checks a tree out into `target`, which must be empty, or missing in a directory that is there.
///
/// When it fails, a target that it made is removed again.
pub fn checkout(
    repo: &Repo,
    root: TreeId,
    target: &Path,
    options: &CheckoutOptions,
) -> Result<CheckoutReport> {
    let plan = plan(repo, root)?;
    let (dir, made) = open_target(target)?;
    let run = Run {
        repo,
        plan: &plan,
        mode: options.mode,
        counts: Counts::default(),
        failure: Mutex::new(None),
        failed: AtomicBool::new(false),
        no_links: AtomicBool::new(false),
        no_reflinks: AtomicBool::new(false),
    };
    let result = run.all(dir);
    if result.is_err() && made {
        // The error that matters is the first one.
        let _ = remove(target);
    }
    result.map(|()| run.counts.report(&plan))
}

/// Opens or makes the target; says whether it was made.
fn open_target(target: &Path) -> Result<(Dir, bool)> {
    let made = match std::fs::create_dir(target) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(Error::io("create", target)(error)),
    };
    let dir = Dir::open(target)?;
    if !dir.list()?.is_empty() {
        return Err(Error::Refused {
            verb: "check out into",
            thing: target.display().to_string(),
            why: "it is not empty".into(),
        });
    }
    Ok((dir, made))
}

fn remove(target: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return Ok(());
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    Dir::open(parent)?.remove_tree(name)
}

#[derive(Default)]
struct Counts {
    linked: AtomicU64,
    reflinked: AtomicU64,
    copied: AtomicU64,
    unreadable: AtomicU64,
    cross_device: AtomicU64,
    link_limit: AtomicU64,
}

impl Counts {
    fn report(&self, plan: &Plan) -> CheckoutReport {
        let of = |placement: fn(&Placement) -> bool| {
            plan.files
                .iter()
                .filter(|file| placement(&file.placement))
                .count() as u64
        };
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CheckoutReport {
            dirs: plan.dirs.len() as u64,
            symlinks: of(|placement| matches!(placement, Placement::Symlink { .. })),
            copied_empty: of(|placement| matches!(placement, Placement::Empty { .. })),
            linked: get(&self.linked),
            reflinked: get(&self.reflinked),
            copied: get(&self.copied),
            copied_unreadable: get(&self.unreadable),
            copied_cross_device: get(&self.cross_device),
            copied_link_limit: get(&self.link_limit),
        }
    }

    fn of(&self, reason: Reason, shared: bool) -> &AtomicU64 {
        match reason {
            Reason::Unreadable => &self.unreadable,
            _ if shared => &self.reflinked,
            Reason::Asked => &self.copied,
            Reason::CrossDevice => &self.cross_device,
            Reason::LinkLimit => &self.link_limit,
        }
    }
}

/// A checkout under way.
struct Run<'a> {
    repo: &'a Repo,
    plan: &'a Plan,
    mode: CheckoutMode,
    counts: Counts,
    failure: Mutex<Option<Error>>,
    /// Whether `failure` holds one: everybody stops.
    failed: AtomicBool,
    /// No hard link can be made from the repository to here.
    no_links: AtomicBool,
    /// Nor a reflink.
    no_reflinks: AtomicBool,
}

impl Run<'_> {
    fn all(&self, root: Dir) -> Result<()> {
        let root = Arc::new(root);
        rayon::scope(|scope| self.stop_on_error(self.fill(scope, 0, Arc::clone(&root))));
        match self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(error) => Err(error),
            None => self.close_dirs(&root),
        }
    }

    fn stop_on_error(&self, result: Result<()>) {
        if let Err(error) = result {
            self.failed.store(true, Ordering::Relaxed);
            self.failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    fn enter<'s>(&'s self, scope: &rayon::Scope<'s>, index: usize, parent: Arc<Dir>) -> Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let dir = parent.dir(&*self.plan.dirs[index].name)?;
        drop(parent);
        self.fill(scope, index, Arc::new(dir))
    }

    /// Makes all entries of a directory, then leaves its directories to whoever has time.
    fn fill<'s>(&'s self, scope: &rayon::Scope<'s>, index: usize, dir: Arc<Dir>) -> Result<()> {
        let planned = &self.plan.dirs[index];
        for file in &self.plan.files[planned.files.clone()] {
            self.make(&dir, file)?;
        }
        for child in &self.plan.dirs[planned.dirs.clone()] {
            dir.new_dir(&child.name)?;
        }
        // Nothing is added to the directory itself from here on, so its time stays.
        if !closes_late(planned.mode) {
            dir.set_mode(planned.mode)?;
        }
        dir.set_time(EPOCH)?;
        for child in planned.dirs.clone() {
            let parent = Arc::clone(&dir);
            scope.spawn(move |scope| self.stop_on_error(self.enter(scope, child, parent)));
        }
        Ok(())
    }

    /// Gives their modes to the directories that could not be filled with them, the deepest first.
    fn close_dirs(&self, root: &Dir) -> Result<()> {
        for (index, planned) in self
            .plan
            .dirs
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, dir)| closes_late(dir.mode))
        {
            let mut names = Vec::new();
            let mut at = index;
            while at != 0 {
                names.push(&*self.plan.dirs[at].name);
                at = self.plan.dirs[at].parent;
            }
            let mut names = names.into_iter().rev();
            let Some(first) = names.next() else {
                root.set_mode(planned.mode)?;
                continue;
            };
            let mut dir = root.dir(first)?;
            for name in names {
                dir = dir.dir(name)?;
            }
            dir.set_mode(planned.mode)?;
        }
        Ok(())
    }

    fn make(&self, dir: &Dir, file: &PlannedFile) -> Result<()> {
        match &file.placement {
            Placement::Link => self.make_regular(dir, file),
            Placement::Unreadable { mode } => self.copy(dir, file, Some(*mode), Reason::Unreadable),
            Placement::Symlink { target } => {
                dir.symlink(&**target, &*file.name)?;
                dir.set_link_time(&file.name, EPOCH)
            }
            Placement::Empty { mode } => {
                let path = self.repo.loose(ObjectKind::File, &file.id);
                let stat = self
                    .repo
                    .objects
                    .stat(&path)?
                    .ok_or_else(|| missing(&file.id))?;
                let mtime = Timespec {
                    tv_sec: stat.st_mtime,
                    tv_nsec: stat.st_mtime_nsec as _,
                };
                dir.finish_file(&file.name, &dir.create(&*file.name, *mode)?, *mode, mtime)
            }
        }
    }

    fn make_regular(&self, dir: &Dir, file: &PlannedFile) -> Result<()> {
        if self.mode != CheckoutMode::Link {
            return self.copy(dir, file, None, Reason::Asked);
        }
        if self.no_links.load(Ordering::Relaxed) {
            return self.copy(dir, file, None, Reason::CrossDevice);
        }
        match dir.link(
            &self.repo.objects,
            &self.repo.loose(ObjectKind::File, &file.id),
            &file.name,
        )? {
            Linked::Done => {
                self.counts.linked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Linked::LinkLimit => self.copy(dir, file, None, Reason::LinkLimit),
            Linked::CrossDevice => {
                self.no_links.store(true, Ordering::Relaxed);
                self.copy(dir, file, None, Reason::CrossDevice)
            }
        }
    }

    /// Makes a file of its own with the object's bytes and time, and with its mode unless another is given.
    fn copy(&self, dir: &Dir, file: &PlannedFile, mode: Option<u32>, reason: Reason) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let path = self.repo.loose(ObjectKind::File, &file.id);
        let mut object = self
            .repo
            .objects
            .try_file(&path)?
            .ok_or_else(|| missing(&file.id))?;
        let stat = object
            .metadata()
            .map_err(Error::io("stat", self.repo.objects.path().join(&path)))?;
        let mut copy = dir.create(&*file.name, 0o600)?;
        let shared = self.reflink(&object, &copy);
        if !shared {
            std::io::copy(&mut object, &mut copy)
                .map_err(Error::io("write", dir.path().join(&*file.name)))?;
        }
        self.counts
            .of(reason, shared)
            .fetch_add(1, Ordering::Relaxed);
        let mtime = Timespec {
            tv_sec: stat.mtime(),
            tv_nsec: stat.mtime_nsec() as _,
        };
        dir.finish_file(
            &file.name,
            &copy,
            mode.unwrap_or(stat.mode() & 0o777),
            mtime,
        )
    }

    /// Shares the object's blocks, where the file system can and nobody asked for real copies.
    fn reflink(&self, object: &std::fs::File, copy: &std::fs::File) -> bool {
        if self.mode == CheckoutMode::Copy || self.no_reflinks.load(Ordering::Relaxed) {
            return false;
        }
        let done = rustix::fs::ioctl_ficlone(copy, object).is_ok();
        if !done {
            self.no_reflinks.store(true, Ordering::Relaxed);
        }
        done
    }
}

/// Whether a directory of that mode could not be filled by its owner.
fn closes_late(mode: u32) -> bool {
    mode & 0o700 != 0o700
}

fn missing(id: &ObjectId) -> Error {
    Error::NotFound {
        what: ObjectKind::File.as_str(),
        name: id.hex(),
    }
}
