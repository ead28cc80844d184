//! Images that export nothing, and quadlets: their units' own commands, run by hand as systemd would.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::example::{berth, busybox, checkouts, entries, listing};
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;
use crate::support::user::Run;

/// A service whose unit nobody but this test runs.
struct Unit<'h> {
    home: &'h Home,
    name: &'static str,
    text: String,
}

impl<'h> Unit<'h> {
    fn of(home: &'h Home, name: &'static str) -> Self {
        let path = home.join(format!(".config/systemd/user/{name}.service"));
        let text = fs::read_to_string(path).unwrap();
        Self { home, name, text }
    }

    fn value(&self, key: &str) -> String {
        let start = format!("{key}=");
        let found = self.text.lines().find_map(|line| line.strip_prefix(&start));
        found
            .unwrap_or_else(|| panic!("no {key} in {}", self.text))
            .to_owned()
    }

    fn slot(&self) -> PathBuf {
        checkouts(self.home).join(format!("{}.0", self.name))
    }

    /// A command line of the unit, where it is run and with what it says to.
    fn run(&self, key: &str) -> Run {
        let line = self.value(key);
        let line = line.trim_start_matches('-');
        let script = format!("exec {line} > said-by-{} 2>&1", self.name);
        let script = script.replace(
            "> said-by",
            &format!("> {}/said-by", self.home.path().display()),
        );
        self.home
            .sh(&script)
            .dir(self.value("WorkingDirectory"))
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.home.join(format!("said-by-{}", self.name))).unwrap()
    }

    /// Makes its directories and starts it; gives its main process.
    fn start(&self) -> i32 {
        self.run("ExecStartPre").run();
        self.run("ExecStart").ok();
        assert_eq!(self.said(), "");
        let pid = fs::read_to_string(self.value("PIDFile")).unwrap();
        pid.trim().parse().unwrap()
    }

    fn status(&self) -> String {
        let state = berth(self.home, &["oci", "state", self.name]).ok().json();
        state["status"].as_str().unwrap().to_owned()
    }

    /// As `KillMode=mixed` has it, and then what cleans up.
    fn stop(&self, pid: i32) {
        self.home.program("kill").args([pid.to_string()]).ok();
        crate::life::until("it ends", || self.status() == "stopped");
        self.run("ExecStopPost").ok();
        assert_eq!(self.said(), "");
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        berth(self.home, &["oci", "delete", "--force", self.name]).run();
    }
}

const WRITES: &str = "test ! -e /etc/made || echo still > /etc/still; echo $WORD > /etc/made; rm /bin/cat.old; \
    echo more >> /etc/grows; trap 'exit 0' TERM; while :; do sleep 0.05; done";

#[test]
fn a_plain_image_writes_where_it_likes_and_its_deployment_stays_as_it_is() {
    needs!(Images, Userns, Overlay);
    let home = Home::new();
    let files = Tar::new()
        .file("bin/cat.old", "old")
        .file("etc/grows", "a\n");
    let config = json!({"Cmd": ["sh", "-c", WRITES], "Env": ["PATH=/bin", "WORD=hello"]});
    let source = busybox(&home, "plain", files, &config);
    let install = [
        "install",
        "--no-systemd",
        "--image",
        "--name",
        "plain",
        &source,
    ];
    berth(&home, &install)
        .ok()
        .err_has("the image has no /exports: config.json and unit are generated\n");
    let unit = Unit::of(&home, "plain");
    assert_eq!(unit.value("Type"), "forking");
    assert_eq!(
        unit.value("WorkingDirectory"),
        unit.slot().display().to_string()
    );
    let before = listing(&home, &unit.slot());
    // The second time nothing is left of the first.
    for _ in 0..2 {
        let pid = unit.start();
        assert_eq!(berth(&home, &["oci", "list", "-q"]).ok().stdout, "plain\n");
        assert_eq!(unit.status(), "running");
        let listed = berth(&home, &["oci", "state", "plain"]).ok().json();
        assert_eq!(listed["pid"], pid);
        let inside = |words: &[&str]| berth(&home, &[&["run-in", "plain"], words].concat()).run();
        crate::life::until("it has written", || {
            inside(&["grep", "more", "/etc/grows"]).exit() == 0
        });
        assert_eq!(inside(&["cat", "/etc/made"]).stdout, "hello\n");
        assert_eq!(inside(&["ls", "/etc/still", "/bin/cat.old"]).stdout, "");
        unit.stop(pid);
        assert_eq!(listing(&home, &unit.slot()), before);
        assert_eq!(berth(&home, &["oci", "list", "-q"]).ok().stdout, "");
    }
    // Where it does not run, a container of its own has the command.
    let alone = berth(&home, &["run-in", "plain", "cat", "/etc/grows"]).ok();
    assert_eq!(alone.stdout, "a\n");
    assert_eq!(listing(&home, &unit.slot()), before);
    berth(&home, &["uninstall", "--no-systemd", "plain"]).ok();
    assert_eq!(entries(&checkouts(&home)), [".berth"]);
    let pins = home.repo().join("refs/heads/berth/used");
    assert_eq!(entries(&pins), Vec::<String>::new());
}

const QUADLET: &str = r#"[Unit]
Description=What a quadlet says
[Container]
Image=SOURCE
Exec=sh -c "echo $WORD: $OTHER > /data/out; id -u >> /data/out; echo x > /tmp/x; trap 'exit 0' TERM; while :; do sleep 0.05; done"
Environment=WORD=two OTHER="a b"
Volume=data:/data
User=1000
[Install]
WantedBy=default.target
"#;

#[test]
fn a_quadlet_runs_as_it_says() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = Home::new();
    let files = Tar::new().dir("data").dir_with("tmp", 0o1777, 0, 0);
    let source = busybox(&home, "quadlet", files, &json!({"Cmd": ["false"]}));
    let pull = ["pull", "-q", "--name", "localhost/quadlet", &source];
    berth(&home, &pull).ok();
    home.write(
        "web.container",
        QUADLET.replace("SOURCE", "localhost/quadlet"),
    );
    berth(
        &home,
        &["install", "--no-systemd", "--from-quadlet", "web.container"],
    )
    .ok();
    let unit = Unit::of(&home, "web");
    let said: Vec<&str> = unit
        .text
        .lines()
        .filter(|line| line.starts_with("Description="))
        .collect();
    assert_eq!(said, ["Description=What a quadlet says"]);
    let before = listing(&home, &unit.slot());
    // As its tmpfiles.d file says.
    let data = home.join(".data/web/data");
    let tmpfiles = fs::read_to_string(unit.slot().join("tmpfiles-web.conf")).unwrap();
    let line = format!("{}   0777 ", data.display());
    assert!(tmpfiles.contains(&line), "{tmpfiles}");
    home.sh("mkdir -p .data/web/data && chmod 777 .data/web/data")
        .ok();
    let pid = unit.start();
    let out = || fs::read_to_string(data.join("out")).unwrap_or_default();
    crate::life::until("it has written", || out().lines().count() == 2);
    assert_eq!(out(), "two: a b\n1000\n");
    let ran = berth(&home, &["run-in", "web", "sh", "-c", "id -u; cat /tmp/x"]);
    assert_eq!(ran.ok().stdout, "1000\nx\n");
    unit.stop(pid);
    assert_eq!(listing(&home, &unit.slot()), before);
    berth(&home, &["uninstall", "--no-systemd", "web"]).ok();
    assert_eq!(entries(&checkouts(&home)), [".berth"]);
    assert_eq!(out(), "two: a b\n1000\n", "its state stays");
}
