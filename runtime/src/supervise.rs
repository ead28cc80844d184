//! The supervisor of one container: one process, one thread, from before its first instruction until after its last.
//!
//! Outside: block signals, enter the user namespace, execute the sealed copy. Inside: mount the root, write the bundle,
//! let libcontainer make the container, relay until it ends, write down how it ended, clean up. Whatever fails on the way,
//! the clean-up runs: a container that was to be removed is gone afterwards, and any other can be told to have ended.
//!
//! Signals are blocked from the start and only ever read, so none is lost between two steps.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::thread::UnshareFlags;

use crate::cgroup;
use crate::container::{Container, Containers, make_private};
use crate::document;
use crate::engine::{Engine, EngineInput, Finish};
use crate::error::{Error, Result};
use crate::pasta::{self, Pasta};
use crate::plan::{self, Plan};
use crate::proc::ProcessId;
use crate::record::{Notes, STATE};
use crate::relay::{self, Signals};
use crate::start::{INSIDE, Start};
use crate::terminal::Console;
use crate::{overlay, seal, sys, userns};

/// The first half. Returns only on failure.
pub(crate) fn outside(bundle: &Path) -> Result<u8> {
    userns::assert_single_thread()?;
    Signals::block()?;
    let start = Start::read(bundle)?;
    let container = load(&start)?;
    let outcome = enter(bundle, &start, &container);
    let cleaned = give_up(&start, &container);
    let Err(error) = outcome;
    cleaned.and(Err(error))
}

fn enter(bundle: &Path, start: &Start, container: &Container) -> Result<std::convert::Infallible> {
    sys::close_all_on_exec().map_err(Error::os("mark descriptors close-on-exec"))?;
    let own_pid = i32::try_from(std::process::id()).unwrap_or_default();
    Notes {
        supervisor: Some(ProcessId::of(own_pid)?),
        ..Notes::default()
    }
    .write(&container.dir)?;
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWCGROUP;
    let net = &container.record.settings.net;
    if net.network.is_own() {
        flags |= UnshareFlags::NEWNET;
    }
    let pasta = pasta::start(bundle, net, &start.options.helpers)?;
    userns::enter(&container.record.maps, &start.options.helpers, flags)?;
    pasta.map_or(Ok(()), Pasta::connect)?;
    seal::exec_sealed(&[OsStr::new(INSIDE), bundle.as_os_str()])
}

/// The second half: runs the container and gives its exit code.
pub(crate) fn inside(bundle: &Path) -> Result<u8> {
    let start = Start::read(bundle)?;
    let container = load(&start)?;
    let outcome = run(bundle, &start, &container);
    let code = match &outcome {
        Ok(code) => Some(*code),
        Err(Error::Exec { source, .. }) => Some(if source.kind() == std::io::ErrorKind::NotFound {
            127
        } else {
            126
        }),
        Err(_) => None,
    };
    let cleaned = match code {
        Some(code) => finish(bundle, &start, &container, code),
        None => give_up(&start, &container),
    };
    // Why it failed matters more than that the clean-up failed too.
    let code = outcome?;
    cleaned?;
    Ok(code)
}

fn load(start: &Start) -> Result<Container> {
    let containers = Containers::open(&start.root, &start.run_dir);
    containers
        .load(&start.id)?
        .ok_or_else(|| Error::NoContainer {
            name: start.id.clone(),
        })
}

fn run(bundle: &Path, start: &Start, container: &Container) -> Result<u8> {
    let record = &container.record;
    let signals = Signals::open()?;
    let rootfs = bundle.join("rootfs");
    make_private(&rootfs)?;
    let cgroup_view = cgroup::prepare(&start.run_dir.join("cgroup"))?;
    if record.settings.net.network.is_own() {
        sys::loopback_up().map_err(Error::os("bring the loopback device up"))?;
    }
    overlay::mount(
        &record.lower,
        &container.dir.join("upper"),
        &container.dir.join("work"),
        &rootfs,
    )?;
    let protected = protected(start);
    let plan = plan::make(&Plan {
        record,
        bundle,
        rootfs: &rootfs,
        cgroup_view: &cgroup_view,
        protected,
        run_dir: &start.run_dir,
    })?;
    document::write(&bundle.join("config.json"), &plan.spec)?;
    let console = record
        .settings
        .terminal
        .then(|| Console::listen(bundle))
        .transpose()?;
    let mut engine = Engine::create(EngineInput {
        id: &record.id,
        bundle,
        state_dir: &libcontainer_dir(&start.run_dir)?,
        program: &plan.program,
        stdin_null: !record.settings.interactive && !record.settings.terminal,
        console: console.as_ref().map(Console::path),
        finish: Finish {
            seccomp: plan.filter.map(Arc::new),
            become_user: plan.become_user,
        },
    })?;
    match attend(&mut engine, &signals, console, container) {
        Ok(code) => engine.delete().map(|()| code),
        Err(error @ Error::Exec { .. }) => engine.delete().and(Err(error)),
        Err(error) => engine.abandon().and(Err(error)),
    }
}

/// Starts what libcontainer has made and stays with it until it ends.
fn attend(
    engine: &mut Engine,
    signals: &Signals,
    console: Option<Console>,
    container: &Container,
) -> Result<u8> {
    let pid = engine.pid().unwrap_or_default();
    let init = ProcessId::of(pid)?;
    let terminal = console
        .map(|console| console.accept(container.record.settings.interactive))
        .transpose()?;
    let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
    notes.init = Some(init);
    notes.started = Some(now());
    notes.write(&container.dir)?;
    engine.start()?;
    let code = relay::until_end(pid, signals, terminal)?;
    match engine.exec_failure() {
        Some(error) => Err(error),
        None => Ok(code),
    }
}

/// Nanoseconds since 1970. The supervisor is a process of its own and has a clock.
fn now() -> u64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// The directories that no volume may make writable.
fn protected(start: &Start) -> Vec<PathBuf> {
    let dirs = [start.options.repo.clone(), start.root.join("checkouts")];
    dirs.into_iter()
        .filter_map(|dir| std::fs::canonicalize(dir).ok())
        .collect()
}

fn libcontainer_dir(run_dir: &Path) -> Result<PathBuf> {
    let dir = run_dir.join("libcontainer");
    make_private(&dir)?;
    Ok(dir)
}

/// After the container has ended: writes its exit code down, or removes it.
fn finish(bundle: &Path, start: &Start, container: &Container, code: u8) -> Result<()> {
    overlay::unmount(&bundle.join("rootfs"))?;
    if container.record.settings.life.remove {
        return remove(start, container);
    }
    let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
    notes.exit_code = Some(i32::from(code));
    notes.finished = Some(now());
    notes.write(&container.dir)
}

/// When the container never came to run: forgets the attempt, or removes it.
fn give_up(start: &Start, container: &Container) -> Result<()> {
    // Whether it was mounted is not known here, and does not matter: the namespace goes with this process.
    overlay::unmount(&container.bundle.join("rootfs")).ok();
    if container.record.settings.life.remove {
        return remove(start, container);
    }
    let state = container.dir.join(STATE);
    match std::fs::remove_file(&state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &state)(error))
        }
        _ => Ok(()),
    }
}

fn remove(start: &Start, container: &Container) -> Result<()> {
    container.remove_files(true)?;
    let repo = store::Repo::open(&start.options.repo)?;
    Ok(store::unpin(&repo, &start.id)?)
}
