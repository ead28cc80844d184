//! Every kind of source that is no registry: what skopeo writes, archives in every wrapping, docker's daemon, a bare tar.

mod daemon;
mod manifests;

use std::path::Path;

use serde_json::json;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::{Home, digest, images};

/// Two layers, the second hiding a file of the first.
fn image() -> Image {
    let base = Tar::new()
        .dir("etc")
        .file("etc/base", "base\n")
        .file_with("bin/su", 0o4755, 3, 4, "su\n");
    let top = Tar::new().file("etc/top", "top\n").whiteout("etc/base");
    Image::new([base, top].map(|tar| Layer::new(tar.finish(), Form::Gzip)))
}

fn root_tar() -> Vec<u8> {
    Tar::new()
        .dir("etc")
        .file_with("etc/motd", 0o640, 7, 8, "hello\n")
        .symlink("lib", "usr/lib")
        .finish()
}

/// What skopeo says of a source.
fn skopeo_digest(home: &Home, source: &str) -> String {
    let args = ["inspect", "--format", "{{.Digest}}", source];
    home.program("skopeo").args(args).ok().text().trim().into()
}

fn skopeo_copy(home: &Home, args: &[&str]) {
    let copy = ["--insecure-policy", "copy", "-q"];
    home.program("skopeo").args(copy).args(args).ok();
}

/// Pulls into a store of its own, so that nothing is known before; gives the digest that is printed, the image's id and
/// all its files.
fn pulled(world: &Home, source: &str) -> (String, String, String) {
    let home = Home::new();
    let ran = home
        .berth(["pull", "-q", "--name", "x", source])
        .dir(world.path())
        .ok();
    let printed = ran.stdout.trim().strip_prefix("x@").unwrap().to_owned();
    let shown = home.berth(["inspect", "x"]).ok().json();
    let files = home.berth(["ls", "-R", "-l", "x"]).ok().stdout;
    (printed, shown["id"].as_str().unwrap().to_owned(), files)
}

#[test]
fn what_skopeo_writes_is_the_same_image() {
    needs!(Images, Skopeo);
    for name in ["busybox", "redis"] {
        let (world, built) = (Home::new(), images::get(name));
        let original = pulled(&world, &built.source());
        assert_eq!(original.0, built.digest.clone().unwrap(), "{name}");
        assert_eq!(original.1, built.config, "{name}");
        assert!(original.2.lines().count() > 100, "{}", original.2);
        for transport in ["dir", "oci-archive", "docker-archive"] {
            let place = format!("{transport}:{}", world.join(transport).display());
            let to = match transport {
                "dir" => place.clone(),
                _ => format!("{place}:example.org/x:1"),
            };
            skopeo_copy(&world, &[&built.source(), &to]);
            let copy = pulled(&world, &place);
            assert_eq!(copy.0, skopeo_digest(&world, &place), "{name} {place}");
            assert_eq!(copy.1, built.config, "{name} {place}");
            assert!(copy.2 == original.2, "{name} {place} has other files");
            let kept = matches!(transport, "dir" | "oci-archive");
            assert_eq!(copy.0 == original.0, kept, "{name} {place}");
        }
    }
}

#[test]
fn a_directory_of_dockers_types_and_one_of_many_platforms_are_read() {
    needs!(Images, Skopeo);
    let (home, built) = (Home::new(), images::get("redis-v2s2"));
    assert_eq!(built.transport, "dir");
    let (digest, id, _) = pulled(&home, &built.source());
    assert_eq!((Some(digest), id), (built.digest.clone(), built.config));
    let multi = images::get("multi");
    skopeo_copy(&home, &["--all", &multi.source(), "dir:many"]);
    let (digest, _, _) = pulled(&home, "dir:many");
    assert_eq!(Some(digest), multi.digest, "the index decides");
    let ran = home
        .berth(["pull", "--platform", "linux/s390x", "dir:many"])
        .fails(1)
        .one_error();
    ran.err_has("no image for linux/s390x: there is ");
}

#[test]
fn a_directory_without_a_blob_names_it() {
    let home = Home::new();
    let image = image();
    let manifest = serde_json::to_vec(&image.manifest()).unwrap();
    std::fs::create_dir(home.join("d")).unwrap();
    home.berth(["pull", "dir:d"])
        .fails(1)
        .one_error()
        .err_has("error: cannot pull dir:d: manifest.json not found in directory d\n");
    home.write("d/manifest.json", &manifest);
    let config = image.config_bytes();
    let error = format!("blob {} not found in directory d\n", digest(&config));
    home.berth(["pull", "dir:d"]).fails(1).err_has(&error);
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    home.write(&format!("d/{}", hex(&digest(&config))), &config);
    for layer in &image.layers {
        home.write(&format!("d/{}", hex(&layer.digest)), &layer.blob);
    }
    let ran = home.berth(["pull", "-q", "dir:d"]).ok();
    assert_eq!(ran.stdout, format!("d@{}\n", digest(&manifest)));
}

/// One image in each kind of archive, with the reference that berth gives it.
fn archives(home: &Home) -> [(&'static str, String); 2] {
    Layout::with(&home.join("layout"), &image());
    home.sh("tar -C layout -cf oci.tar . && chmod 644 oci.tar")
        .ok();
    image().write_docker_archive(&home.join("docker.tar"), &["example.org/x:1"]);
    [
        ("oci", "oci-archive".into()),
        ("docker", "docker-archive".into()),
    ]
}

#[test]
fn archives_are_read_in_every_wrapping_and_from_a_pipe() {
    let home = Home::new();
    for (kind, transport) in archives(&home) {
        let plain = pulled(&home, &format!("{transport}:{kind}.tar"));
        for (tool, end) in [
            ("gzip", "gz"),
            ("zstd -q", "zst"),
            ("xz", "xz"),
            ("bzip2", "bz2"),
        ] {
            home.sh(&format!("{tool} -c {kind}.tar > {kind}.tar.{end}"))
                .ok();
            let wrapped = pulled(&home, &format!("{transport}:{kind}.tar.{end}"));
            assert_eq!(wrapped, plain, "{kind}.tar.{end}");
        }
        for end in ["", ".gz", ".zst", ".xz", ".bz2"] {
            let other = Home::new();
            let file = home.join(format!("{kind}.tar{end}"));
            let script = format!(
                "cat {} | \"$BERTH\" --root \"$ROOT\" pull -q --name x {transport}:-",
                file.display()
            );
            let ran = other.sh(&script).ok();
            assert_eq!(ran.stdout, format!("x@{}\n", plain.0), "{kind}{end}");
            let files = other.berth(["ls", "-R", "-l", "x"]).ok().stdout;
            assert_eq!(files, plain.2, "{kind}{end}");
            let left = std::fs::read_dir(other.repo().join("tmp")).unwrap();
            let left: Vec<_> = left.flatten().map(|it| it.file_name()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[test]
fn a_pipe_is_looked_at_without_a_repository() {
    let home = Home::new();
    archives(&home);
    let input = std::fs::read(home.join("docker.tar")).unwrap();
    let shown = home
        .berth(["inspect", "docker-archive:-"])
        .input(input)
        .ok()
        .json();
    assert_eq!(shown["name"], "example.org/x:1");
    assert_eq!(shown["id"], digest(&image().config_bytes()));
    assert!(!home.root().exists());
}

#[test]
fn what_breaks_off_is_said_of_the_archive() {
    let home = Home::new();
    archives(&home);
    home.sh("gzip -c docker.tar | head -c 200 > cut.gz; head -c 700 docker.tar > cut.tar")
        .ok();
    home.berth(["pull", "docker-archive:cut.gz"])
        .fails(1)
        .one_error()
        .err_has(
            "error: cannot pull docker-archive:cut.gz: archive cut.gz is corrupt: not valid gzip",
        );
    home.berth(["pull", "docker-archive:cut.tar"])
        .fails(1)
        .one_error()
        .err_has("error: cannot pull docker-archive:cut.tar: manifest.json not found in archive cut.tar\n");
    home.berth(["pull", "oci-archive:-"])
        .input("no tar at all")
        .fails(1)
        .one_error()
        .err_has("archive from standard input is malformed: ");
    home.berth(["pull", "docker-archive:-"])
        .fails(1)
        .one_error()
        .err_has("manifest.json not found in archive from standard input\n");
}

/// The legacy format has neither a manifest nor a config that could be kept.
#[test]
fn a_docker_before_1_10_is_refused() {
    let home = Home::new();
    let id = "e".repeat(64);
    let tar = Tar::new()
        .file("repositories", format!(r#"{{"x":{{"latest":"{id}"}}}}"#))
        .file(&format!("{id}/json"), format!(r#"{{"id":"{id}"}}"#))
        .file(&format!("{id}/layer.tar"), root_tar())
        .finish();
    home.write("old.tar", tar);
    home.berth(["pull", "docker-archive:old.tar"])
        .fails(1)
        .one_error()
        .err_has("archive of a docker before 1.10: not supported");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let home = Home::new();
    home.sh(
        "mkfifo fifo; mkdir -p dir layout/blobs/sha256; mkfifo layout/index.json dir/manifest.json",
    )
    .ok();
    for transport in ["oci-archive", "docker-archive", "rootfs-tar"] {
        for (path, found) in [
            ("fifo", "a pipe"),
            ("dir", "a directory"),
            ("/dev/zero", "a device"),
        ] {
            let source = format!("{transport}:{path}");
            home.berth(["pull", &source])
                .fails(1)
                .one_error()
                .err_has(&format!(
                    "error: cannot pull {source}: cannot read {path}: it is {found}, not a file\n"
                ))
                .err_has("hint: to read from a pipe, give - as the file");
        }
        home.berth(["pull", &format!("{transport}:absent")])
            .fails(1)
            .one_error()
            .err_has("cannot open absent: No such file or directory");
    }
    for source in ["dir:dir", "oci:layout"] {
        home.berth(["pull", source])
            .fails(1)
            .one_error()
            .err_has(": it is a pipe, not a file\n");
    }
    home.write("file", "x");
    for (source, what) in [("dir:file", "directory"), ("oci:file", "layout")] {
        home.berth(["pull", source]).fails(1).err_has(&format!(
            "{what} file is malformed: it is not a directory\n"
        ));
    }
    home.write("root.tar", root_tar());
    home.berth(["pull", "--config", "fifo", "rootfs-tar:root.tar"])
        .fails(1)
        .err_has("cannot read fifo: it is a pipe, not a file\n");
}

#[test]
fn several_images_are_listed_in_every_kind() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("layout"));
    let mut list = Vec::new();
    let mut tar = Tar::new();
    for name in ["example.org/a:1", "example.org/b:2"] {
        let image = Image::of(Tar::new().file("name", name));
        let entry = layout.put_image(&image);
        layout.name(entry, name);
        let config = format!("{}.json", digest(name.as_bytes()).replace(':', "-"));
        let path = format!("{config}.tar");
        tar = tar
            .file(&config, image.config_bytes())
            .file(&path, &image.layers[0].tar);
        list.push(json!({"Config": config, "RepoTags": [name], "Layers": [path]}));
    }
    list[1]["RepoTags"] = json!(null);
    let tar = tar.file("manifest.json", serde_json::to_vec(&list).unwrap());
    home.write("docker.tar", tar.finish());
    home.sh("tar -C layout -cf oci.tar .").ok();
    for (source, place, names) in [
        (
            "oci:layout",
            "layout layout",
            "example.org/a:1, example.org/b:2",
        ),
        (
            "oci-archive:oci.tar",
            "archive oci.tar",
            "example.org/a:1, example.org/b:2",
        ),
        (
            "docker-archive:docker.tar",
            "archive docker.tar",
            "example.org/a:1, @1",
        ),
    ] {
        home.berth(["pull", source])
            .fails(1)
            .one_error()
            .err_has(&format!(
                "error: cannot pull {source}: {place} holds more than one image: {names}\n"
            ))
            .err_has("hint: choose one by adding :NAME, or :@N for the Nth from 0");
        for pick in ["example.org/a:1", "@1"] {
            let picked = format!("{source}:{pick}");
            let ran = home.berth(["pull", "-q", "--name", "x", &picked]).ok();
            assert!(ran.stdout.starts_with("x@"), "{}", ran.stdout);
            let expected = if pick == "@1" {
                "example.org/b:2"
            } else {
                pick
            };
            let name = home.berth(["cat", "x", "name"]).ok().stdout;
            assert_eq!(name, expected, "{picked}");
        }
        for (pick, what) in [("c", "image c"), ("@2", "image @2")] {
            home.berth(["pull", &format!("{source}:{pick}")])
                .fails(1)
                .one_error()
                .err_has(&format!("{what} not found in {place}\n"));
        }
    }
}

#[test]
fn a_position_counts_as_skopeo_does() {
    needs!(Skopeo);
    let home = Home::new();
    let mut layout = Layout::new(&home.join("layout"));
    let first = layout.put_image(&Image::of(Tar::new().file("name", "first")));
    let attestation = layout.attestation(first["digest"].as_str().unwrap());
    let second = layout.put_image(&Image::of(Tar::new().file("name", "second")));
    layout.name(attestation, "a");
    layout.name(first, "b");
    layout.name(second, "c");
    home.berth(["pull", "oci:layout"])
        .fails(1)
        .err_has("holds more than one image: b, c\n");
    home.berth(["pull", "oci:layout:@0"])
        .fails(1)
        .err_has("is not a container image: it is an attestation about one\n");
    let (digest, ..) = pulled(&home, "oci:layout:@2");
    home.berth(["pull", "-q", "--name", "x", "oci:layout:@2"])
        .ok();
    assert_eq!(home.berth(["cat", "x", "name"]).ok().stdout, "second");
    assert_eq!(digest, skopeo_digest(&home, "oci:layout:c"));
}

#[test]
fn a_bare_tar_is_an_image_and_always_the_same_one() {
    let home = Home::new();
    home.write("root.tar", root_tar());
    home.sh("gzip -c root.tar > root.tgz; xz -c root.tar > root.tar.xz")
        .ok();
    let platform = ["--platform", "linux/amd64"];
    let first = home
        .berth(["pull", "-q", "rootfs-tar:root.tar"])
        .args(platform)
        .ok();
    let digest = first
        .stdout
        .trim()
        .strip_prefix("root.tar@")
        .unwrap()
        .to_owned();
    for (file, name) in [("root.tgz", "root.tgz"), ("root.tar.xz", "root.tar.xz")] {
        let other = Home::new();
        let source = format!("rootfs-tar:{}", home.join(file).display());
        let ran = other.berth(["pull", "-q", &source]).args(platform).ok();
        assert_eq!(ran.stdout, format!("{name}@{digest}\n"));
    }
    let other = Home::new();
    let ran = other
        .berth(["pull", "-q", "rootfs-tar:-"])
        .args(platform)
        .input(root_tar())
        .ok();
    assert_eq!(ran.stdout, format!("stdin@{digest}\n"));
    let files = other.berth(["ls", "-R", "-l", "stdin"]).ok().stdout;
    assert!(
        files.contains("-rw-r-----     7     8          6 /etc/motd\n"),
        "{files}"
    );
    let config = home.berth(["inspect", "--config", "root.tar"]).ok().stdout;
    let expected = format!(
        r#"{{"architecture":"amd64","config":{{}},"os":"linux","rootfs":{{"diff_ids":["{}"],"type":"layers"}}}}"#,
        crate::support::digest(&root_tar())
    );
    assert_eq!(config, expected);
}

#[test]
fn a_bare_tar_takes_the_config_that_is_given() {
    let home = Home::new();
    home.write("root.tar", root_tar());
    let config = json!({"architecture": "amd64", "os": "linux", "author": "me",
        "config": {"Cmd": ["/bin/x"], "Env": ["A=b"]}, "history": [{"created_by": "x"}, {"created_by": "y"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}});
    home.write("config.json", config.to_string());
    home.berth([
        "pull",
        "-q",
        "--config",
        "config.json",
        "rootfs-tar:root.tar",
    ])
    .ok();
    let shown = home.berth(["inspect", "root.tar"]).ok().json();
    assert_eq!(
        (&shown["cmd"], &shown["env"]),
        (&json!(["/bin/x"]), &json!(["A=b"]))
    );
    assert_eq!(shown["layers"][0]["diff_id"], digest(&root_tar()));
    for (text, error) in [
        (
            r#"{"Cmd":["sh"]}"#,
            "config config.json is malformed: Cmd belongs into its `config`\n",
        ),
        (
            "[]",
            "config config.json is malformed: invalid type: sequence",
        ),
        (
            r#"{"config":{"Cmd":1}}"#,
            "is malformed: invalid type: integer `1`",
        ),
    ] {
        home.write("config.json", text);
        home.berth(["pull", "--config", "config.json", "rootfs-tar:root.tar"])
            .fails(1)
            .one_error()
            .err_has(error);
    }
    home.berth(["pull", "--config", "config.json", "oci:x"])
        .fails(2)
        .one_error()
        .err_has("--config is for a rootfs-tar:");
    home.write("bad.tar", "this is no tar, but it is longer than nothing");
    home.berth(["pull", "rootfs-tar:bad.tar"])
        .fails(1)
        .one_error()
        .err_has(" is malformed: as a tar, it is cut short in a header\n");
}

#[test]
fn atomics_forms_are_understood() {
    let home = Home::new();
    archives(&home);
    let path = home.join("docker.tar");
    for source in [
        format!("dockertar:{}", path.display()),
        format!("dockertar:/{}", path.display()),
        "dockertar:docker.tar".into(),
    ] {
        let ran = Home::new()
            .berth(["pull", "-q", &source])
            .dir(home.path())
            .ok();
        assert!(ran.stdout.starts_with("example.org/x:1@"), "{}", ran.stdout);
    }
    let absent = Path::new("/nowhere.tar");
    home.berth(["pull", &format!("dockertar:{}", absent.display())])
        .fails(1)
        .err_has("cannot open /nowhere.tar: No such file");
}

#[test]
fn http_waives_tls_and_https_does_not() {
    needs!(Registry);
    let registry = crate::support::registry::Registry::start_tls();
    let home = Home::new();
    Layout::with(&home.join("push"), &image());
    registry.push_layout(&home.join("push"), "app:latest");
    let name = format!("{}/app", registry.host());
    for form in ["https:", ""] {
        home.berth(["pull", &format!("{form}{name}")])
            .fails(1)
            .err_has("invalid peer certificate");
    }
    let ran = home.berth(["pull", "-q", &format!("http:{name}")]).ok();
    assert!(
        ran.stdout.starts_with(&format!("{name}:latest@")),
        "{}",
        ran.stdout
    );
    home.berth(["inspect", &format!("http:{name}")]).ok();
}
