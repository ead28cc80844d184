//! Exports of an image of the store are those of its directory.

use store::oci::{self, ImageConfig};
use store::{CommitOptions, Digest, Image, ImageName, Mode, Owner, RefName, Repo};

use super::*;

#[test]
fn an_image_and_its_directory_export_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let rootfs = dir.path().join("rootfs");
    for (path, text) in [
        ("exports/config.json.template", SMALL),
        ("exports/service.template", UNIT),
        ("exports/tmpfiles.template", "d /run/$NAME\n"),
        (
            "exports/manifest.json",
            r#"{"installedFilesTemplate": ["/etc/t"]}"#,
        ),
        ("exports/hostfs/etc/t", "$NAME"),
        ("exports/hostfs/usr/bin/b", "binary"),
        ("etc/passwd", "web:x:5:6::/srv:/bin/sh\n"),
        ("data/file", "x"),
    ] {
        let path = rootfs.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    std::os::unix::fs::symlink("t", rootfs.join("exports/hostfs/etc/link")).expect("linked");
    std::fs::create_dir(rootfs.join("exports/hostfs/empty")).expect("made");
    let repo = Repo::init(&dir.path().join("repo"), Mode::BareUser).expect("a repository");
    let options = CommitOptions {
        branch: RefName::new("web").expect("a ref"),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
    };
    let commit = store::commit_dir(&repo, &rootfs, &Owner::default(), &options).expect("a commit");
    let config = ImageConfig::parse(
        br#"{"rootfs": {"diff_ids": []}, "config": {"Labels": {"atomic.run": "once"}, "Volumes": {"/data/": {}, "/none": {}}}}"#.to_vec(),
    )
    .expect("a config");
    let digest = Digest::of(b"");
    let text = format!(
        r#"{{"schemaVersion": 2, "config": {{"mediaType": "t", "digest": "{digest}", "size": 0}}, "layers": []}}"#
    );
    let oci::Document::Manifest(manifest) =
        oci::Document::parse(text.into_bytes(), "").expect("valid")
    else {
        panic!("a manifest");
    };
    let image = Image {
        name: ImageName::new("web").expect("a name"),
        id: digest,
        digest,
        commit: commit.commit,
        flat: commit.commit,
        root: commit.root,
        manifest,
        config,
    };
    let stored = Exports::of_image(&repo, &image).expect("readable");
    assert!(stored.runs_once());
    assert_eq!(stored.volumes.keys().collect::<Vec<_>>(), ["/data"]);
    let directory = Exports::of_directory(&rootfs).expect("readable");
    assert_eq!(stored.host.len(), 7);
    let sorted = |mut exports: Exports| {
        exports.host.sort_by(|a, b| a.path.cmp(&b.path));
        Exports {
            labels: BTreeMap::new(),
            volumes: BTreeMap::new(),
            ..exports
        }
    };
    assert_eq!(sorted(stored), sorted(directory));
}
