//! Services as a whole, rendered from what images of Project Atomic export.

mod defects;
mod hostile;
mod images;
mod lint;
mod plain;
mod rendering;
mod sources;
mod users;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use store::oci::ContainerConfig;

use super::*;
use crate::error::Result;

/// What is on the host, and what is asked for.
struct Case {
    exports: Exports,
    set: BTreeMap<String, String>,
    scope: Scope,
    runtime: Runtime,
    missing: Vec<&'static str>,
    remote: Option<PathBuf>,
    config: ContainerConfig,
    quadlet: Option<Quadlet>,
    ranges: IdRanges,
}

impl Case {
    /// An image that exports these files, by their places below `/exports`.
    fn of(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("exports")).expect("made");
        for (path, text) in files {
            let path = dir.path().join("exports").join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        Self::new(Exports::of_directory(dir.path()).expect("readable"))
    }

    fn new(exports: Exports) -> Self {
        let range = |first| {
            vec![IdRange {
                first,
                count: 65536,
            }]
        };
        Self {
            exports,
            set: BTreeMap::new(),
            scope: Scope::Root,
            runtime: ours(),
            missing: Vec::new(),
            remote: None,
            config: ContainerConfig::default(),
            quadlet: None,
            ranges: IdRanges {
                uids: range(100_000),
                gids: range(200_000),
            },
        }
    }

    /// An image that exports nothing.
    fn plain(config: ContainerConfig) -> Self {
        Self {
            config,
            ..Self::new(Exports::default())
        }
    }

    fn user(mut self) -> Self {
        self.scope = Scope::User;
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.set.insert(name.into(), value.into());
        self
    }

    fn render(&self) -> Result<Rendered> {
        let name = ServiceName::new("web").expect("valid");
        let is_user = self.scope == Scope::User;
        let place =
            |root: &'static str, user: &'static str| Path::new(if is_user { user } else { root });
        render(
            &self.exports,
            &Wanted {
                name: &name,
                destination: place("/checkouts/web.0", "/home/u/c/web.0"),
                image_name: "localhost:5000/web:1",
                image_id: "0123".into(),
                set: &self.set,
                uuid: "11111111-2222-4333-8444-555555555555",
                scope: self.scope,
                uid: if is_user { 1001 } else { 0 },
                gid: if is_user { 1002 } else { 0 },
                uid_ranges: &self.ranges.uids,
                gid_ranges: &self.ranges.gids,
                runtime: &self.runtime,
                atomic: "/usr/bin/berth atomic",
                run_directory: place("/run", "/run/user/1001"),
                state_directory: place("/var/lib", "/home/u/.data"),
                conf_directory: place("/etc", "/home/u/.config"),
                last_cap: 40,
                remote: self.remote.as_deref(),
                exists: &|path| !self.missing.iter().any(|it| path == Path::new(it)),
                config: Some(&self.config),
                quadlet: self.quadlet.as_ref(),
            },
        )
    }

    #[track_caller]
    fn rendered(&self) -> Rendered {
        self.render().expect("it renders")
    }

    #[track_caller]
    fn document(&self) -> Value {
        let config = self.rendered().config.expect("a container");
        serde_json::from_str(&config).expect("JSON")
    }

    #[track_caller]
    fn unit(&self) -> String {
        self.rendered().unit.expect("a unit")
    }

    /// Why it does not render, with causes.
    #[track_caller]
    fn refusal(&self) -> String {
        self.render().expect_err("it is refused").to_string()
    }
}

fn ours() -> Runtime {
    Runtime {
        words: vec!["/usr/bin/berth".into(), "oci".into()],
        pid_file: true,
        systemd_cgroup: false,
        is_ours: true,
    }
}

fn runc() -> Runtime {
    Runtime {
        words: vec!["/usr/bin/runc".into()],
        pid_file: false,
        systemd_cgroup: true,
        is_ours: false,
    }
}

/// The smallest configuration that passes.
const SMALL: &str = r#"{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true}}"#;

/// The unit that Atomic's documentation shows.
const UNIT: &str = "[Unit]\nDescription=$NAME\n\n[Service]\nExecStartPre=$EXEC_STARTPRE\nExecStart=$EXEC_START\n\
    ExecStop=$EXEC_STOP\nExecStopPost=$EXEC_STOPPOST\nRestart=on-failure\nWorkingDirectory=$DESTDIR\nPIDFile=$PIDFILE\n\n\
    [Install]\nWantedBy=multi-user.target\n";

/// A document with the keys that every system image has, `more` besides.
fn old_config(version: &str, namespaces: &[&str], more: &str) -> String {
    let namespaces: Vec<String> = namespaces
        .iter()
        .map(|kind| format!(r#"{{"type": "{kind}"}}"#))
        .collect();
    format!(
        r#"{{"ociVersion": "{version}", "platform": {{"os": "linux", "arch": "amd64"}},
        "root": {{"path": "rootfs", "readonly": true}}, "hooks": {{}},
        "linux": {{"namespaces": [{}]}}, {more}}}"#,
        namespaces.join(", ")
    )
}

/// The options of the mount at `place`.
#[track_caller]
fn options(document: &Value, place: &str) -> Vec<String> {
    let mount = mount(document, place);
    let options = mount["options"].as_array().expect("options");
    let text = |it: &Value| it.as_str().expect("text").to_owned();
    options.iter().map(text).collect()
}

#[track_caller]
fn mount<'a>(document: &'a Value, place: &str) -> &'a Value {
    let mounts = document["mounts"].as_array().expect("mounts");
    let found = mounts.iter().find(|it| it["destination"] == place);
    found.unwrap_or_else(|| panic!("nothing is mounted at {place}"))
}
