//! Metadata that is kept beside a commit and not in it, such as signatures: `objects/xx/<id>.commitmeta`. Nothing proves
//! that it is what somebody wrote.

use crate::commit::{Value, parse_dict};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{METADATA_BYTES_MAX, ObjectKind};
use crate::repo::Repo;

/// The detached metadata of a commit, in its order; `None` when it has none.
pub fn detached_metadata(repo: &Repo, commit: &ObjectId) -> Result<Option<Vec<(String, Value)>>> {
    let path = repo
        .loose(ObjectKind::Commit, commit)
        .with_extension("commitmeta");
    let Some(bytes) = repo.objects.read(path, METADATA_BYTES_MAX)? else {
        return Ok(None);
    };
    parse_dict(&bytes)
        .map(Some)
        .map_err(|why| Error::malformed(format!("detached metadata of commit {commit}"), why))
}
