//! `atomic mount` and `atomic unmount`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{find, storage};
use crate::cmd;
use crate::context::Context;
use crate::report::{Failure, note};

/// Mount an image or container at a directory, to look into it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic mount busybox /mnt")]
pub(crate) struct MountArgs {
    /// Mount options, separated by commas; ro, nodev and nosuid always hold
    #[arg(
        short,
        long,
        value_name = "OPTIONS",
        default_value = "",
        hide_default_value = true
    )]
    options: String,
    /// Mount a running container so that it can be changed; not in ostree
    #[arg(long, conflicts_with_all = ["shared", "storage"])]
    live: bool,
    /// Let containers read it as well, where SELinux has labels
    #[arg(long, conflicts_with = "storage")]
    shared: bool,
    /// The storage; there is only ostree
    #[arg(long)]
    storage: Option<String>,
    /// An image or container
    image: String,
    /// Where to
    mountpoint: PathBuf,
}

/// Unmount what atomic mount has mounted
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic umount /mnt")]
pub(crate) struct UnmountArgs {
    /// Where
    mountpoint: PathBuf,
}

/// Mounts.
pub(super) fn mount(args: MountArgs, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(other) = args.storage.as_deref().filter(|it| *it != storage::OSTREE) {
        return Err(Failure::new(format!("{other} is not a valid storage")));
    }
    let name = find::plain(&args.image);
    if args.live {
        find::image_here(name, None, context)?;
        return Err(Failure::new(
            "Containers and images managed through OSTree do not support --live.",
        ));
    }
    let made = cmd::mount::mount_at(name, &args.mountpoint, &args.options, context);
    let mounted = made.map_err(|failure| match failure.cause_of::<runtime::Error>() {
        Some(runtime::Error::MountPointUsed { .. }) => {
            Failure::new("The destination path is not empty.")
        }
        Some(runtime::Error::MountNeedsRoot { .. }) => {
            Failure::new("Need to be root to mount a container.")
        }
        _ => failure,
    })?;
    if let Some(words) = mounted.words(&args.mountpoint) {
        note!("{words}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Unmounts.
pub(super) fn unmount(args: UnmountArgs, context: &Context) -> Result<ExitCode, Failure> {
    let ended = cmd::mount::unmount_at(&args.mountpoint, context);
    ended.map_err(|failure| match failure.cause_of::<runtime::Error>() {
        Some(runtime::Error::NotMounted { .. }) => Failure::new(format!(
            "No device mounted at {}",
            args.mountpoint.display()
        )),
        _ => failure,
    })?;
    Ok(ExitCode::SUCCESS)
}
