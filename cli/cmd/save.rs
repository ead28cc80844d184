//! `berth save`, and what is said of images that leave the store.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use fetch::{Destination, SaveOptions, Sent};

use super::bundle::save_since;
use super::pull::JOBS;
use crate::args::LogLevel;
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{Failure, note};

/// Write images to an archive that `berth load`, `podman load` and `docker load` read
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth save -o redis.tar redis:7\n  berth save --format docker-archive redis:7 | docker load\n  berth save --since app:1 app:2 | ssh HOST berth load"
)]
pub(crate) struct SaveArgs {
    /// Images by name or id
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The file to write; `-` is standard output [default: -]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value = "oci-archive", value_name = "FORMAT")]
    format: ArchiveFormat,
    /// Write an update for stores that have this image, named by name, id or digest: only what they lack
    #[arg(long, value_name = "NAME", conflicts_with = "format")]
    since: Vec<String>,
    /// Show no progress and no warnings
    #[arg(short, long)]
    quiet: bool,
}

/// An archive that images can be saved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArchiveFormat {
    /// An OCI image layout in a tar
    OciArchive,
    /// What `docker save` writes, with plain layers
    DockerArchive,
}

/// Writes the images.
pub(crate) fn save(args: SaveArgs, context: &Context) -> Result<ExitCode, Failure> {
    let (path, name) = (args.output.unwrap_or_else(|| "-".into()), None);
    if !args.since.is_empty() {
        return save_since(context, &args.names, &args.since, &path);
    }
    let destination = match args.format {
        ArchiveFormat::OciArchive => Destination::OciArchive { path, name },
        ArchiveFormat::DockerArchive => Destination::DockerArchive { path, name },
    };
    refuse_terminal("save", &destination)?;
    let first = args.names.first().map_or("", String::as_str);
    let repo = context.open_repo_of(first)?;
    let progress = Progress::new(context, args.quiet);
    let options = SaveOptions {
        jobs: JOBS,
        registry: None,
        scratch: context.scratch(),
        lock_timeout: Some(context.lock_timeout),
        progress: &|event| progress.event(&event),
    };
    let saved = fetch::save(&repo, &args.names, &destination, &options)?;
    for (_, sent) in &saved {
        say_changed(sent, &destination, args.quiet, context);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a destination is standard output.
pub(crate) fn is_stdout(destination: &Destination) -> bool {
    match destination {
        Destination::OciArchive { path, .. } | Destination::DockerArchive { path, .. } => {
            path.as_os_str() == "-"
        }
        _ => false,
    }
}

/// Refuses to write an archive to a terminal.
pub(crate) fn refuse_terminal(verb: &str, destination: &Destination) -> Result<(), Failure> {
    if is_stdout(destination) && std::io::stdout().is_terminal() {
        let hint = match verb {
            "save" => "name a file with -o FILE, or send it to another program",
            _ => "name a file, or send it to another program",
        };
        return Err(Failure::new(format!("cannot {verb} to a terminal")).hint(hint));
    }
    Ok(())
}

/// Says what of an image is not as it was.
pub(crate) fn say_changed(sent: &Sent, destination: &Destination, quiet: bool, context: &Context) {
    if quiet || context.log_level < LogLevel::Warn || sent.digest == sent.original {
        return;
    }
    let Sent {
        digest,
        layers,
        anew,
        ..
    } = sent;
    match destination {
        Destination::DockerArchive { .. } => note!(
            "note: an archive of docker's has no manifest, and its layers are not compressed; the manifest is now {digest} (config and diff ids are the same)"
        ),
        _ if *anew == 0 => note!(
            "note: an OCI layout has no manifest of docker's; the manifest is now {digest} (config and diff ids are the same)"
        ),
        _ => note!(
            "note: {anew} of {layers} layers {} compressed anew; the manifest is now {digest} (config and diff ids are the same; pull with --keep-blobs to keep them)",
            if *anew == 1 { "is" } else { "are" }
        ),
    }
}
