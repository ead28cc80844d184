//! A bundle's document, read and taken apart: what berth does itself comes out, what is left is libcontainer's. Pure but for
//! the reading.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde_json::{Map, Value, json};

use super::normalise::{is_bind, normalise};
use crate::error::{Error, Result};
use crate::ids::{IdMaps, Mapping};
use crate::ulimit::Ulimit;

/// The most that is read of a `config.json` or `process.json`, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// The most lines of an id map that the kernel takes.
const MAPPINGS_MAX: usize = 340;
/// The annotation that asks for a root whose changes are thrown away.
const ROOT: &str = "org.berth.root";

/// A bundle that was read.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its directory, absolute.
    pub(crate) dir: PathBuf,
    /// Its root directory, absolute.
    pub(crate) rootfs: PathBuf,
    /// Its document, normalised.
    pub(crate) spec: Value,
}

impl Bundle {
    /// Reads the bundle in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let dir = std::fs::canonicalize(dir).map_err(Error::io("open bundle", dir))?;
        let mut spec = read_document(&dir.join("config.json"))?;
        normalise(&mut spec);
        let wrong = |why: &str| Error::Bundle {
            path: dir.clone(),
            why: why.to_owned(),
        };
        let args = spec["process"]["args"].as_array();
        if args.is_none_or(|args| args.first().is_none_or(|arg| !arg.is_string())) {
            return Err(wrong("its process.args is empty"));
        }
        if !spec["linux"].is_object() {
            return Err(wrong("it has no linux section"));
        }
        let root = spec["root"]["path"]
            .as_str()
            .filter(|path| !path.is_empty());
        let root = dir.join(root.ok_or_else(|| wrong("its root.path is empty"))?);
        let rootfs = std::fs::canonicalize(&root).map_err(Error::io("open root", &root))?;
        // One that libcontainer reads over would be the host's.
        if !kinds(&spec).iter().any(|kind| kind == "mount") {
            return Err(wrong("it has no mount namespace"));
        }
        Ok(Self { dir, rootfs, spec })
    }

    /// Whether what the container writes to its root is thrown away.
    pub(crate) fn discards(&self) -> bool {
        self.spec["annotations"][ROOT] == "discard"
    }

    /// The document's annotations.
    pub(crate) fn annotations(&self) -> Map<String, Value> {
        self.spec["annotations"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    }

    /// Takes the user namespace out of the document; `None` when it asks for none. One that has a path is not ours to make.
    pub(crate) fn take_user(&mut self) -> Result<Option<IdMaps>> {
        if take_namespace(&mut self.spec, "user").is_none() {
            return Ok(None);
        }
        let take = |spec: &mut Value, key: &str| {
            let linux = spec["linux"].as_object_mut();
            mappings(
                &linux
                    .and_then(|linux| linux.remove(key))
                    .unwrap_or_default(),
            )
        };
        let maps = IdMaps {
            uids: take(&mut self.spec, "uidMappings").unwrap_or_default(),
            gids: take(&mut self.spec, "gidMappings").unwrap_or_default(),
        };
        if maps.uids.is_empty() || maps.gids.is_empty() {
            return Err(Error::Bundle {
                path: self.dir.clone(),
                why: "its user namespace has no usable uidMappings and gidMappings".into(),
            });
        }
        self.fit_groups(&maps);
        Ok(Some(maps))
    }

    /// Terminals of a group that does not exist inside are root's.
    fn fit_groups(&mut self, maps: &IdMaps) {
        for mount in self.spec["mounts"].as_array_mut().into_iter().flatten() {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| {
                    let gid = option.as_str().and_then(|text| text.strip_prefix("gid="));
                    gid.and_then(|gid| gid.parse().ok())
                        .is_none_or(|gid| maps.has_gid(gid))
                });
            }
        }
    }

    /// Takes a network namespace without a path out of the document; whether there was one.
    pub(crate) fn take_network(&mut self) -> bool {
        let named =
            |it: &Value| it["type"] == "network" && it["path"].as_str().is_none_or(str::is_empty);
        let all = self.spec["linux"]["namespaces"].as_array();
        all.into_iter().flatten().any(named) && take_namespace(&mut self.spec, "network").is_some()
    }

    /// Takes the resource limits of the process out of the document, which are set last.
    pub(crate) fn take_rlimits(&mut self) -> Vec<Ulimit> {
        let process = self.spec["process"].as_object_mut();
        let list = process.and_then(|process| process.remove("rlimits"));
        list.iter().flat_map(ulimits).collect()
    }

    /// Makes relative sources the bundle's, and a `/dev` where there is none: libcontainer makes devices there, and would
    /// make them in the root directory itself.
    pub(crate) fn settle_mounts(&mut self, view: &Path) {
        let mounts = &mut self.spec["mounts"];
        if !mounts.is_array() {
            *mounts = json!([]);
        }
        let Some(mounts) = mounts.as_array_mut() else {
            return;
        };
        for mount in mounts.iter_mut() {
            if mount["type"] == "cgroup" || mount["type"] == "cgroup2" {
                *mount = json!({
                    "destination": mount["destination"], "type": "bind", "source": view,
                    "options": ["rbind", "nosuid", "noexec", "nodev", "rro"],
                });
            }
            let source = mount["source"].as_str().map(Path::new);
            if let Some(source) = source.filter(|source| is_bind(mount) && source.is_relative()) {
                mount["source"] = json!(self.dir.join(source));
            }
        }
        if !mounts.iter().any(|mount| is_at(mount, "/dev")) {
            let options = ["nosuid", "strictatime", "mode=755", "size=65536k"];
            mounts.insert(0, json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": options}));
        }
    }
}

/// Whether a mount's place is `path`.
pub(crate) fn is_at(mount: &Value, path: &str) -> bool {
    let place = mount["destination"].as_str().map(Path::new);
    // Compared by components: a slash at the end is none.
    place.is_some_and(|place| place == Path::new(path))
}

/// Reads a document of somebody's.
pub(crate) fn read_document(path: &Path) -> Result<Value> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = file.map_err(Error::io("open", path))?;
    let meta = file.metadata().map_err(Error::io("read", path))?;
    if !meta.is_file() || meta.len() > DOCUMENT_BYTES_MAX {
        return Err(Error::Bundle {
            path: path.to_owned(),
            why: format!("it is not a file of at most {DOCUMENT_BYTES_MAX} bytes"),
        });
    }
    let mut bytes = Vec::new();
    file.take(DOCUMENT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Document {
        path: path.to_owned(),
        source,
    })
}

/// The kinds of namespaces that a document names.
pub(crate) fn kinds(spec: &Value) -> Vec<String> {
    let all = spec["linux"]["namespaces"].as_array().into_iter().flatten();
    all.filter_map(|it| it["type"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Takes a namespace out of the document.
fn take_namespace(spec: &mut Value, kind: &str) -> Option<()> {
    let all = spec["linux"]["namespaces"].as_array_mut()?;
    let before = all.len();
    all.retain(|it| it["type"] != kind);
    (all.len() < before).then_some(())
}

/// The resource limits in a list of a document.
pub(crate) fn ulimits(list: &Value) -> Vec<Ulimit> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|it| {
        Some(Ulimit {
            kind: it["type"].as_str()?.to_owned(),
            soft: it["soft"].as_u64()?,
            hard: it["hard"].as_u64()?,
        })
    })
    .collect()
}

fn mappings(list: &Value) -> Option<Vec<Mapping>> {
    let list = list.as_array().filter(|list| list.len() <= MAPPINGS_MAX)?;
    let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
    list.iter()
        .map(|it| {
            Some(Mapping {
                inside: number(&it["containerID"])?,
                outside: number(&it["hostID"])?,
                count: number(&it["size"]).filter(|count| *count > 0)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(spec: Value) -> Bundle {
        Bundle {
            dir: "/b".into(),
            rootfs: "/b/rootfs".into(),
            spec,
        }
    }

    #[test]
    fn the_user_namespace_is_ours() {
        let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 9}]);
        let spec = json!({
            "linux": {"namespaces": [{"type": "user"}, {"type": "mount"}], "uidMappings": map, "gidMappings": map},
            "mounts": [{"destination": "/dev/pts", "options": ["gid=5", "mode=0620"]}, {"destination": "/x", "options": ["gid=10"]}],
        });
        let mut it = bundle(spec.clone());
        let maps = it.take_user().expect("usable").expect("there is one");
        assert_eq!((maps.uids.len(), maps.uids[1].outside), (2, 100_000));
        assert_eq!(it.spec["linux"], json!({"namespaces": [{"type": "mount"}]}));
        assert_eq!(
            it.spec["mounts"][0]["options"],
            json!(["gid=5", "mode=0620"])
        );
        assert_eq!(
            it.spec["mounts"][1]["options"],
            json!([]),
            "10 is not mapped"
        );
        assert_eq!(
            it.take_user().expect("fine"),
            None,
            "there is none any more"
        );
        for bad in [
            json!([]),
            json!(null),
            json!([{"containerID": 0, "hostID": -1, "size": 1}]),
            json!([{"containerID": 0, "hostID": 1, "size": 0}]),
        ] {
            let mut spec = spec.clone();
            spec["linux"]["gidMappings"] = bad.clone();
            assert!(bundle(spec).take_user().is_err(), "{bad}");
        }
    }

    #[test]
    fn mounts_are_settled() {
        let mut it = bundle(json!({"mounts": [
            {"destination": "/a", "type": "bind", "source": "a"},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ]}));
        it.settle_mounts(Path::new("/view"));
        let mounts = &it.spec["mounts"];
        assert!(is_at(&mounts[0], "/dev") && is_at(&mounts[0], "/dev/"));
        assert_eq!(mounts[1]["source"], "/b/a");
        assert_eq!(
            (&mounts[2]["source"], &mounts[2]["options"][4]),
            (&json!("/view"), &json!("rro"))
        );
        it.settle_mounts(Path::new("/view"));
        assert_eq!(it.spec["mounts"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn a_network_with_a_path_is_not_ours() {
        let with =
            |namespace: Value| bundle(json!({"linux": {"namespaces": [namespace]}})).take_network();
        assert!(with(json!({"type": "network"})) && with(json!({"type": "network", "path": ""})));
        assert!(
            !with(json!({"type": "network", "path": "/run/netns/a"}))
                && !with(json!({"type": "ipc"}))
        );
    }
}
