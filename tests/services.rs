//! Services, without a systemd: a program in systemctl's place answers from files and writes down how it was called.

mod changes;
mod example;
pub(crate) mod fake;
mod listing;
mod once;
mod plain;
mod rebase;
mod refusals;
mod run_in;
mod timer;
mod units;
