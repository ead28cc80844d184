//! The timer that updates services: a unit of berth's own, `berth-update`, for root or for a user.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use runtime::service::{self, Manager, Places};

use super::unattended;
use crate::hosts;
use crate::report::{Failure, cause, note, out, printable};
use crate::services::{manager, places, program};

const TIMER: &str = "berth-update.timer";
const SERVICE: &str = "berth-update.service";
/// A first line of our own, so that nobody else's unit is replaced or removed.
const MARK: &str = "# Made by `berth update --timer on`, removed by `berth update --timer off`.";

/// What `--timer` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wish {
    /// Update all services once a day
    On,
    /// Do so no more
    Off,
    /// Say whether it is on
    Status,
}

/// Turns the timer on or off, or tells how it is.
pub(crate) fn timer(wish: Wish, no_systemd: bool) -> Result<ExitCode, Failure> {
    let places = places()?;
    let manager = manager(no_systemd)?;
    match wish {
        Wish::On => on(&places, manager.as_ref())?,
        Wish::Off => off(&places, manager.as_ref())?,
        Wish::Status => {
            let state = manager.state(TIMER)?.active.name();
            out!("{TIMER}: {state}")?;
            check(&places, manager.as_ref(), &mut |failure| {
                failure.report();
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn on(places: &Places, manager: &dyn Manager) -> Result<(), Failure> {
    let mut refused = false;
    check(places, manager, &mut |failure| {
        failure.report();
        refused = true;
    })?;
    if refused {
        return Err(Failure::new("cannot turn the update timer on"));
    }
    let program = program()?;
    std::fs::create_dir_all(&places.units)
        .map_err(|error| failed("make", &places.units, &error))?;
    for name in [SERVICE, TIMER] {
        refuse_others(&places.units.join(name))?;
    }
    for (name, text) in [(SERVICE, service_text(&program)?), (TIMER, timer_text())] {
        let path = places.units.join(name);
        std::fs::write(&path, text).map_err(|error| failed("write", &path, &error))?;
        note!("Created file {}", printable(&path.display().to_string()));
    }
    manager.reload()?;
    manager.enable(TIMER)?;
    Ok(manager.start(&[TIMER])?)
}

fn off(places: &Places, manager: &dyn Manager) -> Result<(), Failure> {
    let paths: Vec<PathBuf> = [TIMER, SERVICE].map(|name| places.units.join(name)).into();
    if !paths.iter().any(|path| path.exists()) {
        return Ok(());
    }
    paths.iter().try_for_each(|path| refuse_others(path))?;
    manager.stop(TIMER)?;
    manager.disable(TIMER)?;
    for path in paths {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &path, &error));
            }
            _ => {}
        }
    }
    Ok(manager.reload()?)
}

/// Tells of each service that may not be updated unattended.
fn check(
    places: &Places,
    manager: &dyn Manager,
    refuse: &mut dyn FnMut(Failure),
) -> Result<(), Failure> {
    let policy = hosts::policy();
    for it in service::list(&places.checkouts, &places.preinstalled, manager)? {
        // What came with the system goes with it, and what runs another's root is updated with that.
        if it.is_preinstalled || it.info.remote.is_some() {
            continue;
        }
        let source = it.info.source.as_ref().unwrap_or(&it.info.image);
        if let Err(failure) = unattended::check(it.name.as_str(), source, policy.as_deref()) {
            refuse(failure);
        }
    }
    Ok(())
}

fn service_text(program: &Path) -> Result<String, Failure> {
    let program = program.to_str().filter(|text| is_plain(text));
    let program = program.ok_or_else(|| {
        Failure::new("cannot write the unit: the path of this program has other than letters, digits and /._-")
    })?;
    Ok(format!(
        "{MARK}\n[Unit]\nDescription=Update the services of berth\nWants=network-online.target\n\
         After=network-online.target\n\n[Service]\nType=oneshot\nExecStart={program} update --all --unattended\n"
    ))
}

/// Whether a unit takes the text as it is.
fn is_plain(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c))
}

fn timer_text() -> String {
    format!(
        "{MARK}\n[Unit]\nDescription=Update the services of berth once a day\n\n[Timer]\nOnCalendar=daily\n\
         RandomizedDelaySec=1h\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )
}

/// Fails when somebody else's unit has the name.
fn refuse_others(path: &Path) -> Result<(), Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => Ok(()),
        Ok(_) => {
            let text = format!("The file {} already exists.", path.display());
            Err(Failure::new(text).hint("it is not berth's; remove it first"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!(
        "cannot {verb} {}: {}",
        path.display(),
        cause(error)
    ))
}
