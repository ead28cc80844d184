//! What is between a container and the host, written into its document and checked once it stands.
//!
//! Masked and read-only paths are podman's. They are mounts that libcontainer makes; that each of them really is one is
//! looked at before the image's program runs (CVE-2025-31133, CVE-2025-52565): a masked file is `/dev/null`, a masked
//! directory a read-only memory file system, a read-only path is read-only.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, StatVfsMountFlags};
use serde_json::{Value, json};

use crate::device;
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::network::Network;
use crate::options::Settings;
use crate::protect::Protected;
use crate::record::{Record, VolumeMount};
use crate::security::Security;

pub(crate) const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];
pub(crate) const READ_ONLY: [&str; 6] = [
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// Kernel settings that belong to a container's own namespace for messages.
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
/// What every container has of its own and an image may not replace.
const REAL_DIRS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Paths of a container that are not what they are on the host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Walls {
    pub(crate) masked: Vec<String>,
    pub(crate) read_only: Vec<String>,
}

/// Fails when the settings ask for what no container of an ordinary user can have.
pub(crate) fn check(
    settings: &Settings,
    caps: &[&str],
    mounts: &[VolumeMount],
    store: &[PathBuf],
) -> Result<()> {
    let security = &settings.security;
    let store = Protected::of_volumes(store.to_vec(), mounts)?;
    device::nodes(&security.devices)?;
    check_sysctls(&security.sysctls, settings)?;
    if security.host_uts && settings.hostname.is_some() {
        return Err(Error::option(
            "--uts",
            "host",
            "a name of its own takes --uts private",
        ));
    }
    for path in security.masked.iter().chain(&security.unmasked) {
        if path != "ALL" && !path.starts_with('/') {
            return Err(Error::option(
                "--security-opt",
                path,
                "a path to mask is absolute",
            ));
        }
    }
    for mount in mounts {
        let place = mount.destination.display().to_string();
        if mount.destination.starts_with("/proc") {
            let why = "/proc is the container's own and nothing is mounted in it";
            return Err(Error::option(
                if mount.anonymous {
                    "VOLUME"
                } else {
                    "--volume"
                },
                &place,
                why,
            ));
        }
        if mount.anonymous && mount.destination.starts_with("/sys") {
            return Err(Error::option(
                "VOLUME",
                &place,
                "/sys is the kernel's and no image's",
            ));
        }
        if caps.contains(&"CAP_SYS_ADMIN") && store.touches(&mount.source) {
            let why =
                "it reaches the store, which a container with CAP_SYS_ADMIN could make writable";
            return Err(Error::option(
                "--volume",
                &mount.source.display().to_string(),
                why,
            ));
        }
    }
    Ok(())
}

fn check_sysctls(sysctls: &BTreeMap<String, String>, settings: &Settings) -> Result<()> {
    for (name, value) in sysctls {
        let given = format!("{name}={value}");
        let fail = |why: &str| Err(Error::option("--sysctl", &given, why));
        let plain = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !plain || name.split('.').any(str::is_empty) {
            return fail("expected NAME=VALUE");
        }
        if name.starts_with("net.") {
            if settings.net.network == Network::Host {
                return fail("it is the host's network, and so the host's setting");
            }
        } else if IPC_SYSCTLS.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
            if settings.security.host_ipc {
                return fail("with --ipc host it is the host's setting");
            }
        } else if matches!(name.as_str(), "kernel.hostname" | "kernel.domainname") {
            return fail("the name is set with --hostname");
        } else {
            return fail(
                "it is a setting of the whole host; a container has its own net.*, fs.mqueue.* and kernel.msg*, sem and shm*",
            );
        }
    }
    Ok(())
}

/// Fails when the image puts something else where the kernel's file systems go (CVE-2019-16884, CVE-2019-19921,
/// CVE-2023-27561): through a link, masks and read-only mounts would land elsewhere.
pub(crate) fn check_root(root: &InRoot) -> Result<()> {
    for dir in REAL_DIRS {
        match root.own_kind(Path::new(dir)) {
            None | Some(FileType::Directory) => {}
            Some(_) => {
                return Err(Error::Image {
                    why: format!("its {dir} is not a directory"),
                });
            }
        }
    }
    Ok(())
}

/// Writes into the document what the settings ask of walls. `own_group` is whether it has a control group of its own.
pub(crate) fn settle(
    spec: &mut Value,
    record: &Record,
    own_group: bool,
    warnings: &mut Vec<String>,
) -> Result<Walls> {
    let settings = &record.settings;
    let security = &settings.security;
    let walls = paths(settings);
    spec["linux"]["maskedPaths"] = json!(walls.masked);
    spec["linux"]["readonlyPaths"] = json!(walls.read_only);
    let (_, rest) = split_sysctls(&security.sysctls);
    if !rest.is_empty() {
        spec["linux"]["sysctl"] = json!(rest);
    }
    if !security.annotations.is_empty() {
        spec["annotations"] = json!(security.annotations);
    }
    ambient(&mut spec["process"], security)?;
    share(spec, settings);
    let mut nodes = device::nodes(&security.devices)?;
    if security.privileged {
        warnings.push("--privileged is inside the user namespace: what only the host's root may do stays forbidden".into());
        open(spec, settings, own_group);
        let asked = nodes.clone();
        let more = device::host_nodes()?;
        nodes.extend(
            more.into_iter()
                .filter(|(_, place)| asked.iter().all(|(_, taken)| taken != place)),
        );
    }
    for device in security.devices.iter().filter(|device| device.restricted) {
        let path = device.source.display();
        warnings.push(format!(
            "permissions of device {path} not applied: without root only the node's own hold"
        ));
    }
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.extend(nodes.iter().map(|(source, destination)| {
            json!({"type": "bind", "source": source, "destination": destination, "options": ["bind", "nosuid", "noexec"]})
        }));
    }
    Ok(walls)
}

/// Sets what is asked of the network namespace that this process is in, which is the container's.
pub(crate) fn set_network(settings: &Settings) -> Result<()> {
    for (name, value) in split_sysctls(&settings.security.sysctls).0 {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        std::fs::write(&path, value).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// The settings of networks, and the others.
fn split_sysctls(all: &BTreeMap<String, String>) -> (BTreeMap<&str, &str>, BTreeMap<&str, &str>) {
    let pairs = all
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    pairs.partition(|(name, _)| name.starts_with("net."))
}

/// The paths that are masked and those that are read-only.
fn paths(settings: &Settings) -> Walls {
    let security = &settings.security;
    let open = |path: &String| {
        security.privileged || security.unmasked.iter().any(|it| it == "ALL" || it == path)
    };
    let usual = MASKED.map(String::from).into_iter().chain(thermal_paths());
    let mut masked: Vec<String> = usual.filter(|path| !open(path)).collect();
    masked.extend(security.masked.iter().cloned());
    let read_only = READ_ONLY
        .map(String::from)
        .into_iter()
        .filter(|path| !open(path));
    Walls {
        masked,
        read_only: read_only.collect(),
    }
}

/// A user other than root has the capabilities that were added by name, as podman has it; they survive executing a program
/// only where they are inheritable and ambient too. All others have an empty inheritable set (CVE-2022-29162).
pub(crate) fn ambient(process: &mut Value, security: &Security) -> Result<()> {
    if process["user"]["uid"] == 0 || security.cap_add.is_empty() {
        return Ok(());
    }
    let none = ["ALL".to_owned()];
    // All of them is what bounds it, which lacks those that were dropped.
    let all = crate::caps::named("--cap-add", &security.cap_add)?.is_none();
    let added = match all {
        true => security.caps()?,
        false => crate::caps::select(&security.cap_add, &none)?,
    };
    for set in ["effective", "permitted", "inheritable", "ambient"] {
        process["capabilities"][set] = json!(added);
    }
    Ok(())
}

/// Takes namespaces away that are shared with the host.
fn share(spec: &mut Value, settings: &Settings) {
    let security = &settings.security;
    if let Some(kinds) = spec["linux"]["namespaces"].as_array_mut() {
        kinds.retain(|kind| {
            let shared = [("ipc", security.host_ipc), ("uts", security.host_uts)];
            !shared
                .iter()
                .any(|(name, host)| *host && kind["type"] == *name)
        });
    }
    if security.host_uts {
        spec.as_object_mut().map(|spec| spec.remove("hostname"));
    }
    if !security.host_ipc {
        return;
    }
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        for path in ["/dev/shm", "/dev/mqueue"] {
            if mount["destination"] == path {
                *mount = json!({"type": "bind", "source": path, "destination": path, "options": ["rbind", "nosuid", "nodev", "noexec"]});
            }
        }
    }
    // A host without message queues has none to share.
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| {
            mount["destination"] != "/dev/mqueue" || Path::new("/dev/mqueue").is_dir()
        });
    }
}

/// What is read-only for everybody else: its own kernel settings, and its own control group.
fn open(spec: &mut Value, settings: &Settings, own_group: bool) {
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        let own_sys = mount["destination"] == "/sys" && settings.net.network != Network::Host;
        let own_cgroup = mount["destination"] == "/sys/fs/cgroup" && own_group;
        if let Some(options) = mount["options"]
            .as_array_mut()
            .filter(|_| own_sys || own_cgroup)
        {
            options.retain(|option| option != "ro");
        }
    }
}

/// Fails when a path of the document is not masked or read-only in the container that `pid` is the first process of.
pub(crate) fn verify(pid: i32, walls: &Walls) -> Result<()> {
    let root = InRoot::open(&PathBuf::from(format!("/proc/{pid}/root")))?;
    let null = rustix::fs::makedev(1, 3);
    let broken = |path: &Path, what| {
        Err(Error::Wall {
            path: path.to_owned(),
            what,
        })
    };
    for path in walls.masked.iter().map(Path::new) {
        let Some((stat, flags)) = root.look(path)? else {
            continue;
        };
        let fine = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                flags.contains(StatVfsMountFlags::RDONLY) && root.is_empty(path)?
            }
            FileType::CharacterDevice => stat.st_rdev == null,
            _ => false,
        };
        if !fine {
            return broken(path, "masked");
        }
    }
    for path in walls.read_only.iter().map(Path::new) {
        let found = root.look(path)?;
        if found.is_some_and(|(_, flags)| !flags.contains(StatVfsMountFlags::RDONLY)) {
            return broken(path, "read-only");
        }
    }
    Ok(())
}

/// Per-processor throttle counters, which tell containers about their neighbours.
fn thermal_paths() -> Vec<String> {
    let cpus = std::fs::read_dir("/sys/devices/system/cpu")
        .into_iter()
        .flatten()
        .flatten();
    let is_cpu = |name: &OsStr| {
        let number = name.as_bytes().strip_prefix(b"cpu");
        number.is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
    };
    cpus.filter(|entry| is_cpu(&entry.file_name()))
        .map(|cpu| cpu.path().join("thermal_throttle"))
        .filter(|path| path.is_dir())
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
    }

    #[test]
    fn paths_are_masked_and_unmasked() {
        let of = |masked: &[&str], unmasked: &[&str]| {
            paths(&settings(|it| {
                it.security.masked = masked.iter().map(|path| (*path).to_owned()).collect();
                it.security.unmasked = unmasked.iter().map(|path| (*path).to_owned()).collect();
            }))
        };
        let Walls { masked, read_only } = of(&[], &[]);
        assert!(
            masked.contains(&"/proc/kcore".into())
                && read_only.contains(&"/proc/sysrq-trigger".into())
        );
        let Walls { masked, read_only } = of(&["/etc/secret"], &["/proc/kcore", "/proc/sys"]);
        assert!(masked.contains(&"/etc/secret".into()) && !masked.contains(&"/proc/kcore".into()));
        assert!(masked.contains(&"/proc/keys".into()) && !read_only.contains(&"/proc/sys".into()));
        let only = Walls {
            masked: vec!["/a".into()],
            ..Walls::default()
        };
        assert_eq!(of(&["/a"], &["ALL"]), only);
        assert_eq!(
            paths(&settings(|it| it.security.privileged = true)),
            Walls::default()
        );
    }

    /// What a container did to its own root counts as much as what its image has.
    #[test]
    fn cve_2023_27561_the_kernels_directories_are_real() {
        let dir = tempfile::tempdir().expect("a directory");
        let check = || {
            check_root(&InRoot::open(dir.path()).expect("it opens"))
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(), Ok(()), "they are made where they are missing");
        std::fs::create_dir(dir.path().join("tmp")).expect("made");
        for name in ["proc", "sys", "dev"] {
            let path = dir.path().join(name);
            std::os::unix::fs::symlink("/tmp", &path).expect("linked");
            assert_eq!(
                check(),
                Err(format!("cannot run image: its /{name} is not a directory"))
            );
            std::fs::remove_file(&path).expect("removed");
            std::fs::create_dir(&path).expect("made");
            assert_eq!(check(), Ok(()));
        }
    }

    /// The test's own process stands in for a container that libcontainer has left with a hole.
    #[test]
    fn cve_2025_31133_each_wall_is_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("file"), "text").expect("written");
        std::fs::create_dir(path("empty")).expect("made");
        std::os::unix::fs::symlink("/dev/null", path("link")).expect("linked");
        let own = i32::try_from(std::process::id()).expect("a pid");
        let check = |masked: &[&str], read_only: &[&str]| {
            let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            let walls = Walls {
                masked: texts(masked),
                read_only: texts(read_only),
            };
            verify(own, &walls).map_err(|error| error.to_string())
        };
        let wrong = |path: &str, what: &str| {
            Err(format!(
                "cannot start the container: {path} in it is not {what}"
            ))
        };
        assert_eq!(check(&["/dev/null", "/not/there"], &["/not/there"]), Ok(()));
        for name in ["/dev/zero", &path("file"), &path("empty"), "/proc"] {
            assert_eq!(check(&["/dev/null", name], &[]), wrong(name, "masked"));
        }
        assert_eq!(
            check(&[&path("link")], &[]),
            Ok(()),
            "it leads to the device"
        );
        for name in [&path("file"), &path("empty"), "/dev/null"] {
            assert_eq!(check(&[], &[name]), wrong(name, "read-only"));
        }
    }

    #[test]
    fn only_settings_of_its_own_are_set() {
        let check = |name: &str, network: Network, host_ipc: bool| {
            check_sysctls(
                &BTreeMap::from([(name.to_owned(), "1".to_owned())]),
                &settings(|it| {
                    it.net.network = network;
                    it.security.host_ipc = host_ipc;
                }),
            )
        };
        assert!(check("net.ipv4.ip_forward", Network::None, false).is_ok());
        assert!(check("kernel.shmmax", Network::Host, false).is_ok());
        assert!(check("fs.mqueue.msg_max", Network::Host, false).is_ok());
        assert!(check("net.ipv4.ip_forward", Network::Host, false).is_err());
        for bad in ["kernel.shmmax", "fs.mqueue.msg_max"] {
            assert!(check(bad, Network::None, true).is_err(), "{bad}");
        }
        for bad in [
            "kernel.panic",
            "vm.swappiness",
            "kernel.hostname",
            "net..x",
            "net.a/../b",
            "",
        ] {
            assert!(check(bad, Network::None, false).is_err(), "{bad}");
        }
    }
}
