//! How much a container has written.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::container::Container;
use crate::error::{Error, Result};

impl Container {
    /// The bytes of the files in its upper directory. Directories of other ids that let nobody in are not counted.
    pub fn size(&self) -> Result<u64> {
        let mut sum = 0;
        let mut dirs = vec![self.dir.join("upper")];
        while let Some(dir) = dirs.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(Error::io("read", &dir)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(Error::io("read", &dir))?;
                sum += add(&entry.path(), &mut dirs)?;
            }
        }
        Ok(sum)
    }
}

fn add(path: &Path, dirs: &mut Vec<std::path::PathBuf>) -> Result<u64> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            dirs.push(path.to_owned());
            Ok(0)
        }
        Ok(meta) if meta.is_file() => Ok(meta.size()),
        Ok(_) => Ok(0),
        Err(error) if is_gone(&error) => Ok(0),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The container goes on while it is looked at.
fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    [NotFound, PermissionDenied].contains(&error.kind())
}
