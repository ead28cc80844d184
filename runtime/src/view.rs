//! The root of a container that does not run, with its volumes, mounted for one process that is inside its user namespace
//! and a mount namespace of its own. What may not be written while it runs may not be written here.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use crate::container::{Container, make_private};
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::proc::read_optional;
use crate::protect::{Bind, Protected, guarded_dirs, open_source, protect};
use crate::{copyup, rootfs, sys};

/// Mounts the container's root. `root` is berth's, `repo` its repository.
pub(crate) fn mount(container: &Container, root: &Path, repo: &Path) -> Result<InRoot> {
    let record = &container.record;
    let place = container.bundle.join("view");
    make_private(&place)?;
    // Where there is no overlay it is a copy, and that was said when it was made.
    rootfs::mount(&record.lower, &container.dir, &place)?;
    let inside = InRoot::open_as(&place, Path::new("/"))?;
    let mounts = read_optional(Path::new("/proc/self/mountinfo"))?;
    let dirs = guarded_dirs(repo, root, container.containers.run_dir());
    let protected = Protected::new(dirs, &mounts);
    for mount in record
        .mounts
        .iter()
        .filter(|it| it.managed && !it.options.no_copy)
    {
        copyup::copy_up(&inside, &mount.destination, &mount.source)?;
    }
    let binds = record.mounts.iter().map(|mount| Bind {
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        read_only: mount.options.read_only,
        managed: mount.managed,
        ..Bind::default()
    });
    for bind in protect(binds.collect(), &protected) {
        attach(&inside, &bind)?;
    }
    Ok(inside)
}

/// Mounts a volume by descriptors alone, so that no link in the root leads it elsewhere.
fn attach(root: &InRoot, bind: &Bind) -> Result<()> {
    let failed = || Error::io::<rustix::io::Errno>("mount volume", &bind.source);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let source = open_source(&bind.source, bind.managed)?;
    let tree = rustix::mount::open_tree(&source, c"", flags).map_err(failed())?;
    if bind.read_only {
        sys::set_tree_read_only(&tree).map_err(Error::io("mount volume", &bind.source))?;
    }
    let kind = rustix::fs::fstat(&source).map_err(failed())?.st_mode;
    let target = match FileType::from_raw_mode(kind) == FileType::Directory {
        true => root.make_dir(&bind.destination)?,
        false => {
            root.make_file(&bind.destination)?;
            root.resolve(&bind.destination, OFlags::PATH)
                .map_err(failed())?
        }
    };
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree.as_fd(), c"", target.as_fd(), c"", flags).map_err(failed())
}
