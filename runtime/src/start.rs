//! Starting a container: a process of its own becomes its supervisor.
//!
//! libcontainer must not be entered by a process that has, or had, more than one thread, and whoever created the container
//! may have pulled and checked out with many. So this binary is executed anew with one of the hidden arguments below and
//! an empty environment; what the new program must know besides the record is an argument, a [`Start`].
//!
//! - In the foreground the process itself is replaced: the pid stays, and with it the terminal, the process group and the
//!   parent that waits.
//! - In the background it is a child with a session of its own. Its stdin is a socket on which it says that the program
//!   runs; until then its stderr is the caller's, so that what goes wrong is said where the caller says it, and its exit
//!   code is the caller's. Afterwards it holds nothing of the caller's.
//! - Attached, it is that child too, and the socket stays the first client's ([`crate::attached`]).

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::log::LogDriver;
use crate::proc::thread_count;
use crate::{attached, changes, copy, health_run, oci, probe, remove, supervise, tenant, volumes};

/// Hidden argument: outside, about to enter the container's user namespace.
pub(crate) const SUPERVISE: &str = "__supervise";
/// Hidden argument: inside it, running from a sealed copy.
pub(crate) const INSIDE: &str = "__inside";
/// Hidden argument: run a program in a container, from a sealed copy in its supervisor's namespaces.
pub(crate) const EXEC: &str = "__exec";
/// Hidden argument: run a container's health check, as a child of its supervisor.
pub(crate) const CHECK: &str = "__check";
/// Hidden argument: connect our stdio with a container.
pub(crate) const ATTACH: &str = "__attach";
/// Hidden argument: remove a container's files from within its user namespace.
pub(crate) const REMOVE: &str = "__remove";
/// Hidden argument: remove a volume's files from within a user namespace that has all ids of the user.
pub(crate) const REMOVE_VOLUME: &str = "__remove-volume";
/// Hidden argument: one side of a copy, in a container.
pub(crate) const COPY: &str = "__copy";
/// Hidden argument: make a container of the runtime, from a sealed copy in its namespaces.
pub(crate) const OCI_RUN: &str = "__oci-run";
/// Hidden argument: run a program in a container of the runtime, from a sealed copy.
pub(crate) const OCI_EXEC: &str = "__oci-exec";
/// Hidden argument: tell what a container has changed.
pub(crate) const CHANGES: &str = "__changes";
/// Hidden argument: try out what this host can do.
pub(crate) const PROBE: &str = "__probe";

/// What a supervisor must know besides the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartOptions {
    /// The repository that the image is pinned in.
    pub repo: PathBuf,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

/// How a supervisor stands to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartMode {
    /// It is the caller.
    Foreground,
    /// It is on its own.
    Detached,
}

impl StartMode {
    /// The word on the hidden command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Detached => "detached",
        }
    }

    fn parse(word: &OsStr) -> Option<Self> {
        [Self::Foreground, Self::Detached]
            .into_iter()
            .find(|mode| word == mode.word())
    }
}

/// How a start in the background went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// The program runs, or has run.
    Running,
    /// It failed with this exit code, and the reason was written to stderr.
    Failed(u8),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) root: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) id: String,
    pub(crate) options: StartOptions,
}

impl Start {
    fn parse(text: &OsStr) -> Result<Self> {
        serde_json::from_str(&text.to_string_lossy()).map_err(|source| Error::Document {
            path: SUPERVISE.into(),
            source,
        })
    }

    /// What a supervisor is executed with.
    pub(crate) fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| Error::Document {
            path: SUPERVISE.into(),
            source,
        })
    }
}

impl Container {
    /// Turns this process into the supervisor of the container, which runs in its foreground, and gives its exit code, for
    /// this process to end with: it may be in the container's namespaces by then, has lost its environment and every
    /// descriptor but stdio, and serves for nothing else. After a failure the container is as it was. What could not be done
    /// as asked goes to `say`.
    pub fn run(&self, options: &StartOptions, say: &mut dyn FnMut(&str)) -> Result<u8> {
        // Starting afresh takes a millisecond or two, and is for those who have pulled with many threads.
        if thread_count()? == 1 {
            return supervise::outside(&self.start_with(options), StartMode::Foreground, say);
        }
        let source = self.supervisor(options, StartMode::Foreground)?.exec();
        Err(Error::Os {
            op: "start the supervisor",
            source,
        })
    }

    /// Starts the container in the background, and waits until its program runs.
    pub fn start(&self, options: &StartOptions) -> Result<Started> {
        let (mut socket, theirs) = UnixStream::pair().map_err(Error::os("make a socket"))?;
        let mut child = self.spawn_supervisor(options, theirs)?;
        let mut byte = [0];
        let read = socket
            .read(&mut byte)
            .map_err(Error::os("listen to the supervisor"))?;
        if read > 0 {
            return Ok(Started::Running);
        }
        self.failed(&mut child).map(Started::Failed)
    }

    /// Spawns a supervisor in the background, with this socket as its stdin, on which it says how it gets on.
    pub(crate) fn spawn_supervisor(
        &self,
        options: &StartOptions,
        socket: UnixStream,
    ) -> Result<Child> {
        let mut command = self.supervisor(options, StartMode::Detached)?;
        command.stdin(Stdio::from(OwnedFd::from(socket)));
        if self.record.settings.life.log.driver != LogDriver::Passthrough {
            command.stdout(Stdio::null());
        }
        command.spawn().map_err(Error::os("start the supervisor"))
    }

    /// The exit code of a supervisor that never came to start the program.
    pub(crate) fn failed(&self, child: &mut Child) -> Result<u8> {
        let status = child.wait().map_err(Error::os("wait for the supervisor"))?;
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, signal) => Err(Error::Supervisor {
                id: self.record.id.clone(),
                signal: signal.unwrap_or_default(),
            }),
        }
    }

    fn start_with(&self, options: &StartOptions) -> Start {
        Start {
            root: self.containers.root().to_owned(),
            run_dir: self.containers.run_dir().to_owned(),
            id: self.record.id.clone(),
            options: options.clone(),
        }
    }

    fn supervisor(&self, options: &StartOptions, mode: StartMode) -> Result<Command> {
        let start = self.start_with(options);
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("berth")
            .args([SUPERVISE, &start.text()?, mode.word()])
            .env_clear();
        Ok(command)
    }
}

/// Does what a hidden argument asks for, when `args` (without the program's name) starts with one. To be asked first of
/// all in `main`, before anything could start a thread. Gives the exit code of the process; `say` is told of what could
/// not be done as asked.
pub fn dispatch(args: &[OsString], say: &mut dyn FnMut(&str)) -> Option<Result<u8>> {
    let (verb, rest) = args.split_first()?;
    let rest: Vec<&OsStr> = rest.iter().map(OsString::as_os_str).collect();
    match (verb.to_str()?, rest.as_slice()) {
        (SUPERVISE, [start, mode]) => {
            let mode = StartMode::parse(mode)?;
            Some(Start::parse(start).and_then(|start| supervise::outside(&start, mode, say)))
        }
        (INSIDE, [start, mode]) => {
            let mode = StartMode::parse(mode)?;
            Some(Start::parse(start).and_then(|start| supervise::inside(&start, mode, say)))
        }
        (EXEC, [dir]) => Some(tenant::inside(Path::new(dir), say)),
        (OCI_RUN, [dir, ..]) => Some(oci::run_inside(Path::new(dir), say)),
        (OCI_EXEC, [dir, ..]) => Some(oci::exec_inside(Path::new(dir))),
        (CHECK, [root, run_dir, id]) => {
            let id = id.to_string_lossy();
            Some(health_run::check(Path::new(root), Path::new(run_dir), &id))
        }
        (ATTACH, [task]) => Some(attached::attach(&task.to_string_lossy())),
        (REMOVE, [root, run_dir, id, volumes, helpers]) => {
            Some(remove_inside([root, run_dir, id, volumes, helpers]).map(|()| 0))
        }
        (COPY, [request]) => Some(copy::copy_inside(&request.to_string_lossy()).map(|()| 0)),
        (CHANGES, [root, run_dir, id, helpers]) => Some(
            parse_helpers(helpers)
                .and_then(|helpers| {
                    let (root, run_dir) = (Path::new(root), Path::new(run_dir));
                    changes::changes_inside(root, run_dir, &id.to_string_lossy(), &helpers)
                })
                .map(|()| 0),
        ),
        (REMOVE_VOLUME, [path, helpers]) => Some(
            parse_helpers(helpers)
                .and_then(|helpers| volumes::remove_volume_inside(Path::new(path), &helpers))
                .map(|()| 0),
        ),
        (PROBE, [name, dir, helpers]) => Some(
            probe::probe(
                &name.to_string_lossy(),
                Path::new(dir),
                &helpers.to_string_lossy(),
            )
            .map(|()| 0),
        ),
        _ => None,
    }
}

/// Whose failure is told in another program's words: what a hidden argument goes on with for a container of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OciHalf {
    /// Making a container.
    Run,
    /// Running a program in one.
    Exec,
}

/// Whether `args`, as for [`dispatch`], are those of a container of the runtime; with the words that its caller has added.
pub fn oci_half(args: &[OsString]) -> Option<(OciHalf, &[OsString])> {
    let half = match args.first()?.to_str()? {
        OCI_RUN => OciHalf::Run,
        OCI_EXEC => OciHalf::Exec,
        _ => return None,
    };
    Some((half, args.get(2..).unwrap_or_default()))
}

fn remove_inside([root, run_dir, id, volumes, helpers]: [&OsStr; 5]) -> Result<()> {
    let helpers = parse_helpers(helpers)?;
    remove::remove_inside(
        Path::new(root),
        Path::new(run_dir),
        &id.to_string_lossy(),
        volumes == "volumes",
        &helpers,
    )
}

pub(crate) fn parse_helpers(text: &OsStr) -> Result<IdHelpers> {
    serde_json::from_str(&text.to_string_lossy()).map_err(|source| Error::Document {
        path: "the arguments of a hidden process".into(),
        source,
    })
}
