//! `berth load`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fetch::{Event, PullOptions};
use store::LayerLimits;

use super::bundle::load_bundle;
use super::pull::{JOBS, PullFlags};
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{Failure, cause, out, printable};

/// How many bytes tell a bundle from an archive.
const HEAD_BYTES: u64 = 8;

/// Store the images of an archive that `berth save`, `podman save` or `docker save` wrote
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth load -i redis.tar\n  docker save redis:7 | berth load\n  ssh HOST berth save --since app:1 app:2 | berth load"
)]
pub(crate) struct LoadArgs {
    /// The file to read; `-` is standard input [default: -]
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
    let from_stdin = |path: &Path| path == Path::new("-");
    match args.input.clone().filter(|path| !from_stdin(path)) {
        Some(path) => {
            let mut file = File::open(&path).map_err(|error| {
                let cause = cause(&error);
                Failure::new(format!("cannot open {}: {cause}", path.display()))
            })?;
            let head = head(&mut file)?;
            if store::is_bundle(head.get_ref()) {
                return load_held(&args, context, &mut head.chain(file));
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            load_archive(&args, context, &path, &name)
        }
        None => {
            let mut stdin = io::stdin().lock();
            if stdin.is_terminal() {
                return Err(
                    Failure::new("cannot load from a terminal").hint("name a file with -i FILE")
                );
            }
            let head = head(&mut stdin)?;
            if store::is_bundle(head.get_ref()) {
                return load_held(&args, context, &mut head.chain(stdin));
            }
            context.writable_repo()?;
            let file = spool(&mut head.chain(stdin), &context.scratch())?;
            // so that it has a path that people know
            rustix::stdio::dup2_stdin(&file).map_err(|error| failed(error.into()))?;
            load_archive(&args, context, Path::new("/dev/stdin"), "stdin")
        }
    }
}

/// Loads a bundle, if a policy lets it come here.
fn load_held(
    args: &LoadArgs,
    context: &Context,
    bundle: &mut dyn Read,
) -> Result<ExitCode, Failure> {
    if args.keep_blobs {
        return Err(Failure::usage("a bundle has no blobs to keep"));
    }
    fetch::hold_bundle(&args.flags.source(context)?)?;
    load_bundle(context, bundle)
}

/// Loads what is no bundle; an image without a name is called `name`.
fn load_archive(
    args: &LoadArgs,
    context: &Context,
    path: &Path,
    name: &str,
) -> Result<ExitCode, Failure> {
    let repo = context.writable_repo()?;
    let source = args.flags.source(context)?;
    let progress = Progress::new(context, args.quiet);
    let options = PullOptions {
        platform: args.flags.platform(),
        name: None,
        jobs: JOBS,
        keep_blobs: args.keep_blobs,
        source,
        lock_timeout: Some(context.lock_timeout),
        limits: LayerLimits::default(),
        progress: &|event| progress.event(&event),
    };
    for loaded in &fetch::load(&repo, path, name, &options)? {
        if let Some(text) = loaded.pulled.left_out.words("the store") {
            progress.event(&Event::Warning(&text));
        }
        say_loaded(loaded.pulled.image.name.as_str())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says that an image is here, in docker's words.
pub(crate) fn say_loaded(name: &str) -> Result<(), Failure> {
    out!("Loaded image: {}", printable(name))
}

/// The first bytes, as many as there are.
fn head(from: &mut impl Read) -> Result<io::Cursor<Vec<u8>>, Failure> {
    let mut head = Vec::new();
    from.take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(failed)?;
    Ok(io::Cursor::new(head))
}

/// What comes in a file, since an archive is read in more than one place.
fn spool(from: &mut impl Read, scratch: &Path) -> Result<File, Failure> {
    let mut file = fetch::scratch_file(scratch)?;
    let limit = fetch::limits::SPOOL_BYTES_MAX;
    let bytes = io::copy(&mut from.take(limit + 1), &mut file).map_err(failed)?;
    match bytes > limit {
        true => Err(Failure::new(format!(
            "cannot load standard input: it has more than {limit} bytes"
        ))),
        false => Ok(file),
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::new(format!("cannot load: {}", cause(&error)))
}
