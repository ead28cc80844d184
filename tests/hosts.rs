//! What the host says about registries: certificates, mirrors, proxies, names.

mod certificates;
mod dns;
mod mirrors;
mod proxies;

use std::path::PathBuf;

use crate::pull::double::Double;
use crate::support::Home;
use crate::support::image::{Image, Tar};

/// An image that is small and always the same.
fn image() -> Image {
    Image::of(Tar::new().file("etc/app", "app\n"))
}

/// Serves [`image`] honestly.
fn honest() -> Double {
    Double::serve(&image(), |_| None)
}

/// A directory of the user's, with these files.
fn directory(home: &Home, name: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
    home.sh(&format!("mkdir -p '{name}'")).ok();
    for (file, data) in files {
        home.write(&format!("{name}/{file}"), data);
    }
    home.join(name)
}

/// A `registries.conf` of the user's.
fn conf(home: &Home, text: &str) -> PathBuf {
    home.write("registries.conf", text)
}

/// How often a manifest was asked for.
fn manifests(double: &Double) -> usize {
    double.asked("/manifests/").len()
}
