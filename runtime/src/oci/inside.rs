//! Making a container of the runtime: the second half, in its user namespace where it has one, and in a mount namespace of
//! ours.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bundle::Bundle;
use super::late::{self, Root};
use super::run::{DOCUMENT, REQUEST, Request};
use super::state::{self, Record};
use super::{groups, notify};
use crate::container::make_private;
use crate::document;
use crate::engine::{Engine, EngineInput};
use crate::error::{Error, Result};
use crate::finish::Finish;
use crate::inroot::InRoot;
use crate::mounts::{self, Made};
use crate::proc::ProcessId;
use crate::remove::remove_tree;
use crate::signals::Signals;
use crate::stdio::{Ends, Stdio};
use crate::terminal::{Console, own_size};
use crate::walls::{self, Walls};
use crate::{cgroup, overlay, pivotable, relay, sys};

/// Where changes of a root go that are thrown away, in the bundle.
pub(crate) const UPPER: &str = ".berth-upper";
/// What the overlay needs beside it.
pub(crate) const WORK: &str = ".berth-work";

/// Does what the documents in `dir` say, and gives the exit code of this process.
pub(crate) fn inside(dir: &Path, say: &mut dyn FnMut(&str)) -> Result<u8> {
    // The kernel has named us after the descriptor that we were started from, and `systemctl status` shows that name.
    rustix::thread::set_name(c"berth").ok();
    let request: Request = document::read(&dir.join(REQUEST))?;
    let mut record = state::read(dir)?.ok_or_else(|| Error::NoOci {
        id: dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    })?;
    let outcome = serve(dir, &request, &mut record, say);
    if outcome.is_err() || !request.detach {
        let cleared = clear(dir, &record);
        let code = outcome?;
        return cleared.map(|()| code);
    }
    outcome
}

fn serve(
    dir: &Path,
    request: &Request,
    record: &mut Record,
    say: &mut dyn FnMut(&str),
) -> Result<u8> {
    // First of all: a signal that comes now is the container's.
    let signals = Signals::open()?;
    let mut made = make(dir, request, record)?;
    let outcome =
        launch(dir, request, record, &mut made, say).and_then(|stdio| match request.detach {
            true => Ok(0),
            false => relay::until_end(made.pid, signals, stdio, None),
        });
    match (outcome, request.detach) {
        (Ok(code), true) => Ok(code),
        (Ok(code), false) => match made.engine.launch() {
            crate::living::Launch::Failed(error) => made.engine.delete().and(Err(error)),
            _ => made.engine.delete().map(|()| code),
        },
        (Err(error), _) => made.engine.abandon().and(Err(error)),
    }
}

/// A container whose program does not run yet.
struct Waiting {
    engine: Engine,
    pid: i32,
    console: Option<Console>,
    owner: Option<(u32, u32)>,
}

/// Makes the container.
fn make(dir: &Path, request: &Request, record: &Record) -> Result<Waiting> {
    let document = dir.join(DOCUMENT);
    let mut spec: Value = document::read(&document)?;
    let late = prepare_root(dir, request, record, &mut spec)?;
    document::write(&document, &spec)?;
    let console = match (request.terminal, &request.console_socket) {
        (true, None) => Some(Console::listen(dir)?),
        _ => None,
    };
    let socket = console
        .as_ref()
        .map(Console::path)
        .or(request.console_socket.as_deref());
    let state_dir = dir.join("engine");
    make_private(&state_dir)?;
    let user = &spec["process"]["user"];
    let id = |key: &str| {
        user[key]
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .unwrap_or_default()
    };
    let engine = Engine::create(EngineInput {
        id: &record.id,
        bundle: dir,
        spec: &spec,
        state_dir: &state_dir,
        program: spec["process"]["args"][0].as_str().unwrap_or_default(),
        ends: Ends::default(),
        console: socket,
        preserve_fds: i32::try_from(request.descriptors).unwrap_or_default(),
        // Who leaves must not take it along.
        ends_with_parent: !request.detach,
        finish: Finish {
            rlimits: request.rlimits.clone(),
            listens: request.listens,
            size: own_size().filter(|_| console.is_some()),
            ..Finish::default()
        },
    })?;
    let pid = engine.pid().unwrap_or_default();
    let finished = late::place(pid, &late).and_then(|()| walls::verify(pid, &walls_of(&spec)));
    if let Err(error) = finished {
        return engine.abandon().and(Err(error));
    }
    Ok(Waiting {
        engine,
        pid,
        console,
        owner: Some((id("uid"), id("gid"))).filter(|ids| *ids != (0, 0)),
    })
}

/// Mounts what the container sees, up to what must come last.
fn prepare_root(
    dir: &Path,
    request: &Request,
    record: &Record,
    spec: &mut Value,
) -> Result<Vec<Made>> {
    let mut bundle = Bundle {
        dir: record.bundle.clone(),
        rootfs: record.rootfs.clone(),
        spec: spec.take(),
    };
    let prepared = record.groups.prepared.clone().unwrap_or_default();
    let view = match request.is_root {
        true => PathBuf::from("/sys/fs/cgroup"),
        false => prepared.view(&request.run_dir)?,
    };
    bundle.settle_mounts(&view);
    if request.own_network {
        sys::loopback_up().map_err(Error::os("bring the loopback device up"))?;
    }
    // While the host's mounts are ours too.
    let root = Root::of(bundle.spec["linux"]["rootfsPropagation"].as_str());
    let made = mounts::make_document(&mut bundle.spec, &dir.join(DOCUMENT), &[])?;
    rustix::mount::mount_change("/", root.ours())
        .map_err(Error::io("set the propagation of", "/"))?;
    let scratch = dir.join("root");
    make_private(&scratch)?;
    pivotable::make(&scratch)?;
    if record.discards {
        discard(record)?;
    }
    let hides_groups = request.is_root && !cgroup::host_is_unified()?;
    let (early, late) = late::part(made, root, hides_groups)?;
    let inside = InRoot::open(&record.rootfs)?;
    walls::check_root(&inside)?;
    early.iter().try_for_each(|made| made.place(&inside))?;
    late::make_places(&late, &inside)?;
    if late
        .iter()
        .any(|made| made.destination == Path::new("/dev"))
    {
        // Where libcontainer makes devices, below the host's.
        let options = json!(["nosuid", "mode=755", "size=65536k"]);
        let cover =
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": options});
        let mut only = json!({"mounts": [cover]});
        mounts::mount_document(&inside, &mut only, &dir.join(DOCUMENT), &[])?;
    }
    if !record.groups.visible && request.is_root {
        groups::hide(true, &request.run_dir)?;
    }
    bundle.spec["root"]["path"] = json!(record.rootfs);
    if record.discards {
        // Read-only is the deployment; what lies over it is written to.
        bundle.spec["root"]["readonly"] = json!(false);
    }
    *spec = bundle.spec;
    Ok(late)
}

/// Puts an overlay over the root directory whose changes are thrown away.
fn discard(record: &Record) -> Result<()> {
    let (upper, work) = (record.bundle.join(UPPER), record.bundle.join(WORK));
    for dir in [&upper, &work] {
        remove_tree(dir)?;
        std::fs::create_dir(dir).map_err(Error::io("make", dir))?;
    }
    // The root directory of the container is as open as the image's.
    let mode = std::fs::metadata(&record.rootfs).map_err(Error::io("look at", &record.rootfs))?;
    std::fs::set_permissions(&upper, mode.permissions())
        .map_err(Error::io("set the mode of", &upper))?;
    overlay::mount(&record.rootfs, &upper, &work, &record.rootfs)
}

fn walls_of(spec: &Value) -> Walls {
    let list = |key: &str| {
        let paths = spec["linux"][key].as_array().into_iter().flatten();
        paths
            .filter_map(|path| path.as_str().map(str::to_owned))
            .collect()
    };
    Walls {
        masked: list("maskedPaths"),
        read_only: list("readonlyPaths"),
    }
}

/// Writes down and tells which process it is, and lets the program run. Gives what we hold of its stdio.
fn launch(
    dir: &Path,
    request: &Request,
    record: &mut Record,
    made: &mut Waiting,
    say: &mut dyn FnMut(&str),
) -> Result<Stdio> {
    let stdio = match made.console.take() {
        Some(console) => Stdio::terminal(console.accept(made.owner)?, true)?,
        None => Stdio::default(),
    };
    if let Some(line) = record.groups.restrict() {
        say(&line);
    }
    record.init = Some(ProcessId::of(made.pid)?);
    record.started = !request.create;
    record.write(dir)?;
    if let Some(path) = &request.pid_file {
        write_pid(path, made.pid)?;
    }
    if let Some(socket) = request.notify.as_deref().filter(|_| !request.create) {
        // A manager that has gone is no reason not to run.
        if let Err(error) = notify::tell_main(OsStr::new(socket), made.pid) {
            say(&error.to_string());
        }
    }
    if !request.create {
        made.engine.start()?;
    }
    if request.detach && !request.create {
        started(&mut made.engine)?;
    }
    Ok(stdio)
}

/// Waits until it is known whether the program could be executed: the other end of the pipe is closed then.
fn started(engine: &mut Engine) -> Result<()> {
    use crate::living::Launch;
    loop {
        match engine.launch() {
            Launch::Failed(error) => return Err(error),
            Launch::Running => return Ok(()),
            Launch::Pending => {
                let fd = engine.launch_fd();
                let mut fds = [rustix::event::PollFd::from_borrowed_fd(
                    fd,
                    rustix::event::PollFlags::IN,
                )];
                match rustix::event::poll(&mut fds, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(Error::os("wait for the program")(error)),
                }
            }
        }
    }
}

/// Writes a pid file: whoever reads it finds all of the pid or no file.
pub(crate) fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".berth-new");
    let draft = PathBuf::from(draft);
    std::fs::remove_file(&draft).ok();
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(&draft)
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(Error::io("write", path))
}

/// Removes all of an ended container, from within its namespaces.
fn clear(dir: &Path, record: &Record) -> Result<()> {
    record.groups.remove().ok();
    if record.discards {
        overlay::unmount(&record.rootfs).ok();
        remove_tree(&record.bundle.join(UPPER))?;
        remove_tree(&record.bundle.join(WORK))?;
    }
    remove_tree(dir)
}
