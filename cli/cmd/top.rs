//! `berth top`.

use std::process::ExitCode;

use runtime::Containers;

use crate::context::Context;
use crate::report::{self, Failure};

/// List the processes of a container
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth top web\n  berth top web pid,user,args")]
pub(crate) struct TopArgs {
    /// The container: its name, id, or the start of its id
    container: String,
    /// What to show: user, uid, pid, hpid, ppid, pcpu, etime, tty, time, args, comm, state, rss
    #[arg(value_name = "COLUMN")]
    columns: Vec<String>,
}

/// Prints the processes, the oldest first.
pub(crate) fn top(args: TopArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let table = containers.find(&args.container)?.top(&args.columns)?;
    report::table(&table)?;
    Ok(ExitCode::SUCCESS)
}
