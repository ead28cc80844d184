//! `oci:`: an OCI image layout in a directory. One that is there gets another image.
//!
//! A blob has its name only when it is complete, and `index.json` is replaced at the end: who reads the layout meanwhile
//! sees the images it had.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use store::Digest;
use store::oci::{Descriptor, Document, MANIFEST_BYTES_MAX, media};

use super::aside::Aside;
use super::{Form, Opener, Outgoing, Sink, copy_to};
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::file;
use crate::layout::REF_NAME;
use crate::transport::read_limited;

/// The file that says what the directory is.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// What it says.
pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Where a blob is within a layout.
pub(crate) fn place_of(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The entries of an `index.json`.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<Value>);

impl Entries {
    /// The entries of a layout that is there; none when there is no layout.
    fn read(path: &Path) -> Result<Self> {
        let Some(file) = file::find(path)? else {
            return Ok(Self::default());
        };
        let what = || path.display().to_string();
        let raw = read_limited(file, MANIFEST_BYTES_MAX, what)
            .map_err(|limited| limited.or(Error::io("read", path)))?;
        let malformed = |why: &str| store::Error::malformed(path.display().to_string(), why);
        // what we could not read ourselves is not to be written to
        let Document::Index(_) = Document::parse(raw.clone(), media::OCI_INDEX)? else {
            return Err(malformed("it is a manifest").into());
        };
        let index: Value = serde_json::from_slice(&raw).map_err(|_| malformed("it is not JSON"))?;
        let entries = index.get("manifests").and_then(Value::as_array);
        Ok(Self(entries.cloned().unwrap_or_default()))
    }

    /// Adds an image; it takes the place of one of the same name, or of itself where it has none.
    pub(crate) fn set(&mut self, manifest: &Outgoing<'_>, name: Option<&str>) {
        let digest = manifest.digest.to_string();
        self.0.retain(|entry| {
            let found = entry
                .get("annotations")
                .and_then(|all| all.get(REF_NAME))
                .and_then(Value::as_str);
            match name {
                Some(name) => found != Some(name),
                None => found.is_some() || entry.get("digest") != Some(&json!(digest)),
            }
        });
        let mut entry = json!({
            "mediaType": manifest.media_type, "digest": digest, "size": manifest.raw.len(),
        });
        if let (Some(name), Some(entry)) = (name, entry.as_object_mut()) {
            entry.insert("annotations".into(), json!({ REF_NAME: name }));
        }
        self.0.push(entry);
    }

    /// The `index.json`.
    pub(crate) fn to_index(&self) -> Vec<u8> {
        json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": self.0 })
            .to_string()
            .into_bytes()
    }
}

/// A layout that is written to.
#[derive(Debug)]
pub(crate) struct LayoutSink {
    path: PathBuf,
    name: Option<String>,
    entries: Mutex<Entries>,
}

impl LayoutSink {
    /// Opens or makes the layout at `path`, whose new image is called `name`.
    pub(crate) fn open(path: &Path, name: Option<String>) -> Result<Self> {
        let blobs = path.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        Ok(Self {
            path: path.to_owned(),
            name,
            entries: Mutex::new(Entries::read(&path.join("index.json"))?),
        })
    }
}

impl Sink for LayoutSink {
    fn form(&self) -> Form {
        Form::Oci
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let found = std::fs::metadata(self.path.join(place_of(&blob.digest)));
        Ok(found.is_ok_and(|found| found.is_file() && found.len() == blob.size))
    }

    fn put_blob(&self, blob: &Descriptor, bytes: &Opener<'_>, _: Progress<'_>) -> Result<()> {
        write_aside(&self.path.join(place_of(&blob.digest)), bytes)
    }

    fn put_manifest(&self, manifest: &Outgoing<'_>) -> Result<()> {
        write_bytes(&self.path.join(place_of(&manifest.digest)), manifest.raw)?;
        if manifest.is_root {
            let name = self.name.as_deref().or(manifest.name);
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.set(manifest, name);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        write_bytes(&self.path.join(LAYOUT_FILE), LAYOUT)?;
        write_bytes(&self.path.join("index.json"), &entries.to_index())
    }
}

/// Writes a blob to a file.
pub(crate) fn write_aside(path: &Path, bytes: &Opener<'_>) -> Result<()> {
    let aside = Aside::begin(path)?;
    let what = || path.display().to_string();
    copy_to(&mut bytes(0)?, &what, |piece| {
        aside
            .file()
            .write_all(piece)
            .map_err(Error::io("write", path))
    })?;
    aside.finish()
}

/// Writes a file that is in memory.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = Aside::begin(path)?;
    let written = aside.file().write_all(bytes);
    written.map_err(Error::io("write", path))?;
    aside.finish()
}
