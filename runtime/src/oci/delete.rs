//! Starting what was created, and removing what has ended.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::UnshareFlags;
use serde_json::{Value, json};

use super::inside::{UPPER, WORK};
use super::kill::{members, send, wrong};
use super::state::{self, Record, Status, check_id};
use super::{Host, notify};
use crate::engine;
use crate::error::{Error, Result};
use crate::proc::ProcessId;
use crate::remove::remove_tree;
use crate::signal::StopSignal;
use crate::userns;

/// How long the kernel is given to end what was killed.
const KILL_SECONDS_MAX: i64 = 10;

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeleteOptions {
    /// Whether it is killed first, and none need be there.
    pub force: bool,
}

impl Host {
    /// Lets the program of a created container run.
    pub fn start(&self, id: &str, notify: Option<&std::ffi::OsStr>) -> Result<()> {
        let mut record = self.record(id)?;
        let status = record.status();
        let (Status::Created, Some(init)) = (status, record.init.clone()) else {
            return Err(wrong("start", id, status));
        };
        let dir = self.dir(id);
        if let Some(socket) = notify {
            notify::tell_main(socket, init.pid)?;
        }
        engine::start_created(&dir.join("engine"), id)?;
        record.started = true;
        record.write(&dir)
    }

    /// Removes a container that has ended, or was never started. This process may be in its user namespace afterwards.
    pub fn delete(
        &self,
        id: &str,
        options: DeleteOptions,
        say: &mut dyn FnMut(&str),
    ) -> Result<()> {
        check_id(id)?;
        let _lock = self.lock()?;
        let dir = self.dir(id);
        let Some(record) = state::read(&dir)? else {
            return match options.force {
                // What a crash has left, or nothing.
                true => remove_tree(&dir),
                false => Err(Error::NoOci { id: id.to_owned() }),
            };
        };
        let status = record.status();
        if status != Status::Stopped {
            if !options.force && status != Status::Created {
                return Err(wrong("delete", id, status));
            }
            end(&record)?;
        }
        for hook in &record.poststop {
            if let Err(error) = run_hook(hook, &record) {
                say(&format!("hook {} failed: {error}", hook["path"]));
            }
        }
        self.clear(&record)
    }

    /// Removes what an ended container has left.
    pub(crate) fn clear(&self, record: &Record) -> Result<()> {
        for pid in record.groups.members()? {
            send(&ProcessId::of(pid).ok(), StopSignal::KILL).ok();
            wait(&ProcessId::of(pid).ok())?;
        }
        record.groups.remove()?;
        if record.discards {
            self.throw_away(record)?;
        }
        remove_tree(&self.dir(&record.id))
    }

    /// Removes what was written over the root. It may belong to ids that only the container's own namespace has.
    fn throw_away(&self, record: &Record) -> Result<()> {
        let dirs = [UPPER, WORK].map(|name| record.bundle.join(name));
        let failed = dirs.iter().find_map(|dir| remove_tree(dir).err());
        match (failed, &record.maps) {
            (None, _) => Ok(()),
            (Some(error), None) => Err(error),
            (Some(_), Some(maps)) => {
                let Some(child) = crate::sys::fork().map_err(Error::os("start a process"))? else {
                    let gone = userns::enter(maps, &self.helpers, UnshareFlags::empty())
                        .and_then(|()| dirs.iter().try_for_each(|dir| remove_tree(dir)));
                    crate::sys::exit_at_once(u8::from(gone.is_err()));
                };
                rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())
                    .map_err(Error::os("wait for a process"))?;
                dirs.iter().try_for_each(|dir| remove_tree(dir))
            }
        }
    }
}

/// Kills all processes of a container and waits for the end of its first.
fn end(record: &Record) -> Result<()> {
    let init = record.init.clone().or_else(|| Some(record.maker.clone()));
    let all = members(record)?;
    send(&init, StopSignal::KILL).or_else(|error| match &init {
        Some(init) if init.alive() => Err(error),
        _ => Ok(()),
    })?;
    for pid in all {
        send(&ProcessId::of(pid).ok(), StopSignal::KILL).ok();
    }
    wait(&init)
}

/// Waits until a process has ended.
fn wait(process: &Option<ProcessId>) -> Result<()> {
    let Some(process) = process.as_ref().filter(|process| process.alive()) else {
        return Ok(());
    };
    let failed = || Error::os::<rustix::io::Errno>("wait for the container");
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Ok(());
    };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        fd => fd.map_err(failed())?,
    };
    let limit = Timespec {
        tv_sec: KILL_SECONDS_MAX,
        tv_nsec: 0,
    };
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)) {
        Ok(0) => Err(failed()(rustix::io::Errno::TIMEDOUT)),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(failed()(error)),
    }
}

/// Runs a hook of the document with the container's state on its stdin.
fn run_hook(hook: &Value, record: &Record) -> std::io::Result<()> {
    let texts = |key: &str| -> Vec<String> {
        let list = hook[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let state = json!({
        "ociVersion": "1.0.2", "id": record.id, "status": "stopped", "bundle": record.bundle,
        "annotations": record.annotations,
    });
    let mut command = Command::new(hook["path"].as_str().unwrap_or_default());
    let env = texts("env");
    command
        .args(texts("args").iter().skip(1))
        .env_clear()
        .envs(env.iter().filter_map(|var| var.split_once('=')))
        .stdin(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        stdin.write_all(state.to_string().as_bytes()).ok();
    }
    match child.wait()?.code() {
        Some(0) => Ok(()),
        code => Err(std::io::Error::other(format!(
            "exit code {}",
            code.unwrap_or(-1)
        ))),
    }
}
