//! How a pull is shown while it runs: bars on a terminal, lines elsewhere, JSON for programs. All of it on stderr, so
//! that stdout holds results only.
//!
//! A thread of its own says every few seconds how far the pull is, also while nothing comes. It ends with the [`Progress`],
//! so that a command that goes on to run a container has one thread again.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fetch::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use store::Digest;

use crate::args::{LogLevel, ProgressKind};
use crate::context::Context;
use crate::meter::{Meter, Reading};
use crate::report::{human_size, note, printable};

/// How often lines and JSON tell how far a pull is.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the meter is read, and bars are drawn at least.
const TICK: Duration = Duration::from_millis(500);
/// How often JSON tells how far a layer is.
const LAYER_EVERY: Duration = Duration::from_millis(500);

/// What a bar shows: how much of how much, how fast, and how long it will take.
const BAR: &str = "{prefix} {wide_bar} {decimal_bytes:>9} / {decimal_total_bytes:>9}  {decimal_bytes_per_sec:>11}  {eta:>4}";

/// Shows the events of a pull.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Arc<Shown>,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shown {
    kind: ProgressKind,
    warn: bool,
    info: bool,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bars: HashMap<Digest, ProgressBar>,
    meter: Meter,
    layer_told: HashMap<Digest, Instant>,
}

impl Progress {
    /// Shows progress as the user wants it; when `quiet`, not even warnings. It draws on the terminal from now on, so
    /// whatever is to be asked of the user is asked before.
    pub(crate) fn new(context: &Context, quiet: bool) -> Self {
        let kind = match quiet {
            true => ProgressKind::None,
            false => context.progress,
        };
        let shown = Arc::new(Shown {
            kind,
            warn: !quiet && context.log_level >= LogLevel::Warn,
            info: !quiet && context.log_level >= LogLevel::Info,
            bars: MultiProgress::new(),
            state: Mutex::new(State {
                bars: HashMap::new(),
                meter: Meter::new(Instant::now()),
                layer_told: HashMap::new(),
            }),
        });
        let ticker = (kind != ProgressKind::None).then(|| {
            let (stop, stopped) = channel();
            let shown = Arc::clone(&shown);
            let tick = move || {
                let mut told = Instant::now();
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    shown.tick(&mut told);
                }
            };
            (stop, std::thread::spawn(tick))
        });
        Self { shown, ticker }
    }

    /// Shows one event.
    pub(crate) fn event(&self, event: &Event<'_>) {
        self.shown.event(event);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            let _ = ticker.join();
        }
        // bars of layers that did not get to their end
        let _ = self.shown.bars.clear();
    }
}

impl Shown {
    fn event(&self, event: &Event<'_>) {
        self.measure(event);
        match self.kind {
            ProgressKind::Json => self.json(event),
            ProgressKind::Bar => self.bar(event),
            ProgressKind::Plain | ProgressKind::Auto => line(event),
            ProgressKind::None => {}
        }
        if self.warn && self.kind != ProgressKind::Json {
            self.warning(event);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, event: &Event<'_>) {
        let (mut state, now) = (self.state(), Instant::now());
        let meter = &mut state.meter;
        match event {
            Event::Resolved { bytes, .. } => meter.resolved(*bytes, now),
            Event::LayerStarted {
                digest, resumed, ..
            } => meter.started(*digest, *resumed, now),
            Event::LayerProgress { digest, bytes } => drop(meter.here(*digest, *bytes, now)),
            _ => meter.moved(now),
        }
    }

    /// Reads the meter, and tells what it says when it is time.
    fn tick(&self, told: &mut Instant) {
        let (reading, bars) = {
            let mut state = self.state();
            let bars: Vec<ProgressBar> = state.bars.values().cloned().collect();
            (state.meter.read(Instant::now()), bars)
        };
        bars.iter().for_each(ProgressBar::tick);
        if told.elapsed() < LINE_EVERY || self.kind == ProgressKind::Bar {
            return;
        }
        *told = Instant::now();
        match self.kind {
            ProgressKind::Json => note!("{}", reading_as_json(&reading)),
            _ => note!("{}", reading_as_line(&reading)),
        }
    }

    /// Says something that matters whatever is shown.
    fn warning(&self, event: &Event<'_>) {
        let text = match event {
            Event::Waiting(holder) => format!("waiting for the repository: {holder} holds it"),
            Event::BeingFetched { what, holder } => {
                format!("waiting for {what}: {holder} fetches it")
            }
            Event::PlainHttp { host } => {
                format!("warning: {host} does not speak TLS, using plain HTTP")
            }
            Event::Answered { place } if self.info => format!("{place} answers"),
            Event::MirrorFailed { place, why } if self.info => {
                format!("mirror {place} failed: {why}")
            }
            Event::Retry { what, why } => format!("warning: trying {what} again: {why}"),
            Event::Warning(text) => format!("warning: {text}"),
            _ => return,
        };
        self.bars.suspend(|| note!("{}", printable(&text)));
    }

    fn json(&self, event: &Event<'_>) {
        if let Event::LayerProgress { digest, .. } = event {
            let mut state = self.state();
            let told = state.layer_told.get(digest);
            if told.is_some_and(|told| told.elapsed() < LAYER_EVERY) {
                return;
            }
            state.layer_told.insert(*digest, Instant::now());
        }
        note!("{}", as_json(event));
    }

    fn bar(&self, event: &Event<'_>) {
        let mut state = self.state();
        match event {
            Event::LayerStarted {
                digest,
                bytes,
                resumed,
            } => {
                let bar = self.bars.add(ProgressBar::new(*bytes));
                let style = ProgressStyle::with_template(BAR);
                bar.set_style(
                    style
                        .unwrap_or_else(|_| ProgressStyle::default_bar())
                        .progress_chars("=> "),
                );
                bar.set_prefix(short(digest));
                bar.set_position(*resumed);
                // what was here says nothing of the rate
                bar.reset_eta();
                if let Some(before) = state.bars.insert(*digest, bar) {
                    before.finish_and_clear();
                }
            }
            Event::LayerProgress { digest, bytes } => {
                let here = state.meter.here(*digest, *bytes, Instant::now());
                if let Some(bar) = state.bars.get(digest) {
                    bar.set_position(here);
                }
            }
            Event::LayerDone { digest, .. } | Event::LayerSent { digest, .. } => {
                if let Some(bar) = state.bars.remove(digest) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

fn line(event: &Event<'_>) {
    match event {
        Event::Resolved {
            name,
            layers,
            missing,
            bytes,
            ..
        } => {
            let name = printable(name.as_str());
            note!(
                "pulling {name}: {missing} of {layers} layers, {}",
                human_size(*bytes)
            );
        }
        Event::LayerStarted {
            digest,
            bytes,
            resumed,
        } if *resumed > 0 => {
            note!(
                "layer {}: continuing at {} of {}",
                short(digest),
                human_size(*resumed),
                human_size(*bytes)
            );
        }
        Event::LayerDone {
            digest,
            new_objects,
            new_bytes,
        } => {
            note!(
                "layer {}: {new_objects} new objects, {}",
                short(digest),
                human_size(*new_bytes)
            );
        }
        Event::LayerSent { digest, bytes } => {
            note!("layer {}: sent, {}", short(digest), human_size(*bytes));
        }
        _ => {}
    }
}

/// How far it is, in words.
fn reading_as_line(reading: &Reading) -> String {
    let still = reading.still.as_secs();
    let is_still = reading.still >= LINE_EVERY;
    if reading.total == 0 && reading.bytes > 0 && !is_still {
        let rate = human_size(reading.bytes_per_second);
        return format!("sent {}, {rate}/s", human_size(reading.bytes));
    }
    if reading.total == 0 {
        return format!("still at it: nothing new for {still} s");
    }
    let (bytes, total) = (human_size(reading.bytes), human_size(reading.total));
    match reading.seconds_left {
        _ if reading.bytes >= reading.total => format!("fetched {total}, storing"),
        _ if is_still => format!("fetched {bytes} of {total}, nothing new for {still} s"),
        Some(left) => {
            let rate = human_size(reading.bytes_per_second);
            format!("fetched {bytes} of {total}, {rate}/s, {left} s left")
        }
        None => format!("fetched {bytes} of {total}"),
    }
}

/// How far it is, for programs.
fn reading_as_json(reading: &Reading) -> serde_json::Value {
    json!({
        "event": "progress", "bytes": reading.bytes, "total": reading.total,
        "bytes_per_second": reading.bytes_per_second, "seconds_left": reading.seconds_left,
        "still_seconds": reading.still.as_secs(),
    })
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

/// An event as one line for programs: `event` says which, the other keys are those of [`Event`].
fn as_json(event: &Event<'_>) -> serde_json::Value {
    match event {
        Event::Waiting(holder) => json!({ "event": "waiting", "holder": holder }),
        Event::BeingFetched { what, holder } => {
            json!({ "event": "being-fetched", "what": what, "holder": holder })
        }
        Event::PlainHttp { host } => json!({ "event": "plain-http", "host": host }),
        Event::Answered { place } => json!({ "event": "answered", "place": place }),
        Event::MirrorFailed { place, why } => {
            json!({ "event": "mirror-failed", "place": place, "why": why })
        }
        Event::Retry { what, why } => json!({ "event": "retry", "what": what, "why": why }),
        Event::Warning(text) => json!({ "event": "warning", "text": text }),
        Event::Resolved {
            name,
            digest,
            layers,
            missing,
            bytes,
        } => json!({
            "event": "resolved", "name": name.as_str(), "digest": digest,
            "layers": layers, "missing": missing, "bytes": bytes,
        }),
        Event::LayerKnown { digest } => json!({ "event": "layer-known", "digest": digest }),
        Event::LayerStarted {
            digest,
            bytes,
            resumed,
        } => {
            json!({ "event": "layer-started", "digest": digest, "bytes": bytes, "resumed": resumed })
        }
        Event::LayerProgress { digest, bytes } => {
            json!({ "event": "layer-progress", "digest": digest, "bytes": bytes })
        }
        Event::LayerSent { digest, bytes } => {
            json!({ "event": "layer-sent", "digest": digest, "bytes": bytes })
        }
        Event::LayerDone {
            digest,
            new_objects,
            new_bytes,
        } => {
            json!({ "event": "layer-done", "digest": digest, "new_objects": new_objects, "new_bytes": new_bytes })
        }
        _ => json!({ "event": "unknown" }),
    }
}
