//! `dir:`: one image in a directory, as skopeo keeps it: `manifest.json`, `version`, and every blob by the hex of its
//! digest; the manifests of an index as `<hex>.manifest.json`.

use std::path::{Path, PathBuf};

use store::oci::Descriptor;

use super::layout::{write_aside, write_bytes};
use super::{Opener, Outgoing, Sink};
use crate::error::{Error, Result};
use crate::event::Progress;

/// What `version` says (containers/image).
const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// A directory that is written to.
#[derive(Debug)]
pub(crate) struct DirectorySink {
    path: PathBuf,
}

impl DirectorySink {
    /// Opens or makes the directory; one with something else in it is refused.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let mut found = std::fs::read_dir(path).map_err(Error::io("read", path))?;
        if found.next().is_some() && !path.join("version").is_file() {
            return Err(store::Error::Refused {
                verb: "write to",
                thing: path.display().to_string(),
                why: "it is not empty, and holds no image".into(),
            }
            .into());
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Sink for DirectorySink {
    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let found = std::fs::metadata(self.path.join(blob.digest.hex()));
        Ok(found.is_ok_and(|found| found.is_file() && found.len() == blob.size))
    }

    fn put_blob(&self, blob: &Descriptor, bytes: &Opener<'_>, _: Progress<'_>) -> Result<()> {
        write_aside(&self.path.join(blob.digest.hex()), bytes)
    }

    fn put_manifest(&self, manifest: &Outgoing<'_>) -> Result<()> {
        let name = match manifest.is_root {
            true => "manifest.json".to_owned(),
            false => format!("{}.manifest.json", manifest.digest.hex()),
        };
        write_bytes(&self.path.join("version"), VERSION)?;
        write_bytes(&self.path.join(name), manifest.raw)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
