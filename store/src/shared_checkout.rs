//! The checkout that all containers of an image share, and that nothing writes to: `CHECKOUTS/<ocifs commit>/`.
//!
//! A name there implies a whole checkout: it is made under a temporary name beside it and renamed. Of two who make it
//! at once one wins, and the other removes his. What a crash leaves has a name that gc knows.
//!
//! Directories have their full mode, so one that its owner may not enter (mode 0000, 0600 …) is closed to the user
//! here; inside a container root's capabilities open it, as they do everywhere.

use std::path::{Path, PathBuf};

use crate::checkout::{CheckoutOptions, checkout};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::repo::Repo;
use crate::staging::random_suffix;

/// How the names of checkouts begin that are not whole yet.
pub(crate) const UNFINISHED: &str = ".tmp-";

/// Checks the flattened image out, unless it is there. Makes `checkouts`, but not its parents.
///
/// The caller holds the repository's lock, at least shared, and something that keeps the image.
pub fn shared_checkout(repo: &Repo, image: &Image, checkouts: &Path) -> Result<PathBuf> {
    let name = image.flat.hex();
    let path = checkouts.join(&name);
    if path.is_dir() {
        return Ok(path);
    }
    match std::fs::create_dir(checkouts) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", checkouts)(error));
        }
        _ => {}
    }
    let dir = Dir::open(checkouts)?;
    let unfinished = format!("{UNFINISHED}{}", random_suffix()?);
    let options = CheckoutOptions::default();
    let report = checkout(repo, image.root, &checkouts.join(&unfinished), &options)?;
    // Links need no sync: they are in the journal before the rename. The bytes of copies are not.
    if repo.fsync() && report.has_copied_bytes() {
        dir.sync_file_system()?;
    }
    if !dir.rename_new(&unfinished, &dir, &name)? {
        dir.remove_tree(&unfinished)?;
    }
    Ok(path)
}
