//! A small init: the first process of a container that asked for one (`--init`).
//!
//! The process that would become the program forks; the child becomes it, and the parent stays, in our sealed image, where
//! nothing of the container's files is needed. It holds no descriptor, and only waits: signals are passed on to the
//! program, orphans are reaped, and it ends as the program ends, which ends everything else in the container. The program
//! is not executed before the parent is so.

use std::convert::Infallible;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use rustix::process::{Pid, WaitOptions};

use crate::living::exit_code;
use crate::sys;

/// What processes in the container see.
const NAME: &std::ffi::CStr = c"berth-init";

/// Returns in a child, which is to become the program. The parent does not return.
pub(crate) fn stay_behind() -> Result<(), Errno> {
    let all = SigSet::all();
    // Before there is a child, so that no signal is lost.
    all.thread_block()?;
    let number = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let (until_closed, held_open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
    if let Some(program) = sys::fork().map_err(number)? {
        let Err(error) = attend(program, &all);
        sys::exit_at_once(u8::try_from(error as i32).unwrap_or(125));
    }
    drop(held_open);
    // Ends when the parent has closed its descriptors, this one among them.
    while let Err(rustix::io::Errno::INTR) = rustix::io::read(&until_closed, &mut [0]) {}
    // A process group of its own: what a terminal sends to the group does not reach it twice.
    nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        // SIGTTOU, which this would raise in a background group, is still blocked. Not every terminal is ours.
        let group = rustix::process::getpgrp();
        rustix::termios::tcsetpgrp(rustix::stdio::stdin(), group).ok();
    }
    all.thread_unblock()
}

/// Waits until the program has ended, and then ends.
fn attend(program: Pid, all: &SigSet) -> Result<Infallible, Errno> {
    rename();
    sys::close_everything();
    loop {
        match sys::wait_for_signal(all) {
            Ok(libc::SIGCHLD) => reap(program),
            Ok(signal) => {
                // It may have ended a moment ago.
                sys::send_signal(program, signal).ok();
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Errno::from_raw(error.raw_os_error().unwrap_or_default())),
        }
    }
}

/// Reaps everything that has ended.
fn reap(program: Pid) {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == program {
            sys::exit_at_once(exit_code(status));
        }
    }
}

/// Shows processes of the container what this one is, and not the paths of the host that it was started with.
fn rename() {
    rustix::thread::set_name(NAME).ok();
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    if let Some((from, to)) = arguments(&stat) {
        sys::overwrite_arguments(from, to, NAME.to_bytes());
    }
}

/// Fields 48 and 49 of a stat line: where the arguments are. The command in field 2 may hold spaces and brackets.
fn arguments(stat: &str) -> Option<(usize, usize)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let from = fields.nth(45)?.parse().ok()?;
    let to = fields.next()?.parse().ok()?;
    (from != 0 && from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_where_our_arguments_are() {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("in /proc");
        let (from, to) = arguments(&stat).expect("fields");
        let length = std::fs::read("/proc/self/cmdline").expect("in /proc").len();
        assert_eq!(to - from, length);
        assert_eq!(arguments("7 (a b) S 1"), None);
    }
}
