//! Changing services: one at a time, each wholly or not at all.
//!
//! ```text
//! stage ─► journal ─► converge ─► journal gone ─► what left its slot is removed
//!                        └ error ─► journal, the other way ─► converge ─► journal gone
//! ```
//!
//! The journal is the commit point. Before it nothing has changed but `.berth/staging`; from it on the change will be
//! finished, or, when a step of it fails, be undone. What a crash cuts off, the next command that changes a service takes
//! up, before anything else.

use std::path::{Path, PathBuf};

use store::{Lock, LockKind, LockWait, Repo};

use super::converge::{chain, converge, locate};
use super::deployment::{Deployment, entries};
use super::event::{Event, Step};
use super::gate::{Clock, GateOptions};
use super::host_change::{HostChange, beside};
use super::host_files::HostFiles;
use super::info::{INFO, Info};
use super::journal::{Direction, Journal, Side, Verb};
use super::notice::RolledBack;
use super::once::is_abandoned;
use super::put::remove;
use super::systemd::Manager;
use super::{Places, ServiceName, refused};
use crate::error::{Error, Result};
use crate::remove::remove_tree;

/// The key of `info` that says where the image is kept.
pub(super) const REPO: &str = "berth-repo";

/// Services, locked against everybody else who would change one.
pub struct World<'a> {
    /// Where services are.
    pub(super) places: &'a Places,
    /// Who starts and stops their units.
    pub(super) manager: &'a dyn Manager,
    /// How long a service may take to be up, and how long it has to stay so.
    pub(super) gate: GateOptions,
    /// What time it is.
    pub(super) clock: &'a dyn Clock,
    /// Asks a deployment that is up how it is.
    pub(super) health: Option<&'a Health<'a>>,
    /// Told of every step.
    pub(super) told: &'a mut dyn FnMut(Event<'_>),
    /// Where images are kept, unless a deployment says otherwise.
    pub(super) repo: PathBuf,
    done: Vec<Recovered>,
    _lock: Lock,
}

/// Asks a deployment that is up how it is: `None` when it is well, else what is wrong.
pub type Health<'a> = dyn Fn(&Deployment) -> Result<Option<String>> + 'a;

/// How services are opened for changes.
#[derive(Clone)]
pub struct WorldOptions<'a> {
    /// The repository, whether or not it is there.
    pub repo: PathBuf,
    /// How long a service may take to be up, and how long it has to stay so.
    pub gate: GateOptions,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Asks a deployment that is up how it is.
    pub health: Option<&'a Health<'a>>,
    /// How long to wait for somebody else who changes a service.
    pub wait: LockWait<'a>,
}

impl std::fmt::Debug for WorldOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorldOptions")
            .field("repo", &self.repo)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

/// A change that a crash had cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Of which service.
    pub name: ServiceName,
    /// What it was.
    pub verb: Verb,
    /// Whether it was finished; else it was undone, or could be neither.
    pub outcome: Outcome,
}

impl Recovered {
    /// What was done, in words.
    pub fn words(&self) -> String {
        let Self { name, verb, .. } = self;
        let verb = verb.as_str();
        match &self.outcome {
            Outcome::Finished => format!("finished what had been cut off: {verb} {name}"),
            Outcome::Undone(why) if why.is_empty() => {
                format!("undid what had been cut off: {verb} {name}")
            }
            Outcome::Undone(why) => format!("undid what had been cut off: {verb} {name}: {why}"),
            Outcome::Stuck(why) => format!("cannot {verb} {name}, nor undo it: {why}"),
        }
    }

    /// Whether it could be neither finished nor undone.
    pub const fn is_stuck(&self) -> bool {
        matches!(self.outcome, Outcome::Stuck(_))
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Finished,
    /// Everything is as it was before; why.
    Undone(String),
    /// Neither was possible; why.
    Stuck(String),
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("places", self.places)
            .finish_non_exhaustive()
    }
}

impl<'a> World<'a> {
    /// Locks the services, finishes or undoes what crashes have cut off, and removes what they left.
    pub fn open(
        places: &'a Places,
        manager: &'a dyn Manager,
        options: WorldOptions<'a>,
        told: &'a mut dyn FnMut(Event<'_>),
    ) -> Result<Self> {
        places.make_own()?;
        let lock = places.own().join("lock");
        let mut world = Self {
            places,
            manager,
            gate: options.gate,
            clock: options.clock,
            health: options.health,
            told,
            repo: options.repo,
            done: Vec::new(),
            _lock: store::lock_file(&lock, LockKind::Exclusive, &options.wait)?,
        };
        world.recover()?;
        world.sweep();
        Ok(world)
    }

    /// What opening it has finished or undone.
    pub fn recovered(&self) -> &[Recovered] {
        &self.done
    }

    /// Fails when a change of this service that was cut off could be neither finished nor undone.
    pub(super) fn must_be_settled(&self, name: &ServiceName) -> Result<()> {
        match self.done.iter().find(|it| it.name == *name) {
            Some(Recovered {
                verb,
                outcome: Outcome::Stuck(why),
                ..
            }) => Err(super::Error::Stuck {
                verb: verb.as_str(),
                name: name.clone(),
                why: why.clone(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    pub(super) fn step<T>(&mut self, step: Step<'_>, act: impl FnOnce() -> Result<T>) -> Result<T> {
        (self.told)(Event::Before(step));
        let done = act()?;
        (self.told)(Event::After(step));
        Ok(done)
    }

    pub(super) fn say(&mut self, text: &str) {
        (self.told)(Event::Said(text));
    }

    /// Decides the change and carries it out. When a step fails, everything is put back as it was before.
    pub(super) fn carry_out(&mut self, mut journal: Journal) -> Result<()> {
        let path = self.places.journal(&journal.name()?);
        let decided = self.step(Step::Decide(&path), || journal.write(&path));
        let done = decided.and_then(|()| self.go(&mut journal));
        self.sweep();
        done
    }

    fn go(&mut self, journal: &mut Journal) -> Result<()> {
        let name = journal.name()?;
        let mut failed = None;
        let images = (
            self.image(&name, journal.to.as_ref())?,
            self.image(&name, journal.from.as_ref())?,
        );
        if journal.direction == Direction::Forward {
            match converge(self, journal) {
                Ok(()) => return self.finish(journal),
                Err(error) => failed = Some(error),
            }
            self.turn_back(journal, failed.as_ref())?;
        }
        if let Err(error) = converge(self, journal) {
            return Err(super::Error::Stuck {
                verb: journal.verb.as_str(),
                name,
                why: chain(&error),
            }
            .into());
        }
        let path = self.places.journal(&name);
        self.step(Step::Finish(&path), || remove(&path))?;
        match failed {
            None => Ok(()),
            Some(error) => {
                self.tell_rollback(&name, images, &error);
                Err(super::Error::Undone {
                    verb: journal.verb.as_str(),
                    name,
                    source: Box::new(error),
                }
                .into())
            }
        }
    }

    /// The id of the image of one side.
    fn image(&self, name: &ServiceName, side: Option<&Side>) -> Result<Option<String>> {
        Ok(locate(self.places, name, side)?.map(|it| it.info.revision))
    }

    /// Tells that the service has its old deployment again, which nobody asked for.
    fn tell_rollback(
        &mut self,
        name: &ServiceName,
        images: (Option<String>, Option<String>),
        error: &Error,
    ) {
        if let (Some(failed), Some(now)) = images
            && refused::is_of_the_service(error)
        {
            (self.told)(Event::RolledBack(RolledBack {
                name: name.as_str(),
                failed: &failed,
                now: &now,
                why: &chain(error),
            }));
        }
    }

    /// Writes down that the change is to be undone, and how its host files are.
    fn turn_back(&mut self, journal: &mut Journal, error: Option<&Error>) -> Result<()> {
        let name = journal.name()?;
        self.remember_failure(journal, error)?;
        journal.direction = Direction::Back;
        journal.why = error.map(|error| chain(error));
        journal.host = self.undo_of(&name, journal)?;
        let path = self.places.journal(&name);
        self.step(Step::Decide(&path), || journal.write(&path))
    }

    /// What puts the host's files back. They may be those of either side now.
    fn undo_of(&self, name: &ServiceName, journal: &Journal) -> Result<HostChange> {
        let from = locate(self.places, name, journal.from.as_ref())?;
        let mut files = HostFiles::default();
        let mut tracked = journal.host.tracked.clone();
        if let Some(from) = &from {
            files = HostFiles::load(&from.dir)?.unwrap_or_default();
            let steps = journal.host.steps().iter();
            let created: Vec<&Path> = steps
                .filter(|it| it.verb() == "create")
                .map(|it| it.path.as_path())
                .collect();
            // What was not there before does not come back; nor is the place taken of what was changed and stayed.
            files.entries.retain(|entry| {
                let beside = beside(&entry.path);
                !created.contains(&entry.path.as_path()) && !created.contains(&beside.as_path())
            });
            let others = from.info.installed_files.iter();
            let others = others.filter(|it| tracked.iter().all(|to| to.path != it.path));
            tracked.extend(others.cloned().collect::<Vec<_>>());
        }
        let mut undo = files.plan(&self.places.host_root, &tracked)?;
        undo.said.clear();
        Ok(undo)
    }

    /// What is left to do once the host is as it is to be.
    fn finish(&mut self, journal: &Journal) -> Result<()> {
        let name = journal.name()?;
        if let Some(to) = locate(self.places, &name, journal.to.as_ref())? {
            let mut info = to.info.clone();
            info.installed_files.clone_from(&journal.host.tracked);
            // A service without a unit is as good as it can be once its files are there.
            info.good |= to.unit().is_none() || (journal.was_active && self.manager.acts());
            self.note(&to, info)?;
        }
        if let (Some(from), Some(_)) = (
            locate(self.places, &name, journal.from.as_ref())?,
            &journal.to,
        ) {
            let mut info = from.info.clone();
            info.good |= journal.was_active;
            info.failed = info.failed.or_else(|| journal.left_failed.clone());
            self.note(&from, info)?;
        }
        let path = self.places.journal(&name);
        self.step(Step::Finish(&path), || remove(&path))
    }

    fn note(&mut self, deployment: &Deployment, info: Info) -> Result<()> {
        if info == deployment.info {
            return Ok(());
        }
        self.step(Step::Note(&deployment.dir), || {
            info.write(&deployment.dir.join(INFO))
        })
    }

    fn remember_failure(&mut self, journal: &Journal, error: Option<&Error>) -> Result<()> {
        if !matches!(error, Some(error) if refused::is_of_the_service(error)) {
            return Ok(());
        }
        let name = journal.name()?;
        let to = locate(self.places, &name, journal.to.as_ref())?;
        match to {
            Some(to) => refused::remember(self, &name, &to.info.revision),
            None => Ok(()),
        }
    }

    fn recover(&mut self) -> Result<()> {
        for (_, mut journal) in Journal::all(self.places)? {
            let name = journal.name()?;
            let verb = journal.verb;
            let was_forward = journal.direction == Direction::Forward;
            let outcome = match self.go(&mut journal) {
                Ok(()) if was_forward => Outcome::Finished,
                Ok(()) => Outcome::Undone(journal.why.clone().unwrap_or_default()),
                Err(Error::Service(super::Error::Undone { source, .. })) => {
                    Outcome::Undone(chain(&*source))
                }
                Err(error) => Outcome::Stuck(chain(&error)),
            };
            self.done.push(Recovered {
                name,
                verb,
                outcome,
            });
        }
        Ok(())
    }

    /// Removes deployments that are in no slot and belong to no journal, and lets go of their images. What cannot be removed
    /// is said, and tried again by the next command.
    pub(super) fn sweep(&mut self) {
        if let Err(error) = self.try_to_sweep() {
            self.say(&chain(&error));
        }
    }

    fn try_to_sweep(&mut self) -> Result<()> {
        let journals = Journal::all(self.places)?;
        for parent in [
            self.places.all_staged(),
            self.places.all_trash(),
            self.places.all_once(),
        ] {
            for entry in entries(&parent)? {
                let id = entry.rsplit('.').next().unwrap_or_default();
                if journals.iter().any(|(_, journal)| journal.has(id)) {
                    continue;
                }
                let dir = parent.join(&entry);
                if parent == self.places.all_once() && !is_abandoned(&dir) {
                    continue;
                }
                let repo = repo_of(&dir).unwrap_or_else(|| self.repo.clone());
                self.step(Step::Discard(&dir), || discard(&dir, id, &repo))?;
            }
        }
        Ok(())
    }
}

/// The repository that a directory's `info` names.
fn repo_of(dir: &Path) -> Option<PathBuf> {
    let info = Info::read(&dir.join(INFO)).ok()?;
    Some(info.others.get(REPO)?.as_str()?.into())
}

/// Lets go of the image that is held by this id, and removes the directory.
pub(super) fn discard(dir: &Path, id: &str, repo: &Path) -> Result<()> {
    // Without its repository there is nothing that is held.
    match Repo::open(repo) {
        Ok(repo) => store::unpin(&repo, id)?,
        Err(store::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    remove_tree(dir)
}

/// The side of the journal that a deployment is.
pub(super) fn side(deployment: &Deployment) -> Side {
    Side {
        slot: deployment.slot,
        id: deployment.id(),
    }
}
