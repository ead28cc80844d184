//! Waiting until there is more to read: the kernel tells of changed files and ended processes, and nothing is polled
//! over and over.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::container::Container;
use crate::error::{Error, Result};
use crate::proc::ProcessId;
use crate::record::Notes;

/// The directories of some containers, where logs are written and renamed and states noted.
#[derive(Debug)]
pub(super) struct Watch(OwnedFd);

impl Watch {
    pub(super) fn new(containers: &[Container]) -> Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(Error::os("watch files"))?;
        let wanted = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        for container in containers {
            inotify::add_watch(&fd, &container.dir, wanted)
                .map_err(Error::io("watch", &container.dir))?;
        }
        Ok(Self(fd))
    }

    /// Waits until something changes or ends. False when it is `deadline` before that.
    pub(super) fn wait(&self, containers: &[Container], deadline: Option<Instant>) -> Result<bool> {
        let mut processes = Vec::new();
        for container in containers {
            // A process that was killed changes no file.
            let notes = Notes::read(&container.dir)?.unwrap_or_default();
            let alive = [notes.supervisor, notes.init].into_iter().flatten();
            for process in alive.filter(ProcessId::alive) {
                match Pid::from_raw(process.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
                    Some(Ok(pidfd)) => processes.push(pidfd),
                    Some(Err(Errno::SRCH)) | None => return Ok(true),
                    Some(Err(error)) => return Err(Error::os("watch the container")(error)),
                }
            }
        }
        let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
        fds.extend(processes.iter().map(|it| PollFd::new(it, PollFlags::IN)));
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::os("wait for output")(error)),
        }
        self.forget_events()?;
        Ok(true)
    }

    /// What happened is seen by looking; the events only say when to look.
    fn forget_events(&self) -> Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match events.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(Error::os("watch files")(error)),
            }
        }
    }
}
