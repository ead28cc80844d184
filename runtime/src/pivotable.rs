//! A root that a container can be given another one for.
//!
//! The kernel does not let go of its initial root, the one that an initramfs is unpacked into, so `pivot_root` fails on a
//! host that never left it. There the whole tree is put over itself, in this mount namespace only, and the copy on top is
//! a mount like any other. What lies below is out of reach without CAP_SYS_ADMIN, which no container has by default.

use std::path::Path;

use rustix::process::{chdir, chroot};

use crate::error::{Error, Result};

const RAMFS_MAGIC: i64 = 0x8584_58f6;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Makes `/` of this mount namespace one that `pivot_root` can replace. `over` is any directory; nothing stays there.
pub(crate) fn make(over: &Path) -> Result<()> {
    let root = Path::new("/");
    let found = rustix::fs::statfs(root).map_err(Error::io("look at", root))?;
    // The initial root is one of these; another root in memory is none the worse for it.
    if ![RAMFS_MAGIC, TMPFS_MAGIC].contains(&found.f_type) {
        return Ok(());
    }
    rustix::mount::mount_bind_recursive(root, over)
        .and_then(|()| chdir(over))
        .and_then(|()| rustix::mount::mount_move(".", root))
        .and_then(|()| chroot("."))
        .and_then(|()| chdir(root))
        .map_err(Error::os("put a root over the initial one"))
}
