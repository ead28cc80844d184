//! `berth cp`: what arrives where, by docker's rules, and what a hostile container gains.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::needs;
use crate::run::busybox;
use crate::support::Home;

const TREE: &str = "mkdir -p /d/sub /m && echo a >/d/a && chmod 640 /d/a && ln /d/a /d/hard && ln -s /etc/passwd /d/link
    echo b >/d/sub/b && chmod 4755 /d/sub/b && touch -d @1000000000 /d/a && chmod 711 /d/sub && echo v >/vol/v";

/// A container `box` that has ended, with a tree, or one that runs.
fn boxed(home: &Home, runs: bool) {
    let end = if runs { "sleep 1000" } else { "true" };
    let script = format!("{TREE}; {end}");
    let args = [
        "run",
        "--name",
        "box",
        "-v",
        "keep:/vol",
        "--tmpfs",
        "/mem",
        "busybox",
        "sh",
        "-c",
        &script,
    ];
    if runs {
        home.berth(["run", "-d"].iter().chain(&args[1..])).ok();
        let there = || home.berth(["cp", "box:/vol/v", "-"]).run().exit() == 0;
        while !there() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    } else {
        home.berth(args).ok();
    }
}

#[test]
fn trees_come_out_as_they_are() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for runs in [false, true] {
        boxed(&home, runs);
        home.sh("rm -rf out && mkdir out && : >out/file").ok();
        let cp = |from: &str, to: &str| home.berth(["cp", from, to]);
        cp("box:/d", "out").ok();
        cp("box:/d", "out/new").ok();
        cp("box:/d/.", "out/contents").ok();
        cp("box:/d/a", "out/file").ok();
        for dir in ["out/d", "out/new", "out/contents"] {
            let dir = home.join(dir);
            let facts = |name: &str| fs::symlink_metadata(dir.join(name)).unwrap();
            assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "a\n");
            assert_eq!(
                (facts("a").mode() & 0o7777, facts("a").mtime()),
                (0o640, 1_000_000_000)
            );
            assert_eq!(facts("a").ino(), facts("hard").ino());
            assert_eq!(
                fs::read_link(dir.join("link")).unwrap().to_str(),
                Some("/etc/passwd")
            );
            assert_eq!(facts("sub").mode() & 0o7777, 0o711);
            assert_eq!(
                facts("sub/b").mode() & 0o7777,
                0o755,
                "no set-user-id file becomes ours"
            );
            assert_eq!(facts("sub/b").uid(), home.user.uid);
        }
        assert_eq!(fs::read_to_string(home.join("out/file")).unwrap(), "a\n");
        for (from, to, why) in [
            ("box:/d", "out/file", "cannot copy directory to a file"),
            ("box:/d/a", "out/none/", "no such directory"),
            ("box:/d/a", "out/none/x", "No such file or directory"),
            ("box:/d/a/", "out", "Not a directory"),
            ("box:/none", "out", "cannot copy box:/none"),
        ] {
            cp(from, to).fails(1).one_error().err_has(why);
        }
        cp("box:/a", "box:/b").fails(2);
        cp("a", "b").fails(2);
        home.berth(["rm", "-f", "box"]).ok();
    }
}

#[test]
fn trees_go_in_as_roots() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir -p in/sub && echo x >in/x && chmod 604 in/x && ln -s nowhere in/link && chmod 750 in/sub").ok();
    for runs in [false, true] {
        boxed(&home, runs);
        let cp = |from: &str, to: &str| home.berth(["cp", from, to]);
        let listed = |path: &str| {
            let script = format!(
                "\"$BERTH\" --root \"$ROOT\" cp box:{path} - | tar tv | awk '{{print $1, $2, $6, $7, $8}}'"
            );
            let said = home.sh(&script).ok().stdout;
            said.lines()
                .map(str::trim_end)
                .collect::<Vec<_>>()
                .join("\n")
        };
        cp("in", "box:/m").ok();
        assert_eq!(listed("/m/in/x"), "-rw----r-- 0/0 x");
        assert_eq!(listed("/m/in/link"), "lrwxrwxrwx 0/0 link -> nowhere");
        assert!(listed("/m/in").contains("drwxr-x--- 0/0 in/sub/"));
        cp("in/.", "box:/m/contents").ok();
        assert_eq!(listed("/m/contents/x"), "-rw----r-- 0/0 x");
        cp("in/x", "box:/vol").ok();
        assert_eq!(
            fs::read_to_string(home.root().join("volumes/keep/x")).unwrap(),
            "x\n",
            "volumes are seen"
        );
        for (from, to, why) in [
            ("in", "box:/d/a", "cannot copy directory to a file"),
            ("in/x", "box:/none/", "no such directory"),
            ("in/sub", "box:/d/.", ""),
            ("none", "box:/m", "cannot copy"),
            ("/dev/null", "box:/m", "is a device"),
        ] {
            match why {
                "" => drop(cp(from, to).ok()),
                why => drop(cp(from, to).fails(1).one_error().err_has(why)),
            }
        }
        home.sh("tar -C in -cf in.tar . && \"$BERTH\" --root \"$ROOT\" cp - box:/m/sub2 <in.tar 2>said && exit 1; grep -q 'must be a directory' said").ok();
        home.sh("\"$BERTH\" --root \"$ROOT\" cp - box:/m <in.tar")
            .ok();
        assert_eq!(listed("/m/x"), "-rw----r-- 0/0 x");
        home.berth(["rm", "-f", "-v", "box"]).ok();
    }
}

/// And podman's CVE-2019-10152: the container turns a directory into a link to the host and back while files are copied.
#[test]
fn cve_2018_15664_a_container_that_swaps_links_reaches_nothing_of_the_host() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let secret = home.join("secret");
    home.sh("mkdir -p secret upper/dir && echo host >secret/file && echo own >upper/dir/file && echo new >put").ok();
    let secret = secret.to_str().unwrap();
    // The control: a copy that follows the path on the host is led out by the link.
    home.sh(&format!(
        "rm -r upper/dir && ln -s {secret} upper/dir && test \"$(cat upper/dir/file)\" = host"
    ))
    .ok();
    let swap = format!(
        "mkdir -p /dir && echo own >/dir/file && ln -s {secret} /link && echo ready
         while :; do mv /dir /kept && mv /link /dir && mv /dir /link && mv /kept /dir; done"
    );
    home.berth(["run", "-d", "--name", "evil", "busybox", "sh", "-c", &swap])
        .ok();
    let mut read = 0;
    for turn in 0..60 {
        let out = format!("got{turn}");
        if home.berth(["cp", "evil:/dir/file", &out]).run().exit() == 0 {
            read += 1;
            let text = fs::read_to_string(home.join(&out)).unwrap();
            assert!(
                text == "own\n" || text == "new\n",
                "{text:?} is not the container's"
            );
        }
        home.berth(["cp", "put", "evil:/dir/file"]).run();
        home.sh("echo own >own && \"$BERTH\" --root \"$ROOT\" cp own evil:/dir/file || true")
            .ok();
        let names: Vec<_> = fs::read_dir(secret)
            .unwrap()
            .flatten()
            .map(|it| it.file_name())
            .collect();
        assert_eq!(names, ["file"]);
        assert_eq!(
            fs::read_to_string(home.join("secret/file")).unwrap(),
            "host\n"
        );
    }
    assert!(read > 0, "nothing was ever copied");
    home.berth(["rm", "-f", "evil"]).ok();
}

#[test]
fn the_store_is_not_written_through_a_volume() {
    needs!(Images, Userns, Overlay, Ostree);
    let home = busybox();
    let source = format!("{}:/host", home.path().display());
    let link = "ln -s /host/root/repo /repo; ln -s /host/root/checkouts /checkouts";
    home.berth([
        "run", "--name", "box", "-v", &source, "busybox", "sh", "-c", link,
    ])
    .ok();
    home.write("put", "broken\n");
    for place in ["/repo/put", "/checkouts/put", "/host/root/repo/config"] {
        let to = format!("box:{place}");
        home.berth(["cp", "put", &to])
            .fails(1)
            .one_error()
            .err_has("Read-only file system");
    }
    home.berth(["cp", "put", "box:/host/fine"]).ok();
    assert_eq!(
        fs::metadata(home.join("fine"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o644
    );
    home.berth(["repo", "fsck"]).ok();
    home.berth(["rm", "box"]).ok();
}
