//! What is between a container and its host: the lessons of this field's CVEs, the store, and the flags that open doors.

mod cve;
mod flags;
mod handles;
mod inherited;
mod kernels;
mod never_run;
mod places;
mod races;
mod seal;
mod store;

use serde_json::{Value, json};

use crate::run::busybox;
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::images;

/// The layers of busybox with one more on top, as the image `name`.
fn on_busybox(home: &Home, name: &str, top: Tar, config: Value) {
    let base = images::get("busybox");
    let mut layers = Vec::new();
    for layer in &base.layers {
        let out = home.sh(&format!(
            "zcat -f {} >layer.tar",
            base.blob(&layer.digest).display()
        ));
        out.ok();
        layers.push(Layer::new(
            std::fs::read(home.join("layer.tar")).unwrap(),
            Form::Gzip,
        ));
    }
    layers.push(Layer::new(top.finish(), Form::Gzip));
    let mut image = Image::new(layers);
    image.config["config"] = config;
    let path = home.join(format!("{name}.oci"));
    Layout::with(&path, &image);
    let source = format!("oci:{}:latest", path.display());
    home.berth(["pull", "--quiet", "--name", name, &source])
        .ok();
}

/// A home with the image `app`: busybox and what is on top of it.
fn with(top: Tar, config: Value) -> Home {
    let home = busybox();
    on_busybox(&home, "app", top, config);
    home
}

fn plain(top: Tar) -> Home {
    with(top, json!({"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]}))
}
