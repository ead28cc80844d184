//! How much of a pull has come, how fast, and how long the rest will take. Pure: whoever asks says what time it is.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use store::Digest;

/// The time over which the rate is measured.
const RATE_OVER: Duration = Duration::from_secs(10);

/// The measure of one pull.
#[derive(Debug)]
pub(crate) struct Meter {
    layers: HashMap<Digest, Layer>,
    total: u64,
    /// When how much had come over the way, the oldest first.
    samples: VecDeque<(Instant, u64)>,
    moved: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Layer {
    here: u64,
    /// What an earlier pull left: it is here, and did not come now.
    resumed: u64,
}

/// How far a pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// How many bytes are here.
    pub(crate) bytes: u64,
    /// Of how many.
    pub(crate) total: u64,
    /// How many came per second of late.
    pub(crate) bytes_per_second: u64,
    /// How long the rest takes at that rate.
    pub(crate) seconds_left: Option<u64>,
    /// How long nothing has come.
    pub(crate) still: Duration,
}

impl Meter {
    /// Begins at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            layers: HashMap::new(),
            total: 0,
            samples: VecDeque::from([(now, 0)]),
            moved: now,
        }
    }

    /// Something else happened than bytes coming.
    pub(crate) fn moved(&mut self, now: Instant) {
        self.moved = now;
    }

    /// The image is known: `total` bytes of it are missing.
    pub(crate) fn resolved(&mut self, total: u64, now: Instant) {
        self.total = total;
        self.layers.clear();
        self.samples = VecDeque::from([(now, 0)]);
        self.moved = now;
    }

    /// A layer begins, or begins again; `resumed` bytes of it are here.
    pub(crate) fn started(&mut self, digest: Digest, resumed: u64, now: Instant) {
        let (here, resumed) = (resumed, resumed);
        self.layers.insert(digest, Layer { here, resumed });
        self.moved = now;
    }

    /// The first `bytes` of a layer are here. Gives how many that are at most: reading what was here is no step back.
    pub(crate) fn here(&mut self, digest: Digest, bytes: u64, now: Instant) -> u64 {
        let layer = self.layers.entry(digest).or_default();
        if bytes > layer.here {
            layer.here = bytes;
            self.moved = now;
        }
        layer.here
    }

    /// How far it is at `now`; to be asked every second or so, since the rate is measured between such moments.
    pub(crate) fn read(&mut self, now: Instant) -> Reading {
        let sum = |of: fn(&Layer) -> u64| self.layers.values().map(of).sum::<u64>();
        let (bytes, came) = (
            sum(|layer| layer.here),
            sum(|layer| layer.here - layer.resumed),
        );
        self.samples.push_back((now, came));
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now - *at >= RATE_OVER)
        {
            self.samples.pop_front();
        }
        let (since, before) = *self.samples.front().unwrap_or(&(now, came));
        let seconds = (now - since).as_secs_f64();
        let rate = match seconds > 0.0 {
            // a layer that begins again takes back what came of it
            true => (came.saturating_sub(before) as f64 / seconds) as u64,
            false => 0,
        };
        let left = self.total.saturating_sub(bytes);
        Reading {
            bytes,
            total: self.total,
            bytes_per_second: rate,
            seconds_left: (rate > 0).then(|| left.div_ceil(rate)),
            still: now - self.moved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::new(start);
        meter.resolved(100_000, start);
        meter.started(digest("a"), 0, start);
        meter.started(digest("b"), 0, start);
        for second in 1..=10 {
            meter.here(digest("a"), second * 1000, at(second));
            meter.here(digest("b"), second * 1000, at(second));
            let read = meter.read(at(second));
            assert_eq!(
                (read.bytes, read.bytes_per_second),
                (second * 2000, 2000),
                "{second}"
            );
        }
        let read = meter.read(at(10));
        assert_eq!((read.total, read.seconds_left), (100_000, Some(40)));
        // Then nothing comes any more: the rate goes down to nothing, and there is no saying how long it takes.
        for second in 11..=20 {
            meter.read(at(second));
        }
        let read = meter.read(at(20));
        assert_eq!((read.bytes_per_second, read.seconds_left), (0, None));
        assert_eq!(read.still, Duration::from_secs(10));
    }

    #[test]
    fn what_was_here_did_not_come_now() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let mut meter = Meter::new(start);
        meter.resolved(10_000, start);
        meter.started(digest("a"), 9_000, start);
        assert_eq!(
            meter.here(digest("a"), 5_000, later),
            9_000,
            "it is read again"
        );
        meter.here(digest("a"), 9_500, later);
        let read = meter.read(later);
        assert_eq!((read.bytes, read.bytes_per_second), (9_500, 250));
        assert_eq!(read.seconds_left, Some(2));
        // What was here was wrong, and the layer begins again.
        meter.started(digest("a"), 0, later);
        let read = meter.read(later + Duration::from_secs(1));
        assert_eq!((read.bytes, read.bytes_per_second), (0, 0));
    }
}
