//! Images that are not what they say: one clear line each, and nothing to be seen in the store.

use serde_json::json;

use super::{no_image, noise};
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::{Home, digest};

/// Pulls a layout that is no good, and asks for this error.
#[track_caller]
fn refused(image: &Image, error: &str) {
    let home = Home::new();
    Layout::with(&home.join("bad"), image);
    let source = format!("oci:{}", home.join("bad").display());
    let ran = home.berth(["pull", &source]).fails(1).one_error();
    ran.err_has(&format!("error: cannot pull {source}: {error}"));
    no_image(&home);
}

fn layer(form: Form) -> Layer {
    Layer::new(Tar::new().file("noise", noise(300_000)).finish(), form)
}

/// The layer with other bytes behind an honest digest of them.
fn with_blob(mut layer: Layer, blob: Vec<u8>) -> Image {
    layer.digest = digest(&blob);
    layer.size = blob.len() as u64;
    layer.blob = blob;
    Image::new([layer])
}

#[test]
fn a_truncated_layer_is_corrupt_in_every_form() {
    for (form, name) in [(Form::Gzip, "gzip"), (Form::Zstd, "zstd")] {
        let layer = layer(form);
        let half = layer.blob[..layer.blob.len() / 2].to_vec();
        let image = with_blob(layer, half);
        refused(
            &image,
            &format!(
                "layer {} is corrupt: not valid {name}",
                image.layers[0].digest
            ),
        );
    }
    let plain = layer(Form::Plain);
    let half = plain.blob[..plain.blob.len() / 2].to_vec();
    let image = with_blob(plain, half);
    refused(&image, "");
}

#[test]
fn a_damaged_layer_is_corrupt_in_every_form() {
    for (form, name) in [(Form::Gzip, "gzip"), (Form::Zstd, "zstd")] {
        let layer = layer(form);
        let mut damaged = layer.blob.clone();
        // Past the magic bytes, where both formats then find a kind of block that does not exist.
        damaged[4..40].fill(0xff);
        let image = with_blob(layer, damaged);
        refused(
            &image,
            &format!(
                "layer {} is corrupt: not valid {name}",
                image.layers[0].digest
            ),
        );
    }
}

#[test]
fn bytes_behind_a_layer_are_refused() {
    for (form, name) in [(Form::Gzip, "gzip"), (Form::Zstd, "zstd")] {
        let layer = layer(form);
        let longer = [&layer.blob[..], b"and more"].concat();
        let image = with_blob(layer, longer);
        refused(
            &image,
            &format!(
                "layer {} is corrupt: not valid {name}",
                image.layers[0].digest
            ),
        );
    }
}

#[test]
fn a_lie_about_a_layer_is_named() {
    let mut wrong = layer(Form::Gzip);
    let honest = wrong.digest.clone();
    wrong.digest = digest(b"something else");
    let error = format!(
        "digest of layer {0} does not match: expected {0}, found {honest}",
        wrong.digest
    );
    refused(&Image::new([wrong]), &error);

    for (change, found) in [(1, ""), (-1, "more than ")] {
        let mut wrong = layer(Form::Gzip);
        let real = wrong.size;
        wrong.size = real.checked_add_signed(change).unwrap();
        let found = if change > 0 {
            real.to_string()
        } else {
            format!("{found}{}", wrong.size)
        };
        let error = format!(
            "size of layer {} does not match: expected {}, found {found}",
            wrong.digest, wrong.size
        );
        refused(&Image::new([wrong]), &error);
    }

    let mut wrong = layer(Form::Gzip);
    let honest = wrong.diff_id.clone();
    wrong.diff_id = digest(b"something else");
    let error = format!(
        "diff id of layer {} does not match: expected {}, found {honest}",
        wrong.digest, wrong.diff_id
    );
    refused(&Image::new([wrong]), &error);
}

#[test]
fn what_is_no_image_is_refused() {
    let mut odd = layer(Form::Plain);
    odd.media_type = "application/vnd.example.wasm".into();
    refused(
        &Image::new([odd]),
        "cannot use layer of media type application/vnd.example.wasm: not supported",
    );

    let mut image = Image::new([layer(Form::Plain)]);
    image.config["rootfs"] = json!({"type": "layers", "diff_ids": []});
    let manifest = digest(&serde_json::to_vec(&image.manifest()).unwrap());
    refused(
        &image,
        &format!("manifest {manifest} is malformed: it lists 1 layers, its config 0"),
    );

    let mut image = Image::new([layer(Form::Plain)]);
    image.config["rootfs"] = json!({});
    let config = digest(&image.config_bytes());
    refused(
        &image,
        &format!("config {config} is malformed: it has no rootfs.diff_ids"),
    );
}

#[test]
fn an_artifact_says_that_it_is_one() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("artifact"));
    let config = layout.put("application/vnd.oci.empty.v1+json", b"{}");
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [config]});
    let entry = layout.put(
        "application/vnd.oci.image.manifest.v1+json",
        &serde_json::to_vec(&manifest).unwrap(),
    );
    layout.name(entry, "latest");
    let ran = home
        .berth(["pull", &format!("oci:{}", layout.path().display())])
        .fails(1)
        .one_error();
    ran.err_has(
        "is not a container image: its config is of type application/vnd.oci.empty.v1+json",
    );
}

#[test]
fn indexes_within_indexes_have_an_end() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("deep"));
    let mut entry = layout.put_image(&Image::of(Tar::new().file("a", "a")));
    for _ in 0..6 {
        entry = layout.put_index(&[entry]);
    }
    layout.name(entry, "latest");
    let ran = home
        .berth(["pull", &format!("oci:{}", layout.path().display())])
        .fails(1)
        .one_error();
    ran.err_has("is too large: the limit is 4 indexes within each other");
}

#[test]
fn a_missing_blob_is_named() {
    let home = Home::new();
    let image = Image::new([layer(Form::Gzip)]);
    Layout::with(&home.join("holey"), &image);
    std::fs::remove_file(
        home.join("holey/blobs")
            .join(image.layers[0].digest.replace(':', "/")),
    )
    .unwrap();
    let ran = home
        .berth(["pull", &format!("oci:{}", home.join("holey").display())])
        .fails(1)
        .one_error();
    ran.err_has(&format!(
        "blob {} not found in layout",
        image.layers[0].digest
    ));
    no_image(&home);
}

#[test]
fn sources_that_make_no_sense_are_usage_errors() {
    let home = Home::new();
    for (source, error) in [
        ("oci:", "cannot understand source \"oci:\": it has no path"),
        (
            "https://example.org/app",
            "a registry is named without http:// or https://",
        ),
        ("docker://UPPER/case", "a repository is lower case"),
        ("sif:/tmp/x.sif", "cannot use transport sif: not supported"),
        (
            "containers-storage:x",
            "cannot use transport containers-storage: not supported",
        ),
    ] {
        home.berth(["pull", source])
            .fails(2)
            .one_error()
            .err_has(error);
    }
    home.berth(["pull", "--name", "x", "a", "b"])
        .fails(2)
        .one_error();
    home.berth(["pull", "oci:/nowhere/at/all"])
        .fails(1)
        .one_error()
        .err_has("cannot open /nowhere/at/all: No such file");
}
