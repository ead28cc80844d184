//! The published recipe, verbatim but for the tool's name, and what `ostree:` writes: `copy` beside stock ostree, GNU tar
//! and the facts of skopeo's transport.

mod left;
mod split;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::images::{self, Built};
use crate::support::ostree::Ostree;
use crate::support::registry::Registry;
use crate::support::user::Ran;
use crate::support::{Home, User, digest};

/// What an ordinary user's repository of this kind does not hold, as berth says it.
const LOSS: &str = "warning: a repository in the layout of skopeo's ostree: transport loses what images say of their \
    files: owners, set-id bits, stricter or wider modes, extended attributes, devices and times; `berth pull` keeps \
    all of it\n";

/// What containers/image ran for an ordinary user, and its `fixFiles` behind it: unpacks `$1` into `$2`.
const UNPACK: &str = "umask 022; mkdir -p \"$2\"
    tar -C \"$2\" --no-same-owner --no-same-permissions --delay-directory-restore -xf \"$1\"
    find \"$2\" -mindepth 1 -type d -exec chmod u+rwx {} \\;
    find \"$2\" -mindepth 1 \\( -type p -o -type s -o -type b -o -type c \\) -delete
    find \"$2\" -type f -exec chmod u+rw {} +";

/// Every entry below a directory: type, mode, owner, link target, content.
const LOOK: &str = "find . -type d -printf 'd %m %U:%G %P\\n' -o -type f -printf 'f %m %U:%G %s %P\\n' \
    -o -printf '%y %U:%G %l %P\\n' | sort; find . -type f -exec sha256sum {} + | sort -k2";

pub(crate) fn unpack(home: &Home, tar: &Path, dir: &Path) {
    home.program("bash")
        .args(["-euc", UNPACK, "unpack"])
        .args([tar, dir])
        .ok();
}

pub(crate) fn look(home: &Home, dir: &Path) -> String {
    home.sh(LOOK).dir(dir).ok().stdout
}

/// Everything there is in a directory with its times, but those that a new link to a file changes.
pub(crate) fn listing(home: &Home, dir: &Path) -> String {
    home.sh("find . -printf '%y %m %U:%G %s %T@ %l %P\\n' | sort")
        .dir(dir)
        .ok()
        .stdout
}

pub(crate) fn hex(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

/// A value of a commit's metadata, without the quotes of GVariant text.
pub(crate) fn metadata(ostree: &Ostree<'_>, name: &str, key: &str) -> String {
    let value = ostree.metadata(name, key);
    value.trim().trim_matches('\'').to_owned()
}

/// The layers of a manifest, by their hex.
fn layers_of(manifest: &str) -> Vec<String> {
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let digests = layers.iter().map(|layer| layer["digest"].as_str().unwrap());
    digests.map(|digest| hex(digest).to_owned()).collect()
}

/// `ostree checkout --union` of each layer in the manifest's order, as the recipe has it.
fn check_out(home: &Home, repo: &Path, layers: &[String], target: &str) -> PathBuf {
    for layer in layers {
        home.program("ostree")
            .dir(repo)
            .args(["--repo=.", "checkout", "--union"])
            .args([format!("ociimage/{layer}"), target.to_owned()])
            .ok();
    }
    repo.join(target)
}

/// The same from the tars of the layers, with nothing of ostree; a directory that is there keeps its mode.
fn reference(home: &Home, image: &Built) -> PathBuf {
    home.sh("mkdir union").ok();
    for layer in &image.layers {
        let dir = home.join(hex(&layer.digest));
        unpack(home, &image.blob(&layer.digest), &dir);
        home.sh("tar -C \"$FROM\" -c . | tar -C union -xp --no-overwrite-dir")
            .env("FROM", dir)
            .ok();
    }
    home.join("union")
}

#[test]
fn the_recipe_as_published() {
    needs!(Images, Registry, Ostree);
    let (home, registry) = (Home::new(), Registry::start());
    let image = images::get("redis-v2s2");
    registry.push(&image, "redis:alpine");
    let repo = home.join("storage");
    home.sh("mkdir storage").ok();
    let copy = || -> Ran {
        let script = format!(
            "cd storage; $BERTH copy {} ostree:redis@$PWD",
            registry.url("redis:alpine")
        );
        home.sh(&script).ok()
    };
    let (mut seen, mut requests) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let copied = copy();
        assert_eq!(copied.text().trim(), image.digest.as_deref().unwrap());
        assert_eq!(copied.stderr.matches(LOSS).count(), 1, "{}", copied.stderr);
        seen.push(
            home.sh("cd storage; find refs -type f -exec cat {} +; find objects | sort")
                .ok()
                .stdout,
        );
        requests.push(
            registry
                .requests()
                .iter()
                .filter(|line| line.contains("/blobs/"))
                .count(),
        );
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    // Once the layers and the config; then the config, which the transport too fetched each time.
    assert_eq!(
        (requests[1] - requests[0], requests[2] - requests[1]),
        (1, 1)
    );

    let ostree = |args: &[&str]| {
        home.program("ostree")
            .dir(&repo)
            .args(["--repo=."])
            .args(args)
            .ok()
            .stdout
    };
    let manifest = fs::read_to_string(image.path.join("manifest.json")).unwrap();
    let layers = layers_of(&manifest);
    let mut refs: Vec<String> = layers
        .iter()
        .map(|layer| format!("ociimage/{layer}"))
        .collect();
    refs.extend([
        format!("ociimage/{}", hex(&image.config)),
        "ociimage/redis_3Alatest".into(),
    ]);
    refs.sort();
    let mut found: Vec<String> = ostree(&["refs"]).lines().map(str::to_owned).collect();
    found.sort();
    assert_eq!(found, refs);
    let (uid, gid) = (home.user.uid, home.user.gid);
    let ls = ostree(&["ls", "ociimage/redis_3Alatest"]);
    let size = manifest.len();
    assert_eq!(
        ls,
        format!("d00755 {uid} {gid}      0 /\n-00644 {uid} {gid} {size:6} /manifest.json\n")
    );
    assert_eq!(
        ostree(&["cat", "ociimage/redis_3Alatest", "/manifest.json"]),
        manifest
    );
    let show = |key: &str| {
        ostree(&[
            "show",
            &format!("--print-metadata-key={key}"),
            "ociimage/redis_3Alatest",
        ])
    };
    assert_eq!(show("signatures"), "'0'\n");
    assert_eq!(
        show("docker.digest"),
        format!("'{}'\n", digest(manifest.as_bytes()))
    );
    assert_eq!(
        digest(&fs::read(image.blob(&image.config)).unwrap()),
        image.config
    );
    ostree(&["fsck", "--quiet"]);

    let made = check_out(&home, &repo, &layers, "redis");
    let expected = reference(&home, &image);
    let (made, expected) = (look(&home, &made), look(&home, &expected));
    assert!(made.contains(" usr/bin/redis-"), "{made}");
    for (a, b) in made.lines().zip(expected.lines()) {
        assert_eq!(a, b);
    }
    assert_eq!(made.lines().count(), expected.lines().count());
}

/// Everything that a user's repository loses or keeps otherwise.
fn kinds() -> Tar {
    Tar::new()
        .dir_with("./", 0o755, 0, 0)
        .dir("./etc")
        .file("./etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .file_with("./etc/shadow", 0o000, 0, 42, "secret")
        .file_with("./etc/empty", 0o666, 0, 0, "")
        .file_with("./bin/su", 0o4755, 0, 0, "#!/bin/sh\n")
        .hardlink("./bin/sudo", "./bin/su")
        .dir_with("./tmp", 0o1777, 0, 0)
        .dir_with("./srv", 0o2070, 33, 33)
        .symlink("./etc/link", "passwd")
        .file("./etc/gone", "from below")
        .file("./large", vec![7; 3 << 20])
        .pax(&[("SCHILY.xattr.user.note", "hello")])
        .file("./etc/noted", "xattr")
}

fn two_layers() -> Image {
    let upper = Tar::new()
        .whiteout("etc/gone")
        .file("implied/dir/file", "new");
    Image::new([
        Layer::new(kinds().finish(), Form::Gzip),
        Layer::new(upper.finish(), Form::Zstd),
    ])
}

#[test]
fn a_layer_is_what_tar_leaves() {
    needs!(Ostree);
    let home = Home::new();
    let layout = home.join("layout");
    let image = two_layers();
    Layout::with(&layout, &image);
    let copied = home
        .berth(["copy", "oci:layout:latest", "ostree:a/b_c:1@storage"])
        .ok();
    let ostree = Ostree::at(&home, "storage");
    ostree.fsck();
    let name = "ociimage/a_2Fb_5Fc_3A1";
    let manifest: Value =
        serde_json::from_str(&metadata(&ostree, name, "docker.manifest")).unwrap();
    assert_eq!(
        metadata(&ostree, name, "docker.digest"),
        copied.text().trim()
    );
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.docker.container.image.v1+json"
    );
    let config = digest(&image.config_bytes());
    assert_eq!(manifest["config"]["digest"], config.as_str());
    let content = ostree.cat(&format!("ociimage/{}", hex(&config)), "/content");
    assert_eq!(content.as_bytes(), image.config_bytes());
    // docker has no zstd: that layer is kept as the tar it holds.
    let kept = [&image.layers[0].digest, &image.layers[1].diff_id];
    let sizes = [image.layers[0].size, image.layers[1].tar.len() as u64];
    for (number, layer) in image.layers.iter().enumerate() {
        assert_eq!(manifest["layers"][number]["digest"], kept[number].as_str());
        assert_eq!(manifest["layers"][number]["size"], sizes[number]);
        let name = format!("ociimage/{}", hex(kept[number]));
        let value = |key| metadata(&ostree, &name, key);
        assert_eq!(value("docker.size"), sizes[number].to_string());
        assert_eq!(
            value("docker.uncompressed_size"),
            layer.tar.len().to_string()
        );
        assert_eq!(value("docker.uncompressed_digest"), layer.diff_id);
        let show = ostree.show(&name);
        assert!(
            show.contains(&format!("Parent:  {}", "0".repeat(64))),
            "{show}"
        );

        let (made, expected) = (
            home.join(format!("made-{number}")),
            home.join(format!("tar-{number}")),
        );
        ostree.command(["checkout", &name]).args([&made]).ok();
        unpack(
            &home,
            &home.write(&format!("{number}.tar"), &layer.tar),
            &expected,
        );
        assert_eq!(look(&home, &made), look(&home, &expected), "layer {number}");
        assert_eq!(
            digest(&split::reassemble(&value("tarsplit.output"), &made)),
            layer.diff_id
        );
    }
    assert!(home.join("made-1/etc/.wh.gone").exists());
    assert!(
        !home.join("storage/berth").exists() && !home.join("storage/refs/heads/ocifs").exists()
    );

    // What is there is not fetched again.
    for layer in &image.layers {
        fs::remove_file(layout.join("blobs/sha256").join(hex(&layer.digest))).unwrap();
    }
    home.berth(["copy", "oci:layout:latest", "ostree:a/b_c:1@storage"])
        .ok();
    // And it can be pulled with all that the repository's files have lost.
    home.berth(["pull", "ostree:a/b_c:1@storage"]).ok();
    let ls = home.berth(["ls", "-lR", "a/b_c:1"]).ok().stdout;
    for line in [
        "-rwsr-xr-x     0     0         10 /bin/su",
        "----------     0    42          6 /etc/shadow",
    ] {
        assert!(ls.lines().any(|found| found == line), "{ls}");
    }
    assert!(!ls.contains("gone"), "{ls}");
    home.berth(["verify", "a/b_c:1"]).ok();
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
}

#[test]
fn what_the_transport_could_not_store_is_said() {
    let home = Home::new();
    let copy = |name: &str, image: &Image| {
        Layout::with(&home.join(name), image);
        home.berth(["copy", &format!("oci:{name}:latest"), "ostree:x@storage"])
    };
    let specials = Tar::new()
        .file("a", "a")
        .special("null", b'3', (1, 3))
        .special("fifo", b'6', (0, 0));
    let said = copy("specials", &Image::of(specials)).ok().stderr;
    let words = "warning: left out 2 entries that such a repository cannot hold: null: it is a character \
                 device, fifo: it is a FIFO\n";
    assert!(said.contains(words), "{said}");

    let twice = Tar::new().file("f", "first").file("./f", "second");
    copy("twice", &Image::of(twice))
        .fails(1)
        .one_error()
        .err_has("tar-split cannot hold it: \"./f\" stands twice in its tar");
    let lower = Layer::new(Tar::new().file("below", "b").finish(), Form::Gzip);
    let upper = Layer::new(Tar::new().hardlink("link", "below").finish(), Form::Gzip);
    copy("across", &Image::new([lower, upper]))
        .fails(1)
        .one_error()
        .err_has("\"link\" is a hard link to \"below\", which is in a lower layer");
    home.berth(["--repo", "storage", "images", "-q"]).ok();
}

#[test]
fn roots_repository_keeps_owners() {
    needs!(Root, Ostree);
    let home = Home::of(User::root());
    Layout::with(&home.join("layout"), &Image::of(kinds()));
    let copied = home
        .berth(["copy", "oci:layout:latest", "ostree:x:1@storage"])
        .ok();
    assert!(
        copied
            .stderr
            .contains("transport loses devices, FIFOs and times; `berth pull` keeps them\n"),
        "{}",
        copied.stderr
    );
    let ostree = Ostree::at(&home, "storage");
    ostree.fsck();
    let config = fs::read_to_string(home.join("storage/config")).unwrap();
    assert!(config.contains("\nmode=bare\n"), "{config}");
    let layers = layers_of(&metadata(&ostree, "ociimage/x_3A1", "docker.manifest"));
    let ls = home
        .program("ostree")
        .args([
            "--repo=storage",
            "ls",
            "-R",
            &format!("ociimage/{}", layers[0]),
        ])
        .ok()
        .stdout;
    for line in [
        "-04755 0 0     10 /bin/su",
        "-00000 0 42      6 /etc/shadow",
        "d02070 33 33      0 /srv",
        "d01777 0 0      0 /tmp",
    ] {
        assert!(ls.lines().any(|found| found == line), "{line}\n{ls}");
    }
}
