//! Pulling: from real registries, layouts and archives, and from those that are not what they say.

mod bad_input;
pub(crate) mod double;
mod hostile;

use serde_json::json;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::ostree::Ostree;
use crate::support::registry::{Registry, free_port};
use crate::support::{Home, images};

/// Bytes that do not compress, always the same.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// No image is visible, however far the pull came.
#[track_caller]
pub fn no_image(home: &Home) {
    for kind in ["ociimage", "ocifs"] {
        let refs = home.repo().join("refs/heads").join(kind);
        let names: Vec<_> = std::fs::read_dir(refs)
            .into_iter()
            .flatten()
            .flatten()
            .map(|it| it.file_name())
            .collect();
        assert!(names.is_empty(), "{kind} has {names:?}");
    }
}

/// Pushes an image made in memory.
pub(crate) fn push(home: &Home, registry: &Registry, image: &Image, name: &str) -> String {
    let layout = home.join(format!("push-{}", name.replace([':', '/'], "-")));
    let digest = Layout::with(&layout, image);
    registry.push_layout(&layout, name);
    digest
}

pub(crate) fn two_layers(form: Form) -> Image {
    let base = Tar::new()
        .dir("etc")
        .file("etc/base", "base\n")
        .file_with("bin/su", 0o4755, 0, 0, "su\n")
        .finish();
    let top = Tar::new()
        .file("etc/top", "top\n")
        .whiteout("etc/base")
        .symlink("lib", "usr/lib")
        .finish();
    Image::new([Layer::new(base, form), Layer::new(top, form)])
}

#[test]
fn plain_http_on_loopback_works_and_is_said() {
    needs!(Images, Registry, Ostree);
    let (home, registry) = (Home::new(), Registry::shared());
    let built = images::get("busybox");
    let ran = home.berth(["pull", &registry.url("busybox")]).ok();
    let name = format!("{}/busybox:latest", registry.host());
    assert_eq!(ran.stdout, format!("{name}@{}\n", built.digest.unwrap()));
    ran.err_has("does not speak TLS, using plain HTTP");
    Ostree::of(&home).fsck();
}

#[test]
fn a_private_authority_is_named_or_waived() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start_tls());
    push(&home, &registry, &two_layers(Form::Gzip), "app:latest");
    let url = registry.url("app");
    let host = registry.host();
    let ran = home.berth(["pull", &url]).fails(1).one_error();
    let ran = ran.err_has(&format!(
        "cannot pull {url}:latest: cannot reach {host}: invalid peer certificate"
    ));
    ran.err_has("hint: name its CA with --ca FILE");
    let ca = home.write("ca.pem", std::fs::read(registry.ca()).unwrap());
    home.berth(["pull", "--ca", &ca.to_string_lossy(), &url])
        .ok();
    home.berth(["pull", "--tls-verify=false", &url]).ok();
    home.berth(["pull", &url]).env("SSL_CERT_FILE", &ca).ok();
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    needs!(Images, Registry);
    let (home, registry) = (Home::new(), Registry::shared());
    for name in ["multi", "nested"] {
        let built = images::get(name);
        let ran = home.berth(["pull", &registry.url(name)]).ok();
        let line = format!(
            "{}/{name}:latest@{}\n",
            registry.host(),
            built.digest.unwrap()
        );
        assert_eq!(ran.stdout, line, "the digest is the index's");
        let shown = home
            .berth(["inspect", &format!("{}/{name}", registry.host())])
            .ok()
            .json();
        assert_eq!(shown["platform"], "linux/amd64");
    }
    let ran = home
        .berth(["pull", "--platform", "linux/s390x", &registry.url("multi")])
        .fails(1)
        .one_error();
    ran.err_has("no image for linux/s390x: there is ")
        .err_has("hint: choose one with --platform");
}

#[test]
fn attestations_are_passed_over_and_variants_fall_back() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("layout"));
    let mut arm = Image::of(Tar::new().file("arm", "v6"));
    arm.config = json!({"architecture": "arm", "os": "linux", "variant": "v6"});
    let mut entry = layout.put_image(&arm);
    entry["platform"] = json!({"architecture": "arm", "os": "linux", "variant": "v6"});
    let attestation = layout.attestation(entry["digest"].as_str().unwrap());
    let inner = layout.put_index(&[attestation.clone(), entry]);
    let outer = layout.put_index(&[attestation, inner]);
    layout.name(outer, "latest");
    let source = format!("oci:{}", home.join("layout").display());
    home.berth(["pull", "--platform", "linux/arm/v7", &source])
        .ok();
    let ran = home
        .berth(["pull", "--platform", "linux/amd64", &source])
        .fails(1)
        .one_error();
    ran.err_has("no image for linux/amd64: there is linux/arm/v6");
}

#[test]
fn every_form_of_an_image_gives_the_same_tree() {
    needs!(Ostree);
    let home = Home::new();
    let mut trees = Vec::new();
    for form in Form::ALL {
        let path = home.join(format!("{form:?}"));
        Layout::with(&path, &two_layers(form));
        let name = format!("{form:?}");
        home.berth([
            "pull",
            "-q",
            "--name",
            &name,
            &format!("oci:{}", path.display()),
        ])
        .ok();
        trees.push(name);
    }
    let path = home.join("saved.tar");
    two_layers(Form::Plain).write_docker_archive(&path, &["saved:1"]);
    let ran = home
        .berth(["pull", "-q", &format!("docker-archive:{}", path.display())])
        .ok();
    assert!(
        ran.stdout.starts_with("docker.io/library/saved:1@sha256:"),
        "{}",
        ran.stdout
    );
    let ostree = Ostree::of(&home);
    ostree.fsck();
    let first = ostree.ls("ocifs/Plain", "/");
    assert!(
        first.contains("/etc/top") && !first.contains("/etc/base"),
        "{first}"
    );
    for name in ["Gzip", "Zstd", "saved_3A1"] {
        assert_eq!(ostree.ls(&format!("ocifs/{name}"), "/"), first, "{name}");
    }
}

#[test]
fn nothing_is_fetched_twice() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let image = two_layers(Form::Gzip);
    push(&home, &registry, &image, "app:latest");
    let mut next = image.clone();
    let changed = Tar::new().file("etc/top", "next\n").finish();
    next.layers[1] = Layer::new(changed, Form::Gzip);
    push(&home, &registry, &next, "app:next");
    let fetched = |layer: &Layer| {
        let path = format!("GET /v2/app/blobs/{}", layer.digest);
        registry
            .requests()
            .iter()
            .filter(|line| line.starts_with(&path))
            .count()
    };
    for tag in ["latest", "latest", "next"] {
        home.berth(["pull", &registry.url(&format!("app:{tag}"))])
            .ok();
    }
    assert_eq!(fetched(&image.layers[0]), 1, "the shared layer");
    assert_eq!(fetched(&image.layers[1]), 1);
    assert_eq!(fetched(&next.layers[1]), 1);
}

#[test]
fn a_layer_that_comes_twice_is_fetched_once() {
    needs!(Registry, Ostree);
    let (home, registry) = (Home::new(), Registry::start());
    let layer = Layer::new(Tar::new().file("a", "a").finish(), Form::Gzip);
    let image = Image::new([layer.clone(), layer.clone()]);
    push(&home, &registry, &image, "app:latest");
    home.berth(["pull", &registry.url("app")]).ok();
    let path = format!("GET /v2/app/blobs/{}", layer.digest);
    assert_eq!(
        registry
            .requests()
            .iter()
            .filter(|line| line.starts_with(&path))
            .count(),
        1
    );
    Ostree::of(&home).fsck();
}

#[test]
fn a_digest_pins_the_image() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let digest = push(&home, &registry, &two_layers(Form::Gzip), "app:latest");
    let pinned = format!("{}/app@{digest}", registry.host());
    let ran = home
        .berth(["pull", "-q", &format!("docker://{pinned}")])
        .ok();
    assert_eq!(ran.stdout, format!("{pinned}\n"));
    let wrong = format!("docker://{}/app@sha256:{:064}", registry.host(), 7);
    home.berth(["pull", &wrong])
        .fails(1)
        .one_error()
        .err_has("not found in registry");
}

#[test]
fn progress_is_never_on_stdout() {
    let home = Home::new();
    let digest = Layout::with(&home.join("app"), &two_layers(Form::Zstd));
    let source = format!("oci:{}:latest", home.join("app").display());
    let line = format!("app@{digest}\n");
    let ran = home.berth(["pull", "-q", &source]).ok();
    assert_eq!((ran.stdout, ran.stderr), (line.clone(), String::new()));
    for kind in ["plain", "bar", "json", "none"] {
        let ran = Home::new()
            .berth(["--progress", kind, "pull", &source])
            .ok();
        assert_eq!(ran.stdout, line, "{kind}");
        if kind == "json" {
            let events: Vec<serde_json::Value> = ran
                .stderr
                .lines()
                .map(|line| serde_json::from_str(line).expect(line))
                .collect();
            assert!(
                events.iter().any(|event| event["event"] == "layer-done"),
                "{events:?}"
            );
        }
    }
}

#[test]
fn real_layouts_and_archives_are_read() {
    needs!(Images, Ostree);
    let home = Home::new();
    for name in ["redis-plain", "redis-save", "redis-save25"] {
        home.berth(["pull", "-q", "--name", name, &images::get(name).source()])
            .ok();
    }
    let ostree = Ostree::of(&home);
    let plain = ostree.ls("ocifs/redis-plain", "/");
    for name in ["redis-save", "redis-save25"] {
        assert_eq!(ostree.ls(&format!("ocifs/{name}"), "/"), plain, "{name}");
    }
    ostree.fsck();
}

#[test]
fn several_images_need_to_be_picked_from() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("two"));
    for name in ["one", "two"] {
        let entry = layout.put_image(&Image::of(Tar::new().file(name, name)));
        layout.name(entry, name);
    }
    let source = format!("oci:{}", home.join("two").display());
    let ran = home.berth(["pull", &source]).fails(1).one_error();
    ran.err_has("holds more than one image: one, two")
        .err_has("hint: choose one by adding :NAME");
    let ran = home.berth(["pull", "-q", &format!("{source}:@1")]).ok();
    assert!(ran.stdout.starts_with("two@"), "{}", ran.stdout);
    home.berth(["pull", &format!("{source}:three")])
        .fails(1)
        .one_error()
        .err_has("image three not found in layout");
}

#[test]
fn what_the_store_cannot_hold_is_counted_and_named() {
    let home = Home::new();
    let image = Image::of(
        Tar::new()
            .file("a", "a")
            .special("dev/null", b'3', (1, 3))
            .special("pipe", b'6', (0, 0)),
    );
    Layout::with(&home.join("app"), &image);
    let ran = home
        .berth(["pull", &format!("oci:{}", home.join("app").display())])
        .ok();
    ran.err_has("left out 2 entries")
        .err_has("dev/null")
        .err_has("pipe");
    // in an archive they are no better
    image.write_docker_archive(&home.join("saved.tar"), &["app:1"]);
    let load = |args: &[&str]| {
        let args = ["load", "-i", "saved.tar"].iter().chain(args);
        home.berth(args).ok()
    };
    load(&[]).err_has("warning: left out 2 entries that the store cannot hold: ");
    assert_eq!(load(&["-q"]).stderr, "");
}

#[test]
fn inspect_looks_without_pulling() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let mut image = two_layers(Form::Gzip);
    image.config["config"] = json!({"Env": ["A=b"], "Labels": {"k": "v"}, "Cmd": ["sh"]});
    let digest = push(&home, &registry, &image, "app:latest");
    let shown = home.berth(["inspect", &registry.url("app")]).ok().json();
    assert_eq!(shown["digest"], digest.as_str());
    assert_eq!(
        (&shown["labels"]["k"], &shown["env"][0]),
        (&json!("v"), &json!("A=b"))
    );
    assert_eq!(shown["layers"].as_array().unwrap().len(), 2);
    let config = home
        .berth(["inspect", "--config", &registry.url("app")])
        .ok();
    assert_eq!(config.stdout.as_bytes(), image.config_bytes());
    no_image(&home);
    home.berth(["pull", "-q", &registry.url("app")]).ok();
    let name = format!("{}/app", registry.host());
    let mut here = home.berth(["inspect", &name]).ok().json();
    assert_eq!(here["tags"], json!([format!("{name}:latest")]));
    here["tags"] = json!(["latest"]);
    assert_eq!(here, shown, "here and there say the same");
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let host = registry.host();
    let ran = home
        .berth(["pull", &registry.url("nobody")])
        .fails(1)
        .one_error();
    let name = format!("{host}/nobody:latest");
    ran.err_has(&format!(
        "error: cannot pull docker://{name}: image {name} not found in registry {host}\n"
    ));
    let host = format!("127.0.0.1:{}", free_port());
    let ran = home
        .berth(["pull", &format!("docker://{host}/app")])
        .fails(1)
        .one_error();
    let ran = ran.err_has(&format!(
        "cannot pull docker://{host}/app:latest: cannot reach {host}: connection refused\n"
    ));
    ran.err_has(&format!("hint: check that {host} is right"));
    no_image(&home);
}
