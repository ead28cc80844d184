//! Running a program in a container that runs: the first half, outside.
//!
//! The calling process becomes the program's parent: it enters the namespaces of the container's supervisor, looks up
//! there what must be known of the container, writes down what [`crate::tenant`] needs, and executes the sealed copy,
//! which is what the container can see. One `exec` of ourselves, and the pid, the terminal and the parent that waits stay.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::container::{Container, make_private};
use crate::detach::DetachKeys;
use crate::document;
use crate::error::{Error, Result};
use crate::exec_plan::{self, EntryPlan};
use crate::inroot::InRoot;
use crate::proc::ProcessId;
use crate::record::{Notes, State};
use crate::remove::remove_tree;
use crate::security::SeccompChoice;
use crate::start::EXEC;
use crate::ulimit::{self, Ulimit};
use crate::{join, plan, process, seal, tenant};

/// What messages say was asked for.
pub(crate) const VERB: &str = "exec in";

/// What is run in a container, and how.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `user[:group]` instead of the container's.
    pub user: Option<String>,
    /// The working directory instead of the container's; absolute, or relative to its root.
    pub workdir: Option<String>,
    /// Variables that are added to the container's.
    pub env: Vec<(String, String)>,
    /// Whether stdin is passed on.
    pub interactive: bool,
    /// Whether it gets a terminal of its own.
    pub terminal: bool,
    /// Whether nobody waits for it; it has no stdio then.
    pub detach: bool,
    /// What leaves it running when it is typed.
    pub keys: DetachKeys,
    /// Whether every failure is told by exit code 1.
    pub healthcheck: bool,
}

/// What the second half must know besides libcontainer's documents.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) init: ProcessId,
    pub(crate) run_dir: PathBuf,
    pub(crate) program: String,
    pub(crate) interactive: bool,
    pub(crate) terminal: bool,
    pub(crate) detach: bool,
    pub(crate) keys: DetachKeys,
    pub(crate) seccomp: SeccompChoice,
    pub(crate) bounding: Vec<String>,
    pub(crate) held: Vec<String>,
    pub(crate) loads_filter: bool,
    /// Whether it is killed when its parent ends.
    pub(crate) ends_with_parent: bool,
    /// Whether every failure is told by exit code 1.
    pub(crate) healthcheck: bool,
    pub(crate) rlimits: Vec<Ulimit>,
    /// Whose the terminal is to be.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) become_user: Option<(u32, u32)>,
    /// Whether the first process of the container is that user in a namespace of its own.
    pub(crate) join_user: bool,
    /// The descriptor of the control group's `cgroup.procs`.
    pub(crate) cgroup: Option<i32>,
}

impl Container {
    /// Turns this process into the parent of a program in the container, and gives the program's exit code, for this process
    /// to end with: as after [`Container::run`] it serves for nothing else. The process has one thread. What could not be
    /// done as asked goes to `say`.
    pub fn exec(&self, options: &ExecOptions, say: &mut dyn FnMut(&str)) -> Result<u8> {
        let init = self.first_process(VERB)?;
        make_private(&self.bundle)?;
        let dir = self.bundle.join(format!("exec-{}", std::process::id()));
        remove_tree(&dir)?;
        make_private(&dir)?;
        if let Err(error) = self.enter(&init, &dir, options) {
            remove_tree(&dir)?;
            return Err(error);
        }
        tenant::inside(&dir, say)
    }

    /// The first process of the container, which runs; an error says what the container is instead.
    pub(crate) fn first_process(&self, verb: &'static str) -> Result<ProcessId> {
        let refused = |state| Error::WrongState {
            verb,
            id: self.record.id.clone(),
            state,
        };
        match self.state()? {
            State::Paused { .. } => Err(refused("paused")),
            _ => self.first_process_even_paused(verb),
        }
    }

    /// The first process of the container, which runs or is paused.
    pub(crate) fn first_process_even_paused(&self, verb: &'static str) -> Result<ProcessId> {
        let refused = |state| Error::WrongState {
            verb,
            id: self.record.id.clone(),
            state,
        };
        match self.state()? {
            State::Running { pid, .. } | State::Paused { pid, .. } if pid > 0 => {}
            State::Running { .. } => return Err(refused("starting")),
            other => return Err(refused(other.name())),
        }
        let notes = Notes::read(&self.dir)?.unwrap_or_default();
        notes.init.ok_or_else(|| refused("starting"))
    }

    /// As [`Container::exec`] of the container's health check; gives 0 when it is well and 1 when it is not.
    pub fn healthcheck(&self, say: &mut dyn FnMut(&str)) -> Result<u8> {
        let options = ExecOptions {
            command: self.record.health_command()?,
            healthcheck: true,
            ..ExecOptions::default()
        };
        self.exec(&options, say)
    }

    /// Runs the container's health check from within its supervisor's namespaces, and gives its exit code. It ends with
    /// this process.
    pub(crate) fn exec_check(&self) -> Result<u8> {
        let options = ExecOptions {
            command: self.record.health_command()?,
            ..ExecOptions::default()
        };
        let init = self.first_process(VERB)?;
        let dir = self.bundle.join(format!("exec-{}", std::process::id()));
        make_private(&dir)?;
        let cgroup = self.open_cgroup()?;
        let container: Value = document::read(&self.bundle.join("config.json"))?;
        let request = self.plan(&init, &dir, &options, &container);
        let written = request.and_then(|mut request| {
            // The second half takes it over by its number.
            request.cgroup = cgroup.map(IntoRawFd::into_raw_fd);
            request.ends_with_parent = true;
            document::write(&dir.join("request.json"), &request)
        });
        if let Err(error) = written {
            remove_tree(&dir)?;
            return Err(error);
        }
        tenant::inside(&dir, &mut |_| {})
    }

    /// Enters the namespaces and writes the documents. Returns when this process can go on as it is.
    fn enter(&self, init: &ProcessId, dir: &Path, options: &ExecOptions) -> Result<()> {
        let mut seal = seal::is_needed(&self.record.maps)?;
        // Opened outside: whether a process may be moved is asked of whoever opened the file, where it was opened.
        let cgroup = self.open_cgroup()?;
        let container: Value = document::read(&self.bundle.join("config.json"))?;
        join::join(self, VERB)?;
        let mut request = self.plan(init, dir, options, &container)?;
        request.cgroup = cgroup.as_ref().map(AsRawFd::as_raw_fd);
        document::write(&dir.join("request.json"), &request)?;
        // The maps of another user namespace are written by a process of a program that was executed in this one.
        seal |= request.become_user.is_some();
        if !seal {
            seal::leave_caller(cgroup.as_ref())?;
            // The second half takes it over by its number.
            cgroup.map(IntoRawFd::into_raw_fd);
            return Ok(());
        }
        let args = [OsStr::new(EXEC), dir.as_os_str()];
        let Err(error) = seal::exec_sealed_with(&args, cgroup.as_ref());
        Err(error)
    }

    fn open_cgroup(&self) -> Result<Option<OwnedFd>> {
        let notes = Notes::read(&self.dir)?.unwrap_or_default();
        let Some(path) = notes.cgroup.map(|dir| dir.join("cgroup.procs")) else {
            return Ok(None);
        };
        let file = File::options().write(true).open(&path);
        file.map(|file| Some(file.into()))
            .map_err(Error::io("open", &path))
    }

    /// Looks at the container from within its supervisor's namespaces and writes libcontainer's documents into `dir`.
    fn plan(
        &self,
        init: &ProcessId,
        dir: &Path,
        options: &ExecOptions,
        container: &Value,
    ) -> Result<Request> {
        let record = &self.record;
        let root = InRoot::open(&PathBuf::from(format!("/proc/{}/root", init.pid)))?;
        if !init.alive() {
            self.first_process(VERB)?;
        }
        let default = process::wanted_user(&record.config, &record.settings);
        let wanted = options.user.as_deref().unwrap_or(default);
        let of_user = |error| match error {
            Error::Image { why } => Error::option("--user", wanted, why),
            other => other,
        };
        let found = plan::find_user(&root, wanted, &record.settings).map_err(of_user)?;
        let (user, become_user) = plan::place_user(record, &found).map_err(of_user)?;
        let cwd = working_dir(&root, container, options)?;
        let choice = record.settings.security.filter().clone();
        let gains = container["process"]["noNewPrivileges"] != true;
        let loads_filter = gains && become_user.is_none() && choice != SeccompChoice::Unconfined;
        let home = home(container, options, self).then_some(found.home.as_str());
        let process = exec_plan::process(&EntryPlan {
            container,
            args: &options.command,
            env: exec_plan::env(container, &options.env, options.terminal, home),
            cwd: &cwd,
            user: &user,
            terminal: options.terminal,
            loads_filter,
        });
        let state = exec_plan::state(&record.id, init.pid, dir);
        make_private(&dir.join(&record.id))?;
        document::write(&dir.join(&record.id).join("state.json"), &state)?;
        document::write(&dir.join("process.json"), &process)?;
        document::write(
            &dir.join("config.json"),
            &exec_plan::config(container, &process),
        )?;
        let bounding = exec_plan::bounding(container);
        Ok(Request {
            id: record.id.clone(),
            init: init.clone(),
            run_dir: self.containers.run_dir().to_owned(),
            program: options.command.first().cloned().unwrap_or_default(),
            interactive: options.interactive,
            terminal: options.terminal,
            detach: options.detach,
            keys: options.keys.clone(),
            seccomp: choice,
            held: exec_plan::held(&user, &bounding),
            bounding,
            loads_filter,
            ends_with_parent: false,
            healthcheck: options.healthcheck,
            rlimits: ulimit::within(
                &record.settings.limits.ulimits,
                ulimit::most,
                &mut Vec::new(),
            ),
            owner: (user.uid != 0 || user.gid != 0).then_some((user.uid, user.gid)),
            become_user,
            join_user: become_user.is_some_and(|ids| is_user(init, ids)),
            cgroup: None,
        })
    }
}

/// Whether HOME is the user's own: when another one is asked for, and neither image nor caller says what HOME is.
fn home(container: &Value, options: &ExecOptions, of: &Container) -> bool {
    let image = of.record.config.env.iter().flatten();
    let said = image
        .filter_map(|var| var.strip_prefix("HOME="))
        .any(|home| !home.is_empty())
        || of
            .record
            .settings
            .env
            .iter()
            .any(|(name, value)| name == "HOME" && !value.is_empty());
    (options.user.is_some() && !said) || container["process"]["env"].is_null()
}

/// The working directory. It is looked at inside the container's root, and must be there.
fn working_dir(root: &InRoot, container: &Value, options: &ExecOptions) -> Result<PathBuf> {
    let default = container["process"]["cwd"].as_str().unwrap_or_default();
    let wanted = options.workdir.as_deref().unwrap_or(default);
    let path = Path::new("/").join(wanted);
    match root.kind(&path) {
        Some(FileType::Directory) => Ok(path),
        Some(_) => Err(Error::option(
            "--workdir",
            wanted,
            "it is not a directory in the container",
        )),
        None => Err(Error::option(
            "--workdir",
            wanted,
            "it is not in the container",
        )),
    }
}

/// Whether a process is `uid` and `gid` in a user namespace of its own.
fn is_user(process: &ProcessId, (uid, gid): (u32, u32)) -> bool {
    let maps = |name: &str, id: u32| {
        let text = std::fs::read_to_string(format!("/proc/{}/{name}", process.pid));
        text.is_ok_and(|text| {
            text.split_whitespace()
                .eq([id.to_string().as_str(), "0", "1"])
        })
    };
    maps("uid_map", uid) && maps("gid_map", gid)
}
