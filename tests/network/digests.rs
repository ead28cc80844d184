//! A digest is one only if its algorithm, length and case are right; nothing else ever becomes a path or a URL.

use serde_json::{Value, json};

use crate::pull::double::{Answer, Double};
use crate::support::image::{Form, Image, Layer, Layout, OCI_MANIFEST, Tar};
use crate::support::{Home, digest};

const HEX: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";

/// Texts that are no digests, with the reason that is said.
fn bad() -> Vec<(String, &'static str)> {
    let expected = "expected 64 lower-case hex digits";
    vec![
        ("sha256:../../../../etc/passwd".into(), expected),
        ("sha256:..".into(), expected),
        (format!("sha256:{}", &HEX[1..]), expected),
        (format!("sha256:{HEX}0"), expected),
        (format!("sha256:{}", HEX.to_uppercase()), expected),
        (format!("sha256:{}/", &HEX[1..]), expected),
        (format!("sha256:{HEX}\n"), expected),
        ("sha256:".into(), expected),
        (HEX.into(), "expected sha256:<hex>"),
        (
            format!("sha512:{HEX}{HEX}"),
            "cannot use digest algorithm sha512: not supported",
        ),
        (
            format!("SHA256:{HEX}"),
            "cannot use digest algorithm SHA256: not supported",
        ),
        (
            format!("../sha256:{HEX}"),
            "cannot use digest algorithm ../sha256: not supported",
        ),
    ]
}

fn image() -> Image {
    Image::new([Layer::new(Tar::new().file("a", "a").finish(), Form::Gzip)])
}

/// A manifest of `image` with one digest replaced: that of the config, or of the layer.
fn manifest(field: &str, digest: &str) -> Vec<u8> {
    let mut manifest = image().manifest();
    match field {
        "config" => manifest["config"]["digest"] = digest.into(),
        _ => manifest["layers"][0]["digest"] = digest.into(),
    }
    serde_json::to_vec(&manifest).unwrap()
}

#[test]
fn no_other_digest_of_a_manifest_is_asked_for() {
    for field in ["config", "layer"] {
        for (text, why) in bad() {
            let body = manifest(field, &text);
            let double = Double::serve(&image(), move |asked| {
                asked
                    .path
                    .contains("/manifests/")
                    .then(|| Answer::ok(body.clone()).with("Content-Type", OCI_MANIFEST))
            });
            let ran = Home::new()
                .berth(["pull", &double.url()])
                .fails(1)
                .one_error();
            ran.err_has(why).err_has("manifest sha256:");
            assert_eq!(double.asked("/blobs/").len(), 0, "{text}");
        }
    }
}

#[test]
fn no_other_digest_of_a_config_or_a_header_is_believed() {
    for (text, why) in bad() {
        let mut image = image();
        image.layers[0].diff_id = text.clone();
        let double = Double::serve(&image, |_| None);
        let ran = Home::new()
            .berth(["pull", &double.url()])
            .fails(1)
            .one_error();
        ran.err_has(why).err_has("config sha256:");
        assert_eq!(double.asked(&image.layers[0].digest).len(), 0, "{text}");
    }
    let announced = format!("sha256:{}", HEX.to_uppercase());
    let double = Double::serve(&image(), move |asked| {
        let body = serde_json::to_vec(&image().manifest()).unwrap();
        asked.path.contains("/manifests/").then(|| {
            Answer::ok(body)
                .with("Content-Type", OCI_MANIFEST)
                .with("Docker-Content-Digest", announced.clone())
        })
    });
    Home::new()
        .berth(["pull", &double.url()])
        .fails(1)
        .one_error()
        .err_has("expected 64 lower-case hex digits");
}

/// A layout whose `index.json` names this digest, and the file that the digest would lead to as a path.
fn layout(home: &Home, name: &str, digest: &str) -> String {
    let mut layout = Layout::new(&home.join(name));
    let body = serde_json::to_vec(&image().manifest()).unwrap();
    let entry = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": body.len()});
    layout.name(entry, "latest");
    std::fs::write(home.join(name).join("manifest"), body).unwrap();
    format!("{}", home.join(name).display())
}

#[test]
fn no_other_digest_of_a_layout_or_an_archive_is_opened() {
    let home = Home::new();
    let mut bad = bad();
    bad.push((
        "sha256:../../manifest".into(),
        "expected 64 lower-case hex digits",
    ));
    for (number, (text, why)) in bad.into_iter().enumerate() {
        let path = layout(&home, &format!("l{number}"), &text);
        let ran = home
            .berth(["pull", &format!("oci:{path}")])
            .fails(1)
            .one_error();
        ran.err_has(why);
        home.sh(&format!("tar -C {path} -cf {path}.tar .")).ok();
        let ran = home
            .berth(["pull", &format!("oci-archive:{path}.tar")])
            .fails(1)
            .one_error();
        ran.err_has(why);
    }
}

#[test]
fn a_nested_index_and_a_reference_are_held_to_the_same() {
    let home = Home::new();
    for (number, (text, why)) in bad().into_iter().enumerate() {
        let mut layout = Layout::new(&home.join(format!("n{number}")));
        let entry = json!({"mediaType": OCI_MANIFEST, "digest": text, "size": 2,
            "platform": {"os": "linux", "architecture": "amd64"}});
        let index = layout.put_index(&[entry]);
        layout.name(index, "latest");
        let source = format!("oci:{}", layout.path().display());
        home.berth(["pull", &source])
            .fails(1)
            .one_error()
            .err_has(why);
        // The command line does not take a newline at the end of a digest for one either.
        home.berth(["pull", &format!("docker://localhost:1/app@{text}")])
            .fails(2)
            .one_error();
    }
}

#[test]
fn what_lies_among_partial_downloads_is_never_taken_for_one() {
    let tar = Tar::new().file("noise", crate::pull::noise(9_000_000));
    let image = Image::new([Layer::new(tar.finish(), Form::Plain)]);
    let double = Double::serve(&image, |_| None);
    let home = Home::new();
    home.berth(["repo", "init"]).ok();
    let hex = image.layers[0].digest.trim_start_matches("sha256:");
    home.sh(&format!(
        "cd $ROOT/repo; mkdir -p berth/partial; echo precious >precious; cd berth/partial; \
         ln -s ../../precious {hex}; echo x >..x; echo y >{}",
        hex.to_uppercase()
    ))
    .ok();
    home.berth(["pull", &double.url()]).ok();
    let asked = double.asked(&image.layers[0].digest);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].start(), 0);
    let kept = home.sh("cat $ROOT/repo/precious").ok();
    assert_eq!(kept.stdout, "precious\n");
}

#[test]
fn digests_that_are_right_are_taken_in_every_place() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("good"));
    let entry: Value = layout.put_image(&image());
    assert_eq!(
        entry["digest"],
        digest(&serde_json::to_vec(&image().manifest()).unwrap())
    );
    let index = layout.put_index(&[entry]);
    layout.name(index, "latest");
    assert!(layout.blob(&digest(&image().config_bytes())).exists());
    home.berth(["pull", &format!("oci:{}", layout.path().display())])
        .ok();
}
