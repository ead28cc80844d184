//! `berth load`.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fetch::PullOptions;
use store::LayerLimits;

use super::pull::{JOBS, PullFlags};
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{Failure, cause, out, printable};

/// Store the images of an archive that `berth save`, `podman save` or `docker save` wrote
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth load -i redis.tar\n  docker save redis:7 | berth load")]
pub(crate) struct LoadArgs {
    /// The file to read [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Keep the layers also as they came, so that the images can leave again byte for byte
    #[arg(long)]
    keep_blobs: bool,
    /// Show no progress and no warnings
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    flags: PullFlags,
}

/// Stores every image and prints its name.
pub(crate) fn load(args: LoadArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.writable_repo()?;
    let progress = Progress::new(context, args.quiet);
    let options = PullOptions {
        platform: args.flags.platform(),
        name: None,
        jobs: JOBS,
        keep_blobs: args.keep_blobs,
        source: args.flags.source(context),
        lock_timeout: Some(context.lock_timeout),
        limits: LayerLimits::default(),
        progress: &|event| progress.event(&event),
    };
    let from_stdin = args
        .input
        .as_deref()
        .is_none_or(|path| path == Path::new("-"));
    let loaded = match args.input.filter(|_| !from_stdin) {
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            fetch::load(&repo, &path, &name, &options)?
        }
        None => {
            let file = take_stdin(&options.source.scratch)?;
            let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            fetch::load(&repo, &path, "stdin", &options)?
        }
    };
    for loaded in &loaded {
        out!(
            "Loaded image: {}",
            printable(loaded.pulled.image.name.as_str())
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Standard input in a file, since an archive is read in more than one place. A file is taken as it is.
fn take_stdin(scratch: &Path) -> Result<File, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::new("cannot load from a terminal").hint("name a file with -i FILE"));
    }
    let failed =
        |error: io::Error| Failure::new(format!("cannot load standard input: {}", cause(&error)));
    let mut file = fetch::scratch_file(scratch)?;
    io::copy(&mut stdin.lock(), &mut file).map_err(failed)?;
    Ok(file)
}
