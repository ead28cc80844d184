//! Many containers of one image cost one checkout, and many who want an image that is not there pull it once.

use std::fs;

use crate::needs;
use crate::pull::double::Double;
use crate::run::{busybox, no_containers};
use crate::support::image::{Form, Image, Layer};
use crate::support::{Home, digest, images};

#[test]
fn a_hundred_containers_cost_one_checkout() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let bytes = || -> u64 {
        let said = home.sh("du -sk \"$ROOT\" | cut -f 1").ok();
        said.text().parse::<u64>().unwrap() * 1024
    };
    home.berth(["run", "--rm", "busybox", "true"]).ok();
    let before = bytes();
    let script = "n=0; while test $n -lt 100; do n=$((n+1)); \"$BERTH\" --root \"$ROOT\" run --name c$n busybox echo ran; done";
    let ran = home.sh(script).ok();
    assert_eq!(ran.stdout.matches("ran\n").count(), 100);
    assert_eq!(
        fs::read_dir(home.root().join("checkouts")).unwrap().count(),
        1
    );
    assert_eq!(home.berth(["ps", "-aq"]).ok().stdout.lines().count(), 100);
    let each = (bytes() - before) / 100;
    assert!(each < 64 << 10, "a container takes {each} bytes");
    home.sh("n=0; while test $n -lt 100; do n=$((n+1)); echo c$n; done | xargs \"$BERTH\" --root \"$ROOT\" rm").ok();
    no_containers(&home);
    let left = bytes().saturating_sub(before);
    assert!(left < 64 << 10, "{left} bytes are left");
}

#[test]
fn ten_runs_of_an_image_that_is_not_there_pull_it_once() {
    needs!(Images, Userns, Overlay);
    let home = Home::new();
    let base = images::get("busybox");
    let mut layers = Vec::new();
    for layer in &base.layers {
        home.sh(&format!(
            "zcat -f {} >layer.tar",
            base.blob(&layer.digest).display()
        ))
        .ok();
        layers.push(Layer::new(
            fs::read(home.join("layer.tar")).unwrap(),
            Form::Gzip,
        ));
    }
    let mut image = Image::new(layers);
    image.config["config"] =
        serde_json::json!({"Cmd": ["echo", "ran"], "Env": ["PATH=/bin:/usr/bin"]});
    let registry = Double::serve(&image, |_| None);
    let url = registry.url();
    let name = url.trim_start_matches("docker://");
    let runs: Vec<_> = (0..10)
        .map(|_| home.berth(["run", "--rm", name]).start())
        .collect();
    for run in runs {
        assert_eq!(run.wait().code(0).text(), "ran");
    }
    let config = digest(&image.config_bytes());
    for blob in image
        .layers
        .iter()
        .map(|layer| &layer.digest)
        .chain([&config])
    {
        assert_eq!(
            registry.asked(&format!("/blobs/{blob}")).len(),
            1,
            "requests for {blob}"
        );
    }
    let checkouts: Vec<_> = fs::read_dir(home.root().join("checkouts"))
        .unwrap()
        .flatten()
        .map(|it| it.file_name())
        .collect();
    assert_eq!(checkouts.len(), 1, "{checkouts:?}");
    no_containers(&home);
}
