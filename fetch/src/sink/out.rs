//! Where one file of bytes goes: a file that gets its name at the end, or standard output.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::aside::Aside;
use crate::error::{Error, Result};

/// What standard output is called in errors.
const STDOUT: &str = "standard output";

/// A file in the making.
#[derive(Debug)]
pub(super) enum Out {
    Aside(Aside),
    /// A device or pipe, which is written to as it is.
    Direct(File, PathBuf),
    Stdout,
}

impl Out {
    /// Begins a file; `-` is standard output.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let file = File::options().write(true).open(path);
            let file = file.map_err(Error::io("open", path))?;
            return Ok(Self::Direct(file, path.to_owned()));
        }
        Ok(Self::Aside(Aside::begin(path)?))
    }

    /// Where it goes, for messages.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Aside(aside) => aside.path(),
            Self::Direct(_, path) => path,
            Self::Stdout => Path::new(STDOUT),
        }
    }

    /// Ends the writing; a file now gets its name.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Aside(aside) => aside.finish(),
            Self::Direct(..) => Ok(()),
            Self::Stdout => io::stdout().flush().map_err(Error::io("write", STDOUT)),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Aside(aside) => aside.file().write(bytes),
            Self::Direct(file, _) => file.write(bytes),
            Self::Stdout => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Aside(aside) => aside.file().flush(),
            Self::Direct(file, _) => file.flush(),
            Self::Stdout => io::stdout().flush(),
        }
    }
}

/// Writes what `write` gives to the file `path`, which is complete or as it was before, or to standard output for `-`.
/// A device or pipe is written to as it is.
pub fn write_file<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut out = Out::begin(path)?;
    write(&mut out)?;
    Ok(out.finish()?)
}
