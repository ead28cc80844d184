//! Making a container: the flags of `run` and `create`, and the image found or pulled for it.
//!
//! Each group of flags is a file of its own and gives one group of the runtime's settings.

mod duration;
mod health;
mod life;
mod limits;
mod log;
mod mounts;
mod network;
pub(crate) mod pairs_file;
mod process;
mod security;

pub(crate) use process::variables;

use clap::ValueEnum;
use fetch::Source;
use runtime::{Containers, CreateOptions, IdHelpers, Ids, RemoveOptions, Settings, StartOptions};
use store::{Image, LockKind, Repo};

use crate::cmd::pull::{self, PullFlags};
use crate::context::{Context, env};
use crate::report::Failure;
use crate::units;

/// What berth itself failing exits with, as podman does.
pub(crate) const BERTH_FAILED: u8 = 125;

/// The flags of `run` and `create`, the image and the command.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateFlags {
    /// Name the container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Remove a container that has this name first, also if it runs
    #[arg(long, requires = "name")]
    replace: bool,
    /// Show no progress of a pull
    #[arg(short, long)]
    quiet: bool,
    /// Print help; -h is --hostname, as docker and podman have it
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    process: process::ProcessFlags,
    #[command(flatten)]
    life: life::LifeFlags,
    #[command(flatten)]
    log: log::LogFlags,
    #[command(flatten)]
    mounts: mounts::MountFlags,
    #[command(flatten)]
    network: network::NetworkFlags,
    #[command(flatten)]
    security: security::SecurityFlags,
    #[command(flatten)]
    limits: limits::LimitFlags,
    #[command(flatten)]
    health: health::HealthFlags,
    /// How many user ids exist inside: a range where the host gives one, or just root
    #[arg(long, value_enum, value_name = "KIND")]
    ids: Option<IdsKind>,
    /// When to pull the image
    #[arg(long, value_enum, default_value = "missing", value_name = "WHEN")]
    pull: PullWhen,
    #[command(flatten)]
    flags: PullFlags,
    /// The image (a name, an id, or a source to pull from); behind it, instead of the image's, the command and its
    /// arguments, none of which is an option of ours
    #[arg(
        required = true,
        trailing_var_arg = true,
        value_names = ["IMAGE", "COMMAND"]
    )]
    image_and_command: Vec<String>,
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

impl CreateFlags {
    /// Creates the container, and pulls its image where that is wanted.
    pub(crate) fn create(
        self,
        context: &Context,
    ) -> Result<(runtime::Container, StartOptions), Failure> {
        let settings = self.settings()?;
        let id_file = self
            .life
            .id_file()
            .map_err(|failure| failure.code(BERTH_FAILED))?;
        let created = self.create_with(settings, context);
        if let Some(id_file) = id_file {
            id_file.fill(created.as_ref().ok().map(|(container, _)| container))?;
        }
        created.map_err(|failure| failure.code(BERTH_FAILED))
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings {
            command: self.image_and_command.iter().skip(1).cloned().collect(),
            life: self.life.settings()?,
            net: self.network.settings()?,
            security: self.security.settings()?,
            limits: self.limits.settings()?,
            health: self.health.settings()?,
            ..Settings::default()
        };
        settings.life.log = self.log.settings()?;
        self.process.settle(&mut settings)?;
        self.mounts.settle(&mut settings)?;
        Ok(settings)
    }

    fn create_with(
        self,
        settings: Settings,
        context: &Context,
    ) -> Result<(runtime::Container, StartOptions), Failure> {
        if let Some(name) = &self.name {
            units::refuse_service_name(name)?;
        }
        let run_dir = context.run_dir()?;
        let helpers = IdHelpers::find(&env("PATH").unwrap_or_default());
        let (found, image, lock) = self.find_image(context)?;
        let (repo, image, lock) = own(found, image, lock, context)?;
        let containers = Containers::open(&context.root, &run_dir);
        if let Some(name) = self.name.as_ref().filter(|_| self.replace) {
            replace(&containers, name, &repo, &helpers)?;
        }
        let options = CreateOptions {
            name: self.name,
            created: context.now_ns(),
            ids: match self.ids {
                None => Ids::Auto,
                Some(IdsKind::Single) => Ids::Single,
                Some(IdsKind::Range) => Ids::Range,
            },
            helpers: helpers.clone(),
            settings,
        };
        let container = runtime::create(&containers, &repo, &image, &options)?;
        drop(lock);
        Ok((
            container,
            StartOptions {
                repo: repo.path().to_owned(),
                helpers,
            },
        ))
    }

    fn image(&self) -> &str {
        self.image_and_command.first().map_or("", String::as_str)
    }

    /// The image, pulled where that is wanted, and the lock that keeps it until the container does.
    fn find_image(&self, context: &Context) -> Result<(Repo, Image, Option<store::Lock>), Failure> {
        let pull = |source: &Source| {
            self.flags
                .reaching(self.image())
                .pull_source(context, source, self.quiet)
                .map(|pulled| pulled.image.name.to_string())
        };
        let explicit = Source::is_explicit(self.image());
        let mut name = self.image().to_owned();
        if self.pull == PullWhen::Always || (explicit && self.pull != PullWhen::Never) {
            name = pull(&pull::parse(self.image())?)?;
        }
        if self.pull == PullWhen::Missing && !explicit {
            if let Some(found) = find_here(&name, context)? {
                return Ok(found);
            }
            name = pull(&pull::parse(self.image())?)?;
        }
        let repo = context.open_repo_of(&name)?;
        let lock = context.lock_for_reading(&repo)?;
        let image = store::find_image(&repo, &name)?;
        Ok((repo, image, lock))
    }
}

/// Removes the container of exactly this name, when there is one.
fn replace(
    containers: &Containers,
    name: &str,
    repo: &Repo,
    helpers: &IdHelpers,
) -> Result<(), Failure> {
    let options = RemoveOptions {
        force: true,
        time: None,
        volumes: false,
        helpers: helpers.clone(),
    };
    // Not by the start of an id.
    let mut all = containers.list()?.into_iter();
    match all.find(|(container, _)| container.record.name == name) {
        Some((container, _)) => Ok(container.remove(repo, &options)?),
        None => Ok(()),
    }
}

/// An image that is here, for a container, a mount or a service to hold: in a repository that we may write to.
pub(crate) fn image_to_keep(
    name: &str,
    context: &Context,
) -> Result<(Repo, Image, Option<store::Lock>), Failure> {
    let (repo, image, lock) = find_here(name, context)?.ok_or_else(|| store::Error::NotFound {
        what: "image",
        name: name.to_owned(),
    })?;
    own(repo, image, lock, context)
}

/// The image, when the repository and it are there.
pub(crate) fn find_here(
    name: &str,
    context: &Context,
) -> Result<Option<(Repo, Image, Option<store::Lock>)>, Failure> {
    let repo = match Repo::open(&context.repo) {
        Err(store::Error::NotFound { .. }) => return Ok(None),
        opened => opened?,
    };
    let lock = context.lock_for_reading(&repo)?;
    match store::find_image(&repo, name) {
        Err(store::Error::NotFound { .. }) => Ok(None),
        found => Ok(Some((repo, found?, lock))),
    }
}

/// An image that is only read where it is, as skopeo's transport stored it, is taken into our own repository: a container
/// leaves nothing in somebody else's.
pub(crate) fn own(
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

/// clap's view of a value that the runtime parses.
pub(crate) fn parsed<T: std::str::FromStr<Err = runtime::Error>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: runtime::Error| error.to_string())
}
