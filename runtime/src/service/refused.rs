//! Images that did not come up as a service: an update of everything does not try them again.

use super::event::Step;
use super::world::World;
use super::{Places, ServiceName};
use crate::document;
use crate::error::{Error, Result};

/// How many are remembered of a service.
const REFUSED_MAX: usize = 16;

/// Whether it is the service itself that failed, and not the host.
pub(super) fn is_of_the_service(error: &Error) -> bool {
    matches!(error, Error::Service(super::Error::NotUp { .. }))
}

/// The ids of images that did not come up, the oldest first.
pub fn read(places: &Places, name: &ServiceName) -> Result<Vec<String>> {
    Ok(document::read_whole(&places.failed(name))?.unwrap_or_default())
}

/// Remembers one.
pub(super) fn remember(world: &mut World<'_>, name: &ServiceName, image: &str) -> Result<()> {
    let mut ids = read(world.places, name)?;
    ids.retain(|id| id != image);
    ids.push(image.to_owned());
    let ids = &ids[ids.len().saturating_sub(REFUSED_MAX)..];
    let path = world.places.failed(name);
    world.step(Step::Note(&path), || document::write_lasting(&path, &ids))
}

/// Forgets one that has come up, or all.
pub(super) fn forget(world: &mut World<'_>, name: &ServiceName, image: Option<&str>) -> Result<()> {
    let before = read(world.places, name)?;
    let left: Vec<_> = before
        .iter()
        .filter(|id| image.is_some_and(|image| image != *id))
        .collect();
    if left.len() == before.len() {
        return Ok(());
    }
    let path = world.places.failed(name);
    match left.is_empty() {
        true => world.step(Step::Note(&path), || super::put::remove(&path)),
        false => world.step(Step::Note(&path), || document::write_lasting(&path, &left)),
    }
}
