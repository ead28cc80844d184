//! A process whose stdio is connected with a container: what `run -t`, `start -a` and `attach` become.
//!
//! It is this binary executed anew, with one thread, since it reads its signals. It holds nothing of the container: when it
//! is killed, or its terminal goes away, the container goes on.
//!
//! Output is read from the supervisor only when what came before was written, and input from stdin only when the
//! supervisor takes it, so that a reader or a writer that stalls holds up the other end and fills no memory.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::event::PollFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Containers};
use crate::control;
use crate::detach::{DetachKeys, Matcher};
use crate::error::{Error, Result};
use crate::frames::{Decoder, Frame};
use crate::log::Stream;
use crate::outlet::Outlet;
use crate::own_stdio::OwnOutput;
use crate::signals::Signals;
use crate::start::{ATTACH, StartOptions};
use crate::terminal::{RawMode, own_size};
use crate::watch::watch;

/// How much is read at once.
const READ_BYTES_MAX: usize = 4096;

/// How a process is connected with a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttachOptions {
    /// Whether our stdin is the container's, if it takes any.
    pub input: bool,
    /// What leaves the container when it is typed.
    pub keys: DetachKeys,
    /// Whether signals that we get are passed on.
    pub proxy: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    root: PathBuf,
    run_dir: PathBuf,
    id: String,
    start: Option<StartOptions>,
    options: AttachOptions,
}

impl Container {
    /// Turns this process into one that is connected with the container, starting it first if `start` says how. It ends
    /// with the container's exit code, or 0 when it leaves. Returns only on failure.
    pub fn attach(
        &self,
        start: Option<&StartOptions>,
        options: &AttachOptions,
    ) -> Result<Infallible> {
        let task = Task {
            root: self.containers.root().to_owned(),
            run_dir: self.containers.run_dir().to_owned(),
            id: self.record.id.clone(),
            start: start.cloned(),
            options: options.clone(),
        };
        let text = serde_json::to_string(&task).map_err(|source| Error::Document {
            path: self.dir.clone(),
            source,
        })?;
        let source = Command::new("/proc/self/exe")
            .arg0("berth")
            .args([ATTACH, &text])
            .env_clear()
            .exec();
        Err(Error::Os {
            op: "attach to the container",
            source,
        })
    }
}

/// The fresh process behind [`Container::attach`].
pub(crate) fn attach(task: &str) -> Result<u8> {
    let task: Task = serde_json::from_str(task).map_err(|source| Error::Document {
        path: ATTACH.into(),
        source,
    })?;
    let signals = Signals::open()?;
    let containers = Containers::open(&task.root, &task.run_dir);
    let container = containers
        .load(&task.id)?
        .ok_or_else(|| Error::NoContainer {
            name: task.id.clone(),
        })?;
    let (socket, mut child) = connect(&container, task.start.as_ref())?;
    let mut session = Session::new(&container, socket, signals, task.options, child.is_none())?;
    let code = session.run()?;
    match (code, &mut child) {
        (Some(code), _) => Ok(code),
        (None, Some(child)) if !session.started => {
            drop(session);
            container.failed(child)
        }
        (None, _) => Err(Error::Lost {
            id: container.record.id.clone(),
        }),
    }
}

/// A connection, and the supervisor when it was started for it.
fn connect(
    container: &Container,
    start: Option<&StartOptions>,
) -> Result<(UnixStream, Option<Child>)> {
    let mut hello = Vec::new();
    Frame::Attach.encode(&mut hello);
    if let Some(size) = own_size().filter(|_| container.record.settings.terminal) {
        Frame::Resize {
            rows: size.ws_row,
            columns: size.ws_col,
        }
        .encode(&mut hello);
    }
    let greet = |socket: &UnixStream| {
        // So little that it never waits.
        rustix::io::write(socket, &hello).map_err(Error::os("speak to the supervisor"))
    };
    let Some(start) = start else {
        let socket = control::connect(container)?.ok_or_else(|| Error::WrongState {
            verb: "attach to",
            id: container.record.id.clone(),
            state: container.state().map_or("gone", |state| state.name()),
        })?;
        greet(&socket)?;
        return Ok((socket, None));
    };
    let (ours, theirs) = UnixStream::pair().map_err(Error::os("make a socket"))?;
    // Before the supervisor exists: it finds the terminal's size there when it makes the container's.
    greet(&ours)?;
    let child = container.spawn_supervisor(start, theirs)?;
    Ok((ours, Some(child)))
}

#[derive(Debug, Clone, Copy)]
enum Ready {
    Signals,
    Socket,
    Input,
    Output(usize),
}

struct Session {
    socket: UnixStream,
    decoder: Decoder,
    to_socket: Outlet,
    outputs: [OwnOutput; 2],
    signals: Signals,
    matcher: Option<Matcher>,
    input: bool,
    proxy: bool,
    terminal: bool,
    _raw: Option<RawMode>,
    started: bool,
    code: Option<u8>,
    closed: bool,
    left: bool,
}

impl Session {
    fn new(
        container: &Container,
        socket: UnixStream,
        signals: Signals,
        options: AttachOptions,
        started: bool,
    ) -> Result<Self> {
        let settings = &container.record.settings;
        socket
            .set_nonblocking(true)
            .map_err(Error::os("set up a connection"))?;
        let input = options.input && settings.interactive;
        let raw = if input && settings.terminal {
            RawMode::enter()?
        } else {
            None
        };
        Ok(Self {
            socket,
            decoder: Decoder::default(),
            to_socket: Outlet::default(),
            outputs: [Stream::Stdout, Stream::Stderr].map(OwnOutput::of),
            signals,
            matcher: settings.terminal.then(|| Matcher::new(options.keys)),
            input,
            proxy: options.proxy && raw.is_none(),
            terminal: settings.terminal,
            _raw: raw,
            started,
            code: None,
            closed: false,
            left: false,
        })
    }

    /// Runs until the container has ended, the connection is lost (then there is no code) or the user leaves.
    fn run(&mut self) -> Result<Option<u8>> {
        let pending = |it: &Self| it.outputs.iter().any(|output| output.waits().is_some());
        while !self.left && (!self.closed || pending(self)) {
            self.step()?;
        }
        Ok(if self.left {
            Some(self.code.unwrap_or(0))
        } else {
            self.code
        })
    }

    fn step(&mut self) -> Result<()> {
        let happened = watch(&self.watched(), None, "wait for the container")?;
        for (ready, flags) in happened {
            match ready {
                Ready::Signals => self.take_signals()?,
                Ready::Socket => self.serve_socket(flags),
                Ready::Input => self.read_input()?,
                Ready::Output(index) => {
                    if let Some(output) = self.outputs.get_mut(index) {
                        output.write().map_err(Error::os("write the output"))?;
                    }
                }
            }
        }
        self.take_frames()
    }

    fn watched(&self) -> Vec<(Ready, BorrowedFd<'_>, PollFlags)> {
        let read = PollFlags::IN;
        let mut all = vec![(Ready::Signals, self.signals.as_fd(), read)];
        let mut flags = PollFlags::empty();
        if !self.outputs.iter().any(OwnOutput::is_full) {
            flags |= read;
        }
        if !self.to_socket.is_empty() {
            flags |= PollFlags::OUT;
        }
        if !self.closed && !flags.is_empty() {
            all.push((Ready::Socket, self.socket.as_fd(), flags));
        }
        if self.input && self.started && !self.closed && !self.to_socket.is_full() {
            all.push((Ready::Input, rustix::stdio::stdin(), read));
        }
        for (index, output) in self.outputs.iter().enumerate() {
            all.extend(
                output
                    .waits()
                    .map(|(fd, flags)| (Ready::Output(index), fd, flags)),
            );
        }
        all
    }

    fn take_signals(&mut self) -> Result<()> {
        while let Some(signal) = self.signals.next()? {
            if signal == libc::SIGWINCH && self.terminal {
                if let Some(size) = own_size() {
                    self.send(&Frame::Resize {
                        rows: size.ws_row,
                        columns: size.ws_col,
                    });
                }
            } else if self.proxy {
                self.send(&Frame::Signal(signal));
            } else if signal != libc::SIGWINCH {
                // It is for us, and what it does by itself is to end us.
                self.left = true;
                self.code = u8::try_from(128 + signal).ok();
            }
        }
        Ok(())
    }

    fn send(&mut self, frame: &Frame) {
        frame.encode(self.to_socket.tail());
        self.write_socket();
    }

    fn write_socket(&mut self) {
        if self.to_socket.write_to(&self.socket, usize::MAX).is_err() {
            // What came before the end can still be read.
            self.to_socket.clear();
            self.input = false;
        }
    }

    fn serve_socket(&mut self, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.write_socket();
        }
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        let mut buffer = [0; READ_BYTES_MAX];
        match rustix::io::read(&self.socket, &mut buffer[..]) {
            Ok(0) => self.closed = true,
            Ok(count) => self.decoder.feed(buffer.get(..count).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.closed = true,
        }
    }

    fn take_frames(&mut self) -> Result<()> {
        loop {
            let frame = match self.decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(_) => {
                    self.closed = true;
                    return Ok(());
                }
            };
            let (stream, bytes) = match frame {
                Frame::Stdout(bytes) => (Stream::Stdout, bytes),
                Frame::Stderr(bytes) => (Stream::Stderr, bytes),
                Frame::Ended(code) => {
                    self.code = Some(code);
                    self.closed = true;
                    continue;
                }
                Frame::Started => {
                    self.started = true;
                    continue;
                }
                _ => continue,
            };
            for output in &mut self.outputs {
                output
                    .push(stream, &bytes)
                    .map_err(Error::os("write the output"))?;
            }
        }
    }

    fn read_input(&mut self) -> Result<()> {
        let mut buffer = [0; READ_BYTES_MAX];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer[..]) {
            Ok(0) | Err(Errno::IO) => {
                self.input = false;
                self.send(&Frame::InputEnd);
            }
            Ok(count) => {
                let typed = buffer.get(..count).unwrap_or_default();
                let (passed, leave) = match &mut self.matcher {
                    Some(matcher) => matcher.feed(typed),
                    None => (typed.to_vec(), false),
                };
                if !passed.is_empty() {
                    self.send(&Frame::Input(passed));
                }
                self.left = leave;
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(Error::os("read stdin")(error)),
        }
        Ok(())
    }
}
