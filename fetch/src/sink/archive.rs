//! `oci-archive:`: an OCI image layout in a tar, written in one pass. Blobs come as they come, `index.json` is last.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use store::oci::Descriptor;

use super::layout::{Entries, LAYOUT, LAYOUT_FILE, place_of};
use super::tar_file::TarFile;
use super::{Form, Opener, Outgoing, Sink};
use crate::error::Result;
use crate::event::Progress;

/// An archive in the making.
#[derive(Debug)]
pub(crate) struct ArchiveSink {
    name: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tar: TarFile,
    entries: Entries,
}

impl ArchiveSink {
    /// Begins the archive at `path`, whose image is called `name`.
    pub(crate) fn open(path: &Path, name: Option<String>) -> Result<Self> {
        let mut tar = TarFile::begin(path)?;
        tar.add_bytes(LAYOUT_FILE, LAYOUT)?;
        tar.add_dir("blobs/")?;
        tar.add_dir("blobs/sha256/")?;
        let state = Mutex::new(State {
            tar,
            entries: Entries::default(),
        });
        Ok(Self { name, state })
    }
}

impl Sink for ArchiveSink {
    fn form(&self) -> Form {
        Form::Oci
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.tar.has(&place_of(&blob.digest)))
    }

    fn put_blob(&self, blob: &Descriptor, bytes: &Opener<'_>, _: Progress<'_>) -> Result<()> {
        // one at a time, and opened only when its turn has come
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = bytes(0)?;
        state
            .tar
            .add(&place_of(&blob.digest), blob.size, &mut bytes)
    }

    fn put_manifest(&self, manifest: &Outgoing<'_>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .tar
            .add_bytes(&place_of(&manifest.digest), manifest.raw)?;
        if manifest.is_root {
            let name = self.name.as_deref().or(manifest.name);
            state.entries.set(manifest, name);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let State { mut tar, entries } = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        tar.add_bytes("index.json", &entries.to_index())?;
        tar.finish()
    }
}
