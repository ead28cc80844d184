//! Flags about the files that a container sees besides its image's.

use std::path::PathBuf;

use clap::ValueEnum;
use runtime::{ImageVolumes, Mount, Settings, Tmpfs, Volume, VolumeSource};

use super::parsed;
use crate::report::Failure;

/// What is mounted.
#[derive(Debug, clap::Args)]
pub(super) struct MountFlags {
    /// Mount a file, directory or named volume
    #[arg(short, long = "volume", value_name = "[SRC:]DST[:OPTIONS]", value_parser = parsed::<Volume>)]
    volume: Vec<Volume>,
    /// Mount type=bind, volume or tmpfs
    #[arg(long, value_name = "type=TYPE,src=SRC,dst=DST[,OPTION…]", value_parser = parsed::<Mount>)]
    mount: Vec<Mount>,
    /// Mount a file system in memory, with what the image has there
    #[arg(long, value_name = "DST[:OPTIONS]", value_parser = parsed::<Tmpfs>)]
    tmpfs: Vec<Tmpfs>,
    /// What becomes of the volumes that the image declares
    #[arg(long, value_enum, default_value = "anonymous", value_name = "KIND")]
    image_volume: ImageVolumeKind,
    /// Forbid writing to the image's files; /run, /tmp and /var/tmp are in memory
    #[arg(long)]
    read_only: bool,
    /// With --read-only: whether /run, /tmp and /var/tmp are in memory
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        value_name = "true|false"
    )]
    read_only_tmpfs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImageVolumeKind {
    /// Each is a volume of this container alone
    #[value(alias = "bind")]
    Anonymous,
    /// Each is in memory
    Tmpfs,
    /// They are directories like any other
    Ignore,
}

impl MountFlags {
    /// Writes them into the settings.
    pub(super) fn settle(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.read_only = self.read_only;
        settings.no_read_only_tmpfs = !self.read_only_tmpfs;
        settings.image_volumes = match self.image_volume {
            ImageVolumeKind::Anonymous => ImageVolumes::Anonymous,
            ImageVolumeKind::Tmpfs => ImageVolumes::Tmpfs,
            ImageVolumeKind::Ignore => ImageVolumes::Ignore,
        };
        let mounted = self.mount.iter().filter_map(|mount| match mount {
            Mount::Volume(volume) => Some(volume),
            Mount::Tmpfs(_) => None,
        });
        let volumes = self.volume.iter().chain(mounted).map(absolute);
        settings.volumes = volumes.collect::<Result<_, _>>()?;
        let mounted = self.mount.iter().filter_map(|mount| match mount {
            Mount::Tmpfs(tmpfs) => Some(tmpfs),
            Mount::Volume(_) => None,
        });
        settings.tmpfs = self.tmpfs.iter().chain(mounted).cloned().collect();
        Ok(())
    }
}

/// A host path is relative to the directory that the command runs in.
fn absolute(volume: &Volume) -> Result<Volume, Failure> {
    let VolumeSource::Host(path) = &volume.source else {
        return Ok(volume.clone());
    };
    let path: PathBuf = std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("cannot find {}: {error}", path.display())))?;
    Ok(Volume {
        source: VolumeSource::Host(path),
        ..volume.clone()
    })
}
