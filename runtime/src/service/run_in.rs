//! A command in a service: in its container while it runs, else in a temporary one of the same bundle.
//!
//! The temporary bundle is a copy of the deployment's `config.json` with another command, in a directory of its own in
//! `RUN_DIR/run-in`; the root file system is the deployment's. The container has a name of its own, so that the service
//! can be started meanwhile. Whoever was killed leaves a directory that the next one removes: it is locked while it is used.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde_json::{Value, json};

use super::error::Error as ServiceError;
use crate::container::make_private;
use crate::document;
use crate::error::{Error, Result};
use crate::naming::new_id;

/// The largest `config.json` that is read.
const CONFIG_BYTES_MAX: u64 = 4 << 20;
/// The directory of temporary bundles in RUN_DIR.
const DIR: &str = "run-in";
/// The file by which a bundle is locked.
const LOCK: &str = "lock";

/// Which service, and how its runtime is called.
#[derive(Debug, Clone, Copy)]
pub struct RunIn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its current deployment.
    pub deployment: &'a Path,
    /// The runtime and its first arguments.
    pub runtime: &'a [String],
    /// What to run.
    pub command: &'a [String],
    /// Whether stdin is a terminal.
    pub terminal: bool,
    /// The directory of live state that the deployment was made for, its `RUN_DIRECTORY`.
    pub run_directory: &'a Path,
}

/// A temporary bundle. It is removed when this is dropped.
#[derive(Debug)]
pub struct Bundle {
    dir: PathBuf,
    id: String,
    _lock: File,
}

impl RunIn<'_> {
    /// What runs the command in the container of the service, which runs.
    pub fn in_running(&self) -> Vec<String> {
        let mut words = self.runtime.to_vec();
        words.push("exec".into());
        words.extend(self.terminal.then(|| "--tty".to_owned()));
        words.push(self.name.into());
        words.extend(self.command.iter().cloned());
        words
    }

    /// What runs the command in `bundle`, which is to be the directory it is called in.
    pub fn in_bundle(&self, bundle: &Bundle) -> Vec<String> {
        let mut words = self.runtime.to_vec();
        words.extend(["run".into(), bundle.id.clone()]);
        words
    }

    /// Makes the bundle in `run_dir`, and the sources of its bind mounts in directories of live state that are missing: of a
    /// service that does not run nobody has made them.
    pub fn bundle(&self, run_dir: &Path) -> Result<Bundle> {
        let path = self.deployment.join("config.json");
        let mut config = read(&path)?;
        self.adapt(&mut config);
        for source in missing_sources(&config, self.run_directory) {
            std::fs::create_dir_all(&source).map_err(Error::io("make", &source))?;
        }
        let all = run_dir.join(DIR);
        make_private(&all)?;
        sweep(&all);
        let id = format!("{}-{}", self.name, new_id()?.get(..8).unwrap_or_default());
        let dir = all.join(&id);
        make_private(&dir)?;
        let lock = File::create(dir.join(LOCK)).map_err(Error::io("make", dir.join(LOCK)))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(Error::io("lock", &dir))?;
        let bundle = Bundle {
            dir,
            id,
            _lock: lock,
        };
        document::write(&bundle.dir.join("config.json"), &config)?;
        Ok(bundle)
    }

    fn adapt(&self, config: &mut Value) {
        if !config["process"].is_object() {
            config["process"] = json!({"cwd": "/"});
        }
        config["process"]["args"] = json!(self.command);
        config["process"]["terminal"] = json!(self.terminal);
        // A path that is absolute already is that of another service's root.
        let root = config["root"]["path"].as_str().unwrap_or("rootfs");
        config["root"]["path"] = json!(self.deployment.join(root));
    }
}

fn read(path: &Path) -> Result<Value> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ServiceError::TooLarge {
            what: path.display().to_string(),
            limit: format!("{CONFIG_BYTES_MAX} bytes"),
        }
        .into());
    }
    let config: Value = serde_json::from_slice(&bytes).map_err(|source| Error::Document {
        path: path.to_owned(),
        source,
    })?;
    // What follows indexes it.
    match config {
        Value::Object(_) => Ok(config),
        _ => Err(ServiceError::Config {
            why: format!("{} is no object", path.display()),
        }
        .into()),
    }
}

/// The sources of bind mounts below the directories of live state, of which `run` is one, that are not there.
pub(super) fn missing_sources(config: &Value, run: &Path) -> Vec<PathBuf> {
    let mounts = config["mounts"].as_array().into_iter().flatten();
    let is_bind = |mount: &&Value| {
        let kind = mount["type"].as_str().unwrap_or_default();
        let options = mount["options"].as_array().into_iter().flatten();
        kind.contains("bind")
            || options
                .filter_map(Value::as_str)
                .any(|it| it == "bind" || it == "rbind")
    };
    let sources = mounts
        .filter(is_bind)
        .filter_map(|it| it["source"].as_str());
    let live = |path: &PathBuf| {
        ["/run", "/var/run"].iter().any(|it| path.starts_with(it)) || path.starts_with(run)
    };
    let plain = |path: &PathBuf| {
        path.components()
            .all(|it| it != std::path::Component::ParentDir)
    };
    sources
        .map(PathBuf::from)
        .filter(|path| live(path) && plain(path) && !path.exists())
        .collect()
}

/// Removes what those have left who were killed.
fn sweep(all: &Path) {
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()) {
        let Ok(lock) = File::open(dir.join(LOCK)) else {
            continue;
        };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            std::fs::remove_dir_all(&dir).ok();
        }
    }
}

impl Bundle {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"ociVersion": "1.0.2", "process": {"args": ["etcd"], "terminal": false, "cwd": "/x",
        "env": ["A=b"]}, "root": {"path": "rootfs", "readonly": true}, "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/a", "type": "bind", "source": "/run/berth-test-not-there/a"},
        {"destination": "/b", "source": "/var/run/berth-test-not-there/b", "options": ["rbind", "rw"]},
        {"destination": "/c", "type": "bind", "source": "/srv/berth-test-not-there"},
        {"destination": "/d", "type": "bind", "source": "/run/berth-test/../../etc/x"},
        {"destination": "/e", "type": "bind", "source": "/run"}]}"#;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_running_service_executes_it() {
        let (runtime, command) = (words("/usr/bin/berth oci"), words("etcdctl ls"));
        let mut run = RunIn {
            name: "etcd",
            deployment: Path::new("/d"),
            runtime: &runtime,
            command: &command,
            terminal: false,
            run_directory: Path::new("/run"),
        };
        assert_eq!(
            run.in_running().join(" "),
            "/usr/bin/berth oci exec etcd etcdctl ls"
        );
        run.terminal = true;
        assert_eq!(
            run.in_running().join(" "),
            "/usr/bin/berth oci exec --tty etcd etcdctl ls"
        );
    }

    #[test]
    fn a_bundle_is_the_services_with_another_command_and_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = r#"{"process": {"args": ["etcd"], "cwd": "/x"}, "root": {"path": "rootfs", "readonly": true}}"#;
        std::fs::write(dir.path().join("config.json"), config).expect("written");
        let (runtime, command) = (words("/bin/runc"), words("ls /"));
        let run = RunIn {
            name: "etcd",
            deployment: dir.path(),
            runtime: &runtime,
            command: &command,
            terminal: true,
            run_directory: Path::new("/run"),
        };
        let run_dir = dir.path().join("run");
        let bundle = run.bundle(&run_dir).expect("made");
        let made: Value = document::read(&bundle.dir().join("config.json")).expect("read");
        let root = dir.path().join("rootfs");
        let expected = json!({"process": {"args": ["ls", "/"], "cwd": "/x", "terminal": true},
            "root": {"path": root, "readonly": true}});
        assert_eq!(made, expected);
        let called = run.in_bundle(&bundle).join(" ");
        assert!(
            called.starts_with("/bin/runc run etcd-") && called.len() == 27,
            "{called}"
        );
        // One that is in use stays, one whose owner was killed goes.
        let left = run_dir.join(DIR).join("etcd-dead");
        std::fs::create_dir(&left).expect("made");
        std::fs::write(left.join(LOCK), "").expect("written");
        let other = run.bundle(&run_dir).expect("made");
        assert!(bundle.dir().exists() && other.dir().exists() && !left.exists());
        drop((bundle, other));
        let names: Vec<_> = std::fs::read_dir(run_dir.join(DIR))
            .expect("read")
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }

    #[test]
    fn another_services_root_stays_where_it_is() {
        let mut config = json!({"root": {"path": "/other/rootfs"}});
        let run = RunIn {
            name: "a",
            deployment: Path::new("/d"),
            runtime: &[],
            command: &words("true"),
            terminal: false,
            run_directory: Path::new("/run"),
        };
        run.adapt(&mut config);
        assert_eq!(config["root"]["path"], "/other/rootfs");
        assert_eq!(config["process"]["args"], json!(["true"]));
    }

    #[test]
    fn only_live_state_that_is_missing_is_made() {
        let config = serde_json::from_str(CONFIG).expect("JSON");
        let missing = missing_sources(&config, Path::new("/run"));
        let expected = [
            "/run/berth-test-not-there/a",
            "/var/run/berth-test-not-there/b",
        ];
        assert_eq!(missing, expected.map(PathBuf::from));
    }

    #[test]
    fn a_config_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.json");
        for bad in ["", "[]", "3", "{"] {
            std::fs::write(&path, bad).expect("written");
            assert!(read(&path).is_err(), "{bad}");
        }
        let file = File::create(&path).expect("made");
        file.set_len(CONFIG_BYTES_MAX + 1).expect("grown");
        let error = read(&path).expect_err("too large").to_string();
        assert!(
            error.ends_with("config.json exceeds the limit of 4194304 bytes"),
            "{error}"
        );
    }
}
