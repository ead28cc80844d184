//! Bundles: what another store lacks of images, in one file or stream.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use store::{BundleOptions, Image, LayerLimits, LockKind, Repo};

use super::load::say_loaded;
use crate::context::Context;
use crate::report::{Failure, cause};

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
    let write = |out: &mut dyn Write| {
        store::write_bundle(&repo, &images, &since, &options, out)?;
        Ok(())
    };
    if file != Path::new("-") {
        write_whole(file, write)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut stdout = std::io::stdout().lock();
    if stdout.is_terminal() {
        return Err(Failure::usage("cannot write a bundle to a terminal")
            .hint("name a file with --output, or pipe it to another program"));
    }
    write(&mut stdout)?;
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

/// Writes a file beside its place and puts it there when it is whole. What is no regular file is written as it is.
fn write_whole(
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let fail = |verb: &str, path: &Path, error: std::io::Error| {
        Failure::new(format!(
            "cannot {verb} {}: {}",
            path.display(),
            cause(&error)
        ))
    };
    if fs::metadata(file).is_ok_and(|meta| !meta.is_file()) {
        let opened = File::options().write(true).open(file);
        return write(&mut opened.map_err(|error| fail("open", file, error))?);
    }
    let part = beside(file);
    let mut out = File::create(&part).map_err(|error| fail("create", file, error))?;
    let done = write(&mut out).and_then(|()| {
        let synced = out.sync_all().map_err(|error| fail("sync", file, error));
        synced?;
        fs::rename(&part, file).map_err(|error| fail("create", file, error))
    });
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&part);
    }
    done
}

/// A name of this process' own in the same directory.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    file.with_file_name(name)
}
