//! What one asks of a container that runs: to be told its end, to get a signal, to stop.
//!
//! The supervisor is asked, who is root of the container: its processes can belong to ids that the caller may not signal,
//! and a container that is to be stopped must not be started again. One that does not answer is killed, and its container
//! goes with it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::clock;
use crate::container::Container;
use crate::error::{Error, Result};
use crate::frames::{Decoder, Frame};
use crate::record::{Notes, State};
use crate::remove::kill;
use crate::signal::StopSignal;
use crate::socket;

/// How long a container that is being set up may take until its supervisor listens.
const CONNECT_TIMEOUT_NS: u64 = 30_000_000_000;
/// How long is waited between two attempts.
const CONNECT_PAUSE: Duration = Duration::from_millis(5);
/// How long a supervisor may take to answer, and to clean up when its container has ended.
const ANSWER_TIMEOUT_NS: u64 = 30_000_000_000;
/// How many seconds a container has between the stop signal and being killed, unless told otherwise.
pub(crate) const STOP_TIMEOUT: u64 = 10;

/// A container that was asked to stop, or is waited for.
#[derive(Debug)]
pub struct Ending {
    container: Container,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    socket: UnixStream,
    decoder: Decoder,
}

impl Container {
    /// The signal that stops it: its own, its image's, or TERM.
    pub fn stop_signal(&self) -> StopSignal {
        let image = self.record.config.stop_signal.as_deref();
        let life = &self.record.settings.life;
        life.stop_signal
            .or_else(|| image.and_then(|text| text.parse().ok()))
            .unwrap_or(StopSignal::TERM)
    }

    /// Sends a signal to the first process of a running container.
    pub fn kill(&self, signal: StopSignal) -> Result<()> {
        let wrong_state = || -> Result<Error> {
            Ok(Error::WrongState {
                verb: "kill",
                id: self.record.id.clone(),
                state: self.state()?.name(),
            })
        };
        let Some(socket) = connect(self)? else {
            return Err(wrong_state()?);
        };
        let mut connection = Connection::new(socket);
        connection.send(&Frame::Signal(signal.number()))?;
        match connection.next(Some(clock::uptime().saturating_add(ANSWER_TIMEOUT_NS)))? {
            Some(Frame::Done | Frame::Ended(_)) => Ok(()),
            _ => Err(wrong_state()?),
        }
    }

    /// Asks it to end: with its signal, and after `timeout` seconds (10 where neither the caller nor the container says
    /// anything) by force. One that does not run has ended.
    pub fn stop(&self, timeout: Option<u64>) -> Result<Stopping> {
        let timeout = timeout.unwrap_or_else(|| self.stop_timeout());
        self.end(self.stop_signal(), timeout)
    }

    /// How many seconds it has to end when nobody says.
    pub(crate) fn stop_timeout(&self) -> u64 {
        let life = &self.record.settings.life;
        life.stop_timeout.unwrap_or(STOP_TIMEOUT)
    }

    /// Asks it to end with this signal, and after `timeout` seconds by force.
    pub(crate) fn end(&self, signal: StopSignal, timeout: u64) -> Result<Stopping> {
        let mut ending = self.ending()?;
        if let Some(connection) = &mut ending.connection {
            // When it has just ended there is nobody to say it to.
            let signal = signal.number();
            connection.send(&Frame::Stop { signal, timeout }).ok();
        }
        let patience = timeout.saturating_mul(1_000_000_000);
        let deadline = clock::uptime()
            .saturating_add(patience)
            .saturating_add(ANSWER_TIMEOUT_NS);
        Ok(Stopping { ending, deadline })
    }

    /// Begins to wait for its end.
    pub fn ending(&self) -> Result<Ending> {
        Ok(Ending {
            container: self.clone(),
            connection: connect(self)?.map(Connection::new),
        })
    }
}

/// A container that was asked to stop.
#[derive(Debug)]
pub struct Stopping {
    ending: Ending,
    deadline: u64,
}

impl Stopping {
    /// Waits until it has ended. A supervisor that does not see to it in time is killed, and the container with it.
    pub fn wait(mut self) -> Result<()> {
        if let Some(connection) = &mut self.ending.connection {
            connection.until_ended(Some(self.deadline))?;
        }
        let container = &self.ending.container;
        if !container.is_there() || !container.state()?.is_live() {
            return Ok(());
        }
        let notes = Notes::read(&container.dir)?.unwrap_or_default();
        for process in [notes.supervisor, notes.init].into_iter().flatten() {
            kill(&process)?;
        }
        Ok(())
    }
}

impl Ending {
    /// Waits until it has ended for good, and gives its exit code: `None` when whoever watched it was killed, or it never
    /// ran.
    pub fn wait(mut self) -> Result<Option<i32>> {
        loop {
            if let Some(connection) = &mut self.connection
                && let Some(code) = connection.until_ended(None)?
            {
                return Ok(Some(i32::from(code)));
            }
            match self.container.state()? {
                State::Exited { code, .. } => return Ok(code),
                _ if !self.container.is_there() => {
                    return Err(Error::NoContainer {
                        name: self.container.record.id,
                    });
                }
                State::Created => return Ok(None),
                _ => {}
            }
            // The supervisor has gone, and the kernel is about to end the container.
            std::thread::sleep(CONNECT_PAUSE);
            self.connection = connect(&self.container)?.map(Connection::new);
        }
    }
}

impl Connection {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            decoder: Decoder::default(),
        }
    }

    fn send(&mut self, frame: &Frame) -> Result<()> {
        self.socket
            .write_all(&frame.bytes())
            .map_err(Error::os("speak to the supervisor"))
    }

    /// The exit code that the supervisor tells; `None` when it does not until `deadline`, or has gone.
    fn until_ended(&mut self, deadline: Option<u64>) -> Result<Option<u8>> {
        while let Some(frame) = self.next(deadline)? {
            if let Frame::Ended(code) = frame {
                return Ok(Some(code));
            }
        }
        Ok(None)
    }

    fn next(&mut self, deadline: Option<u64>) -> Result<Option<Frame>> {
        loop {
            match self.decoder.next() {
                Ok(None) => {}
                Ok(frame) => return Ok(frame),
                Err(_) => return Ok(None),
            }
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            let ready = poll(&mut fds, clock::until([deadline]).as_ref())
                .map_err(Error::os("wait for the supervisor"))?;
            let mut buffer = [0; 512];
            // A connection that is reset had a supervisor that went away.
            let read = match ready {
                0 => 0,
                _ => self.socket.read(&mut buffer).unwrap_or_default(),
            };
            if read == 0 {
                return Ok(None);
            }
            self.decoder.feed(buffer.get(..read).unwrap_or_default());
        }
    }
}

/// Connects to the supervisor of a live container, which may still be on its way to listening; `None` when the container
/// is not live.
pub(crate) fn connect(container: &Container) -> Result<Option<UnixStream>> {
    let deadline = clock::uptime().saturating_add(CONNECT_TIMEOUT_NS);
    loop {
        match socket::connect(&container.bundle, socket::CONTROL) {
            Ok(socket) => return Ok(Some(socket)),
            Err(error)
                if !matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                ) || clock::uptime() > deadline =>
            {
                return Err(Error::io(
                    "connect to",
                    container.bundle.join(socket::CONTROL),
                )(error));
            }
            Err(_) if !container.state()?.is_live() => return Ok(None),
            Err(_) => std::thread::sleep(CONNECT_PAUSE),
        }
    }
}
