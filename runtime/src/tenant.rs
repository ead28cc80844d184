//! Running a program in a container that runs: the second half, in a sealed copy of this binary.
//!
//! The process is root of the container's user namespace and sees the supervisor's mounts. libcontainer forks the program
//! from here into the container's other namespaces; this process stays outside of them, passes signals and the terminal's
//! bytes on, and ends as the program ends.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::document;
use crate::engine::{self, EntryInput};
use crate::error::{Error, Result};
use crate::exec::{Request, VERB};
use crate::finish::{Caps, Finish};
use crate::relay::{self, Signals};
use crate::remove::remove_tree;
use crate::terminal::{Console, Terminal};
use crate::{seccomp, sys, terminal};

/// Runs what the documents in `dir` say, and gives its exit code.
pub(crate) fn inside(dir: &Path) -> Result<u8> {
    let signals = Signals::open()?;
    let request: Request = document::read(&dir.join("request.json"))?;
    let entered = enter(dir, &request);
    let removed = remove_tree(dir);
    let (pid, terminal) = entered?;
    removed?;
    if request.detach {
        return Ok(0);
    }
    relay::until_end(pid, &signals, terminal)
}

fn enter(dir: &Path, request: &Request) -> Result<(i32, Option<Terminal>)> {
    hide_cgroups()?;
    let console = request.terminal.then(|| Console::listen(dir)).transpose()?;
    let null = |wanted: bool| {
        let file = wanted.then(|| File::options().read(true).write(true).open("/dev/null"));
        file.transpose().map_err(Error::io("open", "/dev/null"))
    };
    let silent = request.detach;
    let stdio = [
        null((silent || !request.interactive) && !request.terminal)?,
        null(silent)?,
        null(silent)?,
    ];
    let finish = finish(request)?;
    if !request.init.alive() {
        return Err(Error::WrongState {
            verb: VERB,
            id: request.id.clone(),
            state: "exited",
        });
    }
    let pid = engine::enter(EntryInput {
        id: &request.id,
        dir,
        program: &request.program,
        stdio,
        console: console.as_ref().map(Console::path),
        finish,
    })?;
    let terminal = console.map(|console| console.accept(request.interactive));
    Ok((pid, terminal.transpose()?))
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
