//! `berth stats`.

mod row;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use runtime::{Container, Containers, Usage};
use serde_json::Value;

use self::row::Reading;
use crate::context::Context;
use crate::report::{self, Failure, raw_out};
use crate::template::Format;

/// What makes a terminal begin anew at its top.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// Show what containers use up, again and again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth stats --no-stream\n  berth stats --format 'table {{.Name}}\\t{{.MemUsage}}' web\n\nCPU % is the share of one processor since the line before, in the first since the start. A column whose numbers this host does not give shows --."
)]
pub(crate) struct StatsArgs {
    /// Also those that do not run
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Only once
    #[arg(long)]
    no_stream: bool,
    /// Do not begin at the top of the terminal each time
    #[arg(long)]
    no_reset: bool,
    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,
    /// Print with a Go template, `json`, or `table` and a template
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Seconds between two times
    #[arg(short, long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Names, ids or starts of ids; all that run when there is none
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Prints a table of what containers use up, every few seconds until nothing that was named runs.
pub(crate) fn stats(args: StatsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut named = Vec::new();
    for name in &args.containers {
        let container = containers.find(name)?;
        let state = container.state()?;
        if !state.is_live() {
            let (verb, id, state) = ("look at", container.record.id, state.name());
            return Err(runtime::Error::WrongState { verb, id, state }.into());
        }
        named.push(container);
    }
    let resets = !args.no_stream && !args.no_reset && std::io::stdout().is_terminal();
    let mut before: BTreeMap<String, (Usage, u64)> = BTreeMap::new();
    loop {
        let readings = read(&args, &containers, &named, &mut before, context)?;
        if readings.is_empty() && !named.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if resets {
            raw_out(CLEAR)?;
        }
        print(&readings, format.as_ref(), args.no_trunc)?;
        if args.no_stream {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_secs(args.interval));
    }
}

/// Reads all that is asked for. `before` has what was read the last time, and gets this.
fn read(
    args: &StatsArgs,
    containers: &Containers,
    named: &[Container],
    before: &mut BTreeMap<String, (Usage, u64)>,
    context: &Context,
) -> Result<Vec<Reading>, Failure> {
    let listed: Vec<Container> = match named {
        [] => containers.list()?.into_iter().map(|(it, _)| it).collect(),
        named => named.to_vec(),
    };
    let mut readings = Vec::new();
    let mut read = BTreeMap::new();
    for container in listed {
        let Some(usage) = container.usage()? else {
            if args.all {
                readings.push(Reading::new(&container.record, Usage::default(), None, 0));
            }
            continue;
        };
        let (now, id) = (context.now_ns(), &container.record.id);
        // One that was started again counts from its start.
        let earlier = before.get(id).filter(|(it, _)| it.started == usage.started);
        readings.push(Reading::new(
            &container.record,
            usage.clone(),
            earlier.map(|(usage, at)| (usage, *at)),
            now,
        ));
        read.insert(id.clone(), (usage, now));
    }
    *before = read;
    Ok(readings)
}

fn print(readings: &[Reading], format: Option<&Format>, full: bool) -> Result<(), Failure> {
    match format {
        Some(Format::Json) => {
            let rows: Vec<Value> = readings.iter().map(|it| it.json(full)).collect();
            report::json(&rows)
        }
        Some(format) => {
            let rows: Vec<Value> = readings.iter().map(|it| it.fields(full)).collect();
            format.print(&rows, &row::HEADERS)
        }
        None => {
            let mut table = vec![row::COLUMNS.map(ToOwned::to_owned).to_vec()];
            table.extend(readings.iter().map(|it| it.cells(full)));
            report::table(&table)
        }
    }
}
