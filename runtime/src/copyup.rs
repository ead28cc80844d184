//! Filling a new volume with what the image has in its place, as podman does.
//!
//! Done once, while the volume is empty, before anything of the image has run. Modes and times are kept; special files are
//! left out. Symlinks are copied and never followed.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::error::{Error, Result};
use crate::inroot::InRoot;

/// Copies the directory that `root` has at `inside` into the directory `volume`, when there is one and the volume is
/// empty.
pub(crate) fn copy_up(root: &InRoot, inside: &Path, volume: &Path) -> Result<()> {
    if root.kind(inside) != Some(FileType::Directory) {
        return Ok(());
    }
    if fs::read_dir(volume)
        .map_err(Error::io("read", volume))?
        .next()
        .is_some()
    {
        return Ok(());
    }
    let dir = root.open_dir(inside)?;
    copy_dir(
        &PathBuf::from(format!("/proc/self/fd/{}/.", dir.as_raw_fd())),
        volume,
    )
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("read", &source))?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(Error::io("make", &target))?;
            copy_dir(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(Error::io("read", &source))?;
            std::os::unix::fs::symlink(link, &target).map_err(Error::io("make", &target))?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(Error::io("copy", &source))?;
            keep_times(&source, &target)?;
        }
    }
    let metadata = fs::metadata(from).map_err(Error::io("read", from))?;
    let mode = fs::Permissions::from_mode(metadata.permissions().mode() & 0o7777);
    fs::set_permissions(to, mode).map_err(Error::io("set the mode of", to))?;
    keep_times(from, to)
}

fn keep_times(from: &Path, to: &Path) -> Result<()> {
    let metadata = fs::metadata(from).map_err(Error::io("read", from))?;
    let modified = metadata.modified().map_err(Error::io("read", from))?;
    fs::File::open(to)
        .and_then(|file| file.set_modified(modified))
        .map_err(Error::io("set the time of", to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_volume_gets_the_tree_and_a_used_one_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (image, volume) = (dir.path().join("image"), dir.path().join("volume"));
        fs::create_dir_all(image.join("data/sub")).expect("made");
        fs::create_dir(&volume).expect("made");
        fs::write(image.join("data/sub/file"), "text").expect("written");
        fs::set_permissions(image.join("data"), PermissionsExt::from_mode(0o751)).expect("set");
        std::os::unix::fs::symlink("/etc/passwd", image.join("data/link")).expect("linked");
        let root = InRoot::open(&image).expect("opens");
        copy_up(&root, Path::new("/none"), &volume).expect("nothing to do");
        copy_up(&root, Path::new("/data"), &volume).expect("copied");
        assert_eq!(
            fs::read_to_string(volume.join("sub/file")).expect("there"),
            "text"
        );
        assert_eq!(
            fs::read_link(volume.join("link")).expect("a link"),
            Path::new("/etc/passwd")
        );
        assert_eq!(
            fs::metadata(&volume).expect("there").permissions().mode() & 0o777,
            0o751
        );
        fs::write(image.join("data/new"), "").expect("written");
        copy_up(&root, Path::new("/data"), &volume).expect("nothing to do");
        assert!(!volume.join("new").exists());
    }
}
