//! Images on their way out: `push`, `save`, `load` and `copy`, with those who read what we write as judges.

mod copy;
mod judges;
mod kept;
mod push;
mod save;
mod uploads;

use serde_json::Value;

use crate::pull::noise;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::registry::Registry;
use crate::support::user::Run;
use crate::support::{Home, digest};

/// Two layers with owners, modes, links and a whiteout; the second is too large to go in one request.
fn sample(form: Form) -> Image {
    let base = Tar::new()
        .dir("etc")
        .file("etc/base", "base\n")
        .file("etc/gone", "gone\n")
        .file_with("bin/su", 0o4755, 0, 0, "su\n")
        .finish();
    let top = Tar::new()
        .file("etc/top", "top\n")
        .hardlink("etc/same", "etc/top")
        .whiteout("etc/gone")
        .symlink("lib", "usr/lib")
        .file_with("noise", 0o600, 0, 0, noise(2 << 20))
        .finish();
    Image::new([Layer::new(base, form), Layer::new(top, form)])
}

/// A layout of `image` in the home folder, pulled under `name`.
fn stored(home: &Home, name: &str, image: &Image, flags: &[&str]) {
    let layout = home.join(format!("layout-{}", name.replace(['/', ':'], "-")));
    Layout::with(&layout, image);
    let source = format!("oci:{}:latest", layout.display());
    home.berth(["pull", "-q", "--name", name])
        .args(flags)
        .args([&source])
        .ok();
}

fn manifest_digest(image: &Image) -> String {
    digest(&serde_json::to_vec(&image.manifest()).unwrap())
}

/// A script for other tools, who are told to look for no credentials.
fn judge(home: &Home, script: &str) -> Run {
    let auth = home.write("auth.json", "{}");
    home.sh(script).env("REGISTRY_AUTH_FILE", auth)
}

/// The manifest that a registry has under `REPO` and `TAG`.
fn pushed(registry: &Registry, repo: &str, tag: &str) -> (String, Value) {
    let path = format!("/v2/{repo}/manifests/{tag}");
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json, \
        application/vnd.oci.image.index.v1+json";
    let raw = registry.curl(&path, &["-H", accept]);
    (digest(raw.as_bytes()), serde_json::from_str(&raw).unwrap())
}

/// What `inspect` of a stored image says.
fn inspected(home: &Home, name: &str) -> Value {
    home.berth(["inspect", name]).ok().json()
}

/// The part of the answer that no way out may change: id and diff ids.
fn identity(found: &Value) -> (String, Vec<String>) {
    let layers = found["layers"].as_array().unwrap().iter();
    (
        found["id"].as_str().unwrap().to_owned(),
        layers
            .map(|layer| layer["diff_id"].as_str().unwrap().to_owned())
            .collect(),
    )
}
