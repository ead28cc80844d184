//! Every image of an archive, into the store.

use std::path::Path;

use store::Repo;

use crate::archive::Archive;
use crate::docker_archive::DockerArchive;
use crate::error::{Error, Result};
use crate::layout::{Files, Layout};
use crate::pull::{PullOptions, Pulled, pull};
use crate::source::{Pick, Source};

/// An image that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it was called in the archive.
    pub source: Source,
    /// What the pull of it did.
    pub pulled: Pulled,
}

/// Stores all images of the archive at `path`, `docker save`'s or an OCI layout, each under the name that it has there;
/// one that has none is called after `fallback`.
///
/// Images that were stored before one fails stay.
pub fn load(
    repo: &Repo,
    path: &Path,
    fallback: &str,
    options: &PullOptions<'_>,
) -> Result<Vec<Loaded>> {
    let contents = contents(path, &options.source.scratch).map_err(|error| Error::Source {
        verb: "load",
        name: path.display().to_string(),
        source: Box::new(error),
    })?;
    let several = contents.len() > 1;
    let mut loaded = Vec::new();
    for (at, (source, is_named)) in contents.into_iter().enumerate() {
        let mut options = options.clone();
        if !is_named {
            options.name = Some(match several {
                true => format!("{fallback}@{at}"),
                false => fallback.to_owned(),
            });
        }
        let pulled = pull(repo, &source, &options)?;
        loaded.push(Loaded { source, pulled });
    }
    Ok(loaded)
}

/// Where each image of an archive is, under each of its names, and whether it has one.
fn contents(path: &Path, scratch: &Path) -> Result<Vec<(Source, bool)>> {
    let archive = Archive::open(path, scratch)?;
    if DockerArchive::find(&archive)? {
        let picks = DockerArchive::picks(&archive)?.into_iter();
        let source = |pick| Source::DockerArchive {
            path: path.to_owned(),
            pick,
        };
        return Ok(picks
            .map(|pick| (pick.clone(), matches!(pick, Pick::Named(_))))
            .map(|(pick, is_named)| (source(pick), is_named))
            .collect());
    }
    let picks = Layout::new(Files::archive(archive), Pick::Only).picks()?;
    let source = |pick| Source::OciArchive {
        path: path.to_owned(),
        pick,
    };
    Ok(picks
        .into_iter()
        .map(|(pick, is_named)| (source(pick), is_named))
        .collect())
}
