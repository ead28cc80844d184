//! `atomic install`, `uninstall` and `containers`, without a systemd: what it would be told is printed.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{World, app};
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Tar};
use crate::support::user::Run;

const CONFIG: &str = r#"{"ociVersion": "1.0.0", "process": {"args": ["/run.sh"], "cwd": "/",
"env": ["RECEIVER=$RECEIVER"]}, "root": {"path": "rootfs", "readonly": true}, "mounts": [],
"linux": {"namespaces": [{"type": "mount"}]}}"#;
const UNIT: &str = "[Unit]\nDescription=$NAME\n\n[Service]\nExecStart=$EXEC_START\nExecStop=$EXEC_STOP\nWorkingDirectory=$DESTDIR\n\n[Install]\nWantedBy=multi-user.target\n";

/// An image that is made to be a service.
fn hello() -> Image {
    let manifest = json!({"version": "1.0", "defaultValues": {"RECEIVER": "World"}});
    let tar = Tar::new()
        .dir("exports")
        .file("exports/config.json.template", CONFIG)
        .file("exports/service.template", UNIT)
        .file("exports/manifest.json", manifest.to_string())
        .file_with("run.sh", 0o755, 0, 0, "#!/bin/sh\n");
    Image {
        layers: vec![Layer::new(tar.finish(), Form::Plain)],
        ..app("")
    }
}

impl World {
    fn hello() -> Self {
        Self::of(Home::new(), hello())
    }

    /// `atomic` with services below the home.
    fn service(&self, words: &str) -> Run {
        self.atomic(words)
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path())
    }

    fn checkouts(&self) -> PathBuf {
        self.home.join(".local/share/containers/atomic")
    }

    fn config(&self, name: &str) -> String {
        fs::read_to_string(self.checkouts().join(name).join("config.json")).unwrap()
    }
}

const INSTALL: &str = "install --user --no-systemd --name hello --set RECEIVER=You docker.io/app";

#[test]
fn a_service_is_installed_updated_and_rolled_back() {
    let world = World::hello();
    world.service(INSTALL).ok();
    assert!(world.config("hello.0").contains("RECEIVER=You"));
    let again = world.service(INSTALL).ok();
    assert_eq!(again.stdout, "hello already present\n");
    let marked = world.service("images list -n").ok();
    assert!(
        marked.stdout.starts_with(">  docker.io/library/app"),
        "{}",
        marked.stdout
    );
    let update = "containers update --no-systemd";
    let same = world.service(&format!("{update} hello")).ok();
    assert!(
        same.stdout.contains("Latest version already installed.\n"),
        "{}",
        same.stdout
    );
    world
        .service(&format!("{update} --set RECEIVER=Me hello"))
        .ok();
    assert!(world.config("hello").contains("RECEIVER=Me"));
    let back = world.service("containers rollback --no-systemd hello").ok();
    assert!(
        back.stdout
            .starts_with("Attempting to roll back system container: hello\n"),
        "{}",
        back.stdout
    );
    assert!(world.config("hello").contains("RECEIVER=You"));
    world.service("uninstall --no-systemd hello").ok();
    assert!(!world.checkouts().join("hello").exists());
    assert!(!world.checkouts().join("hello.0").exists());
}

#[test]
fn all_services_are_updated_with_a_table() {
    let world = World::hello();
    world.service(INSTALL).ok();
    let ran = world.service("containers update --no-systemd --all").ok();
    let id = &world.id()[..32];
    let line = |cells: [&str; 5]| {
        let [name, before, after, latest, status] = cells;
        format!("{name:<15} {before:<32} {after:<32} {latest:<32} {status:<15}\n")
    };
    let table = format!(
        "\nSUMMARY\n\n{}{}",
        line([
            "Container",
            "Image ID before update",
            "Image ID after update",
            "Latest image ID",
            "Status"
        ]),
        line(["hello", id, id, id, "Updated"])
    );
    assert!(
        ran.stdout.starts_with("Checking container hello...\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.ends_with(&table), "{}\n{table}", ran.stdout);
    for (words, text) in [
        (
            "--all hello",
            "Incompatible options specified.  --all doesn't support a container name",
        ),
        (
            "--all --set A=b",
            "Incompatible options specified.  --all doesn't support --set or --rebase",
        ),
        ("", "Too few arguments.  Please specify the container"),
        ("nothing", "System container 'nothing' is not installed"),
    ] {
        let ran = world
            .service(&format!("containers update {words}"))
            .fails(1);
        assert_eq!(
            ran.stderr,
            format!("{text}\nSome operations for 'containers' require root access.\n")
        );
    }
}

#[test]
fn install_and_uninstall_refuse_in_atomics_words() {
    let world = World::hello();
    for (words, text) in [
        (
            "install --set A=b docker.io/app",
            "--set is valid only when used with --system or --user",
        ),
        (
            "install --system docker.io/app",
            "Only root can use --system",
        ),
        (
            "install --user --storage docker docker.io/app",
            "The --system and --user options are only available for the 'ostree' storage.",
        ),
        (
            "install --system-package=perhaps docker.io/app",
            "Invalid --system-package mode.  Accepted values: 'auto', 'build', 'no', 'yes'",
        ),
        (
            "install --system-package=build docker.io/app",
            "--system-package=build is not here: berth makes no packages",
        ),
        (
            "uninstall hello",
            "Unable to find 'hello' in the following backends: ostree",
        ),
        (
            "uninstall --name hello app",
            "System containers do not support --name. Please use atomic uninstall NAME",
        ),
        (
            "containers trim",
            "atomic containers trim is not here: it trimmed the devices of docker's containers",
        ),
    ] {
        let ran = world.service(words).fails(1);
        let name = words.split(' ').next().unwrap();
        assert_eq!(
            ran.stderr,
            format!("{text}\nSome operations for '{name}' require root access.\n"),
            "{words}"
        );
    }
    let ran = world
        .service("install --user --no-systemd --set A docker.io/app")
        .fails(1);
    ran.err_has("Invalid value 'A'.  Expected form NAME=VALUE");
    assert!(!world.checkouts().join("app").exists());
}

#[test]
fn info_tells_the_variables_of_templates() {
    let world = World::hello();
    world.atomic("pull docker.io/app").ok();
    let ran = world.atomic("images info app").ok();
    ran.out_has("\nTemplate variables with default value, but overridable with --set:\n")
        .out_has("\nRECEIVER: World\n");
}
