//! Services: an image that systemd starts, stops and keeps alive; Project Atomic's system containers.
//!
//! # Model
//!
//! An image hands out an [`Exports`]: templates, a manifest and files for the host below `/exports`. [`render()`] makes of it
//! and of what is [`Wanted`] a [`Rendered`]: everything that a deployment consists of besides the image's own files.
//!
//! ```text
//! image ─► Exports ┐
//!                  ├─► render ─► Rendered { config.json, unit, tmpfiles, files of the host, values }
//! wanted ──────────┘
//! ```
//!
//! What was rendered is deployed by one of four changes, install, update, rollback and uninstall, each wholly or not at all
//! (`world.rs` says how one is decided, `converge.rs` how it is done, and done again after a crash):
//!
//! ```text
//! Rendered ─► stage ─► journal ─► converge: slot, host files, unit, link ─► start and gate ─► journal gone
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
mod converge;
mod deployment;
mod document;
mod error;
mod event;
mod exported;
mod exports;
mod gate;
mod generated;
mod host_apply;
mod host_change;
mod host_files;
mod host_plan;
mod info;
mod install;
mod journal;
mod lint;
mod listing;
mod manifest;
mod name;
mod notice;
mod once;
mod order;
mod places;
mod put;
mod quadlet;
mod refused;
mod render;
mod rendered;
mod repair;
mod rollback;
mod run_in;
mod service_health;
mod slots;
mod stage;
mod state;
mod systemctl;
mod systemd;
mod template;
mod tmpfiles;
mod uninstall;
mod unit;
mod update;
mod user_config;
mod values;
mod variables;
mod wanted;
mod world;

pub use contract::Variables;
pub use converge::chain;
pub use deployment::{Deployment, Service};
pub use error::Error;
pub use event::{Event, Step};
pub use exports::Exports;
pub use gate::{Clock, GateOptions, HealthCheck, Verdict, start_and_watch, watch};
pub use host_apply::HostTold;
pub use host_change::{HostChange, HostStep};
pub use host_files::{HostFiles, KeepOptions, Tracked};
pub use info::{INFO, Info};
pub use install::{
    find_remote, followers, install, is_present, keep, plan_install, revision_of_remote,
};
pub use journal::Verb;
pub use lint::{Finding, Linted, lint};
pub use listing::{Listed, ServiceState, find, list};
pub use manifest::Manifest;
pub use name::ServiceName;
pub use notice::{JOURNAL_SOCKET, RolledBack};
pub use once::{OnceBundle, once};
pub use order::{Installer, Order, Plan, is_plain, quadlet_of};
pub use places::Places;
pub use quadlet::{Quadlet, Surroundings};
pub use refused::read as refused_images;
pub use render::render;
pub use rendered::{HostContent, HostFile, HostFileKind, Rendered};
pub use repair::{Repaired, repair};
pub use rollback::rollback;
pub use run_in::{Bundle, RunIn};
pub use service_health::ServiceHealth;
pub use slots::KEEP_MIN;
pub use stage::Root;
pub use systemctl::{Printing, Systemctl, SystemctlOptions};
pub use systemd::{Active, Manager, UnitState};
pub use uninstall::uninstall;
pub use update::{Changes, UpdatePlan, plan_update, set_by_user, update};
pub use variables::parse_set;
pub use wanted::{IdRange, IdRanges, Runtime, Scope, Wanted};
pub use world::{Health, Outcome, Recovered, World, WorldOptions};

#[cfg(test)]
mod tests;
