//! Making a container of the runtime: the first half, outside.
//!
//! Everything that takes the caller's own ids and mounts happens here: reading the bundle, claiming the id, the control
//! group, the namespaces that libcontainer is not left to make. The second half ([`super::inside`]) is this binary again,
//! sealed, with nothing of the caller's but stdio and the descriptors that are the container's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, kinds};
use super::groups;
use super::state::{self, Record, Status, check_id};
use super::{Host, RunOptions, notify};
use crate::container::make_private;
use crate::document;
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::proc::ProcessId;
use crate::remove::remove_tree;
use crate::signals::Signals;
use crate::start::OCI_RUN;
use crate::ulimit::{self, Ulimit};
use crate::{clock, seal, sys, userns};

/// What the second half is asked, in the container's directory.
pub(crate) const REQUEST: &str = "request.json";
/// The document for libcontainer there.
pub(crate) const DOCUMENT: &str = "config.json";
/// The most descriptors that are passed on.
const DESCRIPTORS_MAX: u32 = 1024;

/// What the second half must know besides record and document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) run_dir: PathBuf,
    pub(crate) helpers: IdHelpers,
    pub(crate) detach: bool,
    pub(crate) create: bool,
    pub(crate) pid_file: Option<PathBuf>,
    /// All descriptors that the container gets besides stdio.
    pub(crate) descriptors: u32,
    pub(crate) listens: bool,
    pub(crate) console_socket: Option<PathBuf>,
    pub(crate) terminal: bool,
    /// The service manager's socket.
    pub(crate) notify: Option<String>,
    pub(crate) rlimits: Vec<Ulimit>,
    /// Whether we are the host's root, or root of whatever we were started in.
    pub(crate) is_root: bool,
    /// Whether the document's network namespace was made by the first half.
    pub(crate) own_network: bool,
}

impl Host {
    /// Makes a container of a bundle, and runs it. Gives the exit code of this process, which serves for nothing else
    /// afterwards: of the program in the foreground, else 0. What could not be done as asked goes to `say`.
    pub fn run(&self, options: &RunOptions, say: &mut dyn FnMut(&str)) -> Result<u8> {
        userns::assert_single_thread()?;
        check_descriptors(options)?;
        check_id(&options.id)?;
        Signals::block()?;
        let mut bundle = Bundle::read(&options.bundle)?;
        check_terminal(&bundle, options)?;
        let dir = self.dir(&options.id);
        let is_root = store::is_root();
        let mut record = self.record_of(options, &bundle)?;
        self.claim(&record)?;
        let prepared = self.prepare(options, &mut bundle, &mut record, is_root, say);
        let Err(error) = prepared.and_then(|request| enter(&dir, &request, &record, options));
        // Nothing of it has run.
        record.groups.remove().ok();
        remove_tree(&dir)?;
        Err(error)
    }

    fn record_of(&self, options: &RunOptions, bundle: &Bundle) -> Result<Record> {
        let hooks = bundle.spec["hooks"]["poststop"].as_array();
        Ok(Record {
            id: options.id.clone(),
            bundle: bundle.dir.clone(),
            rootfs: bundle.rootfs.clone(),
            created: clock::now(),
            owner: rustix::process::geteuid().as_raw(),
            maker: ProcessId::of(i32::try_from(std::process::id()).unwrap_or_default())?,
            init: None,
            started: false,
            annotations: bundle.annotations(),
            namespaces: kinds(&bundle.spec)
                .into_iter()
                .filter(|kind| kind != "user")
                .collect(),
            maps: None,
            groups: groups::Groups::default(),
            discards: bundle.discards(),
            poststop: hooks.cloned().unwrap_or_default(),
        })
    }

    /// Makes the id this process's own. What a dead container has left of it is removed: after a crash or a power cut a
    /// service starts again.
    fn claim(&self, record: &Record) -> Result<()> {
        let _lock = self.lock()?;
        let dir = self.dir(&record.id);
        if let Some(old) = state::read(&dir)? {
            if old.status() != Status::Stopped {
                return Err(Error::OciTaken);
            }
            self.clear(&old)?;
        }
        remove_tree(&dir)?;
        make_private(&dir)?;
        record.write(&dir)
    }

    /// Takes out of the document what is not libcontainer's, and writes down what the second half is asked.
    fn prepare(
        &self,
        options: &RunOptions,
        bundle: &mut Bundle,
        record: &mut Record,
        is_root: bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Request> {
        let mut said = Vec::new();
        // Root's own namespaces are libcontainer's to make: it may write any map.
        let has_user = kinds(&bundle.spec).iter().any(|kind| kind == "user");
        if !is_root {
            record.maps = bundle.take_user()?;
        }
        if record.maps.is_none() && !rustix::process::geteuid().is_root() {
            return Err(Error::Bundle {
                path: bundle.dir.clone(),
                why: "it has no user namespace, which an ordinary user's container needs".into(),
            });
        }
        let own_network = !(is_root && has_user) && bundle.take_network();
        record.groups = groups::prepare(&record.id, bundle, is_root, &mut said)?;
        bundle.spec["linux"]["cgroupsPath"] = serde_json::json!(record.groups.path);
        if !record.groups.by_engine
            && let Some(linux) = bundle.spec["linux"].as_object_mut()
        {
            linux.remove("resources");
        }
        let rlimits = ulimit::within(&bundle.take_rlimits(), ulimit::most, &mut said);
        fit_user(bundle, record, &mut said);
        let listens = listen(options, bundle);
        if let Some(socket) = &options.notify {
            // A network with a path may be the host's or not; only the host's own is known to be.
            let network = record.namespaces.iter().any(|kind| kind == "network");
            said.extend(notify::offer(socket, &mut bundle.spec, network));
        }
        said.iter().for_each(|line| say(line));
        let dir = self.dir(&record.id);
        record.write(&dir)?;
        document::write(&dir.join(DOCUMENT), &bundle.spec)?;
        Ok(Request {
            run_dir: self.run_dir.clone(),
            helpers: self.helpers.clone(),
            detach: options.detach || options.create,
            create: options.create,
            pid_file: options.pid_file.as_deref().map(absolute).transpose()?,
            descriptors: options.preserve_fds + options.listen.count,
            listens,
            console_socket: options
                .console_socket
                .as_deref()
                .map(absolute)
                .transpose()?,
            terminal: bundle.spec["process"]["terminal"] == true,
            notify: options
                .notify
                .as_ref()
                .and_then(|it| it.to_str())
                .map(str::to_owned),
            rlimits,
            is_root,
            own_network,
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io("find", path))
}

/// Fails when a descriptor that was promised is not there: one of ours would get its number, and the container that.
fn check_descriptors(options: &RunOptions) -> Result<()> {
    let count = options.preserve_fds.saturating_add(options.listen.count);
    let given = count.to_string();
    if count > DESCRIPTORS_MAX {
        return Err(Error::option("--preserve-fds", &given, "that are too many"));
    }
    for number in (3..).take(usize::try_from(count).unwrap_or_default()) {
        if !sys::is_open(number) {
            let why = format!("descriptor {number} is not open");
            return Err(Error::option("--preserve-fds", &given, why));
        }
    }
    Ok(())
}

/// runc's rules: a terminal needs somebody who holds its other end.
fn check_terminal(bundle: &Bundle, options: &RunOptions) -> Result<()> {
    let leaves = options.detach || options.create;
    let terminal = bundle.spec["process"]["terminal"] == true;
    let why = match (&options.console_socket, leaves && terminal) {
        (None, true) => "cannot allocate tty if it will detach without setting console socket",
        (Some(_), false) => "cannot use console socket if it will not detach or allocate tty",
        _ => return Ok(()),
    };
    Err(Error::Bundle {
        path: bundle.dir.clone(),
        why: why.into(),
    })
}

/// What a user namespace with one id, or a user without privileges, cannot do.
fn fit_user(bundle: &mut Bundle, record: &Record, said: &mut Vec<String>) {
    let Some(maps) = &record.maps else {
        return;
    };
    let process = &mut bundle.spec["process"];
    if maps.is_single()
        && let Some(user) = process["user"].as_object_mut()
    {
        let groups = user.remove("additionalGids");
        if groups.is_some_and(|it| it.as_array().is_some_and(|it| !it.is_empty())) {
            said.push("process.user.additionalGids not applied: one id is mapped, and no other group exists".into());
        }
    }
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let own: i64 = own.trim().parse().unwrap_or_default();
    if process["oomScoreAdj"]
        .as_i64()
        .is_some_and(|score| score < own)
        && let Some(process) = process.as_object_mut()
    {
        process.remove("oomScoreAdj");
        said.push(
            "process.oomScoreAdj not applied: only root makes a process safer than its parent"
                .into(),
        );
    }
}

/// Tells the program of its sockets. Whether it has any.
fn listen(options: &RunOptions, bundle: &mut Bundle) -> bool {
    let listen = &options.listen;
    let Some(env) = bundle.spec["process"]["env"]
        .as_array_mut()
        .filter(|_| listen.count > 0)
    else {
        return false;
    };
    env.retain(|var| !var.as_str().is_some_and(|var| var.starts_with("LISTEN_")));
    env.push(format!("LISTEN_FDS={}", listen.count).into());
    env.extend(
        listen
            .names
            .iter()
            .map(|names| format!("LISTEN_FDNAMES={names}").into()),
    );
    true
}

/// Enters the namespaces and executes the second half. Returns only on failure.
fn enter(
    dir: &Path,
    request: &Request,
    record: &Record,
    options: &RunOptions,
) -> Result<std::convert::Infallible> {
    document::write(&dir.join(REQUEST), request)?;
    let mut flags = UnshareFlags::NEWNS;
    // From within one of its own, the kernel would refuse to move a process to a group beside it.
    if !request.is_root && record.groups.dirs.is_empty() {
        flags |= UnshareFlags::NEWCGROUP;
    }
    if request.own_network {
        flags |= UnshareFlags::NEWNET;
    }
    match &record.maps {
        Some(maps) => userns::enter(maps, &request.helpers, flags)?,
        None => sys::unshare(flags).map_err(Error::os("make a mount namespace"))?,
    }
    let mut args = vec![OsStr::new(OCI_RUN), dir.as_os_str()];
    args.extend(options.told.iter().map(OsString::as_os_str));
    seal::exec_sealed_passing(&args, request.descriptors)
}
