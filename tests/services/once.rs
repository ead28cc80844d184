//! Images that run once, with the label `atomic.run=once`: out of a bundle of which nothing stays.

use std::path::Path;

use serde_json::json;

use super::example::{berth, busybox, checkouts, entries};
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;

/// Writes to its root, which is not said to be read-only, and to a directory of live state that nobody has made.
const CONFIG: &str = r#"{"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": false},
"process": {"args": ["sh", "-c", "test ! -e /made || echo still; echo $WORD > /made; cat /made; echo $WORD > /share/said; exit 3"],
"cwd": "/", "env": ["PATH=/bin"]},
"mounts": [{"type": "proc", "source": "proc", "destination": "/proc"},
{"type": "bind", "source": "$RUN_DIRECTORY/live/share", "destination": "/share", "options": ["rbind", "rw"]}],
"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}"#;

fn image(home: &Home, tmpfiles: Option<&str>) -> String {
    let mut files = Tar::new()
        .file(
            "exports/manifest.json",
            r#"{"version": "1.0", "defaultValues": {"WORD": "one"}}"#,
        )
        .file("exports/config.json.template", CONFIG)
        .dir("share");
    if let Some(text) = tmpfiles {
        files = files.file("exports/tmpfiles.template", text);
    }
    let config = json!({"Labels": {"atomic.run": "once"}});
    busybox(home, "tool", files, &config)
}

fn nothing_is_left(home: &Home) {
    assert_eq!(entries(&checkouts(home)), [".berth"]);
    let own = checkouts(home).join(".berth");
    for dir in ["once", "staging", "trash", "journal"] {
        assert_eq!(entries(&own.join(dir)), Vec::<String>::new(), "{dir}");
    }
    let pins = home.repo().join("refs/heads/berth/used");
    assert_eq!(entries(&pins), Vec::<String>::new());
    assert_eq!(berth(home, &["oci", "list", "-q"]).ok().stdout, "");
    assert!(!home.join(".config/systemd").exists(), "there is no unit");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&home.path().display().to_string()));
}

#[test]
fn an_installation_runs_it_and_leaves_nothing() {
    needs!(Images, Userns, Overlay);
    let home = Home::new();
    let source = image(&home, None);
    let shown = berth(&home, &["install", "--display", &source]).ok();
    assert!(
        shown.stdout.ends_with(" runs once: nothing is installed\n"),
        "{}",
        shown.stdout
    );
    for (set, said) in [("WORD=one", "one\n"), ("WORD=two", "two\n")] {
        let ran = berth(&home, &["install", "--set", set, &source]).fails(3);
        assert_eq!(ran.stdout, said);
        let shared = std::fs::read_to_string(home.join("live/share/said"));
        assert_eq!(shared.unwrap(), said);
        nothing_is_left(&home);
    }
    // Nor is what it was made of changed.
    berth(&home, &["verify", "layout-tool"]).ok();
}

#[test]
fn directories_that_its_own_tmpfiles_forget_are_made_too() {
    needs!(Images, Userns, Overlay);
    let home = Home::new();
    let source = image(&home, Some("d $STATE_DIRECTORY/$NAME 0710 - - -\n"));
    let ran = berth(&home, &["install", &source]).fails(3);
    assert_eq!(ran.stdout, "one\n");
    assert!(home.join("live/share/said").exists());
    let has_tmpfiles = Path::new("/usr/bin/systemd-tmpfiles").exists();
    assert_eq!(home.join(".data/layout-tool").is_dir(), has_tmpfiles);
    // What maps its ids is there, and nothing else.
    home.sh("mkdir bin && ln -s /usr/bin/newuidmap /usr/bin/newgidmap bin")
        .ok();
    let without = berth(&home, &["install", &source])
        .env("PATH", home.join("bin"))
        .fails(3);
    without.err_has(
        "left out what the image wants made on the host: systemd-tmpfiles is not on PATH\n",
    );
    nothing_is_left(&home);
}

#[test]
fn atomic_runs_another_command_in_it() {
    needs!(Images, Userns, Overlay);
    let home = Home::new();
    let source = image(&home, None);
    let pull = ["pull", "-q", "--name", "docker.io/tool:1", &source];
    berth(&home, &pull).ok();
    let atomic = |words: &[&str]| berth(&home, &[&["atomic", "run"], words].concat());
    let ran = atomic(&[
        "docker.io/tool:1",
        "sh",
        "-c",
        "echo \"$@\"; exit 4",
        "-",
        "-a",
        "b c",
    ]);
    assert_eq!(ran.fails(4).stdout, "-a b c\n");
    let ran = atomic(&["--set", "WORD=set", "docker.io/tool:1"]);
    assert_eq!(ran.fails(3).stdout, "set\n");
    let ran = atomic(&["docker.io/tool:1", "no-such-program"]).run();
    assert!(
        ran.exit() != 0 && ran.stderr.contains("no-such-program"),
        "{}",
        ran.stderr
    );
    nothing_is_left(&home);
}
