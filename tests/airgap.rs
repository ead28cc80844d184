//! `berth save --since` and `berth load`: an update carried to a host that has no network.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::ostree::Ostree;
use crate::support::{Home, images};

/// Every file below a folder but locks, with its size, and the bytes of refs.
fn listing(folder: &Path) -> Vec<(String, u64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let shown = path.display().to_string();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else if !shown.ends_with("/.lock") {
                let is_ref = shown.contains("/refs/");
                let bytes = if is_ref {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                found.push((shown, fs::symlink_metadata(&path).unwrap().len(), bytes));
            }
        }
    }
    found.sort();
    found
}

/// Refs that both must have: all but those by blob, which a load does not prove.
fn refs(home: &Home, blobs: &[String]) -> Vec<String> {
    let ostree = Ostree::of(home);
    let is_blob = |name: &str| blobs.iter().any(|hex| name.ends_with(hex.as_str()));
    let names = ostree.refs().into_iter().filter(|name| !is_blob(name));
    let mut shown: Vec<String> = names
        .map(|name| format!("{name} {}", ostree.rev_parse(&name)))
        .collect();
    shown.sort();
    shown
}

#[test]
fn an_update_of_a_twentieth_is_a_small_file() {
    needs!(Images, Ostree);
    let (old, new) = (images::get("redis"), images::get("redis-next"));
    let (here, there) = (Home::new(), Home::new());
    for (home, images) in [(&here, &[&old, &new][..]), (&there, &[&old][..])] {
        for image in images {
            home.berth(["pull", "-q", &image.source()]).ok();
        }
    }
    let ran = here
        .berth([
            "save",
            "--since",
            "redis",
            "-o",
            "update.bundle",
            "redis-next",
        ])
        .ok();
    assert_eq!(ran.text(), "");
    let bundle = fs::read(here.join("update.bundle")).unwrap();
    // The whole image as an OCI archive holds it: its blobs, which are compressed already.
    let full: u64 = new.layers.iter().map(|layer| layer.size).sum();
    let percent = bundle.len() as f64 * 100.0 / full as f64;
    // 0.33 when this was written.
    assert!(percent < 1.0, "{percent:.2} % of {full} bytes");

    let before = listing(&there.repo());
    let half = there.write("half.bundle", &bundle[..bundle.len() / 2]);
    there
        .berth(["load", "-i", half.to_str().unwrap()])
        .fails(1)
        .one_error()
        .err_has("error: the bundle is malformed: it is cut short\n");
    assert_eq!(listing(&there.repo()), before);

    let ran = there.berth(["load"]).input(bundle).ok();
    assert_eq!(ran.text(), "Loaded image: redis-next");
    for name in ["redis", "redis-next"] {
        there
            .berth(["verify", name])
            .ok()
            .out_has(": no problems\n");
    }
    there.berth(["repo", "fsck"]).ok().out_has(": no problems");
    let blobs: Vec<String> = [&old, &new]
        .iter()
        .flat_map(|image| &image.layers)
        .map(|layer| layer.digest.trim_start_matches("sha256:").to_owned())
        .collect();
    let loaded = refs(&there, &blobs);
    assert_eq!(loaded, refs(&here, &blobs));
    // The names and flattened trees, the configs, and the layers with their recipes, none of which is in both.
    assert_eq!(
        loaded.len(),
        2 * (2 + 1 + 2 * new.layers.len()),
        "{loaded:#?}"
    );
    for home in [&here, &there] {
        Ostree::of(home).fsck();
    }
}

fn layer(files: &[(&str, &str)]) -> Layer {
    let tar = files
        .iter()
        .fold(Tar::new(), |tar, (name, data)| tar.file(name, data));
    Layer::new(tar.finish(), Form::Gzip)
}

/// Two small images in a store, and the digest of the first.
fn two(home: &Home) -> String {
    let base = layer(&[("etc/base", "base\n")]);
    let old = Image::new([base.clone(), layer(&[("app", "one\n")])]);
    let new = Image::new([base, layer(&[("app", "two\n")])]);
    let digest = Layout::with(&home.join("old"), &old);
    Layout::with(&home.join("new"), &new);
    for name in ["old", "new"] {
        home.berth(["pull", "-q", &format!("oci:{}", home.join(name).display())])
            .ok();
    }
    digest
}

#[test]
fn a_host_without_the_old_image_is_told_so() {
    let (here, there) = (Home::new(), Home::new());
    let digest = two(&here);
    // By digest, and through pipes.
    let save = format!("\"$BERTH\" --root \"$ROOT\" save --since {digest} new | cat >piped");
    assert_eq!(here.sh(&save).ok().text(), "");
    let bundle = fs::read(here.join("piped")).unwrap();
    assert!(bundle.starts_with(b"BERTHBDL"));
    let text = format!("error: cannot load the bundle: image old ({digest}) is not here\n");
    there
        .berth(["load"])
        .input(bundle.clone())
        .fails(1)
        .one_error()
        .err_has(&text);
    assert_eq!(there.berth(["images"]).ok().text().lines().count(), 1);
    assert!(listing(&there.repo().join("objects")).is_empty());
    // A repository with other ids is no place for it, even with the image.
    let blake3 = there.join("blake3");
    let repo = blake3.to_str().unwrap();
    there
        .berth(["--repo", repo, "repo", "init", "--hash", "blake3"])
        .ok();
    there
        .berth(["--repo", repo, "load"])
        .input(bundle)
        .fails(1)
        .one_error()
        .err_has("error: cannot load the bundle: its ids are SHA-256, and those of a repository with mode berth-bare-user-blake3 are BLAKE3\n");
}

/// Any public key, in PEM and base64.
const KEY: &str = "\
    LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFVGFqdWl0WGlhSFkw\
    VkgxMjVCK2VMSGRidXBQTwpJcDRqRXFQVS9aSVh1V1lydFI3QjJqdHBEUFA5ZHR3cnBsVjBVQWlEUnhoUnQzYzFUR2hvOENHRXdB\
    PT0KLS0tLS1FTkQgUFVCTElDIEtFWS0tLS0tCg==";

/// A bundle has no signatures, so a policy that asks for one lets none in.
#[test]
fn a_policy_is_asked_about_bundles_and_archives() {
    let (here, there) = (Home::new(), Home::new());
    two(&here);
    there.berth(["images"]).ok();
    let old = format!("oci:{}", here.join("old").display());
    there.berth(["pull", "-q", &old]).ok();
    here.berth(["save", "--since", "old", "-o", "new.bundle", "new"])
        .ok();
    let bundle = fs::read(here.join("new.bundle")).unwrap();
    let path = there.write("update", &bundle);
    here.berth(["save", "-o", "archive.tar", "new"]).ok();
    let archive = fs::read(here.join("archive.tar")).unwrap();
    let before = listing(&there.repo());
    for (requirement, why) in [
        (json!({"type": "reject"}), "it rejects the image"),
        (
            json!({"type": "sigstoreSigned", "keyData": KEY}),
            "it asks for a signature, and the image has none",
        ),
        (
            json!({"type": "signedBy"}),
            "it asks for signedBy, which berth cannot check",
        ),
    ] {
        let default = json!([{"type": "insecureAcceptAnything"}]);
        let scopes = json!({"": [requirement]});
        let text = json!({
            "default": default,
            "transports": {"docker-archive": scopes, "oci-archive": scopes},
        });
        let policy = there.write("policy.json", text.to_string());
        let flag = format!("--signature-policy={}", policy.display());
        let line = format!(": policy {} refuses it: {why}\n", policy.display());
        let of_bundle = format!("error: cannot load the bundle{line}");
        let load = |args: &[&str]| there.berth(["load", &flag].iter().chain(args));
        load(&["-i", path.to_str().unwrap()])
            .fails(1)
            .one_error()
            .err_has(&of_bundle);
        load(&[])
            .input(bundle.clone())
            .fails(1)
            .one_error()
            .err_has(&of_bundle);
        load(&[])
            .input(archive.clone())
            .fails(1)
            .one_error()
            .err_has(&line);
        assert_eq!(listing(&there.repo()), before);
    }
    // that of the user counts without a flag
    fs::create_dir_all(there.join(".config/containers")).unwrap();
    let reject = json!({"default": [{"type": "reject"}]}).to_string();
    there.write(".config/containers/policy.json", reject);
    let load = || there.berth(["load"]).env("HOME", there.path());
    load().input(bundle.clone()).fails(1).one_error();
    assert_eq!(listing(&there.repo()), before);
    let accept = json!({"default": [{"type": "insecureAcceptAnything"}]}).to_string();
    there.write(".config/containers/policy.json", accept);
    load().input(bundle.clone()).ok();
    there
        .berth(["load", "--keep-blobs"])
        .input(bundle)
        .fails(2)
        .one_error()
        .err_has("error: a bundle has no blobs to keep\n");
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let home = Home::new();
    two(&home);
    let file = home.write("update", "as it was");
    let names = || {
        let entries = fs::read_dir(home.path()).unwrap().map(Result::unwrap);
        let mut names: Vec<_> = entries
            .map(|it| it.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let before = names();
    // The payload of the new file is broken.
    let ran = home.berth(["repo", "ls", "-dC", "ocifs/new", "/app"]).ok();
    let id = ran
        .text()
        .split_whitespace()
        .find(|word| word.len() == 64)
        .unwrap();
    let object = home
        .repo()
        .join(format!("objects/{}/{}.file", &id[..2], &id[2..]));
    let bytes = fs::read(&object).unwrap();
    fs::write(&object, b"six\n").unwrap();
    let save = || home.berth(["save", "--since", "old", "-o", "update", "new"]);
    save().fails(1).one_error().err_has(&format!(
        "error: file {id} is corrupt: expected {id}, found "
    ));
    assert_eq!(
        (fs::read(&file).unwrap(), names()),
        (b"as it was".to_vec(), before.clone())
    );
    fs::write(&object, bytes).unwrap();
    save().ok();
    assert!(fs::read(&file).unwrap().starts_with(b"BERTHBDL"));
    assert_eq!(names(), before);
    home.berth(["save", "--since", "none", "new"])
        .fails(1)
        .one_error()
        .err_has("error: image none not found\n");
    home.berth(["load", "-i", "none"])
        .fails(1)
        .one_error()
        .err_has("error: cannot open none: No such file or directory\n");
    home.berth(["load"])
        .input("no bundle of anything")
        .fails(1)
        .one_error()
        .err_has("error: cannot load /dev/stdin: archive /dev/stdin is malformed: ");
}
