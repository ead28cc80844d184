//! What a container's supervisor must know of control groups.
//!
//! libcontainer copes with an ordinary user only where `/sys/fs/cgroup` is one cgroup2 tree. On a v1 or hybrid host such a
//! tree is mounted there in our own mount namespace; on a pure v2 host it is there already (and could not be mounted
//! again). The path that libcontainer is given is absolute and never empty: with an empty one it takes the caller's own
//! group, and kills everything in it when it cleans up.

use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use crate::container::make_private;
use crate::error::{Error, Result};

const MOUNT_POINT: &str = "/sys/fs/cgroup";
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Whether the host has one cgroup2 tree and nothing else.
pub(crate) fn host_is_unified() -> Result<bool> {
    let path = Path::new(MOUNT_POINT);
    let found = rustix::fs::statfs(path).map_err(Error::io("look at", path))?;
    Ok(found.f_type == CGROUP2_MAGIC)
}

/// Makes `/sys/fs/cgroup` a cgroup2 tree in this mount namespace, and tells whether it had to.
pub(crate) fn unify() -> Result<bool> {
    let is_one = host_is_unified()?;
    if !is_one {
        mount(Path::new(MOUNT_POINT), MountFlags::empty())?;
    }
    Ok(!is_one)
}

/// Does that, and gives the place of the tree that the container may see: seen from our own cgroup namespace, it starts at
/// our own group. On a pure v2 host that is mounted at `view`, which any number of namespaces can share, and stays mounted
/// as long as this one lives.
pub(crate) fn prepare(view: &Path) -> Result<PathBuf> {
    if unify()? {
        return Ok(MOUNT_POINT.into());
    }
    make_private(view)?;
    mount(view, MountFlags::RDONLY)?;
    Ok(view.to_owned())
}

/// The path to give to libcontainer for the container `id`.
pub(crate) fn path(id: &str) -> String {
    format!("/berth-{id}")
}

fn mount(target: &Path, more: MountFlags) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | more;
    rustix::mount::mount("cgroup2", target, "cgroup2", flags, None)
        .map_err(Error::io("mount cgroup2 on", target))
}
