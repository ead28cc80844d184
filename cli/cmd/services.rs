//! `berth services`.

pub(crate) mod filter;
pub(crate) mod row;

use std::process::ExitCode;

use runtime::service::{self, Listed, ServiceState};

use self::filter::Filters;
use crate::context::Context;
use crate::report::{self, Failure, note, out, printable};
use crate::services::places;
use crate::template::Format;
use crate::units::watching;

/// List services that run, have failed or have no unit
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth services -a\n  berth services -f state=failed -q\n  berth services --format '{{.Name}} {{.State}}'\n\nFilters: container, image, command, created, state, runtime, backend. A value is a part, in any case; all have to fit."
)]
pub(crate) struct ServicesArgs {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Print only names
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Only services with a KEY that has VALUE in it
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Show everything in full
    #[arg(long)]
    no_trunc: bool,
    /// Print no line of headers
    #[arg(short = 'n', long)]
    noheading: bool,
    /// Print with a Go template, `json`, or `table` and a template
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["json", "quiet"])]
    format: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the services, by name.
pub(crate) fn services(args: ServicesArgs, _context: &Context) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let listed = select(&args.filters, args.all)?;
    for it in &listed {
        if let Some(problem) = &it.problem {
            note!("warning: service {}: {}", it.name, printable(problem));
        }
    }
    if args.json {
        let rows: Vec<_> = listed.iter().map(row::json).collect();
        report::json(&rows)?;
    } else if args.quiet {
        for it in &listed {
            out!("{}", it.name)?;
        }
    } else if let Some(format) = format {
        let rows: Vec<_> = listed
            .iter()
            .map(|it| row::fields(it, args.no_trunc))
            .collect();
        format.print(&rows, &row::HEADERS)?;
    } else if !listed.is_empty() {
        let mut table = vec![row::HEADING.map(str::to_owned).to_vec()];
        table.extend(listed.iter().map(|it| row::cells(it, args.no_trunc)));
        report::table(table.get(usize::from(args.noheading)..).unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The services that are asked for, by name. Those that do not run only with `all`, or when a filter asks for a state.
pub(crate) fn select(filters: &[String], all: bool) -> Result<Vec<Listed>, Failure> {
    let filters = Filters::parse(filters)?;
    let places = places()?;
    let manager = watching();
    let mut listed = service::list(&places.checkouts, &places.preinstalled, manager.as_ref())?;
    let all = all || filters.ask_for("state");
    listed.retain(|it| (all || it.state != ServiceState::Inactive) && filters.match_it(it));
    Ok(listed)
}
