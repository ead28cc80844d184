//! Output on its way from a container to everybody who gets it.

use crate::attend::Attendant;
use crate::clock;
use crate::error::Result;
use crate::log::Stream;
use crate::own_stdio::OwnOutput;
use crate::stdio::{Got, Stdio};

/// How much output is read at once.
const OUTPUT_BYTES_MAX: usize = 32 << 10;
/// How much output of an ended container is taken from one pipe: more than a pipe holds, unless somebody outside goes on
/// writing to it.
const DRAIN_BYTES_MAX: usize = 4 << 20;

impl Attendant<'_> {
    pub(super) fn read_source(&mut self, index: usize, stdio: &mut Stdio) -> Result<()> {
        // What was served before may have filled somebody up, or closed a source.
        if !self.has_room() {
            return Ok(());
        }
        let mut buffer = vec![0; OUTPUT_BYTES_MAX];
        let Some(source) = stdio.sources.get(index) else {
            return Ok(());
        };
        let stream = source.stream;
        match source.read(&mut buffer)? {
            Got::Bytes(count) => {
                self.distribute(stream, buffer.get(..count).unwrap_or_default());
                self.close_unread(stdio);
            }
            Got::Nothing => {}
            Got::End => drop(stdio.sources.remove(index)),
        }
        Ok(())
    }

    /// Takes what is left of the output of an ended container.
    pub(super) fn drain(&mut self, stdio: &Stdio) -> Result<()> {
        let mut buffer = vec![0; OUTPUT_BYTES_MAX];
        for source in &stdio.sources {
            let mut taken = 0;
            while taken < DRAIN_BYTES_MAX {
                let Got::Bytes(count) = source.read(&mut buffer)? else {
                    break;
                };
                self.distribute(source.stream, buffer.get(..count).unwrap_or_default());
                taken += count;
            }
        }
        if let Some(log) = &mut self.log {
            let finished = log.finish(clock::now());
            self.tell_of_log(finished);
        }
        Ok(())
    }

    fn distribute(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            let written = log.write(stream, bytes, clock::now());
            self.tell_of_log(written);
        }
        for client in &mut self.clients {
            client.send_output(stream, bytes);
        }
        for index in 0..self.own_outputs.len() {
            let pushed = self
                .own_outputs
                .get_mut(index)
                .map(|own| own.push(stream, bytes));
            self.tell_of_own(pushed.unwrap_or(Ok(())));
        }
    }

    pub(super) fn write_own(&mut self, index: usize) {
        let written = self.own_outputs.get_mut(index).map(OwnOutput::write);
        self.tell_of_own(written.unwrap_or(Ok(())));
    }

    fn tell_of_own(&mut self, outcome: rustix::io::Result<()>) {
        if let Err(error) = outcome {
            let error = std::io::Error::from(error);
            self.say(&format!("output is lost: {error}"));
        }
    }

    /// Says once that output is not kept; the container goes on.
    fn tell_of_log(&mut self, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        if !std::mem::replace(&mut self.log_failed, true) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            self.say(&format!("{error}: {}", cause.unwrap_or_default()));
        }
    }

    /// Where nobody reads our output any more, nobody reads the container's: its next write fails, as it would without us.
    pub(super) fn close_unread(&self, stdio: &mut Stdio) {
        let gone = |stream| {
            let own = self.own_outputs.iter().find(|own| own.stream() == stream);
            own.is_some_and(OwnOutput::is_gone)
        };
        stdio.sources.retain(|source| !gone(source.stream));
    }
}
