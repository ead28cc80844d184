//! Files that have no name until they are complete.
//!
//! Where the file system can, they have none at all, so that nothing is left of a process that dies; else a name of
//! their own in the same directory, which is removed when they are given up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// How many names are tried before it is given up to find a free one.
const NAMES_TRIED_MAX: usize = 100;

/// A file that becomes `path` when it is complete.
#[derive(Debug)]
pub(crate) struct Aside {
    file: File,
    path: PathBuf,
    /// Its name so far, if it has one.
    named: Option<PathBuf>,
}

impl Aside {
    /// Begins a file.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let (file, named) = match unnamed(directory_of(&path))? {
            Some(file) => (file, None),
            None => {
                let (file, named) = named(&path)?;
                (file, Some(named))
            }
        };
        Ok(Self { file, path, named })
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The name that it will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the bytes durable and gives the file its name; one that is there is replaced.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(Error::io("sync", &self.path))?;
        let named = match self.named.take() {
            Some(named) => named,
            None => link(&self.file, &self.path)?,
        };
        std::fs::rename(&named, &self.path).map_err(|error| {
            let _ = std::fs::remove_file(&named);
            Error::io("create", &self.path)(error)
        })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(named) = &self.named {
            let _ = std::fs::remove_file(named);
        }
    }
}

/// A file without a name in `directory`, to write and to read: nothing is left of it.
pub fn scratch_file(directory: &Path) -> Result<File> {
    match unnamed(directory)? {
        Some(file) => Ok(file),
        None => {
            let (file, name) = named(&directory.join("scratch"))?;
            std::fs::remove_file(&name).map_err(Error::io("remove", &name))?;
            Ok(file)
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `None` where the file system has no such files.
fn unnamed(directory: &Path) -> Result<Option<File>> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(Error::io("write to", directory)(error.into())),
    }
}

/// Makes a file beside `path` that nobody else has.
fn named(path: &Path) -> Result<(File, PathBuf)> {
    free_name(path, |name| {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).open(name)
    })
}

/// Gives a file without a name one beside `path`.
fn link(file: &File, path: &Path) -> Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = free_name(path, |name| {
        Ok(rustix::fs::linkat(
            CWD,
            from.as_str(),
            CWD,
            name,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    });
    Ok(linked?.1)
}

/// Tries names beside `path` until `make` finds one that is free.
fn free_name<T>(
    path: &Path,
    mut make: impl FnMut(&Path) -> std::io::Result<T>,
) -> Result<(T, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let mut tried = 0;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // a long name has no room for more
        let short: String = last.chars().take(50).collect();
        let name = path.with_file_name(format!(".{short}.{}-{number}", std::process::id()));
        tried += 1;
        match make(&name) {
            Ok(made) => return Ok((made, name)),
            Err(error)
                if error.kind() == std::io::ErrorKind::AlreadyExists && tried < NAMES_TRIED_MAX => {
            }
            Err(error) => return Err(Error::io("create", &name)(error)),
        }
    }
}
