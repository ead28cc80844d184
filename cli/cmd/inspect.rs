//! `berth inspect`: what an image is, here or where it comes from.

use std::collections::BTreeMap;
use std::process::ExitCode;

use fetch::Source;
use serde::Serialize;
use store::oci::{ImageConfig, Manifest};
use store::{DiffId, Digest};

use super::pull::PullFlags;
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{self, Failure, raw_out};

/// Show an image's digest, platform, labels, environment and layers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth inspect redis:7\n  berth inspect --config docker://docker.io/library/redis:7"
)]
pub(crate) struct InspectArgs {
    /// The name of an image here, or a source, which is then looked at without being pulled
    #[arg(value_name = "NAME|SOURCE")]
    image: String,
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

/// Prints what is asked of the image.
pub(crate) fn inspect(args: InspectArgs, context: &Context) -> Result<ExitCode, Failure> {
    let found = match local(&args, context)? {
        Some(found) => found,
        None => remote(&args, context)?,
    };
    if args.raw {
        raw_out(&found.root)?;
    } else if args.config {
        raw_out(&found.config.raw)?;
    } else {
        report::json(&describe(found))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The image of that name in the store; `None` when it is not there, or the name can only be a source.
fn local(args: &InspectArgs, context: &Context) -> Result<Option<Found>, Failure> {
    if Source::is_explicit(&args.image) {
        return Ok(None);
    }
    let repo = match store::Repo::open(&context.repo) {
        Ok(repo) => repo,
        Err(store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let _lock = context.lock_for_reading(&repo)?;
    let image = match store::find_image(&repo, &args.image) {
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

fn remote(args: &InspectArgs, context: &Context) -> Result<Found, Failure> {
    let flags = args.flags.reaching(&args.image);
    let (platform, options) = (flags.platform(), flags.source(context)?);
    let progress = Progress::new(context, false);
    let source = super::pull::parse(&args.image)?;
    let result = fetch::inspect(&source, &platform, &options, &|event| {
        progress.event(&event)
    });
    let (names, resolved) = result.map_err(|error| match Source::is_explicit(&args.image) {
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
