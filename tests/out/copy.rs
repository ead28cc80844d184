//! `berth copy`: from place to place without the store, every byte as it is.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{judge, manifest_digest, pushed, sample};
use crate::needs;
use crate::pull::double::{Answer, Double};
use crate::support::image::{Form, Image, Layout, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Tar};
use crate::support::registry::Registry;
use crate::support::{Home, digest, images, read_json};

/// The names in a directory, sorted.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every blob is what its name says.
fn check_blobs(layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    for name in names(&blobs) {
        let bytes = fs::read(blobs.join(&name)).unwrap();
        assert_eq!(digest(&bytes), format!("sha256:{name}"));
    }
}

#[test]
fn an_image_goes_round_every_place_unchanged() {
    needs!(Registry, Skopeo);
    let (home, registry) = (Home::new(), Registry::start());
    let image = sample(Form::Gzip);
    let expected = manifest_digest(&image);
    Layout::with(&home.join("start"), &image);
    let url = registry.url("app:1");
    let stations = [
        "oci:start:latest",
        &url,
        "oci:layout:a/b:1",
        "oci-archive:archive.tar:named",
        "dir:directory",
    ];
    for pair in stations.windows(2) {
        // berth reads no `dir:` here, skopeo judges it below
        let ran = home.berth(["copy", pair[0], pair[1]]).ok();
        assert_eq!(ran.stdout, format!("{expected}\n"));
        assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
        let inspect = format!("skopeo inspect --tls-verify=false {}", pair[1]);
        let found = judge(&home, &inspect).ok().json();
        assert_eq!(found["Digest"], expected.as_str(), "{}", pair[1]);
    }
    assert_eq!(pushed(&registry, "app", "1").0, expected);
    check_blobs(&home.join("layout"));
    // skopeo checks every blob that it copies
    judge(&home, "skopeo copy -q dir:directory oci:judged:x").ok();
    check_blobs(&home.join("judged"));
}

#[test]
fn an_archive_of_docker_cannot_hold_a_manifest_and_that_is_said() {
    needs!(Skopeo);
    let home = Home::new();
    let image = sample(Form::Gzip);
    Layout::with(&home.join("start"), &image);
    let ran = home
        .berth(["copy", "oci:start:latest", "docker-archive:a.tar:app:1"])
        .ok();
    let ran = ran.err_has(
        "note: an archive of docker's has no manifest, and its layers are not compressed; the manifest is now sha256:",
    );
    let list = home.sh("tar xOf a.tar manifest.json").ok().json();
    let config = image.manifest()["config"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let config = config.trim_start_matches("sha256:");
    assert_eq!(list[0]["Config"], format!("{config}.json"));
    assert_eq!(list[0]["RepoTags"][0], "docker.io/library/app:1");
    let names = list[0]["Layers"].as_array().unwrap();
    assert_eq!(names.len(), image.layers.len());
    for (name, layer) in names.iter().zip(&image.layers) {
        let hex = layer.diff_id.trim_start_matches("sha256:");
        assert_eq!(name, &format!("{hex}.tar"));
    }
    let found = home.berth(["inspect", "docker-archive:a.tar"]).ok().json();
    assert_eq!(
        ran.stdout,
        format!("{}\n", found["digest"].as_str().unwrap())
    );
    judge(&home, "skopeo copy -q docker-archive:a.tar oci:judged:x").ok();
}

#[test]
fn a_manifest_of_docker_becomes_one_of_oci_in_a_layout() {
    needs!(Images, Registry, Skopeo, Umoci);
    let (home, registry) = (Home::new(), Registry::start());
    let built = images::get("redis-v2s2");
    registry.push(&built, "app:1");
    // where it can stay, it stays
    let (from, to) = (registry.url("app:1"), registry.url("other:1"));
    let ran = home.berth(["copy", &from, &to]).ok();
    assert_eq!(ran.stdout, format!("{}\n", built.digest.unwrap()));
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    for target in ["oci:layout:1", "oci-archive:archive.tar:1"] {
        let ran = home.berth(["copy", &from, target]).ok();
        let digest = ran.text().to_owned();
        ran.err_has(&format!(
            "note: an OCI layout has no manifest of docker's; the manifest is now {digest} \
             (config and diff ids are the same)\n"
        ));
        let found = judge(&home, &format!("skopeo inspect {target}"))
            .ok()
            .json();
        assert_eq!(found["Digest"], digest.as_str());
        let raw = judge(&home, &format!("skopeo inspect --raw {target}"))
            .ok()
            .json();
        assert_eq!(raw["config"]["digest"], built.config.as_str());
        let layers = raw["layers"].as_array().unwrap();
        assert_eq!(layers.len(), built.layers.len());
        for (layer, old) in layers.iter().zip(&built.layers) {
            assert_eq!(layer["digest"], old.digest.as_str());
        }
    }
    home.sh("umoci unpack --rootless --image layout:1 out >/dev/null")
        .ok();
}

#[test]
fn all_of_an_index_is_copied() {
    needs!(Images, Registry, Skopeo);
    let (home, registry) = (Home::new(), Registry::start());
    for name in ["multi", "nested"] {
        let built = images::get(name);
        let expected = built.digest.clone().unwrap();
        let url = registry.url(&format!("{name}:1"));
        let ran = home
            .berth(["copy", "-q", "--all", &built.source(), &url])
            .ok();
        assert_eq!(ran.stdout, format!("{expected}\n"));
        let target = format!("oci:{name}:x");
        home.berth(["copy", "-q", "--all", &url, &target]).ok();
        check_blobs(&home.join(name));
        let blobs = |at: &Path| names(&at.join("blobs/sha256"));
        assert_eq!(blobs(&home.join(name)), blobs(&built.path));
        // again: the index is there
        let before = registry.requests().len();
        home.berth(["copy", "-q", "--all", &target, &url]).ok();
        let own = |it: &&String| it.contains(&format!("/v2/{name}/"));
        let again = registry.requests();
        let again: Vec<&String> = again[before..].iter().filter(own).collect();
        assert_eq!(again, [&format!("HEAD /v2/{name}/manifests/1 200")]);
    }
    let one = home
        .berth([
            "copy",
            "-q",
            "--platform",
            "linux/arm64",
            &registry.url("multi:1"),
            "dir:arm",
        ])
        .ok();
    let raw = fs::read(home.join("arm/manifest.json")).unwrap();
    assert_eq!(one.stdout, format!("{}\n", digest(&raw)));
    let found = judge(&home, "skopeo inspect dir:arm").ok().json();
    assert_eq!(found["Architecture"], "arm64");
    home.berth([
        "copy",
        "--all",
        &registry.url("multi:1"),
        "docker-archive:x.tar",
    ])
    .fails(1)
    .one_error()
    .err_has("cannot use docker-archive for an index of several images: not supported");
    assert!(!home.join("x.tar").exists());
}

/// However often an index names a manifest, it is asked for once.
#[test]
fn what_an_index_names_again_is_not_asked_for_again() {
    let home = Home::new();
    let image = Image::of(Tar::new().file("a", "a"));
    let manifest = serde_json::to_vec(&image.manifest()).unwrap();
    let named = |media_type: &str, raw: &[u8], times: usize| {
        let entry = json!({"mediaType": media_type, "digest": digest(raw), "size": raw.len()});
        let index =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": vec![entry; times]});
        serde_json::to_vec(&index).unwrap()
    };
    let inner = named(OCI_MANIFEST, &manifest, 30);
    let outer = named(OCI_INDEX, &inner, 20);
    let (inner_path, manifest_path) = (digest(&inner), digest(&manifest));
    let registry = Double::serve(&image, move |asked| {
        let index = |raw: &Vec<u8>| Answer::ok(raw.clone()).with("Content-Type", OCI_INDEX);
        match &asked.path {
            path if path.ends_with("/manifests/latest") => Some(index(&outer)),
            path if path.ends_with(&inner_path) => Some(index(&inner)),
            path if path.ends_with(&digest(&manifest)) => {
                Some(Answer::ok(manifest.clone()).with("Content-Type", OCI_MANIFEST))
            }
            _ => None,
        }
    });
    home.berth(["copy", "-q", "--all", &registry.url(), "oci:all:x"])
        .ok();
    check_blobs(&home.join("all"));
    assert_eq!(names(&home.join("all/blobs/sha256")).len(), 5);
    assert_eq!(registry.asked(&manifest_path).len(), 1);
    assert_eq!(registry.asked("/manifests/").len(), 3);
}

#[test]
fn every_blob_of_an_index_ends_at_the_limit() {
    let home = Home::new();
    let image = Image::of(Tar::new().file("a", "a"));
    for (number, part) in ["/config", "/layers/0"].into_iter().enumerate() {
        let mut layout = Layout::new(&home.join(format!("large{number}")));
        layout.put_image(&image);
        let mut manifest = image.manifest();
        let blob = manifest.pointer_mut(part).unwrap();
        blob["size"] = ((64_u64 << 30) + 1).into();
        let large = blob["digest"].as_str().unwrap().to_owned();
        let entry = layout.put(OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        let index = layout.put_index(&[entry]);
        layout.name(index, "latest");
        let source = format!("oci:large{number}:latest");
        home.berth(["copy", "--all", &source, "oci:out:x"])
            .fails(1)
            .one_error()
            .err_has(&format!(
                ": blob {large} is too large: the limit is 68719476736 bytes\n"
            ));
    }
}

#[test]
fn a_layout_gets_another_image_or_a_new_one_of_the_name() {
    let home = Home::new();
    let (one, two) = (sample(Form::Gzip), Image::of(Tar::new().file("two", "2")));
    Layout::with(&home.join("one"), &one);
    Layout::with(&home.join("two"), &two);
    let entries = || {
        let index = read_json(&home.join("all/index.json"));
        let list = index["manifests"].as_array().unwrap().clone();
        list.iter()
            .map(|entry| {
                let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
                (name.clone(), entry["digest"].as_str().unwrap().to_owned())
            })
            .collect::<Vec<_>>()
    };
    let copy = |from: &str, to: &str| drop(home.berth(["copy", "-q", from, to]).ok());
    copy("oci:one", "oci:all:a");
    copy("oci:two", "oci:all:b");
    let (first, second) = (manifest_digest(&one), manifest_digest(&two));
    assert_eq!(
        entries(),
        [
            (Value::from("a"), first),
            (Value::from("b"), second.clone())
        ]
    );
    copy("oci:two", "oci:all:a");
    assert_eq!(
        entries(),
        [
            (Value::from("b"), second.clone()),
            (Value::from("a"), second.clone())
        ]
    );
    copy("oci:two", "oci:all");
    copy("oci:two", "oci:all");
    assert_eq!(entries().len(), 3);
    check_blobs(&home.join("all"));
}

#[test]
fn an_error_says_from_where_to_where() {
    let home = Home::new();
    home.berth(["copy", "oci:none", "oci:all:x"])
        .fails(1)
        .one_error()
        .err_has("error: cannot copy oci:none to oci:all:x: cannot open none: No such file or directory\n");
    // nobody waits for a pipe
    Layout::with(&home.join("one"), &Image::of(Tar::new().file("one", "1")));
    home.sh("cp -r one all && rm all/index.json && mkfifo all/index.json policy.json")
        .ok();
    home.berth(["copy", "oci:one", "oci:all:x"])
        .fails(1)
        .one_error()
        .err_has("cannot read all/index.json: it is a pipe, not a file\n");
    home.berth(["copy", "--signature-policy=policy.json", "oci:one", "dir:x"])
        .fails(1)
        .one_error()
        .err_has("cannot read policy.json: it is a pipe, not a file\n");
    let reject = json!({"default": [{"type": "reject"}]}).to_string();
    home.write("reject.json", reject);
    for to in ["dir:x", "oci:x:x", "ostree:x@x"] {
        home.berth(["copy", "--signature-policy=reject.json", "oci:one", to])
            .fails(1)
            .one_error()
            .err_has("policy reject.json refuses it: it rejects the image\n");
        assert!(!home.join("x").exists(), "{to}");
    }
}

#[test]
fn a_wrong_blob_is_not_passed_on() {
    let home = Home::new();
    let image = sample(Form::Gzip);
    let mut layout = Layout::new(&home.join("bad"));
    let mut bad = image.layers[1].blob.clone();
    bad[100] ^= 1;
    layout.put_as(&image.layers[0].digest, &image.layers[0].blob);
    layout.put_as(&image.layers[1].digest, &bad);
    layout.put(OCI_CONFIG, &image.config_bytes());
    let manifest = layout.put(
        OCI_MANIFEST,
        &serde_json::to_vec(&image.manifest()).unwrap(),
    );
    layout.name(manifest, "latest");
    for target in ["oci:out:x", "dir:directory", "oci-archive:out.tar:x"] {
        home.berth(["copy", "oci:bad:latest", target])
            .fails(1)
            .one_error()
            .err_has(&format!(
                "error: cannot copy oci:bad:latest to {target}: digest of blob {} does not match: ",
                image.layers[1].digest
            ));
    }
    assert!(!home.join("out/index.json").exists());
    assert!(!home.join("out.tar").exists());
    assert!(!home.join("directory/manifest.json").exists());
    let hex = image.layers[1].digest.trim_start_matches("sha256:");
    assert!(!home.join(format!("out/blobs/sha256/{hex}")).exists());
    assert!(!home.join(format!("directory/{hex}")).exists());
    // nor is something else overwritten
    home.write("notes", "mine");
    home.berth(["copy", "oci:bad:latest", "dir:."])
        .fails(1)
        .one_error()
        .err_has("cannot write to .: it is not empty, and holds no image");
}
