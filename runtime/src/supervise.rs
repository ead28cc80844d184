//! The supervisor of one container: one process, one thread, from before its first instruction until after its last.
//!
//! Outside: block signals, claim the container, enter the user namespace, execute the sealed copy where one is needed. Inside: mount the root,
//! write the bundle, let libcontainer make the container, attend it until it ends, as often as its restart policy says,
//! write down how it ended, clean up. Whatever fails on the way, the clean-up runs: a container that was to be removed is
//! gone afterwards, and any other can be told to have ended.
//!
//! A container is claimed under the lock of its directory by writing down the supervisor, and from then on is live; who
//! removes it holds the same lock. So of two who start it one is refused, and nobody starts what is being removed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::thread::UnshareFlags;

use crate::attend::{Attendant, AttendantInput};
use crate::backoff::Backoff;
use crate::cgroup_limits::{self, Prepared};
use crate::client::Client;
use crate::container::{Container, Containers, make_private};
use crate::document;
use crate::engine::{Engine, EngineInput};
use crate::error::{Error, Result};
use crate::finish::Finish;
use crate::health_run::Checks;
use crate::inroot::InRoot;
use crate::living::Living;
use crate::log::{LogDriver, Writer};
use crate::pasta::{self, Pasta};
use crate::plan::{self, Plan, Planned};
use crate::proc::ProcessId;
use crate::protect::{Protected, guarded_dirs, store_dirs};
use crate::record::{Notes, Record, STATE};
use crate::signals::Signals;
use crate::start::{INSIDE, Start, StartMode};
use crate::stdio::{Ends, Stdio, null};
use crate::terminal::Console;
use crate::{
    clock, mounted, mounts, overlay, pivotable, remove, rootfs, seal, socket, sys, userns, walls,
};

/// The notes of the last time, while a new start may still fail.
const STATE_BEFORE: &str = "state.before";

/// Both halves, in a process that has one thread. Gives the exit code of the container.
pub(crate) fn outside(start: &Start, mode: StartMode, say: &mut dyn FnMut(&str)) -> Result<u8> {
    userns::assert_single_thread()?;
    Signals::block()?;
    if mode != StartMode::Foreground {
        rustix::process::setsid().map_err(Error::os("leave the caller's session"))?;
    }
    let container = claim(start)?;
    if let Err(error) = enter(start, &container, mode, say) {
        return give_up(start, &container).and(Err(error));
    }
    serve(start, &container, mode, say)
}

/// Makes the container this process's own.
fn claim(start: &Start) -> Result<Container> {
    let containers = Containers::open(&start.root, &start.run_dir);
    let _lock = containers.lock_container(&start.id)?;
    let container = load(&containers, &start.id)?;
    let state = container.state()?;
    if state.is_live() {
        return Err(Error::WrongState {
            verb: "start",
            id: start.id.clone(),
            state: state.name(),
        });
    }
    let notes = container.dir.join(STATE);
    match std::fs::rename(&notes, container.dir.join(STATE_BEFORE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("rename", &notes)(error));
        }
        _ => {}
    }
    let own_pid = i32::try_from(std::process::id()).unwrap_or_default();
    let claimed = Notes {
        supervisor: Some(ProcessId::of(own_pid)?),
        ..Notes::default()
    };
    if container.record.settings.life.remove {
        claimed.write(&container.dir)?;
    } else {
        claimed.write_lasting(&container.dir)?;
    }
    make_private(&container.bundle)?;
    Ok(container)
}

/// Enters the user namespace. Returns when this process can go on as it is.
fn enter(
    start: &Start,
    container: &Container,
    mode: StartMode,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    // An init of ours stays, and would show the container what this process was executed with.
    let init = container.record.settings.life.init;
    let seal = init || seal::is_needed(&container.record.maps)?;
    sys::close_all_on_exec().map_err(Error::os("mark descriptors close-on-exec"))?;
    let group = cgroup_limits::prepare(&container.record.id, &container.record.settings.limits)?;
    group.not_applied.iter().for_each(|line| say(line));
    group.write(&container.bundle)?;
    let mut flags = UnshareFlags::NEWNS;
    if let Some(dir) = &group.dir {
        let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
        notes.cgroup = Some(dir.clone());
        notes.write(&container.dir)?;
    } else {
        // With a group of the container's own the supervisor must see the whole tree, to move it there.
        flags |= UnshareFlags::NEWCGROUP;
    }
    let net = &container.record.settings.net;
    if net.network.is_own() {
        flags |= UnshareFlags::NEWNET;
    }
    let pasta = pasta::start(&container.bundle, net, &start.options.helpers)?;
    userns::enter(&container.record.maps, &start.options.helpers, flags)?;
    pasta.map_or(Ok(()), Pasta::connect)?;
    if !seal {
        return seal::leave_caller(None);
    }
    let Err(error) = seal::exec_sealed(&[
        OsStr::new(INSIDE),
        OsStr::new(&start.text()?),
        OsStr::new(mode.word()),
    ]);
    Err(error)
}

/// The second half in a sealed copy.
pub(crate) fn inside(start: &Start, mode: StartMode, say: &mut dyn FnMut(&str)) -> Result<u8> {
    let container = load(&Containers::open(&start.root, &start.run_dir), &start.id)?;
    serve(start, &container, mode, say)
}

/// The second half: runs the container and gives its exit code.
fn serve(
    start: &Start,
    container: &Container,
    mode: StartMode,
    say: &mut dyn FnMut(&str),
) -> Result<u8> {
    let mut attendant = match attendant(container, mode, say) {
        Ok(attendant) => attendant,
        Err(error) => return give_up(start, container).and(Err(error)),
    };
    let outcome = run(start, container, &mut attendant);
    let code = match &outcome {
        Ok(code) => Some(*code),
        Err(error @ Error::Exec { .. }) => Some(error.run_code()),
        Err(_) => None,
    };
    let cleaned = match code {
        Some(code) => finish(start, container, code),
        None => give_up(start, container),
    };
    // Why it failed matters more than that the clean-up failed too.
    let code = outcome?;
    cleaned?;
    attendant.farewell(code)?;
    Ok(code)
}

fn load(containers: &Containers, id: &str) -> Result<Container> {
    containers.load(id)?.ok_or_else(|| Error::NoContainer {
        name: id.to_owned(),
    })
}

fn attendant<'a>(
    container: &Container,
    mode: StartMode,
    say: &'a mut dyn FnMut(&str),
) -> Result<Attendant<'a>> {
    let signals = Signals::open()?;
    let listener = socket::listen(&container.bundle, socket::CONTROL)?;
    listener
        .set_nonblocking(true)
        .map_err(Error::os("set up a socket"))?;
    let settings = &container.record.settings;
    let foreground = mode == StartMode::Foreground && !is_passthrough(container);
    Ok(Attendant::new(AttendantInput {
        signals,
        listener,
        launcher: launcher(mode)?,
        own_output: foreground,
        own_input: foreground && settings.interactive,
        log: Writer::open(&container.dir, &container.record)?,
        stop_signal: container.stop_signal().number(),
        stop_timeout: (mode != StartMode::Foreground).then(|| container.stop_timeout()),
        say,
    }))
}

/// Who waits for the start: a socket in the place of stdin, which a container in the background does not read.
fn launcher(mode: StartMode) -> Result<Option<Client>> {
    if mode == StartMode::Foreground {
        return Ok(None);
    }
    std::env::set_current_dir("/").map_err(Error::io("enter", "/"))?;
    let stdin = rustix::stdio::stdin();
    let socket =
        rustix::io::fcntl_dupfd_cloexec(stdin, 3).map_err(Error::os("copy a descriptor"))?;
    rustix::stdio::dup2_stdin(null()?).map_err(Error::os("leave the caller's input"))?;
    Client::new(socket, true).map(Some)
}

fn is_passthrough(container: &Container) -> bool {
    let settings = &container.record.settings;
    settings.life.log.driver == LogDriver::Passthrough && !settings.terminal
}

/// Prepares the container and runs it until it has ended for good.
fn run(start: &Start, container: &Container, attendant: &mut Attendant<'_>) -> Result<u8> {
    let record = &container.record;
    let rootfs = container.containers.root_mount();
    make_private(&rootfs)?;
    pivotable::make(&rootfs)?;
    let group = Prepared::read(&container.bundle)?;
    let cgroup_view = group.view(&start.run_dir)?;
    if record.settings.net.network.is_own() {
        sys::loopback_up().map_err(Error::os("bring the loopback device up"))?;
        walls::set_network(&record.settings)?;
    }
    let copied = rootfs::mount(&record.lower, &container.dir, &rootfs)?;
    copied.iter().for_each(|line| attendant.say(line));
    // What a supervisor that was killed has left.
    remove::remove_tree(&container.containers.libcontainer(&record.id))?;
    let mut ready = Ready {
        rootfs,
        cgroup_view,
        group,
        start,
        container,
    };
    let mut backoff = Backoff::default();
    loop {
        let began = clock::uptime();
        if backoff.restarts() > 0 {
            mounts::unmount_all(&ready.rootfs)?;
            // It went with the life before.
            ready.group = cgroup_limits::prepare(&record.id, &record.settings.limits)?;
        }
        let code = live(&ready, attendant)?;
        if attendant.stopped_by_hand() {
            return Ok(code);
        }
        let ran = clock::uptime().saturating_sub(began);
        let Some(pause) = backoff.next(record.settings.life.restart, code, ran) else {
            return Ok(code);
        };
        let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
        notes.exit_code = Some(i32::from(code));
        notes.restarts = backoff.restarts();
        notes.write(&container.dir)?;
        if !attendant.rest(clock::uptime().saturating_add(pause))? {
            return Ok(code);
        }
    }
}

/// What every life of a container begins with.
struct Ready<'a> {
    rootfs: PathBuf,
    cgroup_view: PathBuf,
    group: Prepared,
    start: &'a Start,
    container: &'a Container,
}

/// One life: makes the container, attends it, and takes it down.
fn live(ready: &Ready<'_>, attendant: &mut Attendant<'_>) -> Result<u8> {
    let record = &ready.container.record;
    let bundle = &ready.container.bundle;
    let mut plan = plan(ready)?;
    plan.warnings.iter().for_each(|line| attendant.say(line));
    let console = record
        .settings
        .terminal
        .then(|| Console::listen(bundle))
        .transpose()?;
    let (mut stdio, ends) = stdio(ready.container, plan.owner)?;
    let mut engine = Engine::create(EngineInput {
        id: &record.id,
        bundle,
        spec: &plan.spec,
        state_dir: &libcontainer_dir(&ready.start.run_dir)?,
        program: &plan.program,
        ends,
        console: console.as_ref().map(Console::path),
        preserve_fds: 0,
        ends_with_parent: true,
        finish: Finish {
            seccomp: plan.filter.take().map(Arc::new),
            become_user: plan.become_user,
            rlimits: std::mem::take(&mut plan.rlimits),
            init: record.settings.life.init,
            ..Finish::default()
        },
    })?;
    let pid = engine.pid().unwrap_or_default();
    let walls = walls::verify(pid, &plan.walls)
        .and_then(|()| mounted::verify(pid, record, &plan.walls, || store(ready.start)));
    if let Err(error) = walls.and_then(|()| restrain(&engine, ready, attendant)) {
        return engine.abandon().and(Err(error));
    }
    let owner = plan.owner;
    drop(plan);
    let outcome = console
        .map(|console| console.accept(owner))
        .transpose()
        .and_then(|master| {
            if let Some(master) = master {
                stdio = Stdio::terminal(master, record.settings.interactive)?;
            }
            attend(&mut engine, stdio, ready.container, attendant)
        });
    note_oom(ready.container, &ready.group)?;
    match outcome {
        Ok(code) => engine.delete().map(|()| code),
        Err(error @ Error::Exec { .. }) => engine.delete().and(Err(error)),
        Err(error) => engine.abandon().and(Err(error)),
    }
}

/// Made anew for each life: what is in memory of a container starts afresh with it.
fn plan(ready: &Ready<'_>) -> Result<Planned> {
    let run_dir = &ready.start.run_dir;
    let bundle = &ready.container.bundle;
    let mut plan = plan::make(&Plan {
        record: &ready.container.record,
        bundle,
        rootfs: &ready.rootfs,
        cgroup_view: &ready.cgroup_view,
        group: &ready.group,
        protected: Protected::of_volumes(guarded(ready.start), &ready.container.record.mounts)?,
        run_dir,
    })?;
    let document = bundle.join("config.json");
    let root = InRoot::open(&ready.rootfs)?;
    mounts::mount_document(&root, &mut plan.spec, &document, &plan.volumes)?;
    document::write(&document, &plan.spec)?;
    Ok(plan)
}

fn store(start: &Start) -> Vec<PathBuf> {
    store_dirs(&start.options.repo, &start.root)
}

fn guarded(start: &Start) -> Vec<PathBuf> {
    guarded_dirs(&start.options.repo, &start.root, &start.run_dir)
}

/// Both sides of the stdio of a container without a terminal.
fn stdio(container: &Container, owner: Option<(u32, u32)>) -> Result<(Stdio, Ends)> {
    let settings = &container.record.settings;
    if settings.terminal {
        return Ok((Stdio::default(), Ends::default()));
    }
    if !is_passthrough(container) {
        return Stdio::pipes(settings.interactive, owner);
    }
    let stdin = if settings.interactive {
        None
    } else {
        Some(null()?)
    };
    let ends = Ends {
        stdin,
        ..Ends::default()
    };
    Ok((Stdio::default(), ends))
}

/// What is done to the first process before its program runs: its limits are checked to hold.
fn restrain(engine: &Engine, ready: &Ready<'_>, attendant: &mut Attendant<'_>) -> Result<()> {
    let record: &Record = &ready.container.record;
    let pid = engine.pid().unwrap_or_default();
    if !ready.group.holds(pid)? {
        attendant.say("limits not applied: the container could not be moved to its control group");
    }
    let Some(score) = record.settings.limits.oom_score_adj else {
        return Ok(());
    };
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
        attendant.say(&format!(
            "oom score not applied: only root makes a process safer than its parent: {error}"
        ));
    }
    Ok(())
}

/// Writes down whether the kernel killed something in the container, before its group goes.
fn note_oom(container: &Container, group: &Prepared) -> Result<()> {
    if !group.dir.as_deref().is_some_and(cgroup_limits::oom_killed) {
        return Ok(());
    }
    let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
    notes.oom_killed = true;
    notes.write(&container.dir)
}

/// Starts what libcontainer has made and stays with it until it ends.
fn attend(
    engine: &mut Engine,
    mut stdio: Stdio,
    container: &Container,
    attendant: &mut Attendant<'_>,
) -> Result<u8> {
    attendant.prepare(&mut stdio);
    let mut life = Living::new(engine, stdio)?;
    let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
    notes.init = Some(ProcessId::of(life.engine.pid().unwrap_or_default())?);
    notes.started = Some(clock::now());
    notes.exit_code = None;
    notes.write(&container.dir)?;
    life.engine.start()?;
    attendant.check_health(Checks::of(container)?);
    attendant.attend(&mut life)?;
    life.reap()
}

fn libcontainer_dir(run_dir: &Path) -> Result<PathBuf> {
    let dir = run_dir.join("libcontainer");
    make_private(&dir)?;
    Ok(dir)
}

/// After the container has ended: writes its exit code down, or removes it.
fn finish(start: &Start, container: &Container, code: u8) -> Result<()> {
    // Unmounting waits for every processor, and what is removed needs none: an overlay goes with this process.
    if !container.record.settings.life.remove || rootfs::is_copied(&container.dir) {
        overlay::unmount(&container.containers.root_mount())?;
    }
    if container.record.settings.life.remove {
        return remove(start, container);
    }
    let mut notes = Notes::read(&container.dir)?.unwrap_or_default();
    notes.exit_code = Some(i32::from(code));
    notes.finished = Some(clock::now());
    notes.write(&container.dir)
}

/// When the container never came to run: forgets the attempt, or removes the container. One that did run, and was lost, is
/// left with the notes that say so.
fn give_up(start: &Start, container: &Container) -> Result<()> {
    // Whether it was mounted is not known here, and does not matter: the namespace goes with this process.
    overlay::unmount(&container.containers.root_mount()).ok();
    if container.record.settings.life.remove {
        return remove(start, container);
    }
    if Notes::read(&container.dir)?.is_some_and(|notes| notes.started.is_some()) {
        return Ok(());
    }
    if let Some(dir) = Notes::read(&container.dir)?.and_then(|notes| notes.cgroup) {
        cgroup_limits::remove(&dir)?;
    }
    let (state, before) = (container.dir.join(STATE), container.dir.join(STATE_BEFORE));
    match std::fs::rename(&before, &state) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::remove_file(&state).map_err(Error::io("remove", &state))
        }
        outcome => outcome.map_err(Error::io("rename", &before)),
    }
}

fn remove(start: &Start, container: &Container) -> Result<()> {
    container.remove_files(true)?;
    let repo = store::Repo::open(&start.options.repo)?;
    Ok(store::unpin(&repo, &start.id)?)
}
