//! An image whose label `atomic.run` says `once` is no service: installing it runs it in the foreground, out of a bundle that
//! goes when it has ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use runtime::service::{
    Exports, Installer, OnceBundle, Order, Places, Root, Runtime, ServiceName, once,
};

use crate::report::{Failure, cause};
use crate::services::{ServiceImage, make_temporary};

/// Runs the image and gives the exit code of its program.
pub(crate) fn run_once(
    image: &ServiceImage,
    exports: &Exports,
    set: &BTreeMap<String, String>,
    command: &[String],
    runtime: &Runtime,
    installer: &Installer,
    places: &Places,
) -> Result<ExitCode, Failure> {
    let name = ServiceName::of_image(image.image.name.as_str()).map_err(runtime::Error::from)?;
    let order = Order {
        name: &name,
        root: Root::Image(&image.repo, &image.image),
        exports,
        image_name: image.image.name.to_string(),
        source: None,
        revision: image.image.id.hex(),
        digest: None,
        config: Some(&image.image.config.container),
        quadlet: None,
        plain: false,
        set: set.clone(),
        runtime,
        keep: 2,
    };
    let bundle = once(places, installer, &order, command)?;
    if let Some(file) = &bundle.tmpfiles {
        make_temporary(file)?;
    }
    run(&bundle, runtime)
}

fn run(bundle: &OnceBundle, runtime: &Runtime) -> Result<ExitCode, Failure> {
    let program: &Path = &runtime.words.first().map(PathBuf::from).unwrap_or_default();
    let status = Command::new(program)
        .args(runtime.words.iter().skip(1))
        .args(["run", &bundle.container])
        .current_dir(&bundle.dir)
        .status()
        .map_err(|error| {
            Failure::new(format!(
                "cannot run {}: {}",
                program.display(),
                cause(&error)
            ))
        })?;
    let code = status.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
