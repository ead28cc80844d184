//! What can go wrong with services, worded once.
//!
//! Sentences that begin with a capital are Project Atomic's own: its users' scripts look for them.

use std::path::PathBuf;

use super::name::ServiceName;

/// An error of a service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that a unit cannot have.
    #[error("cannot name a service {name:?}: {why}")]
    Name {
        /// The name, shortened.
        name: String,
        /// The rule that it breaks.
        why: String,
    },
    /// A `--set` without `=`.
    #[error("Invalid value '{given}'.  Expected form NAME=VALUE")]
    SetForm {
        /// What was given.
        given: String,
    },
    /// A `$` that no placeholder begins with.
    #[error("cannot render {file}: Invalid placeholder in string: line {line}, col {column}")]
    Placeholder {
        /// The template, from the image's root.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
    },
    /// Variables without a value.
    #[error(
        "The template file '{file}' still contains an unreplaced value for: {}",
        quoted(names)
    )]
    Unreplaced {
        /// The template, from the image's root.
        file: String,
        /// Their names, in the order of the template.
        names: Vec<String>,
    },
    /// A value that would change the meaning of the file that it lands in.
    #[error("cannot use the value of {name} in {file}: {why}")]
    Value {
        /// The variable.
        name: String,
        /// Where it is used.
        file: String,
        /// Why not.
        why: &'static str,
    },
    /// `exports/manifest.json` is not what it should be.
    #[error("Invalid manifest.json file in image: {image}.")]
    Manifest {
        /// The image.
        image: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The runtime's configuration is no JSON.
    #[error("Invalid json in configuration file: {}.", path.display())]
    ConfigJson {
        /// Where it would be.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The runtime's configuration is not one of a service.
    #[error("Invalid configuration file.  {why}")]
    Config {
        /// The rule that it breaks.
        why: String,
    },
    /// A document of an image that cannot be used.
    #[error("cannot use {file} of the image: {why}")]
    Document {
        /// The document, from the image's root.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A file that an image may not put on the host.
    #[error("cannot install {path:?} on the host: {why}")]
    HostPath {
        /// Where it should go.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// A number from outside over its limit.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// There is a service of this name.
    #[error("{name} already present")]
    Present {
        /// The name.
        name: ServiceName,
    },
    /// The name is one of the deployments of another service, or the other way round.
    #[error(
        "cannot install {name} beside {other}: {short}.0, {short}.1 … are deployments of {short}"
    )]
    NameOfSlot {
        /// The name.
        name: ServiceName,
        /// The service that is there.
        other: ServiceName,
        /// The shorter name of the two.
        short: ServiceName,
    },
    /// There is no service of this name.
    #[error("System container '{name}' is not installed")]
    NotInstalled {
        /// The name.
        name: ServiceName,
    },
    /// A file that is to be written belongs to somebody else.
    #[error("The file {} already exists.", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The service came with the system.
    #[error("Cannot {verb} a preinstalled container")]
    Preinstalled {
        /// What was asked.
        verb: &'static str,
    },
    /// The link of a service leads to nothing.
    #[error("cannot find the current deployment of service {name}")]
    NoCurrent {
        /// The service.
        name: ServiceName,
    },
    /// There is nothing to go back to.
    #[error("Cannot find a previous deployment to rollback located at {}", path.display())]
    NoPrevious {
        /// Where one would be.
        path: PathBuf,
    },
    /// A deployment without its unit.
    #[error("cannot use deployment {}: it may be corrupted, its unit is missing", path.display())]
    Corrupted {
        /// The deployment.
        path: PathBuf,
    },
    /// A deployment that a journal names is nowhere.
    #[error("cannot find deployment {}", path.display())]
    LostDeployment {
        /// Where it should be.
        path: PathBuf,
    },
    /// The root file system of `--rootfs` is not there.
    #[error("cannot use {}: the remote rootfs does not exist", path.display())]
    NoRemote {
        /// As it was given.
        path: PathBuf,
    },
    /// What `--rootfs` names is none.
    #[error("--rootfs was specified but the given location does not contain a rootfs: {}", path.display())]
    RemoteWithoutRoot {
        /// As it was given.
        path: PathBuf,
    },
    /// Other services run from the root of this one.
    #[error(
        "cannot uninstall service {name}: {} from its root file system",
        running(users)
    )]
    PointedTo {
        /// The service.
        name: ServiceName,
        /// The others.
        users: Vec<ServiceName>,
    },
    /// An update would put more on the host.
    #[error(
        "cannot update service {name}: it would add to the host: {}",
        paths_listed(paths)
    )]
    AddsPaths {
        /// The service.
        name: ServiceName,
        /// What it would add.
        paths: Vec<PathBuf>,
    },
    /// A service was started and is not up.
    #[error("service {name} did not come up: {why}")]
    NotUp {
        /// The service.
        name: ServiceName,
        /// What it did instead.
        why: String,
    },
    /// A change failed, and everything is as it was before.
    #[error("cannot {verb} service {name}, everything is as it was before")]
    Undone {
        /// What was asked.
        verb: &'static str,
        /// The service.
        name: ServiceName,
        /// Why not.
        source: Box<crate::Error>,
    },
    /// A change failed and cannot be undone either.
    #[error("cannot {verb} service {name}, nor undo what was done: {why}")]
    Stuck {
        /// What was asked.
        verb: &'static str,
        /// The service.
        name: ServiceName,
        /// Why not.
        why: String,
    },
    /// A journal of another berth.
    #[error("cannot read journal {}: its version is {version}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// One of systemd's programs failed.
    #[error("{command} failed: {why}")]
    Systemd {
        /// The command as it is typed.
        command: String,
        /// What it said last, or how it ended.
        why: String,
        /// Why it could not be executed.
        source: Option<std::io::Error>,
    },
    /// There is no systemd to speak to.
    #[error("cannot reach systemd: {why}")]
    NoSystemd {
        /// How that showed.
        why: String,
    },
    /// A line of a quadlet that cannot be honoured.
    #[error("cannot use {file}: line {line}: {why}")]
    Quadlet {
        /// The file as it was given.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The key and what is wrong with it.
        why: String,
    },
}

impl Error {
    /// What the reader can do about it, for a `hint:` line.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Name { .. } | Self::NameOfSlot { .. } => Some("choose another name with --name"),
            Self::Unreplaced { .. } => Some("give each a value with --set NAME=VALUE"),
            Self::NoSystemd { .. } => {
                Some("with --no-systemd berth does the rest and prints what it would run")
            }
            Self::NotInstalled { .. } => Some("`berth services -a` lists what is installed"),
            Self::AddsPaths { .. } => Some("with --yes it may"),
            Self::Stuck { .. } => Some("put right what is in the way, then: berth repair"),
            Self::PointedTo { .. } => Some("uninstall them first"),
            _ => None,
        }
    }
}

/// Atomic printed a Python exception here, which quotes the name once more.
fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("''{name}''")).collect();
    quoted.join(", ")
}

fn running(names: &[ServiceName]) -> String {
    let verb = if names.len() == 1 { "runs" } else { "run" };
    let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
    format!("{} {verb}", names.join(", "))
}

fn paths_listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
