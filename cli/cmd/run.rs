//! `berth run`: create a container of an image and become its supervisor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use fetch::Source;
use runtime::{
    Containers, CreateOptions, IdHelpers, Ids, Network, SeccompChoice, Settings, StartOptions,
    Tmpfs, Ulimit, Volume, VolumeSource,
};
use store::{Image, LockKind, Repo};

use super::pull::PullFlags;
use super::supervise::run_failure;
use crate::context::{Context, env};
use crate::report::Failure;

/// What berth itself failing exits with, as podman does.
const BERTH_FAILED: u8 = 125;

/// Run a command in a new container
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth run --rm redis:7 redis-server --version\n  berth run --rm -it -v \"$PWD\":/work -w /work debian:12 bash\n\nExit code: the command's own; 125 berth failed, 126 not executable, 127 not found, 128+n signal n."
)]
pub(crate) struct RunArgs {
    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,
    /// Pass stdin on
    #[arg(short, long)]
    interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,
    /// Name the container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Set a variable; without a value it is taken from the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Mount a file, directory or named volume
    #[arg(short, long = "volume", value_name = "[SRC:]DST[:ro]", value_parser = parsed::<Volume>)]
    volume: Vec<Volume>,
    /// Mount an empty file system in memory
    #[arg(long, value_name = "DST[:OPTIONS]", value_parser = parsed::<Tmpfs>)]
    tmpfs: Vec<Tmpfs>,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Run as this user of the image
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run this program instead of the image's entrypoint; a JSON list gives arguments too
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set the host name inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Forbid writing to the image's files; /run, /tmp and /var/tmp are in memory
    #[arg(long)]
    read_only: bool,
    /// The network inside: the host's, or loopback alone
    #[arg(
        long,
        alias = "net",
        value_enum,
        default_value = "host",
        value_name = "KIND"
    )]
    network: NetworkKind,
    /// Not possible with these networks
    #[arg(short, long, value_name = "PORT", hide = true)]
    publish: Vec<String>,
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// no-new-privileges[=false], seccomp=unconfined or seccomp=FILE
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Label the container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Limit a resource of the process
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = parsed::<Ulimit>)]
    ulimit: Vec<Ulimit>,
    /// How many user ids exist inside: a range where the host gives one, or just root
    #[arg(long, value_enum, value_name = "KIND")]
    ids: Option<IdsKind>,
    /// When to pull the image
    #[arg(long, value_enum, default_value = "missing", value_name = "WHEN")]
    pull: PullWhen,
    #[command(flatten)]
    flags: PullFlags,
    /// The image: a name, an id, or a source to pull from
    image: String,
    /// The command and its arguments, instead of the image's
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NetworkKind {
    /// The host's own: services on its loopback can be reached
    Host,
    /// Loopback and nothing else
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IdsKind {
    /// One id
    Single,
    /// The user's subordinate ids
    Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PullWhen {
    /// When it is not here
    Missing,
    /// Every time
    Always,
    /// Not at all
    Never,
}

/// Creates a container and runs it in the foreground. Returns only on failure.
pub(crate) fn run(args: RunArgs, context: &Context) -> Result<ExitCode, Failure> {
    context
        .refuse_root()
        .map_err(|failure| failure.code(BERTH_FAILED))?;
    let settings = settings(&args)?;
    let options = prepare(args, settings, context).map_err(|failure| failure.code(BERTH_FAILED))?;
    let (container, start) = options;
    let Err(error) = container.run(&start);
    Err(run_failure(error))
}

fn prepare(
    args: RunArgs,
    settings: Settings,
    context: &Context,
) -> Result<(runtime::Container, StartOptions), Failure> {
    let run_dir = context.run_dir()?;
    let helpers = IdHelpers::find(&env("PATH").unwrap_or_default());
    let (found, image, lock) = find_image(&args, context)?;
    let (repo, image, lock) = own(found, image, lock, context)?;
    let options = CreateOptions {
        name: args.name,
        created: context.now(),
        ids: match args.ids {
            None => Ids::Auto,
            Some(IdsKind::Single) => Ids::Single,
            Some(IdsKind::Range) => Ids::Range,
        },
        helpers: helpers.clone(),
        settings,
    };
    let container = runtime::create(
        &Containers::open(&context.root, &run_dir),
        &repo,
        &image,
        &options,
    )?;
    drop(lock);
    Ok((
        container,
        StartOptions {
            repo: repo.path().to_owned(),
            helpers,
        },
    ))
}

/// The image, pulled where that is wanted, and the lock that keeps it until the container does.
fn find_image(
    args: &RunArgs,
    context: &Context,
) -> Result<(Repo, Image, Option<store::Lock>), Failure> {
    let pull = |source: &Source| {
        args.flags
            .reaching(&args.image)
            .pull_source(context, source)
            .map(|pulled| pulled.image.name.to_string())
    };
    let explicit = Source::is_explicit(&args.image);
    let mut name = args.image.clone();
    if args.pull == PullWhen::Always || (explicit && args.pull != PullWhen::Never) {
        name = pull(&super::pull::parse(&args.image)?)?;
    }
    let find = |name: &str| -> Result<(Repo, Image, Option<store::Lock>), Failure> {
        let repo = context.open_repo_of(name)?;
        let lock = context.lock_for_reading(&repo)?;
        let image = store::find_image(&repo, name)?;
        Ok((repo, image, lock))
    };
    let here = store::Repo::open(&context.repo).and_then(|repo| store::find_image(&repo, &name));
    match here {
        Err(store::Error::NotFound { .. }) if args.pull == PullWhen::Missing && !explicit => {
            find(&pull(&super::pull::parse(&args.image)?)?)
        }
        _ => find(&name),
    }
}

/// An image that is only read where it is, as skopeo's transport stored it, is taken into our own repository: a container
/// leaves nothing in somebody else's.
fn own(
    found: Repo,
    image: Image,
    lock: Option<store::Lock>,
    context: &Context,
) -> Result<(Repo, Image, Option<store::Lock>), Failure> {
    if store::holds_flat(&found, &image)? {
        return Ok((found, image, lock));
    }
    let repo = context.own_repo()?;
    let own_lock = context.lock(&repo, LockKind::Shared)?;
    let image = store::adopt(&repo, &found, &image)?;
    Ok((repo, image, Some(own_lock)))
}

fn settings(args: &RunArgs) -> Result<Settings, Failure> {
    if !args.publish.is_empty() {
        return Err(Failure::usage(
            "cannot publish ports: neither --network host nor none has ports of its own",
        )
        .hint("with --network host the container's ports are the host's"));
    }
    let (no_new_privileges, seccomp) = security(&args.security_opt)?;
    Ok(Settings {
        command: args.command.clone(),
        entrypoint: args.entrypoint.as_deref().map(entrypoint).transpose()?,
        env: args.env.iter().filter_map(|text| variable(text)).collect(),
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        hostname: args.hostname.clone(),
        interactive: args.interactive,
        terminal: args.tty,
        read_only: args.read_only,
        remove: args.rm,
        network: match args.network {
            NetworkKind::Host => Network::Host,
            NetworkKind::None => Network::None,
        },
        volumes: args.volume.iter().map(absolute).collect::<Result<_, _>>()?,
        tmpfs: args.tmpfs.clone(),
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        no_new_privileges,
        seccomp,
        labels: args
            .label
            .iter()
            .map(|text| label(text))
            .collect::<BTreeMap<_, _>>(),
        ulimits: args.ulimit.clone(),
    })
}

/// `-e NAME=VALUE`; `-e NAME` takes the value from our environment, and nothing when it is not there.
fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), std::env::var(text).ok()?)),
    }
}

fn label(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// A program, or a JSON list of one with arguments; empty takes the image's away.
fn entrypoint(text: &str) -> Result<Vec<String>, Failure> {
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("cannot use --entrypoint {text}: {error}")));
    }
    Ok(if text.is_empty() {
        Vec::new()
    } else {
        vec![text.to_owned()]
    })
}

fn security(options: &[String]) -> Result<(bool, SeccompChoice), Failure> {
    let (mut no_new_privileges, mut seccomp) = (true, SeccompChoice::Default);
    for option in options {
        match option.split_once(['=', ':']).unwrap_or((option, "true")) {
            ("no-new-privileges", value @ ("true" | "false")) => {
                no_new_privileges = value == "true"
            }
            ("seccomp", "unconfined") => seccomp = SeccompChoice::Unconfined,
            ("seccomp", file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    Failure::new(format!("cannot read {file}: {error}")).code(BERTH_FAILED)
                })?;
                seccomp = SeccompChoice::Profile(text);
            }
            _ => {
                return Err(Failure::usage(format!(
                    "cannot use --security-opt {option}: no such option"
                )));
            }
        }
    }
    Ok((no_new_privileges, seccomp))
}

/// A host path is relative to the directory that the command runs in.
fn absolute(volume: &Volume) -> Result<Volume, Failure> {
    let VolumeSource::Host(path) = &volume.source else {
        return Ok(volume.clone());
    };
    let path: PathBuf = std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("cannot find {}: {error}", path.display())))?;
    Ok(Volume {
        source: VolumeSource::Host(path),
        ..volume.clone()
    })
}

/// clap's view of a value that the runtime parses.
fn parsed<T: std::str::FromStr<Err = runtime::Error>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: runtime::Error| error.to_string())
}
