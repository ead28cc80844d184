//! A deployment in the making: everything that it will be, in `.berth/staging/NAME.<id>`, before anything else changes.
//!
//! `info` is written first and names the id under which the image is held, so that whoever finds what a crash left can let
//! go of it. One that is dropped before it was decided removes itself.

use std::path::{Path, PathBuf};

use store::{CheckoutOptions, CheckoutReport, Durability, Image, Repo};

use super::deployment::{tmpfiles_copy, unit_copy};
use super::event::{Event, Step};
use super::host_files::{HostFiles, KeepOptions};
use super::info::{INFO, Info};
use super::put::{put_file, sync_file_system};
use super::{Places, Rendered, ServiceName};
use crate::container::make_private;
use crate::error::{Error, Result};
use crate::remove::remove_tree;

/// What a deployment is made of.
#[derive(Debug, Clone, Copy)]
pub enum Root<'a> {
    /// An image of the store.
    Image(&'a Repo, &'a Image),
    /// The root file system of another service.
    Remote(&'a Path),
}

/// What is to be staged.
pub(super) struct Draft<'a> {
    pub(super) places: &'a Places,
    pub(super) name: &'a ServiceName,
    pub(super) id: &'a str,
    pub(super) root: Root<'a>,
    pub(super) rendered: &'a Rendered,
}

/// A staged deployment.
pub(super) struct Staged {
    pub(super) dir: PathBuf,
    pub(super) host_files: HostFiles,
    id: String,
    repo: Option<Repo>,
    decided: bool,
}

impl Draft<'_> {
    /// Stages it with `info`, in which nothing but what it puts on the host is still missing.
    pub(super) fn stage(&self, info: &Info, told: &mut dyn FnMut(Event<'_>)) -> Result<Staged> {
        let dir = self.places.staged(self.name, self.id);
        make_private(&dir)?;
        let mut staged = Staged {
            dir,
            host_files: HostFiles::default(),
            id: self.id.to_owned(),
            repo: None,
            decided: false,
        };
        info.write(&staged.dir.join(INFO))?;
        let rootfs = staged.dir.join("rootfs");
        match self.root {
            Root::Image(repo, image) => {
                told(Event::Before(Step::Pin(self.id)));
                staged.repo = Some(Repo::open(repo.path())?);
                store::pin(repo, self.id, image, Durability::Lasting)?;
                told(Event::After(Step::Pin(self.id)));
                let report =
                    store::checkout(repo, image.root, &rootfs, &CheckoutOptions::default())?;
                if let Some(words) = copied(&report) {
                    told(Event::Said(&words));
                }
            }
            Root::Remote(path) => {
                std::os::unix::fs::symlink(path, &rootfs).map_err(Error::io("create", &rootfs))?
            }
        }
        self.write_documents(&mut staged)?;
        Ok(staged)
    }

    fn write_documents(&self, staged: &mut Staged) -> Result<()> {
        let dir = &staged.dir;
        let Rendered {
            config,
            unit,
            tmpfiles,
            ..
        } = self.rendered;
        let documents = [
            (dir.join("config.json"), config, 0o600),
            (unit_copy(dir, self.name), unit, 0o644),
            (tmpfiles_copy(dir, self.name), tmpfiles, 0o644),
        ];
        for (path, text, mode) in documents {
            if let Some(text) = text {
                put_file(&path, text.as_bytes(), mode)?;
            }
        }
        let has_container = unit.is_some();
        let is_remote = matches!(self.root, Root::Remote(_));
        let options = KeepOptions {
            use_links: self.rendered.use_links,
            copies: is_remote || !has_container,
        };
        staged.host_files = HostFiles::keep(dir, &self.rendered.host_files, options)?;
        if !has_container {
            remove_tree(&dir.join("rootfs"))?;
        }
        Ok(())
    }
}

impl Staged {
    /// Writes what is known now that everything is planned, and sees to it that all of it lasts.
    pub(super) fn complete(&self, info: &Info) -> Result<()> {
        info.write(&self.dir.join(INFO))?;
        sync_file_system(&self.dir)
    }

    /// From now on the journal says what becomes of it.
    pub(super) fn decide(mut self) {
        self.decided = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        // The error that matters is the one that made us give up; what stays is removed by the next command.
        let let_go = self
            .repo
            .as_ref()
            .is_none_or(|repo| store::unpin(repo, &self.id).is_ok());
        if let_go {
            let _ = remove_tree(&self.dir);
        }
    }
}

/// What to say when files of a deployment are not hard links.
fn copied(report: &CheckoutReport) -> Option<String> {
    let elsewhere = report.copied_cross_device + report.copied_link_limit;
    match (report.reflinked, elsewhere) {
        (0, 0) => None,
        (shared, 0) => Some(format!(
            "{shared} files share blocks with the store and are no hard links: the deployments are on another file system"
        )),
        (shared, copies) => Some(format!(
            "{} files are copied: no hard links can be made from the store to the deployments",
            shared + copies
        )),
    }
}
