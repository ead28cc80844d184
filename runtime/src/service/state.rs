//! What a service is like before it is changed: what has to be as it was when the change is done, or undone.

use std::path::Path;

use super::converge::has_entry;
use super::deployment::{Service, entries};
use super::install::followers;
use super::journal::{Journal, Verb};
use super::world::{World, side};
use super::{Places, ServiceName};
use crate::error::Result;

/// A journal of a change of this service that says how it is now.
pub(super) fn begin(world: &mut World<'_>, verb: Verb, service: &Service) -> Result<Journal> {
    let (places, manager) = (world.places, world.manager);
    let unit = service.name.unit();
    let mut journal = Journal::new(verb, &service.name);
    journal.from = Some(side(service.current()?));
    journal.was_active = manager.is_active(&unit)?;
    journal.was_enabled = is_enabled(places, &service.name)?;
    if journal.was_active {
        journal.dependants = manager.dependants(&unit)?;
    }
    for follower in followers(places, &service.name)? {
        let unit = follower.unit();
        if manager.is_active(&unit)? {
            journal.followers.push(unit);
        }
    }
    Ok(journal)
}

/// Whether systemd starts the unit for something: a directory of the units' own, `*.wants` or `*.requires`, names it.
fn is_enabled(places: &Places, name: &ServiceName) -> Result<bool> {
    let wanting = |entry: &String| entry.ends_with(".wants") || entry.ends_with(".requires");
    let units: &Path = &places.units;
    let mut dirs = entries(units)?.into_iter().filter(wanting);
    Ok(dirs.any(|dir| has_entry(&units.join(dir).join(name.unit()))))
}
