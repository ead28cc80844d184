//! `berth oci`: the runtime, by runc's words.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::context::Context;
use crate::oci::serve;
use crate::report::Failure;

/// Run bundles as runc does: create, run, start, kill, delete, exec, list, state, spec
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "What follows is read as runc reads it: see `berth oci --help`.\n\nExample:\n  berth oci run -d --pid-file /run/web.pid web"
)]
pub(crate) struct OciArgs {
    /// What follows, which is not for this parser
    #[arg(skip)]
    pub(crate) words: Vec<OsString>,
}

/// Does what the words say.
pub(crate) fn oci(words: &[OsString], context: &Context) -> Result<ExitCode, Failure> {
    serve(words, context)
}
