//! The volumes of a root: directories `ROOT/volumes/NAME`, that containers share by name or have for themselves.
//!
//! Who uses a volume is told by the records of containers and by nothing else. Names are taken and volumes removed under
//! the lock under which records are written, so none is removed while a container that will use it is being made. A
//! volume is renamed out of sight before its files go, so that it is there wholly or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use rustix::thread::UnshareFlags;

use crate::container::{Containers, make_private};
use crate::error::{Error, Result};
use crate::ids::{IdHelpers, IdMaps, Ids};
use crate::naming;
use crate::probe::first_line;
use crate::remove::remove_tree;
use crate::start::REMOVE_VOLUME;
use crate::userns;
use crate::volume::{is_volume_name, volume_name};

/// What a volume that is being removed is called; no volume's name begins with a dot.
const GOING: &str = ".going-";

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    /// The directory with its files.
    pub path: PathBuf,
    /// When it was made, in seconds since 1970, where the file system knows.
    pub created: Option<u64>,
    /// The names of the containers that have it, sorted.
    pub used_by: Vec<String>,
}

/// How a volume is removed.
#[derive(Debug, Clone)]
pub struct RemoveVolumeOptions {
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

impl Containers {
    /// Every volume, sorted by name.
    pub fn volumes(&self) -> Result<Vec<VolumeInfo>> {
        let dir = self.volumes_dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &dir)(error)),
        };
        let mut users = self.volume_users()?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &dir))?;
            let Some(name) = entry.file_name().into_string().ok() else {
                continue;
            };
            // One that went meanwhile is none.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if is_volume_name(&name) && metadata.is_dir() {
                found.push(VolumeInfo {
                    path: entry.path(),
                    created: metadata
                        .created()
                        .ok()
                        .and_then(|moment| Some(moment.duration_since(UNIX_EPOCH).ok()?.as_secs())),
                    used_by: users.remove(&entry.path()).unwrap_or_default(),
                    name,
                });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Result<VolumeInfo> {
        self.volumes()?
            .into_iter()
            .find(|volume| volume.name == name)
            .ok_or_else(|| Error::NoVolume {
                name: name.to_owned(),
            })
    }

    /// Makes an empty volume, with a made-up name when none is given. Fails when the name is taken.
    pub fn create_volume(&self, name: Option<&str>) -> Result<VolumeInfo> {
        let name = match name {
            Some(name) => {
                volume_name(name).map_err(|why| Error::option("volume name", name, why))?
            }
            None => naming::new_id()?,
        };
        let _names = self.lock()?;
        let dir = self.volumes_dir();
        make_private(&dir)?;
        match fs::create_dir(dir.join(&name)) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::VolumeTaken { name });
            }
            outcome => outcome.map_err(Error::io("make", dir.join(&name)))?,
        }
        self.volume(&name)
    }

    /// Removes a volume that no container has, whoever its files belong to.
    pub fn remove_volume(&self, name: &str, options: &RemoveVolumeOptions) -> Result<()> {
        let names = self.lock()?;
        let volume = self.volume(name)?;
        if !volume.used_by.is_empty() {
            return Err(Error::VolumeUsed {
                name: volume.name,
                users: volume.used_by,
            });
        }
        let going = self
            .volumes_dir()
            .join(format!("{GOING}{}", naming::new_id()?));
        fs::rename(&volume.path, &going).map_err(Error::io("remove", &volume.path))?;
        drop(names);
        remove_owned(&going, &options.helpers)
    }

    /// Removes what is left of volumes whose removal was cut off.
    pub fn sweep_volumes(&self, options: &RemoveVolumeOptions) -> Result<()> {
        let dir = self.volumes_dir();
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(GOING) {
                remove_owned(&entry.path(), &options.helpers)?;
            }
        }
        Ok(())
    }

    pub(crate) fn volumes_dir(&self) -> PathBuf {
        self.root().join("volumes")
    }

    /// The containers of every volume, by the directory of the volume.
    fn volume_users(&self) -> Result<BTreeMap<PathBuf, Vec<String>>> {
        let mut users: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for (container, _) in self.list()? {
            for mount in container.record.mounts.into_iter().filter(|it| it.managed) {
                let names = users.entry(mount.source).or_default();
                names.push(container.record.name.clone());
                names.sort();
                names.dedup();
            }
        }
        Ok(users)
    }
}

/// Removes a tree; where some of it belongs to subordinate ids, a process that is root over these does.
fn remove_owned(path: &Path, helpers: &IdHelpers) -> Result<()> {
    if remove_tree(path).is_ok() {
        return Ok(());
    }
    let helpers = serde_json::to_string(helpers).map_err(|source| Error::Document {
        path: path.to_owned(),
        source,
    })?;
    let output = Command::new("/proc/self/exe")
        .arg(REMOVE_VOLUME)
        .arg(path)
        .arg(helpers)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(Error::os("start a process to remove the volume"))?;
    match output.status.success() {
        true => remove_tree(path),
        false => Err(Error::Child {
            verb: "remove",
            path: path.to_owned(),
            why: first_line(&String::from_utf8_lossy(&output.stderr)),
        }),
    }
}

/// The fresh process behind [`remove_owned`].
pub(crate) fn remove_volume_inside(path: &Path, helpers: &IdHelpers) -> Result<()> {
    let maps = IdMaps::choose(Ids::Auto, helpers)?;
    userns::enter(&maps, helpers, UnshareFlags::empty())?;
    remove_tree(path)
}
