//! Packing a file or a tree into a tar stream, from a descriptor of the directory that holds it.
//!
//! Whoever owns the tree may change it meanwhile. Every entry is opened by its name in its directory's descriptor and no
//! symlink is followed, so nothing outside the tree is ever read: a file that becomes a link is packed as that link.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use crate::copyup::names;

/// The deepest nesting of directories that is packed.
const DEPTH_MAX: usize = 400;
/// How often an entry may change its kind under our hands.
const CHANGES_MAX: usize = 1000;

/// What is packed.
#[derive(Debug)]
pub(crate) enum Tree {
    /// The entry of this name in a directory.
    Entry(OwnedFd, CString),
    /// An opened file or directory.
    Opened(OwnedFd),
}

/// A tar stream being written.
pub(crate) struct Packer<W: Write> {
    tar: Builder<W>,
    /// Where the first link to a file is in the stream.
    links: BTreeMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    /// Packs `tree` under the name `base`, which is `.` for what is in a directory, and ends the stream.
    pub(crate) fn pack(out: W, tree: &Tree, base: &OsStr) -> io::Result<()> {
        let mut packer = Self {
            tar: Builder::new(out),
            links: BTreeMap::new(),
        };
        match tree {
            Tree::Entry(parent, name) => packer.entry(parent, name, Path::new(base), 0)?,
            Tree::Opened(file) => {
                let stat = rustix::fs::fstat(file)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => packer.dir(file, &stat, Path::new(base), 0)?,
                    FileType::RegularFile => packer.file(file, &stat, Path::new(base))?,
                    _ => return Err(io::Error::other("it is a special file")),
                }
            }
        }
        packer.tar.finish()
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        for _ in 0..CHANGES_MAX {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            match self.entry_of_kind(parent, name, path, depth, &stat, kind) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
        Err(io::Error::other("it does not stay what it is"))
    }

    /// `Interrupted` when it is no longer of this kind, and nothing was written.
    fn entry_of_kind(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &Path,
        depth: usize,
        stat: &Stat,
        kind: FileType,
    ) -> io::Result<()> {
        let open = |flags: OFlags| {
            let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name, flags | OFlags::NOCTTY, Mode::empty())
        };
        let changed = || io::Error::from(io::ErrorKind::Interrupted);
        let is_changed =
            |error: &Errno| matches!(*error, Errno::LOOP | Errno::NOTDIR | Errno::NXIO);
        match kind {
            FileType::Directory => match open(OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(dir) => self.dir(&dir, &rustix::fs::fstat(&dir)?, path, depth),
                Err(error) if is_changed(&error) => Err(changed()),
                Err(error) => Err(error.into()),
            },
            FileType::RegularFile => match open(OFlags::RDONLY) {
                Ok(file) => {
                    let stat = rustix::fs::fstat(&file)?;
                    match FileType::from_raw_mode(stat.st_mode) {
                        FileType::RegularFile => self.file(&file, &stat, path),
                        _ => Err(changed()),
                    }
                }
                Err(error) if is_changed(&error) => Err(changed()),
                Err(error) => Err(error.into()),
            },
            FileType::Symlink => match rustix::fs::readlinkat(parent, name, Vec::new()) {
                Ok(target) => {
                    let mut header = header(stat, EntryType::Symlink, 0);
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    self.tar.append_link(&mut header, path, target)
                }
                Err(Errno::INVAL) => Err(changed()),
                Err(error) => Err(error.into()),
            },
            FileType::Fifo => self.empty(stat, EntryType::Fifo, path),
            FileType::CharacterDevice => self.empty(stat, EntryType::Char, path),
            FileType::BlockDevice => self.empty(stat, EntryType::Block, path),
            // No tar can hold a socket, and nobody misses one.
            _ => Ok(()),
        }
    }

    fn dir(&mut self, dir: &OwnedFd, stat: &Stat, path: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(Errno::NAMETOOLONG.into());
        }
        let mut name = path.as_os_str().to_owned();
        name.push("/");
        self.empty(stat, EntryType::Directory, Path::new(&name))?;
        let mut names = names(dir)?;
        names.sort();
        for name in names {
            let below = match path == Path::new(".") {
                true => PathBuf::from(OsStr::from_bytes(name.as_bytes())),
                false => path.join(OsStr::from_bytes(name.as_bytes())),
            };
            match self.entry(dir, &name, &below, depth + 1) {
                // It went since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn file(&mut self, file: impl AsFd, stat: &Stat, path: &Path) -> io::Result<()> {
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let mut header = header(stat, EntryType::Link, 0);
                return self.tar.append_link(&mut header, path, first.clone());
            }
            self.links
                .insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut header = header(stat, EntryType::Regular, size);
        let file = File::from(file.as_fd().try_clone_to_owned()?);
        self.tar
            .append_data(&mut header, path, Exactly { file, left: size })
    }

    fn empty(&mut self, stat: &Stat, kind: EntryType, path: &Path) -> io::Result<()> {
        let mut header = header(stat, kind, 0);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(rustix::fs::major(stat.st_rdev))?;
            header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        }
        self.tar.append_data(&mut header, path, io::empty())
    }
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_size(size);
    header
}

/// As many bytes of a file as its header says, whatever has become of its size.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..room])?;
        if count == 0 {
            return Err(io::Error::other("it became shorter while it was copied"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The owner of the tree has put something else there since it was looked at.
    #[test]
    fn what_has_changed_since_is_looked_at_again_and_never_followed() {
        let top = tempfile::tempdir().expect("a directory");
        let at = |name: &str| top.path().join(name);
        for dir in ["outside", "tree"] {
            std::fs::create_dir(at(dir)).expect("made");
        }
        std::fs::write(at("outside/file"), "host").expect("written");
        symlink("../outside/file", at("tree/file")).expect("linked");
        symlink("../outside", at("tree/dir")).expect("linked");
        std::fs::write(at("tree/plain"), "mine").expect("written");
        let fifo = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("tree/fifo"), FileType::Fifo, fifo, 0)
            .expect("made");
        // The control: who opens by the name is led out.
        assert_eq!(std::fs::read(at("tree/file")).expect("read"), b"host");
        assert!(at("tree/dir/file").exists());
        let tree = OwnedFd::from(File::open(at("tree")).expect("it opens"));
        let old = rustix::fs::stat(at("outside/file")).expect("there");
        for (name, kind) in [
            (c"file", FileType::RegularFile),
            (c"dir", FileType::Directory),
            (c"dir", FileType::RegularFile),
            (c"fifo", FileType::RegularFile),
            (c"plain", FileType::Directory),
            (c"plain", FileType::Symlink),
        ] {
            let mut packer = Packer {
                tar: Builder::new(Vec::new()),
                links: BTreeMap::new(),
            };
            let outcome = packer.entry_of_kind(&tree, name, Path::new("x"), 0, &old, kind);
            let error = outcome.expect_err("it is not of this kind").kind();
            assert_eq!(error, io::ErrorKind::Interrupted, "{name:?}");
            assert!(packer.tar.get_ref().is_empty(), "{name:?}");
        }
        let mut stream = Vec::new();
        Packer::pack(&mut stream, &Tree::Opened(tree), OsStr::new(".")).expect("packed");
        let has = |text: &[u8]| stream.windows(4).any(|piece| piece == text);
        assert!(has(b"mine") && !has(b"host"));
    }
}
