//! The root of a container that does not run, with its volumes, mounted for one process that is inside its user namespace
//! and a mount namespace of its own. What may not be written while it runs may not be written here.

use std::path::Path;

use crate::container::{Container, make_private};
use crate::error::Result;
use crate::inroot::InRoot;
use crate::proc::read_optional;
use crate::protect::{Bind, Protected, guarded_dirs, protect};
use crate::{copyup, mounts, rootfs};

/// Mounts the container's root. `root` is berth's, `repo` its repository.
pub(crate) fn mount(container: &Container, root: &Path, repo: &Path) -> Result<InRoot> {
    let record = &container.record;
    let place = container.bundle.join("view");
    make_private(&place)?;
    // Where there is no overlay it is a copy, and that was said when it was made.
    rootfs::mount(&record.lower, &container.dir, &place)?;
    let inside = InRoot::open_as(&place, Path::new("/"))?;
    let mountinfo = read_optional(Path::new("/proc/self/mountinfo"))?;
    let dirs = guarded_dirs(repo, root, container.containers.run_dir());
    let protected = Protected::new(dirs, &mountinfo);
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
        mounts::mount_volume(&inside, &bind)?;
    }
    Ok(inside)
}
