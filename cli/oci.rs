//! The runtime's own command line: runc's words, columns and exit codes.

mod args;
mod log;
mod tell;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use runtime::oci::{
    DeleteOptions, EnterOptions, Host, KillOptions, Listen, RunOptions, write_spec,
};
use runtime::{IdHelpers, StopSignal};

use self::args::{Args, ExecArgs, KillArgs, MakeArgs, RunArgs, Verb};
pub(crate) use self::log::Log;
use crate::cmd::supervise::warn;
use crate::context::{Context, env};
use crate::report::{self, Failure, out};

/// The version of the runtime specification.
const SPECIFICATION: &str = "1.0.2";
/// What `exec` ends with when there was no program to end.
pub(crate) const EXEC_FAILED: u8 = 255;

/// Reads the words and does what they say.
pub(crate) fn serve(words: &[OsString], context: &Context) -> Result<ExitCode, Failure> {
    let name = OsString::from("berth oci");
    let args = match Args::try_parse_from(std::iter::once(&name).chain(words)) {
        Ok(args) => args,
        Err(error) => return Ok(report::usage(&error)),
    };
    if args.version {
        out!(
            "berth version {}\nspec: {SPECIFICATION}",
            env!("CARGO_PKG_VERSION")
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = Log::of(&args);
    let Some(verb) = &args.verb else {
        let mut command = <Args as clap::CommandFactory>::command();
        report::raw_out(command.render_help().to_string().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let outcome = host(&args, context).and_then(|host| run(&host, verb, &log));
    outcome
        .map(ExitCode::from)
        .inspect_err(|failure| log.write(failure))
}

fn host(args: &Args, context: &Context) -> Result<Host, Failure> {
    let run_dir = context.run_dir()?;
    let state = match &args.root {
        Some(root) => std::path::absolute(root).map_err(Failure::new)?,
        None => run_dir.join("oci"),
    };
    Ok(Host {
        state,
        run_dir,
        helpers: IdHelpers::find(&env("PATH").unwrap_or_default()),
    })
}

fn run(host: &Host, verb: &Verb, log: &Log) -> Result<u8, Failure> {
    match verb {
        Verb::Run(args) => Ok(host.run(&run_options(args, log), &mut warn)?),
        Verb::Create(args) => {
            let mut options = make_options(args, log);
            options.create = true;
            Ok(host.run(&options, &mut warn)?)
        }
        Verb::Start { id } => {
            host.start(id, env("NOTIFY_SOCKET").as_deref())?;
            Ok(0)
        }
        Verb::Kill(args) => kill(host, args),
        Verb::Delete { force, id } => {
            host.delete(id, DeleteOptions { force: *force }, &mut warn)?;
            Ok(0)
        }
        Verb::Exec(args) => exec(host, args, log),
        Verb::List(args) => tell::list(host, args).map(|()| 0),
        Verb::State { id } => report::json(&tell::state(&host.state_of(id)?, false)).map(|()| 0),
        Verb::Spec { rootless, bundle } => {
            let ids = (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            );
            let path = bundle.join("config.json");
            if path.exists() {
                return Err(Failure::new("file config.json exists. Remove it first"));
            }
            write_spec(bundle, rootless.then_some(ids))?;
            Ok(0)
        }
    }
}

fn make_options(args: &MakeArgs, log: &Log) -> RunOptions {
    RunOptions {
        id: args.id.clone(),
        bundle: args.bundle.clone().unwrap_or_else(|| PathBuf::from(".")),
        detach: false,
        create: false,
        pid_file: args.pid_file.clone(),
        preserve_fds: args.preserve_fds,
        console_socket: args.console_socket.clone(),
        notify: env("NOTIFY_SOCKET"),
        listen: listen(),
        told: log.words(),
    }
}

fn run_options(args: &RunArgs, log: &Log) -> RunOptions {
    RunOptions {
        detach: args.detach,
        ..make_options(&args.make, log)
    }
}

/// Sockets that the service manager has passed to this process.
fn listen() -> Listen {
    let text = |name: &str| env(name).and_then(|value| value.into_string().ok());
    Listen {
        count: text("LISTEN_FDS")
            .and_then(|count| count.parse().ok())
            .unwrap_or_default(),
        names: text("LISTEN_FDNAMES"),
    }
}

fn kill(host: &Host, args: &KillArgs) -> Result<u8, Failure> {
    let signal = match &args.signal {
        None => StopSignal::TERM,
        Some(text) => text.parse()?,
    };
    let options = KillOptions {
        signal,
        all: args.all,
    };
    host.kill(&args.id, &options)?;
    Ok(0)
}

fn exec(host: &Host, args: &ExecArgs, log: &Log) -> Result<u8, Failure> {
    if args.process.is_none() && args.args.is_empty() {
        return Err(Failure::usage("exec requires the arguments of a program").code(EXEC_FAILED));
    }
    let options = EnterOptions {
        args: args.args.clone(),
        process: args.process.clone(),
        env: args.env.clone(),
        user: args.user,
        cwd: args.cwd.clone(),
        terminal: args.tty,
        detach: args.detach,
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        preserve_fds: args.preserve_fds,
        told: log.words(),
    };
    host.exec(&args.id, &options, &mut warn)
        .map_err(|error| Failure::from(error).code(EXEC_FAILED))
}

/// The name of a user as the host's own passwd has it; the name services are not asked.
fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{uid}"))
}
