//! Putting right what crashes left: opening the services has done most of it.

use std::path::PathBuf;

use super::ServiceName;
use super::deployment::entries;
use super::event::Step;
use super::info::INFO;
use super::places::is_slot;
use super::put::{remove, rename};
use super::world::{Recovered, World};
use crate::error::Result;

/// What was found and put right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Changes that were cut off.
    pub recovered: Vec<Recovered>,
    /// Deployments that belonged to no service.
    pub orphans: Vec<PathBuf>,
}

/// Removes deployments without a service, and tells what else was done.
pub fn repair(world: &mut World<'_>) -> Result<Repaired> {
    let places = world.places;
    let mut orphans = Vec::new();
    for entry in entries(&places.checkouts)? {
        let Some((name, slot)) = entry.rsplit_once('.') else {
            continue;
        };
        let Ok(name) = ServiceName::new(name) else {
            continue;
        };
        let dir = places.checkouts.join(&entry);
        let is_deployment = is_slot(slot) && !dir.is_symlink() && dir.join(INFO).is_file();
        let is_busy = world
            .recovered()
            .iter()
            .any(|it| it.name == name && it.is_stuck());
        if is_deployment && !is_busy && !places.link(&name).is_symlink() {
            orphans.push((name, dir));
        }
    }
    for (name, dir) in &orphans {
        let info = super::info::Info::read(&dir.join(INFO))?;
        let id = info.id.unwrap_or_else(|| "atomic".to_owned());
        let trash = places.trash(name, &id);
        world.step(Step::TakeOut(dir), || rename(dir, &trash))?;
    }
    for draft in entries(&places.journals())? {
        if draft.ends_with(".new") {
            remove(&places.journals().join(draft))?;
        }
    }
    world.sweep();
    Ok(Repaired {
        recovered: world.recovered().to_vec(),
        orphans: orphans.into_iter().map(|(_, dir)| dir).collect(),
    })
}
