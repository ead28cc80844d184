//! `berth run`: create a container of an image and run it, in our foreground or on its own.

use std::process::ExitCode;

use runtime::{AttachOptions, Started};

use super::start::AttachFlags;
use super::supervise::{run_failure, warn};
use crate::context::Context;
use crate::create::{BERTH_FAILED, CreateFlags};
use crate::report::{Failure, out};

/// Run a command in a new container
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  berth run --rm redis:7 redis-server --version\n  berth run --rm -it -v \"$PWD\":/work -w /work debian:12 bash\n  berth run -d --name cache redis:7\n\nExit code: the command's own; 125 berth failed, 126 not executable, 127 not found, 128+n signal n."
)]
pub(crate) struct RunArgs {
    /// Let it run on its own, and print its id
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    attach: AttachFlags,
    #[command(flatten)]
    container: CreateFlags,
}

/// Creates a container and runs it.
pub(crate) fn run(args: RunArgs, context: &Context) -> Result<ExitCode, Failure> {
    context
        .refuse_root()
        .map_err(|failure| failure.code(BERTH_FAILED))?;
    let keys = args.attach.keys()?;
    let proxy = args.attach.proxy();
    let (container, start) = args.container.create(context)?;
    if args.detach {
        return match container.start(&start).map_err(run_failure)? {
            Started::Running => {
                out!("{}", container.record.id)?;
                Ok(ExitCode::SUCCESS)
            }
            Started::Failed(code) => Err(Failure::told(code)),
        };
    }
    // Without a terminal between us we can be the supervisor ourselves, unless a signal is to end only us.
    if container.record.settings.terminal || !proxy {
        let input = container.record.settings.interactive;
        let options = AttachOptions { input, keys, proxy };
        let Err(error) = container.attach(Some(&start), &options);
        return Err(run_failure(error));
    }
    let code = container.run(&start, &mut warn).map_err(run_failure)?;
    Ok(ExitCode::from(code))
}
