//! `berth mount` and `berth umount`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runtime::{HostMountOptions, HostMounted, MountSource};

use crate::context::{Context, is_root};
use crate::create;
use crate::report::{Failure, note, printable};
use crate::{services, units};

/// Mount an image read-only at an empty directory, or the root of a service; who is not root gets a copy of the image,
/// which umount takes away
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth mount redis:7 /mnt\n  berth umount /mnt")]
pub(crate) struct MountArgs {
    /// noexec; ro, nosuid and nodev always hold
    #[arg(
        short,
        long,
        value_name = "OPTIONS",
        default_value = "",
        hide_default_value = true
    )]
    options: String,
    /// A service, or an image by name or id
    name: String,
    /// An empty directory
    dir: PathBuf,
}

/// Unmount what berth mount has mounted
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth umount /mnt")]
pub(crate) struct UmountArgs {
    /// Where it is mounted
    dir: PathBuf,
}

/// How something was mounted.
pub(crate) struct Mounted {
    how: HostMounted,
    left_out: Vec<String>,
}

/// Mounts.
pub(crate) fn mount(args: MountArgs, context: &Context) -> Result<ExitCode, Failure> {
    let mounted = mount_at(&args.name, &args.dir, &args.options, context)?;
    if let Some(words) = mounted.words(&args.dir) {
        note!("{words}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Unmounts.
pub(crate) fn umount(args: UmountArgs, context: &Context) -> Result<ExitCode, Failure> {
    unmount_at(&args.dir, context)?;
    Ok(ExitCode::SUCCESS)
}

/// Mounts an image, with options as mount(8) has them.
pub(crate) fn mount_at(
    name: &str,
    dir: &Path,
    options: &str,
    context: &Context,
) -> Result<Mounted, Failure> {
    let words = || options.split(',').filter(|word| !word.is_empty());
    let done = ["ro", "nosuid", "nodev", "noexec"];
    let left_out = words().filter(|word| !done.contains(word));
    let left_out = left_out.map(str::to_owned).collect();
    let options = HostMountOptions {
        privileged: is_root(),
        no_exec: words().any(|word| word == "noexec"),
    };
    if let (services, _) = units::split(vec![name.to_owned()])
        && let Some(service) = services.first()
    {
        let rootfs = services::places()?.link(service).join("rootfs");
        let source = MountSource::Directory(&rootfs);
        let how = runtime::mount_on_host(&context.root, source, dir, options)?;
        return Ok(Mounted { how, left_out });
    }
    let (repo, image, _lock) = create::image_to_keep(name, context)?;
    let how = runtime::mount_on_host(
        &context.root,
        MountSource::Image(&repo, &image),
        dir,
        options,
    )?;
    Ok(Mounted { how, left_out })
}

/// Ends a mount; says what is left of a copy that was not of the image.
pub(crate) fn unmount_at(dir: &Path, context: &Context) -> Result<(), Failure> {
    let ended = runtime::unmount_on_host(&context.root, dir)?;
    for path in &ended.left {
        let path = dir.join(path);
        note!(
            "note: {} stays: it is not of the image",
            printable(&path.display().to_string())
        );
    }
    Ok(())
}

impl Mounted {
    /// What there is to say about it.
    pub(crate) fn words(&self, dir: &Path) -> Option<String> {
        let mut words = Vec::new();
        if let HostMounted::Copy(_) = self.how {
            words.push(format!(
                "note: {} is a copy, without permission to write, since only root can mount; umount takes it away",
                dir.display()
            ));
        }
        if !self.left_out.is_empty() {
            words.push(format!(
                "note: left out {}: what is mounted is ro, nosuid and nodev",
                self.left_out.join(",")
            ));
        }
        (!words.is_empty()).then(|| words.join("\n"))
    }
}
