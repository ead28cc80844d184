//! From a record and a mounted root to everything that libcontainer and the executor need.
//!
//! This is where image, settings and host meet: the user is looked up in the image, the working directory is made, volumes
//! are filled, and the result is one document and a few facts. All of the container's own files are touched through
//! [`InRoot`].

use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use serde_json::Value;

use crate::cgroup_limits::Prepared;
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::memory::Staged;
use crate::network::Network;
use crate::options::Settings;
use crate::protect::{Bind, Protected, open_source, protect};
use crate::record::Record;
use crate::spec::{self, SpecInput};
use crate::ulimit::{self, Ulimit};
use crate::user::{self, User};
use crate::walls::Walls;
use crate::{chown, copyup, etc, memory, process, seccomp, walls};

/// The largest passwd or group file that is read.
const ACCOUNTS_BYTES_MAX: u64 = 4 << 20;

const NO_ADDED_CAPS: &str =
    "--cap-add not applied: with one id another user than root has no capabilities";

/// What a plan is made from.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) record: &'a Record,
    pub(crate) bundle: &'a Path,
    pub(crate) rootfs: &'a Path,
    pub(crate) cgroup_view: &'a Path,
    pub(crate) group: &'a Prepared,
    pub(crate) protected: Protected,
    pub(crate) run_dir: &'a Path,
}

/// What comes out.
#[derive(Debug)]
pub(crate) struct Planned {
    /// `config.json`.
    pub(crate) spec: Value,
    /// The program, for messages.
    pub(crate) program: String,
    /// The filter that the executor loads.
    pub(crate) filter: Option<Vec<u8>>,
    /// The user that the executor becomes.
    pub(crate) become_user: Option<(u32, u32)>,
    /// Must live until the container is made.
    pub(crate) _staged: Staged,
    /// The volumes among the document's mounts, and what covers parts of them.
    pub(crate) volumes: Vec<Bind>,
    /// Uid and gid of the program inside, when it is not root there: whose its stdio is to be.
    pub(crate) owner: Option<(u32, u32)>,
    /// The limits that the executor sets for itself.
    pub(crate) rlimits: Vec<Ulimit>,
    /// What must hold before the program runs.
    pub(crate) walls: Walls,
    /// What was asked for and does not hold, one line each.
    pub(crate) warnings: Vec<String>,
}

/// Prepares the root and makes the plan.
pub(crate) fn make(plan: &Plan<'_>) -> Result<Planned> {
    let record = plan.record;
    let (config, settings) = (&record.config, &record.settings);
    let root = InRoot::open(plan.rootfs)?;
    walls::check_root(&root)?;
    let wanted = find_user(&root, process::wanted_user(config, settings), settings)?;
    let (user, become_user) = place_user(record, &wanted)?;
    fill_volumes(plan, &root, &user)?;
    let memory = memory::prepare(record, &root, plan.bundle)?;
    let workdir = process::workdir(config, settings);
    make_workdir(&root, record, &workdir)?;
    let hostname = hostname(record);
    let volumes = volumes(plan);
    let mut binds = own_files(plan, &hostname)?;
    binds.extend(volumes.iter().cloned());
    // Where an image has a link into nothing, a file cannot be mounted until there is one.
    for bind in binds.iter().filter(|bind| bind.source.is_file()) {
        root.make_file(&bind.destination)?;
    }
    binds.extend(memory.filled);
    binds.sort_by_key(|bind| bind.destination.components().count());
    let caps = settings.security.caps()?;
    // The executor can load a filter when nothing can be gained any more, or where it is root of a namespace of its own.
    let by_executor = settings.security.no_new_privileges || become_user.is_some();
    let args = process::args(config, settings)?;
    let mut warnings = Vec::new();
    let rlimits = ulimit::within(&settings.limits.ulimits, ulimit::most, &mut warnings);
    if become_user.is_some_and(|(uid, _)| uid != 0) && !settings.security.cap_add.is_empty() {
        warnings.push(NO_ADDED_CAPS.to_owned());
    }
    let input = SpecInput {
        settings,
        env: process::env(config, settings, &hostname, &wanted.home),
        workdir,
        user: &user,
        hostname: &hostname,
        rootfs: plan.rootfs,
        binds,
        tmpfs: memory.empty,
        cgroup_view: plan.cgroup_view,
        group: plan.group,
        has_tty_group: record.maps.has_gid(5),
        seccomp: match by_executor {
            true => None,
            false => seccomp::document(settings.security.filter(), &caps)?,
        },
        caps: caps.clone(),
        args: args.clone(),
    };
    let filter = match by_executor {
        true => seccomp::filter(settings.security.filter(), &caps, plan.run_dir)?,
        false => None,
    };
    let mut document = spec::build(&input);
    let own_group = plan.group.dir.is_some();
    let walls = walls::settle(&mut document, record, own_group, &mut warnings)?;
    Ok(Planned {
        spec: document,
        program: args.into_iter().next().unwrap_or_default(),
        filter,
        become_user,
        _staged: memory.staged,
        volumes,
        owner: (user.uid != 0 || user.gid != 0).then_some((user.uid, user.gid)),
        rlimits,
        walls,
        warnings,
    })
}

/// Looks the user up in the container's own accounts.
pub(crate) fn find_user(root: &InRoot, wanted: &str, settings: &Settings) -> Result<User> {
    let read = |path| {
        Ok::<_, Error>(
            root.read_text(path, ACCOUNTS_BYTES_MAX)?
                .unwrap_or_default(),
        )
    };
    let group = read("/etc/group")?;
    let mut user = user::lookup(wanted, &read("/etc/passwd")?, &group)?;
    for gid in user::lookup_groups(&settings.groups, &group)? {
        if gid != user.gid && !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(user)
}

/// The user that libcontainer is told and the one that the executor becomes. With one id only root exists, and any other
/// user is made of it at the last moment; supplementary groups do not exist then.
pub(crate) fn place_user(record: &Record, wanted: &User) -> Result<(User, Option<(u32, u32)>)> {
    let wanted_groups = &record.settings.groups;
    if record.maps.is_single() {
        if let Some(group) = wanted_groups.first() {
            return Err(Error::option(
                "--group-add",
                group,
                "the container has one id, and so one group",
            ));
        }
        let root = User {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: wanted.home.clone(),
        };
        return Ok((
            root,
            (wanted.uid != 0 || wanted.gid != 0).then_some((wanted.uid, wanted.gid)),
        ));
    }
    let outside = |what: &str, id: u32| Error::Image {
        why: format!("{what} {id} is outside the range of ids of this container"),
    };
    if !record.maps.has_uid(wanted.uid) {
        return Err(outside("user", wanted.uid));
    }
    if !record.maps.has_gid(wanted.gid) {
        return Err(outside("group", wanted.gid));
    }
    let groups = wanted
        .groups
        .iter()
        .copied()
        .filter(|gid| record.maps.has_gid(*gid))
        .collect();
    Ok((
        User {
            groups,
            ..wanted.clone()
        },
        None,
    ))
}

/// Makes the working directory: in the volume that covers it, else in the root.
fn make_workdir(root: &InRoot, record: &Record, workdir: &Path) -> Result<()> {
    let covering = record
        .mounts
        .iter()
        .rev()
        .find(|mount| workdir.starts_with(&mount.destination));
    match covering {
        Some(mount) if mount.options.read_only || !mount.source.is_dir() => Ok(()),
        Some(mount) => {
            let below = workdir.strip_prefix(&mount.destination).unwrap_or(workdir);
            InRoot::of(open_source(&mount.source, mount.managed)?, &mount.source)
                .make_dir(&Path::new("/").join(below))
                .map(drop)
        }
        None if root
            .kind(workdir)
            .is_some_and(|kind| kind != FileType::Directory) =>
        {
            Err(Error::Image {
                why: format!(
                    "its working directory {} is not a directory",
                    workdir.display()
                ),
            })
        }
        None => root.make_dir(workdir).map(drop),
    }
}

/// The name inside: the one asked for; the host's where its network is seen; else the start of the id.
pub(crate) fn hostname(record: &Record) -> String {
    match (&record.settings.hostname, record.settings.net.network) {
        (Some(name), _) => name.clone(),
        (None, Network::Host) => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        (None, Network::None | Network::Pasta) => record.id.chars().take(12).collect(),
    }
}

/// Fills new volumes with the image's files, and gives those that are to be given to the user.
fn fill_volumes(plan: &Plan<'_>, root: &InRoot, user: &User) -> Result<()> {
    for mount in &plan.record.mounts {
        let source = open_source(&mount.source, mount.managed)?;
        if mount.managed && !mount.options.no_copy {
            copyup::copy_up(root, &mount.destination, &mount.source)?;
        }
        if !mount.options.chown {
            continue;
        }
        if plan.protected.touches(&mount.source) {
            return Err(Error::option(
                "--volume",
                &mount.source.display().to_string(),
                "U would change the owners of berth's own files",
            ));
        }
        // With one id everything belongs to whoever runs, whatever he is called inside.
        if !plan.record.maps.is_single() {
            chown::chown_tree(&source, &mount.source, user.uid, user.gid)?;
        }
    }
    Ok(())
}

/// The volumes, with what keeps the store safe.
fn volumes(plan: &Plan<'_>) -> Vec<Bind> {
    let volumes = plan.record.mounts.iter().map(|mount| Bind {
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        read_only: mount.options.read_only,
        no_exec: mount.options.no_exec,
        set_id: mount.options.set_id,
        managed: mount.managed,
    });
    protect(volumes.collect(), &plan.protected)
}

/// The files that berth writes for a container, where nothing else was asked for.
fn own_files(plan: &Plan<'_>, hostname: &str) -> Result<Vec<Bind>> {
    let record = plan.record;
    let files = etc::write(plan.bundle, hostname, &record.settings.net)?;
    let binds = files.into_iter().map(|(source, destination)| Bind {
        source,
        destination: PathBuf::from(destination),
        ..Bind::default()
    });
    let is_free = |bind: &Bind| {
        let volumes = record.mounts.iter().map(|mount| &mount.destination);
        let memory = record.settings.tmpfs.iter().map(|it| &it.destination);
        volumes
            .chain(memory)
            .all(|taken| *taken != bind.destination)
    };
    Ok(binds.filter(is_free).collect())
}
