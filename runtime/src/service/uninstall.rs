//! Uninstalling a service: its unit first, then everything that it put on the host, then its deployments. Its state stays.

use super::deployment::Service;
use super::host_files::HostFiles;
use super::install::followers;
use super::journal::Verb;
use super::state::begin;
use super::world::{World, side};
use super::{ServiceName, refused};
use crate::error::Result;

/// Uninstalls the service.
///
/// # Errors
/// [`super::Error::PointedTo`] when other services run from its root, [`super::Error::NotInstalled`] when there is none of
/// this name, and [`super::Error::Undone`] when a step failed: then it is installed as before.
pub fn uninstall(world: &mut World<'_>, name: &ServiceName) -> Result<()> {
    world.must_be_settled(name)?;
    let service = Service::get(world.places, name)?;
    let users = followers(world.places, name)?;
    if !users.is_empty() {
        let name = name.clone();
        return Err(super::Error::PointedTo { name, users }.into());
    }
    let mut journal = begin(world, Verb::Uninstall, &service)?;
    let tracked = &service.current()?.info.installed_files;
    journal.host = HostFiles::default().plan(&world.places.host_root, tracked)?;
    for text in std::mem::take(&mut journal.host.said) {
        world.say(&text);
    }
    journal.victims = service.deployments.iter().map(side).collect();
    world.carry_out(journal)?;
    refused::forget(world, name, None)
}
