//! A terminal that a test types into.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::{PATIENCE, until};
use crate::support::Home;
use crate::support::user::berth;

/// A terminal with a berth in it, whose session it is.
pub(crate) struct Terminal {
    master: Option<File>,
    inner: Option<OwnedFd>,
    /// Its mode before anything used it.
    pub(crate) at_first: Termios,
    said: Arc<Mutex<String>>,
    child: Child,
}

impl Terminal {
    pub(crate) fn run(home: &Home, args: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let inner = ioctl_tiocgptpeer(&master, flags).unwrap();
        let at_first = tcgetattr(&inner).unwrap();
        let stdio = || Stdio::from(inner.try_clone().unwrap());
        let child = home
            .user
            .command("setsid")
            .args(["--ctty", "--wait"])
            .arg(berth())
            .arg("--root")
            .arg(home.root())
            .args(args)
            .env("TMPDIR", home.path())
            .current_dir(home.path())
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let said = Arc::new(Mutex::new(String::new()));
        let (mut reader, heard) = (master.try_clone().unwrap(), Arc::downgrade(&said));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO when the last process has closed it.
            while let (Ok(count @ 1..), Some(heard)) = (reader.read(&mut buffer), heard.upgrade()) {
                heard
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self {
            master: Some(master),
            inner: Some(inner),
            at_first,
            said,
            child,
        }
    }

    pub(crate) fn types(&self, text: &str) {
        self.master
            .as_ref()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn until(&self, text: &str) {
        until(&format!("{text:?} on the terminal"), || {
            self.said().contains(text)
        });
    }

    pub(crate) fn resize(&self, ws_row: u16, ws_col: u16) {
        let size = Winsize {
            ws_row,
            ws_col,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(self.master.as_ref().unwrap(), size).unwrap();
    }

    pub(crate) fn mode(&self) -> Termios {
        tcgetattr(self.inner.as_ref().unwrap()).unwrap()
    }

    /// Who owns it, and its mode.
    pub(crate) fn owner(&self) -> (u32, u32, u32) {
        let stat = rustix::fs::fstat(self.inner.as_ref().unwrap()).unwrap();
        (stat.st_uid, stat.st_gid, stat.st_mode)
    }

    /// What closing the window does.
    pub(crate) fn close(&mut self) {
        // The reading thread has a descriptor too, and lets it go with the next byte or the hang-up of all others.
        let master = self.master.take().unwrap();
        self.inner = None;
        let leader = rustix::process::Pid::from_child(&self.child);
        drop(master);
        rustix::process::kill_process(leader, rustix::process::Signal::HUP).unwrap();
    }

    /// Its exit code, 128+n for a signal.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(Instant::now() < deadline, "still runs\n{}", self.said());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
