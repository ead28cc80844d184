//! Volumes, binds and file systems in memory: what a container finds in them, and what they leave behind.

mod mounts;
mod safety;
mod verbs;

use std::fs;

use crate::needs;
use crate::run::{busybox, no_containers, run, sh};
use crate::support::Home;

/// The names in ROOT/volumes, sorted.
fn stored(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.root().join("volumes"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_volume_starts_with_what_the_image_has() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let look = "stat -c '%a %u %g %Y' /etc/group; cat /v/group 2>/dev/null | head -n 1; stat -c '%a %u %g %Y' /v/group 2>/dev/null; true";
    let said = sh(
        &home,
        &["-v", "filled:/etc"],
        "cp -p /etc/group /g; head -n 1 /etc/group",
    );
    assert_eq!(said, "root:x:0:");
    let said = sh(&home, &["-v", "filled:/v"], look);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.get(1), Some(&"root:x:0:"), "{said}");
    assert_eq!(lines.first(), lines.get(2), "mode, owner and time: {said}");
    for flags in [
        ["-v", "empty:/etc:nocopy"],
        ["--mount", "src=empty2,dst=/etc,nocopy"],
    ] {
        assert_eq!(
            sh(&home, &flags, "ls -A /etc"),
            "hostname\nhosts\nresolv.conf"
        );
    }
    // One that is used keeps what it has, also when that is less than the image's.
    sh(&home, &["-v", "filled:/v"], "rm -r /v/* && touch /v/mine");
    assert_eq!(sh(&home, &["-v", "filled:/v"], "ls -A /v"), "mine");
    assert_eq!(
        sh(
            &home,
            &["-v", "filled:/etc"],
            "ls -A /etc | grep -c group; ls /etc/mine"
        ),
        "0\n/etc/mine"
    );
}

#[test]
fn the_volumes_of_an_image_are_made_for_each_container() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    declare(&home);
    let shell = |flags: &[&str], script: &str| {
        let args = [flags, &["declared", "sh", "-c", script]].concat();
        run(&home, &args).ok().text().to_owned()
    };
    let kind =
        "grep ' /data ' /proc/self/mounts | cut -d' ' -f3; ls /data; touch /data/new && echo wrote";
    let said = shell(&[], kind);
    assert!(said.ends_with("from-the-image\nwrote"), "{said}");
    assert!(!said.starts_with("tmpfs"), "{said}");
    assert_eq!(stored(&home), [] as [&str; 0], "they go with --rm");
    assert_eq!(
        shell(&["--image-volume", "tmpfs"], kind),
        "tmpfs\nfrom-the-image\nwrote"
    );
    assert_eq!(
        shell(&["--image-volume", "ignore"], kind),
        "from-the-image\nwrote"
    );
    assert_eq!(
        shell(&["--tmpfs", "/data:notmpcopyup"], kind),
        "tmpfs\nwrote"
    );
    let said = shell(&["-v", "named:/data"], "ls /data; touch /data/kept");
    assert_eq!(said, "from-the-image");
    assert_eq!(stored(&home), ["named"]);
    // Kept with the container, and removed with `rm -v` alone.
    for (flags, left) in [(&["rm"][..], 2), (&["rm", "-v"], 2)] {
        home.berth(["run", "--name", "web", "declared", "touch", "/data/x"])
            .ok();
        home.berth([flags, &["web"]].concat()).ok();
        assert_eq!(stored(&home).len(), left, "{flags:?}");
    }
    no_containers(&home);
}

/// An image `declared` with a VOLUME /data that has a file.
fn declare(home: &Home) {
    home.sh(
        "mkdir -p tree/bin tree/data && \"$BERTH\" --root \"$ROOT\" cat busybox /bin/busybox >tree/bin/busybox
         chmod 755 tree/bin/busybox
         for name in sh ls cat touch grep cut stat; do ln -s busybox tree/bin/$name; done
         touch tree/data/from-the-image
         tar -C tree -cf rootfs.tar . && echo '{\"config\":{\"Volumes\":{\"/data\":{}},\"Env\":[\"PATH=/bin\"]}}' >config.json
         \"$BERTH\" --root \"$ROOT\" pull -q --name declared --config config.json rootfs-tar:rootfs.tar",
    )
    .ok();
}
