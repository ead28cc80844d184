//! The options of `-v`, `--mount` and `--tmpfs`, seen from inside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::needs;
use crate::run::{busybox, run, sh};

/// The options of what is mounted at a place.
const OPTIONS: &str = "awk '$2 == \"/x\" {print $3, $4}' /proc/self/mounts";

#[test]
fn options_are_those_of_the_mount() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir shared && cp /bin/true shared/true && chmod 755 shared/true")
        .ok();
    let options = |flags: &[&str]| sh(&home, flags, OPTIONS);
    let has = |said: &str, word: &str| said.split([' ', ',']).any(|it| it == word);
    for (flags, yes, no) in [
        (
            ["-v", "./shared:/x"],
            &["rw", "nosuid", "nodev"][..],
            &["noexec", "ro"][..],
        ),
        (["-v", "./shared:/x:ro,noexec"], &["ro", "noexec"], &["rw"]),
        (
            ["-v", "./shared:/x:suid,Z,rprivate"],
            &["rw", "nodev"],
            &["nosuid"],
        ),
        (
            ["--mount", "type=bind,src=./shared,dst=/x,readonly"],
            &["ro", "nosuid"],
            &["rw"],
        ),
        (
            ["--mount", "type=tmpfs,dst=/x,tmpfs-size=1m"],
            &["tmpfs", "size=1024k", "noexec", "nodev", "nosuid"],
            &["ro"],
        ),
        (
            ["--tmpfs", "/x:exec,suid,ro"],
            &["tmpfs", "ro", "nodev"],
            &["noexec", "nosuid", "rw"],
        ),
        (["-v", "named:/x:noexec"], &["rw", "noexec"], &["ro"]),
    ] {
        let said = options(&flags);
        for word in yes {
            assert!(has(&said, word), "{flags:?}: no {word} in {said}");
        }
        for word in no {
            assert!(!has(&said, word), "{flags:?}: {word} in {said}");
        }
    }
    let said = sh(
        &home,
        &["-v", "./shared:/x:noexec"],
        "/x/true 2>/dev/null; echo $?",
    );
    assert_eq!(said, "126");
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for (flags, why) in [
        (
            ["-v", "/:/x:O"],
            "an overlay (O) of a host's directory is not supported",
        ),
        (
            ["-v", "/:/x:dev"],
            "dev is not possible: device files do not work in a user namespace",
        ),
        (
            ["-v", "/:/x:rshared"],
            "propagation rshared is not supported: what is mounted in a container stays there",
        ),
        (
            ["-v", "/:/x:idmap"],
            "idmap is not supported: it takes real root",
        ),
        (["-v", "/:/x:what"], "option what is not supported"),
        (
            ["--mount", "type=bind,dst=/x"],
            "a bind mount needs a source",
        ),
        (["--tmpfs", "/x:uid=1"], "option uid=1 is not supported"),
    ] {
        run(&home, &[&flags[..], &["busybox", "true"]].concat())
            .fails(2)
            .err_has(why);
    }
    run(&home, &["-v", "/no/such/thing:/x", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("cannot find volume source /no/such/thing: No such file or directory");
    run(&home, &["-v", "a:/x", "--tmpfs", "/x/", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("cannot use --volume \"/x\": two are to be mounted there");
    assert!(!home.root().join("volumes").exists(), "nothing was made");
}

#[test]
fn memory_starts_with_the_images_files_and_its_mode() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    assert_eq!(
        sh(
            &home,
            &["--tmpfs", "/etc"],
            "head -n 1 /etc/group; awk '$2 == \"/etc\" {print $3}' /proc/self/mounts; touch /etc/new && stat -c %a /etc"
        ),
        "root:x:0:\ntmpfs\n755"
    );
    assert_eq!(
        sh(
            &home,
            &["--tmpfs", "/etc:notmpcopyup"],
            "ls /etc/group 2>/dev/null; stat -c %a /etc"
        ),
        "755"
    );
    assert_eq!(sh(&home, &["--tmpfs", "/x"], "stat -c %a /x"), "1777");
    assert_eq!(
        sh(&home, &["--tmpfs", "/x:mode=0710"], "stat -c %a /x"),
        "710"
    );
    assert_eq!(
        sh(
            &home,
            &["--tmpfs", "/etc:mode=0711"],
            "stat -c %a /etc; ls /etc/group"
        ),
        "711\n/etc/group"
    );
    assert_eq!(
        sh(
            &home,
            &[],
            "head -n 1 /etc/group; ls /etc/new 2>&1 | grep -c 'No such'"
        ),
        "root:x:0:\n1"
    );
}

#[test]
fn a_read_only_root_has_memory_unless_told_otherwise() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script =
        "for d in /run /tmp /var/tmp /etc; do touch $d/x 2>/dev/null && echo $d; done; true";
    assert_eq!(sh(&home, &["--read-only"], script), "/run\n/tmp\n/var/tmp");
    assert_eq!(
        sh(&home, &["--read-only", "--read-only-tmpfs=false"], script),
        ""
    );
    assert_eq!(
        sh(
            &home,
            &["--read-only", "--read-only-tmpfs=false", "-v", "v:/tmp"],
            script
        ),
        "/tmp"
    );
}

#[test]
fn u_gives_a_volume_to_the_containers_user() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = busybox();
    home.sh("mkdir -p mine/sub outside && touch mine/sub/file outside/file && ln -s ../outside mine/link && chmod 700 mine").ok();
    let look = "stat -c %u:%g /x /x/sub/file /x/link; touch /x/sub/new && echo wrote";
    let flags =
        |ids: &'static str, volume: &'static str| ["--ids", ids, "-u", "12:34", "-v", volume];
    assert_eq!(
        sh(&home, &flags("range", "./mine:/x:U"), look),
        "12:34\n12:34\n12:34\nwrote"
    );
    let uid = |path: &str| fs::symlink_metadata(home.join(path)).unwrap().uid();
    assert_ne!(uid("mine/sub/file"), home.user.uid);
    assert_eq!(uid("outside/file"), home.user.uid, "links are not followed");
    let said = sh(
        &home,
        &flags("range", "named:/x:U"),
        "stat -c %u:%g /x; touch /x/new && echo wrote",
    );
    assert_eq!(said, "12:34\nwrote");
    let root = home.root();
    let root = root.to_str().unwrap();
    run(&home, &["-v", &format!("{root}:/x:U"), "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("U would change the owners of berth's own files");
    // With one id it belongs to the user as it is.
    home.sh("mkdir -p other/sub && touch other/sub/file").ok();
    let said = sh(
        &home,
        &flags("single", "./other:/x:U"),
        "stat -c %u:%g /x /x/sub/file",
    );
    assert_eq!(said, "12:34\n12:34");
}

#[test]
fn a_file_is_mounted_where_a_link_leads_to() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.write("one", "text\n");
    assert_eq!(
        sh(
            &home,
            &["-v", "./one:/a/b/c"],
            "cat /a/b/c; echo more >>/a/b/c"
        ),
        "text"
    );
    assert_eq!(
        fs::read_to_string(home.join("one")).unwrap(),
        "text\nmore\n"
    );
    let mode = fs::metadata(home.join("one")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644);
    // Outer before inner, in whatever order they are given.
    home.sh("mkdir -p outer/in inner && touch outer/in/hidden inner/seen")
        .ok();
    assert_eq!(
        sh(
            &home,
            &["-v", "./inner:/x/in", "-v", "./outer:/x"],
            "ls /x/in"
        ),
        "seen"
    );
    assert_eq!(
        sh(&home, &["-v", "./inner:/x/in", "--tmpfs", "/x"], "ls /x/in"),
        "seen"
    );
}
