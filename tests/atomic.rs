//! What the guides of Project Atomic have their readers type, typed.

mod containers;
mod defects;
mod face;
mod images;
mod mount;
mod services;

use std::path::PathBuf;

use serde_json::json;

use crate::pull::double::Double;
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Tar};
use crate::support::user::Run;

/// A home whose docker.io has one image, `app`.
struct World {
    home: Home,
    image: Image,
    conf: PathBuf,
    _registry: Double,
}

/// The name under which it is listed.
const NAME: &str = "docker.io/library/app";

impl World {
    fn new() -> Self {
        Self::of(Home::new(), app("one\n"))
    }

    fn of(home: Home, image: Image) -> Self {
        let registry = Double::serve(&image, |_| None);
        let text = format!(
            "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"{}\"\n",
            registry.host()
        );
        let conf = home.write("registries.conf", text);
        Self {
            home,
            image,
            conf,
            _registry: registry,
        }
    }

    /// The same, with the image pulled.
    fn pulled() -> Self {
        let world = Self::new();
        world.atomic("pull --storage ostree docker.io/app").ok();
        world
    }

    /// `atomic` and these words.
    fn atomic(&self, words: &str) -> Run {
        let words = words.split_whitespace();
        self.home
            .berth(std::iter::once("atomic").chain(words))
            .env("CONTAINERS_REGISTRIES_CONF", &self.conf)
    }

    /// The image's id.
    fn id(&self) -> String {
        let id = crate::support::digest(&self.image.config_bytes());
        id.trim_start_matches("sha256:").to_owned()
    }
}

/// A small image with labels, whose layer is a tar of 3584 bytes.
fn app(text: &str) -> Image {
    let tar =
        Tar::new()
            .dir("etc")
            .file("etc/app", text)
            .file_with("run.sh", 0o755, 0, 0, "#!/bin/sh\n");
    let mut image = Image::new([Layer::new(tar.finish(), Form::Plain)]);
    image.config = json!({
        "architecture": "amd64", "os": "linux", "created": "2017-03-01T12:30:59Z",
        "config": {"Cmd": ["/run.sh"], "Labels": {
            "Version": "3.1", "Release": "7", "summary": "an app", "atomic.type": "system",
        }},
    });
    image
}
