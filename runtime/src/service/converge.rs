//! Making the host what a journal says, from whatever a crash left of it.
//!
//! # Model
//!
//! A change has two sides: the deployment that was current and the one that is to be; an installation has no first, an
//! uninstallation no second. Going forward the host is to have the second and not the first, going back the other way
//! round. Either way the same steps lead there, and each of them finds out by itself whether it is done:
//!
//! | step | with a deployment to have | with none |
//! |---|---|---|
//! | 1 | stop the unit | stop it |
//! | 2 | | disable it, remove it, reload |
//! | 3 | systemd-tmpfiles --remove for the one not to have | the same, and remove the file |
//! | 4 | | host files go, the link goes |
//! | 5 | slots: what leaves goes to the trash, then what comes leaves staging; back: the other way round, after 8 | the same |
//! | 6 | host files: those that are wanted no more go, the others are put | |
//! | 7 | unit, tmpfiles.d file, each by rename | |
//! | 8 | the link, by rename | |
//! | 9 | reload, systemd-tmpfiles --create, enable | |
//! | 10 | start, if it was running; watch it; start what went down with it, restart what runs from its root | |
//!
//! # Invariants
//!
//! - A unit on disk leads to a slot that holds its deployment: slots are filled before the unit is put, and only a slot that
//!   no unit leads to is emptied. So whatever instant a power cut chooses, what systemd starts at boot is the old service or
//!   the new one, whole. Where a deployment that was never seen running is replaced in its own slot, the two are exchanged,
//!   and until the unit is put the old unit starts the new deployment.
//! - A deployment that leaves its slot is kept whole until the journal is gone.
//! - Directories are told by the id in their `info`, never by their place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::deployment::{Deployment, entries, tmpfiles_copy};
use super::event::{Event, Step};
use super::gate::{self, Verdict};
use super::host_apply::HostTold;
use super::journal::{Direction, Journal, Side};
use super::put::{exchange, put_file, put_link, remove, rename};
use super::world::World;
use super::{Places, ServiceName};
use crate::error::{Error, Result};

pub(super) struct Converge<'w, 'a> {
    world: &'w mut World<'a>,
    journal: &'w Journal,
    name: ServiceName,
    unit: String,
}

/// Does what the journal says in the direction that it says.
pub(super) fn converge(world: &mut World<'_>, journal: &Journal) -> Result<()> {
    let name = journal.name()?;
    let mut it = Converge {
        unit: name.unit(),
        name,
        world,
        journal,
    };
    match journal.sides() {
        (Some(target), away) => it.have(target, away),
        (None, Some(away)) => it.have_none(away),
        (None, None) => Ok(()),
    }
}

impl Converge<'_, '_> {
    fn have(&mut self, target: &Side, away: Option<&Side>) -> Result<()> {
        let away = self.locate(away)?;
        self.stop()?;
        if let Some(away) = &away {
            self.clean_tmpfiles(away)?;
        }
        let late = self.settles_late(target);
        if !late {
            self.settle_slots()?;
        }
        let Some(target) = self.locate(Some(target))? else {
            let dir = self.places().slot(&self.name, target.slot);
            return Err(super::Error::LostDeployment { path: dir }.into());
        };
        self.host_files(&target.dir)?;
        self.put_unit(&target, away.as_ref())?;
        self.put_tmpfiles(&target)?;
        self.flip(&target)?;
        self.reload()?;
        if late {
            self.settle_slots()?;
        }
        self.create_tmpfiles(&target)?;
        self.enable(&target)?;
        self.start(&target)
    }

    fn have_none(&mut self, away: &Side) -> Result<()> {
        let away = self.locate(Some(away))?;
        self.stop()?;
        self.remove_unit()?;
        if let Some(away) = &away {
            self.clean_tmpfiles(away)?;
        }
        let tmpfiles = self.world.places.tmpfiles_of(&self.name);
        if has_entry(&tmpfiles) {
            self.world
                .step(Step::RemoveTmpfiles(&tmpfiles), || remove(&tmpfiles))?;
        }
        if let Some(away) = &away {
            self.host_files(&away.dir)?;
        }
        let link = self.places().link(&self.name);
        if link.is_symlink() {
            self.world.step(Step::RemoveLink(&link), || remove(&link))?;
        }
        self.settle_slots()
    }

    fn places(&self) -> &Places {
        self.world.places
    }

    fn locate(&self, side: Option<&Side>) -> Result<Option<Deployment>> {
        locate(self.world.places, &self.name, side)
    }

    fn stop(&mut self) -> Result<()> {
        let (manager, unit) = (self.world.manager, self.unit.as_str());
        // One that only prints knows of nothing that runs; what is to go for good is stopped in any case.
        let for_good =
            self.journal.sides().0.is_none() && has_entry(&self.places().unit(&self.name));
        if !manager.is_active(unit)? && (manager.acts() || !for_good) {
            return Ok(());
        }
        self.world.step(Step::Stop(unit), || manager.stop(unit))
    }

    fn remove_unit(&mut self) -> Result<()> {
        let (manager, unit) = (self.world.manager, self.unit.as_str());
        let path = self.places().unit(&self.name);
        if !has_entry(&path) {
            return Ok(());
        }
        self.world
            .step(Step::Disable(unit), || manager.disable(unit))?;
        self.world.step(Step::RemoveUnit(&path), || remove(&path))?;
        self.reload()
    }

    fn clean_tmpfiles(&mut self, away: &Deployment) -> Result<()> {
        let manager = self.world.manager;
        match away.tmpfiles() {
            Some(file) if has_entry(&self.places().tmpfiles_of(&self.name)) => {
                self.world.step(Step::CleanTmpfiles(&file), || {
                    manager.tmpfiles_remove(&file)
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether slots are settled after the unit: going back the unit leads to what is to leave its slot, until it has been
    /// put. Where both had the same slot there is no choice.
    fn settles_late(&self, target: &Side) -> bool {
        self.journal.direction == Direction::Back && !self.journal.victims.contains(target)
    }

    /// Puts every directory where the direction wants it.
    fn settle_slots(&mut self) -> Result<()> {
        match self.journal.direction {
            Direction::Forward => {
                let in_place = self.journal.in_place();
                for victim in &self.journal.victims {
                    if in_place.is_none_or(|(from, _)| victim != from) {
                        self.take_out(victim)?;
                    }
                }
                if let Some((from, to)) = in_place {
                    let trash = self.places().trash(&self.name, &from.id);
                    return self.replace(to, from, &trash);
                }
                match &self.journal.to {
                    Some(to) if self.journal.staged => self.put_in(to),
                    _ => Ok(()),
                }
            }
            Direction::Back => {
                if let (Some(to), true) = (&self.journal.to, self.journal.staged) {
                    let staged = self.places().staged(&self.name, &to.id);
                    match self.journal.in_place() {
                        Some((from, to)) => self.replace(from, to, &staged)?,
                        None => self.move_out(to, &staged)?,
                    }
                }
                for victim in &self.journal.victims {
                    let trash = self.places().trash(&self.name, &victim.id);
                    self.move_in(victim, &trash)?;
                }
                Ok(())
            }
        }
    }

    fn take_out(&mut self, victim: &Side) -> Result<()> {
        let trash = self.places().trash(&self.name, &victim.id);
        self.move_out(victim, &trash)
    }

    fn put_in(&mut self, to: &Side) -> Result<()> {
        let staged = self.places().staged(&self.name, &to.id);
        self.move_in(to, &staged)
    }

    fn move_out(&mut self, side: &Side, to: &Path) -> Result<()> {
        let slot = self.places().slot(&self.name, side.slot);
        if holds(&self.name, side, &slot)?.is_none() {
            return Ok(());
        }
        self.world.step(Step::TakeOut(&slot), || rename(&slot, to))
    }

    fn move_in(&mut self, side: &Side, from: &Path) -> Result<()> {
        let slot = self.places().slot(&self.name, side.slot);
        if holds(&self.name, side, from)?.is_none() {
            return Ok(());
        }
        self.world.step(Step::PutIn(&slot), || rename(from, &slot))
    }

    /// Puts `comes` where `goes` stands: they are exchanged, so that at no instant the slot is empty. What went is moved
    /// on to `away`.
    fn replace(&mut self, comes: &Side, goes: &Side, away: &Path) -> Result<()> {
        let (places, name) = (self.places(), &self.name);
        let slot = places.slot(name, goes.slot);
        let mut rooms = Vec::new();
        for side in [comes, goes] {
            rooms.extend([places.staged(name, &side.id), places.trash(name, &side.id)]);
        }
        let mut room = None;
        for it in &rooms {
            if holds(name, comes, it)?.is_some() {
                room = Some(it);
            }
        }
        if let Some(room) = room {
            let stands = holds(name, goes, &slot)?.is_some();
            let exchanged = stands
                && self
                    .world
                    .step(Step::PutIn(&slot), || exchange(room, &slot))?;
            if !exchanged {
                self.move_out(goes, away)?;
                self.move_in(comes, room)?;
            }
        }
        for room in rooms.iter().filter(|room| *room != away) {
            if holds(&self.name, goes, room)?.is_some() {
                self.world
                    .step(Step::TakeOut(&slot), || rename(room, away))?;
            }
        }
        Ok(())
    }

    fn host_files(&mut self, deployment: &Path) -> Result<()> {
        let root = self.places().host_root.clone();
        let told = &mut *self.world.told;
        self.journal
            .host
            .apply(&root, deployment, &mut |event| match event {
                HostTold::Before(step) => told(Event::Before(Step::HostFile(step))),
                HostTold::After(step) => told(Event::After(Step::HostFile(step))),
                HostTold::Said(text) => told(Event::Said(text)),
            })
    }

    fn put_unit(&mut self, target: &Deployment, away: Option<&Deployment>) -> Result<()> {
        let path = self.places().unit(&self.name);
        let Some(copy) = target.unit() else {
            return match has_entry(&path) {
                true => self.remove_unit(),
                false => Ok(()),
            };
        };
        let text = read(&copy)?;
        let (manager, unit) = (self.world.manager, self.unit.as_str());
        let before = match away.and_then(Deployment::unit) {
            Some(copy) => Some(read(&copy)?),
            None => None,
        };
        let installs_otherwise =
            before.is_some_and(|before| install_section(&before) != install_section(&text));
        if self.journal.is_enabled_after() && installs_otherwise {
            self.world
                .step(Step::Disable(unit), || manager.disable(unit))?;
        }
        self.world.step(Step::PutUnit(&path), || {
            put_file(&path, text.as_bytes(), 0o644)
        })
    }

    fn put_tmpfiles(&mut self, target: &Deployment) -> Result<()> {
        let path = self.places().tmpfiles_of(&self.name);
        match target.tmpfiles() {
            Some(copy) => {
                let text = read(&copy)?;
                self.world.step(Step::PutTmpfiles(&path), || {
                    put_file(&path, text.as_bytes(), 0o644)
                })
            }
            None if has_entry(&path) => self
                .world
                .step(Step::RemoveTmpfiles(&path), || remove(&path)),
            None => Ok(()),
        }
    }

    fn flip(&mut self, target: &Deployment) -> Result<()> {
        let link = self.places().link(&self.name);
        self.world
            .step(Step::Flip(&target.dir), || put_link(&link, &target.dir))
    }

    fn reload(&mut self) -> Result<()> {
        let manager = self.world.manager;
        self.world.step(Step::Reload, || manager.reload())
    }

    fn create_tmpfiles(&mut self, target: &Deployment) -> Result<()> {
        let manager = self.world.manager;
        if !tmpfiles_copy(&target.dir, &self.name).is_file() {
            return Ok(());
        }
        let path = self.places().tmpfiles_of(&self.name);
        self.world.step(Step::CreateTmpfiles(&path), || {
            manager.tmpfiles_create(&path)
        })
    }

    fn enable(&mut self, target: &Deployment) -> Result<()> {
        let (manager, unit) = (self.world.manager, self.unit.as_str());
        if target.unit().is_none() || !self.journal.is_enabled_after() {
            return Ok(());
        }
        self.world.step(Step::Enable(unit), || manager.enable(unit))
    }

    fn start(&mut self, target: &Deployment) -> Result<()> {
        if self.journal.was_active && target.unit().is_some() {
            let started = self.start_and_watch(target);
            match (self.journal.direction, started) {
                // There is nothing left to go back to.
                (Direction::Back, Err(error)) => self.world.say(&format!(
                    "{} did not come up again: {}",
                    self.unit,
                    chain(&error)
                )),
                (_, started) => started?,
            }
        }
        self.others()
    }

    fn start_and_watch(&mut self, target: &Deployment) -> Result<()> {
        let (manager, unit) = (self.world.manager, self.unit.as_str());
        let (clock, health) = (self.world.clock, self.world.health);
        let grace = target.info.health.as_ref().map_or(0, |it| it.start_period);
        let gate = self.world.gate.with_grace(Duration::from_nanos(grace));
        let name = &self.name;
        self.world.step(Step::Start(unit), || {
            if manager.is_failed(unit)? {
                manager.reset_failed(unit)?;
            }
            let mut check = || health.map_or(Ok(None), |health| health(target));
            let verdict = gate::start_and_watch(manager, unit, &gate, clock, Some(&mut check))?;
            match verdict {
                Verdict::Ready => Ok(()),
                Verdict::Failed(why) => Err(super::Error::NotUp {
                    name: name.clone(),
                    why,
                }
                .into()),
            }
        })
    }

    /// Starts what went down with it, and restarts what runs from its root.
    fn others(&mut self) -> Result<()> {
        let manager = self.world.manager;
        for other in &self.journal.dependants {
            if !manager.is_active(other)? {
                self.world
                    .step(Step::Restart(other), || manager.start(&[other.as_str()]))?;
            }
        }
        for follower in &self.journal.followers {
            self.world
                .step(Step::Restart(follower), || manager.restart(follower))?;
        }
        Ok(())
    }
}

/// The deployment of a side, wherever it is; `None` when it is nowhere any more.
pub(super) fn locate(
    places: &Places,
    name: &ServiceName,
    side: Option<&Side>,
) -> Result<Option<Deployment>> {
    let Some(side) = side else {
        return Ok(None);
    };
    for dir in [
        places.slot(name, side.slot),
        places.staged(name, &side.id),
        places.trash(name, &side.id),
    ] {
        if let Some(found) = holds(name, side, &dir)? {
            return Ok(Some(found));
        }
    }
    // Two that were exchanged are in each other's place for a moment.
    let prefix = format!("{name}.");
    for parent in [places.all_staged(), places.all_trash()] {
        for entry in entries(&parent)? {
            let found = match entry.starts_with(&prefix) {
                true => holds(name, side, &parent.join(entry)).ok().flatten(),
                false => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// The deployment in `dir`, when it is this one.
fn holds(name: &ServiceName, side: &Side, dir: &Path) -> Result<Option<Deployment>> {
    if !dir.join(super::info::INFO).is_file() {
        return Ok(None);
    }
    let found = Deployment::load(name, side.slot, dir)?;
    Ok(Some(found).filter(|it| it.id() == side.id))
}

fn read(path: &PathBuf) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Whether there is anything at `path`, also a link that leads nowhere.
pub(super) fn has_entry(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The lines of a unit that say what `enable` does.
fn install_section(unit: &str) -> Vec<&str> {
    let lines = unit.lines().map(str::trim);
    lines
        .skip_while(|line| *line != "[Install]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .collect()
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
