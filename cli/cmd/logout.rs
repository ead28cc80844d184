//! `berth logout`.

use std::process::ExitCode;

use fetch::AuthKey;

use super::login::not_logged_in;
use crate::auth::AuthFileFlag;
use crate::context::Context;
use crate::report::{Failure, out};

/// Log out of a registry
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth logout quay.io\n  berth logout --all")]
pub(crate) struct LogoutArgs {
    /// The registry, or the namespace of it that was logged in to
    #[arg(
        value_name = "HOST[:PORT][/NAMESPACE]",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    registry: Option<AuthKey>,
    /// Log out of all registries
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    file: AuthFileFlag,
}

/// Removes credentials.
pub(crate) fn logout(args: LogoutArgs, _context: &Context) -> Result<ExitCode, Failure> {
    let target = args.file.target()?;
    let Some(key) = &args.registry else {
        fetch::logout_all(&target)?;
        out!("Removed login credentials for all registries")?;
        return Ok(ExitCode::SUCCESS);
    };
    if fetch::logout(key, &target)? {
        out!("Removed login credentials for {key}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut files = args.file.files();
    files.retain(|file| file.path.exists());
    let failure = not_logged_in(key);
    Err(match fetch::find_credentials(&files, key)? {
        Some((_, path)) => {
            let path = path.display();
            failure.hint(format!(
                "{path} has credentials for it: name it with --authfile"
            ))
        }
        None => failure,
    })
}
