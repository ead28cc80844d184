//! How a pull is shown while it runs: bars on a terminal, lines elsewhere, JSON for programs. All of it on stderr, so
//! that stdout holds results only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fetch::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use store::Digest;

use crate::args::{LogLevel, ProgressKind};
use crate::context::Context;
use crate::report::{human_size, note, printable};

/// How often lines tell how far a pull is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the events of a pull.
#[derive(Debug)]
pub(crate) struct Progress {
    kind: ProgressKind,
    warn: bool,
    info: bool,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bars: HashMap<Digest, ProgressBar>,
    bytes: HashMap<Digest, u64>,
    total: u64,
    told: Instant,
}

impl Progress {
    /// Shows progress as the user wants it; when `quiet`, not even warnings.
    pub(crate) fn new(context: &Context, quiet: bool) -> Self {
        let state = State {
            bars: HashMap::new(),
            bytes: HashMap::new(),
            total: 0,
            told: Instant::now(),
        };
        let kind = if quiet {
            ProgressKind::None
        } else {
            context.progress
        };
        Self {
            kind,
            warn: !quiet && context.log_level >= LogLevel::Warn,
            info: !quiet && context.log_level >= LogLevel::Info,
            bars: MultiProgress::new(),
            state: Mutex::new(state),
        }
    }

    /// Shows one event.
    pub(crate) fn event(&self, event: &Event<'_>) {
        match self.kind {
            ProgressKind::Json => note!("{}", as_json(event)),
            ProgressKind::Bar => self.bar(event),
            ProgressKind::Plain | ProgressKind::Auto => self.line(event),
            ProgressKind::None => {}
        }
        if self.warn && self.kind != ProgressKind::Json {
            self.warning(event);
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

    fn line(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Resolved {
                name,
                layers,
                missing,
                bytes,
                ..
            } => {
                state.total = *bytes;
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
            Event::LayerProgress { digest, bytes } => {
                state.bytes.insert(*digest, *bytes);
                if state.told.elapsed() >= LINE_EVERY {
                    state.told = Instant::now();
                    let done = state.bytes.values().sum();
                    note!(
                        "fetched {} of {}",
                        human_size(done),
                        human_size(state.total)
                    );
                }
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
            _ => {}
        }
    }

    fn bar(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::LayerStarted { digest, bytes, .. } => {
                let bar = self.bars.add(ProgressBar::new(*bytes));
                let style = ProgressStyle::with_template(
                    "{prefix} {wide_bar} {bytes:>10} / {total_bytes:>10}",
                );
                bar.set_style(
                    style
                        .unwrap_or_else(|_| ProgressStyle::default_bar())
                        .progress_chars("=> "),
                );
                bar.set_prefix(short(digest));
                state.bars.insert(*digest, bar);
            }
            Event::LayerProgress { digest, bytes } => {
                if let Some(bar) = state.bars.get(digest) {
                    bar.set_position(*bytes);
                }
            }
            Event::LayerDone { digest, .. } => {
                if let Some(bar) = state.bars.remove(digest) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

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
