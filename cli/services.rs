//! Services as the environment has them: where they are, for whom they are rendered, whose systemd runs them, and what is
//! said while one is changed.

mod image;
mod runtime_of;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use image::{ServiceImage, find_image};
pub(crate) use runtime_of::{recorded_runtime, runtime_of};

use runtime::service::{
    Clock, Event, GateOptions, IdRanges, Installer, JOURNAL_SOCKET, Manager, Places, Printing,
    Quadlet, Scope, ServiceName, Step, Surroundings, Systemctl, SystemctlOptions, World,
    WorldOptions,
};
use store::LockWait;

use crate::context::{Context, env, is_root};
use crate::report::{Failure, cause, note, printable};
use crate::units;

/// Whose services these are.
pub(crate) fn scope() -> Scope {
    match is_root() {
        true => Scope::Root,
        false => Scope::User,
    }
}

/// A directory that the environment names absolutely.
fn named_dir(variable: &str) -> Option<PathBuf> {
    env(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// A directory below HOME.
fn home_dir(below: &str) -> Result<PathBuf, Failure> {
    let home = named_dir("HOME");
    home.map(|home| home.join(below))
        .ok_or_else(|| Failure::new("cannot find a place for services: HOME is not set"))
}

/// A directory that the environment names, else one below HOME.
fn user_dir(variable: &str, below: &str) -> Result<PathBuf, Failure> {
    named_dir(variable).map_or_else(|| home_dir(below), Ok)
}

/// Where services are.
pub(crate) fn places() -> Result<Places, Failure> {
    let (checkouts, units, tmpfiles) = match scope() {
        Scope::Root => (
            "/var/lib/containers/atomic".into(),
            "/etc/systemd/system".into(),
            "/etc/tmpfiles.d".into(),
        ),
        Scope::User => {
            let data = user_dir("XDG_DATA_HOME", ".local/share")?;
            (
                data.join("containers/atomic"),
                user_dir("XDG_CONFIG_HOME", ".config")?.join("systemd/user"),
                data.join("containers/tmpfiles"),
            )
        }
    };
    let moved = env("ATOMIC_OSTREE_CHECKOUT_PATH").map(PathBuf::from);
    let checkouts = std::path::absolute(moved.unwrap_or(checkouts))
        .map_err(|error| Failure::new(format!("cannot find the deployments: {}", cause(&error))))?;
    Ok(Places {
        checkouts,
        preinstalled: "/usr/lib/containers/atomic".into(),
        units,
        tmpfiles,
        host_root: "/".into(),
    })
}

/// This program, as units call it.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this program: {}", cause(&error))))
}

/// For whom services are rendered.
pub(crate) fn installer(context: &Context) -> Result<Installer, Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let (run, state, conf) = match scope() {
        Scope::Root => ("/run".into(), "/var/lib".into(), "/etc".into()),
        Scope::User => (
            env("XDG_RUNTIME_DIR").map_or_else(|| format!("/run/user/{uid}").into(), PathBuf::from),
            home_dir(".data")?,
            home_dir(".config")?,
        ),
    };
    let last_cap = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap");
    let last_cap = last_cap.ok().and_then(|text| text.trim().parse().ok());
    Ok(Installer {
        scope: scope(),
        uid,
        gid: rustix::process::getegid().as_raw(),
        ranges: IdRanges::of_user(uid)?,
        atomic: format!("{} atomic", program()?.display()),
        run_directory: run,
        state_directory: state,
        conf_directory: conf,
        last_cap: last_cap.unwrap_or(LAST_CAP),
        now: context.now(),
    })
}

/// Reads a quadlet for a service of this name.
pub(crate) fn quadlet(
    file: &Path,
    name: &ServiceName,
    installer: &Installer,
) -> Result<Quadlet, Failure> {
    let home = named_dir("HOME").unwrap_or_else(|| "/root".into());
    let around = Surroundings {
        name,
        home: &home,
        run_directory: &installer.run_directory,
    };
    Ok(Quadlet::open(file, &around)?)
}

/// CAP_CHECKPOINT_RESTORE, the last one of every kernel since 5.9.
const LAST_CAP: u32 = 40;

/// A program on PATH.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = env("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_absolute() && file.is_file())
}

/// Prints a command that somebody is to run.
fn print_command(line: &str) {
    // Nobody is left to hear it when standard output has gone.
    let _ = crate::report::raw_out(format!("{}\n", printable(line)).as_bytes());
}

/// Whose systemd starts and stops services; with `prints`, nobody's, and what would be run is printed.
pub(crate) fn manager(prints: bool) -> Result<Box<dyn Manager>, Failure> {
    if prints {
        return Ok(Box::new(Printing::new(scope(), &print_command)));
    }
    let systemctl = Systemctl::new(systemds_programs())?;
    systemctl.check()?;
    Ok(Box::new(systemctl))
}

fn systemds_programs() -> SystemctlOptions {
    SystemctlOptions {
        scope: scope(),
        systemctl: find_program("systemctl"),
        tmpfiles: find_program("systemd-tmpfiles"),
        runtime_directory: match scope() {
            Scope::Root => None,
            Scope::User => env("XDG_RUNTIME_DIR").map(PathBuf::from),
        },
    }
}

/// Makes what a tmpfiles.d file says, for a run that is no service; says so where nothing can.
pub(crate) fn make_temporary(file: &Path) -> Result<(), Failure> {
    if !Systemctl::make_temporary(systemds_programs(), file)? {
        note!("left out what the image wants made on the host: systemd-tmpfiles is not on PATH");
    }
    Ok(())
}

/// The time that has passed since this was made.
#[derive(Debug)]
pub(crate) struct Elapsed(Instant);

impl Elapsed {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Elapsed {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Opens the services for changes, and calls `act` with them.
pub(crate) fn change<T>(
    context: &Context,
    places: &Places,
    manager: &dyn Manager,
    act: impl FnOnce(&mut World<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let clock = Elapsed::new();
    let options = WorldOptions {
        repo: context.repo.clone(),
        gate: GateOptions::default(),
        clock: &clock,
        health: Some(&units::health),
        wait: LockWait {
            timeout: Some(context.lock_timeout),
            waiting: &|holder| note!("waiting for the services: {holder} changes one"),
        },
    };
    let mut told = |event: Event<'_>| tell(&event);
    let mut world = World::open(places, manager, options, &mut told)?;
    for recovered in world.recovered() {
        note!("{}", printable(&recovered.words()));
    }
    act(&mut world)
}

/// Says what is done, on stderr.
fn tell(event: &Event<'_>) {
    match event {
        Event::After(Step::HostFile(step)) => {
            let path = printable(&step.path.display().to_string());
            match step.verb() {
                "create" => note!("Created file {path}"),
                "replace" => note!("Replaced file {path}"),
                _ => note!("Removed file {path}"),
            }
        }
        Event::After(Step::PutUnit(path) | Step::PutTmpfiles(path)) => {
            note!("Created file {}", shown(path));
        }
        Event::After(Step::RemoveUnit(path) | Step::RemoveTmpfiles(path)) => {
            note!("Removed file {}", shown(path));
        }
        // Where nobody keeps a journal there is nobody to tell; the command says it anyway.
        Event::RolledBack(back) => drop(back.note(Path::new(JOURNAL_SOCKET), scope())),
        Event::Said(text) => note!("{}", printable(text)),
        _ => {}
    }
}

/// A path for a reader.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// Prints everything that a deployment writes to the host, a line each.
pub(crate) fn list_paths(paths: &[(PathBuf, &'static str)], say: &mut dyn FnMut(&str)) {
    for (path, what) in paths {
        say(&format!("{what:<9}  {}", shown(path)));
    }
}
