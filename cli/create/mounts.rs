//! Flags about the files that a container sees besides its image's.

use std::path::PathBuf;

use runtime::{Settings, Tmpfs, Volume, VolumeSource};

use super::parsed;
use crate::report::Failure;

/// What is mounted.
#[derive(Debug, clap::Args)]
pub(super) struct MountFlags {
    /// Mount a file, directory or named volume
    #[arg(short, long = "volume", value_name = "[SRC:]DST[:ro]", value_parser = parsed::<Volume>)]
    volume: Vec<Volume>,
    /// Mount an empty file system in memory
    #[arg(long, value_name = "DST[:OPTIONS]", value_parser = parsed::<Tmpfs>)]
    tmpfs: Vec<Tmpfs>,
    /// Forbid writing to the image's files; /run, /tmp and /var/tmp are in memory
    #[arg(long)]
    read_only: bool,
}

impl MountFlags {
    /// Writes them into the settings.
    pub(super) fn settle(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.read_only = self.read_only;
        settings.volumes = self.volume.iter().map(absolute).collect::<Result<_, _>>()?;
        settings.tmpfs.clone_from(&self.tmpfs);
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
