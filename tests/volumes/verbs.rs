//! `berth volume create|ls|inspect|rm|prune`.

use std::fs;

use super::stored;
use crate::needs;
use crate::run::{busybox, no_containers, run, sh};
use crate::support::Home;

#[test]
fn volumes_are_made_listed_and_removed() {
    let home = Home::new();
    assert_eq!(home.berth(["volume", "ls", "-q"]).ok().text(), "");
    assert_eq!(home.berth(["volume", "create", "data"]).ok().text(), "data");
    let made = home.berth(["volume", "create"]).ok().text().to_owned();
    assert_eq!(made.len(), 64);
    home.berth(["volume", "create", "data"])
        .fails(1)
        .one_error()
        .err_has("cannot create volume data: there is one of this name");
    for bad in ["../x", ".x", "a/b", ""] {
        home.berth(["volume", "create", bad]).fails(1).one_error();
    }
    let mut both = [made.as_str(), "data"];
    both.sort_unstable();
    assert_eq!(
        home.berth(["volume", "ls", "-q"]).ok().text(),
        both.join("\n")
    );
    let table = home.berth(["volume", "ls", "-f", "name=dat"]).ok().stdout;
    assert_eq!(table, "DRIVER  VOLUME NAME  USED BY\nlocal   data\n");
    let shown = home.berth(["volume", "inspect", "data"]).ok().json();
    assert_eq!(shown[0]["Name"], "data");
    assert_eq!(
        shown[0]["Mountpoint"],
        home.root().join("volumes/data").to_str().unwrap()
    );
    assert_eq!(shown[0]["Driver"], "local");
    home.berth(["volume", "inspect", "nothing"])
        .fails(1)
        .one_error()
        .err_has("volume nothing not found");
    home.berth(["volume", "ls", "-f", "size=1"]).fails(2);
    home.berth(["volume", "rm", "nothing"])
        .fails(1)
        .one_error()
        .err_has("volume nothing not found");
    home.berth(["volume", "rm", "-f", "nothing"]).ok();
    assert_eq!(
        home.berth(["volume", "rm", "data", &made]).ok().text(),
        format!("data\n{made}")
    );
    assert_eq!(stored(&home), [] as [&str; 0]);
}

#[test]
fn a_used_volume_stays_until_its_container_goes() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth([
        "run",
        "--name",
        "web",
        "-v",
        "data:/data",
        "-v",
        "/own",
        "busybox",
        "touch",
        "/data/x",
    ])
    .ok();
    home.berth(["volume", "create", "free"]).ok();
    home.berth(["volume", "rm", "data"])
        .fails(1)
        .one_error()
        .err_has("cannot remove volume data: used by container web");
    assert!(home.root().join("volumes/data/x").exists());
    let list = |filter: &str| {
        home.berth(["volume", "ls", "-q", "-f", filter])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(list("dangling=true"), "free");
    assert_eq!(list("dangling=false").lines().count(), 2);
    // Without a terminal nobody can be asked.
    home.berth(["volume", "prune"]).fails(1).one_error();
    assert_eq!(home.berth(["volume", "prune", "-f"]).ok().text(), "free");
    assert_eq!(stored(&home).len(), 2);
    home.berth(["volume", "rm", "-f", "data"])
        .ok()
        .out_has("data");
    no_containers(&home);
    assert_eq!(
        home.berth(["volume", "prune", "-f"]).ok().text().len(),
        64 + 2,
        "the anonymous one is left over"
    );
    assert_eq!(stored(&home), [] as [&str; 0]);
}

#[test]
fn files_of_other_ids_go_with_their_volume() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = busybox();
    let script =
        "mkdir -p /v/a/b && touch /v/a/b/c && chown -R 1234:1234 /v/a && chmod 0 /v/a/b /v/a";
    for name in ["one", "two"] {
        sh(
            &home,
            &["--ids", "range", "-v", &format!("{name}:/v")],
            script,
        );
    }
    home.berth(["volume", "rm", "one"]).ok();
    home.berth(["volume", "prune", "-f"]).ok();
    assert_eq!(stored(&home), [] as [&str; 0]);
    // What a removal that was cut off left is swept by the next prune, and never listed.
    fs::create_dir(home.root().join("volumes/.going-x")).unwrap();
    assert_eq!(home.berth(["volume", "ls", "-q"]).ok().text(), "");
    home.sh("chmod 700 \"$ROOT\"").ok();
    home.berth(["volume", "prune", "-f"]).run();
    run(&home, &["busybox", "true"]).ok();
}
