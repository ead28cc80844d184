//! `atomic pull`.

use std::process::ExitCode;

use fetch::Source;

use super::{find, storage};
use crate::cmd::pull::PullFlags;
use crate::context::Context;
use crate::report::{Failure, note};

/// Pull the latest image from a repository
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic pull --storage ostree docker.io/library/busybox")]
pub(crate) struct PullArgs {
    #[command(flatten)]
    pub(super) how: PullHow,
    /// Pull from an alternative registry type; nothing needs it here
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// NAME behind http:, https:, oci: or nothing, `docker:NAME:TAG` of docker's daemon, dockertar:FILE, or any SOURCE of berth's
    image: String,
}

/// Where an image is stored, and how it is reached.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PullHow {
    /// The storage; there is only ostree
    #[arg(long)]
    pub(super) storage: Option<String>,
    /// Log in to the source registry as this user
    #[arg(long, value_name = "USERNAME[:PASSWORD]")]
    src_creds: Option<String>,
    #[command(flatten)]
    flags: PullFlags,
}

/// Pulls an image, layers that are here already left out.
pub(super) fn pull(args: PullArgs, context: &Context) -> Result<ExitCode, Failure> {
    storage::check_target(args.how.storage.as_deref())?;
    if let Some(kind) = &args.kind {
        note!("note: --type {kind} is left out: all registries are of one type");
    }
    args.how.pull(&args.image, context)?;
    Ok(ExitCode::SUCCESS)
}

impl PullHow {
    /// Pulls one image, saying what Atomic says.
    pub(super) fn pull(&self, text: &str, context: &Context) -> Result<fetch::Pulled, Failure> {
        let flags = self.flags(text)?;
        let source = find::source(text).map_err(failed)?;
        if matches!(source, Source::Registry(_)) && !find::is_qualified(text) {
            note!(
                "The image `{text}` is not fully qualified.  The default registry configured for Skopeo will be used."
            );
        }
        flags.pull_source(context, &source, false).map_err(failed)
    }

    /// berth's flags for the source that `text` is.
    pub(super) fn flags(&self, text: &str) -> Result<PullFlags, Failure> {
        let flags = self.flags.reaching(text);
        // An empty one was none.
        match self.src_creds.as_deref().filter(|creds| !creds.is_empty()) {
            Some(creds) => flags.with_credentials(creds),
            None => Ok(flags),
        }
    }
}

fn failed(failure: Failure) -> Failure {
    failure.after("Failed: ")
}
