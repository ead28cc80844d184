//! Going back to another deployment of a service: the youngest that is not current. Done twice, it is back where it was.

use super::ServiceName;
use super::deployment::{Deployment, Service};
use super::host_files::HostFiles;
use super::journal::Verb;
use super::state::begin;
use super::world::{World, side};
use crate::error::Result;

/// Rolls the service back.
///
/// # Errors
/// [`super::Error::NoPrevious`] when there is no other deployment, [`super::Error::Corrupted`] when it lacks its unit, and
/// [`super::Error::Undone`] when a step failed or the service did not come up: then everything is as it was before.
pub fn rollback(world: &mut World<'_>, name: &ServiceName) -> Result<Deployment> {
    world.must_be_settled(name)?;
    let service = Service::get(world.places, name)?;
    let current = service.current()?;
    let to = previous(&service).ok_or_else(|| {
        let slot = u32::from(service.current == 0);
        let path = world.places.slot(name, slot);
        super::Error::NoPrevious { path }
    })?;
    if to.info.has_container_service && to.unit().is_none() {
        let path = to.dir.clone();
        return Err(super::Error::Corrupted { path }.into());
    }
    if let Some(why) = &to.info.failed {
        world.say(&format!("{} had failed: {why}", to.dir.display()));
    }
    let mut journal = begin(world, Verb::Rollback, &service)?;
    if world.manager.is_failed(&name.unit())? {
        journal.left_failed = Some("it had failed when it was rolled back".to_owned());
    }
    let files = match HostFiles::load(&to.dir)? {
        Some(files) => files,
        None => {
            world.say("Atomic made that deployment: its files on the host are not put back");
            HostFiles::default()
        }
    };
    let host_root = &world.places.host_root;
    journal.host = files.plan(host_root, &current.info.installed_files)?;
    for text in std::mem::take(&mut journal.host.said) {
        world.say(&text);
    }
    journal.to = Some(side(to));
    world.carry_out(journal)?;
    Service::get(world.places, name)?.current().cloned()
}

/// The youngest other deployment that is not known to have failed; where all have, the youngest of them.
fn previous(service: &Service) -> Option<&Deployment> {
    let others = service.deployments.iter();
    let others = others.filter(|it| it.slot != service.current);
    others.max_by_key(|it| (it.info.failed.is_none(), it.age()))
}
