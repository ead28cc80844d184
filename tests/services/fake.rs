//! A host whose systemd is a shell script, and services put there by hand.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::user::Run;
use crate::support::{Home, read_json};

const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$FAKE/calls"
[ "$1" = --user ] && shift
verb=$1; shift
if [ "$verb" = show ]; then
    [ "$1" = -p ] && shift 2
    for unit in "$@"; do cat "$FAKE/$unit" 2> /dev/null || printf 'LoadState=not-found\nActiveState=inactive\n'; echo; done
    exit 0
fi
for unit in "$@"; do
    if [ -e "$FAKE/refuse-$unit" ]; then echo "Job for $unit failed." >&2; exit 1; fi
done
"#;

/// The host.
pub struct Host {
    pub home: Home,
}

impl Host {
    pub fn new() -> Self {
        let home = Home::new();
        home.sh("mkdir -p bin fake run .local/share/containers/atomic")
            .ok();
        home.sh("cat > bin/systemctl && chmod 755 bin/systemctl")
            .input(SYSTEMCTL)
            .ok();
        Self { home }
    }

    /// berth on this host.
    pub fn berth<const N: usize>(&self, args: [&str; N]) -> Run {
        let path = format!("{}:/usr/bin:/bin", self.home.join("bin").display());
        self.home
            .berth(args)
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.join("run"))
            .env("FAKE", self.home.join("fake"))
            .env("PATH", path)
    }

    pub fn checkouts(&self) -> PathBuf {
        self.home.join(".local/share/containers/atomic")
    }

    /// A service with this `info`, whose unit has these properties.
    pub fn service(&self, name: &str, info: &Value, unit: &str) {
        let dir = format!(".local/share/containers/atomic/{name}.0");
        self.home
            .sh(&format!(
                "mkdir -p {dir}/rootfs && ln -s $PWD/{dir} {dir}/../{name}"
            ))
            .ok();
        let config =
            r#"{"process": {"args": ["serve", "--all"], "cwd": "/"}, "root": {"path": "rootfs"}}"#;
        self.home.write(&format!("{dir}/config.json"), config);
        self.home.write(&format!("{dir}/info"), info.to_string());
        self.unit(name, unit);
    }

    /// What systemctl shows of a service's unit.
    pub fn unit(&self, name: &str, properties: &str) {
        let text = format!("LoadState=loaded\n{}\n", properties.replace(' ', "\n"));
        self.home.write(&format!("fake/{name}.service"), text);
    }

    /// How systemctl was called, but for questions.
    pub fn asked(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.home.join("fake/calls")).unwrap_or_default();
        let asked = calls.lines().filter(|line| !line.contains(" show "));
        asked.map(str::to_owned).collect()
    }

    /// A JSON file of the home.
    pub fn json(&self, name: &str) -> Value {
        read_json(&self.home.join(name))
    }
}
