//! An image of the store as a source.
//!
//! Manifest and config are there byte for byte. A layer's blob is there when it was kept as it came, or when it was the
//! plain tar, which can always be made again; of every layer there is the tar.

use std::io::{self, Read};

use store::oci::Descriptor;
use store::{DiffId, Digest, Image, Repo};

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::transport::{Root, SizedTar, Transport};

/// An image of a store, which must be locked.
#[derive(Debug)]
pub(crate) struct Stored<'r> {
    repo: &'r Repo,
    image: Image,
}

impl<'r> Stored<'r> {
    /// The image as a source.
    pub(crate) fn new(repo: &'r Repo, image: Image) -> Self {
        Self { repo, image }
    }

    /// The image.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// The layer whose blob is its plain tar.
    fn plain(&self, blob: &Descriptor) -> Option<DiffId> {
        let diff_id = DiffId::new(*blob.digest.as_bytes());
        self.image
            .config
            .diff_ids
            .contains(&diff_id)
            .then_some(diff_id)
    }
}

impl Transport for Stored<'_> {
    fn place(&self) -> String {
        "the store".into()
    }

    fn root(&self) -> Result<Root> {
        Ok(Root {
            raw: self.image.manifest.raw.clone(),
            media_type: self.image.manifest.media_type.clone(),
            name: Some(self.image.name.to_string()),
        })
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        _: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        let what = || format!("blob {}", blob.digest);
        let mut from: Box<dyn Read + Send + 'a> = if blob.digest == self.image.id {
            Box::new(self.image.config.raw.as_slice())
        } else if let Some((kept, _)) = store::open_kept_blob(self.repo, &blob.digest)? {
            kept
        } else if let Some(diff_id) = self.plain(blob) {
            Box::new(store::open_tar(self.repo, &diff_id)?.0)
        } else {
            let (what, place) = (what(), self.place());
            return Err(Error::NotFound { what, place });
        };
        io::copy(&mut from.by_ref().take(offset), &mut io::sink())
            .map_err(|source| Error::from_read(&what(), source))?;
        Ok(from)
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        Ok(blob.digest == self.image.id
            || self.plain(blob).is_some()
            || store::is_blob_kept(self.repo, &blob.digest)?)
    }

    fn tar<'a>(&'a self, _: &Descriptor, diff_id: &DiffId) -> Result<Option<SizedTar<'a>>> {
        let (tar, size) = store::open_tar(self.repo, diff_id)?;
        Ok(Some((Box::new(tar), size)))
    }

    fn is_remote(&self) -> bool {
        false
    }
}

/// Which repository of the registry `host` has which blobs, as the names of the store's images say.
pub(crate) fn origins(repo: &Repo, host: &str) -> Result<Vec<(Digest, String)>> {
    let mut origins = Vec::new();
    for image in store::images(repo)? {
        let name = image.name.as_str().parse::<store::Reference>();
        let Ok(name) = name.map_err(drop).and_then(|name| match name.host == host {
            true => Ok(name),
            false => Err(()),
        }) else {
            continue;
        };
        let blobs = image.manifest.layers.iter().chain([&image.manifest.config]);
        origins.extend(blobs.map(|blob| (blob.digest, name.repository.clone())));
    }
    Ok(origins)
}
