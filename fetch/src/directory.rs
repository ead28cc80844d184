//! `dir:`: a directory as `skopeo copy … dir:` writes it.
//!
//! `manifest.json` is the manifest or index, `<hex>.manifest.json` the manifests of an index, and blobs lie beside them
//! under the hex of their digest. A file's place follows from a digest alone, so no path in a document is followed.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use store::oci::{Descriptor, MANIFEST_BYTES_MAX};

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::file;
use crate::transport::{Root, Transport, read_limited};

/// What a registry would answer for the image.
const MANIFEST: &str = "manifest.json";

/// An opened directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens the directory at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let found = std::fs::metadata(path).map_err(Error::io("open", path))?;
        match found.is_dir() {
            true => Ok(Self {
                path: path.to_owned(),
            }),
            false => Err(store::Error::malformed(
                format!("directory {}", path.display()),
                "it is not a directory",
            )
            .into()),
        }
    }

    fn find(&self, name: &str, what: &str) -> Result<std::fs::File> {
        file::find(&self.path.join(name))?.ok_or_else(|| Error::NotFound {
            what: what.to_owned(),
            place: self.place(),
        })
    }

    fn read(&self, name: &str, what: &str) -> Result<Vec<u8>> {
        let file = self.find(name, what)?;
        read_limited(file, MANIFEST_BYTES_MAX, || what.to_owned())
            .map_err(|limited| limited.or(|source| read_error(what, source)))
    }
}

fn read_error(what: &str, source: std::io::Error) -> Error {
    let what = what.to_owned();
    store::Error::Read { what, source }.into()
}

impl Transport for Directory {
    fn place(&self) -> String {
        format!("directory {}", self.path.display())
    }

    fn root(&self) -> Result<Root> {
        Ok(Root {
            raw: self.read(MANIFEST, MANIFEST)?,
            media_type: String::new(),
            name: None,
        })
    }

    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        let name = format!("{}.{MANIFEST}", entry.digest.hex());
        self.read(&name, &format!("manifest {}", entry.digest))
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        _: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        let what = format!("blob {}", blob.digest);
        let mut file = self.find(&blob.digest.hex().to_string(), &what)?;
        file.seek(SeekFrom::Start(offset))
            .map_err(|source| read_error(&what, source))?;
        Ok(Box::new(file))
    }

    fn is_remote(&self) -> bool {
        false
    }
}
