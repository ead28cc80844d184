//! The configuration of an image that has none: what its config and a quadlet ask for, as a container of podman has it, with
//! the host's network. Pure.
//!
//! An image that exports nothing writes as it likes: `org.berth.root` makes the runtime lay an overlay over the deployment,
//! which is empty at each start. Its volumes are directories of the host that outlive updates.

use std::path::Path;

use serde_json::{Map, Value, json};
use store::oci::ContainerConfig;

use super::error::Error;
use super::exports::Exports;
use super::tmpfiles::StateDirectory;
use super::values::Values;
use super::wanted::{Scope, Wanted};
use crate::error::Result;
use crate::options::Settings;
use crate::user::{self, User};
use crate::volume::VolumeSource;
use crate::{process, seccomp, walls};

/// The annotation that says what becomes of writes to the root file system.
const ROOT: &str = "org.berth.root";
/// They vanish.
const DISCARD: &str = "discard";
/// What Atomic runs of an image that does not say.
const PROGRAM_DEFAULT: &str = "run.sh";
/// What fits into /dev/shm, in bytes, as docker has it.
const SHM_BYTES_DEFAULT: u64 = 64 << 20;

/// A configuration with the directories that it needs on the host.
pub(crate) struct Generated {
    pub(crate) document: Value,
    pub(crate) state: Vec<StateDirectory>,
}

/// Makes the configuration.
pub(crate) fn generated(
    exports: &Exports,
    wanted: &Wanted<'_>,
    values: &Values,
    said: &mut Vec<String>,
) -> Result<Generated> {
    let nothing = ContainerConfig::default();
    let config = wanted.config.unwrap_or(&nothing);
    let mut settings = match wanted.quadlet {
        Some(quadlet) => quadlet.settings.clone(),
        None => Settings::default(),
    };
    // The host's name is the host's to change.
    settings.unset_env.push("HOSTNAME".to_owned());
    let plain = !exports.present || wanted.quadlet.is_some();
    let args = match process::args(config, &settings) {
        Ok(args) => args,
        Err(_) if !plain => vec![PROGRAM_DEFAULT.to_owned()],
        Err(error) => return Err(error),
    };
    let user = find_user(exports, config, &settings)?;
    let state_directory = values.get("STATE_DIRECTORY").unwrap_or_default();
    let top = format!("{state_directory}/{}", wanted.name);
    let mut state = Vec::new();
    let mut mounts = kernel_mounts(&settings);
    mounts.extend(host_files(wanted));
    mounts.extend(volumes(
        exports, wanted, config, &settings, &user, &top, &mut state,
    )?);
    if wanted.scope == Scope::User && user.uid != 0 && !state.is_empty() {
        said.push(format!(
            "user {} of the image has no files of its own on the host: its volumes are writable for all of the container",
            user.uid
        ));
    }
    let caps = settings.security.caps()?;
    let mut annotations: Map<String, Value> = settings
        .security
        .annotations
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    if plain && !settings.read_only {
        annotations.insert(ROOT.to_owned(), json!(DISCARD));
    }
    let kinds = ["pid", "ipc", "mount", "cgroup"];
    let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    let mut document = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": true},
        "process": process_of(&settings, config, &user, args, &caps),
        "mounts": mounts,
        "annotations": annotations,
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": walls::MASKED,
            "readonlyPaths": walls::READ_ONLY,
        },
    });
    walls::ambient(&mut document["process"], &settings.security)?;
    let resources = resources(&settings);
    if !resources.is_empty() {
        document["linux"]["resources"] = Value::Object(resources);
    }
    if let Some(filter) = seccomp::document(settings.security.filter(), &caps)? {
        document["linux"]["seccomp"] = filter;
    }
    Ok(Generated { document, state })
}

fn find_user(exports: &Exports, config: &ContainerConfig, settings: &Settings) -> Result<User> {
    let accounts = &exports.accounts;
    let wanted = process::wanted_user(config, settings);
    let mut user = user::lookup(wanted, &accounts.passwd, &accounts.group)?;
    for gid in user::lookup_groups(&settings.groups, &accounts.group)? {
        if gid != user.gid && !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(user)
}

fn process_of(
    settings: &Settings,
    config: &ContainerConfig,
    user: &User,
    args: Vec<String>,
    caps: &[&str],
) -> Value {
    // Others than root start with none; the rest bounds what set-uid programs could regain.
    let held: &[&str] = if user.uid == 0 { caps } else { &[] };
    let limits: Vec<Value> = settings
        .limits
        .ulimits
        .iter()
        .map(|it| json!({"type": it.kind, "soft": it.soft, "hard": it.hard}))
        .collect();
    json!({
        "terminal": false,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.groups},
        "args": args,
        "env": process::env(config, settings, "", &user.home),
        "cwd": process::workdir(config, settings),
        "capabilities": {
            "bounding": caps, "effective": held, "permitted": held, "inheritable": [], "ambient": [],
        },
        "noNewPrivileges": settings.security.no_new_privileges,
        "rlimits": limits,
    })
}

/// What the control group of the service allows.
fn resources(settings: &Settings) -> Map<String, Value> {
    let limits = &settings.limits;
    let mut resources = Map::new();
    if let Some(bytes) = limits.memory {
        resources.insert("memory".to_owned(), json!({"limit": bytes}));
    }
    if let Some(count) = limits.pids {
        resources.insert("pids".to_owned(), json!({"limit": count}));
    }
    resources
}

fn mount(kind: &str, destination: &str, options: &[&str]) -> Value {
    json!({"type": kind, "source": kind, "destination": destination, "options": options})
}

fn bind(source: &str, destination: &str, options: &[&str]) -> Value {
    json!({"type": "bind", "source": source, "destination": destination, "options": options})
}

fn kernel_mounts(settings: &Settings) -> Vec<Value> {
    let shm = format!(
        "size={}",
        settings.limits.shm_size.unwrap_or(SHM_BYTES_DEFAULT)
    );
    let closed = ["nosuid", "noexec", "nodev"];
    let dev = ["nosuid", "strictatime", "mode=755", "size=65536k"];
    let pts = [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        "gid=5",
    ];
    let sealed = ["nosuid", "noexec", "nodev", "ro"];
    let mut mounts = vec![
        mount("proc", "/proc", &closed),
        mount("tmpfs", "/dev", &dev),
        mount("devpts", "/dev/pts", &pts),
        mount(
            "tmpfs",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &shm],
        ),
        mount("mqueue", "/dev/mqueue", &closed),
        mount("sysfs", "/sys", &sealed),
        mount("cgroup", "/sys/fs/cgroup", &sealed),
    ];
    for tmpfs in &settings.tmpfs {
        let mut options = vec!["nosuid", "nodev", "noexec"];
        options.extend(tmpfs.options.iter().map(String::as_str));
        mounts.push(mount(
            "tmpfs",
            &tmpfs.destination.to_string_lossy(),
            &options,
        ));
    }
    mounts
}

/// Names of the network, which is the host's.
fn host_files(wanted: &Wanted<'_>) -> Vec<Value> {
    let paths = ["/etc/resolv.conf", "/etc/hosts"].into_iter();
    paths
        .filter(|path| (wanted.exists)(Path::new(path)))
        .map(|path| bind(path, path, &["bind", "nosuid", "nodev", "noexec", "ro"]))
        .collect()
}

/// The volumes of image and quadlet; those without a place of their own are below `top`.
fn volumes(
    exports: &Exports,
    wanted: &Wanted<'_>,
    config: &ContainerConfig,
    settings: &Settings,
    user: &User,
    top: &str,
    state: &mut Vec<StateDirectory>,
) -> Result<Vec<Value>, Error> {
    let mut mounts: Vec<(String, Value)> = Vec::new();
    let mut kept: Vec<(String, String)> = Vec::new();
    for volume in &settings.volumes {
        let destination = volume.destination.display().to_string();
        let source = match &volume.source {
            VolumeSource::Host(path) => path.display().to_string(),
            VolumeSource::Named(name) => format!("{top}/{name}"),
            VolumeSource::Anonymous => format!("{top}{destination}"),
        };
        if !matches!(volume.source, VolumeSource::Host(_)) {
            kept.push((source.clone(), destination.clone()));
        }
        let mut options = vec!["rbind", "nodev"];
        let chosen = [
            (!volume.options.set_id, "nosuid"),
            (volume.options.no_exec, "noexec"),
            (volume.options.read_only, "ro"),
        ];
        options.extend(chosen.iter().filter(|(on, _)| *on).map(|(_, word)| *word));
        mounts.push((destination.clone(), bind(&source, &destination, &options)));
    }
    let in_memory = |path: &str| {
        settings
            .tmpfs
            .iter()
            .any(|it| it.destination == Path::new(path))
    };
    for path in config.volumes.iter().flatten().map(|(path, _)| path) {
        let destination = volume_path(path)?;
        if in_memory(&destination) || mounts.iter().any(|(taken, _)| *taken == destination) {
            continue;
        }
        let source = format!("{top}{destination}");
        kept.push((source.clone(), destination.clone()));
        mounts.push((
            destination.clone(),
            bind(&source, &destination, &["rbind", "nodev", "nosuid"]),
        ));
    }
    // Outer before inner, so that one does not hide the other.
    mounts.sort_by_key(|(destination, _)| destination.matches('/').count());
    kept.sort();
    if !kept.is_empty() {
        // Nobody but its owner passes here, whatever is further in.
        state.push(StateDirectory {
            path: top.to_owned(),
            mode: 0o700,
            owner: None,
            content: None,
        });
    }
    for (path, destination) in kept {
        state.push(state_directory(exports, wanted, user, path, &destination));
    }
    Ok(mounts.into_iter().map(|(_, mount)| mount).collect())
}

/// A directory for a volume: as the image has it, with what it has in it.
fn state_directory(
    exports: &Exports,
    wanted: &Wanted<'_>,
    user: &User,
    path: String,
    destination: &str,
) -> StateDirectory {
    let found = exports.volumes.get(destination);
    let rootfs = wanted.destination.join("rootfs");
    let content = found.map(|_| format!("{}{destination}", rootfs.display()));
    let mode = found.map_or(0o755, |it| it.mode);
    match wanted.scope {
        Scope::Root => StateDirectory {
            path,
            mode,
            owner: found.map(|it| (it.uid, it.gid)),
            content,
        },
        // Only ids of the user can be given on the host, and the directory above it keeps all others out.
        Scope::User => StateDirectory {
            path,
            mode: if user.uid == 0 { mode | 0o700 } else { 0o777 },
            owner: None,
            content,
        },
    }
}

/// A volume's place in the container.
fn volume_path(path: &str) -> Result<String, Error> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if !path.starts_with('/') || parts.is_empty() || parts.contains(&"..") {
        return Err(Error::Document {
            file: "config".to_owned(),
            why: format!("its volume {path:?} is no place in a container"),
        });
    }
    Ok(format!("/{}", parts.join("/")))
}
