//! A container as the runtime specification writes it: `config.json`. Pure.
//!
//! The document describes a container that starts inside our own user, mount and cgroup namespace, so it names no user
//! namespace, and its root is a mounted overlay. Masked and read-only paths, capabilities and mounts are podman's. Most of
//! the mounts are taken out of it again and made before libcontainer sees it ([`crate::mounts`]).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cgroup_limits::Prepared;
use crate::network::Network;
use crate::options::Settings;
use crate::protect::Bind;
use crate::user::User;
use crate::volume::Tmpfs;

/// What fits into /dev/shm, in bytes, as docker has it.
const SHM_BYTES_DEFAULT: u64 = 64 << 20;

/// Everything that the document depends on.
#[derive(Debug)]
pub(crate) struct SpecInput<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) workdir: PathBuf,
    pub(crate) user: &'a User,
    pub(crate) caps: Vec<&'static str>,
    pub(crate) hostname: &'a str,
    /// The mounted root.
    pub(crate) rootfs: &'a Path,
    /// Bind mounts.
    pub(crate) binds: Vec<Bind>,
    /// Empty file systems in memory.
    pub(crate) tmpfs: Vec<Tmpfs>,
    /// The cgroup2 tree that the container may see.
    pub(crate) cgroup_view: &'a Path,
    /// The control group that it gets.
    pub(crate) group: &'a Prepared,
    /// Whether group 5, terminals' usual one, exists inside.
    pub(crate) has_tty_group: bool,
    /// The filter of system calls, where libcontainer is to load it and not our executor.
    pub(crate) seccomp: Option<Value>,
}

/// Builds the document.
pub(crate) fn build(input: &SpecInput<'_>) -> Value {
    let settings = input.settings;
    let root = input.user.uid == 0;
    // A user other than root starts with none; the bounding set is what set-uid programs could reach.
    let held: &[&str] = if root { &input.caps } else { &[] };
    let mut process = json!({
        "terminal": settings.terminal,
        "user": {"uid": input.user.uid, "gid": input.user.gid, "additionalGids": input.user.groups, "umask": 0o022},
        "args": input.args,
        "env": input.env,
        "cwd": input.workdir,
        "capabilities": {
            "bounding": input.caps, "effective": held, "permitted": held, "inheritable": [], "ambient": [],
        },
    });
    // The key must be absent when it is off: an explicit false makes libcontainer load seccomp too late.
    if settings.security.no_new_privileges {
        process["noNewPrivileges"] = json!(true);
    }
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "root": {"path": input.rootfs, "readonly": settings.read_only},
        "hostname": input.hostname,
        "process": process,
        "mounts": mounts(input),
        "linux": {
            "cgroupsPath": input.group.path,
            "namespaces": namespaces(input),
            "rootfsPropagation": "private",
        },
    });
    if let Some(seccomp) = &input.seccomp {
        spec["linux"]["seccomp"] = seccomp.clone();
    }
    spec
}

fn namespaces(input: &SpecInput<'_>) -> Vec<Value> {
    let mut kinds = vec!["pid", "mount", "ipc", "uts"];
    // Otherwise it has ours, which starts at our own group.
    if input.group.dir.is_some() {
        kinds.push("cgroup");
    }
    kinds
        .into_iter()
        .map(|kind| json!({"type": kind}))
        .collect()
}

fn mount(kind: &str, destination: &str, options: &[&str]) -> Value {
    json!({"type": kind, "source": kind, "destination": destination, "options": options})
}

fn bind(source: &Path, destination: &Path, options: &[&str]) -> Value {
    json!({"type": "bind", "source": source, "destination": destination, "options": options})
}

fn mounts(input: &SpecInput<'_>) -> Vec<Value> {
    let mut devpts = vec![
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    if input.has_tty_group {
        devpts.push("gid=5");
    }
    let shm = format!(
        "size={}",
        input.settings.limits.shm_size.unwrap_or(SHM_BYTES_DEFAULT)
    );
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", &shm];
    let mut mounts = vec![
        mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "tmpfs",
            "/dev",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount("devpts", "/dev/pts", &devpts),
        mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "/dev/shm", &shm),
    ];
    mounts.push(match input.settings.net.network {
        // Without a network namespace of our own the kernel gives us no sysfs; the host's is shown, all of it read-only.
        Network::Host => bind(
            Path::new("/sys"),
            Path::new("/sys"),
            &["rbind", "nosuid", "noexec", "nodev", "rro"],
        ),
        Network::None | Network::Pasta => {
            mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"])
        }
    });
    let cgroup_options = ["bind", "nosuid", "noexec", "nodev", "ro"];
    mounts.push(bind(
        input.cgroup_view,
        Path::new("/sys/fs/cgroup"),
        &cgroup_options,
    ));
    let binds = input.binds.iter();
    let own = input
        .tmpfs
        .iter()
        .map(|tmpfs| (&tmpfs.destination, memory_mount(tmpfs)))
        .chain(binds.map(|it| {
            (
                &it.destination,
                bind(&it.source, &it.destination, &bind_options(it)),
            )
        }));
    let mut own: Vec<_> = own.collect();
    // Outer before inner, so that one does not hide the other.
    own.sort_by_key(|(destination, _)| destination.components().count());
    mounts.extend(own.into_iter().map(|(_, mount)| mount));
    mounts
}

fn bind_options(bind: &Bind) -> Vec<&'static str> {
    let mut options = vec!["rbind", "nodev"];
    let chosen = [
        (!bind.set_id, "nosuid"),
        (bind.no_exec, "rnoexec"),
        (bind.read_only, "rro"),
    ];
    options.extend(chosen.iter().filter(|(on, _)| *on).map(|(_, word)| *word));
    options
}

fn memory_mount(tmpfs: &Tmpfs) -> Value {
    let mut options = vec!["nosuid", "nodev", "noexec"];
    options.extend(tmpfs.options.iter().map(String::as_str));
    json!({"type": "tmpfs", "source": "tmpfs", "destination": tmpfs.destination, "options": options})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::default()
    }

    fn spec(settings: &Settings, uid: u32) -> Value {
        let user = User {
            uid,
            gid: 0,
            groups: Vec::new(),
            home: "/".into(),
        };
        build(&SpecInput {
            settings,
            args: vec!["true".into()],
            env: vec!["PATH=/bin".into(), "HOME=/".into()],
            workdir: "/".into(),
            user: &user,
            caps: crate::caps::DEFAULT.to_vec(),
            hostname: "h",
            rootfs: Path::new("/b/rootfs"),
            binds: vec![
                Bind {
                    source: "/inner".into(),
                    destination: "/run/inner".into(),
                    no_exec: true,
                    set_id: true,
                    ..Bind::default()
                },
                Bind {
                    source: "/src".into(),
                    destination: "/tmp".into(),
                    read_only: true,
                    ..Bind::default()
                },
            ],
            tmpfs: vec!["/run:exec".parse().expect("valid")],
            cgroup_view: Path::new("/b/cgroup"),
            group: &Prepared {
                path: "/berth-ab".into(),
                ..Prepared::default()
            },
            has_tty_group: false,
            seccomp: None,
        })
    }

    #[test]
    fn the_cgroup_path_is_absolute_and_no_user_namespace_is_named() {
        let spec = spec(&settings(), 0);
        assert_eq!(spec["linux"]["cgroupsPath"], "/berth-ab");
        assert!(!spec["linux"]["namespaces"].to_string().contains("user"));
        assert_eq!(spec["process"]["capabilities"]["inheritable"], json!([]));
        assert_eq!(
            spec["process"]["capabilities"]["effective"]
                .as_array()
                .map(Vec::len),
            Some(11)
        );
    }

    #[test]
    fn others_than_root_hold_no_capability() {
        let spec = spec(&settings(), 5);
        assert_eq!(spec["process"]["capabilities"]["effective"], json!([]));
        assert_eq!(
            spec["process"]["capabilities"]["bounding"]
                .as_array()
                .map(Vec::len),
            Some(11)
        );
    }

    #[test]
    fn no_new_privileges_is_absent_when_off() {
        let mut off = settings();
        off.security.no_new_privileges = false;
        assert_eq!(spec(&off, 0)["process"].get("noNewPrivileges"), None);
        assert_eq!(spec(&settings(), 0)["process"]["noNewPrivileges"], true);
    }

    #[test]
    fn outer_mounts_come_before_inner_ones_and_keep_their_options() {
        let spec = spec(&settings(), 0);
        let mounts = spec["mounts"].as_array().expect("a list");
        let own: Vec<(&str, &str)> = mounts[mounts.len() - 3..]
            .iter()
            .map(|it| (it["destination"].as_str(), it["type"].as_str()))
            .map(|(place, kind)| (place.unwrap_or_default(), kind.unwrap_or_default()))
            .collect();
        assert_eq!(
            own,
            [("/run", "tmpfs"), ("/tmp", "bind"), ("/run/inner", "bind")]
        );
        let options = |place: &str| {
            let mount = mounts.iter().find(|it| it["destination"] == place);
            mount.map(|it| it["options"].clone()).expect(place)
        };
        assert_eq!(options("/tmp"), json!(["rbind", "nodev", "nosuid", "rro"]));
        assert_eq!(options("/run/inner"), json!(["rbind", "nodev", "rnoexec"]));
        assert_eq!(
            options("/run"),
            json!(["nosuid", "nodev", "noexec", "exec"])
        );
    }
}
