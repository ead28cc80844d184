//! The writable root of a container: an overlay of its own upper directory on the image's shared checkout.
//!
//! The checkout is the lower layer, which the kernel never writes to, so no container can change it or the store behind
//! it. The mount exists in our mount namespace only and vanishes with it. In a user namespace overlayfs keeps its marks in
//! `user.overlay.*` attributes (`userxattr`).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{Error, Result};

/// Mounts the overlay at `target`.
pub(crate) fn mount(lower: &Path, upper: &Path, work: &Path, target: &Path) -> Result<()> {
    let data = options(lower, upper, work)?;
    rustix::mount::mount("overlay", target, "overlay", MountFlags::NODEV, Some(data.as_c_str())).map_err(|error| {
        Error::Host {
            lacks: "mount an overlay in a user namespace",
            hint: "it takes Linux 5.11 and a file system with user extended attributes under --root; see berth doctor"
                .into(),
            source: Some(error.into()),
        }
    })
}

/// Unmounts what [`mount`] mounted.
pub(crate) fn unmount(target: &Path) -> Result<()> {
    rustix::mount::unmount(target, UnmountFlags::DETACH).map_err(Error::io("unmount", target))
}

fn options(lower: &Path, upper: &Path, work: &Path) -> Result<CString> {
    let mut data = b"userxattr".to_vec();
    for (key, path, list) in [
        ("lowerdir", lower, true),
        ("upperdir", upper, false),
        ("workdir", work, false),
    ] {
        data.extend_from_slice(format!(",{key}=").as_bytes());
        for byte in path.as_os_str().as_bytes() {
            if matches!(byte, b'\\' | b',') || (list && *byte == b':') {
                data.push(b'\\');
            }
            data.push(*byte);
        }
    }
    CString::new(data)
        .map_err(|_| Error::option("--root", &upper.display().to_string(), "it holds a NUL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped() {
        let data =
            options(Path::new("/a:b,c"), Path::new("/u:v"), Path::new("/w\\")).expect("no NUL");
        assert_eq!(
            data.to_bytes(),
            br"userxattr,lowerdir=/a\:b\,c,upperdir=/u:v,workdir=/w\\"
        );
    }
}
