//! Manifests of every kind, and those that are refused: the reason is one line.

use serde_json::{Value, json};

use super::image;
use crate::pull::double::{Answer, Double};
use crate::support::image::{Form, Image, Layer, Layout, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Tar};
use crate::support::{Home, digest};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A registry that has these documents and the blobs of `image`; the first document is `app:latest`.
fn serve(image: &Image, documents: Vec<(&'static str, Vec<u8>)>) -> Double {
    Double::serve(image, move |asked| {
        let name = asked.path.strip_prefix("/v2/app/manifests/")?;
        let found = documents
            .iter()
            .enumerate()
            .find(|(at, (_, body))| name == digest(body) || (*at == 0 && name == "latest"));
        let (media_type, body) = found?.1;
        Some(Answer::ok(body.clone()).with("Content-Type", *media_type))
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

#[track_caller]
fn refused(documents: Vec<(&'static str, Vec<u8>)>, error: &str) {
    let home = Home::new();
    let first = digest(&documents[0].1);
    let double = serve(&image(), documents);
    for name in ["app:latest".to_owned(), format!("app@{first}")] {
        let source = format!("docker://{}/{name}", double.host());
        home.berth(["pull", &source])
            .fails(1)
            .one_error()
            .err_has(&format!("error: cannot pull {source}: {error}"));
    }
    assert!(
        double
            .asked("/blobs/")
            .iter()
            .all(|it| !it.path.contains(&image().layers[0].digest))
    );
}

#[test]
fn every_kind_of_manifest_is_read() {
    let image = image();
    let oci = image.manifest();
    let mut docker = image.manifest();
    docker["mediaType"] = DOCKER_MANIFEST.into();
    docker["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    for layer in docker["layers"].as_array_mut().unwrap() {
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
    }
    for (kind, list, manifest) in [
        (OCI_MANIFEST, OCI_INDEX, oci),
        (DOCKER_MANIFEST, DOCKER_LIST, docker),
    ] {
        let manifest = bytes(&manifest);
        let index = bytes(
            &json!({"schemaVersion": 2, "mediaType": list, "manifests": [
            {"mediaType": kind, "digest": digest(&manifest), "size": manifest.len(),
             "platform": {"os": "linux", "architecture": "amd64"}}]}),
        );
        for documents in [
            vec![(kind, manifest.clone())],
            vec![(list, index), (kind, manifest)],
        ] {
            let home = Home::new();
            let named = digest(&documents[0].1);
            let double = serve(&image, documents);
            let ran = home.berth(["pull", "-q", &double.url()]).ok();
            assert_eq!(
                ran.stdout,
                format!("{}/app:latest@{named}\n", double.host())
            );
            let name = format!("{}/app", double.host());
            assert_eq!(home.berth(["cat", &name, "etc/top"]).ok().stdout, "top\n");
        }
    }
}

/// An image within so many indexes.
fn nested(home: &Home, depth: usize) -> String {
    let mut layout = Layout::new(&home.join(format!("deep{depth}")));
    let mut entry = layout.put_image(&image());
    for _ in 0..depth {
        entry = layout.put_index(&[entry]);
    }
    layout.name(entry, "latest");
    format!("oci:{}", layout.path().display())
}

#[test]
fn indexes_lie_four_deep() {
    let home = Home::new();
    home.berth(["pull", "-q", &nested(&home, 4)]).ok();
    home.berth(["pull", &nested(&home, 5)])
        .fails(1)
        .one_error()
        .err_has("is too large: the limit is 4 indexes within each other\n");
}

#[test]
fn what_a_descriptor_carries_is_not_asked_for() {
    use std::process::Command;
    let base64 = |bytes: &[u8]| {
        let home = Home::new();
        let path = home.write("bytes", bytes);
        let out = Command::new("base64")
            .arg("-w0")
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let image = image();
    let config = image.config_bytes();
    let mut manifest = image.manifest();
    manifest["config"]["data"] = base64(&config).into();
    let manifest = bytes(&manifest);
    let index = |data: String| {
        bytes(&json!({"schemaVersion": 2, "manifests": [
            {"mediaType": OCI_MANIFEST, "digest": digest(&manifest), "size": manifest.len(), "data": data}]}))
    };
    let home = Home::new();
    let double = serve(&image, vec![(OCI_INDEX, index(base64(&manifest)))]);
    home.berth(["pull", "-q", &double.url()]).ok();
    assert_eq!(double.asked("/manifests/").len(), 1, "only the index");
    assert_eq!(double.asked(&digest(&config)).len(), 0, "not the config");
    let what = format!("manifest {}", digest(&manifest));
    refused(
        vec![(OCI_INDEX, index("!".into()))],
        &format!("{what} is malformed: its embedded data is not base64\n"),
    );
    let mut other = manifest.clone();
    other.reverse();
    refused(
        vec![(OCI_INDEX, index(base64(&other)))],
        &format!(
            "digest of {what} does not match: expected {}, found {}\n",
            digest(&manifest),
            digest(&other)
        ),
    );
    refused(
        vec![(OCI_INDEX, index(base64(b"short")))],
        &format!(
            "size of {what} does not match: expected {}, found 5\n",
            manifest.len()
        ),
    );
}

#[test]
fn artifacts_say_that_they_are_none() {
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2});
    let plain =
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": empty, "layers": [empty]});
    let why = |manifest: &Value, why: &str| {
        format!(
            "manifest {} is not a container image: {why}\n",
            digest(&bytes(manifest))
        )
    };
    let error = why(
        &plain,
        "its config is of type application/vnd.oci.empty.v1+json",
    );
    refused(vec![(OCI_MANIFEST, bytes(&plain))], &error);
    let mut typed = plain.clone();
    typed["artifactType"] = "application/x.sbom".into();
    let error = why(&typed, "it is an artifact of type application/x.sbom");
    refused(vec![(OCI_MANIFEST, bytes(&typed))], &error);
    let mut signature = image().manifest();
    signature["config"]["mediaType"] = "application/vnd.dev.cosign.\u{1b}simplesigning".into();
    let error = why(
        &signature,
        "its config is of type application/vnd.dev.cosign.simplesigning",
    );
    refused(vec![(OCI_MANIFEST, bytes(&signature))], &error);
    let mut statement = image().manifest();
    statement["layers"][0]["mediaType"] = "application/vnd.in-toto+json".into();
    let error = why(&statement, "it is an attestation about one");
    refused(vec![(OCI_MANIFEST, bytes(&statement))], &error);
    // behind an index of nothing else
    let raw = bytes(&typed);
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": OCI_MANIFEST, "digest": digest(&raw),
        "size": raw.len(), "artifactType": "application/x.sbom"}]});
    let error = why(&typed, "it is an artifact of type application/x.sbom");
    refused(
        vec![(OCI_INDEX, bytes(&index)), (OCI_MANIFEST, raw)],
        &error,
    );
    let withdrawn =
        json!({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []});
    refused(
        vec![(
            "application/vnd.oci.artifact.manifest.v1+json",
            bytes(&withdrawn),
        )],
        "cannot use manifest of an artifact: not supported\n",
    );
}

#[test]
fn an_empty_config_under_an_images_type_is_none() {
    let mut image = image();
    image.config = json!({"rootfs": null});
    let home = Home::new();
    let mut layout = Layout::new(&home.join("layout"));
    let config = layout.put(OCI_CONFIG, b"{}");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
    let entry = layout.put(OCI_MANIFEST, &bytes(&manifest));
    layout.name(entry, "latest");
    home.berth(["pull", "oci:layout"])
        .fails(1)
        .one_error()
        .err_has(&format!(
            "config {} is malformed: it has no rootfs.diff_ids, so it is not an image's\n",
            digest(b"{}")
        ));
}

#[test]
fn old_and_ambiguous_manifests_are_refused() {
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let old = json!({"schemaVersion": 1, "name": "app", "tag": "latest", "architecture": "amd64",
        "fsLayers": [{"blobSum": digest(b"x")}], "history": [{"v1Compatibility": "{}"}], "signatures": []});
    refused(
        vec![(signed, bytes(&old))],
        "cannot use manifest of docker schema 1: not supported\n",
    );
    let mut both = image().manifest();
    both["manifests"] = json!([]);
    let error = |body: &Value, why: &str| {
        format!("manifest {} is malformed: {why}\n", digest(&bytes(body)))
    };
    let why = "it reads both as a manifest and as an index";
    refused(vec![(OCI_MANIFEST, bytes(&both))], &error(&both, why));
    refused(vec![(OCI_INDEX, bytes(&both))], &error(&both, why));
    let plain = image().manifest();
    let why = format!("its media type {OCI_INDEX} contradicts its content");
    refused(vec![(OCI_INDEX, bytes(&plain))], &error(&plain, &why));
}

/// The URLs of a layer lead to a server of ours, which nobody asks.
#[test]
fn urls_of_a_layer_are_never_followed() {
    for media_type in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ] {
        let image = image();
        let elsewhere = Double::serve(&image, |_| None);
        let url = format!(
            "http://{}/v2/app/blobs/{}",
            elsewhere.host(),
            image.layers[0].digest
        );
        let mut manifest = image.manifest();
        manifest["layers"][0]["mediaType"] = media_type.into();
        manifest["layers"][0]["urls"] = json!([url]);
        let home = Home::new();
        let double = serve(&image, vec![(OCI_MANIFEST, bytes(&manifest))]);
        home.berth(["pull", "-q", &double.url()]).ok();
        assert_eq!(double.asked(&image.layers[0].digest).len(), 1);
        // a registry that does not have it
        let mut without = image.clone();
        without.layers.remove(0);
        without.config["rootfs"] =
            serde_json::from_slice::<Value>(&image.config_bytes()).unwrap()["rootfs"].clone();
        let double = serve(&without, vec![(OCI_MANIFEST, bytes(&manifest))]);
        Home::new()
            .berth(["pull", &double.url()])
            .fails(1)
            .one_error()
            .err_has(&format!(
                "{} not found in registry {}\n",
                image.layers[0].digest,
                double.host()
            ));
        assert!(elsewhere.asked("").is_empty(), "{:?}", elsewhere.asked(""));
    }
}

#[test]
fn layers_of_unknown_types_are_refused() {
    for (media_type, shown) in [
        (
            "application/vnd.example.wasm",
            "application/vnd.example.wasm",
        ),
        (
            "application/vnd.oci.image.layer.v1.tar+encrypted",
            "application/vnd.oci.image.layer.v1.tar+encrypted",
        ),
        (
            "application/vnd.oci.empty.v1+json",
            "application/vnd.oci.empty.v1+json",
        ),
        ("", "(none)"),
    ] {
        let mut manifest = image().manifest();
        manifest["layers"][0]["mediaType"] = media_type.into();
        let error = format!("cannot use layer of media type {shown}: not supported\n");
        refused(vec![(OCI_MANIFEST, bytes(&manifest))], &error);
    }
}

#[test]
fn an_image_for_another_platform_is_warned_of() {
    let home = Home::new();
    for (config, platform, warning) in [
        (
            json!({"os": "linux", "architecture": "arm64", "variant": "v8"}),
            "linux/amd64",
            "warning: the image is for linux/arm64/v8, not for linux/amd64\n",
        ),
        (
            json!({"os": "linux", "architecture": "amd64", "variant": "v3"}),
            "linux/amd64/v2",
            "warning: the image is for linux/amd64/v3, not for linux/amd64/v2\n",
        ),
        (
            json!({"os": "windows", "architecture": "amd64"}),
            "linux/amd64",
            "warning: the image is for windows/amd64, not for linux/amd64\n",
        ),
        (
            json!({"os": "linux", "architecture": "amd64", "variant": "v2"}),
            "linux/amd64/v3",
            "",
        ),
        (
            json!({"os": "linux", "architecture": "arm", "variant": "v6"}),
            "linux/arm/v7",
            "",
        ),
        (json!({}), "linux/amd64", ""),
    ] {
        let mut image = image();
        image.config = config;
        Layout::with(&home.join("layout"), &image);
        let ran = home
            .berth([
                "--progress",
                "none",
                "pull",
                "--platform",
                platform,
                "oci:layout:latest",
            ])
            .ok();
        assert_eq!(ran.stderr, warning);
    }
}

#[test]
fn the_platform_that_is_asked_for_wins() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("layout"));
    let platforms = [
        ("amd64", ""),
        ("amd64", "v2"),
        ("amd64", "v3"),
        ("arm", "v6"),
        ("arm", "v7"),
        ("arm64", "v8"),
    ];
    let entries = platforms.map(|(architecture, variant)| {
        let mut image = Image::of(Tar::new().file("is", format!("{architecture}/{variant}")));
        image.config = json!({"os": "linux", "architecture": architecture, "variant": variant});
        let mut entry = layout.put_image(&image);
        entry["platform"] = image.config.clone();
        entry
    });
    let index = layout.put_index(&entries);
    layout.name(index, "latest");
    let is = |platform: Option<&str>| {
        let flag = platform.map(|platform| format!("--platform={platform}"));
        home.berth(["pull", "-q", "--name", "x", "oci:layout"])
            .args(flag)
            .ok();
        home.berth(["cat", "x", "is"]).ok().stdout
    };
    for (platform, expected) in [
        ("linux/amd64", "amd64/"),
        ("linux/amd64/v1", "amd64/"),
        ("linux/amd64/v2", "amd64/v2"),
        ("linux/amd64/v3", "amd64/v3"),
        ("linux/amd64/v4", "amd64/v3"),
        ("linux/arm/v6", "arm/v6"),
        ("linux/arm/v8", "arm/v7"),
        ("linux/arm", "arm/v7"),
        ("linux/arm64", "arm64/v8"),
    ] {
        assert_eq!(is(Some(platform)), expected, "{platform}");
    }
    let host = is(None);
    if cfg!(target_arch = "x86_64") {
        let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let line = flags
            .lines()
            .find(|line| line.starts_with("flags"))
            .unwrap();
        let has = |names: &[&str]| {
            names
                .iter()
                .all(|name| line.split(' ').any(|flag| flag == *name))
        };
        let second = has(&["cx16", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"]);
        let third = has(&["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]);
        let expected = match (second, third) {
            (true, true) => "amd64/v3",
            (true, false) => "amd64/v2",
            _ => "amd64/",
        };
        assert_eq!(host, expected, "what /proc/cpuinfo says");
    }
}

/// The layer of 1024 zeros that docker puts where a step made nothing, an OCI layer of an empty tar, and steps that
/// have none.
#[test]
fn empty_layers_and_steps_without_one_are_read() {
    let home = Home::new();
    let gzip = [
        31, 139, 8, 0, 0, 9, 110, 136, 0, 255, 98, 24, 5, 163, 96, 20, 140, 88, 0, 8, 0, 0, 255,
        255, 46, 175, 181, 239, 0, 4, 0, 0,
    ];
    let mut zeros = Layer::new(vec![0; 1024], Form::Plain);
    zeros.blob = gzip.to_vec();
    zeros.digest = digest(&gzip);
    zeros.size = 32;
    zeros.media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
    assert_eq!(
        zeros.digest,
        "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
    );
    let empty = Layer::new(Tar::new().finish(), Form::Zstd);
    let mut image = Image::new([
        Layer::new(Tar::new().file("a", "a").finish(), Form::Gzip),
        zeros.clone(),
        Layer::new(Tar::new().file("b", "b").finish(), Form::Gzip),
        zeros,
        empty,
    ]);
    let step = |by: &str, empty: bool| json!({"created_by": by, "empty_layer": empty});
    image.config["history"] = json!([
        step("one", false),
        step("env", true),
        step("two", false),
        step("three", false),
        step("cmd", true),
        step("four", false),
        step("five", false),
        step("label", true),
    ]);
    Layout::with(&home.join("layout"), &image);
    home.berth(["pull", "-q", "oci:layout:latest"]).ok();
    let files = home.berth(["ls", "-R", "layout"]).ok().stdout;
    assert_eq!(
        files
            .lines()
            .filter(|line| line.ends_with('a') || line.ends_with('b'))
            .count(),
        2,
        "{files}"
    );
    let history = home.berth(["history", "layout"]).ok().stdout;
    for by in ["one", "env", "two", "three", "cmd", "four", "five", "label"] {
        assert!(history.contains(by), "{by}: {history}");
    }
    home.berth(["verify", "layout"]).ok();
}
