//! `ostree:`: an image in an OSTree repository, as skopeo's transport or berth stored it.
//!
//! The repository has layers unpacked, not as blobs. Their tars are made again, and since nothing compresses them as
//! somebody once did, they are handed out as tars, proved by what they unpack to ([`Transport::tar`]). Manifest and
//! config are those that were stored, so digests stay. The repository is only read: nothing is added to it.

use std::io::Read;
use std::time::Duration;

use store::oci::Descriptor;
use store::{DiffId, Digest, ImageName, Lock, RefName, Repo};

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::lock::lock_in_place;
use crate::source::OstreeName;
use crate::transport::{Root, SizedTar, Transport};

/// An image in a repository.
#[derive(Debug)]
pub(crate) struct OstreeSource {
    repo: Repo,
    name: ImageName,
    /// Objects stay while the image is read.
    _lock: Option<Lock>,
}

impl OstreeSource {
    /// Opens the repository and finds the image in it.
    pub(crate) fn open(
        image: &OstreeName,
        lock_timeout: Option<Duration>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let repo = Repo::open(&image.repo)?;
        let lock = lock_in_place(&repo, lock_timeout, progress)?;
        let name = store::find_name(&repo, &image.name)?.ok_or_else(|| Error::NotFound {
            what: format!("image {}", image.name),
            place: format!("repository {}", image.repo.display()),
        })?;
        Ok(Self {
            repo,
            name,
            _lock: lock,
        })
    }

    fn missing(&self, what: String) -> Error {
        let place = self.place();
        Error::NotFound { what, place }
    }
}

impl Transport for OstreeSource {
    fn place(&self) -> String {
        format!("repository {}", self.repo.path().display())
    }

    fn root(&self) -> Result<Root> {
        let what = || format!("image {}", self.name);
        let commit = self.repo.resolve(&RefName::image(&self.name))?;
        let commit = commit.ok_or_else(|| self.missing(what()))?;
        let commit = self.repo.read_commit(&commit)?;
        let manifest = commit
            .get_str("docker.manifest")
            .ok_or_else(|| store::Error::malformed(what(), "its commit has no docker.manifest"))?;
        Ok(Root {
            raw: manifest.as_bytes().to_vec(),
            media_type: String::new(),
            name: Some(self.name.to_string()),
        })
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        _progress: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        if let Some(config) = store::known_config(&self.repo, &blob.digest) {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = config.raw.get(from..).unwrap_or_default().to_vec();
            return Ok(Box::new(std::io::Cursor::new(rest)));
        }
        let layer = store::transport_layer(&self.repo, &blob.digest)?
            .ok_or_else(|| self.missing(format!("blob {}", blob.digest)))?;
        if Digest::new(*layer.diff_id.as_bytes()) != blob.digest {
            return Err(store::Error::Refused {
                verb: "read",
                thing: format!("layer {} as a blob", blob.digest),
                why: "the repository has it unpacked, and nothing tells how it was compressed"
                    .into(),
            }
            .into());
        }
        let mut tar = store::layer_tar(&self.repo, &blob.digest)?;
        std::io::copy(&mut (&mut tar).take(offset), &mut std::io::sink())
            .map_err(|source| Error::from_read(&format!("layer {}", blob.digest), source))?;
        Ok(tar)
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let layer = store::transport_layer(&self.repo, &blob.digest)?;
        Ok(layer.is_none_or(|layer| Digest::new(*layer.diff_id.as_bytes()) == blob.digest))
    }

    fn tar<'a>(&'a self, layer: &Descriptor, _: &DiffId) -> Result<Option<SizedTar<'a>>> {
        let facts = store::transport_layer(&self.repo, &layer.digest)?
            .ok_or_else(|| self.missing(format!("layer {}", layer.digest)))?;
        let tar = store::layer_tar(&self.repo, &layer.digest)?;
        Ok(Some((tar, facts.uncompressed_size)))
    }

    fn is_remote(&self) -> bool {
        false
    }
}
