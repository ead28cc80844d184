//! BLAKE3 repositories: whole ones, which stock ostree keeps its hands off.

use std::fs;

use super::owned;
use crate::checkout::pull;
use crate::needs;
use crate::support::image::Tar;
use crate::support::ostree::Ostree;
use crate::support::{Home, User, images};

fn init(home: &Home) {
    home.berth(["repo", "init", "--hash", "blake3"]).ok();
}

#[test]
fn a_blake3_repository_does_all_that_others_do() {
    needs!(Images);
    let home = Home::new();
    init(&home);
    let config = home.repo().join("config");
    assert_eq!(
        fs::read_to_string(config).unwrap(),
        "[core]\nrepo_version=1\nmode=berth-bare-user-blake3\n"
    );
    let image = images::get("redis");
    home.berth(["pull", "-q", "--name", "redis", &image.source()])
        .ok();
    let other = Home::new();
    other
        .berth(["pull", "-q", "--name", "redis", &image.source()])
        .ok();
    let both = |args: &[&str]| (home.berth(args).ok().stdout, other.berth(args).ok().stdout);
    for same in [
        ["images", "--digests"].as_slice(),
        &["inspect", "redis"],
        &["ls", "-lR", "redis", "/"],
        &["cat", "redis", "/etc/passwd"],
        &["checkout", "redis", "out"],
    ] {
        let (ours, sha256) = both(same);
        assert!(!ours.is_empty());
        assert_eq!(ours, sha256, "{same:?}");
    }
    let list = "find out -printf '%p %y %m %n %l\\n' | sort; find out -type f | sort | xargs -d '\\n' sha256sum";
    assert_eq!(home.sh(list).run().stdout, other.sh(list).run().stdout);
    for differs in [
        ["repo", "rev-parse", "ocifs/redis"].as_slice(),
        &["repo", "ls", "-C", "ocifs/redis", "/etc/passwd"],
    ] {
        let (ours, sha256) = both(differs);
        assert_eq!(ours.len(), sha256.len());
        assert_ne!(ours, sha256, "{differs:?}");
    }
    home.berth(["verify", "redis"])
        .ok()
        .out_has(": no problems");
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
    home.berth(["rmi", "redis"]).ok();
    home.berth(["gc"]).ok();
    let left = home.berth(["repo", "stat", "--json"]).ok().json();
    assert_eq!(left["objects"], 0);
}

#[test]
fn stock_ostree_refuses_it_whatever_it_is_told() {
    needs!(Ostree);
    let home = Home::new();
    init(&home);
    pull(&home, "app", vec![owned()]);
    home.sh("mkdir d && echo d >d/d && ostree --repo=bare init --mode=bare-user && ostree --repo=bare commit -b b d")
        .ok();
    // Before it looks at the mode, stock ostree tidies `tmp`.
    let state = "find root/repo ! -path 'root/repo/tmp*' -printf '%p %y %m %T@ %l\\n' | sort";
    let before = home.sh(state).ok().stdout;
    let ostree = Ostree::of(&home);
    for command in [
        "fsck",
        "refs",
        "refs --delete ocifs",
        "log ocifs/app",
        "show ocifs/app",
        "ls ocifs/app",
        "cat ocifs/app /bin/su",
        "rev-parse ocifs/app",
        "checkout ocifs/app out",
        "export ocifs/app",
        "diff ocifs/app ocifs/app",
        "commit -b x d",
        "prune",
        "summary -u",
        "pull-local bare b",
        "config get core.mode",
        "static-delta list",
        "init --mode=bare-user",
    ] {
        let ran = ostree.command(command.split(' ')).fails(1);
        ran.err_has("Invalid mode 'berth-bare-user-blake3' in repository configuration");
    }
    let after = home.sh(state).ok().stdout;
    for (after, before) in after.lines().zip(before.lines()) {
        assert_eq!(after, before);
    }
    assert_eq!(after.len(), before.len());
    assert!(!home.join("out").exists());
    home.sh("! ostree --repo=bare pull-local root/repo ocifs/app")
        .ok();
}

#[test]
fn a_repository_keeps_its_hash() {
    let home = Home::new();
    init(&home);
    pull(&home, "app", vec![Tar::new().file("file", "content")]);
    let refused = "there is one with mode berth-bare-user-blake3\n";
    for hash in ["sha256", "blake3"] {
        let ran = home.berth(["repo", "init", "--hash", hash]).run();
        match hash {
            "blake3" => ran.code(0),
            _ => ran.code(1).one_error().err_has(refused),
        };
    }
    home.berth([
        "pull",
        "-q",
        "--name",
        "more",
        &format!("oci:{}", home.join("layout-app").display()),
    ])
    .ok();
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
    // A config that lies is found out: no object is what its name says.
    let config = "[core]\nrepo_version=1\nmode=bare-user\n";
    fs::write(home.repo().join("config"), config).unwrap();
    let objects = home.berth(["repo", "stat", "--json"]).run();
    assert_eq!(objects.exit(), 0);
    let report = home.berth(["repo", "fsck", "--json"]).fails(1).json();
    assert_eq!(
        report["problems"].as_array().unwrap().len() as u64,
        report["objects"].as_u64().unwrap()
    );
    home.berth(["verify", "app"])
        .fails(1)
        .out_has(" is corrupt: expected ");
    let sha256 = Home::new();
    sha256.berth(["repo", "init"]).ok();
    sha256
        .berth(["repo", "init", "--hash", "blake3"])
        .fails(1)
        .one_error()
        .err_has("there is one with mode bare-user\n");
}

#[test]
fn root_can_have_real_owners_and_blake3() {
    needs!(Root, Ostree);
    let home = Home::of(User::root());
    init(&home);
    let config = fs::read_to_string(home.repo().join("config")).unwrap();
    assert!(config.contains("mode=berth-bare-blake3\n"), "{config}");
    pull(&home, "owned", vec![owned()]);
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
    home.berth(["verify", "owned"])
        .ok()
        .out_has(": no problems");
    home.berth(["checkout", "-q", "owned", "out"]).ok();
    let plain = Home::of(User::root());
    pull(&plain, "owned", vec![owned()]);
    plain.berth(["checkout", "-q", "owned", "out"]).ok();
    let copied = |home: &Home| {
        super::tree::seen(&home.join("out"))
            .into_iter()
            .map(|(path, seen)| (path, seen.copied()))
            .collect()
    };
    super::tree::assert_same(&copied(&home), &copied(&plain));
    Ostree::of(&home)
        .command(["fsck"])
        .fails(1)
        .err_has("Invalid mode 'berth-bare-blake3'");
}
