//! `berth ps`.

pub(crate) mod filter;
pub(crate) mod row;

use std::process::ExitCode;

use clap::ValueEnum;
use runtime::{Container, Containers, State};

use self::filter::{Filters, LISTING};
use crate::context::Context;
use crate::report::{self, Failure, out};
use crate::template::Format;

/// List containers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth ps -a\n  berth ps -a -f status=exited -f label=app=web\n  berth ps --format 'table {{.ID}}\\t{{.Names}}\\t{{.Status}}'\n\nFilters: ancestor, before, exited, health, id, label, name, network, since, status, until, volume. A name is a regular expression for a part of it."
)]
pub(crate) struct PsArgs {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Print only ids
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Only containers with KEY=VALUE
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// The N that were created last, also those that do not run
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// The one that was created last, also if it does not run
    #[arg(short, long, conflicts_with = "last")]
    latest: bool,
    /// Also how much they have written
    #[arg(short, long)]
    size: bool,
    /// Show ids and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// Print with a Go template, `json`, or `table` and a template
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["json", "quiet"])]
    format: Option<String>,
    /// Print no line of headers
    #[arg(long)]
    noheading: bool,
    /// What they are sorted by
    #[arg(long, value_enum, default_value = "created", value_name = "BY")]
    sort: Sort,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// The youngest first
    Created,
    Id,
    Image,
    Names,
    Command,
    /// The one that was started last first
    Runningfor,
    Size,
    Status,
}

struct Shown {
    container: Container,
    state: State,
    size: Option<u64>,
}

/// Prints the containers, the youngest first unless it is asked otherwise.
pub(crate) fn ps(args: PsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let shown = select(&args, &containers, context)?;
    let (now, full) = (context.now(), args.no_trunc);
    if args.json {
        let rows: Result<Vec<_>, Failure> = shown
            .iter()
            .map(|it| row::row(&it.container, it.state, it.size))
            .collect();
        report::json(&rows?)?;
    } else if args.quiet {
        for it in &shown {
            out!("{}", row::short_id(&it.container.record.id, full))?;
        }
    } else if let Some(format) = format {
        let rows: Result<Vec<_>, Failure> = shown
            .iter()
            .map(|it| row::fields(&it.container, it.state, it.size, now, full))
            .collect();
        format.print(&rows?, &row::HEADERS)?;
    } else {
        let header = [
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "PORTS",
            "NAMES",
        ];
        let mut header: Vec<String> = header.map(ToOwned::to_owned).to_vec();
        header.extend(args.size.then(|| "SIZE".to_owned()));
        let mut table = vec![header];
        for it in &shown {
            table.push(row::cells(&it.container, it.state, it.size, now, full)?);
        }
        report::table(table.get(usize::from(args.noheading)..).unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that are asked for, in the order that is asked for.
fn select(
    args: &PsArgs,
    containers: &Containers,
    context: &Context,
) -> Result<Vec<Shown>, Failure> {
    let filters = Filters::parse(&args.filters, &LISTING, containers, context)?;
    let last = if args.latest { Some(1) } else { args.last };
    let all = args.all || last.is_some() || filters.want_all();
    let wants_size = args.size || matches!(args.sort, Sort::Size);
    let mut shown = Vec::new();
    for (container, state) in containers.list()? {
        if last.is_some_and(|last| shown.len() >= last) {
            break;
        }
        if (all || state.is_live()) && filters.match_it(&container, state)? {
            let size = match wants_size {
                true => Some(container.size()?),
                false => None,
            };
            shown.push(Shown {
                container,
                state,
                size,
            });
        }
    }
    match args.sort {
        Sort::Created => {}
        Sort::Id => shown.sort_by(|a, b| a.container.record.id.cmp(&b.container.record.id)),
        Sort::Image => {
            shown.sort_by(|a, b| a.container.record.image.cmp(&b.container.record.image))
        }
        Sort::Names => shown.sort_by(|a, b| a.container.record.name.cmp(&b.container.record.name)),
        Sort::Command => shown.sort_by_key(|it| it.container.command()),
        Sort::Runningfor => shown.sort_by_key(|it| std::cmp::Reverse(since(it.state))),
        Sort::Size => shown.sort_by_key(|it| it.size),
        Sort::Status => shown.sort_by_key(|it| it.state.name()),
    }
    Ok(shown)
}

fn since(state: State) -> Option<u64> {
    match state {
        State::Running { since, .. } | State::Paused { since, .. } => since,
        _ => None,
    }
}
