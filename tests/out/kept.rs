//! `--keep-blobs`: the blobs stay beside what they unpack to, as long as an image needs them, and leave as they came.

use super::{identity, inspected, manifest_digest, pushed, sample, stored};
use crate::needs;
use crate::support::Home;
use crate::support::image::{Form, Layout};
use crate::support::ostree::Ostree;
use crate::support::registry::Registry;

/// The refs of kept blobs.
fn kept(home: &Home) -> Vec<String> {
    let refs = home.repo().join("refs/heads/ociblob");
    let mut names: Vec<String> = std::fs::read_dir(refs)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn hexes(image: &crate::support::image::Image) -> Vec<String> {
    let mut hexes: Vec<String> = image
        .layers
        .iter()
        .map(|layer| layer.digest.trim_start_matches("sha256:").to_owned())
        .collect();
    hexes.sort();
    hexes
}

#[test]
fn a_kept_image_leaves_and_comes_back_unchanged() {
    needs!(Registry, Ostree);
    let (home, registry) = (Home::new(), Registry::start());
    for form in [Form::Gzip, Form::Zstd] {
        let name = format!("app-{form:?}").to_lowercase();
        let image = sample(form);
        stored(&home, &name, &image, &["--keep-blobs"]);
        let url = registry.url(&format!("{name}:1"));
        let ran = home.berth(["push", &name, &url]).ok();
        assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
        let (digest, manifest) = pushed(&registry, &name, "1");
        assert_eq!(digest, manifest_digest(&image));
        assert_eq!(manifest, image.manifest());
        let other = Home::new();
        let ran = other.berth(["pull", "-q", &url]).ok();
        assert!(
            ran.stdout.ends_with(&format!("@{digest}\n")),
            "{}",
            ran.stdout
        );
        let found = inspected(&other, &format!("{}/{name}:1", registry.host()));
        assert_eq!(identity(&found), identity(&inspected(&home, &name)));
    }
    Ostree::of(&home).fsck();
    home.berth(["repo", "fsck"]).ok();
    home.berth(["verify", "app-gzip", "app-zstd"]).ok();
}

#[test]
fn blobs_are_kept_as_long_as_an_image_needs_them() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &["--keep-blobs"]);
    assert_eq!(kept(&home), hexes(&image));
    home.berth(["tag", "app", "other"]).ok();
    home.berth(["rmi", "app"]).ok();
    home.berth(["gc"]).ok();
    assert_eq!(kept(&home), hexes(&image));
    home.berth(["push", "-q", "other", "dir:out"]).ok();
    let raw = std::fs::read(home.join("out/manifest.json")).unwrap();
    assert_eq!(crate::support::digest(&raw), manifest_digest(&image));
    home.berth(["rmi", "other"]).ok();
    assert!(kept(&home).is_empty(), "{:?}", kept(&home));
    let left = home.berth(["repo", "stat", "--json"]).ok().json();
    assert_eq!(left["objects"], 0);
}

#[test]
fn a_layer_that_is_here_gets_its_blob_later() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &[]);
    assert!(kept(&home).is_empty());
    let source = "oci:layout-app:latest";
    home.berth(["pull", "-q", "--keep-blobs", "--name", "app", source])
        .ok();
    assert_eq!(kept(&home), hexes(&image));
    // a plain layer can be made again, so it is not kept twice
    stored(&home, "plain", &sample(Form::Plain), &["--keep-blobs"]);
    assert_eq!(kept(&home), hexes(&image));
}

#[test]
fn a_blob_that_is_not_the_right_one_is_not_kept() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &[]);
    let layout = Layout::new(&home.join("bad"));
    let (good, mut bad) = (&image.layers[1], image.layers[1].blob.clone());
    bad[100] ^= 1;
    layout.put_as(&image.layers[0].digest, &image.layers[0].blob);
    layout.put_as(&good.digest, &bad);
    let mut layout = layout;
    let manifest = layout.put(
        crate::support::image::OCI_MANIFEST,
        &serde_json::to_vec(&image.manifest()).unwrap(),
    );
    layout.put(crate::support::image::OCI_CONFIG, &image.config_bytes());
    layout.name(manifest, "latest");
    let ran = home
        .berth(["pull", "--keep-blobs", "--name", "app", "oci:bad:latest"])
        .fails(1)
        .one_error();
    ran.err_has(&format!("digest of layer {} does not match: ", good.digest));
    assert!(!kept(&home).contains(&good.digest.trim_start_matches("sha256:").to_owned()));
}

#[test]
fn what_a_source_has_unpacked_cannot_be_kept() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    Layout::with(&home.join("app"), &image);
    home.berth(["copy", "-q", "oci:app:latest", "ostree:app@left"])
        .ok();
    let pull = || {
        home.berth(["pull", "--keep-blobs", "ostree:app@left"])
            .ok()
            .stderr
    };
    // the second time the layers are here
    for said in [pull(), pull()] {
        let layers = image.layers.iter();
        let words = " is not kept as it came: repository left has it unpacked\n";
        let missing = |digest: &str| !said.contains(&format!("warning: layer {digest}{words}"));
        let missing = layers.filter(|layer| missing(&layer.digest)).count();
        assert_eq!(missing, 0, "{said}");
    }
    assert_eq!(kept(&home), [""; 0]);
}

#[test]
fn fsck_and_verify_know_kept_blobs() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &["--keep-blobs"]);
    home.berth(["repo", "fsck"]).ok();
    let hexes = hexes(&image);
    home.sh(&format!(
        "cd root/repo/refs/heads/ociblob && cp {} {}",
        hexes[0], hexes[1]
    ))
    .ok();
    home.berth(["repo", "fsck"]).fails(1).out_has(&format!(
        "ref ociblob/{} is corrupt: expected sha256:{}, found sha256:{}",
        hexes[1], hexes[1], hexes[0]
    ));
}

#[test]
fn a_kept_blob_that_went_bad_is_mended() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    stored(&home, "app", &image, &["--keep-blobs"]);
    // the largest object is the blob of the large layer
    home.sh(
        "file=$(find root/repo/objects -name '*.file' -size +1M -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2)
        chmod u+w $file
        printf X | dd of=$file bs=1 seek=5000 conv=notrunc status=none",
    )
    .ok();
    home.berth(["push", "-q", "app", "dir:bad"])
        .fails(1)
        .one_error()
        .err_has(" does not match: ");
    assert!(!home.join("bad/manifest.json").exists());
    home.berth(["verify", "app"]).fails(1);
    home.berth([
        "verify",
        "--repair",
        "--from",
        "oci:layout-app:latest",
        "app",
    ])
    .ok();
    home.berth(["verify", "app"]).ok();
    home.berth(["push", "-q", "app", "dir:good"]).ok();
    let raw = std::fs::read(home.join("good/manifest.json")).unwrap();
    assert_eq!(crate::support::digest(&raw), manifest_digest(&image));
}
