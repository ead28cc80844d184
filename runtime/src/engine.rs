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
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, makedev};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::{
    CapabilitySet, UnshareFlags, capability_is_in_bounding_set, remove_capability_from_bounding_set,
};

use crate::error::{Error, Result};
use crate::living::Launch;
use crate::log::Stream;
use crate::stdio::Ends;
use crate::{sys, userns};

/// What the executor does besides executing.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    /// The compiled filter of system calls.
    pub(crate) seccomp: Option<Arc<Vec<u8>>>,
    /// Become this uid and gid in a user namespace of its own: with one mapped id no other way leads there.
    pub(crate) become_user: Option<(u32, u32)>,
}

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
    /// Where libcontainer keeps its own state.
    pub(crate) state_dir: &'a Path,
    /// The program, for messages.
    pub(crate) program: &'a str,
    /// Its stdio.
    pub(crate) ends: Ends,
    /// A socket that receives the terminal, when there is one.
    pub(crate) console: Option<&'a Path>,
    pub(crate) finish: Finish,
}

impl Engine {
    /// Makes the container up to the point where its program would run.
    pub(crate) fn create(input: EngineInput<'_>) -> Result<Self> {
        userns::assert_single_thread()?;
        let config = input.bundle.join("config.json");
        assert_config(
            &Spec::load(&config)
                .map_err(|error| refused("read the configuration of", input.id)(error.into()))?,
        );
        let (failure, report) = rustix::pipe::pipe_with(
            rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK,
        )
        .map_err(Error::os("make a pipe"))?;
        let executor = Launcher {
            finish: input.finish,
            report: Arc::new(report),
            supervisor: Arc::new(this_process()?),
        };
        let builder = ContainerBuilder::new(input.id.to_owned(), SyscallType::default())
            .with_root_path(input.state_dir)
            .and_then(|builder| {
                builder
                    .with_executor(executor)
                    .with_console_socket(input.console)
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
        Ok(Self {
            container,
            failure: failure.into(),
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

/// Fails the process when a rule is broken that would otherwise kill bystanders or run an image's code as ours. These are
/// mistakes of this crate; no input can cause them.
fn assert_config(spec: &Spec) {
    let cgroup = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.cgroups_path().as_ref());
    assert!(
        cgroup.is_some_and(|path| path.is_absolute()),
        "the cgroup path is absolute"
    );
    let env = spec
        .process()
        .as_ref()
        .and_then(|process| process.env().as_ref());
    let home = env.and_then(|env| env.iter().find_map(|var| var.strip_prefix("HOME=")));
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
    report: Arc<OwnedFd>,
    /// A pidfd of the process that made the container.
    supervisor: Arc<OwnedFd>,
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
        self.end_with_supervisor()
            .map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))
    }
}

impl Launcher {
    /// Makes the kernel kill this process when its supervisor ends, and fails when it has ended already.
    fn end_with_supervisor(&self) -> Result<(), Errno> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        let mut supervisor = [PollFd::new(&*self.supervisor, PollFlags::IN)];
        match poll(&mut supervisor, Some(&Timespec::default())) {
            Ok(0) => Ok(()),
            _ => Err(Errno::ESRCH),
        }
    }

    fn launch(&self, spec: &Spec) -> Result<std::convert::Infallible, Errno> {
        let process = spec.process().as_ref().ok_or(Errno::EINVAL)?;
        let strings = |list: &Option<Vec<String>>| -> Result<Vec<CString>, Errno> {
            list.iter()
                .flatten()
                .map(|text| CString::new(text.as_str()).map_err(|_| Errno::EINVAL))
                .collect()
        };
        let (args, env) = (strings(process.args())?, strings(process.env())?);
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
        if let Some((uid, gid)) = self.finish.become_user {
            become_user(uid, gid).map_err(|_| Errno::EPERM)?;
        }
        // Becoming another user has made the kernel forget it.
        self.end_with_supervisor()?;
        if let Some(program) = &self.finish.seccomp {
            sys::load_seccomp(program)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
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

fn this_process() -> Result<OwnedFd> {
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

/// Enters a user namespace in which root outside is `uid` and `gid`. Root there is who owns every file, so the user owns
/// every file.
fn become_user(uid: u32, gid: u32) -> std::io::Result<()> {
    let bits = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    // Beyond the kernel's last capability the question is an error, and so nothing to take away.
    let absent: Vec<_> = bits
        .filter(|cap| capability_is_in_bounding_set(*cap) == Ok(false))
        .collect();
    sys::unshare(UnshareFlags::NEWUSER)?;
    // A new namespace starts with every capability in the bounding set.
    for cap in absent {
        remove_capability_from_bounding_set(cap)?;
    }
    std::fs::write("/proc/self/setgroups", "deny").or_else(|error| {
        // Denied for good in the namespace above already.
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    std::fs::write("/proc/self/uid_map", format!("{uid} 0 1\n"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} 0 1\n"))
}
