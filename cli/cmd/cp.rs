//! `berth cp`.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runtime::{Containers, CopyOptions, IdHelpers, Outside};

use crate::context::{Context, env};
use crate::report::{Failure, cause};

/// Copy files between a container and the host, whether it runs or not
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth cp web:/etc/nginx/nginx.conf .\n  berth cp site/. web:/usr/share/nginx/html\n  berth cp web:/var/log - | tar t\n\nDIR/. copies what is in a directory; - is a tar stream on stdin or stdout."
)]
pub(crate) struct CpArgs {
    /// Keep owners on the way into a container, instead of its root's
    #[arg(short, long)]
    archive: bool,
    /// Follow a source that is a symbolic link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Accepted for docker's sake: nothing is said anyway
    #[arg(short, long, hide = true)]
    quiet: bool,
    /// CONTAINER:PATH, a path, or -
    #[arg(value_name = "SOURCE")]
    source: String,
    /// CONTAINER:PATH, a path, or -
    #[arg(value_name = "DESTINATION")]
    destination: String,
}

/// Copies in the direction that the arguments say.
pub(crate) fn cp(args: CpArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let options = CopyOptions {
        archive: args.archive,
        follow: args.follow_link,
        repo: context.repo.clone(),
        helpers: IdHelpers::find(&env("PATH").unwrap_or_default()),
    };
    match (split(&args.source), split(&args.destination)) {
        (Some((name, inside)), None) => {
            let container = containers.find(name)?;
            let path = absolute(&args.destination)?;
            let outside = match args.destination.as_str() {
                "-" => Outside::Stream(descriptor(std::io::stdout().as_fd())?),
                _ => Outside::Path(&path),
            };
            container.copy_out(Path::new(inside), outside, &options)?;
        }
        (None, Some((name, inside))) => {
            let container = containers.find(name)?;
            let path = absolute(&args.source)?;
            let outside = match args.source.as_str() {
                "-" => Outside::Stream(descriptor(std::io::stdin().as_fd())?),
                _ => Outside::Path(&path),
            };
            container.copy_in(outside, Path::new(inside), &options)?;
        }
        (Some(_), Some(_)) => {
            return Err(Failure::usage("cannot copy between containers")
                .hint("berth cp one:/path - | berth cp - two:/path"));
        }
        (None, None) => {
            return Err(Failure::usage(
                "cannot copy: neither the source nor the destination is CONTAINER:PATH",
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A container's name and a path in it, unless it is a path of the host: one that begins with `/` or `.`, or has no colon.
fn split(text: &str) -> Option<(&str, &str)> {
    let (name, path) = text.split_once(':')?;
    let is_outside = text.starts_with('/') || name.starts_with('.') || name.contains('/');
    (!is_outside && !name.is_empty()).then_some((name, path))
}

/// The path from the root, its end as it was given.
fn absolute(path: &str) -> Result<PathBuf, Failure> {
    let dir = std::env::current_dir()
        .map_err(|error| Failure::new(format!("cannot find the directory: {}", cause(&error))))?;
    Ok(dir.join(path))
}

fn descriptor(fd: std::os::fd::BorrowedFd<'_>) -> Result<std::os::fd::OwnedFd, Failure> {
    fd.try_clone_to_owned()
        .map_err(|error| Failure::new(format!("cannot use stdio: {}", cause(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_from_paths() {
        for (text, expected) in [
            ("web:/a", Some(("web", "/a"))),
            ("web:a:b", Some(("web", "a:b"))),
            ("web:", Some(("web", ""))),
            ("/a:b", None),
            ("./a:b", None),
            (".:b", None),
            ("a/b:c", None),
            (":b", None),
            ("-", None),
            ("a", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
