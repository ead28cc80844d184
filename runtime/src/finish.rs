//! The last steps in a container before the image's program: what libcontainer cannot do, in the order the kernel wants.
//!
//! They run in the process that becomes the program, with the container's root and the capabilities that the document
//! names. First what needs a descriptor from outside, then the user, then the filter, and last what the filter's loading
//! needed and the program may not have.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::termios::Winsize;
use rustix::thread::{
    CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags, capability_is_in_bounding_set,
    move_into_link_name_space, remove_capability_from_bounding_set, set_capabilities,
};

use crate::sys;
use crate::ulimit::{self, Ulimit};

/// What the executor does besides executing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finish {
    /// The compiled filter of system calls.
    pub(crate) seccomp: Option<Arc<Vec<u8>>>,
    /// Become this uid and gid in a user namespace of its own: with one mapped id no other way leads there.
    pub(crate) become_user: Option<(u32, u32)>,
    /// Set this late, since few descriptors or little memory would stop libcontainer.
    pub(crate) rlimits: Vec<Ulimit>,
    /// A pidfd of our parent, when the program is to end with it.
    pub(crate) parent: Option<Arc<OwnedFd>>,
    /// Enter this user namespace, a child of ours, where the container's first process is in one of its own.
    pub(crate) join_user: Option<Arc<OwnedFd>>,
    /// Move into the control group whose `cgroup.procs` this is.
    pub(crate) cgroup: Option<Arc<OwnedFd>>,
    /// The size of the terminal on stdin.
    pub(crate) size: Option<Winsize>,
    /// Whether an init stays behind as the first process, and the program is its child.
    pub(crate) init: bool,
    /// Whether the program is told that descriptors from 3 on are sockets for it (sd_listen_fds(3)).
    pub(crate) listens: bool,
    /// The capabilities to end with, where more were kept so that the filter could be loaded.
    pub(crate) caps: Option<Caps>,
}

/// Capabilities of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    /// What it can ever get.
    pub(crate) bounding: CapabilitySet,
    /// What it has.
    pub(crate) held: CapabilitySet,
}

impl Finish {
    /// Makes the kernel kill this process when its parent ends, and fails when that has ended already.
    pub(crate) fn end_with_parent(&self) -> Result<(), Errno> {
        let Some(parent) = &self.parent else {
            return Ok(());
        };
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(errno)?;
        let mut parent = [PollFd::new(&**parent, PollFlags::IN)];
        match poll(&mut parent, Some(&Timespec::default())) {
            Ok(0) => Ok(()),
            _ => Err(Errno::ESRCH),
        }
    }

    /// Moves this process into its control group.
    pub(crate) fn enter_group(&self) -> Result<(), Errno> {
        match &self.cgroup {
            Some(procs) => rustix::io::write(procs, b"0").map(drop).map_err(errno),
            None => Ok(()),
        }
    }

    /// Does everything else.
    pub(crate) fn apply(&self) -> Result<(), Errno> {
        if let Some(size) = self.size {
            // It is a terminal that was made a moment ago; a wrong size is no reason not to run.
            rustix::termios::tcsetwinsize(rustix::stdio::stdin(), size).ok();
        }
        if let Some(namespace) = &self.join_user {
            join_user(namespace).map_err(|_| Errno::EPERM)?;
        } else if let Some((uid, gid)) = self.become_user {
            become_user(uid, gid).map_err(|_| Errno::EPERM)?;
        }
        self.rlimits.iter().try_for_each(ulimit::apply)?;
        // Becoming another user has made the kernel forget it.
        self.end_with_parent()?;
        if let Some(caps) = &self.caps {
            for cap in single_caps().filter(|cap| !caps.bounding.contains(*cap)) {
                drop_from_bounding(cap).map_err(errno)?;
            }
        }
        if let Some(program) = &self.seccomp {
            sys::load_seccomp(program)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        }
        if let Some(caps) = &self.caps {
            let sets = CapabilitySets {
                effective: caps.held,
                permitted: caps.held,
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, sets).map_err(errno)?;
        }
        Ok(())
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

fn single_caps() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}

/// Beyond the kernel's last capability the question is an error, and so nothing to take away.
fn drop_from_bounding(cap: CapabilitySet) -> rustix::io::Result<()> {
    match capability_is_in_bounding_set(cap) {
        Ok(true) => remove_capability_from_bounding_set(cap),
        _ => Ok(()),
    }
}

/// What a change of user namespaces must not give back: a new one starts with every capability in the bounding set.
fn absent_caps() -> Vec<CapabilitySet> {
    single_caps()
        .filter(|cap| capability_is_in_bounding_set(*cap) == Ok(false))
        .collect()
}

/// Enters a user namespace in which root outside is `uid` and `gid`. Root there is who owns every file, so the user owns
/// every file.
fn become_user(uid: u32, gid: u32) -> std::io::Result<()> {
    let absent = absent_caps();
    sys::unshare(UnshareFlags::NEWUSER)?;
    for cap in absent {
        remove_capability_from_bounding_set(cap)?;
    }
    std::fs::write("/proc/self/setgroups", "deny").or_else(|error| {
        // Denied for good in the namespace above already.
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    std::fs::write("/proc/self/uid_map", format!("{uid} 0 1\n"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} 0 1\n"))
}

/// Enters the user namespace that an earlier [`become_user`] made.
fn join_user(namespace: &OwnedFd) -> std::io::Result<()> {
    let absent = absent_caps();
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))?;
    for cap in absent {
        remove_capability_from_bounding_set(cap)?;
    }
    Ok(())
}
