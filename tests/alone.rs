//! A host with nothing at all: a root directory that holds the binary and no other file, not even `/proc`.

use crate::needs;
use crate::support::Home;
use crate::support::registry::Registry;
use crate::support::user::Ran;

/// Runs berth in the directory `alone`, as its root. Only a user namespace lets an ordinary user do that.
fn alone(home: &Home, args: &[&str]) -> Ran {
    let root = format!("--root={}", home.join("alone").display());
    let start = [
        "--user",
        "--map-root-user",
        &root,
        "/berth",
        "--root",
        "/store",
    ];
    home.program("unshare").args(start).args(args).run()
}

#[test]
fn the_binary_is_all_it_takes() {
    needs!(Images, Registry, Userns);
    let home = Home::new();
    home.sh("mkdir alone && cp \"$BERTH\" alone/berth").ok();
    let registry = Registry::shared();
    let name = format!("{}/busybox:latest", registry.host());
    alone(&home, &["version"]).code(0).out_has("berth ");
    alone(&home, &["pull", &name])
        .code(0)
        .out_has(&format!("{name}@sha256:"));
    alone(&home, &["images"]).code(0).out_has("/busybox");
    alone(&home, &["ls", &name, "/"]).code(0).out_has("etc");
    alone(&home, &["checkout", &name, "/tree"]).code(0);
    alone(&home, &["repo", "fsck"])
        .code(0)
        .out_has("no problems");
    assert!(home.join("alone/tree/bin/busybox").is_file());
    home.program("ostree")
        .args(["fsck", "--repo"])
        .args([home.join("alone/store/repo")])
        .ok();
    alone(&home, &["doctor"]).code(1).out_has("/proc");
}
