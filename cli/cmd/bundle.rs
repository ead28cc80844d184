//! Bundles: what another store lacks of images, in one file or stream.

use std::io::{IsTerminal as _, Read};
use std::path::Path;
use std::process::ExitCode;

use store::{BundleOptions, Image, LayerLimits, LockKind, Repo};

use super::load::say_loaded;
use crate::context::Context;
use crate::report::Failure;

/// The level of a bundle: higher ones take longer and gain little.
const LEVEL: i32 = 12;

/// Writes a bundle of images for a store that has all of `since` to a file, or to stdout for `-`. A file is complete or
/// as it was before.
pub(crate) fn save_since(
    context: &Context,
    names: &[String],
    since: &[String],
    file: &Path,
) -> Result<ExitCode, Failure> {
    let repo = context.open_repo_of(names.first().map_or("", String::as_str))?;
    let _lock = context.lock_for_reading(&repo)?;
    let (images, since) = (find(&repo, names)?, find(&repo, since)?);
    let options = BundleOptions { level: LEVEL };
    if file == Path::new("-") && std::io::stdout().is_terminal() {
        return Err(Failure::usage("cannot write a bundle to a terminal")
            .hint("name a file with --output, or pipe it to another program"));
    }
    fetch::write_file(file, |out| -> Result<(), Failure> {
        store::write_bundle(&repo, &images, &since, &options, out)?;
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Stores the images of a bundle, which is read to its end.
pub(crate) fn load_bundle(context: &Context, bundle: &mut dyn Read) -> Result<ExitCode, Failure> {
    let repo = context.writable_repo()?;
    let _lock = context.lock(&repo, LockKind::Shared)?;
    let loaded = store::read_bundle(&repo, bundle, &LayerLimits::default())?;
    for image in &loaded.images {
        say_loaded(image.name.as_str())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find(repo: &Repo, names: &[String]) -> Result<Vec<Image>, Failure> {
    let find = |name: &String| Ok(store::find_image(repo, name)?);
    names.iter().map(find).collect()
}
