//! `berth lint`.

use std::path::Path;
use std::process::ExitCode;

use runtime::service::{Exports, Finding, Linted};

use crate::context::Context;
use crate::report::{self, Failure, out, printable};

/// The largest Dockerfile that is read, in bytes.
const DOCKERFILE_BYTES_MAX: u64 = 1 << 20;

/// Check what an image exports for services: templates, manifest, unit and files for the host
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth lint etcd\n  berth lint ./etcd\n\nA directory is one with exports in it, or one that they are made from, with its Dockerfile.\nThe exit code is 1 when something was found."
)]
pub(crate) struct LintArgs {
    /// An image by name or id, or a directory (with a / in it, or . itself)
    #[arg(value_name = "NAME|DIR")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints what is wrong, one finding a line.
pub(crate) fn lint(args: LintArgs, context: &Context) -> Result<ExitCode, Failure> {
    let name = args.name.as_str();
    let is_path = name == "." || name == ".." || (name.contains('/') && Path::new(name).is_dir());
    let found = match is_path {
        true => of_directory(Path::new(name))?,
        false => of_image(name, context)?,
    };
    if args.json {
        report::json(&found)?;
    } else {
        for finding in &found {
            out!("{}: {}", printable(&finding.file), printable(&finding.why))?;
        }
    }
    Ok(ExitCode::from(u8::from(!found.is_empty())))
}

fn of_image(name: &str, context: &Context) -> Result<Vec<Finding>, Failure> {
    let repo = context.open_repo_of(name)?;
    let _lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, name)?;
    let exports = Exports::of_image(&repo, &image)?;
    Ok(runtime::service::lint(&Linted {
        exports: &exports,
        config: Some(&image.config.container),
        history: &image.config.history,
        dockerfile: None,
    }))
}

fn of_directory(dir: &Path) -> Result<Vec<Finding>, Failure> {
    let exports = match dir.join("exports").is_dir() || dir.join("export").is_dir() {
        true => Exports::of_directory(dir)?,
        false => Exports::of_sources(dir)?,
    };
    let dockerfile = dockerfile(&dir.join("Dockerfile"))?;
    Ok(runtime::service::lint(&Linted {
        exports: &exports,
        config: None,
        history: &[],
        dockerfile: dockerfile.as_deref(),
    }))
}

fn dockerfile(path: &Path) -> Result<Option<String>, Failure> {
    use std::io::Read as _;
    let fail = |error: std::io::Error| {
        let cause = report::cause(&error);
        Failure::new(format!("cannot read {}: {cause}", path.display()))
    };
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(fail)?,
    };
    let mut bytes = Vec::new();
    file.take(DOCKERFILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
