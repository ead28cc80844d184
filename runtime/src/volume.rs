//! `-v` and `--tmpfs` as podman spells them. Pure: text in, values out.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where the files of a volume live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// A file or directory of the host.
    Host(PathBuf),
    /// A volume of the store, made when it is first used.
    Named(String),
    /// A volume that belongs to one container.
    Anonymous,
}

/// One `-v`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// What is mounted.
    pub source: VolumeSource,
    /// Where in the container, absolute and without `..`.
    pub destination: PathBuf,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

impl FromStr for Volume {
    type Err = Error;

    /// Parses `[SOURCE:]DESTINATION[:OPTIONS]`; a source with a `/` is of the host, else it is a volume's name.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--volume", text, why);
        let fields: Vec<&str> = text.split(':').collect();
        let (source, destination, options) = match fields.as_slice() {
            [destination] => (None, destination, ""),
            [source, destination] => (Some(source), destination, ""),
            [source, destination, options] => (Some(source), destination, *options),
            _ => return Err(fail("expected [SOURCE:]DESTINATION[:ro|rw]")),
        };
        let source = match source {
            None => VolumeSource::Anonymous,
            Some(source) if source.contains('/') || source.starts_with('.') => {
                VolumeSource::Host(PathBuf::from(source))
            }
            Some(name) if is_volume_name(name) => VolumeSource::Named((*name).to_owned()),
            Some(_) => {
                return Err(fail(
                    "a volume's name has letters, digits and _.- only; a host path has a /",
                ));
            }
        };
        let mut read_only = false;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                // SELinux labels mean nothing here, and mounts never propagate out.
                "rw" | "z" | "Z" | "rprivate" | "private" | "rbind" => read_only &= option != "rw",
                other => return Err(fail(&format!("option {other} is not supported"))),
            }
        }
        let destination = inside("--volume", text, destination)?;
        Ok(Self {
            source,
            destination,
            read_only,
        })
    }
}

/// One `--tmpfs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where in the container, absolute and without `..`.
    pub destination: PathBuf,
    /// Mount options, e.g. `size=64m`.
    pub options: Vec<String>,
}

impl FromStr for Tmpfs {
    type Err = Error;

    /// Parses `DESTINATION[:OPTION,…]`.
    fn from_str(text: &str) -> Result<Self> {
        let (destination, options) = text.split_once(':').unwrap_or((text, ""));
        let known = |option: &str| {
            let name = option.split_once('=').map_or(option, |(name, _)| name);
            [
                "size",
                "mode",
                "nr_inodes",
                "rw",
                "ro",
                "exec",
                "noexec",
                "suid",
                "nosuid",
                "dev",
                "nodev",
            ]
            .contains(&name)
        };
        let options: Vec<String> = options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        if let Some(unknown) = options.iter().find(|option| !known(option)) {
            return Err(Error::option(
                "--tmpfs",
                text,
                format!("option {unknown} is not supported"),
            ));
        }
        Ok(Self {
            destination: inside("--tmpfs", text, destination)?,
            options,
        })
    }
}

/// The absolute place in a container that `path` names, made plain.
pub(crate) fn inside(option: &'static str, given: &str, path: &str) -> Result<PathBuf> {
    if !path.starts_with('/') {
        return Err(Error::option(
            option,
            given,
            "the place in the container is not an absolute path",
        ));
    }
    let mut plain = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                return Err(Error::option(
                    option,
                    given,
                    "the place in the container holds ..",
                ));
            }
            _ => {}
        }
    }
    if plain == Path::new("/") {
        return Err(Error::option(
            option,
            given,
            "the place in the container is its root",
        ));
    }
    Ok(plain)
}

/// Letters, digits and `_.-`, not starting with a mark.
pub(crate) fn is_volume_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_as_podman_spells_them() {
        let volume = |source, destination: &str, read_only| Volume {
            source,
            destination: destination.into(),
            read_only,
        };
        let host = |path: &str| VolumeSource::Host(path.into());
        for (text, expected) in [
            ("/a:/b", volume(host("/a"), "/b", false)),
            ("/a:/b/:ro,Z", volume(host("/a"), "/b", true)),
            ("./a:/b//c", volume(host("./a"), "/b/c", false)),
            (
                "data:/b:rw",
                volume(VolumeSource::Named("data".into()), "/b", false),
            ),
            ("/b", volume(VolumeSource::Anonymous, "/b", false)),
        ] {
            assert_eq!(text.parse::<Volume>().expect(text), expected, "{text}");
        }
    }

    #[test]
    fn bad_volumes_are_refused() {
        for text in [
            "",
            "a:b",
            "/a:b",
            "/a:/../b",
            "/a:/",
            "/a:/b:O",
            "/a:/b:ro:x",
            "-x:/b",
            "a b:/c",
        ] {
            assert!(text.parse::<Volume>().is_err(), "{text}");
        }
    }

    #[test]
    fn tmpfs_options_are_checked() {
        let tmpfs: Tmpfs = "/run:size=1m,noexec".parse().expect("valid");
        assert_eq!(
            (tmpfs.destination, tmpfs.options),
            ("/run".into(), vec!["size=1m".into(), "noexec".into()])
        );
        assert!("/run:uid=0".parse::<Tmpfs>().is_err());
        assert!("run".parse::<Tmpfs>().is_err());
    }
}
