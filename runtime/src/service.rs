//! Services.

mod error;
mod gate;
mod host_apply;
mod host_change;
mod host_files;
mod info;
mod name;
mod rendered;
mod systemctl;
mod systemd;
mod wanted;

pub use error::Error;
pub use gate::{Clock, GateOptions, HealthCheck, Verdict, start_and_watch, watch};
pub use host_apply::HostTold;
pub use host_change::{HostChange, HostStep};
pub use host_files::{HostFiles, KeepOptions, Tracked};
pub use info::{INFO, Info};
pub use name::ServiceName;
pub use rendered::{HostContent, HostFile, HostFileKind, Rendered};
pub use systemctl::{Printing, Systemctl, SystemctlOptions};
pub use systemd::{Active, Manager, UnitState};
pub use wanted::{IdRange, IdRanges, Runtime, Scope, Wanted};
