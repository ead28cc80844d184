//! The only unsafe code of the store: open-file-description locks, which rustix does not have.
//!
//! libostree locks with them (and falls back to `flock` where they are missing), so nothing else excludes it.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A whole-file lock, as `fcntl` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ofd {
    Shared,
    Exclusive,
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Tries to lock without waiting; `false` when another open file description holds a lock against it.
pub(crate) fn try_lock(file: BorrowedFd<'_>, kind: Ofd) -> io::Result<bool> {
    let lock = whole_file(if kind == Ofd::Shared {
        libc::F_RDLCK
    } else {
        libc::F_WRLCK
    });
    loop {
        // SAFETY: the descriptor is borrowed for the call, and `lock` is a valid flock that the kernel only reads.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::EACCES) => return Ok(false),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_exclusive_lock_excludes() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let open = || {
            std::fs::File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(dir.path().join("l"))
        };
        let (first, second) = (open().expect("open"), open().expect("open"));
        assert!(try_lock(first.as_fd(), Ofd::Shared).expect("lock"));
        assert!(try_lock(second.as_fd(), Ofd::Shared).expect("lock"));
        assert!(!try_lock(second.as_fd(), Ofd::Exclusive).expect("lock"));
        drop(first);
        assert!(try_lock(second.as_fd(), Ofd::Exclusive).expect("lock"));
        let third = open().expect("open");
        assert!(!try_lock(third.as_fd(), Ofd::Shared).expect("lock"));
    }
}
