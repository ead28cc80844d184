//! Mounting what a container sees, by descriptors alone.
//!
//! A file system is made or cloned where nobody sees it, gets its attributes there, and is moved to a place that was opened
//! inside the root: no link in an image or volume leads it elsewhere, and nothing is ever half mounted. This happens before
//! libcontainer makes the container, in its supervisor's mount namespace. libcontainer is left those that take a namespace
//! which it makes itself, and they go on top.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use serde::Deserialize;
use serde_json::Value;

use crate::aliases;
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::proc::read_optional;
use crate::protect::{Bind, open_source};
use crate::sys;

/// Kinds that belong to the container's own pid and ipc namespace.
const LIBCONTAINERS: [&str; 2] = ["proc", "mqueue"];

/// What a word of a list of options does to a mount: the attribute, and whether it is set.
const ATTRIBUTES: [(&str, MountAttrFlags, bool); 14] = [
    ("ro", MountAttrFlags::MOUNT_ATTR_RDONLY, true),
    ("rw", MountAttrFlags::MOUNT_ATTR_RDONLY, false),
    ("nosuid", MountAttrFlags::MOUNT_ATTR_NOSUID, true),
    ("suid", MountAttrFlags::MOUNT_ATTR_NOSUID, false),
    ("nodev", MountAttrFlags::MOUNT_ATTR_NODEV, true),
    ("dev", MountAttrFlags::MOUNT_ATTR_NODEV, false),
    ("noexec", MountAttrFlags::MOUNT_ATTR_NOEXEC, true),
    ("exec", MountAttrFlags::MOUNT_ATTR_NOEXEC, false),
    ("strictatime", MountAttrFlags::MOUNT_ATTR_STRICTATIME, true),
    ("relatime", MountAttrFlags::MOUNT_ATTR_STRICTATIME, false),
    ("noatime", MountAttrFlags::MOUNT_ATTR_NOATIME, true),
    ("atime", MountAttrFlags::MOUNT_ATTR_NOATIME, false),
    ("nodiratime", MountAttrFlags::MOUNT_ATTR_NODIRATIME, true),
    ("diratime", MountAttrFlags::MOUNT_ATTR_NODIRATIME, false),
];
/// Words that say how mounts spread, and what the kernel calls that.
const PROPAGATIONS: [(&str, libc::c_ulong); 4] = [
    ("shared", libc::MS_SHARED),
    ("slave", libc::MS_SLAVE),
    ("private", libc::MS_PRIVATE),
    ("unbindable", libc::MS_UNBINDABLE),
];
/// Words that ask for what is so anyway, or for what no kernel has had for long.
const MEANINGLESS: [&str; 11] = [
    "bind",
    "rbind",
    "defaults",
    "async",
    "loud",
    "silent",
    "mand",
    "nomand",
    "norelatime",
    "nostrictatime",
    "noiversion",
];

/// A mount as the runtime specification writes it.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    source: PathBuf,
    destination: PathBuf,
    #[serde(default)]
    options: Vec<String>,
}

/// What a list of options comes to.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    /// For the mount itself.
    plain: MountAttrFlags,
    /// For all that is mounted below it as well.
    recursive: MountAttrFlags,
    /// For its file system.
    rest: Vec<&'a str>,
    /// How it spreads, when that is said.
    spread: Option<Spread>,
}

/// How a mount spreads between mount namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    /// `MS_SHARED` and its like.
    pub(crate) kind: libc::c_ulong,
    /// With all that is mounted below it.
    pub(crate) recursive: bool,
}

/// A mount that stands by itself and is seen nowhere yet.
#[derive(Debug)]
pub(crate) struct Made {
    tree: OwnedFd,
    is_dir: bool,
    pub(crate) source: PathBuf,
    pub(crate) destination: PathBuf,
    /// Whether it shows files that were there before.
    pub(crate) is_bind: bool,
    /// How it is to spread, when its document says.
    pub(crate) spread: Option<Spread>,
}

/// Takes the mounts out of a container's document that need nothing of libcontainer, and mounts them. Those that are
/// `volumes` were judged by their paths, which have to be those still.
pub(crate) fn mount_document(
    root: &InRoot,
    spec: &mut Value,
    document: &Path,
    volumes: &[Bind],
) -> Result<()> {
    for made in make_document(spec, document, volumes)? {
        made.place(root)?;
    }
    Ok(())
}

/// As [`mount_document`], but mounts nothing: what was made has its order, outer mounts first.
pub(crate) fn make_document(
    spec: &mut Value,
    document: &Path,
    volumes: &[Bind],
) -> Result<Vec<Made>> {
    let all = spec["mounts"].take();
    let unreadable = |source| Error::Document {
        path: document.to_owned(),
        source,
    };
    let all: Option<Vec<Value>> = serde_json::from_value(all).map_err(unreadable)?;
    let mut left: Vec<Value> = Vec::new();
    let mut ready = Vec::new();
    for mount in all.unwrap_or_default() {
        let place = mount["destination"].as_str().unwrap_or_default().to_owned();
        let outer = |mount: &Value| {
            let outer = mount["destination"].as_str().map(Path::new);
            outer.is_some_and(|outer| {
                Path::new(&place).starts_with(outer) && Path::new(&place) != outer
            })
        };
        // What lies in a mount that libcontainer makes can be mounted by nobody else.
        if LIBCONTAINERS.iter().any(|kind| mount["type"] == *kind) || left.iter().any(outer) {
            left.push(mount);
            continue;
        }
        let entry: Entry = serde_json::from_value(mount).map_err(unreadable)?;
        // What comes later covers what came before.
        left.retain(|mount| {
            let place = mount["destination"].as_str().map(Path::new);
            !place.is_some_and(|place| place.starts_with(&entry.destination))
        });
        let volume = volumes.iter().find(|volume| {
            (&volume.source, &volume.destination) == (&entry.source, &entry.destination)
        });
        ready.push(entry.make_ready(volume)?);
    }
    spec["mounts"] = Value::Array(left);
    Ok(ready)
}

/// Mounts a volume in a root that no container has yet.
pub(crate) fn mount_volume(root: &InRoot, bind: &Bind) -> Result<()> {
    let read_only = bind.read_only.then(|| "rro".to_owned());
    let entry = Entry {
        kind: "bind".into(),
        source: bind.source.clone(),
        destination: bind.destination.clone(),
        options: ["rbind".to_owned()].into_iter().chain(read_only).collect(),
    };
    entry.make_ready(Some(bind))?.place(root)
}

/// Unmounts all that is mounted below `rootfs` in this mount namespace, so that another life of the container starts afresh.
pub(crate) fn unmount_all(rootfs: &Path) -> Result<()> {
    loop {
        let mountinfo = read_optional(Path::new("/proc/self/mountinfo"))?;
        let mut points = aliases::points(&mountinfo);
        // The outermost, with all below it: what was mounted in a volume on the host cannot be taken out of it.
        let Some(point) = points.find(|point| point.starts_with(rootfs) && point != rootfs) else {
            return Ok(());
        };
        rustix::mount::unmount(&point, UnmountFlags::DETACH)
            .map_err(Error::io("unmount", &point))?;
    }
}

impl Made {
    /// Opens its place, which is made when it is missing.
    pub(crate) fn open_place(&self, root: &InRoot) -> Result<OwnedFd> {
        if self.is_dir {
            return root.make_dir(&self.destination);
        }
        root.make_file(&self.destination)?;
        root.resolve(&self.destination, OFlags::PATH)
            .map_err(Error::io("mount", &self.destination))
    }

    /// Puts it to its place.
    pub(crate) fn place(&self, root: &InRoot) -> Result<()> {
        let target = self.open_place(root)?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(self.tree.as_fd(), c"", target.as_fd(), c"", flags)
            .map_err(Error::io("mount", &self.destination))
    }

    /// Sets how it spreads.
    pub(crate) fn spread(&self, spread: Spread) -> Result<()> {
        sys::set_mount_propagation(&self.tree, spread.kind, spread.recursive)
            .map_err(Error::io("mount", &self.destination))
    }
}

impl Entry {
    fn is_bind(&self) -> bool {
        self.kind == "bind"
            || self
                .options
                .iter()
                .any(|word| word == "bind" || word == "rbind")
    }

    fn make_ready(&self, volume: Option<&Bind>) -> Result<Made> {
        let options = options(&self.options);
        let is_bind = self.is_bind();
        let (tree, is_dir) = match is_bind {
            true => self.clone_tree(&options, volume)?,
            false => (self.make(&options)?, true),
        };
        Ok(Made {
            tree,
            is_dir,
            source: self.source.clone(),
            destination: self.destination.clone(),
            is_bind,
            spread: options.spread,
        })
    }

    /// The files that are there under another name.
    fn clone_tree(&self, options: &Options<'_>, volume: Option<&Bind>) -> Result<(OwnedFd, bool)> {
        let source = match volume {
            Some(volume) => open_source(&volume.source, volume.managed)?,
            None => rustix::fs::open(&self.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(Error::io("mount volume", &self.source))?,
        };
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        if self.options.iter().any(|word| word == "rbind") {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let failed = || Error::io("mount volume", &self.source);
        let tree = rustix::mount::open_tree(&source, c"", flags)
            .map_err(|error| failed()(error.into()))?;
        for (attributes, recursive) in [(options.recursive, true), (options.plain, false)] {
            // When files were read last is noted as their own mount notes it.
            let attributes = attributes - MountAttrFlags::MOUNT_ATTR__ATIME;
            if !attributes.is_empty() {
                sys::set_mount_attributes(&tree, attributes.bits().into(), recursive)
                    .map_err(failed())?;
            }
        }
        let stat = rustix::fs::fstat(&tree).map_err(|error| failed()(error.into()))?;
        let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
        Ok((tree, is_dir))
    }

    /// A new file system.
    fn make(&self, options: &Options<'_>) -> Result<OwnedFd> {
        let making = rustix::mount::fsopen(self.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(self.failed())?;
        let set = |key: &str, value: &str| {
            rustix::mount::fsconfig_set_string(making.as_fd(), key, value).map_err(self.failed())
        };
        set("source", &self.kind)?;
        for word in &options.rest {
            match word.split_once('=') {
                Some((key, value)) => set(key, value)?,
                None => rustix::mount::fsconfig_set_flag(making.as_fd(), *word)
                    .map_err(self.failed())?,
            }
        }
        rustix::mount::fsconfig_create(making.as_fd()).map_err(self.failed())?;
        let attributes = options.plain | options.recursive;
        rustix::mount::fsmount(making.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(self.failed())
    }

    fn failed(&self) -> impl FnOnce(rustix::io::Errno) -> Error {
        Error::io("mount", &self.destination)
    }
}

/// Sorts a list of options. The last word about a thing counts.
fn options(words: &[String]) -> Options<'_> {
    let mut options = Options {
        plain: MountAttrFlags::empty(),
        recursive: MountAttrFlags::empty(),
        rest: Vec::new(),
        spread: None,
    };
    let find = |word: &str| ATTRIBUTES.iter().find(|(name, ..)| word == *name);
    for word in words {
        if let Some((_, attribute, on)) = find(word) {
            options.plain.set(*attribute, *on);
        } else if let Some((_, attribute, on)) = word.strip_prefix('r').and_then(find) {
            options.recursive.set(*attribute, *on);
        } else if let Some(spread) = spread(word) {
            options.spread = Some(spread);
        } else if !MEANINGLESS.contains(&word.as_str()) {
            options.rest.push(word);
        }
    }
    options
}

/// What a word says about how a mount spreads.
pub(crate) fn spread(word: &str) -> Option<Spread> {
    let named = |name: &str| PROPAGATIONS.iter().find(|(it, _)| *it == name);
    let (found, recursive) = match named(word) {
        Some(found) => (found, false),
        None => (named(word.strip_prefix('r')?)?, true),
    };
    Some(Spread {
        kind: found.1,
        recursive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_thing_counts() {
        let of = |text: &str| {
            let words: Vec<String> = text.split(',').map(str::to_owned).collect();
            let found = options(&words);
            let rest: Vec<String> = found.rest.iter().map(|word| (*word).to_owned()).collect();
            (found.plain, found.recursive, rest.join(","))
        };
        let none = MountAttrFlags::empty();
        let (ro, suid, exec) = (
            MountAttrFlags::MOUNT_ATTR_RDONLY,
            MountAttrFlags::MOUNT_ATTR_NOSUID,
            MountAttrFlags::MOUNT_ATTR_NOEXEC,
        );
        assert_eq!(
            of("rbind,nosuid,rro,rnoexec"),
            (suid, ro | exec, String::new())
        );
        assert_eq!(of("nosuid,noexec,exec,ro,rw"), (suid, none, String::new()));
        assert_eq!(
            of("noexec,mode=755,size=1m,newinstance"),
            (exec, none, "mode=755,size=1m,newinstance".into())
        );
    }

    /// What needs a namespace of libcontainer's stays in the document.
    #[test]
    fn what_is_libcontainers_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = InRoot::open(dir.path()).expect("it opens");
        let theirs = |destination: &str, kind: &str| serde_json::json!({"type": kind, "source": kind, "destination": destination});
        let mut spec = serde_json::json!({
            "mounts": [theirs("/proc", "proc"), theirs("/dev/mqueue", "mqueue")],
        });
        let before = spec.clone();
        mount_document(&root, &mut spec, Path::new("config.json"), &[]).expect("nothing to do");
        assert_eq!(spec, before);
        let bad = serde_json::json!({"type": "bind", "source": "/", "destination": 7});
        spec["mounts"] = Value::Array(vec![bad]);
        let error = mount_document(&root, &mut spec, Path::new("config.json"), &[]);
        assert!(matches!(error, Err(Error::Document { .. })), "{error:?}");
    }
}
