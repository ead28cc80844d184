//! A repository as skopeo's transport left it, made with stock ostree from what is known of it, owners lost and all:
//! berth reads it and leaves nothing there.

use std::fs;
use std::io::Read;

use serde_json::{Value, json};

use super::{hex, listing, look, split, unpack};
use crate::needs;
use crate::support::image::{Form, Image, Layer, Tar};
use crate::support::ostree::Ostree;
use crate::support::{Home, digest, images};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The manifest as the transport took it.
fn schema2(image: &Image) -> String {
    let mut manifest = image.manifest();
    manifest["mediaType"] = MANIFEST.into();
    manifest["config"]["mediaType"] = CONFIG.into();
    for layer in manifest["layers"].as_array_mut().unwrap() {
        layer["mediaType"] = GZIP.into();
    }
    manifest.to_string()
}

/// One commit of the transport's: a parent of zeros, no words, strings for metadata.
fn commit(ostree: &Ostree<'_>, branch: &str, dir: &str, metadata: &[(&str, String)]) {
    let strings = metadata
        .iter()
        .map(|(key, value)| format!("--add-metadata-string={key}={value}"));
    let parent = format!("--parent={}", "0".repeat(64));
    ostree
        .command(["commit", "-b", branch, "--subject=", &parent])
        .args([format!("--tree=dir={dir}")])
        .args(strings)
        .ok();
}

/// Leaves an image in the repository `left`; gives its manifest.
fn leave(home: &Home, name: &str, image: &Image, with_split: bool) -> String {
    let ostree = Ostree::init(home, "left");
    for (number, layer) in image.layers.iter().enumerate() {
        let dir = home.join(format!("layer-{number}"));
        unpack(
            home,
            &home.write(&format!("{number}.tar"), &layer.tar),
            &dir,
        );
        let mut metadata = vec![
            ("docker.size", layer.size.to_string()),
            ("docker.uncompressed_size", layer.tar.len().to_string()),
            ("docker.uncompressed_digest", layer.diff_id.clone()),
        ];
        if with_split {
            metadata.push(("tarsplit.output", split::split(&layer.tar)));
        }
        let branch = format!("ociimage/{}", hex(&layer.digest));
        commit(&ostree, &branch, &dir.to_string_lossy(), &metadata);
    }
    let (config, manifest) = (image.config_bytes(), schema2(image));
    home.sh("mkdir -m 700 config; mkdir -p manifest").ok();
    home.write("config/content", &config);
    home.write("manifest/manifest.json", &manifest);
    let branch = format!("ociimage/{}", hex(&digest(&config)));
    commit(
        &ostree,
        &branch,
        "config",
        &[("docker.size", config.len().to_string())],
    );
    let metadata = [
        ("docker.manifest", manifest.clone()),
        ("signatures", "0".to_owned()),
        ("docker.digest", digest(manifest.as_bytes())),
    ];
    commit(&ostree, &format!("ociimage/{name}"), "manifest", &metadata);
    ostree.fsck();
    // Old ones had none.
    fs::remove_file(home.join("left/.lock")).unwrap();
    manifest
}

/// busybox, and a layer over it that takes away and adds.
fn box_image() -> Image {
    let busybox = images::get("busybox");
    let tars = busybox.layers.iter().map(|layer| {
        let (mut tar, blob) = (Vec::new(), fs::read(busybox.blob(&layer.digest)).unwrap());
        flate2::read::GzDecoder::new(blob.as_slice())
            .read_to_end(&mut tar)
            .unwrap();
        tar
    });
    let upper = Tar::new()
        .dir("etc")
        .whiteout("etc/passwd")
        .file_with("etc/added", 0o640, 0, 42, "added\n")
        .dir_with("srv", 0o1777, 33, 33)
        .symlink("srv/link", "/etc/added");
    let all = tars.chain([upper.finish()]);
    let mut image = Image::new(all.map(|tar| Layer::new(tar, Form::Gzip)));
    image.config["config"]["Env"] = json!(["PATH=/bin:/usr/bin:/sbin"]);
    image
}

#[test]
fn what_the_transport_left_is_read_and_stays() {
    needs!(Images, Ostree);
    let (home, image) = (Home::new(), box_image());
    let manifest = leave(&home, "box_3Alatest", &image, false);
    let before = listing(&home, &home.join("left"));
    let berth = |args: &[&str]| {
        home.berth(["--repo", "left"].iter().chain(args))
            .ok()
            .stdout
    };

    let images: Value = serde_json::from_str(&berth(&["images", "--json"])).unwrap();
    assert_eq!(images.as_array().unwrap().len(), 1, "{images}");
    assert_eq!(images[0]["name"], "box:latest");
    assert_eq!(images[0]["digest"], digest(manifest.as_bytes()).as_str());
    assert_eq!(images[0]["id"], digest(&image.config_bytes()).as_str());
    assert!(images[0]["size"].as_u64().unwrap() > 500_000, "{images}");

    assert_eq!(berth(&["inspect", "--raw", "box"]), manifest);
    assert_eq!(
        berth(&["inspect", "--config", "box"]).as_bytes(),
        image.config_bytes()
    );
    let inspected: Value = serde_json::from_str(&berth(&["inspect", "box"])).unwrap();
    assert_eq!(
        inspected["layers"][1]["diff_id"],
        image.layers[1].diff_id.as_str()
    );

    let (uid, gid) = (home.user.uid, home.user.gid);
    let ls = berth(&["ls", "-l", "box", "/etc"]);
    assert!(
        ls.contains(&format!("-rw-r----- {uid:5} {gid:5}          6 added\n")),
        "{ls}"
    );
    assert!(!ls.contains("passwd"), "{ls}");
    assert_eq!(berth(&["cat", "box:latest", "/etc/added"]), "added\n");
    assert!(berth(&["history", "box"]).lines().count() > 2);

    berth(&["checkout", "box", &home.join("out").to_string_lossy()]);
    for number in 0..image.layers.len() {
        home.sh(&format!(
            "mkdir -p union; cp -a --remove-destination layer-{number}/. union"
        ))
        .ok();
    }
    home.sh("rm union/etc/passwd union/etc/.wh.passwd").ok();
    assert_eq!(
        look(&home, &home.join("out")),
        look(&home, &home.join("union"))
    );
    berth(&["repo", "fsck"]);
    home.berth(["--repo", "left", "verify", "box"])
        .fails(1)
        .one_error()
        .err_has("cannot verify image box:latest: it is stored as skopeo's transport did it");
    assert_eq!(listing(&home, &home.join("left")), before);
    assert!(!home.root().exists(), "reading made a store");
    home.berth(["--repo", "left", "tag", "box", "other"])
        .fails(1)
        .one_error()
        .err_has("cannot name image box:latest: it is stored as skopeo's transport did it");
}

#[test]
fn what_the_transport_left_is_run() {
    needs!(Images, Ostree, Userns, Overlay);
    let (home, image) = (Home::new(), box_image());
    leave(&home, "box_3Alatest", &image, false);
    let before = listing(&home, &home.join("left"));
    let script = "cat /etc/added; test ! -e /etc/passwd; echo x > /srv/x; id -u";
    let ran = home
        .berth(["--repo", "left", "run", "--rm", "box", "sh", "-euc", script])
        .ok();
    assert_eq!(ran.stdout, "added\n0\n");
    assert_eq!(listing(&home, &home.join("left")), before);
    crate::run::no_containers(&home);
    Ostree::of(&home).fsck();
    assert_eq!(home.berth(["images", "-aq"]).ok().stdout, "");
    home.berth(["gc"]).ok();
    assert_eq!(Ostree::of(&home).refs(), Vec::<String>::new());
}

#[test]
fn what_the_transport_left_is_pulled_with_its_true_owners() {
    needs!(Images, Ostree);
    let (home, image) = (Home::new(), box_image());
    let manifest = leave(&home, "box_3Alatest", &image, true);
    let before = listing(&home, &home.join("left"));
    let pulled = home.berth(["pull", "ostree:box@left"]).ok();
    assert_eq!(
        pulled.text().trim(),
        format!("box:latest@{}", digest(manifest.as_bytes()))
    );
    let ls = home.berth(["ls", "-lR", "box:latest"]).ok().stdout;
    for line in [
        "-rw-r-----     0    42          6 /etc/added",
        "drwxrwxrwt    33    33          0 /srv",
    ] {
        assert!(ls.lines().any(|found| found == line), "{ls}");
    }
    home.berth(["verify", "box:latest"]).ok();
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
    let inspected = home.berth(["inspect", "--raw", "ostree:box@left"]).ok();
    assert_eq!(inspected.stdout, manifest);
    // And into another repository of the same kind, layers and all.
    home.berth(["copy", "ostree:box@left", "ostree:copied:2@other"])
        .ok();
    let (left, other) = (Ostree::at(&home, "left"), Ostree::at(&home, "other"));
    for layer in &image.layers {
        let name = format!("ociimage/{}", hex(&layer.digest));
        assert_eq!(other.ls(&name, "/"), left.ls(&name, "/"));
    }
    other.fsck();
    assert_eq!(listing(&home, &home.join("left")), before);
    home.berth(["inspect", "ostree:none@left"])
        .fails(1)
        .one_error()
        .err_has("image none:latest not found in repository left");
}

#[test]
fn a_layer_without_its_tar_is_refused() {
    needs!(Ostree);
    let home = Home::new();
    let image = Image::of(Tar::new().file("a", "text"));
    leave(&home, "x_3A1", &image, false);
    home.berth(["pull", "ostree:x:1@left"]).fails(1).one_error().err_has(&format!(
        "cannot make the tar of layer {}: the repository has its files but no tarsplit.output, which says how they \
         stood in it",
        image.layers[0].digest
    ));
    // A tar-split that is another layer's.
    let ostree = Ostree::at(&home, "left");
    let branch = format!("ociimage/{}", hex(&image.layers[0].digest));
    let mut metadata = vec![
        ("docker.size", image.layers[0].size.to_string()),
        (
            "docker.uncompressed_size",
            image.layers[0].tar.len().to_string(),
        ),
        (
            "docker.uncompressed_digest",
            image.layers[0].diff_id.clone(),
        ),
    ];
    for (tar, error) in [
        (Tar::new().file("a", "test"), "file \"a\" of layer"),
        (
            Tar::new().file("a", "longer"),
            "file \"a\" of its tar is another one in its tree",
        ),
        (
            Tar::new().file("b", "text"),
            "file \"b\" of its tar is not in its tree",
        ),
        (
            Tar::new().file_with("a", 0o600, 0, 0, "text"),
            "diff id of layer",
        ),
    ] {
        metadata.push(("tarsplit.output", split::split(&tar.finish())));
        commit(&ostree, &branch, "layer-0", &metadata);
        metadata.pop();
        home.berth(["pull", "ostree:x:1@left"])
            .fails(1)
            .one_error()
            .err_has(error);
    }
    assert_eq!(home.berth(["images", "-aq"]).ok().stdout, "");
}

#[test]
fn what_atomic_wrote_itself_is_listed() {
    needs!(Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "atomic");
    home.sh("mkdir -p one two empty; echo one > one/file; echo two > two/other; : > two/.wh.file")
        .ok();
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    for (id, dir) in [(&one, "one"), (&two, "two")] {
        commit(
            &ostree,
            &format!("ociimage/{id}"),
            dir,
            &[("docker.layer", id.clone())],
        );
    }
    let layers = [format!("sha256:{one}"), format!("sha256:{two}")];
    let manifest = json!({"Name": "docker.io/library/old", "Layers": layers}).to_string();
    commit(
        &ostree,
        "ociimage/old_3A1",
        "empty",
        &[("docker.manifest", manifest)],
    );
    let schema1 =
        json!({"schemaVersion": 1, "fsLayers": [{"blobSum": layers[1]}, {"blobSum": layers[0]}]});
    commit(
        &ostree,
        "ociimage/older_3A1",
        "empty",
        &[("docker.manifest", schema1.to_string())],
    );
    let before = listing(&home, ostree.repo());
    let berth = |args: &[&str]| {
        home.berth(["--repo", "atomic"].iter().chain(args))
            .ok()
            .stdout
    };
    let images: Value = serde_json::from_str(&berth(&["images", "--json"])).unwrap();
    assert_eq!(images[0]["name"], "old:1");
    assert_eq!(images[1]["name"], "older:1");
    for name in ["old:1", "older:1"] {
        assert_eq!(berth(&["ls", name]), "other\n");
        assert_eq!(berth(&["cat", name, "/other"]), "two\n");
    }
    assert_eq!(listing(&home, ostree.repo()), before);
}
