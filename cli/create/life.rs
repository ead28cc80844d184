//! Flags about how a container begins and ends.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use runtime::{Container, Life, Restart, StopSignal};

use super::{BERTH_FAILED, parsed};
use crate::report::{Failure, cause};

/// Its beginning and its end.
#[derive(Debug, clap::Args)]
pub(super) struct LifeFlags {
    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,
    /// Start it again when it has ended: no, always, unless-stopped, on-failure or on-failure:TRIES
    #[arg(long, value_name = "POLICY", value_parser = parsed::<Restart>)]
    restart: Option<Restart>,
    /// Run an init as the first process, which passes signals on and reaps orphans
    #[arg(long)]
    init: bool,
    /// Write the container's id to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// What `stop` sends instead of the image's signal
    #[arg(long, value_name = "SIGNAL", value_parser = parsed::<StopSignal>)]
    stop_signal: Option<StopSignal>,
    /// Seconds that `stop` waits before it kills [default: 10]
    #[arg(long, value_name = "S")]
    stop_timeout: Option<u64>,
}

impl LifeFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Life, Failure> {
        let restart = self.restart.unwrap_or_default();
        if self.rm && restart != Restart::No {
            return Err(Failure::usage(
                "cannot use --restart with --rm: what is removed cannot be started again",
            ));
        }
        Ok(Life {
            remove: self.rm,
            restart,
            init: self.init,
            stop_signal: self.stop_signal,
            stop_timeout: self.stop_timeout,
            ..Life::default()
        })
    }

    /// Takes the file for the id before there is one, so that no container is made when it is refused.
    pub(super) fn id_file(&self) -> Result<Option<IdFile>, Failure> {
        let Some(path) = self.cidfile.clone() else {
            return Ok(None);
        };
        match File::create_new(&path) {
            Ok(file) => Ok(Some(IdFile { path, file })),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::new(
                format!("cannot use --cidfile {}: it exists", path.display()),
            )
            .hint("remove it, unless another container still needs it")),
            Err(error) => Err(Failure::new(format!(
                "cannot create {}: {}",
                path.display(),
                cause(&error)
            ))),
        }
    }
}

/// A file that gets the id of a container.
pub(super) struct IdFile {
    path: PathBuf,
    file: File,
}

impl IdFile {
    /// Writes the id of `container`, or removes the file when there is none after all.
    pub(super) fn fill(mut self, container: Option<&Container>) -> Result<(), Failure> {
        let done = match container {
            Some(container) => self.file.write_all(container.record.id.as_bytes()),
            None => std::fs::remove_file(&self.path),
        };
        done.map_err(|error| {
            let (path, why) = (self.path.display(), cause(&error));
            Failure::new(format!("cannot write {path}: {why}")).code(BERTH_FAILED)
        })
    }
}
