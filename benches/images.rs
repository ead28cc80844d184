//! The images that are measured, as OCI layouts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support;

#[derive(Debug)]
pub struct Image {
    pub name: String,
    pub layout: PathBuf,
    /// Hex digests of the layers' blobs, lowest first.
    pub layers: Vec<String>,
    /// All layers as they are transferred.
    pub size_bytes: u64,
}

impl Image {
    /// One of those that `tests/images/build [python]` made.
    pub fn get(name: &str) -> Result<Self, String> {
        let folder = support::images::folder()?;
        let layout = [folder.join("oci"), folder.join("python/oci")]
            .iter()
            .map(|it| it.join(name))
            .find(|it| it.is_dir())
            .ok_or_else(|| format!("no image {name}: tests/images/build python makes it"))?;
        let index = support::read_json(&layout.join("index.json"));
        let manifest = blob(&layout, text(&index["manifests"][0]["digest"]));
        let manifest = support::read_json(&manifest);
        let layers = manifest["layers"]
            .as_array()
            .expect("a manifest has layers");
        let hex = |digest| text(digest).trim_start_matches("sha256:").to_owned();
        Ok(Self {
            name: name.into(),
            layers: layers.iter().map(|it| hex(&it["digest"])).collect(),
            size_bytes: layers.iter().filter_map(|it| it["size"].as_u64()).sum(),
            layout,
        })
    }

    /// `redis: 3 layers, 51 MiB of gzip`. Images whose name ends in it are of zstd.
    pub fn describe(&self) -> String {
        let mib = self.size_bytes >> 20;
        let form = match self.name.ends_with("-zstd") {
            true => "zstd",
            false => "gzip",
        };
        let layers = self.layers.len();
        format!("{}: {layers} layers, {mib} MiB of {form}", self.name)
    }

    /// The file of a layer.
    pub fn layer(&self, hex: &str) -> PathBuf {
        self.layout.join("blobs/sha256").join(hex)
    }
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    debug_assert!(fs::exists(&path).is_ok_and(|it| it));
    path
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().expect("a digest")
}
