//! `berth update`: another deployment of a service, of its image as it is now, or with other values.

use std::process::ExitCode;

use runtime::service::{
    self, Changes, Deployment, Exports, Installer, Order, Places, Root, Service, ServiceName,
    World, is_plain, plan_update, quadlet_of, refused_images, revision_of_remote, set_by_user,
};
use serde::Serialize;

use super::install::SetFlags;
use super::pull::PullFlags;
use crate::context::Context;
use crate::report::{self, Failure, note, out, printable};
use crate::services::{self, ServiceImage};
use crate::units::timer::{Wish, timer};
use crate::units::unattended;

/// What Atomic's users look for when there is nothing to do.
const LATEST: &str = "Latest version already installed.";

/// Update services: pull their images, and deploy what is new
///
/// Values that were set stay. A service that does not come up is rolled back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth update etcd\n  berth update --all --check\n  berth update --set PORT=8082 hello\n\nExit code: 0 also when there was nothing to do; 1 when a service could not be updated, or was rolled back."
)]
pub(crate) struct UpdateArgs {
    /// Every service
    #[arg(long, conflicts_with_all = ["names", "set", "set_files", "rebase"])]
    all: bool,
    /// Only show what would change
    #[arg(long)]
    check: bool,
    /// Print JSON; only with --check
    #[arg(long, requires = "check")]
    json: bool,
    /// Agree to more files on the host
    #[arg(short = 'y', long)]
    yes: bool,
    #[command(flatten)]
    set: SetFlags,
    /// Use this image from now on; it is pulled only when it is not here
    #[arg(long, value_name = "SOURCE")]
    rebase: Option<String>,
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    #[command(flatten)]
    pub(crate) flags: PullFlags,
    /// Update only what a digest or a signature vouches for, as the timer does
    #[arg(long, requires = "all")]
    unattended: bool,
    /// Update all services once a day, or no more, or say whether they are
    #[arg(long, value_enum, value_name = "WISH", conflicts_with_all = ["all", "names", "check", "set", "set_files", "rebase"])]
    timer: Option<Wish>,
    /// The services
    #[arg(required_unless_present_any = ["all", "timer"], value_name = "NAME")]
    names: Vec<String>,
}

/// What one update would change, or has changed.
#[derive(Debug, Serialize)]
struct Told {
    name: String,
    changed: bool,
    image: Option<(String, String)>,
    values: Vec<(String, Option<String>, Option<String>)>,
    added: Vec<String>,
    removed: Vec<String>,
}

/// Updates each service; stops at none.
pub(crate) fn update(args: UpdateArgs, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(wish) = args.timer {
        return timer(wish, args.no_systemd);
    }
    let places = services::places()?;
    let installer = services::installer(context)?;
    let names = match args.all {
        true => Service::all(&places)?
            .into_iter()
            .map(|it| it.name)
            .collect(),
        false => {
            let names = args.names.iter().map(|name| ServiceName::new(name));
            names
                .collect::<Result<Vec<_>, _>>()
                .map_err(runtime::Error::from)?
        }
    };
    let mut one = One {
        args: &args,
        places: &places,
        installer: &installer,
        context,
        told: Vec::new(),
    };
    let mut code = ExitCode::SUCCESS;
    for name in &names {
        if let Err(failure) = one.update(name) {
            code = failure.report();
        }
    }
    if args.json {
        report::json(&one.told)?;
    }
    Ok(code)
}

struct One<'a> {
    args: &'a UpdateArgs,
    places: &'a Places,
    installer: &'a Installer,
    context: &'a Context,
    told: Vec<Told>,
}

/// What a service is made of now.
struct Found {
    image: Option<ServiceImage>,
    exports: Exports,
    revision: String,
    image_name: String,
    source: Option<String>,
}

impl One<'_> {
    fn update(&mut self, name: &ServiceName) -> Result<(), Failure> {
        if self.places.preinstalled.join(name.as_str()).is_dir() {
            let verb = "update";
            return Err(runtime::Error::from(service::Error::Preinstalled { verb }).into());
        }
        let service = Service::get(self.places, name)?;
        let info = &service.current()?.info;
        if self.args.unattended && info.remote.is_none() {
            let source = info.source.as_ref().unwrap_or(&info.image);
            let policy = self.args.flags.policy();
            unattended::check(name.as_str(), source, policy.as_deref())?;
        }
        let found = self.find(service.current()?)?;
        let refused = refused_images(self.places, name)?;
        if self.args.all && refused.contains(&found.revision) {
            note!(
                "{name}: its newest image did not come up before; berth update {name} tries it again"
            );
            return Ok(());
        }
        if self.args.check {
            let running = false;
            let order = self.order(name, service.current()?, &found)?;
            return order.with(|order| {
                let plan = plan_update(self.places, self.installer, &service, order, running)?;
                self.show(name, plan.as_ref().map(|plan| &plan.changes))
            });
        }
        let manager = services::manager(self.args.no_systemd)?;
        services::change(self.context, self.places, manager.as_ref(), |world| {
            // What was cut off may have changed it.
            let service = Service::get(self.places, name)?;
            let order = self.order(name, service.current()?, &found)?;
            let running = manager.is_active(&name.unit())?;
            order.with(|order| self.change(world, &service, order, running))
        })
    }

    fn change(
        &self,
        world: &mut World<'_>,
        service: &Service,
        order: &Order<'_>,
        running: bool,
    ) -> Result<(), Failure> {
        let plan = plan_update(self.places, self.installer, service, order, running)?;
        let Some(plan) = plan else {
            out!("{LATEST}")?;
            return Ok(());
        };
        services::list_paths(&plan.plan.paths(), &mut |line| note!("{line}"));
        for said in &plan.plan.rendered.said {
            note!("{}", printable(said));
        }
        let now = service::update(world, self.installer, order, &plan, self.args.yes)?;
        out!("{} is now {}", order.name, services::shown(&now.dir))?;
        Ok(())
    }

    fn find(&self, current: &Deployment) -> Result<Found, Failure> {
        let info = &current.info;
        if let Some(rootfs) = &info.remote {
            note!("Only changes to config will be applied.");
            return Ok(Found {
                image: None,
                exports: Exports::of_directory(rootfs)?,
                revision: revision_of_remote(self.places, rootfs)?,
                image_name: info.image.clone(),
                source: info.source.clone(),
            });
        }
        let (text, newer) = match &self.args.rebase {
            Some(source) => (source.as_str(), false),
            None => (info.source.as_deref().unwrap_or(&info.image), true),
        };
        let flags = &self.args.flags;
        let image = match services::find_image(self.context, flags, text, newer) {
            Err(failure) if newer && info.source.is_none() => {
                self.find_here(current, text, failure)?
            }
            found => found?,
        };
        let exports = Exports::of_image(&image.repo, &image.image)?;
        Ok(Found {
            exports: match is_plain(info) {
                true => exports.without_exports(),
                false => exports,
            },
            revision: image.image.id.hex(),
            image_name: image.image.name.to_string(),
            // Another image has nothing to do with where this one came from.
            source: match self.args.rebase {
                Some(_) => image.source.clone(),
                None => image.source.clone().or_else(|| info.source.clone()),
            },
            image: Some(image),
        })
    }

    /// An image that is here although nobody serves its name: it was loaded. It counts where there is something to deploy;
    /// where there is not, nobody knows whether there should be.
    fn find_here(
        &self,
        current: &Deployment,
        text: &str,
        failure: Failure,
    ) -> Result<ServiceImage, Failure> {
        let name = &current.name;
        let error = failure.cause_of::<fetch::Error>();
        if !error.is_some_and(fetch::Error::is_unserved) {
            return Err(failure);
        }
        let hint = format!(
            "if {text} is only loaded here, `berth update --rebase {text} {name}` uses it without asking a registry"
        );
        let found = services::find_image(self.context, &self.args.flags, text, false);
        let is_news = |it: &ServiceImage| {
            it.image.id.hex() != current.info.revision || self.args.set.is_given()
        };
        match found {
            Ok(image) if !self.args.all && is_news(&image) => {
                note!("{name}: {}; the image that is here is used", failure.text());
                note!("hint: {hint}");
                Ok(image)
            }
            Ok(_) => Err(failure.with_hint(hint)),
            Err(_) => Err(failure),
        }
    }

    fn order<'o>(
        &self,
        name: &'o ServiceName,
        current: &'o Deployment,
        found: &'o Found,
    ) -> Result<Parts<'o>, Failure> {
        let mut set = set_by_user(current, self.installer)?;
        set.extend(self.args.set.values()?);
        Ok(Parts {
            name,
            current,
            found,
            set,
            runtime: services::recorded_runtime(current.info.runtime.as_deref())?,
            quadlet: quadlet_of(&current.info),
        })
    }

    fn show(&mut self, name: &ServiceName, changes: Option<&Changes>) -> Result<(), Failure> {
        let none = Changes::default();
        let changed = changes.is_some();
        let it = changes.unwrap_or(&none);
        let paths = |paths: &[std::path::PathBuf]| {
            let paths = paths.iter().map(|path| path.display().to_string());
            paths.collect::<Vec<_>>()
        };
        let values = it.values.iter();
        let told = Told {
            name: name.to_string(),
            changed,
            image: it.image.clone(),
            values: values
                .map(|(name, (before, after))| (name.clone(), before.clone(), after.clone()))
                .collect(),
            added: paths(&it.added),
            removed: paths(&it.removed),
        };
        if !self.args.json {
            told.print()?;
        }
        self.told.push(told);
        Ok(())
    }
}

/// What an order borrows from.
struct Parts<'o> {
    name: &'o ServiceName,
    current: &'o Deployment,
    found: &'o Found,
    set: std::collections::BTreeMap<String, String>,
    runtime: service::Runtime,
    quadlet: Option<service::Quadlet>,
}

impl Parts<'_> {
    fn with<T>(&self, act: impl FnOnce(&Order<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let (info, image) = (&self.current.info, &self.found.image);
        let root = match (image, &info.remote) {
            (Some(image), _) => Root::Image(&image.repo, &image.image),
            (None, Some(rootfs)) => Root::Remote(rootfs),
            (None, None) => return Err(Failure::new("cannot find the image of the service")),
        };
        act(&Order {
            name: self.name,
            root,
            exports: &self.found.exports,
            image_name: self.found.image_name.clone(),
            source: self.found.source.clone(),
            revision: self.found.revision.clone(),
            digest: image.as_ref().map(|it| it.image.digest.to_string()),
            config: image.as_ref().map(|it| &it.image.config.container),
            quadlet: self.quadlet.as_ref(),
            plain: is_plain(info),
            set: self.set.clone(),
            runtime: &self.runtime,
            keep: info.keep,
        })
    }
}

impl Told {
    fn print(&self) -> Result<(), Failure> {
        let name = &self.name;
        if !self.changed {
            return out!("{name}: {LATEST}");
        }
        if let Some((before, after)) = &self.image {
            out!("{name}: image {} -> {}", short(before), short(after))?;
        }
        for (variable, before, after) in &self.values {
            let shown = |value: &Option<String>| match value {
                Some(value) => printable(value),
                None => "(none)".to_owned(),
            };
            out!("{name}: {variable} {} -> {}", shown(before), shown(after))?;
        }
        for path in &self.added {
            out!("{name}: adds {}", printable(path))?;
        }
        for path in &self.removed {
            out!("{name}: removes {}", printable(path))?;
        }
        Ok(())
    }
}

/// The first digits of an id.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
