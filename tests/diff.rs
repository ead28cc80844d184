//! `repo diff` is stock ostree's to the letter, and `diff` tells of images as docker does.

use crate::checkout::pull;
use crate::needs;
use crate::support::image::Tar;
use crate::support::ostree::{Ostree, beside_stock};
use crate::support::{Home, images};

/// Stock prints what the C locale lacks as question marks.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn real_images_differ_as_stock_ostree_says() {
    needs!(Images, Ostree);
    let home = Home::new();
    for name in ["redis", "redis-next"] {
        let source = images::get(name).source();
        home.berth(["pull", "-q", "--name", name, &source]).ok();
    }
    let ostree = Ostree::of(&home);
    for (a, b) in [
        ("redis", "redis-next"),
        ("redis-next", "redis"),
        ("redis", "redis"),
    ] {
        let (a, b) = (format!("ocifs/{a}"), format!("ocifs/{b}"));
        let wanted = ostree.command(["diff", &a, &b]).ok().stdout;
        let ours = home.berth(["repo", "diff", &a, &b]).ok().stdout;
        assert_eq!(ascii(&ours), wanted, "{a} {b}");
        assert_eq!(wanted.is_empty(), a == b);
    }
    // One revision means what its commit changed.
    let mut changed = 0;
    for carets in 0..6 {
        let revision = format!("ocifs/redis-next{}", "^".repeat(carets));
        let wanted = ostree.command(["diff", &revision]).run();
        let ours = home.berth(["repo", "diff", &revision]).run();
        assert_eq!(ascii(&ours.stdout), wanted.stdout, "{revision}");
        assert_eq!(ours.status.success(), wanted.status.success(), "{revision}");
        changed += usize::from(!wanted.stdout.is_empty());
    }
    assert!(changed > 0);
    assert_ne!(home.berth(["diff", "redis", "redis-next"]).ok().stdout, "");
}

#[test]
fn every_kind_of_change_reads_as_stock_ostrees() {
    needs!(Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    home.sh("mkdir -p a/gone/sub a/same a/g2 a/f && echo 1 >a/gone/one && echo 2 >a/gone/sub/two && echo s >a/same/s \
             && : >a/z && echo 1 >a/zz && echo q >a/g2/q && ln -s x a/l && echo 0 >a/0 && cp -a a b && rm -r b/gone b/g2 \
             && mkdir -p b/new/sub && echo n >b/new/sub/n && ln -s x b/new/l && ln -s y b/zzz && chmod 600 b/zz \
             && echo file >b/g2 && chmod 700 b/f && ln -sfn y b/l && rm b/z b/0 && mkdir b/0 && echo in >b/0/in")
        .ok();
    ostree.commit_dir("first", &home.join("a"));
    ostree.commit_dir("second", &home.join("b"));
    let both = |words: &str| {
        let (ours, stock) = beside_stock(&home, "stock", &format!("diff {words}"));
        (ours.stdout, stock.stdout)
    };
    for words in [
        "first second",
        "second first",
        "first first",
        "$(ostree --repo=stock rev-parse first) second",
    ] {
        let (ours, stock) = both(words);
        assert_eq!(ours, stock, "{words}");
    }
    // Directories come in the order that the file system has them.
    for words in [
        "first ./b",
        "./a second",
        "./a ./b",
        "./b ./a",
        "--no-xattrs first ./a",
        "--owner-uid=0 --owner-gid=0 first ./b",
        "--owner-uid=0 --owner-gid=0 first \"$PWD/a\"",
    ] {
        let (ours, stock) = both(words);
        assert_eq!(sorted(&ours), sorted(&stock), "{words}");
    }
    assert_eq!(both("--owner-uid=0 --owner-gid=0 first ./a").0, "");
    // A checkout's hard links show their user.ostreemeta, unless xattrs do not count.
    home.sh("ostree --repo=stock checkout -U first out").ok();
    for words in [
        "first ./out",
        "--no-xattrs --owner-uid=0 --owner-gid=0 first ./out",
    ] {
        let (ours, stock) = both(words);
        assert_eq!(sorted(&ours), sorted(&stock), "{words}");
    }
    for words in ["first", "first ./nowhere", "first nowhere", "nowhere"] {
        both(words);
    }
}

#[test]
fn images_differ_as_docker_says() {
    let home = Home::new();
    let base = || {
        Tar::new()
            .file("etc/conf", "1")
            .file("etc/deep/er/gone", "gone")
            .file("bin/tool", "tool")
            .file("swap", "file")
            .file("dir/in", "in")
    };
    pull(&home, "one", vec![base()]);
    let top = Tar::new()
        .file("etc/conf", "2")
        .whiteout("etc/deep/er/gone")
        .file("new/file", "new")
        .whiteout("swap")
        .file("swap/in", "in")
        .whiteout("dir")
        .file("dir", "now a file");
    pull(&home, "two", vec![base(), top]);
    let wanted = "C /dir\nD /dir/in\nC /etc\nC /etc/conf\nC /etc/deep\nC /etc/deep/er\nD /etc/deep/er/gone\nA /new\n\
                  A /new/file\nC /swap\nA /swap/in";
    assert_eq!(home.berth(["diff", "one", "two"]).ok().text(), wanted);
    let json = home.berth(["diff", "--json", "one", "two"]).ok().json();
    assert_eq!(json.as_array().unwrap().len(), 11);
    assert_eq!(json[1], serde_json::json!({"kind": "D", "path": "/dir/in"}));
    assert_eq!(home.berth(["diff", "one", "one"]).ok().stdout, "");
    home.berth(["diff", "one", "three"])
        .fails(1)
        .one_error()
        .err_has("image three not found");
}
