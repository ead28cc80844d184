//! `berth inspect`: what a container or service is, or an image, here or where it comes from.

mod container;
mod service;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::ValueEnum;
use fetch::Source;
use runtime::service::Listed;
use runtime::{Container, Containers};
use serde::Serialize;
use store::oci::{ImageConfig, Manifest};
use store::{DiffId, Digest};

use super::pull::PullFlags;
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{self, Failure, raw_out};
use crate::template::Format;
use crate::units;

/// Show what a container or service is, or an image's digest, platform, labels, environment and layers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth inspect web\n  berth inspect --format '{{.State.Status}}' web\n  berth inspect redis:7\n  berth inspect --config docker://docker.io/library/redis:7\n\nA name is a container's or service's first, then an image's here, then an image's in a registry. Containers and services are printed as a list."
)]
pub(crate) struct InspectArgs {
    /// A container, an image here, or a source, which is then looked at without being pulled
    #[arg(required = true, value_name = "NAME|SOURCE")]
    names: Vec<String>,
    /// Look for containers, services or images alone
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Print with a Go template, or `json`
    #[arg(short, long, value_name = "TEMPLATE", conflicts_with_all = ["raw", "config"])]
    format: Option<String>,
    /// Print the manifest, or the source's index, byte for byte
    #[arg(long, conflicts_with = "config")]
    raw: bool,
    /// Print the image's config byte for byte
    #[arg(long)]
    config: bool,
    /// Do not ask a registry for the other tags of the repository
    #[arg(short, long)]
    no_tags: bool,
    #[command(flatten)]
    flags: PullFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Container,
    Service,
    Image,
}

#[derive(Serialize)]
struct Inspected {
    name: String,
    id: Digest,
    digest: Digest,
    tags: Vec<String>,
    platform: String,
    architecture: String,
    os: String,
    variant: Option<String>,
    created: Option<String>,
    author: Option<String>,
    docker_version: Option<String>,
    user: Option<String>,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    working_dir: Option<String>,
    env: Vec<String>,
    volumes: Vec<String>,
    labels: BTreeMap<String, String>,
    layers: Vec<InspectedLayer>,
}

#[derive(Serialize)]
struct InspectedLayer {
    digest: Digest,
    size: u64,
    media_type: String,
    diff_id: DiffId,
    annotations: BTreeMap<String, String>,
}

/// What is known of an image, wherever it is.
struct Found {
    name: String,
    /// Of the same image here, or of its repository in a registry.
    tags: Vec<String>,
    digest: Digest,
    root: Vec<u8>,
    manifest: Manifest,
    config: ImageConfig,
}

/// Prints what is asked of each name.
pub(crate) fn inspect(args: InspectArgs, context: &Context) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut shown = Vec::new();
    for name in &args.names {
        if let Some(container) = find_container(name, &args, context)? {
            shown.push(container::describe(&container)?);
            continue;
        }
        if let Some(service) = find_service(name, &args)? {
            shown.push(service::describe(&service)?);
            continue;
        }
        let found = match local(name, context)? {
            Some(found) => found,
            None => remote(name, &args, context)?,
        };
        if args.raw {
            raw_out(&found.root)?;
        } else if args.config {
            raw_out(&found.config.raw)?;
        } else if format.is_none() && args.names.len() == 1 {
            // An image alone is no list.
            report::json(&describe(found))?;
        } else {
            shown.push(serde_json::to_value(describe(found)).map_err(Failure::new)?);
        }
    }
    match (format, shown.as_slice()) {
        (Some(format), shown) => format.print(shown, &[])?,
        (None, []) => {}
        (None, shown) => report::json(&shown)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The container of this name, when one may be meant.
fn find_container(
    name: &str,
    args: &InspectArgs,
    context: &Context,
) -> Result<Option<Container>, Failure> {
    let only = args.kind == Some(Kind::Container);
    if !only && (args.kind.is_some() || args.raw || args.config || Source::is_explicit(name)) {
        return Ok(None);
    }
    match Containers::open(&context.root, &context.run_dir()?).find(name) {
        Err(runtime::Error::NoContainer { .. }) if !only => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// The service of this name, when one may be meant.
fn find_service(name: &str, args: &InspectArgs) -> Result<Option<Listed>, Failure> {
    let only = args.kind == Some(Kind::Service);
    if !only && (args.kind.is_some() || args.raw || args.config || Source::is_explicit(name)) {
        return Ok(None);
    }
    match units::find_service(name)? {
        None if only => Err(Failure::new(format!(
            "System container '{name}' is not installed"
        ))),
        found => Ok(found),
    }
}

/// The image of that name in the store; `None` when it is not there, or the name can only be a source.
fn local(name: &str, context: &Context) -> Result<Option<Found>, Failure> {
    if Source::is_explicit(name) {
        return Ok(None);
    }
    let repo = match store::Repo::open(&context.repo) {
        Ok(repo) => repo,
        Err(store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let _lock = context.lock_for_reading(&repo)?;
    let image = match store::find_image(&repo, name) {
        Ok(image) => image,
        Err(store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let same = |other: &store::Image| other.id == image.id;
    let here = store::images(&repo)?;
    let tags = here
        .iter()
        .filter(|it| same(it))
        .map(|it| it.name.to_string());
    Ok(Some(Found {
        name: image.name.to_string(),
        tags: tags.collect(),
        digest: image.digest,
        root: image.manifest.raw.clone(),
        manifest: image.manifest,
        config: image.config,
    }))
}

fn remote(name: &str, args: &InspectArgs, context: &Context) -> Result<Found, Failure> {
    let flags = args.flags.reaching(name);
    let (platform, options) = (flags.platform(), flags.source(context)?);
    let progress = Progress::new(context, false);
    let source = super::pull::parse(name)?;
    let result = fetch::inspect(&source, &platform, &options, &|event| {
        progress.event(&event)
    });
    let (names, resolved) = result.map_err(|error| match Source::is_explicit(name) {
        true => Failure::from(error),
        false => Failure::new(error)
            .hint("no image of that name is here; `berth images` lists those that are"),
    })?;
    let tags = match &source {
        Source::Registry(reference) if !args.no_tags && !args.raw && !args.config => {
            fetch::tags(reference, &options, &|event| progress.event(&event)).unwrap_or_else(
                |error| {
                    // The image may be looked at by those who may not list its repository.
                    progress.event(&fetch::Event::Warning(&report::chain(&error)));
                    Vec::new()
                },
            )
        }
        _ => Vec::new(),
    };
    Ok(Found {
        name: names.name.to_string(),
        tags,
        digest: resolved.digest,
        root: resolved.root,
        manifest: resolved.manifest,
        config: resolved.config,
    })
}

fn describe(found: Found) -> Inspected {
    let Found {
        name,
        digest,
        tags,
        manifest,
        config,
        ..
    } = found;
    let layers = manifest
        .layers
        .into_iter()
        .zip(&config.diff_ids)
        .map(|(layer, diff_id)| InspectedLayer {
            digest: layer.digest,
            size: layer.size,
            media_type: layer.media_type,
            diff_id: *diff_id,
            annotations: layer.annotations,
        });
    Inspected {
        name,
        id: config.id(),
        digest,
        tags,
        platform: config.platform.to_string(),
        architecture: config.platform.architecture,
        os: config.platform.os,
        variant: config.platform.variant,
        author: config.author,
        docker_version: config.docker_version,
        layers: layers.collect(),
        created: config.created,
        user: config.container.user,
        entrypoint: config.container.entrypoint.unwrap_or_default(),
        cmd: config.container.cmd.unwrap_or_default(),
        working_dir: config.container.working_dir,
        env: config.container.env.unwrap_or_default(),
        volumes: config
            .container
            .volumes
            .unwrap_or_default()
            .into_keys()
            .collect(),
        labels: config.container.labels.unwrap_or_default(),
    }
}
