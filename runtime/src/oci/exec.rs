//! Running a program in a container of the runtime that runs.
//!
//! Outside, the caller's process becomes the program's parent: it enters the container's user namespace and its control
//! group, writes the documents, and executes this binary sealed. Inside, libcontainer forks the program into the other
//! namespaces, and this process stays until it ends. In the background a child of ours does, so that the program is reaped.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::thread::{
    CapabilitySet, ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bundle::{read_document, ulimits};
use super::entry;
use super::inside::write_pid;
use super::kill::wrong;
use super::normalise::normalise;
use super::run::DOCUMENT;
use super::state::{Record, Status};
use super::{Host, groups};
use crate::background::{self, Half};
use crate::container::make_private;
use crate::engine::{self, EntryInput};
use crate::error::{Error, Result};
use crate::finish::{Caps, Finish};
use crate::proc::ProcessId;
use crate::remove::remove_tree;
use crate::security::SeccompChoice;
use crate::signals::Signals;
use crate::start::OCI_EXEC;
use crate::stdio::{Ends, Stdio};
use crate::terminal::{Console, own_size};
use crate::ulimit::{self, Ulimit};
use crate::{cgroup, document, exec_plan, relay, seal, seccomp, sys, userns};

/// What is run in a container, and how.
#[derive(Debug, Clone, Default)]
pub struct EnterOptions {
    /// The program and its arguments, unless `process` has them.
    pub args: Vec<String>,
    /// A `process.json` with everything.
    pub process: Option<PathBuf>,
    /// Variables as `NAME=value`, over the container's.
    pub env: Vec<String>,
    /// uid and gid instead of the container's.
    pub user: Option<(u32, u32)>,
    /// The working directory instead of the container's.
    pub cwd: Option<String>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Whether nobody waits for it.
    pub detach: bool,
    /// Gets its pid.
    pub pid_file: Option<PathBuf>,
    /// Receives its terminal.
    pub console_socket: Option<PathBuf>,
    /// How many descriptors it gets besides stdio.
    pub preserve_fds: u32,
    /// As in [`super::RunOptions`].
    pub told: Vec<OsString>,
}

/// What the second half must know besides libcontainer's documents.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    id: String,
    init: ProcessId,
    run_dir: PathBuf,
    detach: bool,
    terminal: bool,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    bounding: Vec<String>,
    held: Vec<String>,
    loads_filter: bool,
    filter: Option<String>,
    rlimits: Vec<Ulimit>,
    owner: Option<(u32, u32)>,
}

impl Host {
    /// Turns this process into the parent of a program in a container, and gives the program's exit code, for this process to
    /// end with. What could not be done as asked goes to `say`.
    pub fn exec(&self, id: &str, options: &EnterOptions, say: &mut dyn FnMut(&str)) -> Result<u8> {
        userns::assert_single_thread()?;
        let record = self.record(id)?;
        let (Status::Running, Some(init)) = (record.status(), record.init.clone()) else {
            return Err(wrong("exec in", id, record.status()));
        };
        Signals::block()?;
        let dir = self.dir(id).join(format!("exec-{}", std::process::id()));
        remove_tree(&dir)?;
        make_private(&dir)?;
        let entered = self.write_entry(&dir, &record, &init, options, say);
        let Err(error) = entered.and_then(|request| enter(&dir, &record, &request, options, say));
        remove_tree(&dir)?;
        Err(error)
    }

    /// Writes what libcontainer and the second half read.
    fn write_entry(
        &self,
        dir: &Path,
        record: &Record,
        init: &ProcessId,
        options: &EnterOptions,
        say: &mut dyn FnMut(&str),
    ) -> Result<Request> {
        let container: Value = document::read(&self.dir(&record.id).join(DOCUMENT))?;
        let given = options.process.as_deref().map(given_process).transpose()?;
        let mut entry = entry::entry(&container, options, given);
        let rlimits = match entry
            .process
            .as_object_mut()
            .and_then(|it| it.remove("rlimits"))
        {
            Some(list) => ulimits(&list),
            None => {
                let request: Value =
                    document::read(&self.dir(&record.id).join(super::run::REQUEST))?;
                serde_json::from_value(request["rlimits"].clone()).unwrap_or_default()
            }
        };
        let terminal = entry.process["terminal"] == true;
        if terminal && options.detach && options.console_socket.is_none() {
            let why = "cannot allocate tty if it will detach without setting console socket";
            return Err(Error::option("--tty", "true", why));
        }
        let mut said = Vec::new();
        let rlimits = ulimit::within(&rlimits, ulimit::most, &mut said);
        said.iter().for_each(|line| say(line));
        let below = dir.join(&record.id);
        make_private(&below)?;
        document::write(
            &below.join("state.json"),
            &exec_plan::state(&record.id, init.pid, dir),
        )?;
        document::write(&dir.join("process.json"), &entry.process)?;
        let config = entry::config(&container, &entry.process, &record.namespaces);
        document::write(&dir.join("config.json"), &config)?;
        let user = &entry.process["user"];
        let number = |key: &str| user[key].as_u64().and_then(|id| u32::try_from(id).ok());
        let filter = &container["linux"]["seccomp"];
        Ok(Request {
            id: record.id.clone(),
            init: init.clone(),
            run_dir: self.run_dir.clone(),
            detach: options.detach,
            terminal,
            pid_file: options.pid_file.as_deref().map(absolute).transpose()?,
            console_socket: options
                .console_socket
                .as_deref()
                .map(absolute)
                .transpose()?,
            bounding: entry.bounding,
            held: entry.held,
            loads_filter: entry.loads_filter,
            filter: filter.is_object().then(|| filter.to_string()),
            rlimits,
            owner: number("uid")
                .zip(number("gid"))
                .filter(|ids| *ids != (0, 0)),
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io("find", path))
}

/// The caller's `process.json`.
fn given_process(path: &Path) -> Result<Value> {
    let mut whole = json!({"ociVersion": "1.0.2", "process": read_document(path)?});
    normalise(&mut whole);
    let process = whole["process"].take();
    let args = process["args"].as_array();
    match args.is_some_and(|args| args.first().is_some_and(Value::is_string)) {
        true => Ok(process),
        false => Err(Error::Bundle {
            path: path.to_owned(),
            why: "its args are empty".into(),
        }),
    }
}

/// Enters what takes no fork to enter, and executes the second half. Returns only on failure.
fn enter(
    dir: &Path,
    record: &Record,
    request: &Request,
    options: &EnterOptions,
    say: &mut dyn FnMut(&str),
) -> Result<std::convert::Infallible> {
    document::write(&dir.join("request.json"), request)?;
    if let Some(line) = record.groups.enter() {
        say(&line);
    }
    let gone = || wrong("exec in", &record.id, Status::Stopped);
    let path = format!("/proc/{}/ns/user", request.init.pid);
    let theirs = File::open(&path).map_err(Error::io("open", &path))?;
    // The descriptor pins the namespace; what is said now holds for it.
    if !request.init.alive() {
        return Err(gone());
    }
    let mut flags = UnshareFlags::NEWNS;
    if is_other(&theirs)? {
        move_into_thread_name_spaces(theirs.as_fd(), ThreadNameSpaceType::USER)
            .map_err(Error::os("enter the container's user namespace"))?;
        userns::become_root()?;
        flags |= UnshareFlags::NEWCGROUP;
    }
    sys::unshare(flags).map_err(Error::os("make a mount namespace"))?;
    let mut args = vec![OsStr::new(OCI_EXEC), dir.as_os_str()];
    args.extend(options.told.iter().map(OsString::as_os_str));
    seal::exec_sealed_passing(&args, options.preserve_fds)
}

/// Whether a user namespace is not ours.
fn is_other(theirs: &File) -> Result<bool> {
    let ours = rustix::fs::stat("/proc/self/ns/user")
        .map_err(Error::io("look at", "/proc/self/ns/user"))?;
    let theirs = rustix::fs::fstat(theirs).map_err(Error::os("look at a namespace"))?;
    Ok((ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino))
}

/// The second half: runs what the documents in `dir` say, and gives its exit code.
pub(crate) fn inside(dir: &Path) -> Result<u8> {
    let signals = Signals::open()?;
    let request: Request = document::read(&dir.join("request.json"))?;
    let mut herald = match request.detach {
        true => match background::split()? {
            Half::Caller(worker) => return worker.stand_for(&signals),
            Half::Worker(herald) => Some(herald),
        },
        false => None,
    };
    let entered = join(dir, &request);
    let removed = remove_tree(dir);
    let (pid, stdio) = entered?;
    removed?;
    if let Some(herald) = herald.take() {
        herald.leave()?;
    }
    relay::until_end(pid, signals, stdio, None)
}

/// Lets libcontainer fork the program.
fn join(dir: &Path, request: &Request) -> Result<(i32, Stdio)> {
    let flags = rustix::mount::MountPropagationFlags::DOWNSTREAM
        | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).map_err(Error::io("set the propagation of", "/"))?;
    match store::is_root() {
        true => groups::hide(true, &request.run_dir)?,
        false => {
            cgroup::unify()?;
            // What cannot be moved is not moved by libcontainer, which takes that.
            sys::remount_read_only(c"/sys/fs/cgroup")
                .map_err(Error::io("make read-only", "/sys/fs/cgroup"))?;
        }
    }
    let console = match (request.terminal, &request.console_socket) {
        (true, None) => Some(Console::listen(dir)?),
        _ => None,
    };
    let process: Value = document::read(&dir.join("process.json"))?;
    let entered = engine::enter(EntryInput {
        id: &request.id,
        dir,
        program: process["args"][0].as_str().unwrap_or_default(),
        ends: Ends::default(),
        console: console
            .as_ref()
            .map(Console::path)
            .or(request.console_socket.as_deref()),
        finish: finish(request)?,
    })?;
    if let Some(path) = &request.pid_file {
        write_pid(path, entered.pid)?;
    }
    let stdio = match console {
        Some(console) => Stdio::terminal(console.accept(request.owner)?, true)?,
        None => Stdio::default(),
    };
    Ok((entered.pid, stdio))
}

fn finish(request: &Request) -> Result<Finish> {
    let bounding: Vec<&str> = request.bounding.iter().map(String::as_str).collect();
    let choice = match &request.filter {
        Some(text) => SeccompChoice::Profile(text.clone()),
        None => SeccompChoice::Unconfined,
    };
    let filter = seccomp::filter(&choice, &bounding, &request.run_dir)?;
    Ok(Finish {
        seccomp: filter.map(Arc::new),
        rlimits: request.rlimits.clone(),
        size: own_size().filter(|_| request.terminal),
        caps: request.loads_filter.then(|| Caps {
            bounding: set(&request.bounding),
            held: set(&request.held),
        }),
        ..Finish::default()
    })
}

fn set(names: &[String]) -> CapabilitySet {
    let known = names
        .iter()
        .filter_map(|name| CapabilitySet::from_name(name.strip_prefix("CAP_")?));
    known.collect()
}
