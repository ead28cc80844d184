//! A host whose kernel gives an ordinary user no overlay: the image is copied, aloud.

use std::process::Command;

use crate::needs;
use crate::support::user::berth;
use crate::support::{Home, images};

/// What a script prints where ROOT is on an overlay, which cannot be the upper layer of another.
fn on_an_overlay(home: &Home, script: &str) -> String {
    let setup = "mkdir -p $WHERE/lower $WHERE/upper $WHERE/work $WHERE/merged
        mount -t overlay overlay -o lowerdir=$WHERE/lower,upperdir=$WHERE/upper,workdir=$WHERE/work $WHERE/merged
        chown $USER_ID:$USER_ID $WHERE/merged
        R=$WHERE/merged/root
        b() { setpriv --reuid $USER_ID --regid $USER_ID --clear-groups env HOME=$WHERE $BERTH --root $R --run-dir $WHERE/run \"$@\"; }
        b pull -q --name busybox $IMAGE >/dev/null";
    let out = Command::new("unshare")
        .args(["-m", "sh", "-euc", &format!("{setup}\n{script}")])
        .env("BERTH", berth())
        .env("WHERE", home.path())
        .env("IMAGE", images::get("busybox").source())
        .env("USER_ID", home.user.uid.to_string())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}\n{err}");
    said
}

#[test]
fn the_image_is_copied_where_no_overlay_is_to_be_had() {
    needs!(Root, Images, Userns, Overlay);
    let home = Home::new();
    let script = "b run --name kept busybox sh -c 'echo mine >/etc/mine; rm /etc/group; chmod 0700 /bin; echo ran' 2>&1
        b start -a kept 2>&1 || echo $?
        b run --rm busybox sh -c 'test -e /etc/group && ! test -e /etc/mine && echo whole; stat -c %a /bin /bin/busybox' 2>$WHERE/err
        grep -c '^warning: no overlay here: the image is copied (' $WHERE/err
        ls $R/checkouts | wc -l
        find $R/containers -type f -path '*/upper/*' -links +1 | wc -l
        b rm kept; ls $R/containers | wc -l
        b repo fsck >/dev/null && echo sound";
    let said = on_an_overlay(&home, script);
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("warning: no overlay here: the image is copied (")
            && lines[0].contains(" files, "),
        "{said}"
    );
    // A second start copies nothing, and finds what the first one did: rm fails for want of the file.
    assert_eq!(lines[1], "ran", "{said}");
    assert!(lines[2..4].contains(&"ran"), "{said}");
    assert!(
        lines[2..4]
            .iter()
            .any(|it| it.starts_with("rm: can't remove")),
        "{said}"
    );
    let rest = ["whole", "755", "755", "1", "1", "0", "kept", "0", "sound"];
    assert_eq!(lines[4..], rest, "{said}");
}
