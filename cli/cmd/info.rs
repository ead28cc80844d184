//! `berth info`.

mod service;

use std::collections::BTreeMap;
use std::process::ExitCode;

use runtime::service::{Exports, Variables};
use serde::Serialize;
use store::{Digest, Image, Repo};

use crate::context::Context;
use crate::report::{self, Failure, out, printable};

/// Show a service, an image's labels and template variables, or this host and store
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth info etcd\n  berth info docker.io/library/redis:7\n  berth info --json\n\nVariables can be set with berth install --set NAME=VALUE."
)]
pub(crate) struct InfoArgs {
    /// A service, or an image by name or id; without it, this host and store
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ImageInfo {
    name: String,
    id: Digest,
    digest: Digest,
    labels: BTreeMap<String, String>,
    variables: Variables,
}

#[derive(Serialize)]
struct HostInfo {
    version: &'static str,
    root: String,
    repository: String,
    mode: Option<&'static str>,
    images: usize,
    services: usize,
}

/// Prints what is known.
pub(crate) fn info(args: InfoArgs, context: &Context) -> Result<ExitCode, Failure> {
    match &args.name {
        Some(name) => match service::find(name)? {
            Some(info) if args.json => report::json(&info)?,
            Some(info) => service::print(&info)?,
            None => image(name, args.json, context)?,
        },
        None => host(args.json, context)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn image(name: &str, json: bool, context: &Context) -> Result<(), Failure> {
    let repo = context.open_repo_of(name)?;
    let _lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, name)?;
    let exports = Exports::of_image(&repo, &image)?;
    let info = describe(image, &exports)?;
    match json {
        true => report::json(&info),
        false => print(&info),
    }
}

/// Prints what an image of the repository says of itself, in Atomic's words.
pub(crate) fn print_image(repo: &Repo, image: Image) -> Result<(), Failure> {
    let exports = Exports::of_image(repo, &image)?;
    print(&describe(image, &exports)?)
}

fn describe(image: Image, exports: &Exports) -> Result<ImageInfo, Failure> {
    Ok(ImageInfo {
        name: image.name.to_string(),
        id: image.id,
        digest: image.digest,
        labels: exports.labels.clone(),
        variables: exports.variables().map_err(runtime::Error::from)?,
    })
}

/// In Atomic's words, which scripts look for.
fn print(info: &ImageInfo) -> Result<(), Failure> {
    out!("Image Name: {}", printable(&info.name))?;
    for (label, value) in &info.labels {
        out!("{}: {}", printable(label), printable(value))?;
    }
    let variables = &info.variables;
    if !variables.with_default.is_empty() {
        out!("\nTemplate variables with default value, but overridable with --set:")?;
    }
    for (name, value) in &variables.with_default {
        let value = value.as_deref().unwrap_or("{SET_BY_OS}");
        out!("{}: {}", printable(name), printable(value))?;
    }
    if !variables.without_default.is_empty() {
        out!("\nTemplate variables that has no default value, and must be set with --set:")?;
    }
    for name in &variables.without_default {
        out!("{}: {{DEF_VALUE}}", printable(name))?;
    }
    Ok(())
}

fn host(json: bool, context: &Context) -> Result<(), Failure> {
    let repo = match context.open_repo() {
        Ok(repo) => Some(repo),
        Err(_) if !context.repo.exists() => None,
        Err(error) => return Err(error),
    };
    let images = match &repo {
        Some(repo) => {
            let _lock = context.lock_for_reading(repo)?;
            store::all_images(repo)?.len()
        }
        None => 0,
    };
    let info = HostInfo {
        version: env!("CARGO_PKG_VERSION"),
        root: context.root.display().to_string(),
        repository: context.repo.display().to_string(),
        mode: repo.map(|repo| repo.mode().as_str()),
        images,
        services: service::count()?,
    };
    if json {
        return report::json(&info);
    }
    let mode = info.mode.unwrap_or("none yet");
    out!("Version: {}", info.version)?;
    out!("Root: {}", printable(&info.root))?;
    out!("Repository: {} ({mode})", printable(&info.repository))?;
    out!("Images: {}", info.images)?;
    out!("Services: {}", info.services)
}
