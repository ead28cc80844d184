//! What can go wrong with a container.
//!
//! Wording: lower case, no full stop, always with the path, name or id it is about. The cause is in `source()` and never
//! in the text. An error that a reader can do something about carries the hint; the command line prints it on a line of
//! its own. The runtime returns errors and logs nothing.

use std::path::{Path, PathBuf};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A service is not as it should be.
    #[error(transparent)]
    Service(#[from] crate::service::Error),
    /// The file system or the kernel refused something about a path.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// The verb, e.g. `open`.
        op: &'static str,
        /// The file it was about.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The kernel refused something that is about no path.
    #[error("cannot {op}")]
    Os {
        /// The verb with its object, e.g. `read the terminal`.
        op: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A document of ours that cannot be read back.
    #[error("{} is malformed", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// An option that says nothing sensible.
    #[error("cannot use {option} {given:?}: {why}")]
    Option {
        /// The option as it is spelt, e.g. `--volume`.
        option: &'static str,
        /// Its value as it was given.
        given: String,
        /// The rule that it breaks.
        why: String,
    },
    /// No container answers to the name.
    #[error("container {name} not found")]
    NoContainer {
        /// The name, id or prefix as it was given.
        name: String,
    },
    /// The name is taken.
    #[error("cannot use name {name}: container {id} has it")]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        id: String,
    },
    /// No volume has the name.
    #[error("volume {name} not found")]
    NoVolume {
        /// The name as it was given.
        name: String,
    },
    /// A volume has the name.
    #[error("cannot create volume {name}: there is one of this name")]
    VolumeTaken {
        /// The name.
        name: String,
    },
    /// Containers have the volume.
    #[error("cannot remove volume {name}: used by container {}", users.join(", "))]
    VolumeUsed {
        /// The volume's name.
        name: String,
        /// The names of the containers.
        users: Vec<String>,
    },
    /// An image is mounted on an empty directory.
    #[error("cannot mount on {}: it is not empty", path.display())]
    MountPointUsed {
        /// The directory.
        path: PathBuf,
    },
    /// Berth has mounted something there already.
    #[error("cannot mount on {}: something is mounted there", path.display())]
    MountPointTaken {
        /// The directory.
        path: PathBuf,
    },
    /// Berth has mounted nothing there, or somebody else has unmounted it.
    #[error("cannot unmount {}: nothing of berth's is mounted there", path.display())]
    NotMounted {
        /// The directory.
        path: PathBuf,
    },
    /// What is mounted is not an image, and the caller may not mount.
    #[error("cannot mount {}: only root can mount a container", what.display())]
    MountNeedsRoot {
        /// The root file system.
        what: PathBuf,
    },
    /// The container is not in a state that allows the request.
    #[error("cannot {verb} container {id}: it is {state}")]
    WrongState {
        /// What was asked.
        verb: &'static str,
        /// Of which container.
        id: String,
        /// What it is instead.
        state: &'static str,
    },
    /// The output of the container is not kept where we can read it.
    #[error("cannot read the log of container {name}: its log driver is {driver}")]
    NoLog {
        /// The container's name.
        name: String,
        /// What keeps its output, as `--log-driver` spells it.
        driver: &'static str,
        /// Where the output is.
        hint: String,
    },
    /// The supervisor of a container was killed before it could start anything.
    #[error("cannot start container {id}: signal {signal} has ended its supervisor")]
    Supervisor {
        /// Which container.
        id: String,
        /// The number of the signal.
        signal: i32,
    },
    /// The supervisor of a container has gone while we were connected to it.
    #[error("lost container {id}: its supervisor has gone")]
    Lost {
        /// Which container.
        id: String,
    },
    /// Neither image nor caller says how to find out whether the container is well.
    #[error("container {id} has no health check")]
    NoHealthCheck {
        /// Which.
        id: String,
    },
    /// What was asked takes a control group of the container's own.
    #[error("cannot {verb} container {id}: this host gives it no control group")]
    NoGroup {
        /// What was asked.
        verb: &'static str,
        /// Of which container.
        id: String,
    },
    /// No container of the runtime has the id.
    #[error("container {id} does not exist")]
    NoOci {
        /// The id as it was given.
        id: String,
    },
    /// A container of the runtime has the id.
    #[error("container with given ID already exists")]
    OciTaken,
    /// An id that no container of the runtime can have.
    #[error("invalid container ID format: {id:?}")]
    OciId {
        /// The id as it was given.
        id: String,
    },
    /// A bundle, or a document for the runtime, that nothing can be made of.
    #[error("cannot use {}: {why}", path.display())]
    Bundle {
        /// The bundle or the document.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// The image asks for something that its own files do not give.
    #[error("cannot run image: {why}")]
    Image {
        /// What is missing or wrong.
        why: String,
    },
    /// The host lacks something.
    #[error("this host cannot {lacks}")]
    Host {
        /// What it cannot do.
        lacks: &'static str,
        /// What to do about it.
        hint: String,
        /// What the kernel said, if it was asked.
        source: Option<std::io::Error>,
    },
    /// The program of the container could not be executed.
    #[error("cannot execute {program} in the container")]
    Exec {
        /// The program as the image or the command line names it.
        program: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// libcontainer refused.
    #[error("cannot {verb} container {id}")]
    Engine {
        /// What was asked.
        verb: &'static str,
        /// Of which container.
        id: String,
        /// What it said.
        source: Box<libcontainer::error::LibcontainerError>,
    },
    /// A seccomp profile could not be made into a filter.
    #[error("cannot compile seccomp profile")]
    Seccomp {
        /// What libseccomp said.
        source: libseccomp::error::SeccompError,
    },
    /// A path of a container is not what it must be before its program may run.
    #[error("cannot start the container: {} in it is not {what}", path.display())]
    Wall {
        /// The path in the container.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// A step that was handed to a process of its own failed there.
    #[error("cannot {verb} {}: {why}", path.display())]
    Child {
        /// What was asked.
        verb: &'static str,
        /// Of which file.
        path: PathBuf,
        /// What the process said, or how it ended.
        why: String,
    },
}

impl Error {
    /// An I/O error with its verb and path, for `map_err`.
    pub(crate) fn io<E: Into<std::io::Error>>(
        op: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            op,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }

    /// A kernel's refusal without a path, for `map_err`.
    pub(crate) fn os<E: Into<std::io::Error>>(op: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Os {
            op,
            source: source.into(),
        }
    }

    /// An option that cannot be used.
    pub(crate) fn option(option: &'static str, given: &str, why: impl Into<String>) -> Self {
        Self::Option {
            option,
            given: given.to_owned(),
            why: why.into(),
        }
    }

    /// What the reader can do about it, for a `hint:` line.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Host { hint, .. } | Self::NoLog { hint, .. } => Some(hint),
            Self::Service(error) => error.hint(),
            Self::NoGroup { .. } => {
                Some("start the container with: systemd-run --user --scope -p Delegate=yes berth …")
            }
            Self::NameTaken { .. } => {
                Some("choose another with --name, or remove the container with berth rm")
            }
            Self::VolumeUsed { .. } => {
                Some("remove the container first, or use berth volume rm -f, which does")
            }
            Self::WrongState { verb: "remove", .. } => Some("stop it first, or use berth rm -f"),
            _ => None,
        }
    }

    /// The exit code of `berth run` for this error: 127 for a program that is not there, 126 for one that cannot be
    /// executed, 125 for everything else.
    pub fn run_code(&self) -> u8 {
        match self {
            Self::Exec { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 127,
            Self::Exec { .. } => 126,
            _ => 125,
        }
    }
}
