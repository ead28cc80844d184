//! Whether two files are the same to whoever reads them.

use std::fs::File;
use std::io::Read as _;

use crate::content::{OSTREEMETA, OSTREEMETA_BYTES_MAX};

/// How much of two files is compared at once, in bytes.
const BUFFER_BYTES: u64 = 64 << 10;

/// Whether two files hold the same bytes from where they stand.
pub(crate) fn same_bytes(a: &File, b: &File) -> std::io::Result<bool> {
    let mut buffers = (Vec::new(), Vec::new());
    loop {
        buffers.0.clear();
        buffers.1.clear();
        a.take(BUFFER_BYTES).read_to_end(&mut buffers.0)?;
        b.take(BUFFER_BYTES).read_to_end(&mut buffers.1)?;
        if buffers.0 != buffers.1 || buffers.0.is_empty() {
            return Ok(buffers.0 == buffers.1);
        }
    }
}

/// `user.ostreemeta`, which objects and hard links to them have, and copies have not.
pub(crate) fn stored_meta(file: &File) -> Option<Vec<u8>> {
    let mut value = vec![0; OSTREEMETA_BYTES_MAX];
    let size = rustix::fs::fgetxattr(file, OSTREEMETA, &mut value).ok()?;
    value.truncate(size);
    Some(value)
}
