//! Removing a container, whoever owns its files.
//!
//! Files in an upper directory can belong to subordinate ids, and directories can have mode 0. The first takes the
//! container's own user namespace, entered by a fresh process; the second a chmod on the way down. Nothing follows a
//! symlink: every entry is removed relative to a descriptor of its directory.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::UnshareFlags;
use store::Repo;

use crate::cgroup_limits;
use crate::container::{Container, Containers};
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::probe::first_line;
use crate::proc::ProcessId;
use crate::record::{Notes, RECORD};
use crate::signal::StopSignal;
use crate::start::REMOVE;
use crate::userns;

/// How long a process may take to end.
const END_TIMEOUT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// How a container is removed.
#[derive(Debug, Clone)]
pub struct RemoveOptions {
    /// Whether a running one is ended first.
    pub force: bool,
    /// How many seconds that may take it, beginning with its own signal; `None` to kill it at once.
    pub time: Option<u64>,
    /// Whether the volumes that belong to it alone go with it.
    pub volumes: bool,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

impl Container {
    /// Removes the container: processes, files, record and pin.
    pub fn remove(self, repo: &Repo, options: &RemoveOptions) -> Result<()> {
        let mut state = self.state()?;
        if state.is_live() && options.force {
            let ending = match options.time {
                Some(_) => self.stop(options.time)?,
                None => self.end(StopSignal::KILL, 0)?,
            };
            ending.wait()?;
            if !self.is_there() {
                return Ok(store::unpin(repo, &self.record.id)?);
            }
        }
        let _lock = self.containers.lock_container(&self.record.id)?;
        state = self.state()?;
        if state.is_live() {
            return Err(Error::WrongState {
                verb: "remove",
                id: self.record.id,
                state: state.name(),
            });
        }
        if self.remove_files(options.volumes).is_err() {
            self.remove_in_namespace(options)?;
            self.remove_files(options.volumes)?;
        }
        Ok(store::unpin(repo, &self.record.id)?)
    }

    /// Removes everything on disk but the pin. The directory goes last: as long as it is there, so is the record. The notes
    /// go behind the record, so that nobody takes one that is half gone for one that never ran.
    pub(crate) fn remove_files(&self, volumes: bool) -> Result<()> {
        if volumes {
            for mount in self.record.mounts.iter().filter(|mount| mount.anonymous) {
                remove_tree(&mount.source)?;
            }
        }
        // Its supervisor removes it, unless that was killed.
        if let Some(group) = Notes::read(&self.dir)?.and_then(|notes| notes.cgroup) {
            cgroup_limits::remove(&group)?;
        }
        for layer in ["upper", "work"] {
            remove_tree(&self.dir.join(layer))?;
        }
        // A supervisor that was killed leaves it.
        remove_tree(&self.containers.libcontainer(&self.record.id))?;
        remove_tree(&self.bundle)?;
        remove_tree(&self.dir.join(RECORD))?;
        remove_tree(&self.dir)
    }

    fn remove_in_namespace(&self, options: &RemoveOptions) -> Result<()> {
        let failed = |why: String| Error::Child {
            verb: "remove",
            path: self.dir.clone(),
            why,
        };
        let helpers =
            serde_json::to_string(&options.helpers).map_err(|source| Error::Document {
                path: self.dir.clone(),
                source,
            })?;
        let mut child = Command::new("/proc/self/exe")
            .arg(REMOVE)
            .args([self.containers.root(), self.containers.run_dir()])
            .args([
                self.record.id.as_str(),
                if options.volumes { "volumes" } else { "" },
                &helpers,
            ])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::os("start a process to remove the container"))?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            stderr
                .take(4096)
                .read_to_string(&mut said)
                .map_err(Error::os("listen to a process"))?;
        }
        let status = child.wait().map_err(Error::os("wait for a process"))?;
        if status.success() {
            Ok(())
        } else {
            Err(failed(first_line(&said)))
        }
    }
}

/// The fresh process behind [`Container::remove`]: enters the container's user namespace and removes its files there.
pub(crate) fn remove_inside(
    root: &Path,
    run_dir: &Path,
    id: &str,
    volumes: bool,
    helpers: &IdHelpers,
) -> Result<()> {
    let containers = Containers::open(root, run_dir);
    let container = containers.load(id)?.ok_or_else(|| Error::NoContainer {
        name: id.to_owned(),
    })?;
    userns::enter(&container.record.maps, helpers, UnshareFlags::empty())?;
    // The record stays for the caller, who finishes.
    let sources = container
        .record
        .mounts
        .iter()
        .filter(|mount| volumes && mount.anonymous)
        .map(|mount| mount.source.clone());
    for path in sources.chain(["upper", "work"].map(|layer| container.dir.join(layer))) {
        remove_tree(&path)?;
    }
    Ok(())
}

/// Kills a process and waits until it has ended. False when it still runs after [`END_TIMEOUT`]. One that we may not kill
/// is only waited for.
pub(crate) fn kill(process: &ProcessId) -> Result<bool> {
    let Some(pid) = Pid::from_raw(process.pid).filter(|_| process.alive()) else {
        return Ok(true);
    };
    let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(true),
        Err(error) => return Err(Error::os("open the container's process")(error)),
    };
    // The descriptor pins the process, so that what `alive` says now holds for what is killed.
    if !process.alive() {
        return Ok(true);
    }
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => {}
        Err(error) => return Err(Error::os("kill the container's process")(error)),
    }
    let ended = poll(
        &mut [PollFd::new(&pidfd, PollFlags::IN)],
        Some(&END_TIMEOUT),
    );
    Ok(ended.map_err(Error::os("wait for the container's process"))? > 0)
}

/// Removes `path` and everything below it; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match remove_entry(CWD, path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

fn remove_entry(
    parent: BorrowedFd<'_>,
    name: impl rustix::path::Arg + Copy,
) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        outcome => return outcome,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(parent, name, flags, Mode::empty())?
        }
        outcome => outcome?,
    };
    let stat = rustix::fs::fstat(&dir)?;
    if stat.st_mode & 0o700 != 0o700 {
        rustix::fs::fchmod(&dir, Mode::RWXU)?;
    }
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            remove_entry(dir.as_fd(), name)?;
        } else {
            rustix::fs::unlinkat(&dir, name, AtFlags::empty())?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn locked_directories_go_and_links_are_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let keep = dir.path().join("keep");
        std::fs::create_dir(&keep).expect("made");
        std::fs::write(keep.join("file"), "").expect("written");
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).expect("made");
        std::fs::write(tree.join("a/b/file"), "").expect("written");
        std::os::unix::fs::symlink(&keep, tree.join("link")).expect("linked");
        for locked in ["a/b", "a"] {
            std::fs::set_permissions(tree.join(locked), PermissionsExt::from_mode(0o000))
                .expect("set");
        }
        remove_tree(&tree).expect("removed");
        assert!(!tree.exists() && keep.join("file").exists());
        remove_tree(&tree).expect("nothing there is fine");
    }
}
