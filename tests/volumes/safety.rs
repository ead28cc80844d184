//! Mounts whose places a container's files try to move (CVE-2021-30465, CVE-2022-23648, CVE-2024-45310), and sources that
//! hold the store.

use std::fs;

use crate::needs;
use crate::run::{busybox, sh};
use crate::support::ostree::Ostree;

/// A link in one volume that stands where another is mounted leads to a place in the container and never to the host.
#[test]
fn a_link_in_a_volume_does_not_lead_a_mount_out() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let outside = home.join("outside");
    home.sh("mkdir -p outside evil inner && echo host >outside/file && echo inner >inner/file")
        .ok();
    let outside = outside.to_str().unwrap();
    // The control: a shell on the host is led out by the very link.
    home.sh(&format!(
        "ln -s {outside} evil/x && ln -s ../../../../../../../../..{outside} evil/up"
    ))
    .ok();
    home.sh("test \"$(cat evil/x/file)\" = host && test \"$(cat evil/up/file)\" = host")
        .ok();
    home.sh("ln -s /etc evil/etc && ln -s ../../../../../../../../../../../../etc evil/up-etc")
        .ok();
    for link in ["etc", "up-etc"] {
        let inner = format!("./inner:/evil/{link}");
        let script =
            format!("cat /etc/file; cat /evil/{link}/file; echo changed >/evil/{link}/new");
        let flags = ["-v", "./evil:/evil", "-v", &inner];
        let said = sh(&home, &flags, &script);
        assert_eq!(
            said, "inner\ninner",
            "it is mounted where {link} leads inside"
        );
        fs::remove_file(home.join("inner/new")).unwrap();
    }
    for link in ["x", "up"] {
        let inner = format!("./inner:/evil/{link}");
        // What the link leads to is not there inside, and is made there.
        let flags = ["-v", "./evil:/evil", "-v", &inner];
        assert_eq!(sh(&home, &flags, &format!("cat {outside}/file")), "inner");
        let left: Vec<_> = fs::read_dir(outside)
            .unwrap()
            .flatten()
            .map(|it| it.file_name())
            .collect();
        assert_eq!(left, ["file"]);
        assert_eq!(
            fs::read_to_string(home.join("outside/file")).unwrap(),
            "host\n"
        );
    }
}

/// What a new volume copies is the image's, not what a link in the image names on the host.
#[test]
fn cve_2022_23648_a_link_in_an_image_does_not_copy_the_host() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir -p secret && echo host >secret/file && chmod 700 secret")
        .ok();
    let secret = home.join("secret");
    let secret = secret.to_str().unwrap();
    // A container's own files are its image when it is started again; here the links come with a volume's copy.
    home.sh(&format!(
        "mkdir -p tree/bin && \"$BERTH\" --root \"$ROOT\" cat busybox /bin/busybox >tree/bin/busybox && chmod 755 tree/bin/busybox
         for name in sh ls cat; do ln -s busybox tree/bin/$name; done
         ln -s {secret} tree/data && ln -s ../../../../../../../..{secret} tree/up
         cat tree/data/file
         tar -C tree -cf rootfs.tar . && echo '{{\"config\":{{\"Volumes\":{{\"/data\":{{}},\"/up\":{{}}}},\"Env\":[\"PATH=/bin\"]}}}}' >config.json
         \"$BERTH\" --root \"$ROOT\" pull -q --name linked --config config.json rootfs-tar:rootfs.tar"
    ))
    .ok()
    .out_has("host");
    for flags in [&[][..], &["--image-volume", "tmpfs"], &["--tmpfs", "/data"]] {
        let args = [
            &["run", "--rm"][..],
            flags,
            &[
                "linked",
                "sh",
                "-c",
                "ls -A /data /up; cat /data/file /up/file",
            ],
        ]
        .concat();
        let ran = home.berth(args).run();
        assert!(
            !ran.stdout.contains("host") && !ran.stdout.contains("file"),
            "{flags:?}: {}",
            ran.stdout
        );
    }
    assert_eq!(
        fs::read_to_string(home.join("secret/file")).unwrap(),
        "host\n"
    );
}

#[test]
fn no_option_makes_the_store_writable() {
    needs!(Images, Userns, Overlay, Ostree);
    let home = busybox();
    sh(&home, &[], "true");
    let script = "find /x -name '*.file' -o -type f -name busybox | while read -r f; do echo broken 2>/dev/null >\"$f\"; rm -f \"$f\" 2>/dev/null; chmod 777 \"$f\" 2>/dev/null; done; find /x -type f | wc -l";
    for source in [
        home.path().to_owned(),
        home.root(),
        home.repo(),
        home.root().join("checkouts"),
    ] {
        let source = source.display();
        for flags in [
            ["-v".to_owned(), format!("{source}:/x:rw,suid,exec")],
            [
                "--mount".to_owned(),
                format!("type=bind,src={source},dst=/x,rw,suid"),
            ],
        ] {
            let said = sh(&home, &[&flags[0], &flags[1]], script);
            assert!(
                said.trim().parse::<u32>().is_ok_and(|count| count > 3),
                "{flags:?} found {said}"
            );
        }
    }
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
}
