//! `berth cat`.

use std::process::ExitCode;

use crate::cmd::repo::print_file;
use crate::context::Context;
use crate::report::Failure;

/// Print files of an image
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth cat redis:7 /etc/os-release")]
pub(crate) struct CatArgs {
    /// An image by name or id
    name: String,
    /// Files; symbolic links are followed
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// Prints files.
pub(crate) fn cat(args: CatArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo_of(&args.name)?;
    let _lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, &args.name)?;
    for path in &args.paths {
        print_file(&repo, image.root, path)?;
    }
    Ok(ExitCode::SUCCESS)
}
