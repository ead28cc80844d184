//! The images that `tests/images/build` made.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::read_json;

/// One image in one form.
#[derive(Debug, Clone)]
pub struct Built {
    /// An OCI layout, a `dir:` folder or an archive.
    pub path: PathBuf,
    /// `oci`, `dir` or `docker-archive`.
    pub transport: String,
    /// Of the manifest or index; a legacy archive has none.
    pub digest: Option<String>,
    /// Digest of the config: the image id.
    pub config: String,
    pub layers: Vec<Layer>,
    /// The whole entry of images.json.
    pub entry: Value,
}

#[derive(Debug, Clone)]
pub struct Layer {
    pub digest: String,
    pub size: u64,
    pub diff_id: String,
    pub diff_size: u64,
}

impl Built {
    /// As berth and skopeo write it: `oci:PATH:latest`.
    pub fn source(&self) -> String {
        let reference = match self.transport.as_str() {
            "oci" => ":latest",
            _ => "",
        };
        format!("{}:{}{reference}", self.transport, self.path.display())
    }

    /// A blob's file: of an OCI layout or a `dir:` folder.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        match self.transport.as_str() {
            "dir" => self.path.join(hex),
            _ => self.path.join("blobs/sha256").join(hex),
        }
    }
}

/// Where the images are. Builds them when that is possible and nobody has.
pub fn folder() -> Result<&'static Path, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER.get_or_init(locate).as_deref().map_err(String::clone)
}

fn locate() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("BERTH_IMAGES_DIR") {
        return Ok(folder.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/build");
    let out = Command::new(script)
        .output()
        .map_err(|e| format!("cannot build images: {e}"))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().into())
}

/// `busybox`, `redis`, `redis-zstd`, `redis-plain`, `redis-v2s2`, `redis-save`, `redis-save25`,
/// `redis-next`, `nginx`, `multi`, `nested`.
pub fn get(name: &str) -> Built {
    let folder = folder().expect("needs!(Images) first");
    let list = read_json(&folder.join("images.json"));
    let entry = list
        .get(name)
        .unwrap_or_else(|| panic!("no test image {name}"))
        .clone();
    let text = |key: &str| entry[key].as_str().map(str::to_owned);
    let layers = entry["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| Layer {
            digest: layer["digest"].as_str().unwrap().into(),
            size: layer["size"].as_u64().unwrap(),
            diff_id: layer["diff_id"].as_str().unwrap().into(),
            diff_size: layer["diff_size"].as_u64().unwrap(),
        });
    Built {
        path: folder.join(text("path").unwrap()),
        transport: text("transport").unwrap(),
        digest: text("digest"),
        config: text("config").unwrap(),
        layers: layers.collect(),
        entry,
    }
}
