//! Installing a service: its first deployment, its unit, its files on the host. It is enabled and not started.

use std::path::{Path, PathBuf};

use super::converge::has_entry;
use super::deployment::{Deployment, Service, entries, slot_of, slots};
use super::journal::{Journal, Side, Verb};
use super::order::{Installer, Order, Plan};
use super::places::is_slot;
use super::slots::KEEP_MIN;
use super::stage::Draft;
use super::world::World;
use super::{Places, ServiceName, refused};
use crate::error::{Error, Result};
use crate::naming;

/// Renders the first deployment of a service and checks that nothing is in its way.
///
/// # Errors
/// Whatever [`Order::plan`] finds; [`super::Error::Present`] when there is a service of this name, and
/// [`super::Error::Exists`] when a unit or tmpfiles.d file of this name belongs to somebody else.
pub fn plan_install(places: &Places, installer: &Installer, order: &Order<'_>) -> Result<Plan> {
    let name = order.name;
    if is_present(places, name) {
        let name = name.clone();
        return Err(super::Error::Present { name }.into());
    }
    refuse_name_of_slot(places, name)?;
    let plan = order.plan(places, installer, 0, &new_uuid()?)?;
    for path in [places.unit(name), places.tmpfiles_of(name)] {
        if has_entry(&path) {
            return Err(super::Error::Exists { path }.into());
        }
    }
    Ok(plan)
}

/// Whether a service of this name is installed, or came with the system.
pub fn is_present(places: &Places, name: &ServiceName) -> bool {
    let link = places.link(name);
    let is_slot = !link.is_symlink() && service_of_slot(name).is_some();
    (has_entry(&link) && !is_slot) || places.preinstalled.join(name.as_str()).is_dir()
}

/// Refuses a name that is the name of a deployment of another service, or whose deployments have the name of another.
fn refuse_name_of_slot(places: &Places, name: &ServiceName) -> Result<()> {
    let refuse = |other: ServiceName, short: &ServiceName| {
        Err(super::Error::NameOfSlot {
            name: name.clone(),
            short: short.clone(),
            other,
        }
        .into())
    };
    if let Some(other) = service_of_slot(name)
        && (is_present(places, &other) || has_entry(&places.link(name)))
    {
        return refuse(other.clone(), &other);
    }
    for entry in entries(&places.checkouts)? {
        if slot_of(&entry, name).is_some() && places.checkouts.join(&entry).is_symlink() {
            return refuse(ServiceName::new(&entry)?, name);
        }
    }
    Ok(())
}

/// The service of which this name would be a deployment, if there is one.
fn service_of_slot(name: &ServiceName) -> Option<ServiceName> {
    let (service, slot) = name.as_str().rsplit_once('.')?;
    ServiceName::new(service).ok().filter(|_| is_slot(slot))
}

/// Installs the service, as it was planned.
pub fn install(
    world: &mut World<'_>,
    installer: &Installer,
    order: &Order<'_>,
    plan: &Plan,
) -> Result<Deployment> {
    let name = order.name;
    world.must_be_settled(name)?;
    if is_present(world.places, name) {
        let name = name.clone();
        return Err(super::Error::Present { name }.into());
    }
    refuse_name_of_slot(world.places, name)?;
    let mut journal = Journal::new(Verb::Install, name);
    // What no link leads to is nobody's.
    for (slot, dir) in slots(world.places, name)? {
        let found = Deployment::load(name, slot, &dir)?;
        journal.victims.push(super::world::side(&found));
    }
    deploy(world, installer, order, plan, journal, 1)?;
    refused::forget(world, name, None)?;
    Service::get(world.places, name)?.current().cloned()
}

/// Stages the deployment, decides the change and carries it out.
pub(super) fn deploy(
    world: &mut World<'_>,
    installer: &Installer,
    order: &Order<'_>,
    plan: &Plan,
    mut journal: Journal,
    serial: u64,
) -> Result<()> {
    let id = naming::new_id()?;
    let draft = Draft {
        places: world.places,
        name: order.name,
        id: &id,
        root: order.root,
        rendered: &plan.rendered,
    };
    let mut info = order.info(plan, installer.now, &id, serial);
    let staged = draft.stage(&info, world.told)?;
    let tracked = match &journal.from {
        Some(from) => tracked(world.places, order.name, from)?,
        None => Vec::new(),
    };
    journal.host = staged.host_files.plan(&world.places.host_root, &tracked)?;
    for text in std::mem::take(&mut journal.host.said) {
        world.say(&text);
    }
    info.installed_files.clone_from(&journal.host.tracked);
    staged.complete(&info)?;
    journal.to = Some(Side {
        slot: plan.slot,
        id,
    });
    journal.staged = true;
    staged.decide();
    world.carry_out(journal)
}

fn tracked(
    places: &Places,
    name: &ServiceName,
    from: &Side,
) -> Result<Vec<super::host_files::Tracked>> {
    let from = super::converge::locate(places, name, Some(from))?;
    Ok(from.map(|it| it.info.installed_files).unwrap_or_default())
}

/// Finds the root file system that `--rootfs` means: a service's, by its name's link so that it follows that service's
/// updates, or any directory with one.
pub fn find_remote(places: &Places, given: &Path) -> Result<PathBuf> {
    let real = given.canonicalize().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => super::Error::NoRemote {
            path: given.to_owned(),
        }
        .into(),
        _ => Error::io("open", given)(source),
    })?;
    let rootfs = if real.join("rootfs").is_dir() {
        real.join("rootfs")
    } else if real.join("usr").is_dir() {
        real
    } else {
        let path = given.to_owned();
        return Err(super::Error::RemoteWithoutRoot { path }.into());
    };
    let checkouts = places.checkouts.canonicalize();
    let below = checkouts.ok().and_then(|checkouts| {
        let rest = rootfs.strip_prefix(checkouts).ok()?;
        Some(places.checkouts.join(rest))
    });
    let Some(below) = below else {
        return Ok(rootfs);
    };
    match places.service_of(&below) {
        Some(name) if is_present(places, &name) => Ok(places.link(&name).join("rootfs")),
        _ => Ok(rootfs),
    }
}

/// The id of the image that a root file system of `--rootfs` is of; empty when it is no service's.
pub fn revision_of_remote(places: &Places, rootfs: &Path) -> Result<String> {
    let Some(name) = places.service_of(rootfs) else {
        return Ok(String::new());
    };
    Ok(match Service::find(places, &name)? {
        Some(service) => service.current()?.info.revision.clone(),
        None => String::new(),
    })
}

/// The services that run from the root of this one, by name.
pub fn followers(places: &Places, name: &ServiceName) -> Result<Vec<ServiceName>> {
    let mut found = Vec::new();
    for service in Service::all(places)? {
        let remote = &service.current()?.info.remote;
        let points = remote.as_deref().and_then(|path| places.service_of(path));
        if points.as_ref() == Some(name) && service.name != *name {
            found.push(service.name);
        }
    }
    Ok(found)
}

/// A random UUID of version 4.
pub(super) fn new_uuid() -> Result<String> {
    let hex = naming::new_id()?;
    let variant = match hex.as_bytes()[30] % 4 {
        0 => "8",
        1 => "9",
        2 => "a",
        _ => "b",
    };
    Ok(format!(
        "{}-{}-4{}-{variant}{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..15],
        &hex[15..18],
        &hex[18..30],
    ))
}

/// The number of deployments that are kept when so many are wanted.
pub fn keep(wanted: Option<u32>) -> u32 {
    wanted.unwrap_or(KEEP_MIN).max(KEEP_MIN)
}
