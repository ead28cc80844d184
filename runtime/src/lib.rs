//! Containers of berth: created from an image of the store, run without root by libcontainer in this very binary.
//!
//! # Model
//!
//! A [`Container`] is a directory: a record of what it is, an overlay's upper and work directory, and its supervisor's
//! notes of what became of it. Its lower layer is the checkout that all containers of the image share and none can change.
//!
//! ```text
//! create ─► record.json                                      any process, any number of threads
//! run    ─► exec __supervise ─► user namespace, id maps      one process, one thread; in a foreground the same pid
//!                            ─► exec __inside (sealed copy) ─► overlay, config.json ─► libcontainer ─► attend ─► exit code
//! remove ─► upper, work, volumes of its own ─► record ─► pin
//! ```
//!
//! # Invariants
//!
//! - The process that enters libcontainer has one thread, an absolute cgroup path and HOME set; asserted.
//! - No container can write to the store: its root is an overlay, and volumes that reach the store are read-only there.
//! - Paths inside a container are resolved inside its root, by the kernel.
//! - A pid on disk counts only with its start time and boot id.
//! - The library reads no environment, home, terminal name or clock, and prints nothing. (A supervisor is its own process:
//!   it reads and writes the stdio it was given, and knows the time.)

mod aliases;
mod attached;
mod attend;
mod background;
mod backoff;
mod caps;
mod cgroup;
mod cgroup_limits;
mod changes;
mod chown;
mod client;
mod clock;
mod container;
mod control;
mod copy;
mod copyup;
mod create;
mod delegation;
mod detach;
mod device;
mod doctor;
mod document;
mod engine;
mod error;
mod etc;
mod exec;
mod exec_plan;
mod finish;
mod frames;
mod health;
mod health_run;
mod host_mount;
mod ids;
mod init;
mod inroot;
mod inspect;
mod join;
mod life;
mod limits;
mod living;
mod log;
mod memory;
mod memory_use;
mod mount_option;
mod mounted;
mod mounts;
mod naming;
mod network;
pub mod oci;
mod options;
mod outlet;
mod overlay;
mod own_stdio;
mod pasta;
mod pause;
mod pivotable;
mod plan;
mod ports;
mod probe;
mod proc;
mod process;
mod protect;
mod record;
mod relay;
mod remains;
mod remove;
mod rename;
mod rootfs;
mod seal;
mod seccomp;
mod security;
pub mod service;
mod signal;
mod signals;
mod size;
mod socket;
mod spec;
mod start;
mod stats;
mod stdio;
mod subid;
mod supervise;
#[allow(unsafe_code)]
mod sys;
mod tenant;
mod terminal;
mod top;
mod ulimit;
mod user;
mod userns;
mod view;
mod volume;
mod volumes;
mod walls;
mod watch;

pub use attached::AttachOptions;
pub use changes::{Became, FileChange};
pub use container::{Container, Containers};
pub use control::{Ending, Stopping};
pub use copy::{CopyOptions, Outside};
pub use create::create;
pub use detach::DetachKeys;
pub use device::Device;
pub use doctor::{Check, DoctorOptions, Outcome, doctor};
pub use error::{Error, Result};
pub use exec::ExecOptions;
pub use health::Health;
pub use host_mount::{
    HostMountOptions, HostMounted, MountSource, mount as mount_on_host, sweep as sweep_host_mounts,
    unmount as unmount_on_host,
};
pub use ids::{IdHelpers, Ids};
pub use inspect::{Inspection, Mounted};
pub use life::{Life, Restart};
pub use limits::Limits;
pub use log::{LogDriver, LogOptions, LogPiece, LogsOptions, LogsReport, Stream, logs};
pub use mount_option::Mount;
pub use network::{AddedHost, Net, Network};
pub use options::{CreateOptions, Settings};
pub use ports::{Port, Protocol, Publish};
pub use record::{Record, State};
pub use remove::RemoveOptions;
pub use security::{SeccompChoice, Security};
pub use signal::StopSignal;
pub use start::{OciHalf, StartOptions, Started, dispatch, oci_half};
pub use stats::{Transfer, Usage};
pub use ulimit::Ulimit;
pub use volume::{ImageVolumes, Tmpfs, Volume, VolumeOptions, VolumeSource};
pub use volumes::{RemoveVolumeOptions, VolumeInfo};
