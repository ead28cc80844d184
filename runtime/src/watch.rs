//! Waiting for the first of many descriptors: the one poll that a supervisor, a client and a program's parent each live in.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Waits until something happens to one of `watched`, or `timeout` is over, or a signal has come; gives the marks of those
/// that something happened to, in their order, and what it was. `waiting` is for the message.
pub(crate) fn watch<T: Copy>(
    watched: &[(T, BorrowedFd<'_>, PollFlags)],
    timeout: Option<&Timespec>,
    waiting: &'static str,
) -> Result<Vec<(T, PollFlags)>> {
    let mut fds: Vec<PollFd<'_>> = watched
        .iter()
        .map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(Error::os(waiting)(error)),
    }
    let marks = watched.iter().map(|(mark, ..)| *mark);
    Ok(marks
        .zip(&fds)
        .map(|(mark, fd)| (mark, fd.revents()))
        .filter(|(_, flags)| !flags.is_empty())
        .collect())
}
