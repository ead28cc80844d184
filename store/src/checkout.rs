//! Checkout: a tree becomes a directory of hard links.
//!
//! By stock ostree's rules for `checkout -U`: a regular file is the object itself under another name; empty files and
//! files that their owner must not read are fresh copies; symbolic links are made anew; a directory gets its full mode
//! once it is filled, whatever the umask. Owners are the caller's: the tree's are in the objects. Only in a `bare`
//! repository owners, modes and xattrs are real, and those of directories, symbolic links and copies are made so.
//! Directories and symbolic links get time 0, files have their object's.
//!
//! Every entry is made relative to the open handle of its directory and must be new, so nothing that somebody puts into
//! the target meanwhile is followed or replaced. What a checkout over something else does instead is in
//! `checkout_union.rs`, how one file is made in `checkout_file.rs`. Directories are filled in parallel; a directory's
//! handle is open only while it is filled or waits for its children, so that the open files stay few.
//!
//! The caller holds the repository's lock, at least shared. A hard link is the object: writing through one damages the
//! store, which fsck finds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::Timespec;

use crate::checkout_report::{CheckoutReport, Counts};
use crate::checkout_union::Overwrite;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::TreeId;
use crate::plan::{Plan, plan, plan_file};
use crate::repo::Repo;

/// The time of what OSTree keeps no time of.
pub(crate) const EPOCH: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// How regular files are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CheckoutMode {
    /// Hard links; where the file system does not allow one, a reflink, else a copy.
    #[default]
    Link,
    /// Hard links only: where one cannot be made, the checkout fails.
    LinkOnly,
    /// Reflinks, which share space but not changes; where the file system has none, copies.
    Reflink,
    /// Copies.
    Copy,
}

/// How to check out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckoutOptions {
    /// How regular files are made.
    pub mode: CheckoutMode,
    /// What becomes of what is in the target already.
    pub overwrite: Overwrite,
    /// Files whose name says that another is deleted (`.wh.NAME`), or that nothing below stays (`.wh..wh..opq`), do that
    /// to the target instead of appearing in it.
    pub whiteouts: bool,
}

/// Checks a tree out into `target`: one that is empty, or missing in a directory that is there; with another
/// [`Overwrite`] also one that has something in it.
///
/// When it fails, a target that it made is removed again; one that was there keeps what was made so far.
pub fn checkout(
    repo: &Repo,
    root: TreeId,
    target: &Path,
    options: &CheckoutOptions,
) -> Result<CheckoutReport> {
    let plan = plan(repo, root)?;
    let target = Target::open(target, options.overwrite == Overwrite::Nothing)?;
    Run::new(repo, &plan, options).run(target)
}

/// Checks one file or symbolic link out, under `name` into the directory `target`, which may have other things in it.
pub fn checkout_file(
    repo: &Repo,
    name: &str,
    id: ObjectId,
    target: &Path,
    options: &CheckoutOptions,
) -> Result<CheckoutReport> {
    let plan = plan_file(repo, name, id)?;
    let target = Target::open(target, false)?;
    Run::new(repo, &plan, options).run(target)
}

/// Where a tree goes.
struct Target<'a> {
    path: &'a Path,
    dir: Dir,
    /// It was not there before.
    made: bool,
    /// It is to become what the root of the tree is.
    fresh: bool,
}

impl<'a> Target<'a> {
    fn open(path: &'a Path, must_be_empty: bool) -> Result<Self> {
        let made = match std::fs::create_dir(path) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(Error::io("create", path)(error)),
        };
        let dir = Dir::open(path)?;
        if must_be_empty && !dir.list()?.is_empty() {
            return Err(Error::Refused {
                verb: "check out into",
                thing: path.display().to_string(),
                why: "it is not empty".into(),
            });
        }
        Ok(Self {
            path,
            dir,
            made,
            fresh: made || must_be_empty,
        })
    }
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

/// A checkout under way.
pub(crate) struct Run<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) plan: &'a Plan,
    pub(crate) options: CheckoutOptions,
    pub(crate) counts: Counts,
    /// Which directories were there before; empty for a checkout that makes all of them.
    existed: Vec<AtomicBool>,
    failure: Mutex<Option<Error>>,
    /// Whether `failure` holds one: everybody stops.
    failed: AtomicBool,
    /// No hard link can be made from the repository to here.
    pub(crate) no_links: AtomicBool,
    /// Nor a reflink.
    pub(crate) no_reflinks: AtomicBool,
}

impl<'a> Run<'a> {
    fn new(repo: &'a Repo, plan: &'a Plan, options: &CheckoutOptions) -> Self {
        Self {
            repo,
            plan,
            options: *options,
            counts: Counts::default(),
            existed: Vec::new(),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
            no_links: AtomicBool::new(false),
            no_reflinks: AtomicBool::new(false),
        }
    }

    fn run(mut self, target: Target<'_>) -> Result<CheckoutReport> {
        if !target.fresh {
            self.existed = self
                .plan
                .dirs
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect();
            if self.options.whiteouts && self.is_opaque(0) {
                self.empty(&target.dir)?;
            } else {
                self.set_existed(0);
            }
        }
        let result = self.all(target.dir);
        if result.is_err() && target.made {
            // The error that matters is the first one.
            let _ = remove(target.path);
        }
        result.map(|()| self.counts.report(self.plan.dirs.len()))
    }

    /// Notes that a directory was there before the checkout: its mode and time stay.
    pub(crate) fn set_existed(&self, index: usize) {
        if let Some(existed) = self.existed.get(index) {
            existed.store(true, Ordering::Relaxed);
            Counts::add(&self.counts.dirs_kept);
        }
    }

    fn existed(&self, index: usize) -> bool {
        self.existed
            .get(index)
            .is_some_and(|existed| existed.load(Ordering::Relaxed))
    }

    /// Whether directories of the target may be there already.
    pub(crate) fn is_over_something(&self) -> bool {
        !self.existed.is_empty()
    }

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
        let files = &self.plan.files[planned.files.clone()];
        if self.options.whiteouts {
            self.white_out(&dir, files)?;
        }
        for file in files {
            if !self.is_whiteout(file) {
                self.put(&dir, file)?;
            }
        }
        for child in planned.dirs.clone() {
            self.put_dir(&dir, child)?;
        }
        // Nothing is added to the directory itself from here on, so its time stays.
        if !self.existed(index) {
            if let Some(meta) = &planned.owner {
                dir.set_own_owner(meta)?;
            }
            if !closes_late(planned.mode) {
                dir.set_mode(planned.mode)?;
            }
            dir.set_time(EPOCH)?;
        }
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
            .filter(|(index, dir)| closes_late(dir.mode) && !self.existed(*index))
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
}

/// Whether a directory of that mode could not be filled by its owner.
fn closes_late(mode: u32) -> bool {
    mode & 0o700 != 0o700
}
