//! `berth repo`: the plumbing of an OSTree repository, with stock ostree's verbs and, where it prints for people, its words.

mod cat;
mod checkout;
mod commit;
mod diff;
mod fsck;
mod gvariant_text;
mod init;
mod log;
mod ls;
mod prune;
mod refs;
mod rev_parse;
mod show;
mod stat;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use self::cat::print_file;

use crate::context::Context;
use crate::report::Failure;

/// Look into and care for the repository
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo log ocifs/redis_3Alatest\n  berth --repo /ostree/repo repo refs"
)]
pub(crate) struct RepoArgs {
    #[command(subcommand)]
    command: RepoCommand,
}

#[derive(Debug, Subcommand)]
enum RepoCommand {
    Init(init::InitArgs),
    Refs(refs::RefsArgs),
    RevParse(rev_parse::RevParseArgs),
    Log(log::LogArgs),
    Show(show::ShowArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Checkout(Box<checkout::CheckoutArgs>),
    Diff(diff::DiffArgs),
    Commit(commit::CommitArgs),
    Fsck(fsck::FsckArgs),
    Prune(prune::PruneArgs),
    Stat(stat::StatArgs),
}

/// Calls the function of the verb.
pub(crate) fn repo(args: RepoArgs, context: &Context) -> Result<ExitCode, Failure> {
    match args.command {
        RepoCommand::Init(args) => init::init(args, context),
        RepoCommand::Refs(args) => refs::refs(args, context),
        RepoCommand::RevParse(args) => rev_parse::rev_parse(args, context),
        RepoCommand::Log(args) => log::log(args, context),
        RepoCommand::Show(args) => show::show(args, context),
        RepoCommand::Ls(args) => ls::ls(args, context),
        RepoCommand::Cat(args) => cat::cat(args, context),
        RepoCommand::Checkout(args) => checkout::checkout(*args, context),
        RepoCommand::Diff(args) => diff::diff(args, context),
        RepoCommand::Commit(args) => commit::commit(args, context),
        RepoCommand::Fsck(args) => fsck::fsck(args, context),
        RepoCommand::Prune(args) => prune::prune(args, context),
        RepoCommand::Stat(args) => stat::stat(args, context),
    }
}
