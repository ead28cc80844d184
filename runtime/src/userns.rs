//! Entering a user namespace of our own.
//!
//! The process that enters has one thread and stays the same process, so it remains the parent of whatever it started and
//! keeps its terminal. One id is written by the process itself. Ranges are written by newuidmap and newgidmap, which must
//! run outside: they are forked before, wait on a pipe, and are let go once the namespace exists, both at once.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use crate::error::{Error, Result};
use crate::ids::{IdHelpers, IdMaps, Mapping};
use crate::proc::thread_count;
use crate::sys;

/// Enters a new user namespace with `maps`, and the other new namespaces of `flags` with it. Root inside afterwards, with
/// every capability there.
pub(crate) fn enter(maps: &IdMaps, helpers: &IdHelpers, flags: UnshareFlags) -> Result<()> {
    assert_single_thread()?;
    let flags = flags | UnshareFlags::NEWUSER;
    if maps.is_single() {
        sys::unshare(flags).map_err(refused)?;
        return write_single(maps);
    }
    let (held, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(Error::os("make a pipe"))?;
    let children = [
        (
            helpers.newuidmap.as_deref(),
            maps.uids.as_slice(),
            "newuidmap",
        ),
        (
            helpers.newgidmap.as_deref(),
            maps.gids.as_slice(),
            "newgidmap",
        ),
    ]
    .map(|(program, lines, name)| start_helper(program, lines, name, [held.as_fd(), go.as_fd()]));
    let unshared = sys::unshare(flags).map_err(refused);
    if unshared.is_ok() {
        // One byte each: the children share the read end.
        rustix::io::write(&go, b"gg").map_err(Error::os("start the id mapping programs"))?;
    }
    for child in children {
        let (pid, name) = child?;
        if unshared.is_err() {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)
                .map_err(Error::os("stop a helper"))?;
        }
        let succeeded = waitpid(Some(pid), WaitOptions::empty())
            .map_err(Error::os("wait for the id mapping programs"))?
            .is_some_and(|(_, status)| status.exit_status() == Some(0));
        if unshared.is_ok() && !succeeded {
            return Err(Error::Host {
                lacks: if name == "newuidmap" {
                    "map a range of uids"
                } else {
                    "map a range of gids"
                },
                hint: format!(
                    "{name} failed: is it set-uid root or does it have its capability? or use --ids single"
                ),
                source: None,
            });
        }
    }
    unshared?;
    // The user's own groups mean nothing inside, and would let the container into files of theirs.
    rustix::thread::set_thread_groups(&[]).map_err(Error::os("drop supplementary groups"))
}

/// Takes uid and gid 0 of the user namespace that this process has entered, and gives up every other group.
pub(crate) fn become_root() -> Result<()> {
    let failed = || Error::os::<std::io::Error>("become root of the container");
    // Where one id is mapped, groups cannot be changed, and there are none that could be.
    nix::unistd::setgroups(&[]).ok();
    nix::unistd::setresgid(0.into(), 0.into(), 0.into()).map_err(|error| failed()(error.into()))?;
    nix::unistd::setresuid(0.into(), 0.into(), 0.into()).map_err(|error| failed()(error.into()))
}

/// Fails when this process has more than one thread: the kernel refuses such a process, and libcontainer breaks in it.
pub(crate) fn assert_single_thread() -> Result<()> {
    match thread_count()? {
        1 => Ok(()),
        _ => Err(Error::Os {
            op: "start a container from a process with threads",
            source: std::io::Error::from_raw_os_error(libc::EINVAL),
        }),
    }
}

fn refused(source: std::io::Error) -> Error {
    // The kernel's word for a limit of namespaces that is reached, which nobody would understand.
    let limit = source.raw_os_error() == Some(libc::ENOSPC);
    Error::Host {
        lacks: if limit {
            "make another user namespace: the limit user.max_user_namespaces is reached"
        } else {
            "make a user namespace for an ordinary user"
        },
        hint: "berth doctor tells what is switched off and how to switch it on".into(),
        source: (!limit).then_some(source),
    }
}

fn write_single(maps: &IdMaps) -> Result<()> {
    let write = |file: &str, text: &str| {
        let path = Path::new("/proc/self").join(file);
        std::fs::write(&path, text).map_err(Error::io("write", &path))
    };
    let line = |maps: &[Mapping]| {
        maps.iter()
            .map(|m| format!("{} {} {}\n", m.inside, m.outside, m.count))
            .collect::<String>()
    };
    write("setgroups", "deny")?;
    write("uid_map", &line(&maps.uids))?;
    write("gid_map", &line(&maps.gids))
}

fn start_helper(
    program: Option<&Path>,
    maps: &[Mapping],
    name: &'static str,
    go: [BorrowedFd<'_>; 2],
) -> Result<(Pid, &'static str)> {
    let program = program.ok_or_else(|| Error::Host {
        lacks: "map the range of ids that this container was made with: newuidmap or newgidmap is not on PATH",
        hint: "install the package uidmap (Debian) or shadow-utils".into(),
        source: None,
    })?;
    let own_pid = std::process::id().to_string();
    let numbers = maps
        .iter()
        .flat_map(|m| [m.inside, m.outside, m.count])
        .map(|number| number.to_string());
    let args: Vec<CString> = [name.to_owned(), own_pid]
        .into_iter()
        .chain(numbers)
        .map(|arg| CString::new(arg).map_err(|_| Error::option("id map", name, "it holds a NUL")))
        .collect::<Result<_>>()?;
    let path = CString::new(program.as_os_str().as_bytes())
        .map_err(|_| Error::option("PATH", &program.display().to_string(), "it holds a NUL"))?;
    let pid =
        sys::spawn_later(go, &path, &args).map_err(Error::os("start an id mapping program"))?;
    Ok((pid, name))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The child must not wait for a byte that only itself could send.
    #[test]
    fn a_helper_ends_with_who_would_let_it_go() {
        let (held, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let child = sys::spawn_later([held.as_fd(), go.as_fd()], &c"/bin/true".to_owned(), &[])
            .expect("a child");
        drop(go);
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match waitpid(Some(child), WaitOptions::NOHANG).expect("our child") {
                Some((_, status)) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => {
                    rustix::process::kill_process(child, rustix::process::Signal::KILL).ok();
                    panic!("it waits for ever");
                }
            }
        };
        assert_eq!(status.exit_status(), Some(127), "it was not executed");
    }
}
