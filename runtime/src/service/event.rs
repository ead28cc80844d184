//! What a change of a service tells while it happens: every step that changes something outside `.berth/staging`, before
//! and after it.

use std::path::Path;

use super::host_change::HostStep;
use super::notice::RolledBack;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The step comes next.
    Before(Step<'a>),
    /// The step has been done.
    After(Step<'a>),
    /// Everything is as it was before, since the service did not come up. Nobody asked for that: the journal is told.
    RolledBack(RolledBack<'a>),
    /// Something that the reader should know.
    Said(&'a str),
}

/// One step of a change. Each can be done again when a crash came in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Hold the image of a deployment in the making.
    Pin(&'a str),
    /// Write the journal: from here on the change will be finished, or undone as a whole.
    Decide(&'a Path),
    /// Stop the unit.
    Stop(&'a str),
    /// Have the unit not started at boot.
    Disable(&'a str),
    /// Remove the unit.
    RemoveUnit(&'a Path),
    /// Have systemd read its units.
    Reload,
    /// Remove what the deployment's tmpfiles.d file says is to be removed.
    CleanTmpfiles(&'a Path),
    /// Remove the tmpfiles.d file.
    RemoveTmpfiles(&'a Path),
    /// Put or remove a file of the host.
    HostFile(&'a HostStep),
    /// Remove the link to the current deployment.
    RemoveLink(&'a Path),
    /// Take a deployment out of its slot.
    TakeOut(&'a Path),
    /// Put a deployment into its slot.
    PutIn(&'a Path),
    /// Put the unit.
    PutUnit(&'a Path),
    /// Put the tmpfiles.d file.
    PutTmpfiles(&'a Path),
    /// Let the link lead to this deployment.
    Flip(&'a Path),
    /// Make what the tmpfiles.d file says.
    CreateTmpfiles(&'a Path),
    /// Have the unit started at boot.
    Enable(&'a str),
    /// Start the unit, and see whether it is up and stays so.
    Start(&'a str),
    /// Start a unit that was stopped with it, or that runs from its root.
    Restart(&'a str),
    /// Write down that the deployment has been seen running, or that it has not come up.
    Note(&'a Path),
    /// Remove the journal: the change is done.
    Finish(&'a Path),
    /// Let go of the image of a deployment that is no more, and remove its files.
    Discard(&'a Path),
}
