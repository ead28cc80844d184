//! `-v` and `--tmpfs` as podman spells them, and what both and `--mount` come to. Pure: text in, values out.

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

/// One `-v` or `--mount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// What is mounted.
    pub source: VolumeSource,
    /// Where in the container, absolute and without `..`.
    pub destination: PathBuf,
    /// How.
    #[serde(default)]
    pub options: VolumeOptions,
}

/// How a volume is mounted. The default is podman's: writable, programs run, set-user-id bits mean nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOptions {
    /// The container may not write to it.
    pub read_only: bool,
    /// Programs in it are not executed.
    pub no_exec: bool,
    /// Set-user-id bits in it count.
    pub set_id: bool,
    /// All that is in it is given to the container's user.
    pub chown: bool,
    /// A new volume stays empty instead of getting what the image has in its place.
    pub no_copy: bool,
}

impl VolumeOptions {
    /// Takes one word of a list of options, or tells what is wrong with it.
    pub(crate) fn take(&mut self, word: &str) -> std::result::Result<(), String> {
        match word {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "exec" => self.no_exec = false,
            "noexec" => self.no_exec = true,
            "suid" => self.set_id = true,
            "nosuid" => self.set_id = false,
            "U" => self.chown = true,
            "copy" => self.no_copy = false,
            "nocopy" => self.no_copy = true,
            // SELinux labels mean nothing here, devices never work, and mounts never propagate.
            "z" | "Z" | "nodev" | "private" | "rprivate" | "rbind" => {}
            "dev" => return Err(NO_DEVICES.into()),
            "shared" | "rshared" | "slave" | "rslave" | "unbindable" | "runbindable" => {
                return Err(format!(
                    "propagation {word} is not supported: what is mounted in a container stays there"
                ));
            }
            "O" => return Err("an overlay (O) of a host's directory is not supported".into()),
            "idmap" => return Err("idmap is not supported: it takes real root".into()),
            other if other.starts_with("idmap=") => {
                return Err("idmap is not supported: it takes real root".into());
            }
            other => return Err(format!("option {other} is not supported")),
        }
        Ok(())
    }
}

const NO_DEVICES: &str = "dev is not possible: device files do not work in a user namespace";

/// What becomes of the volumes that an image declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageVolumes {
    /// Each is a volume that belongs to the container alone.
    #[default]
    Anonymous,
    /// Each is in memory.
    Tmpfs,
    /// They are directories like any other.
    Ignore,
}

impl FromStr for Volume {
    type Err = Error;

    /// Parses `[SOURCE:]DESTINATION[:OPTIONS]`; a source with a `/` is of the host, else it is a volume's name.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--volume", text, why);
        let fields: Vec<&str> = text.split(':').collect();
        let (source, destination, words) = match fields.as_slice() {
            [destination] => (None, destination, ""),
            [source, destination] => (Some(source), destination, ""),
            [source, destination, words] => (Some(source), destination, *words),
            _ => return Err(fail("expected [SOURCE:]DESTINATION[:OPTION,…]")),
        };
        let source = match source {
            None => VolumeSource::Anonymous,
            Some(source) if source.contains('/') || source.starts_with('.') => {
                VolumeSource::Host(PathBuf::from(source))
            }
            Some(name) => VolumeSource::Named(volume_name(name).map_err(|why| fail(&why))?),
        };
        let mut options = VolumeOptions::default();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            options.take(word).map_err(|why| fail(&why))?;
        }
        let destination = inside("--volume", text, destination)?;
        Ok(Self {
            source,
            destination,
            options,
        })
    }
}

/// One file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where in the container, absolute and without `..`.
    pub destination: PathBuf,
    /// Mount options, e.g. `size=64m`.
    pub options: Vec<String>,
    /// It stays empty instead of getting what the image has in its place.
    #[serde(default)]
    pub no_copy: bool,
}

impl FromStr for Tmpfs {
    type Err = Error;

    /// Parses `DESTINATION[:OPTION,…]`.
    fn from_str(text: &str) -> Result<Self> {
        let (destination, words) = text.split_once(':').unwrap_or((text, ""));
        let mut tmpfs = Self {
            destination: inside("--tmpfs", text, destination)?,
            options: Vec::new(),
            no_copy: false,
        };
        for word in words.split(',').filter(|word| !word.is_empty()) {
            tmpfs
                .take(word)
                .map_err(|why| Error::option("--tmpfs", text, why))?;
        }
        Ok(tmpfs)
    }
}

impl Tmpfs {
    /// Takes one word of a list of options, or tells what is wrong with it.
    pub(crate) fn take(&mut self, word: &str) -> std::result::Result<(), String> {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        match name {
            "tmpcopyup" => self.no_copy = false,
            "notmpcopyup" => self.no_copy = true,
            "private" | "rprivate" | "nodev" => {}
            "rw" | "ro" | "exec" | "noexec" | "suid" | "nosuid" if name == word => {
                self.options.push(word.to_owned());
            }
            "size" | "nr_inodes" | "nr_blocks" if name != word => {
                self.options.push(word.to_owned());
            }
            "mode" if is_octal(word.trim_start_matches("mode=")) => {
                self.options.push(word.to_owned());
            }
            "dev" => return Err(NO_DEVICES.into()),
            _ => return Err(format!("option {word} is not supported")),
        }
        Ok(())
    }

    /// Whether the caller chose its mode.
    pub(crate) fn has_mode(&self) -> bool {
        self.options
            .iter()
            .any(|option| option.starts_with("mode="))
    }
}

fn is_octal(text: &str) -> bool {
    u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o7777)
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

/// The name if it is one of a volume, else what is wrong with it.
pub(crate) fn volume_name(name: &str) -> std::result::Result<String, String> {
    match is_volume_name(name) {
        true => Ok(name.to_owned()),
        false => Err(
            "a volume's name has up to 128 letters, digits and _.- only; a host path has a /"
                .into(),
        ),
    }
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
            options: VolumeOptions {
                read_only,
                ..VolumeOptions::default()
            },
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
            "/a:/b:dev",
            "/a:/b:rslave",
            "/a:/b:idmap",
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
        for bad in [
            "/run:uid=0",
            "run",
            "/run:dev",
            "/run:mode=9",
            "/run:size",
            "/run:ro=1",
        ] {
            assert!(bad.parse::<Tmpfs>().is_err(), "{bad}");
        }
    }
}
