//! What is mounted in a container, looked at once more when it stands and before its program runs.
//!
//! Mounts were judged by paths, a volume's source on the host and its place in the container, and are made by paths. Whoever
//! may write to a directory on the way to one can put a link there in between. So the container's own table of mounts is
//! read: no mount is a way to write to the store, whose place the host's table tells, and in `/proc` lies nothing but
//! berth's own mounts, also where a link of the image has led a volume there (CVE-2019-16884).

use std::path::{Path, PathBuf};

use crate::aliases::{Mount, breach, mounts};
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::proc::read_optional;
use crate::protect::open_source;
use crate::record::{Record, VolumeMount};
use crate::walls::Walls;

/// What `/proc` and `/sys` must be.
const KERNELS: &str = "the kernel's own";

/// Fails when the container whose first process is `pid` sees what it must not. `store` gives the store's directories,
/// canonical.
pub(crate) fn verify(
    pid: i32,
    record: &Record,
    walls: &Walls,
    store: impl FnOnce() -> Vec<PathBuf>,
) -> Result<()> {
    let settings = &record.settings;
    // Only what somebody chose to have mounted can be led astray.
    if record.mounts.is_empty() && settings.tmpfs.is_empty() && settings.security.devices.is_empty()
    {
        return Ok(());
    }
    let table = |of: &str| {
        read_optional(&PathBuf::from(format!("/proc/{of}/mountinfo"))).map(|text| mounts(&text))
    };
    let (inside, outside) = (table(&pid.to_string())?, table("self")?);
    let own_sys = record
        .mounts
        .iter()
        .any(|mount| mount.destination == Path::new("/sys"));
    if let Some(path) = foreign(&inside, walls, own_sys) {
        let what = KERNELS;
        return Err(Error::Wall { path, what });
    }
    let may_mount = settings.security.caps()?.contains(&"CAP_SYS_ADMIN");
    keep_from(&store(), &inside, &outside, may_mount)?;
    volumes(&PathBuf::from(format!("/proc/{pid}/root")), &record.mounts)
}

/// Fails when a mount inside reaches the store.
fn keep_from(store: &[PathBuf], inside: &[Mount], outside: &[Mount], any: bool) -> Result<()> {
    let mut found = store
        .iter()
        .filter_map(|dir| breach(inside, outside, dir, any));
    let what = "kept from the store";
    found
        .next()
        .map_or(Ok(()), |path| Err(Error::Wall { path, what }))
}

/// Fails when another file or directory than a volume's source is in its place.
fn volumes(root: &Path, mounts: &[VolumeMount]) -> Result<()> {
    let root = InRoot::open(root)?;
    for mount in mounts {
        let source = open_source(&mount.source, mount.managed)?;
        let wanted = rustix::fs::fstat(source).map_err(Error::io("look at", &mount.source))?;
        let found = root.look(&mount.destination)?.map(|(stat, _)| stat);
        if found.is_none_or(|it| (it.st_dev, it.st_ino) != (wanted.st_dev, wanted.st_ino)) {
            return Err(Error::Wall {
                path: mount.destination.clone(),
                what: "the volume that was asked for",
            });
        }
    }
    Ok(())
}

/// Where something stands in for a file system of the kernel. `own_sys` is whether the caller replaced `/sys`.
fn foreign(inside: &[Mount], walls: &Walls, own_sys: bool) -> Option<PathBuf> {
    let is_fine = |mount: &Mount| {
        let below = |paths: &[String]| paths.iter().any(|path| mount.point == Path::new(path));
        if mount.point.starts_with("/proc") {
            // A mask is whatever the check of masks has found fine.
            let place = mount.point == Path::new("/proc") || below(&walls.read_only);
            return (place && mount.kind == "proc") || below(&walls.masked);
        }
        own_sys || mount.point != Path::new("/sys") || mount.kind == "sysfs"
    };
    let mount = inside.iter().find(|mount| !is_fine(mount))?;
    Some(mount.point.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::VolumeOptions;

    #[test]
    fn a_mount_of_the_store_stops_the_start() {
        let outside = mounts("1 0 8:1 / / rw - ext4 a rw\n");
        let kept = |line: &str, any| {
            let inside = mounts(&format!("1 0 0:9 / / rw - overlay o rw\n{line}\n"));
            let outcome = keep_from(&["/none".into(), "/r/repo".into()], &inside, &outside, any);
            outcome.map_err(|error| error.to_string())
        };
        let wrong =
            Err("cannot start the container: /v in it is not kept from the store".to_owned());
        assert_eq!(kept("2 1 8:1 /r/repo /v rw - ext4 a rw", false), wrong);
        assert_eq!(kept("2 1 8:1 /r/repo /v ro - ext4 a rw", true), wrong);
        assert_eq!(kept("2 1 8:1 /r/repo /v ro - ext4 a rw", false), Ok(()));
    }

    #[test]
    fn a_volume_is_what_was_asked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = std::fs::canonicalize(dir.path()).expect("it is there");
        for name in ["source", "root/there", "root/other"] {
            std::fs::create_dir_all(dir.join(name)).expect("made");
        }
        let check = |source: &str, destination: &str| {
            let mount = VolumeMount {
                source: dir.join(source),
                destination: destination.into(),
                options: VolumeOptions::default(),
                anonymous: false,
                managed: false,
            };
            volumes(&dir.join("root"), &[mount]).map_err(|error| error.to_string())
        };
        assert_eq!(check("root/there", "/there"), Ok(()));
        for (source, destination) in [("source", "/there"), ("root/there", "/none")] {
            let why = "is not the volume that was asked for";
            let expected = format!("cannot start the container: {destination} in it {why}");
            assert_eq!(check(source, destination), Err(expected));
        }
    }

    #[test]
    fn cve_2019_16884_the_kernels_file_systems_are_its_own() {
        let walls = Walls {
            masked: vec!["/proc/kcore".into()],
            read_only: vec!["/proc/sys".into()],
        };
        let usual = "1 0 0:5 / /proc rw - proc proc rw\n2 1 0:5 /sys /proc/sys ro - proc proc rw\n\
            3 1 0:6 /null /proc/kcore rw - devtmpfs d rw\n4 0 0:7 / /sys ro - sysfs s rw\n5 4 0:8 / /sys/fs/cgroup ro - cgroup2 c rw\n";
        let found = |more: &str, own_sys| {
            let inside = mounts(&format!("{usual}{more}\n"));
            foreign(&inside, &walls, own_sys).map(|path| path.display().to_string())
        };
        assert_eq!(found("", false), None);
        for (place, own_sys, wrong) in [
            ("/proc", false, true),
            ("/proc/sys", false, true),
            ("/proc/self", false, true),
            ("/proc/sys/net", true, true),
            ("/sys", false, true),
            ("/sys", true, false),
            ("/process", false, false),
        ] {
            let line = format!("9 0 8:1 /x {place} rw - ext4 a rw");
            let expected = wrong.then(|| place.to_owned());
            assert_eq!(found(&line, own_sys), expected, "{place}");
        }
    }
}
