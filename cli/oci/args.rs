//! The words as runc has them.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs bundles of the runtime specification.
#[derive(Debug, Parser)]
#[command(
    name = "berth oci",
    disable_version_flag = true,
    disable_help_subcommand = true
)]
pub(super) struct Args {
    /// Where the state of containers is kept [default: RUN_DIR/oci]
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// Write errors to this file as well
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// How they are written there
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    /// Accepted; berth has no debug output
    #[arg(long)]
    debug: bool,
    /// Accepted; control groups are made without systemd
    #[arg(long)]
    systemd_cgroup: bool,
    /// Accepted; who we are tells
    #[arg(long, value_name = "true|false|auto", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rootless: Option<String>,
    /// Print the version
    #[arg(short, long)]
    pub(super) version: bool,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// How errors are written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// `time="…" level=error msg="…"`
    Text,
    /// One JSON object a line
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Create and run a container
    Run(RunArgs),
    /// Create a container, whose program waits for start
    Create(MakeArgs),
    /// Run the program of a created container
    Start {
        /// The container
        id: String,
    },
    /// Send a signal to a container
    Kill(KillArgs),
    /// Remove a container that has ended
    Delete {
        /// Kill it first; none need be there
        #[arg(short, long)]
        force: bool,
        /// The container
        id: String,
    },
    /// Run another program in a container
    Exec(ExecArgs),
    /// List containers
    List(ListArgs),
    /// Print the state of a container
    State {
        /// The container
        id: String,
    },
    /// Write a config.json to start from
    Spec {
        /// For an ordinary user
        #[arg(long)]
        rootless: bool,
        /// The bundle
        #[arg(short, long, default_value = ".", value_name = "DIR")]
        bundle: PathBuf,
    },
}

/// What making a container takes.
#[derive(Debug, clap::Args)]
pub(super) struct MakeArgs {
    /// The directory that has config.json [default: the current one]
    #[arg(short, long, value_name = "DIR")]
    pub(super) bundle: Option<PathBuf>,
    /// Write the pid of its first process to this file
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Pass so many more descriptors on, from 3
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) preserve_fds: u32,
    /// Send its terminal to this socket
    #[arg(long, value_name = "SOCKET")]
    pub(super) console_socket: Option<PathBuf>,
    /// Accepted; pivot_root is always used
    #[arg(long, hide = true)]
    no_pivot: bool,
    /// Accepted; a new session has no keyring of the caller's
    #[arg(long, hide = true)]
    no_new_keyring: bool,
    /// Its name
    pub(super) id: String,
}

/// `run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Leave it in the background
    #[arg(short, long)]
    pub(super) detach: bool,
    #[command(flatten)]
    pub(super) make: MakeArgs,
}

/// `kill`.
#[derive(Debug, clap::Args)]
pub(super) struct KillArgs {
    /// To all of its processes
    #[arg(short, long)]
    pub(super) all: bool,
    /// The container
    pub(super) id: String,
    /// The signal [default: SIGTERM]
    pub(super) signal: Option<String>,
}

/// `exec`.
#[derive(Debug, clap::Args)]
pub(super) struct ExecArgs {
    /// Give it a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
    /// Leave it in the background
    #[arg(short, long)]
    pub(super) detach: bool,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    /// Run as this user
    #[arg(short, long, value_name = "UID[:GID]", value_parser = user)]
    pub(super) user: Option<(u32, u32)>,
    /// Start in this directory
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<String>,
    /// Read everything from this process.json
    #[arg(short, long, value_name = "FILE")]
    pub(super) process: Option<PathBuf>,
    /// Write its pid to this file
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Send its terminal to this socket
    #[arg(long, value_name = "SOCKET")]
    pub(super) console_socket: Option<PathBuf>,
    /// Pass so many more descriptors on, from 3
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) preserve_fds: u32,
    /// The container
    pub(super) id: String,
    /// The program and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    pub(super) args: Vec<String>,
}

/// `list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only their ids
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// How
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(super) format: ListFormat,
}

/// How containers are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// Columns
    Table,
    /// An array
    Json,
}

fn user(text: &str) -> Result<(u32, u32), String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| {
        text.parse()
            .map_err(|_| "expected UID[:GID] in numbers".to_owned())
    };
    Ok((number(uid)?, number(gid)?))
}
