//! `berth atomic …`, and berth under the name `atomic`: what the guides of Project Atomic have their readers type, with
//! its flags, columns, questions and texts, over the functions that berth's own commands call.
//!
//! Errors are told as Atomic told them: the text alone on stderr, and whoever is not root reads that some operations need
//! root. Exit codes are Atomic's too: 2 for a wrong command line and for a question that was answered with no.

mod absent;
mod confirm;
mod containers;
mod find;
mod images;
mod install;
mod layout;
mod mount;
mod pull;
mod run;
mod storage;
mod typed;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::args::LogLevel;
use crate::context::{Context, env, is_root};
use crate::report::{self, Failure, note, out};

/// Project Atomic's commands, as its guides have them
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  berth atomic pull --storage ostree docker.io/library/busybox\n  berth atomic images list"
)]
pub(crate) struct AtomicArgs {
    /// What follows, which is not for this parser
    #[arg(skip)]
    pub(crate) words: Vec<OsString>,
}

/// Pulls, lists and mounts images and runs them as services, as Project Atomic's command did.
#[derive(Debug, Parser)]
#[command(
    name = "atomic",
    disable_version_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct Face {
    /// Show the version and exit
    #[arg(short, long)]
    version: bool,
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Flags of every command.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// Show debug messages
    #[arg(long)]
    debug: bool,
    /// Ignore the install-first requirement
    #[arg(short, long)]
    ignore: bool,
    /// Answer yes to all questions
    #[arg(short = 'y', long)]
    assumeyes: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Pull(pull::PullArgs),
    Images(images::ImagesArgs),
    Info(images::info::InfoArgs),
    Version(images::version::VersionArgs),
    Verify(images::verify::VerifyArgs),
    Update(images::update::UpdateArgs),
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
    Containers(containers::ContainersArgs),
    Run(run::RunArgs),
    Stop(run::StopArgs),
    Mount(mount::MountArgs),
    #[command(alias = "umount")]
    Unmount(mount::UnmountArgs),
    #[command(flatten)]
    Absent(absent::Absent),
}

/// Does what was typed after `atomic`.
pub(crate) fn atomic(args: AtomicArgs, context: &Context) -> ExitCode {
    let words = std::iter::once(OsString::from("atomic")).chain(args.words);
    let face = match Face::try_parse_from(words) {
        Ok(face) => face,
        Err(error) => return report::usage(&error),
    };
    let context = surroundings(context, &face.global);
    let name = face.verb.as_ref().map_or("atomic", Verb::name);
    let done = match (face.version, face.verb) {
        (true, _) => out!("{}", env!("CARGO_PKG_VERSION")).map(|()| ExitCode::SUCCESS),
        (false, Some(verb)) => verb.run(&face.global, &context),
        (false, None) => Err(Failure::usage("too few arguments")),
    };
    done.unwrap_or_else(|failure| tell(failure, name))
}

/// What Atomic read from the environment, where the command line says nothing.
fn surroundings(context: &Context, global: &Global) -> Context {
    let mut context = context.clone();
    let is_default = context.repo == context.root.join("repo");
    if let (true, Some(repo)) = (is_default, env("ATOMIC_OSTREE_REPO")) {
        context.repo = PathBuf::from(repo);
    }
    if global.debug {
        context.log_level = LogLevel::Debug;
    }
    context
}

/// Tells a failure in Atomic's way.
fn tell(failure: Failure, name: &str) -> ExitCode {
    let (words, code) = failure.into_words();
    let Some(words) = words else {
        return ExitCode::from(code);
    };
    note!("{words}");
    if !is_root() {
        note!("Some operations for '{name}' require root access.");
    }
    ExitCode::from(code)
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Pull(_) => "pull",
            Self::Images(_) => "images",
            Self::Info(_) => "info",
            Self::Version(_) => "version",
            Self::Verify(_) => "verify",
            Self::Update(_) => "update",
            Self::Install(_) => "install",
            Self::Uninstall(_) => "uninstall",
            Self::Containers(_) => "containers",
            Self::Run(_) => "run",
            Self::Stop(_) => "stop",
            Self::Mount(_) => "mount",
            Self::Unmount(_) => "unmount",
            Self::Absent(absent) => absent.name(),
        }
    }

    fn run(self, global: &Global, context: &Context) -> Result<ExitCode, Failure> {
        match self {
            Self::Pull(args) => pull::pull(args, context),
            Self::Images(args) => images::images(args, global, context),
            Self::Info(args) => images::info::info(args, context),
            Self::Version(args) => images::version::version(args, context),
            Self::Verify(args) => images::verify::verify(args, context),
            Self::Update(args) => images::update::update(args, context),
            Self::Install(args) => install::install(args, global, context),
            Self::Uninstall(args) => install::uninstall(args, context),
            Self::Containers(args) => containers::containers(args, global, context),
            Self::Run(args) => run::run(args, context),
            Self::Stop(args) => run::stop(args, context),
            Self::Mount(args) => mount::mount(args, context),
            Self::Unmount(args) => mount::unmount(args, context),
            Self::Absent(absent) => Err(absent.refusal()),
        }
    }
}
