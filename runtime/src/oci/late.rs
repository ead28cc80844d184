//! How mounts spread between a container and the host, and mounts that libcontainer must not have near it.
//!
//! libcontainer turns all mounts of the container into slaves of the host's, and into private or shared ones where the
//! document says so of the root; what a single mount is to be it forgets. And it makes devices and links in `/dev`
//! whatever that is, and removes `/dev/ptmx`: with the host's own directory there, the host's. So such mounts are made
//! before, while the host's mounts are ours as well and a clone of one is its peer, and put to their places when
//! libcontainer has made the container and its program does not run yet, by a child of ours that enters it.

use rustix::fd::AsFd as _;
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::mounts::{Made, Spread, spread};
use crate::sys;

use std::path::Path;

/// How the root spreads, and so every mount of which nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root(libc::c_ulong);

impl Root {
    /// What the document says; it was normalised.
    pub(crate) fn of(word: Option<&str>) -> Self {
        Self(word.and_then(spread).map_or(libc::MS_SLAVE, |it| it.kind))
    }

    /// What the mounts of the host become in our own mount namespace, so that nothing of ours reaches the host.
    pub(crate) fn ours(self) -> rustix::mount::MountPropagationFlags {
        use rustix::mount::MountPropagationFlags as Flags;
        let kind = match self.0 == libc::MS_PRIVATE {
            true => Flags::PRIVATE,
            false => Flags::DOWNSTREAM,
        };
        kind | Flags::REC
    }

    /// What a mount becomes of which nothing is said.
    fn usual(self) -> Option<Spread> {
        let kind = match self.0 {
            libc::MS_SHARED => return None,
            libc::MS_PRIVATE => libc::MS_PRIVATE,
            _ => libc::MS_SLAVE,
        };
        Some(Spread {
            kind,
            recursive: true,
        })
    }

    /// Whether libcontainer would make another of a mount that is to spread so.
    fn forgets(self, spread: Spread) -> bool {
        match spread.kind {
            libc::MS_SHARED | libc::MS_UNBINDABLE => true,
            _ => self.0 != libc::MS_SLAVE,
        }
    }
}

/// Sets how each mount spreads, and parts them: those that can be in their places at once, and those that come last, with
/// all that lies in them.
pub(crate) fn part(
    all: Vec<Made>,
    root: Root,
    hides_groups: bool,
) -> Result<(Vec<Made>, Vec<Made>)> {
    let (mut early, mut late): (Vec<Made>, Vec<Made>) = (Vec::new(), Vec::new());
    for made in all {
        // First away from the host where it was its peer, then as it is wanted.
        if let Some(usual) = root
            .usual()
            .filter(|_| made.spread.is_none_or(|it| it.kind != libc::MS_SHARED))
        {
            made.spread(usual)?;
        }
        if let Some(wanted) = made.spread {
            made.spread(wanted)?;
        }
        let within = late
            .iter()
            .any(|outer| made.destination.starts_with(&outer.destination));
        let is_dev = made.is_bind && made.destination == Path::new("/dev");
        let shows_groups = hides_groups && made.is_bind && reaches_groups(&made.source);
        match within || is_dev || shows_groups || made.spread.is_some_and(|it| root.forgets(it)) {
            true => late.push(made),
            false => early.push(made),
        }
    }
    Ok((early, late))
}

/// Whether a directory shows the trees of control groups: libcontainer takes those of version 1 wherever they are mounted.
fn reaches_groups(source: &Path) -> bool {
    let tree = Path::new("/sys/fs/cgroup");
    tree.starts_with(source) || source.starts_with(tree)
}

/// Makes the places of mounts that come late, while the root can be written to. What lies in one of them has to wait.
pub(crate) fn make_places(mounts: &[Made], root: &InRoot) -> Result<()> {
    for (index, made) in mounts.iter().enumerate() {
        let outer = mounts.iter().take(index);
        if !outer
            .into_iter()
            .any(|outer| made.destination.starts_with(&outer.destination))
        {
            made.open_place(root)?;
        }
    }
    Ok(())
}

/// Puts mounts to their places in the container that `pid` is the first process of.
pub(crate) fn place(pid: i32, mounts: &[Made]) -> Result<()> {
    if mounts.is_empty() {
        return Ok(());
    }
    let failed = || Error::os::<std::io::Error>("mount in the container");
    let process =
        Pid::from_raw(pid).ok_or_else(|| failed()(std::io::ErrorKind::NotFound.into()))?;
    let process =
        pidfd_open(process, PidfdFlags::empty()).map_err(|error| failed()(error.into()))?;
    let Some(child) = sys::fork().map_err(failed())? else {
        let placed = enter(&process).and_then(|()| {
            let root = InRoot::open(Path::new("/"))?;
            mounts.iter().try_for_each(|made| made.place(&root))
        });
        sys::exit_at_once(match placed {
            Ok(()) => 0,
            Err(error) => number(&error),
        });
    };
    let status =
        waitpid(Some(child), WaitOptions::empty()).map_err(|error| failed()(error.into()))?;
    match status.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(number) => Err(failed()(std::io::Error::from_raw_os_error(number))),
        None => Err(failed()(std::io::ErrorKind::Other.into())),
    }
}

fn enter(process: &rustix::fd::OwnedFd) -> Result<()> {
    move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::MOUNT)
        .map_err(Error::os("enter the container's mounts"))
}

/// What the kernel said, as an exit code.
fn number(error: &Error) -> u8 {
    let source =
        std::error::Error::source(error).and_then(|it| it.downcast_ref::<std::io::Error>());
    let number = source
        .and_then(std::io::Error::raw_os_error)
        .unwrap_or(libc::EIO);
    u8::try_from(number).unwrap_or(u8::MAX)
}
