//! What a deployment is to be, rendered and checked: the same for an installation and an update.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use store::oci::ContainerConfig;

use super::deployment::SERIAL;
use super::info::Info;
use super::places::Places;
use super::service_health::ServiceHealth;
use super::stage::Root;
use super::variables::FORCED;
use super::world::REPO;
use super::{
    Exports, HostFileKind, IdRanges, Quadlet, Rendered, Runtime, Scope, ServiceName, Wanted, render,
};
use crate::error::Result;

/// The key of `info` that says that what the image exports does not count.
const PLAIN: &str = "berth-plain";
/// The key of `info` that has the quadlet.
const QUADLET: &str = "berth-quadlet";

/// The host and the user for whom services are rendered.
#[derive(Debug, Clone)]
pub struct Installer {
    /// Whose systemd.
    pub scope: Scope,
    /// Who installs.
    pub uid: u32,
    /// The group of who installs.
    pub gid: u32,
    /// The subordinate ids of who installs.
    pub ranges: IdRanges,
    /// What `$ATOMIC` is.
    pub atomic: String,
    /// `RUN_DIRECTORY`.
    pub run_directory: PathBuf,
    /// `STATE_DIRECTORY`.
    pub state_directory: PathBuf,
    /// `CONF_DIRECTORY`.
    pub conf_directory: PathBuf,
    /// The kernel's last capability.
    pub last_cap: u32,
    /// Seconds since 1970.
    pub now: u64,
}

impl Installer {
    /// Whether the host gives a variable this value, or decides it whatever anybody set.
    pub(super) fn gives(&self, service: &ServiceName, name: &str, value: &str) -> bool {
        let pid_file = self.run_directory.join(format!("container-{service}.pid"));
        let directory = |path: &Path| path.to_str() == Some(value);
        match name {
            "RUN_DIRECTORY" => directory(&self.run_directory),
            "STATE_DIRECTORY" => directory(&self.state_directory),
            "CONF_DIRECTORY" => directory(&self.conf_directory),
            "PIDFILE" => directory(&pid_file),
            "UUID" | "RUNTIME" | "ATOMIC" | "ALL_PROCESS_CAPABILITIES" => true,
            _ => FORCED.contains(&name),
        }
    }
}

/// A deployment to be.
#[derive(Clone)]
pub struct Order<'a> {
    /// Whose.
    pub name: &'a ServiceName,
    /// What it is made of.
    pub root: Root<'a>,
    /// What the image hands out.
    pub exports: &'a Exports,
    /// The image as it was named.
    pub image_name: String,
    /// Where it is pulled from, when that is not its name.
    pub source: Option<String>,
    /// The image's id, without `sha256:`.
    pub revision: String,
    /// The digest of its manifest.
    pub digest: Option<String>,
    /// What a container of the image runs.
    pub config: Option<&'a ContainerConfig>,
    /// The quadlet that describes the service, instead of the image.
    pub quadlet: Option<&'a Quadlet>,
    /// Whether the image's own config counts, whatever it exports.
    pub plain: bool,
    /// What the user has set.
    pub set: BTreeMap<String, String>,
    /// The runtime that the unit calls.
    pub runtime: &'a Runtime,
    /// How many deployments are kept.
    pub keep: u32,
}

/// A deployment, rendered for its slot. Nothing of it is on disk.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it goes.
    pub destination: PathBuf,
    /// Its slot.
    pub slot: u32,
    /// Its documents.
    pub rendered: Rendered,
    /// The unit and the tmpfiles.d file that are written, where there are any.
    pub unit: Option<PathBuf>,
    /// The same.
    pub tmpfiles: Option<PathBuf>,
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("name", self.name)
            .field("root", &self.root)
            .field("image", &self.image_name)
            .finish_non_exhaustive()
    }
}

impl Order<'_> {
    /// Renders it for a slot. Fails on whatever would make it useless; nothing has been touched by then.
    pub fn plan(
        &self,
        places: &Places,
        installer: &Installer,
        slot: u32,
        uuid: &str,
    ) -> Result<Plan> {
        let destination = places.slot(self.name, slot);
        let remote = match self.root {
            Root::Image(..) => None,
            Root::Remote(path) => Some(path),
        };
        let root = &places.host_root;
        let exists = |path: &Path| {
            let below = path.strip_prefix("/").unwrap_or(path);
            root.join(below).symlink_metadata().is_ok()
        };
        let wanted = Wanted {
            name: self.name,
            destination: &destination,
            image_name: &self.image_name,
            image_id: self.revision.clone(),
            set: &self.set,
            uuid,
            scope: installer.scope,
            uid: installer.uid,
            gid: installer.gid,
            uid_ranges: &installer.ranges.uids,
            gid_ranges: &installer.ranges.gids,
            runtime: self.runtime,
            atomic: &installer.atomic,
            run_directory: &installer.run_directory,
            state_directory: &installer.state_directory,
            conf_directory: &installer.conf_directory,
            last_cap: installer.last_cap,
            remote,
            exists: &exists,
            config: self.config,
            quadlet: self.quadlet,
        };
        let rendered = render(self.exports, &wanted)?;
        Ok(Plan {
            slot,
            unit: rendered.unit.as_ref().map(|_| places.unit(self.name)),
            tmpfiles: rendered
                .tmpfiles
                .as_ref()
                .map(|_| places.tmpfiles_of(self.name)),
            destination,
            rendered,
        })
    }

    /// What is written down of it; what it puts on the host is not known yet.
    pub(super) fn info(&self, plan: &Plan, now: u64, id: &str, serial: u64) -> Info {
        let rendered = &plan.rendered;
        let mut info = Info {
            image: self.image_name.clone(),
            revision: self.revision.clone(),
            created: now,
            values: rendered.values.clone(),
            has_container_service: rendered.unit.is_some(),
            installed_files_template: rendered.templates.clone(),
            rename_installed_files: rendered.renames.clone(),
            use_links: rendered.use_links,
            runtime: Some(self.runtime.words.join(" ")),
            id: Some(id.to_owned()),
            source: self.source.clone(),
            digest: self.digest.clone(),
            set: Some(self.set.clone()),
            keep: self.keep,
            health: plan.rendered.health.as_ref().and_then(ServiceHealth::of),
            ..Info::default()
        };
        match self.root {
            Root::Image(repo, image) => {
                info.ostree_commit = Some(image.commit.hex());
                let repo = repo.path().display().to_string();
                info.others.insert(REPO.to_owned(), repo.into());
            }
            Root::Remote(path) => info.remote = Some(path.to_owned()),
        }
        info.others.insert(SERIAL.to_owned(), serial.into());
        if self.plain {
            info.others.insert(PLAIN.to_owned(), true.into());
        }
        if let Some(quadlet) = self.quadlet.and_then(|it| serde_json::to_value(it).ok()) {
            info.others.insert(QUADLET.to_owned(), quadlet);
        }
        info
    }
}

impl Plan {
    /// Everything that it writes to the host outside of the deployment, with what it is.
    pub fn paths(&self) -> Vec<(PathBuf, &'static str)> {
        let mut paths = Vec::new();
        paths.extend(self.unit.iter().map(|path| (path.clone(), "unit")));
        let tmpfiles = self.tmpfiles.iter();
        paths.extend(tmpfiles.map(|path| (path.clone(), "tmpfiles")));
        for file in &self.rendered.host_files {
            let what = match file.what {
                HostFileKind::Directory { .. } => "directory",
                HostFileKind::Link { .. } => "link",
                HostFileKind::File { .. } => "file",
            };
            paths.push((file.path.clone(), what));
        }
        for line in temporary(self.rendered.tmpfiles.as_deref().unwrap_or_default()) {
            paths.push((line.into(), "temporary"));
        }
        paths
    }
}

/// Whether a deployment was made of its image's config, whatever that exports.
pub fn is_plain(info: &Info) -> bool {
    info.others.get(PLAIN).is_some_and(|it| it == true)
}

/// The quadlet that a deployment was made of.
pub fn quadlet_of(info: &Info) -> Option<Quadlet> {
    serde_json::from_value(info.others.get(QUADLET)?.clone()).ok()
}

/// The paths that the lines of a tmpfiles.d file are about.
pub(super) fn temporary(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().nth(1))
}
