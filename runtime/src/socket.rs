//! Sockets in a bundle. Their addresses are at most 108 bytes and paths are not, so a descriptor stands for the directory.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// Where a supervisor is spoken to.
pub(crate) const CONTROL: &str = "attach.sock";

/// Listens at `name` in `dir`, in the place of whatever was there.
pub(crate) fn listen(dir: &Path, name: &str) -> Result<UnixListener> {
    let path = dir.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &path)(error));
        }
        _ => {}
    }
    let open = open_dir(dir).map_err(Error::io("open", dir))?;
    UnixListener::bind(short(&open, name)).map_err(Error::io("listen at", &path))
}

/// Connects to `name` in `dir`.
pub(crate) fn connect(dir: &Path, name: &str) -> std::io::Result<UnixStream> {
    let open = open_dir(dir)?;
    UnixStream::connect(short(&open, name))
}

fn open_dir(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty())
}

fn short(dir: &OwnedFd, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", dir.as_raw_fd())
}
