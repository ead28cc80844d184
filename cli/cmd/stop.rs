//! `berth stop`.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use runtime::{Container, Containers, State};

use super::start::code;
use crate::context::Context;
use crate::report::{Failure, cause, out};
use crate::units;

/// The most that is read of a file with an id.
const ID_FILE_BYTES_MAX: u64 = 4096;

/// Stop services, and containers: with their signal, and by force when they take too long
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth stop -t 3 web")]
pub(crate) struct StopArgs {
    /// Every container that runs
    #[arg(short, long, conflicts_with_all = ["containers", "cidfiles"])]
    all: bool,
    /// Accept names of none
    #[arg(short, long)]
    ignore: bool,
    /// Seconds to wait before the container is killed [default: the container's own, else 10]
    #[arg(short, long, alias = "timeout", value_name = "S")]
    time: Option<u64>,
    /// Also the container whose id is in this file
    #[arg(long = "cidfile", value_name = "FILE")]
    cidfiles: Vec<PathBuf>,
    /// Names, ids or starts of ids
    #[arg(required_unless_present_any = ["all", "cidfiles"], value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Stops the containers, all at once, and prints what each was called by. Fails if one could not be stopped.
pub(crate) fn stop(args: StopArgs, context: &Context) -> Result<ExitCode, Failure> {
    let (services, names) = units::split(args.containers);
    let mut code = code(units::each(&services, |manager, unit| manager.stop(unit))?);
    if !services.is_empty() && names.is_empty() && args.cidfiles.is_empty() {
        return Ok(code);
    }
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let mut stopping = Vec::new();
    let names = with_files(names, &args.cidfiles, args.ignore)?;
    for (name, found) in named(&containers, &names, args.all.then_some(State::is_live))? {
        match found.and_then(|container| container.stop(args.time)) {
            Ok(asked) => stopping.push((name, asked)),
            Err(runtime::Error::NoContainer { .. }) if args.ignore => {}
            Err(error) => code = Failure::from(error).report(),
        }
    }
    for (name, asked) in stopping {
        match asked.wait() {
            Ok(()) => out!("{name}")?,
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}

/// These names, and what is in the files that `--cidfile` names. With `ignore` one that is not there names none.
pub(super) fn with_files(
    mut names: Vec<String>,
    files: &[PathBuf],
    ignore: bool,
) -> Result<Vec<String>, Failure> {
    for path in files {
        let mut text = String::new();
        let read = File::open(path)
            .and_then(|file| file.take(ID_FILE_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => names.push(text.trim().to_owned()),
            Err(error) if ignore && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let (path, why) = (path.display(), cause(&error));
                return Err(Failure::new(format!("cannot read {path}: {why}")));
            }
        }
    }
    Ok(names)
}

/// The containers of these names, or every one whose state is one of `all`, by its id.
pub(super) fn named(
    containers: &Containers,
    names: &[String],
    all: Option<fn(&State) -> bool>,
) -> Result<Vec<(String, runtime::Result<Container>)>, Failure> {
    let Some(is_one) = all else {
        let found = names
            .iter()
            .map(|name| (name.clone(), containers.find(name)));
        return Ok(found.collect());
    };
    let listed = containers.list()?.into_iter();
    Ok(listed
        .filter(|(_, state)| is_one(state))
        .map(|(container, _)| (container.record.id.clone(), Ok(container)))
        .collect())
}
