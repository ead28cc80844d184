//! Another image or another runtime for a service, and an image that nobody serves.

use std::fs;

use serde_json::Value;

use super::example::{UNIT, berth, checkouts, image, image_with, install, unit};
use crate::support::registry::free_port;
use crate::support::user::Run;
use crate::support::{Home, read_json};

fn update(home: &Home, args: &[&str]) -> Run {
    berth(home, &[&["update", "--no-systemd", "web"], args].concat())
}

fn pull(home: &Home, word: &str, name: &str) {
    let source = image(home, word);
    berth(home, &["pull", "-q", "--name", name, &source]).ok();
}

fn info(home: &Home) -> Value {
    read_json(&checkouts(home).join("web/info"))
}

fn unit_says(home: &Home, text: &str) -> bool {
    fs::read_to_string(unit(home)).unwrap().contains(text)
}

#[test]
fn a_service_follows_the_image_that_it_was_rebased_to() {
    let home = Home::new();
    let source = image(&home, "one");
    install(&home, &source).ok();
    assert_eq!(info(&home)["berth-source"], source);
    pull(&home, "other", "localhost/other");
    let slot = checkouts(&home).join("web.1");
    update(&home, &["--rebase", "localhost/other"])
        .ok()
        .out_has(&format!("web is now {}\n", slot.display()));
    assert!(unit_says(&home, "web says other"));
    let now = info(&home);
    assert_eq!(now["image"], "localhost/other");
    assert_eq!(
        now["berth-source"],
        Value::Null,
        "that was the other image's"
    );
    // Back to a source, which is where it comes from then.
    image(&home, "three");
    update(&home, &["--rebase", &source]).ok();
    assert_eq!(info(&home)["berth-source"], source);
    image(&home, "four");
    update(&home, &[]).ok();
    assert!(unit_says(&home, "web says four"));
}

#[test]
fn an_image_that_was_only_loaded_is_updated_with_what_is_here() {
    let home = Home::new();
    let name = format!("127.0.0.1:{}/web", free_port());
    pull(&home, "one", &name);
    install(&home, &name).ok();
    let hint = format!(
        "hint: if {name} is only loaded here, `berth update --rebase {name} web` uses it without asking a registry\n"
    );
    // Nobody knows whether there is a newer one.
    let ran = update(&home, &[]).fails(1);
    assert!(
        ran.stderr.starts_with(&format!(
            "error: cannot pull docker://{name}:latest: cannot reach "
        )),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.ends_with(&hint), "{}", ran.stderr);
    pull(&home, "two", &name);
    let ran = update(&home, &[]).ok();
    assert!(
        ran.stderr.contains("; the image that is here is used\n"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    assert!(unit_says(&home, "web says two"));
    // So are new values, and what the hint says.
    update(&home, &["--set", "WORD=set"]).ok();
    assert!(unit_says(&home, "web says set"));
    let ran = update(&home, &["--rebase", &name]).ok();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("Latest version already installed.\n", "")
    );
    // Whoever updates all wants to know.
    pull(&home, "three", &name);
    berth(&home, &["update", "--no-systemd", "--all"]).fails(1);
    assert!(unit_says(&home, "web says set"));
}

#[test]
fn another_runtime_is_the_units_and_stays() {
    let home = Home::new();
    home.sh("mkdir bin; cat > bin/crun; chmod 755 bin/crun")
        .input("#!/bin/sh\ncase $1$2 in run--help) echo '  --pid-file=FILE';; --help) echo '  --systemd-cgroup';; esac\n")
        .ok();
    let fake = home.join("bin/crun").display().to_string();
    let detached = UNIT.replace(
        "[Install]",
        "ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE\n[Install]",
    );
    let mut runtimes = vec![fake];
    // The real one says it in its own way.
    runtimes.extend(
        ["/usr/bin/crun", "/usr/sbin/runc"]
            .map(str::to_owned)
            .into_iter()
            .filter(|it| fs::exists(it).unwrap()),
    );
    for runtime in runtimes {
        let source = image_with(&home, "one", &detached);
        let words = [
            "install",
            "--no-systemd",
            "--name",
            "web",
            "--runtime",
            &runtime,
            &source,
        ];
        berth(&home, &words).ok();
        let expected = format!(
            "ExecStart={runtime} run -d --pid-file {} 'web'\n",
            home.join("container-web.pid").display()
        );
        let text = || fs::read_to_string(unit(&home)).unwrap();
        assert!(text().contains(&expected), "{}", text());
        let cleans = format!("ExecStopPost={runtime} delete 'web'\n");
        assert!(text().contains(&cleans), "{}", text());
        assert_eq!(info(&home)["runtime"], runtime);
        image_with(&home, "two", &detached);
        update(&home, &[]).ok();
        assert!(
            text().contains(&expected) && text().contains("web says two"),
            "{}",
            text()
        );
        berth(&home, &["uninstall", "--no-systemd", "web"]).ok();
    }
}

#[test]
fn a_runtime_that_is_not_there_leaves_nothing() {
    let home = Home::new();
    let source = image(&home, "one");
    let words = [
        "install",
        "--no-systemd",
        "--name",
        "web",
        "--runtime",
        "/nonexistent",
        &source,
    ];
    let ran = berth(&home, &words).fails(1);
    assert_eq!(
        ran.stderr,
        "error: Cannot install the container: the runtime /nonexistent is not installed\n"
    );
    assert_eq!(ran.stdout, "");
    for left in [".local", ".config", "root", "berth"] {
        assert!(!home.join(left).exists(), "{left}");
    }
}
