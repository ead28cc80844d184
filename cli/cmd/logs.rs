//! `berth logs`.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use runtime::{Container, Containers, LogPiece, LogsOptions, Stream};

use crate::context::Context;
use crate::moment::moment;
use crate::report::{Failure, note, raw_err, raw_out};
use crate::units::{Verb, no_container};

/// How much is gathered before it is written, unless it is waited for.
const BUFFER_BYTES: usize = 64 << 10;
/// How much of an id is shown.
const ID_CHARS: usize = 12;

/// Print what containers wrote: stdout to stdout, stderr to stderr, byte for byte
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth logs --tail 20 web\n  berth logs -f -t --since 10m web\n\nTimes: RFC 3339 with a zone, seconds since 1970, or how long ago: 10m, 1h30m."
)]
pub(crate) struct LogsArgs {
    /// Wait for more until the containers have ended
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines of each; all with a negative number
    #[arg(long, value_name = "N", default_value = "-1", value_parser = tail, allow_hyphen_values = true)]
    tail: Tail,
    /// Only what came since
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what came before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Begin lines with their time
    #[arg(short, long)]
    timestamps: bool,
    /// Of several containers, begin lines with the name instead of the id
    #[arg(short, long)]
    names: bool,
    /// The container that was created last
    #[arg(short, long, conflicts_with = "containers")]
    latest: bool,
    /// Names, ids or starts of ids
    #[arg(required_unless_present = "latest", value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text.parse::<i64>() {
        Ok(count) => Ok(Tail(u64::try_from(count).ok())),
        Err(_) if text == "all" => Ok(Tail(None)),
        Err(_) => Err("expected a number of lines".to_owned()),
    }
}

/// Prints the logs of the containers.
pub(crate) fn logs(args: LogsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let now = context.now_ns();
    let read = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
    let (since, until) = (read(&args.since)?, read(&args.until)?);
    let containers = find(&args, &Containers::open(&context.root, &context.run_dir()?))?;
    let options = LogsOptions {
        tail: args.tail.0,
        since,
        until,
        follow: args.follow,
        patience: until.map(|until| Duration::from_nanos(until.saturating_sub(now))),
    };
    let mut printer = Printer {
        timestamps: args.timestamps,
        who: match (containers.len(), args.names) {
            (0 | 1, _) => Who::Nobody,
            (_, true) => Who::Name,
            (_, false) => Who::Id,
        },
        at_once: args.follow,
        buffer: Vec::new(),
        stream: Stream::Stdout,
        failure: None,
    };
    let report = runtime::logs(&containers, &options, &mut |piece| printer.show(&piece))?;
    printer.flush();
    if let Some(failure) = printer.failure {
        return Err(failure);
    }
    match report.damaged {
        0 => {}
        1 => note!("warning: 1 record of the log is damaged and was left out"),
        many => note!("warning: {many} records of the log are damaged and were left out"),
    }
    Ok(ExitCode::SUCCESS)
}

fn find(args: &LogsArgs, all: &Containers) -> Result<Vec<Container>, Failure> {
    if args.latest {
        let youngest = all.list()?.into_iter().next();
        let (container, _) = youngest.ok_or_else(|| Failure::new("there is no container"))?;
        return Ok(vec![container]);
    }
    let found = args.containers.iter().map(|name| {
        let found = all.find(name);
        found.map_err(|error| no_container(error, name, Verb::Logs))
    });
    found.collect()
}

/// What lines begin with.
#[derive(Debug, Clone, Copy)]
enum Who {
    Nobody,
    Name,
    Id,
}

/// Writes pieces where they belong, in order.
struct Printer {
    timestamps: bool,
    who: Who,
    /// Whether somebody waits for every piece.
    at_once: bool,
    buffer: Vec<u8>,
    /// Where the buffer goes.
    stream: Stream,
    failure: Option<Failure>,
}

impl Printer {
    fn show(&mut self, piece: &LogPiece<'_>) -> ControlFlow<()> {
        if piece.stream != self.stream || self.buffer.len() >= BUFFER_BYTES {
            self.flush();
            self.stream = piece.stream;
        }
        if piece.begins {
            let record = &piece.container.record;
            match self.who {
                Who::Nobody => {}
                Who::Name => self.word(&record.name),
                Who::Id => self.word(record.id.get(..ID_CHARS).unwrap_or(&record.id)),
            }
            if self.timestamps {
                self.word(piece.time);
            }
        }
        self.buffer.extend_from_slice(piece.text);
        if piece.ends {
            self.buffer.push(b'\n');
        }
        if self.at_once {
            self.flush();
        }
        match self.failure {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn word(&mut self, word: &str) {
        self.buffer.extend_from_slice(word.as_bytes());
        self.buffer.push(b' ');
    }

    fn flush(&mut self) {
        let outcome = match self.stream {
            Stream::Stdout => raw_out(&self.buffer),
            Stream::Stderr => raw_err(&self.buffer),
        };
        if let Err(failure) = outcome {
            self.failure.get_or_insert(failure);
        }
        self.buffer.clear();
    }
}
