//! What a crash, a power cut or a full disk leaves behind, at every instant of every operation.
//!
//! The operations of [`work`] run while something comes between the store and its files (`store/src/fault.rs`):
//! [`kill`] ends the process before each call that changes a name or syncs, [`power`] keeps account of what is on disk
//! and looks at what would be left, [`full`] makes calls fail. Run with `--features fault`.

#![allow(
    clippy::print_stdout,
    reason = "how much was done is part of the result"
)]

#[path = "../tars/mod.rs"]
mod tars;

mod full;
mod kill;
mod power;
mod work;

/// Only one test at a time comes between.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A directory in memory where that has user xattrs: thousands of syncs would wait for everybody else's writes.
fn scratch() -> tempfile::TempDir {
    let memory = tempfile::tempdir_in("/dev/shm").ok().filter(|dir| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(dir.path(), "user.berth", b"probe", flags).is_ok()
    });
    memory.unwrap_or_else(|| tempfile::tempdir().expect("temporary directory"))
}
