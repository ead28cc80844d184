//! Updating a service: another deployment beside the current one, and the link to it.
//!
//! What the user has set stays; everything else is what the new image says. The UUID stays. An update that puts more on the
//! host than the deployment before is for somebody to agree to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::deployment::{Deployment, Service};
use super::install::deploy;
use super::journal::Verb;
use super::order::{Installer, Order, Plan, temporary};
use super::slots::choose;
use super::state::begin;
use super::world::{World, side};
use super::{Exports, Places, refused};
use crate::error::{Error, Result};

/// Variables that differ between deployments, hosts and kernels whatever the user and the image say.
const OF_THE_PLACE: [&str; 4] = ["ALL_PROCESS_CAPABILITIES", "ATOMIC", "DESTDIR", "IMAGE_ID"];

/// An update, rendered for its slot. Nothing of it is on disk.
#[derive(Debug, Clone)]
pub struct UpdatePlan {
    /// The new deployment.
    pub plan: Plan,
    /// The slots that are emptied.
    victims: Vec<u32>,
    /// What would change.
    pub changes: Changes,
}

/// What an update changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The image's id before and after, where it changes.
    pub image: Option<(String, String)>,
    /// The variables whose values change, before and after.
    pub values: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Paths of the host that the deployment before does not have.
    pub added: Vec<PathBuf>,
    /// Paths of the host that only the deployment before has.
    pub removed: Vec<PathBuf>,
}

/// Renders an update. `None` when image and values are those of the current deployment.
pub fn plan_update(
    places: &Places,
    installer: &Installer,
    service: &Service,
    order: &Order<'_>,
    is_running: bool,
) -> Result<Option<UpdatePlan>> {
    let current = service.current()?;
    let uuid = current.info.values.get("UUID").cloned();
    let uuid = uuid.map_or_else(super::install::new_uuid, Ok)?;
    let mut taken = service.taken();
    for it in &mut taken {
        it.good |= is_running && it.slot == current.slot;
    }
    let choice = choose(&taken, current.slot, order.keep);
    let plan = order.plan(places, installer, choice.slot, &uuid)?;
    let changes = changes(places, current, &plan, order)?;
    let before = &current.info;
    let same = before.revision == order.revision
        && before.image == order.image_name
        && changes.values.is_empty()
        && before.set.as_ref().is_none_or(|set| *set == order.set);
    Ok((!same).then_some(UpdatePlan {
        plan,
        victims: choice.victims,
        changes,
    }))
}

fn changes(
    places: &Places,
    current: &Deployment,
    plan: &Plan,
    order: &Order<'_>,
) -> Result<Changes> {
    let before = &current.info;
    let mut changes = Changes::default();
    if before.revision != order.revision {
        changes.image = Some((before.revision.clone(), order.revision.clone()));
    }
    let after = &plan.rendered.values;
    let names = before.values.keys().chain(after.keys());
    for name in names.filter(|name| !OF_THE_PLACE.contains(&name.as_str())) {
        let (old, new) = (before.values.get(name), after.get(name));
        if old != new {
            let pair = (old.cloned(), new.cloned());
            changes.values.insert(name.clone(), pair);
        }
    }
    let had = paths_of(places, current)?;
    let has: Vec<PathBuf> = plan.paths().into_iter().map(|(path, _)| path).collect();
    changes.added = missing(&has, &had);
    changes.removed = missing(&had, &has);
    Ok(changes)
}

fn missing(these: &[PathBuf], those: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = these
        .iter()
        .filter(|path| !those.contains(path))
        .cloned()
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Everything that a deployment writes to the host.
fn paths_of(places: &Places, current: &Deployment) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    paths.extend(current.unit().map(|_| places.unit(&current.name)));
    match super::host_files::HostFiles::load(&current.dir)? {
        Some(files) => paths.extend(files.paths().map(|(path, ..)| path.to_owned())),
        None => paths.extend(
            current
                .info
                .installed_files
                .iter()
                .map(|it| it.path.clone()),
        ),
    }
    if let Some(copy) = current.tmpfiles() {
        paths.push(places.tmpfiles_of(&current.name));
        let text = std::fs::read_to_string(&copy).map_err(Error::io("read", &copy))?;
        paths.extend(temporary(&text).map(PathBuf::from));
    }
    Ok(paths)
}

/// Updates the service, as it was planned.
///
/// # Errors
/// [`super::Error::AddsPaths`] when the update puts more on the host and nobody agreed; [`super::Error::Undone`] when a step
/// failed or the service did not come up: then everything is as it was before.
pub fn update(
    world: &mut World<'_>,
    installer: &Installer,
    order: &Order<'_>,
    plan: &UpdatePlan,
    agreed: bool,
) -> Result<Deployment> {
    let name = order.name;
    world.must_be_settled(name)?;
    let added = &plan.changes.added;
    if !agreed && !added.is_empty() {
        return Err(super::Error::AddsPaths {
            name: name.clone(),
            paths: added.clone(),
        }
        .into());
    }
    let service = Service::get(world.places, name)?;
    let mut journal = begin(world, Verb::Update, &service)?;
    let victims = service.deployments.iter();
    let victims = victims.filter(|it| plan.victims.contains(&it.slot));
    journal.victims = victims.map(side).collect();
    let youngest = service.deployments.iter().map(|it| it.age().0).max();
    let serial = youngest.unwrap_or_default() + 1;
    deploy(world, installer, order, &plan.plan, journal, serial)?;
    refused::forget(world, name, Some(&order.revision))?;
    Service::get(world.places, name)?.current().cloned()
}

/// The values that the user has set for a deployment. Of one of Atomic's nobody wrote them down: they are those that neither
/// the host nor its image gives.
pub fn set_by_user(
    deployment: &Deployment,
    installer: &Installer,
) -> Result<BTreeMap<String, String>> {
    let info = &deployment.info;
    if let Some(set) = &info.set {
        return Ok(set.clone());
    }
    let exports = Exports::of_directory(&deployment.rootfs())?;
    let given = |name: &String, value: &String| {
        installer.gives(&deployment.name, name, value)
            || exports.manifest.default_values.get(name) == Some(value)
    };
    let values = info.values.iter();
    Ok(values
        .filter(|(name, value)| !given(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}
