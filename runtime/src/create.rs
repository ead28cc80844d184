//! Creating a container: everything that needs no namespace yet.
//!
//! Order: the image is pinned before its checkout is made, so that gc cannot take it away between; the record is written
//! last, so that a container exists wholly or not at all. What fails on the way is undone.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use store::oci::ContainerConfig;
use store::{Image, Repo};

use crate::container::{Container, Containers, make_private};
use crate::document;
use crate::error::{Error, Result};
use crate::ids::IdMaps;
use crate::log;
use crate::naming;
use crate::options::{CreateOptions, Settings};
use crate::ports;
use crate::process;
use crate::protect::store_dirs;
use crate::record::{RECORD, Record, VolumeMount};
use crate::remove::remove_tree;
use crate::seccomp;
use crate::volume::{ImageVolumes, Tmpfs, Volume, VolumeOptions, VolumeSource, inside};
use crate::walls;

/// What of an image a container is made of.
pub(crate) struct Rootfs {
    pub(crate) name: String,
    pub(crate) id: store::Digest,
    pub(crate) lower: PathBuf,
    pub(crate) config: ContainerConfig,
    /// What no volume may make writable.
    pub(crate) store: Vec<PathBuf>,
}

/// Creates a container of `image`, which is pinned and checked out for it.
pub fn create(
    containers: &Containers,
    repo: &Repo,
    image: &Image,
    options: &CreateOptions,
) -> Result<Container> {
    let id = naming::new_id()?;
    let hold = match options.settings.life.remove {
        true => store::Durability::ThisBoot,
        false => store::Durability::Lasting,
    };
    store::pin(repo, &id, image, hold)?;
    let created = store::shared_checkout(repo, image, &containers.root().join("checkouts"))
        .map_err(Error::from)
        .and_then(|lower| {
            let rootfs = Rootfs {
                name: image.name.to_string(),
                id: image.id,
                lower,
                config: image.config.container.clone(),
                store: store_dirs(repo.path(), containers.root()),
            };
            create_from(containers, &id, rootfs, options)
        });
    if created.is_err() {
        store::unpin(repo, &id)?;
    }
    created
}

/// Creates a container of a root directory that is there already.
pub(crate) fn create_from(
    containers: &Containers,
    id: &str,
    rootfs: Rootfs,
    options: &CreateOptions,
) -> Result<Container> {
    let settings = &options.settings;
    process::args(&rootfs.config, settings)?;
    settings
        .hostname
        .as_deref()
        .map_or(Ok(()), naming::check_hostname)?;
    log::check(&settings.life.log)?;
    seccomp::check(settings.security.filter(), &settings.security.caps()?)?;
    settings.net.check()?;
    if settings.groups.iter().any(|group| group == "keep-groups") {
        let why = "the host's groups mean nothing in a container of berth";
        return Err(Error::option("--group-add", "keep-groups", why));
    }
    let maps = IdMaps::choose(options.ids, &options.helpers)?;
    let dir = containers.dir(id);
    make_private(&dir)?;
    let outcome = fill(containers, id, &dir, &rootfs, maps, options);
    if outcome.is_err() {
        remove_tree(&dir)?;
        for index in 0..options.settings.volumes.len() + volume_paths(&rootfs.config).count() {
            remove_tree(&anonymous_volume(containers, id, index))?;
        }
    }
    outcome
}

fn fill(
    containers: &Containers,
    id: &str,
    dir: &Path,
    rootfs: &Rootfs,
    maps: IdMaps,
    options: &CreateOptions,
) -> Result<Container> {
    // Held from the first volume to the record: a volume that no record names may be removed.
    let _names = containers.lock()?;
    let mut settings = options.settings.clone();
    ports::settle(&mut settings.net, rootfs.config.exposed_ports.as_ref())?;
    let mounts = place_volumes(containers, id, &rootfs.config, &mut settings)?;
    let caps = settings.security.caps()?;
    walls::check(&settings, &caps, &mounts, &rootfs.store)?;
    make_layers(dir, &rootfs.lower)?;
    let record = Record {
        id: id.to_owned(),
        name: take_name(containers, options.name.as_deref())?,
        image: rootfs.name.clone(),
        image_id: rootfs.id,
        created: options.created,
        settings,
        config: rootfs.config.clone(),
        lower: rootfs.lower.clone(),
        maps,
        mounts,
    };
    let path = dir.join(RECORD);
    if record.settings.life.remove {
        document::write(&path, &record)?;
    } else {
        document::write_lasting(&path, &record)?;
    }
    Ok(Container {
        record,
        dir: dir.to_owned(),
        bundle: containers.bundle(id),
        containers: containers.clone(),
    })
}

/// Makes the overlay's upper and work directories. The upper's mode is what the container sees on its root.
fn make_layers(dir: &Path, lower: &Path) -> Result<()> {
    let mode = std::fs::metadata(lower)
        .map_err(Error::io("read", lower))?
        .permissions()
        .mode()
        & 0o7777;
    for (name, mode) in [("upper", mode | 0o500), ("work", 0o700)] {
        let path = dir.join(name);
        make_private(&path)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))
            .map_err(Error::io("set the mode of", &path))?;
    }
    Ok(())
}

fn take_name(containers: &Containers, wanted: Option<&str>) -> Result<String> {
    let taken: BTreeMap<String, String> = containers
        .list()?
        .into_iter()
        .map(|(c, _)| (c.record.name, c.record.id))
        .collect();
    let Some(name) = wanted else {
        for attempt in 0.. {
            let name = naming::random_name(attempt)?;
            if !taken.contains_key(&name) {
                return Ok(name);
            }
        }
        unreachable!("there are more names than containers");
    };
    naming::check_name(name)?;
    match taken.get(name) {
        Some(id) => Err(Error::NameTaken {
            name: name.to_owned(),
            id: id.clone(),
        }),
        None => Ok(name.to_owned()),
    }
}

/// Finds or makes the host's side of every volume: those asked for, then those of the image that nothing covers.
fn place_volumes(
    containers: &Containers,
    id: &str,
    config: &ContainerConfig,
    settings: &mut Settings,
) -> Result<Vec<VolumeMount>> {
    check_places(settings)?;
    let mut mounts: Vec<VolumeMount> = Vec::new();
    for volume in &settings.volumes {
        mounts.push(place(containers, id, mounts.len(), volume)?);
    }
    for path in volume_paths(config) {
        let destination = inside("VOLUME", path, path)?;
        if places(settings).any(|taken| *taken == destination) {
            continue;
        }
        match settings.image_volumes {
            ImageVolumes::Ignore => {}
            ImageVolumes::Tmpfs => settings.tmpfs.push(Tmpfs {
                destination,
                options: vec!["exec".into()],
                no_copy: false,
            }),
            ImageVolumes::Anonymous => {
                let volume = Volume {
                    source: VolumeSource::Anonymous,
                    destination,
                    options: VolumeOptions::default(),
                };
                mounts.push(place(containers, id, mounts.len(), &volume)?);
            }
        }
    }
    // Outer before inner, so that one does not hide the other.
    mounts.sort_by_key(|mount| mount.destination.components().count());
    Ok(mounts)
}

/// Where something is mounted because the caller said so.
fn places(settings: &Settings) -> impl Iterator<Item = &PathBuf> {
    let volumes = settings.volumes.iter().map(|volume| &volume.destination);
    volumes.chain(settings.tmpfs.iter().map(|tmpfs| &tmpfs.destination))
}

/// Fails when two are to be mounted in one place.
fn check_places(settings: &Settings) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    match places(settings).find(|place| !seen.insert(*place)) {
        None => Ok(()),
        Some(twice) => Err(Error::option(
            "--volume",
            &twice.display().to_string(),
            "two are to be mounted there",
        )),
    }
}

fn volume_paths(config: &ContainerConfig) -> impl Iterator<Item = &String> {
    config.volumes.iter().flatten().map(|(path, _)| path)
}

fn anonymous_volume(containers: &Containers, id: &str, index: usize) -> PathBuf {
    containers
        .root()
        .join("volumes")
        .join(format!("{id}-{index}"))
}

fn place(containers: &Containers, id: &str, index: usize, volume: &Volume) -> Result<VolumeMount> {
    let managed = |path: PathBuf| -> Result<PathBuf> {
        make_private(path.parent().unwrap_or(&path))?;
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(Error::io("make", &path)(error))
            }
            _ => Ok(path),
        }
    };
    let source = match &volume.source {
        VolumeSource::Host(path) => {
            std::fs::canonicalize(path).map_err(Error::io("find volume source", path))?
        }
        VolumeSource::Named(name) => managed(containers.root().join("volumes").join(name))?,
        VolumeSource::Anonymous => managed(anonymous_volume(containers, id, index))?,
    };
    Ok(VolumeMount {
        source,
        destination: volume.destination.clone(),
        options: volume.options,
        anonymous: volume.source == VolumeSource::Anonymous,
        managed: !matches!(volume.source, VolumeSource::Host(_)),
    })
}
