//! Services: an image that systemd starts, stops and keeps alive; Project Atomic's system containers.
//!
//! # Model
//!
//! An image hands out an [`Exports`]: templates, a manifest and files for the host below `/exports`. [`render`] makes of it
//! and of what is [`Wanted`] a [`Rendered`]: everything that a deployment consists of besides the image's own files.
//!
//! ```text
//! image ─► Exports ┐
//!                  ├─► render ─► Rendered { config.json, unit, tmpfiles, files of the host, values }
//! wanted ──────────┘
//! ```
//!
//! # Invariants
//!
//! - Rendering is pure: it touches no file, so that everything is known and checked before anything is stopped or written.
//! - An image's documents have limits, and are read inside its own root.
//! - A path of the host that comes out of an image is absolute and has no `..`, whatever its templates say.
//! - A value that the caller set adds no line to a unit.

mod config;
mod contract;
mod document;
mod error;
mod exported;
mod exports;
mod gate;
mod generated;
mod host_apply;
mod host_change;
mod host_files;
mod host_plan;
mod info;
mod lint;
mod manifest;
mod name;
mod quadlet;
mod render;
mod rendered;
mod systemctl;
mod systemd;
mod template;
mod tmpfiles;
mod unit;
mod user_config;
mod values;
mod variables;
mod wanted;

pub use contract::Variables;
pub use error::Error;
pub use exports::Exports;
pub use gate::{Clock, GateOptions, HealthCheck, Verdict, start_and_watch, watch};
pub use host_apply::HostTold;
pub use host_change::{HostChange, HostStep};
pub use host_files::{HostFiles, KeepOptions, Tracked};
pub use info::{INFO, Info};
pub use lint::{Finding, Linted, lint};
pub use manifest::Manifest;
pub use name::ServiceName;
pub use quadlet::{Quadlet, Surroundings};
pub use render::render;
pub use rendered::{HostContent, HostFile, HostFileKind, Rendered};
pub use systemctl::{Printing, Systemctl, SystemctlOptions};
pub use systemd::{Active, Manager, UnitState};
pub use variables::parse_set;
pub use wanted::{IdRange, IdRanges, Runtime, Scope, Wanted};
