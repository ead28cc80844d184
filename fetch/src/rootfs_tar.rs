//! `rootfs-tar:`: a tar of a root file system, as an image of one layer.
//!
//! Manifest and config are made up here, of nothing but the tar, the config that the user gives and the platform: the
//! same tar, compressed in whichever way, is the same image every time.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use store::Digest;
use store::oci::{CONFIG_BYTES_MAX, Descriptor, Platform, media};

use crate::archive::EntryReader;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::file;
use crate::limits::LAYER_BYTES_MAX;
use crate::spool::{self, Spooled};
use crate::transport::{Root, SourceOptions, Transport, read_limited};

/// A tar, and the documents that make it an image.
#[derive(Debug)]
pub(crate) struct RootfsTar {
    place: String,
    file: File,
    size: u64,
    digest: Digest,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl RootfsTar {
    /// Opens the tar at `path`, or on standard input for `-`.
    pub(crate) fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        let config = match &options.rootfs_config {
            Some(path) => read_config(path)?,
            None => Map::new(),
        };
        let Spooled { place, file } = spool::open("tar", path, &options.scratch)?;
        let (digest, size) = measure(&place, &file)?;
        let config = complete(config, digest, &options.platform);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": {
                "mediaType": media::OCI_CONFIG, "size": config.len(), "digest": Digest::of(&config).to_string(),
            },
            "layers": [{ "mediaType": media::OCI_LAYER, "size": size, "digest": digest.to_string() }],
        });
        Ok(Self {
            place,
            file,
            size,
            digest,
            config,
            manifest: manifest.to_string().into_bytes(),
        })
    }
}

fn read_config(path: &Path) -> Result<Map<String, Value>> {
    let what = format!("config {}", path.display());
    let raw = read_limited(file::open(path)?, CONFIG_BYTES_MAX, || what.clone())
        .map_err(|limited| limited.or(Error::io("read", path)))?;
    let malformed = |why: String| store::Error::malformed(&what, why);
    let config: Map<String, Value> =
        serde_json::from_slice(&raw).map_err(|error| malformed(error.to_string()))?;
    // Easily mixed up: the part that says what a container runs is the whole in some other tools.
    match config
        .keys()
        .find(|key| key.starts_with(|first: char| first.is_ascii_uppercase()))
    {
        Some(key) => Err(malformed(format!("{key} belongs into its `config`")).into()),
        None => Ok(config),
    }
}

/// The config with the tar as its only layer.
fn complete(mut config: Map<String, Value>, tar: Digest, platform: &Platform) -> Vec<u8> {
    if !config.contains_key("os") && !config.contains_key("architecture") {
        config.insert("os".into(), platform.os.clone().into());
        config.insert("architecture".into(), platform.architecture.clone().into());
        // A level of amd64 is what a processor can do, and not what a tar needs.
        let variant = platform.variant.clone();
        if let Some(variant) = variant.filter(|_| platform.architecture.starts_with("arm")) {
            config.insert("variant".into(), variant.into());
        }
    }
    config
        .entry("config")
        .or_insert_with(|| Value::Object(Map::new()));
    // It counts the layers of another image.
    config.remove("history");
    let diff_ids = json!([tar.to_string()]);
    config.insert(
        "rootfs".into(),
        json!({ "type": "layers", "diff_ids": diff_ids }),
    );
    Value::Object(config).to_string().into_bytes()
}

/// Digest and size of all of a file.
fn measure(place: &str, file: &File) -> Result<(Digest, u64)> {
    let read = |source| store::Error::Read {
        what: place.to_owned(),
        source,
    };
    let size = file.metadata().map_err(read)?.len();
    if size > LAYER_BYTES_MAX {
        return Err(Error::too_large(place, format!("{LAYER_BYTES_MAX} bytes")));
    }
    let mut hash = Sha256::new();
    io::copy(&mut EntryReader::new(file, 0, size), &mut hash).map_err(read)?;
    Ok((Digest::new(hash.finalize().into()), size))
}

impl Transport for RootfsTar {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn root(&self) -> Result<Root> {
        Ok(Root {
            raw: self.manifest.clone(),
            media_type: media::OCI_MANIFEST.to_owned(),
            name: None,
        })
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        _: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        if blob.digest == Digest::of(&self.config) {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            return Ok(Box::new(self.config.get(offset..).unwrap_or_default()));
        }
        if blob.digest != self.digest {
            return Err(Error::NotFound {
                what: format!("blob {}", blob.digest),
                place: self.place(),
            });
        }
        let left = self.size.saturating_sub(offset);
        Ok(Box::new(EntryReader::new(&self.file, offset, left)))
    }

    fn is_remote(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_completed_and_nothing_of_it_lost() {
        let tar = Digest::of(b"tar");
        let platform: Platform = "linux/amd64/v3".parse().expect("platform");
        let text = |config: &str| {
            let config = serde_json::from_str(config).expect("json");
            String::from_utf8(complete(config, tar, &platform)).expect("text")
        };
        let rootfs = format!(r#""rootfs":{{"diff_ids":["{tar}"],"type":"layers"}}"#);
        assert_eq!(
            text("{}"),
            format!(r#"{{"architecture":"amd64","config":{{}},"os":"linux",{rootfs}}}"#)
        );
        assert_eq!(
            text(
                r#"{"architecture":"arm64","config":{"Cmd":["a"]},"created":"x","history":[{}],"rootfs":1}"#
            ),
            format!(
                r#"{{"architecture":"arm64","config":{{"Cmd":["a"]}},"created":"x",{rootfs}}}"#
            )
        );
    }
}
