//! Running a program in a container that runs: the second half, in a sealed copy of this binary where one is needed.
//!
//! The process is root of the container's user namespace and sees the supervisor's mounts. libcontainer forks the program
//! from here into the container's other namespaces; this process stays outside of them, passes signals and the terminal's
//! bytes on, and ends as the program ends. Where the caller may leave first, it is the child of one that the caller waits for
//! ([`crate::background`]).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::background::{self, Half};
use crate::document;
use crate::engine::{self, Entered, EntryInput};
use crate::error::{Error, Result};
use crate::exec::{Request, VERB};
use crate::finish::{Caps, Finish};
use crate::relay;
use crate::remove::remove_tree;
use crate::signals::Signals;
use crate::stdio::{Ends, Stdio, null};
use crate::terminal::Console;
use crate::{seccomp, sys, terminal};

/// Runs what the documents in `dir` say, and gives its exit code.
pub(crate) fn inside(dir: &Path, say: &mut dyn FnMut(&str)) -> Result<u8> {
    let signals = Signals::open()?;
    let request: Request = document::read(&dir.join("request.json"))?;
    let can_leave = request.terminal && request.interactive && !request.keys.is_none();
    let mut herald = match request.detach || can_leave {
        true => match background::split()? {
            Half::Caller(worker) => return worker.stand_for(&signals),
            Half::Worker(herald) => Some(herald),
        },
        false => None,
    };
    let entered = enter(dir, &request);
    let removed = remove_tree(dir);
    let (program, stdio) = match entered {
        Err(Error::Exec { .. }) if request.healthcheck => return removed.map(|()| 1),
        entered => entered?,
    };
    removed?;
    if !program.in_group {
        say(
            "limits not applied: this process may not move the command to the container's control group (run it with: systemd-run --user --scope berth exec …)",
        );
    }
    if request.detach
        && let Some(herald) = herald.take()
    {
        herald.leave()?;
    }
    let exit = herald.map(|herald| (request.keys, herald));
    let code = relay::until_end(program.pid, signals, stdio, exit)?;
    Ok(if request.healthcheck {
        code.min(1)
    } else {
        code
    })
}

fn enter(dir: &Path, request: &Request) -> Result<(Entered, Stdio)> {
    let console = request.terminal.then(|| Console::listen(dir)).transpose()?;
    let null = |wanted: bool| wanted.then(null).transpose();
    let silent = request.detach;
    let ends = Ends {
        stdin: null((silent || !request.interactive) && !request.terminal)?,
        stdout: null(silent)?,
        stderr: null(silent)?,
    };
    let finish = finish(request)?;
    // After what the program gets was opened: it would be of a mount namespace that goes with this process.
    hide_cgroups()?;
    if !request.init.alive() {
        return Err(Error::WrongState {
            verb: VERB,
            id: request.id.clone(),
            state: "exited",
        });
    }
    let program = engine::enter(EntryInput {
        id: &request.id,
        dir,
        program: &request.program,
        ends,
        console: console.as_ref().map(Console::path),
        finish,
    })?;
    let stdio = match console {
        Some(console) => Stdio::terminal(console.accept(request.owner)?, request.interactive)?,
        None => Stdio::default(),
    };
    Ok((program, stdio))
}

fn finish(request: &Request) -> Result<Finish> {
    let bounding: Vec<&str> = request.bounding.iter().map(String::as_str).collect();
    let filter = seccomp::filter(&request.seccomp, &bounding, &request.run_dir)?;
    let join_user = match request.join_user {
        true => {
            let path = format!("/proc/{}/ns/user", request.init.pid);
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            Some(Arc::new(OwnedFd::from(file)))
        }
        false => None,
    };
    Ok(Finish {
        seccomp: filter.map(Arc::new),
        become_user: request.become_user,
        rlimits: request.rlimits.clone(),
        parent: request
            .ends_with_parent
            .then(engine::this_process)
            .transpose()?
            .map(Arc::new),
        init: false,
        listens: false,
        join_user,
        cgroup: request.cgroup.and_then(sys::inherited).map(Arc::new),
        size: terminal::own_size().filter(|_| request.terminal),
        caps: request.loads_filter.then(|| Caps {
            bounding: set(&request.bounding),
            held: set(&request.held),
        }),
    })
}

fn set(names: &[String]) -> CapabilitySet {
    let known = names
        .iter()
        .filter_map(|name| CapabilitySet::from_name(name.strip_prefix("CAP_")?));
    known.collect()
}

/// Makes the control groups read-only for this process: libcontainer would move the program by the path that a group has
/// in the supervisor's view, which fails for a process that comes from outside of it. [`Finish`] moves it.
fn hide_cgroups() -> Result<()> {
    sys::unshare(UnshareFlags::NEWNS).map_err(Error::os("make a mount namespace"))?;
    sys::remount_read_only(c"/sys/fs/cgroup").map_err(Error::io("make read-only", "/sys/fs/cgroup"))
}
