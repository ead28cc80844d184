//! A runtime as the runtime specification has it, in runc's words: what `berth oci …` is.
//!
//! # Model
//!
//! A container is a directory below the state directory: `state.rs` has its record, beside the document that libcontainer was
//! given. There is no supervisor: the process that makes a container in the background goes, and its first process is left
//! to whoever started us, a service manager mostly.
//!
//! ```text
//! run ─► read, normalise ─► claim ID ─► control group ─► (user namespace) ─► exec ourselves, sealed     run.rs
//!     ─► mounts ─► libcontainer ─► late mounts ─► pid file, MAINPID ─► the program                      inside.rs
//!     ─► foreground: relay until its end, remove      background: gone
//! ```
//!
//! # Invariants
//!
//! - One thread, an absolute cgroup path, HOME set: as for every container (`engine.rs`).
//! - Where nothing limits a container (nor what it may do with devices, `devices.rs`), libcontainer sees no control groups
//!   at all and the container stays in ours, so that a unit's processes stay the unit's (`groups.rs`).
//! - No namespace is added that the document lacks, and none is left out.
//! - A record counts only while its process does: pid, start time and boot id.

mod bundle;
mod delete;
mod devices;
mod entry;
mod exec;
mod groups;
mod inside;
mod kill;
mod late;
mod normalise;
mod notify;
mod run;
mod state;
mod template;

use std::ffi::OsString;
use std::path::PathBuf;

pub use delete::DeleteOptions;
pub use exec::EnterOptions;
pub(crate) use exec::inside as exec_inside;
pub(crate) use inside::inside as run_inside;
pub use kill::KillOptions;
pub use normalise::normalise;
pub use state::{OciState, Status};
pub use template::{spec, write_spec};

use crate::ids::IdHelpers;

/// Where containers of the runtime are, and with what they are made.
#[derive(Debug, Clone)]
pub struct Host {
    /// The state directory, runc's `--root`.
    pub state: PathBuf,
    /// Where compiled filters are kept.
    pub run_dir: PathBuf,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

/// How a container is made and run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Its name.
    pub id: String,
    /// The directory of its `config.json`.
    pub bundle: PathBuf,
    /// Whether nobody waits for it.
    pub detach: bool,
    /// Whether its program waits for [`Host::start`].
    pub create: bool,
    /// Gets the pid of its first process.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors it gets besides stdio and those of `listen`.
    pub preserve_fds: u32,
    /// Receives its terminal.
    pub console_socket: Option<PathBuf>,
    /// `NOTIFY_SOCKET` of the caller.
    pub notify: Option<OsString>,
    /// Sockets that the service manager has opened for it.
    pub listen: Listen,
    /// Words that follow on the command line of the process that goes on, for whoever tells what became of it.
    pub told: Vec<OsString>,
}

/// What sd_listen_fds(3) finds in an environment.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// `LISTEN_FDS`: how many, from descriptor 3 on.
    pub count: u32,
    /// `LISTEN_FDNAMES`.
    pub names: Option<String>,
}
