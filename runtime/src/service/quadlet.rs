//! A podman quadlet: a service described by a `.container` file and its drop-ins.
//!
//! What `[Container]` says is asked of the container, and what cannot be honoured is refused by its name and line, so that
//! nothing silently differs. The other sections are the unit's and go there as they are. Specifiers are systemd's in the
//! unit; in the container's own settings the few that are known beforehand are replaced.

mod container;
mod env_file;
mod specifier;
mod syntax;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::syntax::Line;
use super::error::Error;
use super::name::ServiceName;
use crate::error::{Error as AnyError, Result};
use crate::options::Settings;

/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most drop-ins of one quadlet.
const DROP_INS_MAX: usize = 256;
/// Keys of `[Service]` that are berth's to set.
const OURS: [&str; 7] = [
    "ExecStart",
    "ExecStop",
    "NotifyAccess",
    "PIDFile",
    "Type",
    "BusName",
    "WorkingDirectory",
];

/// A `.container` file, read and understood. It can be kept as it is, for the next update.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Quadlet {
    /// The image.
    pub image: String,
    /// Whether the program tells when it is ready (`Notify=true`).
    pub notify: bool,
    /// What the reader should know, a sentence each.
    pub said: Vec<String>,
    /// What is asked of the container beyond its image.
    pub(crate) settings: Settings,
    /// Lines of the unit's sections, as systemd reads them.
    pub(crate) unit: Vec<String>,
    pub(crate) service: Vec<String>,
    pub(crate) install: Vec<String>,
}

/// What a quadlet's specifiers and relative paths mean.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The service that it becomes.
    pub name: &'a ServiceName,
    /// The home directory of who installs (`%h`).
    pub home: &'a Path,
    /// `/run`, or the user's (`%t`).
    pub run_directory: &'a Path,
}

/// A file of a quadlet: the `.container` file itself or a drop-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Quadlet {
    /// The name that the service of the file at `path` has: that of the file without `.container`.
    pub fn service_name(path: &Path) -> Result<ServiceName, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        ServiceName::new(name.strip_suffix(".container").unwrap_or(&name))
    }

    /// Reads the file at `path` with what is in `PATH.d/*.conf`, by name.
    pub fn open(path: &Path, around: &Surroundings<'_>) -> Result<Self> {
        let mut files = vec![read(path)?];
        let mut dir = path.as_os_str().to_owned();
        dir.push(".d");
        match std::fs::read_dir(&dir) {
            Ok(entries) => {
                let mut paths = Vec::new();
                for entry in entries {
                    let path = entry.map_err(AnyError::io("read", &dir))?.path();
                    if path.extension().is_some_and(|it| it == "conf") {
                        paths.push(path);
                    }
                }
                if paths.len() > DROP_INS_MAX {
                    return Err(Error::TooLarge {
                        what: "the number of drop-ins".to_owned(),
                        limit: DROP_INS_MAX.to_string(),
                    }
                    .into());
                }
                paths.sort();
                for path in paths {
                    files.push(read(&path)?);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(AnyError::io("read", &dir)(error)),
        }
        Self::parse(&files, around)
    }

    /// Reads the texts of a `.container` file and its drop-ins.
    pub(crate) fn parse(files: &[File], around: &Surroundings<'_>) -> Result<Self> {
        let mut quadlet = Self::default();
        let mut reader = container::Reader::new(around);
        for file in files {
            for line in syntax::lines(file)? {
                match line.section.as_str() {
                    "Container" => reader.take(&line, file, &mut quadlet)?,
                    "Unit" => quadlet.unit.push(line.shown()),
                    "Install" => quadlet.install.push(line.shown()),
                    "Service" if OURS.contains(&line.key.as_str()) => {
                        return Err(line.refuse(file, "berth sets it").into());
                    }
                    "Service" => quadlet.service.push(line.shown()),
                    // Generators' own, which say nothing about the container.
                    section if section == "Quadlet" || section.starts_with("X-") => {}
                    section => {
                        let why = format!("section [{section}] is none of a container");
                        return Err(line.refuse(file, &why).into());
                    }
                }
            }
        }
        reader.finish(&mut quadlet);
        if quadlet.image.is_empty() {
            let path = files.first().map(|file| file.path.clone());
            return Err(Error::Quadlet {
                file: path.unwrap_or_default().display().to_string(),
                line: 1,
                why: "no Image is named in [Container]".to_owned(),
            }
            .into());
        }
        Ok(quadlet)
    }
}

impl Line {
    /// The line as systemd reads it.
    fn shown(&self) -> String {
        format!("{}={}", self.key, self.value)
    }

    /// The error that this line cannot be honoured.
    fn refuse(&self, file: &File, why: &str) -> Error {
        Error::Quadlet {
            file: file.path.display().to_string(),
            line: self.number,
            why: format!("{}: {why}", self.key),
        }
    }
}

fn read(path: &Path) -> Result<File> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(AnyError::io("open", path))?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(AnyError::io("read", path))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::TooLarge {
            what: path.display().to_string(),
            limit: format!("{FILE_BYTES_MAX} bytes"),
        }
        .into());
    }
    let path = std::path::absolute(path).map_err(AnyError::io("find", path))?;
    Ok(File { path, text })
}

#[cfg(test)]
mod tests;
