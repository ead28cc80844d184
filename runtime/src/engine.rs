//! libcontainer, held at arm's length: the one file that calls it.
//!
//! Rules that it does not enforce itself and that are enforced here: the calling process has one thread, the cgroup path
//! is absolute, HOME is set. What runs last in the container before the image's program is our own executor: it puts the
//! signal state right, becomes the wanted user where that takes a namespace of its own, loads the filter, and executes.
//! Why an execution failed comes back through a pipe as the kernel's own number.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use rustix::fs::{Mode, OFlags, makedev};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions};
use serde_json::Value;

use crate::document;
use crate::error::{Error, Result};
use crate::finish::Finish;
use crate::living::Launch;
use crate::log::Stream;
use crate::stdio::Ends;
use crate::{init, sys, userns};

/// A container that libcontainer has made and not yet started.
pub(crate) struct Engine {
    container: Container,
    failure: File,
    program: String,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("id", &self.container.id())
            .finish_non_exhaustive()
    }
}

/// What libcontainer is asked to make.
#[derive(Debug)]
pub(crate) struct EngineInput<'a> {
    pub(crate) id: &'a str,
    /// Holds `config.json`.
    pub(crate) bundle: &'a Path,
    /// What is in that.
    pub(crate) spec: &'a Value,
    /// Where libcontainer keeps its own state.
    pub(crate) state_dir: &'a Path,
    /// The program, for messages.
    pub(crate) program: &'a str,
    /// Its stdio.
    pub(crate) ends: Ends,
    /// A socket that receives the terminal, when there is one.
    pub(crate) console: Option<&'a Path>,
    /// How many descriptors from 3 on the program gets besides its stdio.
    pub(crate) preserve_fds: i32,
    /// Whether the program is killed when this process ends.
    pub(crate) ends_with_parent: bool,
    pub(crate) finish: Finish,
}

impl Engine {
    /// Makes the container up to the point where its program would run.
    pub(crate) fn create(input: EngineInput<'_>) -> Result<Self> {
        userns::assert_single_thread()?;
        assert_config(input.spec);
        let parent = input.ends_with_parent.then(this_process).transpose()?;
        let finish = Finish {
            parent: parent.map(Arc::new),
            ..input.finish
        };
        let (failure, executor) = launcher(finish, true)?;
        let builder = ContainerBuilder::new(input.id.to_owned(), SyscallType::default())
            .with_root_path(input.state_dir)
            .and_then(|builder| {
                builder
                    .with_executor(executor)
                    .with_console_socket(input.console)
                    .with_preserved_fds(input.preserve_fds)
                    .validate_id()
            });
        let container = builder
            .map(|builder| with_stdio(builder, input.ends))
            .and_then(|builder| {
                builder
                    .as_init(input.bundle)
                    .with_systemd(false)
                    .with_detach(input.console.is_some())
                    .build()
            })
            .map_err(refused("create", input.id))?;
        // Who enters its namespaces looks them up by this process, which no process of the container sees.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
            .map_err(Error::os("show the supervisor to its owner"))?;
        Ok(Self {
            container,
            failure,
            program: input.program.to_owned(),
        })
    }

    /// The pid of the container's first process, as this process sees it.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.container.pid().map(nix::unistd::Pid::as_raw)
    }

    /// Lets the image's program run.
    pub(crate) fn start(&mut self) -> Result<()> {
        let id = self.container.id().to_owned();
        self.container.start().map_err(refused("start", &id))
    }

    /// What becomes readable when the outcome of the start is known.
    pub(crate) fn launch_fd(&self) -> BorrowedFd<'_> {
        self.failure.as_fd()
    }

    /// The outcome of the start: the pipe is closed when the program is executed, and carries the kernel's number when it
    /// cannot be.
    pub(crate) fn launch(&mut self) -> Launch {
        let mut number = [0; 4];
        match self.failure.read(&mut number) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Launch::Pending,
            Ok(read) if read == number.len() => Launch::Failed(Error::Exec {
                program: self.program.clone(),
                source: std::io::Error::from_raw_os_error(i32::from_ne_bytes(number)),
            }),
            _ => Launch::Running,
        }
    }

    /// Kills a container that cannot be seen through, which would wait for its start for ever otherwise.
    pub(crate) fn abandon(self) -> Result<()> {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            // Both fail only when it has ended and been waited for already.
            rustix::process::kill_process(pid, Signal::KILL).ok();
            rustix::process::waitpid(Some(pid), WaitOptions::empty()).ok();
        }
        self.delete()
    }

    /// Removes libcontainer's state of the ended container.
    pub(crate) fn delete(mut self) -> Result<()> {
        let id = self.container.id().to_owned();
        self.container.delete(true).map_err(refused("delete", &id))
    }
}

/// Lets the program of a container run that another process has made, and left `state_dir` of.
pub(crate) fn start_created(state_dir: &Path, id: &str) -> Result<()> {
    Container::load(state_dir.join(id))
        .and_then(|mut container| container.start())
        .map_err(refused("start", id))
}

/// A program that libcontainer is asked to run in a container that it made before.
#[derive(Debug)]
pub(crate) struct EntryInput<'a> {
    pub(crate) id: &'a str,
    /// Holds `config.json` and `process.json`, and below `id` libcontainer's view of the container.
    pub(crate) dir: &'a Path,
    /// The program, for messages.
    pub(crate) program: &'a str,
    /// What stdin, stdout and stderr are instead of ours.
    pub(crate) ends: Ends,
    /// A socket that receives the terminal, when there is one.
    pub(crate) console: Option<&'a Path>,
    pub(crate) finish: Finish,
}

/// A program that was run in a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered {
    /// Its pid as this process sees it.
    pub(crate) pid: i32,
    /// Whether it is in the control group that it was to be in.
    pub(crate) in_group: bool,
}

/// Runs a program in a container that runs, and gives its pid as this process, its parent, sees it. When this returns, the
/// program has been executed.
pub(crate) fn enter(input: EntryInput<'_>) -> Result<Entered> {
    userns::assert_single_thread()?;
    assert_config(&document::read(&input.dir.join("config.json"))?);
    let (mut failure, executor) = launcher(input.finish, false)?;
    let outcome = ContainerBuilder::new(input.id.to_owned(), SyscallType::default())
        .with_root_path(input.dir)
        .and_then(|builder| {
            with_stdio(builder, input.ends)
                .with_executor(executor)
                .with_console_socket(input.console)
                .validate_id()
        })
        .and_then(|builder| {
            builder
                .as_tenant()
                .with_process(Some(input.dir.join("process.json")))
                .with_detach(input.console.is_some())
                .build()
        });
    let mut in_group = true;
    let mut number = read_number(&mut failure);
    if number.is_some_and(|number| number < 0) {
        in_group = false;
        number = read_number(&mut failure);
    }
    match number {
        Some(number) => {
            // The process that would have become the program ends by itself; nobody else would notice soon.
            while let Ok(Some(_)) = rustix::process::wait(WaitOptions::empty()) {}
            Err(Error::Exec {
                program: input.program.to_owned(),
                source: std::io::Error::from_raw_os_error(number),
            })
        }
        None => outcome
            .map(|pid| Entered {
                pid: pid.as_raw(),
                in_group,
            })
            .map_err(refused("exec in", input.id)),
    }
}

/// Our executor, and the pipe that tells why it could not execute.
fn launcher(finish: Finish, is_first: bool) -> Result<(File, Launcher)> {
    let (failure, report) = rustix::pipe::pipe_with(
        rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK,
    )
    .map_err(Error::os("make a pipe"))?;
    let report = Arc::new(report);
    let launcher = Launcher {
        finish,
        is_first,
        report,
    };
    Ok((failure.into(), launcher))
}

/// What the executor has to tell: why it could not execute, or negative, why it is not in the container's control group.
fn read_number(report: &mut File) -> Option<i32> {
    let mut number = [0; 4];
    let read = report.read(&mut number).ok()?;
    (read == number.len()).then(|| i32::from_ne_bytes(number))
}

/// Fails the process when a rule is broken that would otherwise kill bystanders or run an image's code as ours. These are
/// mistakes of this crate; no input can cause them.
fn assert_config(spec: &Value) {
    let cgroup = spec["linux"]["cgroupsPath"].as_str();
    assert!(
        cgroup.is_some_and(|path| path.starts_with('/')),
        "the cgroup path is absolute"
    );
    let env = spec["process"]["env"].as_array();
    let home = env.and_then(|env| {
        env.iter()
            .find_map(|var| var.as_str()?.strip_prefix("HOME="))
    });
    assert!(home.is_some_and(|home| !home.is_empty()), "HOME is set");
}

fn refused(verb: &'static str, id: &str) -> impl FnOnce(LibcontainerError) -> Error {
    move |source| Error::Engine {
        verb,
        id: id.to_owned(),
        source: Box::new(source),
    }
}

#[derive(Debug, Clone)]
struct Launcher {
    finish: Finish,
    /// Whether it becomes the container's first process.
    is_first: bool,
    report: Arc<OwnedFd>,
}

impl Executor for Launcher {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let Err(error) = self.launch(spec);
        // Nothing can be done about a report that cannot be sent; the exit code still says that it failed.
        rustix::io::write(&*self.report, &(error as i32).to_ne_bytes()).ok();
        Err(ExecutorError::Other(error.desc().to_owned()))
    }

    /// Whether a program can be executed is what executing it tells. This is the last moment before the container waits
    /// for its start, which nobody would give it if the supervisor ended now.
    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        let failed = |error: String| ExecutorValidationError::ArgValidationError(error);
        self.finish
            .end_with_parent()
            .map_err(|error| failed(error.to_string()))?;
        if self.is_first {
            // libcontainer hides it from other processes of the container, of which there are none. The supervisor has to
            // look at its root, and its own maps may have to be written.
            rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }
}

impl Launcher {
    fn launch(&self, spec: &Spec) -> Result<std::convert::Infallible, Errno> {
        let process = spec.process().as_ref().ok_or(Errno::EINVAL)?;
        let strings = |list: &Option<Vec<String>>| -> Result<Vec<CString>, Errno> {
            list.iter()
                .flatten()
                .map(|text| CString::new(text.as_str()).map_err(|_| Errno::EINVAL))
                .collect()
        };
        let (args, mut env) = (strings(process.args())?, strings(process.env())?);
        let path = process
            .env()
            .iter()
            .flatten()
            .find_map(|var| var.strip_prefix("PATH="))
            .unwrap_or_default();
        let program = process
            .args()
            .as_ref()
            .and_then(|args| args.first())
            .ok_or(Errno::EINVAL)?;
        // The supervisor blocks signals, and some are ignored; both would be inherited.
        writable_null()?;
        sys::default_signals();
        SigSet::all().thread_unblock()?;
        if let Err(error) = self.finish.enter_group() {
            // Told, and no reason not to run.
            rustix::io::write(&*self.report, &(-(error as i32)).to_ne_bytes()).ok();
        }
        if self.finish.listens {
            // Known here, where the program's pid is this process's.
            let pid = format!("LISTEN_PID={}", std::process::id());
            env.push(CString::new(pid).map_err(|_| Errno::EINVAL)?);
        }
        self.finish.apply()?;
        if self.finish.init {
            init::stay_behind()?;
        }
        execute(program, path, &args, &env)
    }
}

fn with_stdio(builder: ContainerBuilder, ends: Ends) -> ContainerBuilder {
    let builder = match ends.stdin {
        Some(fd) => builder.with_stdin(fd),
        None => builder,
    };
    let builder = match ends.stdout {
        Some(fd) => builder.with_stdout(fd),
        None => builder,
    };
    match ends.stderr {
        Some(fd) => builder.with_stderr(fd),
        None => builder,
    }
}

/// Where stdout or stderr is `/dev/null`, libcontainer has put the container's in its place, opened for reading.
fn writable_null() -> Result<(), Errno> {
    let failed = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    for stream in [Stream::Stdout, Stream::Stderr] {
        let fd = match stream {
            Stream::Stdout => rustix::stdio::stdout(),
            Stream::Stderr => rustix::stdio::stderr(),
        };
        let is_null = rustix::fs::fstat(fd).map_err(failed)?.st_rdev == makedev(1, 3);
        let mode = rustix::fs::fcntl_getfl(fd).map_err(failed)? & OFlags::RWMODE;
        if !is_null || mode != OFlags::RDONLY {
            continue;
        }
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed)?;
        match stream {
            Stream::Stdout => rustix::stdio::dup2_stdout(null),
            Stream::Stderr => rustix::stdio::dup2_stderr(null),
        }
        .map_err(failed)?;
    }
    Ok(())
}

/// A pidfd of this process, which is the parent of what it makes.
pub(crate) fn this_process() -> Result<OwnedFd> {
    rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(Error::os("open the supervisor's process"))
}

/// Executes `program`, looked up in `path` when it has no slash. What was found and refused counts before what was not
/// found.
fn execute(
    program: &str,
    path: &str,
    args: &[CString],
    env: &[CString],
) -> Result<std::convert::Infallible, Errno> {
    let attempt = |file: String| match CString::new(file) {
        Ok(file) => {
            let Err(error) = nix::unistd::execve(&file, args, env);
            error
        }
        Err(_) => Errno::EINVAL,
    };
    if program.contains('/') {
        return Err(attempt(program.to_owned()));
    }
    let mut refused = Errno::ENOENT;
    for dir in path.split(':') {
        let dir = if dir.is_empty() { "." } else { dir };
        match attempt(format!("{dir}/{program}")) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            error => refused = error,
        }
    }
    Err(refused)
}
