//! When the entries of a layer were last changed, which no object says of directories: read from the headers that its
//! recipe kept. Payloads are not read; zeros of their length stand for them.

use crate::error::{Error, Result};
use crate::id::DiffId;
use crate::layer_tree::components;
use crate::replay::{Payloads, Replay};
use crate::repo::Repo;
use crate::tar_stream::{TarError, TarStream};
use crate::txn::Mtime;

/// Calls `visit` with the path and time of every entry of a layer, in the order of its tar: of a path that comes twice
/// the last counts. Paths are relative, without `.`; entries whose path is not UTF-8 are left out.
///
/// Hold the repository's lock.
pub(crate) fn layer_times(
    repo: &Repo,
    diff_id: &DiffId,
    visit: &mut dyn FnMut(&str, Mtime),
) -> Result<()> {
    let mut tar = TarStream::new(Replay::open(repo, diff_id, Payloads::Zeros)?);
    let broken = |error| match error {
        TarError::Io(source) => Error::Read {
            what: format!("layer {diff_id}"),
            source,
        },
        TarError::Broken(why) => {
            Error::malformed(format!("layer {diff_id}"), format!("as a tar, {why}"))
        }
    };
    while let Some(entry) = tar.next().map_err(broken)? {
        if let Ok(names) = components(&entry.path) {
            visit(&names.join("/"), entry.mtime);
        }
    }
    Ok(())
}
