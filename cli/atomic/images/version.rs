//! `atomic images version`, and the version of an image that it and `verify` show.

use std::process::ExitCode;

use store::Digest;
use store::oci::ImageConfig;

use super::super::{find, layout};
use crate::context::Context;
use crate::report::{Failure, out};

/// Display the version of an image: its labels Version and Release
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images version busybox")]
pub(crate) struct VersionArgs {
    /// Recurse through all layers; in ostree an image is one
    #[arg(short, long)]
    recurse: bool,
    /// The storage; there is only ostree
    #[arg(long)]
    storage: Option<String>,
    /// An image
    image: String,
}

/// Prints name, version and id.
pub(in super::super) fn version(args: VersionArgs, context: &Context) -> Result<ExitCode, Failure> {
    let (_, image) = find::image_here(&args.image, args.storage.as_deref(), context)?;
    let name = image.name.to_string();
    let version = long_version(&image.config, &image.id);
    let id = image.id.hex();
    let widths = [
        (name.chars().count() + 9).max(12),
        version.chars().count().max(9),
        10,
    ];
    layout::line(&["IMAGE NAME", "VERSION", "IMAGE ID"], &widths)?;
    layout::line(&[&name, &version, layout::cut(&id, 12)], &widths)?;
    out!("")?;
    Ok(ExitCode::SUCCESS)
}

/// Version and Release as the labels have them, else the id.
pub(super) fn long_version(config: &ImageConfig, digest: &Digest) -> String {
    let parts: Vec<&str> = ["version", "release"]
        .into_iter()
        .filter_map(|name| label(config, name))
        .filter(|value| !value.is_empty())
        .collect();
    match parts.is_empty() {
        true => digest.hex(),
        false => parts.join("-"),
    }
}

/// A label, whether its name is written in small letters, large ones or with one capital.
pub(super) fn label<'c>(config: &'c ImageConfig, name: &str) -> Option<&'c str> {
    let labels = config.container.labels.as_ref()?;
    let mut found = labels
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.as_str())
}
