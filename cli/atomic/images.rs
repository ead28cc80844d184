//! `atomic images`.

mod delete;
pub(super) mod info;
mod list;
mod prune;
mod tag;
pub(super) mod update;
pub(super) mod verify;
pub(super) mod version;

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use crate::context::Context;
use crate::report::Failure;

/// Operate on images
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images list")]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::ListArgs),
    Delete(delete::DeleteArgs),
    Prune(prune::PruneArgs),
    Tag(tag::TagArgs),
    Info(info::InfoArgs),
    Version(version::VersionArgs),
    Verify(verify::VerifyArgs),
    Update(update::UpdateArgs),
    #[command(hide = true)]
    Generate {
        #[arg(long, hide = true)]
        storage: Option<String>,
    },
    #[command(hide = true)]
    Help {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        words: Vec<String>,
    },
}

pub(super) fn images(
    args: ImagesArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match args.verb {
        Verb::List(args) => list::list(&args, context),
        Verb::Delete(args) => delete::delete(&args, global, context),
        Verb::Prune(args) => prune::prune(&args, context),
        Verb::Tag(args) => tag::tag(args, context),
        Verb::Info(args) => info::info(args, context),
        Verb::Version(args) => version::version(args, context),
        Verb::Verify(args) => verify::verify(args, context),
        Verb::Update(args) => update::update(args, context),
        Verb::Generate { .. } => Err(Failure::new(
            "atomic images generate is not here: it made lists of docker's images; atomic images verify checks every file",
        )),
        Verb::Help { .. } => Err(Failure::new(
            "atomic images help is not here: it ran the help that a docker image brings; atomic images info shows an image",
        )),
    }
}
