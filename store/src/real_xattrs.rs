//! The extended attributes of a file of the file system: what a `bare` repository keeps beside a file, and what a
//! directory is committed with.

use std::path::Path;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::object::Xattrs;

/// The most that the kernel gives of names, or of one value, in bytes (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR_BYTES_MAX: usize = 64 << 10;

/// All xattrs that the caller may see, links not followed.
pub(crate) fn xattrs_of(path: &Path) -> Result<Xattrs> {
    let fail = || Error::io("read the xattrs of", path);
    // Most files have none, and asking for the size alone costs no buffer.
    match rustix::fs::llistxattr_query(path) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Xattrs::default()),
        other => other.map_err(fail())?,
    };
    let mut names = vec![0; XATTR_BYTES_MAX];
    let size = rustix::fs::llistxattr(path, &mut names).map_err(fail())?;
    let mut pairs = Vec::new();
    for name in names[..size]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; XATTR_BYTES_MAX];
        let size = rustix::fs::lgetxattr(path, name, &mut value).map_err(fail())?;
        pairs.push((name.to_vec(), value[..size].to_vec()));
    }
    Ok(Xattrs::new(pairs))
}

/// What a file is committed with: as in stock ostree, no xattr without a value.
pub(crate) fn xattrs_to_commit(path: &Path) -> Result<Xattrs> {
    let all = xattrs_of(path)?;
    let pairs = all.iter().filter(|(_, value)| !value.is_empty());
    Ok(Xattrs::new(
        pairs
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect(),
    ))
}
