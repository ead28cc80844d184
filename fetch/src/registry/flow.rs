//! The body of an answer, which must keep flowing.
//!
//! The HTTP client ends a read that nothing comes of. A registry that sends a byte now and then would pass that for
//! ever, so the bytes of each span of waiting are counted as well. Only the time spent on waiting counts: a reader that
//! is slow itself is no fault of the registry.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use reqwest::blocking::Response;

use super::Network;
use super::retry::Patience;

/// A body being read.
#[derive(Debug)]
pub(crate) struct Flow<R = Response> {
    body: R,
    window: Duration,
    bytes_min: u64,
    waited: Duration,
    came: u64,
    is_slow: bool,
}

impl<R: Read> Flow<R> {
    /// Begins to read `body`.
    pub(crate) fn new(body: R, patience: &Patience) -> Self {
        Self {
            body,
            window: patience.rate_window,
            bytes_min: patience.rate_bytes_min,
            waited: Duration::ZERO,
            came: 0,
            is_slow: false,
        }
    }

    /// Counts what came and how long it took.
    fn count(&mut self, bytes: u64, waited: Duration) {
        self.waited += waited;
        self.came += bytes;
        if self.waited >= self.window {
            self.is_slow = self.came < self.bytes_min;
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
    }
}

impl<R: Read> Read for Flow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_slow {
            return Err(io::Error::other(Network::Slow {
                bytes: self.bytes_min,
                seconds: self.window.as_secs(),
            }));
        }
        let start = Instant::now();
        let count = self.body.read(buffer)?;
        if count > 0 {
            self.count(count as u64, start.elapsed());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow<io::Repeat> {
        let patience = Patience {
            rate_window: Duration::from_secs(10),
            rate_bytes_min: 100,
            ..Patience::default()
        };
        Flow::new(io::repeat(7), &patience)
    }

    #[test]
    fn enough_in_each_window_flows_on() {
        let mut flow = flow();
        for _ in 0..50 {
            flow.count(50, Duration::from_secs(5));
            assert_eq!(flow.read(&mut [0; 4]).expect("flows"), 4);
        }
    }

    #[test]
    fn a_byte_too_few_in_a_window_ends_it() {
        let mut flow = flow();
        flow.count(1 << 30, Duration::from_secs(10));
        flow.count(49, Duration::from_secs(5));
        flow.count(50, Duration::from_secs(5));
        let error = flow.read(&mut [0; 4]).expect_err("too slow");
        assert_eq!(
            Network::of(&error).to_string(),
            "it sent less than 100 bytes in 10 s"
        );
    }
}
