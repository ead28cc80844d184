//! Services, installed and changed in a place of the tests' own, with a systemd that only remembers.

mod defects;
mod failures;
mod kill;
mod locks;
mod pretend;
mod remote;
mod repair;
mod setup;
mod slots;
mod snapshot;
#[path = "../../../store/tests/tars/mod.rs"]
mod tars;
