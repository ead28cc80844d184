//! `--device` as docker spells it, and the device nodes that it names.
//!
//! Without root no device node can be made, so the host's own is mounted: the container may do with it what the user may.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::volume::inside;

/// The most device nodes that a container is given.
const NODES_MAX: usize = 1024;
/// How deep directories of devices are nested at most.
const DEPTH_MAX: usize = 8;
/// Parts of the host's `/dev` that every container has of its own.
const OWN: [&str; 15] = [
    "console",
    "fd",
    "full",
    "hugepages",
    "mqueue",
    "null",
    "ptmx",
    "pts",
    "random",
    "shm",
    "stderr",
    "stdin",
    "stdout",
    "tty",
    "urandom",
];

/// One `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// A device node of the host, or a directory of some.
    pub source: PathBuf,
    /// Where in the container, absolute and without `..`.
    pub destination: PathBuf,
    /// Whether less than reading, writing and making was asked for, which cannot be had.
    pub restricted: bool,
}

impl FromStr for Device {
    type Err = Error;

    /// Parses `HOST[:CONTAINER][:PERMISSIONS]`, where permissions are of `rwm`.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--device", text, why);
        let permissions = |text: &str| !text.is_empty() && text.chars().all(|c| "rwm".contains(c));
        let fields: Vec<&str> = text.split(':').collect();
        let (source, destination, rights) = match fields.as_slice() {
            [source] => (*source, *source, "rwm"),
            [source, rights] if permissions(rights) => (*source, *source, *rights),
            [source, destination] => (*source, *destination, "rwm"),
            [source, destination, rights] if permissions(rights) => {
                (*source, *destination, *rights)
            }
            _ => return Err(fail("expected HOST[:CONTAINER][:rwm]")),
        };
        if !source.starts_with('/') {
            return Err(fail("the device is not an absolute path"));
        }
        Ok(Self {
            source: source.into(),
            destination: inside("--device", text, destination)?,
            restricted: !(rights.contains('r') && rights.contains('w')),
        })
    }
}

/// The device nodes that are asked for, each with its place in the container.
pub(crate) fn nodes(devices: &[Device]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for device in devices {
        let given = device.source.display().to_string();
        let source = std::fs::canonicalize(&device.source)
            .map_err(Error::io("find device", &device.source))?;
        let before = found.len();
        collect(&source, &device.destination, &[], 0, &mut found)?;
        if found.len() == before {
            let why = if source.is_dir() {
                "there is no device in this directory"
            } else {
                "it is not a device"
            };
            return Err(Error::option("--device", &given, why));
        }
    }
    Ok(found)
}

/// The devices of the host that containers do not have of their own.
pub(crate) fn host_nodes() -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), Path::new("/dev"), &OWN, 0, &mut found)?;
    Ok(found)
}

fn collect(
    source: &Path,
    destination: &Path,
    without: &[&str],
    depth: usize,
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<()> {
    let kind = std::fs::symlink_metadata(source)
        .map_err(Error::io("look at", source))?
        .file_type();
    if kind.is_char_device() || kind.is_block_device() {
        if found.len() == NODES_MAX {
            let why = format!("there are more than {NODES_MAX} devices");
            return Err(Error::option(
                "--device",
                &source.display().to_string(),
                why,
            ));
        }
        found.push((source.to_owned(), destination.to_owned()));
    }
    if !kind.is_dir() || depth == DEPTH_MAX {
        return Ok(());
    }
    let entries = match std::fs::read_dir(source) {
        Ok(entries) => entries,
        // What the user may not see, the container may not either.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(Error::io("read", source)(error)),
    };
    for entry in entries {
        let name = entry.map_err(Error::io("read", source))?.file_name();
        if without.iter().all(|own| name != *own) && name != "zero" {
            collect(
                &source.join(&name),
                &destination.join(&name),
                &[],
                depth + 1,
                found,
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_docker_spells_them() {
        for (text, destination, restricted) in [
            ("/dev/fuse", "/dev/fuse", false),
            ("/dev/fuse:/dev/x", "/dev/x", false),
            ("/dev/fuse:rw", "/dev/fuse", false),
            ("/dev/fuse:/dev/x:r", "/dev/x", true),
        ] {
            let device: Device = text.parse().expect(text);
            let expected = Device {
                source: "/dev/fuse".into(),
                destination: destination.into(),
                restricted,
            };
            assert_eq!(device, expected, "{text}");
        }
        for text in [
            "",
            "fuse",
            "/dev/fuse:/dev/x:q",
            "/dev/fuse:x",
            "/dev/fuse:/../x",
            "/a:/b:r:w",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_device_nodes_are_devices() {
        let device = |source: &str| {
            [Device {
                source: source.into(),
                destination: "/d".into(),
                restricted: false,
            }]
        };
        let null = (PathBuf::from("/dev/null"), PathBuf::from("/d"));
        assert_eq!(nodes(&device("/dev/null")).expect("a device"), [null]);
        assert!(
            nodes(&device("/etc/passwd"))
                .is_err_and(|e| e.to_string().ends_with("it is not a device"))
        );
        assert!(
            nodes(&device("/etc"))
                .is_err_and(|e| e.to_string().ends_with("no device in this directory"))
        );
        assert!(nodes(&device("/no/such/device")).is_err());
        let host = host_nodes().expect("there is a /dev");
        assert!(
            host.iter()
                .all(|(source, _)| source != Path::new("/dev/null") && source.starts_with("/dev"))
        );
    }
}
