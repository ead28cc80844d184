//! `atomic containers list`.

use std::process::ExitCode;

use super::super::layout;
use crate::cmd::services::{row, select};
use crate::context::Context;
use crate::report::{Failure, out};

/// How wide the columns are, the flag's first.
const WIDTHS: [usize; 9] = [2, 12, 20, 10, 10, 16, 10, 10, 10];
/// Those that are as wide as what is in them where nothing is cut.
const STRETCHED: std::ops::RangeInclusive<usize> = 1..=4;

/// List the containers; by default only those that run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic containers list -a -f state=failed")]
pub(crate) struct ListArgs {
    /// Show all containers
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions given in the VARIABLE=VALUE form
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Print in a machine parseable form
    #[arg(long)]
    json: bool,
    /// Do not print the heading
    #[arg(short, long)]
    noheading: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
}

/// Lists services.
pub(super) fn list(args: &ListArgs, _context: &Context) -> Result<ExitCode, Failure> {
    let listed = select(&args.filter, args.all).map_err(|failure| failure.code(1))?;
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|service| row::cells(service, args.no_trunc))
        .collect();
    if args.quiet {
        for cells in &rows {
            out!("{}", cells.first().map_or("", String::as_str))?;
        }
    } else if args.json {
        let rows: Vec<_> = listed.iter().map(row::json).collect();
        layout::json(&rows)?;
    } else if !rows.is_empty() {
        print(&rows, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(rows: &[Vec<String>], args: &ListArgs) -> Result<(), Failure> {
    let mut widths = WIDTHS;
    if args.no_trunc {
        for column in STRETCHED {
            let cells = rows.iter().filter_map(|row| row.get(column - 1));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widths[column] = widest.max(WIDTHS[column]);
        }
    }
    let line = |flag, cells: &[&str]| layout::line(&[&[flag], cells].concat(), &widths);
    if !args.noheading {
        line(" ", &row::HEADING)?;
    }
    rows.iter().try_for_each(|row| {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line("", &cells)
    })
}
