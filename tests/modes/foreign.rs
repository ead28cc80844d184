//! Root reads another user's repository, and leaves nothing in it.

use std::fs;

use crate::checkout::{layout, pull};
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;

/// A repository of the ordinary user with one image.
fn users() -> Home {
    let home = Home::new();
    pull(&home, "app", vec![Tar::new().file("etc/file", "text\n")]);
    home
}

/// Names, owners, modes, times and contents below ROOT.
fn state(home: &Home) -> String {
    let script = "find root -printf '%p %y %U:%G %m %T@ %l\\n' | sort; \
                  find root -type f | sort | xargs sha256sum";
    home.sh(script).by_root().ok().stdout
}

#[test]
fn root_writes_to_no_other_users_repository() {
    needs!(Root);
    let home = users();
    let source = layout(&home, "other", vec![Tar::new().file("other", "other")]);
    let refused = format!(
        "cannot write to repository {}: it belongs to user {}, and this is root\n",
        home.repo().display(),
        home.user.uid
    );
    let before = state(&home);
    let commands: [&[&str]; 11] = [
        &["pull", "-q", "--name", "other", &source],
        &["rmi", "app"],
        &["rmi", "--force", "app"],
        &["tag", "app", "too"],
        &["gc"],
        &["repo", "commit", "-b", "test/dir", "layout-app"],
        &["repo", "prune"],
        &["repo", "refs", "--delete", "ocifs"],
        &["repo", "refs", "--create", "test/new", "ocifs/app"],
        &[
            "repo",
            "refs",
            "--alias",
            "--create",
            "test/new",
            "ocifs/app",
        ],
        &["repo", "refs", "--alias", "--delete", "ociimage"],
    ];
    for command in commands {
        let ran = home.berth(command).by_root().run();
        // There are no aliases to delete, which is no reason to write.
        if command.contains(&"--delete") && command.contains(&"--alias") {
            ran.code(0);
        } else {
            let ran = ran.code(1).one_error().err_has(&refused);
            assert!(!ran.stderr.contains("hint"), "{}", ran.stderr);
        }
        assert_eq!(state(&home), before, "{command:?}");
    }
    home.berth(["rmi", "app"]).ok();
}

#[test]
fn root_reads_every_users_repository() {
    needs!(Root);
    let home = users();
    let lock = home.repo().join(".lock");
    for locked in [true, false] {
        if !locked {
            fs::remove_file(&lock).unwrap();
        }
        let before = state(&home);
        let reads: [(&[&str], &str); 10] = [
            (&["images"], "app "),
            (&["repo", "ls", "-R", "ocifs/app"], " /etc/file\n"),
            (&["repo", "refs"], "ocifs/app\n"),
            (&["cat", "app", "/etc/file"], "text\n"),
            (&["ls", "-l", "app", "/etc"], "file\n"),
            (&["repo", "fsck"], ": no problems"),
            (&["verify", "app"], ": no problems"),
            (&["repo", "log", "ocifs/app"], "commit "),
            (&["inspect", "app"], "\"app\""),
            (&["save", "-q", "app"], "\"imageLayoutVersion\""),
        ];
        for (command, says) in reads {
            home.berth(command).by_root().ok().out_has(says);
        }
        home.berth(["checkout", "-q", "--copy", "app", "/dev/null/no"])
            .by_root()
            .fails(1)
            .one_error();
        home.berth(["checkout", "-q", "--copy", "app", &format!("out-{locked}")])
            .by_root()
            .ok();
        assert_eq!(state(&home), before, "reading left nothing");
    }
}
