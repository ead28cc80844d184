//! The command line as it is typed: global flags and the list of commands. The flags of a command stand beside it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::atomic;
use crate::cmd;
use crate::context::Context;
use crate::report::Failure;

/// Pulls container images into an OSTree-format store, checks them out with hard links, and runs them without root.
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    disable_help_subcommand = true,
    after_help = "Example:\n  berth pull docker.io/library/redis:7\n  berth run --rm redis:7 redis-server --version"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where repository, checkouts and containers live [default: $XDG_DATA_HOME/berth or ~/.local/share/berth; root: /var/lib/berth]
    #[arg(
        long,
        global = true,
        env = "BERTH_ROOT",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) root: Option<PathBuf>,
    /// Where live state and sockets live [default: $XDG_RUNTIME_DIR/berth; root: /run/berth]
    #[arg(
        long,
        global = true,
        env = "BERTH_RUN_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) run_dir: Option<PathBuf>,
    /// The repository, any OSTree repository [default: ROOT/repo]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// How progress is shown on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "KIND"
    )]
    pub(crate) progress: ProgressKind,
    /// What is said on stderr besides progress: below warn, no warnings
    #[arg(
        long,
        global = true,
        env = "BERTH_LOG",
        default_value = "warn",
        value_name = "LEVEL",
        hide_env_values = true
    )]
    pub(crate) log_level: LogLevel,
    /// Seconds to wait for a lock
    #[arg(long, global = true, default_value_t = 300, value_name = "S")]
    pub(crate) lock_timeout: u64,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// Bars
    Bar,
    /// Lines
    Plain,
    /// One JSON object a line
    Json,
    /// Nothing
    None,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    /// What failed
    Error,
    /// What was not done as asked
    Warn,
    /// What was done
    Info,
    /// How it was done
    Debug,
    /// Everything
    Trace,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pull(cmd::pull::PullArgs),
    Images(cmd::images::ImagesArgs),
    Rmi(cmd::rmi::RmiArgs),
    Tag(cmd::tag::TagArgs),
    Tags(cmd::tags::TagsArgs),
    Inspect(cmd::inspect::InspectArgs),
    History(cmd::history::HistoryArgs),
    Diff(cmd::diff::DiffArgs),
    Ls(cmd::ls::LsArgs),
    Cat(cmd::cat::CatArgs),
    Checkout(cmd::checkout::CheckoutArgs),
    RunIn(cmd::run_in::RunInArgs),
    Save(cmd::save::SaveArgs),
    Services(cmd::services::ServicesArgs),
    Load(cmd::load::LoadArgs),
    Push(cmd::push::PushArgs),
    Copy(cmd::copy::CopyArgs),
    Cp(cmd::cp::CpArgs),
    Login(cmd::login::LoginArgs),
    Logout(cmd::logout::LogoutArgs),
    Run(Box<cmd::run::RunArgs>),
    Exec(cmd::exec::ExecArgs),
    Healthcheck(cmd::healthcheck::HealthcheckArgs),
    Pause(cmd::pause::PauseArgs),
    Unpause(cmd::pause::UnpauseArgs),
    Stats(cmd::stats::StatsArgs),
    Top(cmd::top::TopArgs),
    Create(Box<cmd::create::CreateArgs>),
    Start(cmd::start::StartArgs),
    Restart(cmd::restart::RestartArgs),
    Attach(cmd::attach::AttachArgs),
    Wait(cmd::wait::WaitArgs),
    Stop(cmd::stop::StopArgs),
    Kill(cmd::kill::KillArgs),
    Ps(cmd::ps::PsArgs),
    Logs(cmd::logs::LogsArgs),
    Rename(cmd::rename::RenameArgs),
    Rm(cmd::rm::RmArgs),
    Port(cmd::port::PortArgs),
    Prune(cmd::prune::PruneArgs),
    Volume(cmd::volume::VolumeArgs),
    Install(Box<cmd::install::InstallArgs>),
    Uninstall(cmd::uninstall::UninstallArgs),
    Update(Box<cmd::update::UpdateArgs>),
    Rollback(cmd::rollback::RollbackArgs),
    Repair(cmd::repair::RepairArgs),
    Verify(cmd::verify::VerifyArgs),
    Gc(cmd::gc::GcArgs),
    Repo(cmd::repo::RepoArgs),
    Info(cmd::info::InfoArgs),
    Lint(cmd::lint::LintArgs),
    Doctor(cmd::doctor::DoctorArgs),
    Mount(cmd::mount::MountArgs),
    Umount(cmd::mount::UmountArgs),
    Atomic(atomic::AtomicArgs),
    Oci(cmd::oci::OciArgs),
    Completion(cmd::completion::CompletionArgs),
    Version(cmd::version::VersionArgs),
}

impl Command {
    /// Hands over the words of a command that reads its own.
    pub(crate) fn give(&mut self, words: Vec<OsString>) {
        match self {
            Self::Oci(args) => args.words = words,
            Self::Atomic(args) => args.words = words,
            _ => {}
        }
    }

    /// Calls the function of the command.
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self {
            Self::Pull(args) => cmd::pull::pull(args, context),
            Self::Images(args) => cmd::images::images(args, context),
            Self::Rmi(args) => cmd::rmi::rmi(args, context),
            Self::Tag(args) => cmd::tag::tag(args, context),
            Self::Tags(args) => cmd::tags::tags(args, context),
            Self::Inspect(args) => cmd::inspect::inspect(args, context),
            Self::History(args) => cmd::history::history(args, context),
            Self::Diff(args) => cmd::diff::diff(args, context),
            Self::Ls(args) => cmd::ls::ls(args, context),
            Self::Cat(args) => cmd::cat::cat(args, context),
            Self::Checkout(args) => cmd::checkout::checkout(args, context),
            Self::RunIn(args) => cmd::run_in::run_in(args, context),
            Self::Services(args) => cmd::services::services(args, context),
            Self::Save(args) => cmd::save::save(args, context),
            Self::Load(args) => cmd::load::load(args, context),
            Self::Push(args) => cmd::push::push(args, context),
            Self::Copy(args) => cmd::copy::copy(args, context),
            Self::Cp(args) => cmd::cp::cp(args, context),
            Self::Login(args) => cmd::login::login(args, context),
            Self::Logout(args) => cmd::logout::logout(args, context),
            Self::Run(args) => cmd::run::run(*args, context),
            Self::Exec(args) => cmd::exec::exec(args, context),
            Self::Healthcheck(args) => cmd::healthcheck::healthcheck(args, context),
            Self::Pause(args) => cmd::pause::pause(args, context),
            Self::Unpause(args) => cmd::pause::unpause(args, context),
            Self::Stats(args) => cmd::stats::stats(args, context),
            Self::Top(args) => cmd::top::top(args, context),
            Self::Create(args) => cmd::create::create(*args, context),
            Self::Start(args) => cmd::start::start(args, context),
            Self::Restart(args) => cmd::restart::restart(args, context),
            Self::Attach(args) => cmd::attach::attach(args, context),
            Self::Wait(args) => cmd::wait::wait(args, context),
            Self::Stop(args) => cmd::stop::stop(args, context),
            Self::Kill(args) => cmd::kill::kill(args, context),
            Self::Ps(args) => cmd::ps::ps(args, context),
            Self::Logs(args) => cmd::logs::logs(args, context),
            Self::Rename(args) => cmd::rename::rename(args, context),
            Self::Port(args) => cmd::port::port(args, context),
            Self::Prune(args) => cmd::prune::prune(args, context),
            Self::Rm(args) => cmd::rm::rm(args, context),
            Self::Volume(args) => cmd::volume::volume(args, context),
            Self::Install(args) => cmd::install::install(*args, context),
            Self::Uninstall(args) => cmd::uninstall::uninstall(args, context),
            Self::Update(args) => cmd::update::update(*args, context),
            Self::Rollback(args) => cmd::rollback::rollback(args, context),
            Self::Repair(args) => cmd::repair::repair(args, context),
            Self::Verify(args) => cmd::verify::verify(args, context),
            Self::Gc(args) => cmd::gc::gc(args, context),
            Self::Repo(args) => cmd::repo::repo(args, context),
            Self::Info(args) => cmd::info::info(args, context),
            Self::Lint(args) => cmd::lint::lint(args, context),
            Self::Doctor(args) => cmd::doctor::doctor(args, context),
            Self::Mount(args) => cmd::mount::mount(args, context),
            Self::Umount(args) => cmd::mount::umount(args, context),
            Self::Atomic(args) => Ok(atomic::atomic(args, context)),
            Self::Oci(args) => cmd::oci::oci(&args.words, context),
            Self::Completion(args) => cmd::completion::completion(args, context),
            Self::Version(args) => cmd::version::version(args, context),
        }
    }
}
