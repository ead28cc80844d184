//! The loop of a supervisor: one thread that waits for everything at once.
//!
//! ```text
//! the container's output ─► log ─► our own stdout and stderr, in a foreground ─► every attached client
//! our own stdin, clients ─► the container's input
//! signals, requests of clients, the timeout of a stop ─► the container's first process
//! ```
//!
//! # Invariants
//!
//! - Output is read only while everybody has room for it: nothing is lost, and memory is bounded. A client that has gone is
//!   not waited for.
//! - The end is seen through a pidfd, which is readable whether the process ended long ago or just now. Then all processes
//!   of the container have ended (the kernel sees to that), so all output is in the pipes: it is taken out, and nobody who
//!   still holds an end of one is waited for.

mod output;

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::client::Client;
use crate::clock;
use crate::error::{Error, Result};
use crate::frames::Frame;
use crate::health_run::Checks;
use crate::living::{Launch, Living};
use crate::log::{Stream, Writer};
use crate::memory_use;
use crate::own_stdio::OwnOutput;
use crate::signals::Signals;
use crate::stdio::Stdio;
use crate::watch::watch;

/// How much of our own stdin is read at once.
const INPUT_BYTES_MAX: usize = 4096;
/// How many may be connected at once.
const CLIENTS_MAX: usize = 64;
/// When a life has lasted so long, the memory that only its start took is given back.
const SETTLED_NS: u64 = 1_000_000_000;

/// What can be ready.
#[derive(Debug, Clone, Copy)]
enum Ready {
    Signals,
    Connection,
    Process,
    Launch,
    OwnInput,
    OwnOutput(usize),
    Source(usize),
    Input,
    Client(usize),
    Health,
}

/// Who looks after a container, over all its lives.
pub(crate) struct Attendant<'a> {
    signals: Signals,
    listener: Option<UnixListener>,
    clients: Vec<Client>,
    own_outputs: Vec<OwnOutput>,
    own_input: bool,
    log: Option<Writer>,
    log_failed: bool,
    stop_signal: i32,
    stop_timeout: Option<u64>,
    size: Option<(u16, u16)>,
    input_ended: bool,
    by_hand: bool,
    kill_at: Option<u64>,
    checks: Option<Checks>,
    settle_at: Option<u64>,
    say: &'a mut dyn FnMut(&str),
}

/// What an attendant is made from.
pub(crate) struct AttendantInput<'a> {
    pub(crate) signals: Signals,
    pub(crate) listener: UnixListener,
    /// Who started the container and waits for it.
    pub(crate) launcher: Option<Client>,
    /// Whether our own stdout and stderr get the output.
    pub(crate) own_output: bool,
    /// Whether our own stdin is the container's.
    pub(crate) own_input: bool,
    pub(crate) log: Option<Writer>,
    /// What `stop` sends, unless told otherwise.
    pub(crate) stop_signal: i32,
    /// How many seconds the container has to end once somebody ends its supervisor (with TERM: a service manager, a host
    /// that shuts down). `None` where that signal is the container's like any other.
    pub(crate) stop_timeout: Option<u64>,
    /// Says a warning.
    pub(crate) say: &'a mut dyn FnMut(&str),
}

impl std::fmt::Debug for Attendant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attendant")
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Attendant<'a> {
    pub(crate) fn new(input: AttendantInput<'a>) -> Self {
        let own = input.own_output.then_some([Stream::Stdout, Stream::Stderr]);
        Self {
            signals: input.signals,
            listener: Some(input.listener),
            clients: input.launcher.into_iter().collect(),
            own_outputs: own.into_iter().flatten().map(OwnOutput::of).collect(),
            own_input: input.own_input,
            log: input.log,
            log_failed: false,
            stop_signal: input.stop_signal,
            stop_timeout: input.stop_timeout,
            size: None,
            input_ended: false,
            by_hand: false,
            kill_at: None,
            checks: None,
            settle_at: None,
            say: input.say,
        }
    }

    /// Whether somebody has asked for the end, so that it is not to be started again.
    pub(crate) fn stopped_by_hand(&self) -> bool {
        self.by_hand
    }

    /// Says a warning to whoever started the container.
    pub(crate) fn say(&mut self, warning: &str) {
        (self.say)(warning);
    }

    /// Finds out from time to time whether the container is well, until this life of it ends.
    pub(crate) fn check_health(&mut self, checks: Option<Checks>) {
        self.checks = checks;
    }

    /// Before the program of a new life runs: its terminal gets the size of the client's.
    pub(crate) fn prepare(&mut self, stdio: &mut Stdio) {
        for client in self.clients.iter_mut().filter(|client| client.launcher) {
            client.read();
            while let Some(frame) = client.next() {
                match frame {
                    Frame::Attach => client.attach(),
                    Frame::Resize { rows, columns } => self.size = Some((rows, columns)),
                    _ => client.leave(),
                }
            }
        }
        if let Some((rows, columns)) = self.size {
            stdio.resize(rows, columns);
        }
        if self.input_ended {
            stdio.end_input();
        }
    }

    /// Stays with a container until its first process has ended and all its output is taken.
    pub(crate) fn attend(&mut self, life: &mut Living<'_>) -> Result<()> {
        self.settle_at = Some(clock::uptime().saturating_add(SETTLED_NS));
        while !self.step(Some(life), None)? {}
        (self.kill_at, self.settle_at) = (None, None);
        self.checks = None;
        self.look_at_launch(life)?;
        self.drain(&life.stdio)
    }

    /// Waits until `deadline` of the clock's uptime; false when the end was asked for before.
    pub(crate) fn rest(&mut self, deadline: u64) -> Result<bool> {
        while !self.by_hand && clock::uptime() < deadline {
            self.step(None, Some(deadline))?;
        }
        Ok(!self.by_hand)
    }

    /// Tells everybody that the container has ended for good, and stays until all of them have what is theirs.
    pub(crate) fn farewell(&mut self, code: u8) -> Result<()> {
        self.accept();
        self.listener = None;
        self.own_input = false;
        self.by_hand = false;
        for client in &mut self.clients {
            client.send(&Frame::Ended(code));
        }
        let waits = |it: &Self| {
            let served = it.clients.iter().all(Client::is_served);
            !served || it.own_outputs.iter().any(|own| own.waits().is_some())
        };
        // A signal now means ourselves: nothing else is left.
        while waits(self) && !self.by_hand {
            self.step(None, None)?;
        }
        Ok(())
    }

    /// Waits for something to happen and deals with it. True when the process has ended.
    fn step(&mut self, mut life: Option<&mut Living<'_>>, deadline: Option<u64>) -> Result<bool> {
        let check_at = self.checks.as_ref().and_then(Checks::next);
        let timeout = clock::until([deadline, self.kill_at, self.settle_at, check_at]);
        let watched = self.watched(life.as_deref());
        let happened = watch(&watched, timeout.as_ref(), "wait for the container")?;
        drop(watched);
        let mut ended = false;
        for (ready, flags) in happened {
            match ready {
                Ready::Process => ended = true,
                other => self.serve(other, flags, life.as_deref_mut())?,
            }
        }
        self.clients.retain(|client| !client.is_gone());
        if let Some(Err(error)) = self.checks.as_mut().map(Checks::step) {
            self.checks = None;
            self.say(&format!("health is not checked any more: {error}"));
        }
        let due = |at: Option<u64>| at.is_some_and(|at| clock::uptime() >= at);
        if due(self.settle_at) {
            self.settle_at = None;
            memory_use::shrink();
        }
        if due(self.kill_at)
            && let Some(life) = life
        {
            self.kill_at = None;
            life.send(libc::SIGKILL)?;
        }
        Ok(ended)
    }

    /// Everything to wait for now. Poll reports a hang-up even of what nothing is wanted from, over and over, so only what
    /// is of use is in it.
    fn watched<'f>(
        &'f self,
        life: Option<&'f Living<'_>>,
    ) -> Vec<(Ready, BorrowedFd<'f>, PollFlags)> {
        let read = PollFlags::IN;
        let mut all = vec![(Ready::Signals, self.signals.as_fd(), read)];
        if let Some(listener) = &self.listener {
            all.push((Ready::Connection, listener.as_fd(), read));
        }
        let takes_input =
            life.is_none_or(|life| life.stdio.takes_input() || life.stdio.input.is_none());
        for (index, client) in self.clients.iter().enumerate() {
            all.push((
                Ready::Client(index),
                client.as_fd(),
                client.waits(takes_input),
            ));
        }
        for (index, own) in self.own_outputs.iter().enumerate() {
            all.extend(
                own.waits()
                    .map(|(fd, flags)| (Ready::OwnOutput(index), fd, flags)),
            );
        }
        let Some(life) = life else { return all };
        let checks = self.checks.iter().flat_map(Checks::watched);
        all.extend(checks.map(|fd| (Ready::Health, fd, read)));
        all.push((Ready::Process, life.process.as_fd(), read));
        if !life.launched {
            all.push((Ready::Launch, life.engine.launch_fd(), read));
        }
        if self.has_room() {
            for (index, source) in life.stdio.sources.iter().enumerate() {
                all.push((Ready::Source(index), source.fd.as_fd(), read));
            }
        }
        if let Some(fd) = life.stdio.waiting_input() {
            all.push((Ready::Input, fd.as_fd(), PollFlags::OUT));
        }
        if self.own_input && life.stdio.takes_input() {
            all.push((Ready::OwnInput, rustix::stdio::stdin(), read));
        }
        all
    }

    fn has_room(&self) -> bool {
        !self.own_outputs.iter().any(OwnOutput::is_full)
            && !self.clients.iter().any(Client::is_full)
    }

    fn serve(
        &mut self,
        ready: Ready,
        flags: PollFlags,
        life: Option<&mut Living<'_>>,
    ) -> Result<()> {
        match (ready, life) {
            (Ready::Signals, life) => self.pass_signals_on(life)?,
            (Ready::Connection, _) => self.accept(),
            (Ready::Client(index), life) => self.serve_client(index, flags, life)?,
            (Ready::OwnOutput(index), life) => {
                self.write_own(index);
                if let Some(life) = life {
                    self.close_unread(&mut life.stdio);
                }
            }
            (Ready::Launch, Some(life)) => self.look_at_launch(life)?,
            (Ready::OwnInput, Some(life)) => self.read_own_input(&mut life.stdio)?,
            (Ready::Input, Some(life)) => life.stdio.write_input(),
            (Ready::Source(index), Some(life)) => self.read_source(index, &mut life.stdio)?,
            _ => {}
        }
        Ok(())
    }

    fn pass_signals_on(&mut self, mut life: Option<&mut Living<'_>>) -> Result<()> {
        while let Some(signal) = self.signals.next()? {
            if let (libc::SIGTERM, Some(timeout)) = (signal, self.stop_timeout) {
                self.stop(self.stop_signal, timeout, life.as_deref_mut())?;
                continue;
            }
            self.by_hand |= self.ends(signal) || (life.is_none() && signal == libc::SIGHUP);
            if let Some(life) = &mut life {
                life.send(signal)?;
            }
        }
        Ok(())
    }

    /// Asks the container to end with this signal, and after `timeout` seconds by force.
    fn stop(&mut self, signal: i32, timeout: u64, life: Option<&mut Living<'_>>) -> Result<()> {
        self.by_hand = true;
        let Some(life) = life else { return Ok(()) };
        let wait = timeout.saturating_mul(1_000_000_000);
        self.kill_at = Some(clock::uptime().saturating_add(wait));
        life.send(signal)
    }

    /// Whether somebody who sends this signal wants the end.
    fn ends(&self, signal: i32) -> bool {
        [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT].contains(&signal)
            || signal == self.stop_signal
    }

    fn accept(&mut self) {
        while let Some(Ok((socket, _))) = self.listener.as_ref().map(UnixListener::accept) {
            if self.clients.len() < CLIENTS_MAX
                && let Ok(client) = Client::new(socket.into(), false)
            {
                self.clients.push(client);
            }
        }
    }

    fn serve_client(
        &mut self,
        index: usize,
        flags: PollFlags,
        mut life: Option<&mut Living<'_>>,
    ) -> Result<()> {
        let Some(client) = self.clients.get_mut(index) else {
            return Ok(());
        };
        if flags.contains(PollFlags::OUT) {
            client.write();
        }
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return Ok(());
        }
        client.read();
        while let Some(frame) = self.clients.get_mut(index).and_then(Client::next) {
            let answer = self.answer(&frame, life.as_deref_mut())?;
            if let Some(client) = self.clients.get_mut(index) {
                match (answer, frame) {
                    (Some(answer), _) => client.send(&answer),
                    (None, Frame::Attach) => client.attach(),
                    (None, _) => {}
                }
            }
        }
        Ok(())
    }

    /// Does what a client asks for.
    fn answer(&mut self, frame: &Frame, life: Option<&mut Living<'_>>) -> Result<Option<Frame>> {
        match (frame, life) {
            (Frame::Input(bytes), Some(life)) => life.stdio.push_input(bytes),
            (Frame::InputEnd, life) => {
                self.input_ended = true;
                if let Some(life) = life {
                    life.stdio.end_input();
                }
            }
            (Frame::Resize { rows, columns }, life) => {
                self.size = Some((*rows, *columns));
                if let Some(life) = life {
                    life.stdio.resize(*rows, *columns);
                }
            }
            (Frame::Signal(signal), Some(life)) => {
                self.by_hand |= self.ends(*signal);
                life.send(*signal)?;
                return Ok(Some(Frame::Done));
            }
            (Frame::Signal(signal), None) => {
                self.by_hand |= self.ends(*signal);
                let done = self.by_hand;
                return Ok(Some(if done { Frame::Done } else { Frame::Refused }));
            }
            (Frame::Stop { signal, timeout }, life) => {
                self.stop(*signal, *timeout, life)?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Finds out whether the program runs by now, and tells who waits for that.
    fn look_at_launch(&mut self, life: &mut Living<'_>) -> Result<()> {
        if life.launched {
            return Ok(());
        }
        match life.engine.launch() {
            Launch::Pending => return Ok(()),
            Launch::Failed(error) => life.failure = Some(error),
            Launch::Running => {
                for client in self.clients.iter_mut().filter(|client| client.launcher) {
                    client.send(&Frame::Started);
                    client.launcher = false;
                    if !client.is_attached() {
                        client.leave();
                    }
                    leave_callers_stdio()?;
                }
            }
        }
        life.launched = true;
        Ok(())
    }

    fn read_own_input(&mut self, stdio: &mut Stdio) -> Result<()> {
        let mut buffer = [0; INPUT_BYTES_MAX];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer[..]) {
            // A terminal that has gone away gives EIO.
            Ok(0) | Err(Errno::IO) => {
                self.own_input = false;
                self.input_ended = true;
                stdio.end_input();
            }
            Ok(count) => stdio.push_input(buffer.get(..count).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(Error::os("read stdin")(error)),
        }
        Ok(())
    }
}

/// After the start nothing of the caller's is held any more.
fn leave_callers_stdio() -> Result<()> {
    let null = crate::stdio::null()?;
    rustix::stdio::dup2_stdout(&null)
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .map_err(Error::os("leave the caller's output"))
}
