//! Keeps the container away from berth's own binary (CVE-2019-5736).
//!
//! The first process of a container is berth until it executes the image's program, and `/proc/PID/exe` names berth's file
//! for that long; a container that opens it for writing in time would own the host's next berth. So the copy that enters
//! the container runs from a place that cannot be written: a detached read-only clone of the mount it lies on, which
//! costs two system calls, or, where that is not possible, a sealed copy in memory.
//!
//! Executing a copy takes a millisecond of every start, and is for those who need it: a binary that belongs to nobody in
//! the container and that only its owner may write to is safe from the container as it is ([`is_needed`]).

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, MemfdFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::mount::OpenTreeFlags;

use crate::error::{Error, Result};
use crate::ids::IdMaps;
use crate::{sys, userns};

const SELF: &str = "/proc/self/exe";

/// Whether a process of a user namespace with these maps could write to this binary. To be asked before that is entered.
///
/// The permissions of groups and others count, and with them all access control lists, whose mask the group's are.
pub(crate) fn is_needed(maps: &IdMaps) -> Result<bool> {
    let binary = rustix::fs::stat(SELF).map_err(Error::io("look at", SELF))?;
    Ok(maps.maps_uid(binary.st_uid) || binary.st_mode & 0o022 != 0)
}

/// What [`exec_sealed`] does to a process besides: nothing of its caller's is left, neither the environment nor a
/// descriptor but stdio and `keep`.
pub(crate) fn leave_caller(keep: Option<&OwnedFd>) -> Result<()> {
    userns::assert_single_thread()?;
    sys::clear_environment();
    sys::close_others(keep.map(AsFd::as_fd)).map_err(Error::os("close descriptors"))
}

/// Executes this binary again from a sealed copy with `args` and an empty environment. Returns only on failure. To be
/// called inside a mount namespace of our own.
pub(crate) fn exec_sealed(args: &[&OsStr]) -> Result<Infallible> {
    exec_sealed_with(args, None)
}

/// [`exec_sealed`], with a descriptor that stays open.
pub(crate) fn exec_sealed_with(args: &[&OsStr], keep: Option<&OwnedFd>) -> Result<Infallible> {
    exec_sealed_keeping(args, || {
        keep.map_or(Ok(()), |keep| {
            rustix::io::fcntl_setfd(keep, FdFlags::empty()).map_err(Error::os("keep a descriptor"))
        })
    })
}

/// [`exec_sealed`], with so many descriptors from 3 on that stay open.
pub(crate) fn exec_sealed_passing(args: &[&OsStr], count: u32) -> Result<Infallible> {
    exec_sealed_keeping(args, || {
        sys::keep_on_exec(count).map_err(Error::os("pass descriptors on"))
    })
}

fn exec_sealed_keeping(args: &[&OsStr], keep: impl FnOnce() -> Result<()>) -> Result<Infallible> {
    let copy = match read_only_clone() {
        Some(copy) => copy,
        None => sealed_memfd()?,
    };
    sys::close_all_on_exec().map_err(Error::os("mark descriptors close-on-exec"))?;
    keep()?;
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let mut command = Command::new(&path);
    let source = command.arg0("berth").args(args).env_clear().exec();
    Err(Error::Io {
        op: "execute",
        path: path.into(),
        source,
    })
}

/// The binary in a read-only clone of its mount, or `None` where the kernel cannot or the file has moved.
fn read_only_clone() -> Option<OwnedFd> {
    let path = std::fs::read_link(SELF).ok()?;
    // Through the link itself it would be the old namespace's mount, which cannot be cloned from here.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let clone = rustix::mount::open_tree(CWD, &path, flags).ok()?;
    let wanted = rustix::fs::stat(SELF).ok()?;
    let found = rustix::fs::fstat(&clone).ok()?;
    if (wanted.st_dev, wanted.st_ino) != (found.st_dev, found.st_ino) {
        return None;
    }
    sys::set_mount_read_only(&clone).ok()?;
    Some(clone)
}

/// A copy of the binary in memory that nobody can change any more.
fn sealed_memfd() -> Result<OwnedFd> {
    let memory =
        rustix::fs::memfd_create(c"berth", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(Error::os("make a memory file"))?;
    let mut binary = File::open(SELF).map_err(Error::io("open", Path::new(SELF)))?;
    let mut target = File::from(memory);
    std::io::copy(&mut binary, &mut target).map_err(Error::io("copy", Path::new(SELF)))?;
    rustix::fs::fcntl_add_seals(
        &target,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )
    .map_err(Error::os("seal a memory file"))?;
    Ok(target.into())
}
