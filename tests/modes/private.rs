//! Root's store holds programs that run as root: nobody else gets to them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::checkout::pull;
use crate::needs;
use crate::support::image::Tar;
use crate::support::{Home, User};

/// What the ordinary user gets from running a file: who it says he is.
fn try_to_run(path: &Path) -> Result<String, ErrorKind> {
    let user = User::ordinary().unwrap();
    let out = user.command(path).current_dir("/").output();
    out.map(|out| String::from_utf8(out.stdout).unwrap())
        .map_err(|error| error.kind())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nobody_else_runs_what_is_set_user_id_in_roots_store() {
    needs!(Root);
    let home = Home::of(User::root());
    let program = fs::read("/usr/bin/id").unwrap();
    let tar = Tar::new().file_with("bin/id", 0o4755, 0, 0, program);
    pull(&home, "tool", vec![tar]);
    home.sh(
        "mkdir -m 755 root/checkouts && \"$BERTH\" --root root checkout -q tool root/checkouts/one",
    )
    .ok();
    let checked_out = home.root().join("checkouts/one/bin/id");
    let object = home
        .sh("find root/repo/objects -samefile root/checkouts/one/bin/id")
        .ok();
    let object: PathBuf = home.join(object.text());
    assert!(object.is_file());
    let denied = Err(ErrorKind::PermissionDenied);
    assert_eq!(try_to_run(&object), denied);
    assert_eq!(try_to_run(&checked_out), denied);

    // The control: it is ROOT's mode that keeps him out, and the program does run as root.
    let as_root = "euid=0(root)";
    set_mode(&home.root(), 0o755);
    assert_eq!(try_to_run(&object), denied, "the repository is closed too");
    assert!(try_to_run(&checked_out).unwrap().contains(as_root));
    set_mode(&home.repo(), 0o755);
    assert!(try_to_run(&object).unwrap().contains(as_root));
    set_mode(&home.root(), 0o700);
    assert_eq!(try_to_run(&object), denied);
    assert_eq!(try_to_run(&checked_out), denied);
}

#[test]
fn nobody_else_runs_it_from_a_repository_elsewhere() {
    needs!(Root);
    let home = Home::of(User::root());
    let repo = home.join("elsewhere");
    let repo = repo.to_str().unwrap();
    home.berth(["--repo", repo, "repo", "init"]).ok();
    let mode = fs::metadata(repo).unwrap().permissions().mode();
    assert_eq!(format!("{:o}", mode & 0o7777), "700");
    let config = fs::read_to_string(home.join("elsewhere/config")).unwrap();
    assert!(config.contains("mode=bare\n"), "{config}");
}

#[test]
fn an_ordinary_user_makes_no_bare_repository() {
    let home = Home::new();
    for hash in ["sha256", "blake3"] {
        let ran = home
            .berth(["repo", "init", "--mode", "bare", "--hash", hash])
            .fails(1)
            .one_error();
        ran.err_has("error: cannot make a repository with mode bare: only root can give files their owners\n")
            .err_has("hint: an ordinary user's mode is bare-user");
        assert!(!home.repo().exists());
    }
}
