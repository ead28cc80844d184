//! `berth repo checkout` over something else: what stock ostree makes of it is right.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;
use crate::support::ostree::Ostree;

/// Trees that clash in every way.
fn trees() -> [(&'static str, Tar); 6] {
    let base = Tar::new()
        .dir_with("f", 0o2711, 0, 0)
        .dir("d")
        .file("d/one", "one")
        .dir("d/e")
        .file("d/e/x", "x")
        .file_with("two", 0o755, 0, 0, "two")
        .symlink("l", "two")
        .file("empty", "")
        .file_with("sec", 0o200, 0, 0, "secret");
    let next = Tar::new()
        .dir_with("f", 0o700, 0, 0)
        .file("d/one", "changed")
        .dir_with("new", 0o1777, 0, 0)
        .file("new/in", "in")
        .symlink("two", "empty")
        .file("l", "was a link")
        .file("empty", "no more")
        .file_with("sec", 0o644, 0, 0, "");
    let whiteouts = Tar::new()
        .whiteout("two")
        .whiteout("f")
        .whiteout("not-there")
        .opaque("d")
        .file("d/new", "new")
        .whiteout("d/e")
        .file("l", "was a link");
    [
        ("base", base),
        ("next", next),
        ("whiteouts", whiteouts),
        ("a-file-over-a-directory", Tar::new().file("d", "d")),
        ("a-link-over-a-directory", Tar::new().symlink("d", "f")),
        ("a-directory-over-a-file", Tar::new().file("two/in", "in")),
    ]
}

/// All there is below a directory: type, mode, links, size, target, path, and the bytes of files that can be read.
fn look(home: &Home, dir: &str) -> String {
    let look = format!(
        "cd {dir} && find . -printf '%y %m %n %l %P\\n' | sort -k 5 && find . -type f -printf '%P\\0' \
         | sort -z | xargs -0r sha256sum --"
    );
    home.sh(&look).ok().stdout
}

struct World {
    home: Home,
    round: std::cell::Cell<u32>,
}

impl World {
    fn new() -> Self {
        let home = Home::new();
        let ostree = Ostree::init(&home, "stock");
        for (name, tar) in trees() {
            let tar = home.write("tree.tar", tar.finish());
            ostree.commit_tar(name, &tar);
        }
        Self {
            home,
            round: std::cell::Cell::new(0),
        }
    }

    /// Runs both with the same words on the same beginning; whether it worked, which both agree on.
    fn both(&self, begin: &str, words: &str) -> bool {
        let round = self.round.get() + 1;
        self.round.set(round);
        let (ours, stock) = (format!("ours{round}"), format!("stock{round}"));
        for dir in [&ours, &stock] {
            self.home.sh(&begin.replace("DIR", dir)).ok();
        }
        let checkout = |program: &str, dir: &str| {
            self.home
                .sh(&format!(
                    "{program} checkout -U {}",
                    words.replace("DIR", dir)
                ))
                .run()
        };
        let made = checkout("\"$BERTH\" --repo=stock repo", &ours);
        let wanted = checkout("ostree --repo=stock", &stock);
        assert_eq!(
            made.status.success(),
            wanted.status.success(),
            "{words} after {begin}\nberth: {}stock: {}",
            made.stderr,
            wanted.stderr
        );
        let worked = wanted.status.success();
        if worked {
            // Afterwards, so that both are counted among the links.
            assert_eq!(
                look(&self.home, &ours),
                look(&self.home, &stock),
                "{words} after {begin}"
            );
        } else {
            made.one_error();
        }
        self.home
            .sh(&format!(
                "chmod -R u+rwX {ours} {stock} 2>/dev/null; rm -rf {ours} {stock}"
            ))
            .run();
        worked
    }
}

/// Beginnings: nothing, a checkout of `base`, and what a user made.
const BASE: &str = "ostree --repo=stock checkout -U base DIR";
const OWN: &str = "mkdir -p DIR/d/own DIR/new && chmod 711 DIR && chmod 750 DIR/d && echo mine >DIR/d/one \
                   && echo mine >DIR/mine && ln -s mine DIR/two && echo >DIR/new/in && chmod 600 DIR/new/in";

#[test]
fn every_way_to_check_out_over_something_is_stock_ostrees() {
    needs!(Ostree);
    let world = World::new();
    let mut worked = Vec::new();
    for begin in ["true", BASE, OWN] {
        for how in ["", "--union", "--union-add", "-C --union", "-H --union"] {
            for whiteouts in ["", "--whiteouts"] {
                for (tree, _) in trees() {
                    let words = format!("{how} {whiteouts} {tree} DIR");
                    if world.both(begin, &words) {
                        worked.push(format!("{begin}: {words}"));
                    }
                }
            }
        }
    }
    // Of nothing all 60; over something the clashes are errors, and so is all without a union.
    let of = |begin: &str| worked.iter().filter(|it| it.starts_with(begin)).count();
    assert_eq!((of("true"), of(BASE), of(OWN)), (60, 34, 34), "{worked:#?}");
}

#[test]
fn identical_files_pass_and_others_are_an_error() {
    needs!(Ostree);
    let world = World::new();
    // Stock takes no second empty file, nor one that its owner must not read, for identical.
    let base = format!("{BASE} && rm -f DIR/empty DIR/sec");
    let copied = "ostree --repo=stock checkout -U -C base DIR && rm -f DIR/empty DIR/sec";
    let relinked = format!("{base} && ln -sfn f DIR/l");
    let words = |tree: &str| format!("-H --union-identical {tree} DIR");
    assert!(world.both(&base, &words("base")));
    assert!(world.both("mkdir DIR && echo mine >DIR/mine", &words("base")));
    assert!(!world.both(&base, &words("next")));
    assert!(!world.both(OWN, &words("base")));
    assert!(!world.both(&relinked, &words("base")));
    let home = &world.home;
    let ours = |dir: &str| {
        home.sh(&format!(
            "\"$BERTH\" --repo=stock repo checkout --union-identical --json base {dir}"
        ))
    };
    // Ours does, and copies too: what counts is what is there.
    home.sh(&BASE.replace("DIR", "whole")).ok();
    assert_eq!(ours("whole").ok().json()["kept"], 10);
    home.sh(&copied.replace("DIR", "copied")).ok();
    assert_eq!(ours("copied").ok().json()["kept"], 8);
    home.sh("chmod 600 copied/d/one").ok();
    ours("copied")
        .fails(1)
        .one_error()
        .err_has("cannot check out copied/d/one: what is there is not identical");
}

#[test]
fn one_file_is_checked_out_into_a_directory() {
    needs!(Ostree);
    let world = World::new();
    for begin in ["true", "mkdir DIR && echo mine >DIR/mine", OWN] {
        for path in ["/d/one", "two", "/l", "/empty", "/sec", "/d", "/not/there"] {
            for how in ["", "--union", "--union-add", "--allow-noent"] {
                let worked = world.both(
                    begin,
                    &format!("{how} --subpath={path} base DIR && mkdir -p DIR"),
                );
                if begin == "true" {
                    let there = path != "/not/there" || how == "--allow-noent";
                    assert_eq!(worked, there, "{path} {how}");
                }
            }
        }
    }
}

#[test]
fn nothing_in_the_target_leads_outside() {
    needs!(Ostree);
    let world = World::new();
    let home = &world.home;
    home.sh("mkdir away t && echo kept >away/one && echo kept >away/file && ln -s ../away t/d && ln -s ../away/file t/two")
        .ok();
    // Stock follows the first of these links; the second is replaced, not written through.
    home.sh("\"$BERTH\" --repo=stock repo checkout --union base t")
        .fails(1)
        .one_error()
        .err_has("cannot check out t/d: what is there is not a directory");
    assert_eq!(
        home.sh("cat away/* && ls away").ok().text(),
        "kept\nkept\nfile\none"
    );
    assert_eq!(home.sh("cat t/two").ok().text(), "two");
    // A whiteout can only name an entry of its own directory.
    for name in [".wh...", ".wh..", ".wh."] {
        let tar = home.write(
            "tree.tar",
            Tar::new().file(&format!("d/{name}"), "").finish(),
        );
        Ostree::init(home, &format!("bad{name}")).commit_tar("bad", &tar);
        home.sh(&format!(
            "mkdir -p victim/d && \"$BERTH\" --repo=bad{name} repo checkout --union --whiteouts bad victim"
        ))
        .fails(1)
        .one_error()
        .err_has(&format!("whiteout victim/d/{name} is malformed: it names no file"));
        assert!(home.join("victim/d").is_dir());
    }
}

#[test]
fn what_replaces_is_the_object_itself() {
    needs!(Ostree);
    let world = World::new();
    let home = &world.home;
    home.sh(&OWN.replace("DIR", "t")).ok();
    let made = home
        .sh("\"$BERTH\" --repo=stock repo checkout --union --json base t")
        .ok()
        .json();
    assert_eq!(
        (&made["replaced"], &made["kept"]),
        (&2.into(), &2.into()),
        "{made}"
    );
    let object = home.sh("find stock/objects -samefile t/d/one").ok();
    assert!(object.text().ends_with(".file"), "{}", object.text());
    assert_eq!(
        fs::metadata(home.join("t/d")).unwrap().mode() & 0o7777,
        0o750
    );
    assert_eq!(home.sh("find t -name '.berth*'").ok().text(), "");
}
