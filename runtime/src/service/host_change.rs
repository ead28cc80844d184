//! What changes among a service's files on the host: decided first, done later, done again after a crash.
//!
//! [`HostFiles::plan`] looks at the host and decides; nothing is changed. The decision, a [`HostChange`], is plain data: a
//! transaction writes it down before it begins. [`HostChange::apply`](super::host_apply) may be cut off anywhere and called
//! again.
//!
//! The rules are Atomic's where it had some: a file that is there and not tracked is left alone, one that was changed since
//! it was tracked is not removed. And where it had none: a tracked file that was changed and is to be replaced stays, the
//! new one goes beside it as `F.new`; directories that were made for a file go when they are empty.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::host_files::{Entry, Found, HostFiles, Made, NO_SUM, Tracked, by_path, check};
use crate::error::Result;
use crate::inroot::InRoot;

/// The mode of directories that are made on the way to a file.
const PARENT_MODE: u32 = 0o755;

/// What is to change on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostChange {
    /// In the order in which they are done.
    pub(crate) steps: Vec<HostStep>,
    /// What the service has on the host when all is done, for its `info`.
    pub tracked: Vec<Tracked>,
    /// What was decided that the reader should know, a sentence each.
    pub said: Vec<String>,
    pub(crate) use_links: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStep {
    /// The path on the host.
    pub path: PathBuf,
    pub(crate) act: Act,
}

/// What is done with a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Act {
    /// Something is put there, where nothing is or what was tracked with the sum `was`.
    Put { what: Made, was: Option<String> },
    /// What was tracked with `was` is removed.
    Remove { was: String },
    /// A directory is removed if it is empty.
    RemoveDirectory,
}

impl HostStep {
    /// What the step does with the path: `create`, `replace` or `remove`.
    pub const fn verb(&self) -> &'static str {
        match &self.act {
            Act::Put { was: None, .. } => "create",
            Act::Put { .. } => "replace",
            Act::Remove { .. } | Act::RemoveDirectory => "remove",
        }
    }
}

impl HostChange {
    /// The steps, in their order.
    pub fn steps(&self) -> &[HostStep] {
        &self.steps
    }
}

impl HostFiles {
    /// Decides what makes of a host that has `tracked` one that has these files. `root` is the host's root directory.
    ///
    /// No files at all is what an uninstallation wants.
    pub fn plan(&self, root: &Path, tracked: &[Tracked]) -> Result<HostChange> {
        for it in tracked {
            check(&it.path)?;
        }
        let mut plan = Plan {
            root: InRoot::open(root)?,
            before: by_path(tracked),
            going: BTreeSet::new(),
            after: BTreeMap::new(),
            puts: Vec::new(),
            said: Vec::new(),
        };
        let wanted: BTreeSet<&Path> = self.entries.iter().map(|it| it.path.as_path()).collect();
        let removals = plan.removals(&wanted)?;
        for entry in &self.entries {
            check(&entry.path)?;
            plan.add(entry)?;
        }
        Ok(plan.finish(removals, self.use_links))
    }
}

struct Plan<'a> {
    root: InRoot,
    before: BTreeMap<&'a Path, &'a str>,
    /// Files that are removed first.
    going: BTreeSet<PathBuf>,
    after: BTreeMap<PathBuf, String>,
    puts: Vec<HostStep>,
    said: Vec<String>,
}

impl Plan<'_> {
    /// The tracked files that are wanted no more.
    fn removals(&mut self, wanted: &BTreeSet<&Path>) -> Result<Vec<HostStep>> {
        let mut steps = Vec::new();
        let before = std::mem::take(&mut self.before);
        for (path, was) in &before {
            if wanted.contains(path) || is_beside(path, wanted) {
                continue;
            }
            match Found::at(&self.root, path)? {
                Found::Nothing | Found::Directory => {}
                found if found.is(was) => {
                    self.going.insert((*path).to_owned());
                    steps.push(HostStep {
                        path: (*path).to_owned(),
                        act: Act::Remove {
                            was: (*was).to_owned(),
                        },
                    });
                }
                _ => self.said.push(format!(
                    "Will not delete {} as it was manually modified.",
                    path.display()
                )),
            }
        }
        self.before = before;
        Ok(steps)
    }

    /// What is at `path` once the removals are done.
    fn found(&self, path: &Path) -> Result<Found> {
        if path.ancestors().any(|it| self.going.contains(it)) {
            return Ok(Found::Nothing);
        }
        Found::at(&self.root, path)
    }

    fn add(&mut self, entry: &Entry) -> Result<()> {
        let sum = entry.what.sum();
        let before = self.before.get(entry.path.as_path()).copied();
        let found = self.found(&entry.path)?;
        match (&found, before) {
            (Found::Nothing, _) => self.put(&entry.path, &entry.what, None)?,
            // A directory is shared: it is ours only if we made it.
            (Found::Directory, None) if sum == NO_SUM => {}
            (Found::Directory, _) if sum != NO_SUM => self.said.push(exists(&entry.path)),
            (_, None) => self.said.push(exists(&entry.path)),
            (found, Some(_)) if found.is(&sum) => self.track(&entry.path, sum)?,
            (found, Some(was)) if found.is(was) => {
                self.put(&entry.path, &entry.what, Some(was.to_owned()))?;
            }
            (_, Some(was)) => {
                self.keep_edit(entry, was)?;
            }
        }
        Ok(())
    }

    /// A tracked file that was changed stays. What would have replaced it goes beside it, if it is another than the one
    /// that was changed.
    fn keep_edit(&mut self, entry: &Entry, was: &str) -> Result<()> {
        let sum = entry.what.sum();
        let beside = beside(&entry.path);
        self.track(&entry.path, sum.clone())?;
        let known = self.before.get(beside.as_path()).copied();
        let found = self.found(&beside)?;
        let (path, new) = (entry.path.display(), beside.display());
        match (&found, known) {
            (Found::Nothing, _) if sum == was => {}
            (Found::Nothing, _) => {
                self.said.push(format!(
                    "{path} was changed and stays; what comes with the image is in {new}"
                ));
                self.put(&beside, &entry.what, None)?;
            }
            (found, Some(_)) if found.is(&sum) => self.track(&beside, sum)?,
            (found, Some(known)) if found.is(known) => {
                self.put(&beside, &entry.what, Some(known.to_owned()))?;
            }
            _ => self.said.push(exists(&beside)),
        }
        Ok(())
    }

    fn put(&mut self, path: &Path, what: &Made, was: Option<String>) -> Result<()> {
        self.track(path, what.sum())?;
        let what = what.clone();
        self.puts.push(HostStep {
            path: path.to_owned(),
            act: Act::Put { what, was },
        });
        Ok(())
    }

    /// Tracks `path`, and the directories on its way that are ours, or are to be made.
    fn track(&mut self, path: &Path, sum: String) -> Result<()> {
        let mut missing = Vec::new();
        for parent in path.ancestors().skip(1) {
            if parent == Path::new("/") || self.after.contains_key(parent) {
                break;
            }
            let ours = self.before.get(parent).is_some_and(|was| *was == NO_SUM);
            match self.found(parent)? {
                Found::Nothing => missing.push(parent.to_owned()),
                _ if ours => drop(self.after.insert(parent.to_owned(), NO_SUM.to_owned())),
                _ => {}
            }
        }
        for parent in missing.into_iter().rev() {
            self.after.insert(parent.clone(), NO_SUM.to_owned());
            let what = Made::Directory { mode: PARENT_MODE };
            self.puts.push(HostStep {
                path: parent,
                act: Act::Put { what, was: None },
            });
        }
        self.after.insert(path.to_owned(), sum);
        Ok(())
    }

    fn finish(self, removals: Vec<HostStep>, use_links: bool) -> HostChange {
        let directories = self.before.iter().filter(|(path, was)| {
            **was == NO_SUM && !self.after.contains_key(**path) && !self.going.contains(**path)
        });
        // The inner ones first.
        let emptied = directories.rev().map(|(path, _)| HostStep {
            path: (*path).to_owned(),
            act: Act::RemoveDirectory,
        });
        let steps = removals
            .into_iter()
            .chain(self.puts)
            .chain(emptied.collect::<Vec<_>>());
        let tracked = self.after.into_iter();
        HostChange {
            steps: steps.collect(),
            tracked: tracked
                .map(|(path, sha256)| Tracked { path, sha256 })
                .collect(),
            said: self.said,
            use_links,
        }
    }
}

fn exists(path: &Path) -> String {
    format!("File {} already exists", path.display())
}

/// `F.new` of the file `F`.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Whether `path` is `F.new` of one that is wanted: that is decided with `F`.
fn is_beside(path: &Path, wanted: &BTreeSet<&Path>) -> bool {
    wanted.iter().any(|it| beside(it) == path)
}
