//! `berth install`: an image becomes a service of systemd.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runtime::service::{
    self, Exports, Installer, Order, Places, Plan, Quadlet, Root, ServiceName, find_remote,
    is_present, parse_set, plan_install,
};

use super::pull::PullFlags;
use super::run_once::run_once;
use crate::context::{Context, is_root};
use crate::create::pairs_file;
use crate::report::{Failure, note, out};
use crate::services::{self, ServiceImage, shown};
use crate::units;

/// Install an image as a service
///
/// What the image has in /exports says what the service is; an image without is run as its config says. The service is
/// started at boot from then on; `berth start NAME` starts it now.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth install --system --name etcd docker.io/library/etcd:3\n  berth install --user --set PORT=8081 registry.example/hello\n  berth install --display registry.example/hello"
)]
pub(crate) struct InstallArgs {
    /// A service of the system; only root can
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// A service of this user
    #[arg(long)]
    user: bool,
    /// Name the service [default: the last part of the image's name, with the tag if that is not latest]
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    set: SetFlags,
    /// Run from the root file system of another service, or of this directory, instead of a checkout
    #[arg(long, value_name = "PATH")]
    rootfs: Option<PathBuf>,
    /// The program that runs the container, by its absolute path [default: this one]
    #[arg(long, value_name = "PATH")]
    runtime: Option<PathBuf>,
    /// Only show what would be written to the host, and where
    #[arg(long)]
    display: bool,
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    /// Run what the image's config says, whatever is in its /exports
    #[arg(long)]
    image: bool,
    /// Run what this podman quadlet says, a .container file with its drop-ins; it names the image too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "rootfs"])]
    from_quadlet: Option<PathBuf>,
    /// How many deployments to keep, at least 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=64))]
    keep: Option<u32>,
    /// Ask nothing
    #[arg(short = 'y', long)]
    yes: bool,
    #[command(flatten)]
    pub(crate) flags: PullFlags,
    /// What an image that runs once runs instead of its own command.
    #[arg(skip)]
    pub(crate) command: Vec<String>,
    /// The image: a name, or a source to pull from
    #[arg(value_name = "SOURCE", required_unless_present = "from_quadlet")]
    source: Option<String>,
}

/// Values for the variables of a service's templates.
#[derive(Debug, clap::Args)]
pub(crate) struct SetFlags {
    /// Give a variable of the image's templates a value
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Read NAME=VALUE lines from a file, as of --env-file
    #[arg(long = "set-file", value_name = "FILE")]
    set_files: Vec<String>,
}

impl SetFlags {
    /// Whether there are any.
    pub(crate) fn is_given(&self) -> bool {
        !self.set.is_empty() || !self.set_files.is_empty()
    }

    /// The values; those of `--set` win over those of a file.
    pub(crate) fn values(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut values = BTreeMap::new();
        for file in &self.set_files {
            for (name, value) in pairs_file::read(file)? {
                match value {
                    Some(value) => values.insert(name, value),
                    None => return Err(Failure::from(parse_failure(&name))),
                };
            }
        }
        for given in &self.set {
            let (name, value) = parse_set(given).map_err(runtime::Error::from)?;
            values.insert(name, value);
        }
        Ok(values)
    }
}

impl InstallArgs {
    /// The name that was given, with it or with the file of a quadlet.
    fn given_name(&self) -> Result<Option<ServiceName>, Failure> {
        let name = match (&self.name, &self.from_quadlet) {
            (Some(name), _) => ServiceName::new(name).map(Some),
            (None, Some(file)) => Quadlet::service_name(file).map(Some),
            (None, None) => Ok(None),
        };
        Ok(name.map_err(runtime::Error::from)?)
    }
}

fn parse_failure(given: &str) -> runtime::Error {
    match parse_set(given) {
        Err(error) => error.into(),
        Ok(_) => runtime::Error::from(service::Error::SetForm {
            given: given.to_owned(),
        }),
    }
}

/// Installs a service.
pub(crate) fn install(args: InstallArgs, context: &Context) -> Result<ExitCode, Failure> {
    if args.user && is_root() {
        return Err(Failure::new("--user does not work for privileged user"));
    }
    if args.system && !is_root() {
        return Err(Failure::new("Only root can use --system"));
    }
    let set = args.set.values()?;
    let runtime = services::runtime_of(args.runtime.as_deref())?;
    let places = services::places()?;
    let installer = services::installer(context)?;
    let name = args.given_name()?;
    if let Some(name) = name.as_ref().filter(|name| is_present(&places, name)) {
        return present(name);
    }
    let quadlet = match (&args.from_quadlet, &name) {
        (Some(file), Some(name)) => Some(services::quadlet(file, name, &installer)?),
        _ => None,
    };
    let source = args.source.as_deref();
    let source = quadlet.as_ref().map_or(source, |it| Some(&it.image));
    let found = Found::find(&args, source.unwrap_or_default(), &places, context)?;
    if found.runs_once() && !args.image && quadlet.is_none() {
        if args.display {
            out!("{} runs once: nothing is installed", found.image_name)?;
            return Ok(ExitCode::SUCCESS);
        }
        let (image, exports) = (found.image_of()?, &found.exports);
        let command = &args.command;
        return run_once(image, exports, &set, command, &runtime, &installer, &places);
    }
    let name = match name {
        Some(name) => name,
        None => ServiceName::of_image(&found.image_name).map_err(runtime::Error::from)?,
    };
    units::refuse_container_name(name.as_str(), context)?;
    let exports = match args.image {
        true => found.exports.clone().without_exports(),
        false => found.exports.clone(),
    };
    let order = Order {
        name: &name,
        root: found.root(),
        exports: &exports,
        quadlet: quadlet.as_ref(),
        plain: args.image,
        image_name: found.image_name.clone(),
        source: found.source.clone(),
        revision: found.revision.clone(),
        digest: found.digest.clone(),
        config: found.config(),
        set,
        runtime: &runtime,
        keep: service::keep(args.keep),
    };
    put(&args, &places, &installer, &order, context)
}

fn present(name: &ServiceName) -> Result<ExitCode, Failure> {
    out!("{name} already present")?;
    Ok(ExitCode::SUCCESS)
}

fn put(
    args: &InstallArgs,
    places: &Places,
    installer: &Installer,
    order: &Order<'_>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if args.display {
        let Some(plan) = planned(places, installer, order)? else {
            return present(order.name);
        };
        out!("Extracting to {}", shown(&plan.destination))?;
        for line in lines(&plan) {
            out!("{line}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let manager = services::manager(args.no_systemd)?;
    services::change(context, places, manager.as_ref(), |world| {
        let Some(plan) = planned(places, installer, order)? else {
            return present(order.name);
        };
        note!("Extracting to {}", shown(&plan.destination));
        for line in lines(&plan) {
            note!("{line}");
        }
        for said in &plan.rendered.said {
            note!("{}", crate::report::printable(said));
        }
        service::install(world, installer, order, &plan)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The plan; `None` when there is a service of this name.
fn planned(
    places: &Places,
    installer: &Installer,
    order: &Order<'_>,
) -> Result<Option<Plan>, Failure> {
    match plan_install(places, installer, order) {
        Err(runtime::Error::Service(service::Error::Present { .. })) => Ok(None),
        planned => Ok(Some(planned?)),
    }
}

fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    services::list_paths(&plan.paths(), &mut |line| lines.push(line.to_owned()));
    lines
}

/// What the service is made of.
struct Found {
    image: Option<ServiceImage>,
    remote: Option<PathBuf>,
    exports: Exports,
    image_name: String,
    source: Option<String>,
    revision: String,
    digest: Option<String>,
}

impl Found {
    fn find(
        args: &InstallArgs,
        source: &str,
        places: &Places,
        context: &Context,
    ) -> Result<Self, Failure> {
        if let Some(given) = &args.rootfs {
            return Self::remote(source, places, given);
        }
        let image = services::find_image(context, &args.flags, source, false)?;
        Ok(Self {
            exports: Exports::of_image(&image.repo, &image.image)?,
            image_name: image.image.name.to_string(),
            source: image.source.clone(),
            revision: image.image.id.hex(),
            digest: Some(image.image.digest.to_string()),
            remote: None,
            image: Some(image),
        })
    }

    fn remote(source: &str, places: &Places, given: &Path) -> Result<Self, Failure> {
        let rootfs = find_remote(places, given)?;
        Ok(Self {
            exports: Exports::of_directory(&rootfs)?,
            image_name: source.to_owned(),
            source: None,
            revision: service::revision_of_remote(places, &rootfs)?,
            digest: None,
            remote: Some(rootfs),
            image: None,
        })
    }

    fn runs_once(&self) -> bool {
        self.image.is_some() && self.exports.runs_once()
    }

    fn image_of(&self) -> Result<&ServiceImage, Failure> {
        let image = self.image.as_ref();
        image.ok_or_else(|| Failure::new("cannot run a root file system: it is no image"))
    }

    fn root(&self) -> Root<'_> {
        match (&self.image, &self.remote) {
            (Some(image), _) => Root::Image(&image.repo, &image.image),
            (None, remote) => Root::Remote(remote.as_deref().unwrap_or(Path::new("/"))),
        }
    }

    fn config(&self) -> Option<&store::oci::ContainerConfig> {
        self.image.as_ref().map(|it| &it.image.config.container)
    }
}
