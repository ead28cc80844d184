//! `berth verify`: an image to its last byte, what is wrong with it, and how that is mended.

mod one_bad;
mod repair;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::registry::Registry;
use crate::support::{Home, images};

/// An image of three layers in a registry of its own, and in a store.
struct Pulled {
    home: Home,
    registry: Registry,
    image: Image,
    /// `HOST/app:latest`.
    name: String,
}

impl Pulled {
    fn new() -> Self {
        let (home, registry) = (Home::new(), Registry::start());
        let image = sample();
        let layout = home.join("layout");
        Layout::with(&layout, &image);
        registry.push_layout(&layout, "app:latest");
        let name = format!("{}/app:latest", registry.host());
        home.berth(["pull", "-q", &registry.url("app")]).ok();
        Self {
            home,
            registry,
            image,
            name,
        }
    }

    /// How often each layer was fetched.
    fn fetched(&self) -> Vec<usize> {
        let requests = self.registry.requests();
        let count = |layer: &Layer| {
            let path = format!("GET /v2/app/blobs/{}", layer.digest);
            requests.iter().filter(|it| it.starts_with(&path)).count()
        };
        self.image.layers.iter().map(count).collect()
    }

    fn verify(&self, code: i32) -> crate::support::user::Ran {
        self.home.berth(["verify", &self.name]).fails(code)
    }

    /// `repair`, which must mend everything; gives its report.
    #[track_caller]
    fn repair(&self) -> Value {
        let ran = self
            .home
            .berth(["verify", "--repair", "--json", &self.name])
            .ok();
        let report = ran.json()[0].clone();
        assert_eq!(report["problems"], Value::Array(Vec::new()));
        self.verify(0).out_has(": no problems\n");
        self.home
            .berth(["repo", "fsck"])
            .ok()
            .out_has(": no problems");
        report["repaired"].clone()
    }

    /// The file of an object that `repo ls -C` or the like named.
    fn object(&self, id: &str, kind: &str) -> PathBuf {
        object(&self.home, id, kind)
    }

    /// The object of a file of the flattened image.
    fn file(&self, path: &str) -> PathBuf {
        let id = self.listed(path)[0].clone();
        self.object(&id, "file")
    }

    /// The ids in a line of `repo ls -C`.
    fn listed(&self, path: &str) -> Vec<String> {
        let escaped = self.name.replace(':', "_3A").replace('/', "_2F");
        let flat = format!("ocifs/{escaped}");
        let ran = self.home.berth(["repo", "ls", "-dC", &flat, path]).ok();
        let is_id = |word: &&str| word.len() == 64;
        let words = ran.text().split_whitespace();
        words.filter(is_id).map(str::to_owned).collect()
    }
}

fn object(home: &Home, id: &str, kind: &str) -> PathBuf {
    let (shelf, rest) = id.split_at(2);
    home.repo().join(format!("objects/{shelf}/{rest}.{kind}"))
}

fn sample() -> Image {
    let base = Tar::new()
        .dir("etc")
        .file("etc/base", "base\n")
        .file_with("bin/su", 0o4755, 0, 0, "su\n")
        .symlink("lib", "usr/lib")
        .finish();
    let middle = Tar::new()
        .dir("opt")
        .dir("opt/app")
        .file_with("opt/app/program", 0o755, 0, 0, "#!/bin/sh\n")
        .file("opt/app/data", "data of the application\n")
        .finish();
    let top = Tar::new()
        .whiteout("etc/base")
        .file("etc/top", "top\n")
        .finish();
    Image::new([base, middle, top].map(|tar| Layer::new(tar, Form::Gzip)))
}

/// Changes a byte of a file in place.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[2] ^= 1;
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
}

#[test]
fn a_pulled_image_is_whole() {
    needs!(Images);
    let home = Home::new();
    for name in [
        "redis",
        "redis-zstd",
        "redis-next",
        "nginx",
        "busybox",
        "redis-save25",
    ] {
        let image = images::get(name);
        home.berth(["pull", "-q", "--name", name, &image.source()])
            .ok();
        home.berth(["verify", name]).ok().out_has(": no problems\n");
        let report = home.berth(["verify", "--json", name]).ok().json();
        let layers = report[0]["layers"].as_array().unwrap();
        let found: Vec<_> = layers
            .iter()
            .map(|layer| (layer["diff_id"].as_str().unwrap(), layer["size"].as_u64()))
            .collect();
        let expected: Vec<_> = image
            .layers
            .iter()
            .map(|layer| (layer.diff_id.as_str(), Some(layer.diff_size)))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
    // What they share is one, and nothing of it is anybody's alone.
    home.berth(["rmi", "redis"]).ok();
    for name in ["redis-zstd", "nginx"] {
        home.berth(["verify", name]).ok().out_has(": no problems\n");
    }
}

#[test]
fn damage_is_named_by_its_place() {
    needs!(Registry);
    let it = Pulled::new();
    it.verify(0)
        .out_has(&format!("{}: 3 layers (", it.name))
        .out_has(": no problems\n");
    it.home.berth(["checkout", "-q", &it.name, "out"]).ok();
    flip(&it.home.join("out/opt/app/data"));
    let id = it.listed("/opt/app/data")[0].clone();
    let diff_id = &it.image.layers[1].diff_id;
    let says = format!("file {id} is corrupt: expected {id}, found ");
    let ran = it.verify(1).out_has(&says);
    ran.out_has(&format!("(in layer {diff_id}:/opt/app/data)\n"))
        .out_has(": 1 problem\n")
        .err_has(&format!(
            "hint: `berth verify --repair {}` fetches what is broken",
            it.name
        ));
    let fsck = it.home.berth(["repo", "fsck"]).fails(1);
    fsck.out_has(&says).out_has(":/opt/app/data)");
    let report = it
        .home
        .berth(["verify", "--json", &it.name])
        .fails(1)
        .json();
    let sizes: Vec<bool> = report[0]["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["size"].is_null())
        .collect();
    assert_eq!(sizes, [false, true, false]);
    assert_eq!(report[0]["problems"][0]["id"], id.as_str());
    it.home
        .berth(["verify", "nobody"])
        .fails(1)
        .one_error()
        .err_has("image nobody not found");
}

#[test]
fn layers_from_before_recipes_are_pulled_once_more() {
    needs!(Registry);
    let it = Pulled::new();
    let diff_id = it.image.layers[1].diff_id.clone();
    let hex = diff_id.trim_start_matches("sha256:");
    let recipe = it.home.sh(&format!(
        "find root/repo/refs/heads/ocirecipe -name '*{hex}*'"
    ));
    fs::remove_file(it.home.join(recipe.ok().text())).unwrap();
    let ran = it.verify(1);
    ran.out_has(&format!(
        "cannot verify layer {diff_id}: it was stored before recipes were kept\n"
    ))
    .err_has(&format!(
        "hint: pull again: `berth pull {}` keeps what these layers lack",
        it.name
    ));
    assert_eq!(it.fetched(), [1, 1, 1]);
    it.home.berth(["pull", "-q", &it.registry.url("app")]).ok();
    assert_eq!(it.fetched(), [1, 2, 1]);
    it.verify(0).out_has(": no problems\n");
    it.home.berth(["pull", "-q", &it.registry.url("app")]).ok();
    assert_eq!(it.fetched(), [1, 2, 1]);
}
