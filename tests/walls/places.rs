//! Where berth keeps things: nobody else gets at them, and nothing is believed that somebody else put there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use crate::needs;
use crate::run::{busybox, run, sh, with_busybox};
use crate::support::image::Tar;
use crate::support::{Home, User};

#[test]
fn live_state_is_not_kept_where_others_could_change_it() {
    needs!(Root);
    let home = Home::new();
    let other = User::plain().expect("tests/user has made it");
    let at = |name: &str| home.join(name);
    let with = |dir: &std::path::Path| {
        home.berth([
            "--run-dir",
            dir.to_str().unwrap(),
            "run",
            "--pull",
            "never",
            "nothing",
        ])
    };
    fs::create_dir(at("theirs")).unwrap();
    chown(at("theirs"), Some(other.uid), Some(other.gid)).unwrap();
    with(&at("theirs"))
        .fails(125)
        .one_error()
        .err_has(&format!("it belongs to user {}", other.uid));
    home.sh("mkdir open mine && chmod 0777 open && ln -s mine own-link")
        .ok();
    with(&at("open"))
        .fails(125)
        .one_error()
        .err_has("other users can write to it");
    symlink(at("mine"), at("their-link")).unwrap();
    rustix::fs::chownat(
        rustix::fs::CWD,
        at("their-link"),
        Some(rustix::fs::Uid::from_raw(other.uid)),
        None,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    with(&at("their-link"))
        .fails(125)
        .one_error()
        .err_has(&format!("it is a link of user {}", other.uid));
    home.write("file", "");
    with(&at("file"))
        .fails(125)
        .one_error()
        .err_has("it is not a directory");
    // The control: a directory of one's own will do, and through one's own link.
    for fine in ["mine", "own-link", "new"] {
        let ran = with(&at(fine)).fails(125);
        assert!(ran.stderr.contains("nothing"), "{}", ran.stderr);
    }
    assert_eq!(fs::metadata(at("new")).unwrap().mode() & 0o777, 0o700);
}

/// A pid from before a reboot means nothing, even when some process has it.
#[test]
fn a_pid_of_another_boot_is_nobody() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let mut running = home
        .berth([
            "run",
            "--name",
            "old",
            "busybox",
            "sh",
            "-c",
            "echo up; sleep 1000",
        ])
        .start();
    running.until_stdout("up");
    let id = home
        .berth(["ps", "-q", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let state = home.root().join("containers").join(&id).join("state.json");
    let text = fs::read_to_string(&state).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot.trim()));
    let other = text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    home.sh(&format!("cat >{}", state.display()))
        .input(other)
        .ok();
    assert_eq!(home.berth(["ps", "-q"]).ok().text(), "", "it does not run");
    home.sh(&format!("cat >{}", state.display()))
        .input(text)
        .ok();
    assert_eq!(
        home.berth(["ps", "-q", "--no-trunc"]).ok().text(),
        id,
        "the control"
    );
    home.berth(["rm", "-f", "old"]).ok();
    running.wait();
}

/// Programs of old images that are set-uid belong to the user who stored them. Nobody else can execute one.
#[test]
fn no_other_user_can_execute_a_set_uid_program() {
    needs!(Root, Images, Userns, Overlay);
    let home = busybox();
    let program = fs::read("/bin/true").unwrap();
    super::on_busybox(
        &home,
        "old",
        Tar::new().file_with("bin/su", 0o4755, 0, 0, program),
        serde_json::json!({"Cmd": ["true"]}),
    );
    run(&home, &["old", "true"]).ok();
    let found = home
        .sh("find \"$ROOT\" -path '*/bin/su' -o -name '*.file' -size +10k")
        .ok()
        .stdout;
    let other = User::plain().expect("tests/user has made it");
    let paths: Vec<&str> = found.lines().collect();
    assert!(
        paths.iter().any(|path| path.ends_with("/bin/su")) && paths.len() > 1,
        "{found}"
    );
    for path in &paths {
        assert_eq!(
            fs::metadata(path).unwrap().mode() & 0o6000,
            0,
            "{path} is set-uid on the host"
        );
        let started = other.command(path).status();
        assert!(started.is_err(), "another user executed {path}");
    }
    assert_eq!(fs::metadata(home.root()).unwrap().mode() & 0o7777, 0o700);
    // The control: outside of ROOT the same program can be executed by everybody.
    let copy = home.join("su");
    let status = Command::new("install")
        .args(["-m", "4755", "/bin/true"])
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success() && other.command(&copy).status().unwrap().success());
    fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
}

/// containerd's directories let every user of the host walk into the roots of containers (and CVE-2024-25621 again).
#[test]
fn cve_2021_41103_no_other_user_reaches_a_running_root() {
    needs!(Root, Images, Userns, Overlay);
    let home = busybox();
    let other = User::plain().expect("tests/user has made it");
    home.berth([
        "run",
        "-d",
        "--name",
        "up",
        "-v",
        "data:/data",
        "busybox",
        "sh",
        "-c",
        "umask 0; echo text >/data/open; echo text >/open; sleep 1000",
    ])
    .ok();
    let live = home.join(format!("berth-{}", home.user.uid));
    let mut tried = 0;
    for top in [home.root(), live] {
        let all = home
            .sh(&format!(
                "find {} -mindepth 1 2>/dev/null || true",
                top.display()
            ))
            .ok();
        tried += all.stdout.lines().count();
        let list = home.write("list", &all.stdout);
        std::fs::set_permissions(&list, PermissionsExt::from_mode(0o644)).unwrap();
        let script = "while read -r path; do test ! -e \"$path\" || echo \"$path\"; done";
        let found = other
            .command("sh")
            .args(["-euc", script])
            .stdin(fs::File::open(&list).unwrap())
            .output()
            .unwrap();
        assert!(
            found.status.success() && found.stdout.is_empty(),
            "another user finds {found:?}"
        );
        assert!(
            !other
                .command("ls")
                .arg(&top)
                .output()
                .unwrap()
                .status
                .success()
        );
        // The control: for who owns it the first of them is there.
        home.program("test")
            .args(["-e", all.stdout.lines().next().unwrap()])
            .ok();
    }
    assert!(tried > 50, "only {tried} paths");
    home.berth(["rm", "-f", "up"]).ok();
}

/// A filter that is not as it was kept is made anew.
#[test]
fn a_planted_filter_of_system_calls_is_not_believed() {
    needs!(Images, Userns, Overlay);
    let home = with_busybox(Home::new());
    let run_dir = home.join("live");
    let args = |rest: &[&str]| -> Vec<String> {
        let head = ["--run-dir", run_dir.to_str().unwrap(), "run", "--rm"];
        head.iter().chain(rest).map(|it| (*it).to_owned()).collect()
    };
    let seccomp = [
        "busybox",
        "sh",
        "-c",
        "unshare -Uru hostname x 2>/dev/null && echo open || echo closed",
    ];
    assert_eq!(home.berth(args(&seccomp)).ok().text(), "closed");
    let kept: Vec<_> = fs::read_dir(run_dir.join("seccomp"))
        .unwrap()
        .flatten()
        .map(|it| it.path())
        .collect();
    assert_eq!(kept.len(), 1, "one filter is kept");
    // One instruction that allows everything: torn, or not ours.
    for plant in ["printf '\\006\\0\\0\\0\\0\\0\\377\\177'", "head -c 100"] {
        let path = kept[0].display();
        home.sh(&format!("{plant} <{path} >planted; cat planted >{path}"))
            .ok();
        assert_eq!(home.berth(args(&seccomp)).ok().text(), "closed", "{plant}");
    }
    assert_eq!(
        sh(
            &home,
            &["--security-opt", "seccomp=unconfined"],
            "unshare -Uru hostname x && echo open"
        ),
        "open",
        "the control"
    );
}
